"""The register of keys, carried along with a tree, is the one that a fresh count of the tree gives."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from securechan.mls.nodes import Capabilities, Credential, LeafNode, X509Credential
from securechan.mls.roll import Roll
from securechan.mls.tree import RatchetTree
from tests.mls.test_tree import LEAVES
from tests.support.mls import FAST, bundle, follow, found


@given(st.data())
@settings(max_examples=40, deadline=None)
def test_a_roll_carried_along_is_the_roll_counted(data: st.DataObject) -> None:
    tree = RatchetTree.of_one(FAST, LEAVES[0])
    assert tree.roll.members == 1
    for _ in range(data.draw(st.integers(1, 12))):
        members = [at for at, _ in tree.members()]
        if len(members) > 1 and data.draw(st.booleans()):
            tree = tree.remove(data.draw(st.sampled_from(members)))
        else:
            tree, _ = tree.add(data.draw(st.sampled_from(LEAVES)))  # the same leaf may come twice: that's to be seen
        assert tree.roll == Roll.of(tree.nodes)
        leaves = [leaf for _, leaf in tree.members()]
        assert tree.roll.members == len(leaves)
        assert tree.roll.signs_twice == (len({leaf.signature_key for leaf in leaves}) < len(leaves))
        assert tree.roll.encrypts_twice == tree.roll.signs_twice


def test_who_says_a_thing_twice_says_it_for_one() -> None:
    """A credential type that one member lists twice isn't thereby understood by two (§7.3)."""
    chain = Credential.of(X509Credential((b"certificate",)))

    def leaf(name: str, *understood: int, credential: Credential | None = None) -> LeafNode:
        package = bundle(name, FAST).key_package
        able = Capabilities((1,), (FAST.number,), (), (), understood)
        return replace(package.leaf_node, capabilities=able, credential=credential or package.leaf_node.credential)

    twice, basic = leaf("twice", 2, 1, 2, credential=chain), leaf("basic", 1)
    assert not RatchetTree.of_one(FAST, twice).add(basic)[0].roll.understands_all
    assert RatchetTree.of_one(FAST, twice).add(leaf("both", 1, 2))[0].roll.understands_all


def test_commits_carry_it_too() -> None:
    groups = found("a", "b", "c")
    for _ in range(3):
        groups = follow(groups[0].commit(), groups[1:])
        for group in groups:
            assert group.state.tree.roll == Roll.of(group.state.tree.nodes)
            assert not group.state.tree.roll.encrypts_twice
            assert group.state.tree.roll.understands_all
