"""§7.7–§7.9, §12.1: official trees keep their hashes, resolutions and links; changed ones lose just what they must."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from securechan.codec import encode
from securechan.crypto.suite import by_number
from securechan.errors import BadSignature, Invalid, Malformed, Misuse
from securechan.mls.apply import apply
from securechan.mls.framing import Sender
from securechan.mls.nodes import LeafNode, Node, ParentNode, TreeSlot
from securechan.mls.proposals import Proposal
from securechan.mls.registry import NodeType
from securechan.mls.tree import RatchetTree
from securechan.mls.treemath import LeafIndex, NodeIndex, node_of
from securechan.mls.validation import Queued
from tests.support.mls import FAST, RFC_SUITES, bundle, cases, follow, found, of_suite, unhex
from tests.support.settled import settled

ZERO = LeafIndex(0)


def leaf(name: str) -> LeafNode:
    return bundle(name).key_package.leaf_node


WIDE_MEMBERS = 150
PLAIN = by_number(1)
WIDE = settled(PLAIN, WIDE_MEMBERS)
LEAVES = [leaf(f"member {number}") for number in range(9)]


@pytest.mark.parametrize("number", RFC_SUITES)
def test_official_trees(number: int) -> None:
    for suite, case in of_suite("tree-validation", number):
        tree = RatchetTree.decode(suite, unhex(case["tree"]))
        assert tree.encode().hex() == case["tree"]
        for index in range(len(tree.nodes)):
            assert tree.node_hash(NodeIndex(index)).hex() == case["tree_hashes"][index]
            assert tree.resolution(NodeIndex(index)) == case["resolutions"][index]
        tree.check_parent_hashes()
        tree.check_unmerged()
        for at, node in tree.members():
            node.verify(suite, unhex(case["group_id"]), at)


def test_official_operations() -> None:
    for case in cases("tree-operations"):
        suite = by_number(case["cipher_suite"])
        before = RatchetTree.decode(suite, unhex(case["tree_before"]))
        assert before.tree_hash.hex() == case["tree_hash_before"]
        proposal = Proposal.decode(unhex(case["proposal"]))
        sender = Sender.member(LeafIndex(case["proposal_sender"]))
        after = apply(before, (), [Queued(proposal, sender, by_reference=True)]).tree
        assert after.encode().hex() == case["tree_after"]
        assert after.tree_hash.hex() == case["tree_hash_after"]
        assert before.tree_hash.hex() == case["tree_hash_before"]


@given(st.data())
@settings(max_examples=40, deadline=None)
def test_a_hash_kept_is_the_hash_computed(data: st.DataObject) -> None:
    """After any walk of changes, the hashes carried along are those of the same tree read anew."""
    tree = RatchetTree.of_one(FAST, LEAVES[0])
    for _ in range(data.draw(st.integers(1, 12))):
        members = [at for at, _ in tree.members()]
        spare = [each for each in LEAVES if each not in [node for _, node in tree.members()]]
        choices = ["hash", *["add"] * bool(spare), *["remove", "blank"] * (len(members) > 1)]
        match data.draw(st.sampled_from(choices)):
            case "add":
                tree, at = tree.add(spare[0])
                assert tree.leaf(at) == spare[0]
            case "remove":
                tree = tree.remove(data.draw(st.sampled_from(members)))
            case "blank":
                at = data.draw(st.sampled_from(members))
                tree = tree.blank_path(at, tree.leaf(at))
            case _:
                assert tree.tree_hash
    again = RatchetTree.decode(FAST, tree.encode())
    assert again == tree
    assert again.tree_hash == tree.tree_hash
    assert hash(again) == hash(tree)
    assert [tree.node_hash(NodeIndex(index)) for index in range(len(tree.nodes))] == [
        again.node_hash(NodeIndex(index)) for index in range(len(again.nodes))
    ]


def test_a_newcomer_takes_the_leftmost_place_and_the_tree_shrinks_again() -> None:
    tree = RatchetTree.of_one(FAST, LEAVES[0])
    for number in range(1, 5):
        tree, at = tree.add(LEAVES[number])
        assert at == number
    assert tree.leaf_count == 8
    tree = tree.remove(LeafIndex(1))
    assert tree.leaf_count == 8
    assert tree.free_leaf() == 1
    tree = tree.remove(LeafIndex(4))
    assert tree.leaf_count == 4
    assert tree.leaf(LeafIndex(6)) is None
    assert "3 members" in repr(tree)


def test_a_newcomer_is_unmerged_in_all_parents_above() -> None:
    groups = found("a", "b", "c")
    groups = follow(groups[0].commit(), groups[1:])
    tree = groups[0].state.tree
    tree, at = tree.add(LEAVES[3])
    assert at == 3
    above = [node for node in map(tree.parent, tree.direct_path(at)) if node is not None]
    assert above
    assert all(node.unmerged_leaves == (3,) for node in above)
    tree.check_unmerged()


def slots(tree: RatchetTree) -> list[Node | None]:
    return list(tree.nodes)


def rebuilt(nodes: list[Node | None]) -> RatchetTree:
    return RatchetTree(FAST, tuple(nodes))


def test_parent_hashes_bind_every_key_and_the_sibling() -> None:
    groups = found("a", "b", "c", "d")
    for committer in (0, 2):
        groups = [*groups]
        step = groups[committer].commit()
        others = [group for index, group in enumerate(groups) if index != committer]
        moved = follow(step, others)
        groups = [*moved[1:][:committer], moved[0], *moved[1:][committer:]]
    tree = groups[0].state.tree
    tree.check_parent_hashes()
    for index in range(1, len(tree.nodes), 2):
        node = tree.parent(NodeIndex(index))
        if node is None:
            continue
        nodes = slots(tree)
        nodes[index] = ParentNode(LEAVES[0].encryption_key, node.parent_hash, node.unmerged_leaves)
        with pytest.raises(Invalid, match="parent-hash"):
            rebuilt(nodes).check_parent_hashes()


@pytest.mark.parametrize("unmerged", [(1, 0), (0, 0), (3,), (9,)])
def test_impossible_unmerged_leaves_are_refused(unmerged: tuple[int, ...]) -> None:
    groups = found("a", "b")
    groups = follow(groups[0].commit(), groups[1:])
    nodes = slots(groups[0].state.tree)
    parent = nodes[1]
    assert isinstance(parent, ParentNode)
    listed = tuple(LeafIndex(at) for at in unmerged)
    nodes[1] = ParentNode(parent.encryption_key, parent.parent_hash, listed)
    with pytest.raises(Invalid):
        rebuilt(nodes).check_unmerged()


def test_an_unmerged_leaf_must_be_listed_on_the_whole_way_up() -> None:
    groups = found("a", "b", "c", "d")
    groups = follow(groups[0].commit(), groups[1:])
    nodes = slots(groups[0].state.tree)
    top = nodes[3]
    assert isinstance(top, ParentNode)
    nodes[3] = ParentNode(top.encryption_key, top.parent_hash, (LeafIndex(1),))
    with pytest.raises(Invalid, match="doesn't list"):
        rebuilt(nodes).check_unmerged()


@pytest.mark.parametrize(
    "listed",
    [
        (),
        (None,),
        (TreeSlot(NodeType.LEAF, LEAVES[0]), None),
        (TreeSlot(NodeType.PARENT, ParentNode(b"k", b"", ())),),
        (TreeSlot(NodeType.LEAF, LEAVES[0]), TreeSlot(NodeType.LEAF, LEAVES[1])),
    ],
    ids=["empty", "blank", "blank at the end", "parent at a leaf", "leaf at a parent"],
)
def test_trees_out_of_shape_are_refused(listed: tuple[TreeSlot | None, ...]) -> None:
    with pytest.raises(Invalid):
        RatchetTree.decode(FAST, encode(tuple[TreeSlot | None, ...], listed))


def test_a_tree_cut_short_is_malformed() -> None:
    data = RatchetTree.of_one(FAST, LEAVES[0]).encode()
    with pytest.raises(Malformed):
        RatchetTree.decode(FAST, data[:-1])


def test_a_leaf_signs_its_place() -> None:
    groups = found("a", "b")
    groups = follow(groups[0].commit(), groups[1:])
    node = groups[0].state.tree.leaf(ZERO)
    assert node is not None
    node.verify(FAST, groups[0].group_id, ZERO)
    for group_id, at in ((groups[0].group_id, LeafIndex(1)), (b"another group", ZERO)):
        with pytest.raises(BadSignature):
            node.verify(FAST, group_id, at)


def test_a_tree_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    from securechan.mls import tree as trees

    monkeypatch.setattr(trees, "MAX_LEAVES", 2)
    tree, _ = RatchetTree.of_one(FAST, LEAVES[0]).add(LEAVES[1])
    with pytest.raises(Invalid, match="at most 2"):
        tree.add(LEAVES[2])
    monkeypatch.setattr(trees, "MAX_LEAVES", 4)
    larger = tree.add(LEAVES[2])[0].encode()
    monkeypatch.setattr(trees, "MAX_LEAVES", 2)
    with pytest.raises(Invalid, match="at most 2"):
        RatchetTree.decode(FAST, larger)


def test_a_blank_node_has_no_parent_hash_to_give() -> None:
    tree, _ = RatchetTree.of_one(FAST, LEAVES[0]).add(LEAVES[1])
    with pytest.raises(Misuse):
        tree.parent_hash_of(NodeIndex(1), NodeIndex(2))


def test_a_tree_that_stays_holds_each_byte_once_and_says_the_same() -> None:
    tree = RatchetTree.of_one(FAST, LEAVES[0])
    for leaf in LEAVES[1:4]:
        tree, _ = tree.add(leaf)
    wire = tree.encode()
    read = RatchetTree.decode(FAST, wire)
    hashed = read.tree_hash
    assert all(node is None or vars(node)["_wire"] for node in read.nodes)  # what is being checked is read off the wire
    read.settle()
    assert not any(vars(node)["_wire"] for node in read.nodes if node is not None)
    assert read.encode() == wire
    assert not any(vars(node)["_wire"] for node in read.nodes if node is not None)
    assert RatchetTree(FAST, read.nodes).tree_hash == hashed
    assert read == RatchetTree.decode(FAST, wire)


@given(st.data())
@settings(max_examples=20)
def test_trees_that_share_hashes_share_only_those_that_are_the_same(data: st.DataObject) -> None:
    """Whichever tree is asked first, and whatever was known before: each has the hash of its own nodes."""
    trees = [RatchetTree(PLAIN, WIDE.tree.nodes)]
    members = st.integers(0, WIDE_MEMBERS - 1).map(LeafIndex)
    for _ in range(data.draw(st.integers(1, 6))):
        tree = data.draw(st.sampled_from(trees))
        match data.draw(st.sampled_from(("blank", "swap", "ask", "part"))):
            case "blank":
                trees.append(tree.blank_path(data.draw(members), None))
            case "swap":
                one, other = data.draw(members), data.draw(members)
                trees.append(tree.with_nodes([(node_of(one), tree.leaf(other))]))
            case "part":
                tree.node_hash(NodeIndex(data.draw(st.integers(0, len(tree.nodes) - 1))))
            case _:
                assert tree.tree_hash
    for tree in data.draw(st.permutations(trees)):
        assert tree.tree_hash == RatchetTree(PLAIN, list(tree.nodes)).tree_hash
