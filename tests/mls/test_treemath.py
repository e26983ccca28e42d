"""Appendix C: the official table of every node's relatives, and the laws that tie them together."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from securechan.errors import Misuse
from securechan.mls.treemath import (
    LeafIndex,
    NodeIndex,
    children,
    common_ancestor,
    covers,
    direct_path,
    leaf_of,
    leaves_under,
    left,
    level,
    node_of,
    parent,
    right,
    root,
    sibling,
    width,
)
from tests.support.mls import cases


def test_official_vectors() -> None:
    for case in cases("tree-math"):
        leaves = case["n_leaves"]
        assert width(leaves) == case["n_nodes"]
        assert root(leaves) == case["root"]
        for number in range(case["n_nodes"]):
            node = NodeIndex(number)
            if number % 2:
                assert left(node) == case["left"][number]
                assert right(node) == case["right"][number]
                assert children(node) == (left(node), right(node))
            else:
                assert case["left"][number] is None
                for down in (left, right, children):
                    with pytest.raises(Misuse):
                        down(node)
            if number == case["root"]:
                assert case["parent"][number] is None
            else:
                assert parent(node) == case["parent"][number]
                assert sibling(node) == case["sibling"][number]


powers = st.integers(0, 10).map(lambda power: 1 << power)


@given(powers.flatmap(lambda leaves: st.tuples(st.just(leaves), st.integers(0, leaves - 1))))
def test_a_direct_path_rises_level_by_level_to_the_root(place: tuple[int, int]) -> None:
    leaves, leaf = place
    node = node_of(LeafIndex(leaf))
    path = direct_path(node, leaves)
    assert [level(up) for up in path] == list(range(1, leaves.bit_length()))
    assert all(covers(up, node) and leaf in leaves_under(up) for up in path)
    assert not path or path[-1] == root(leaves)
    assert leaf_of(node) == leaf


@given(st.integers(0, 5000), st.integers(0, 5000))
def test_the_common_ancestor_is_the_lowest_node_above_both(a: int, b: int) -> None:
    above = common_ancestor(LeafIndex(a), LeafIndex(b))
    assert covers(above, node_of(LeafIndex(a)))
    assert covers(above, node_of(LeafIndex(b)))
    if a != b:
        for below in (left(above), right(above)):
            assert not (covers(below, node_of(LeafIndex(a))) and covers(below, node_of(LeafIndex(b))))


def test_a_parent_is_no_leaf() -> None:
    with pytest.raises(Misuse):
        leaf_of(NodeIndex(1))
