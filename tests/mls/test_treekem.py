"""§7.4–§7.6: every official path, followed by every member; and paths that lie."""

from __future__ import annotations

from typing import Any

import pytest

from securechan.crypto.kem import KemKey
from securechan.crypto.suite import Suite
from securechan.errors import CannotOpen, Invalid, Malformed, SecurechanError
from securechan.mls.nodes import ParentNode
from securechan.mls.registry import LeafNodeSource
from securechan.mls.tree import RatchetTree
from securechan.mls.treekem import UpdatePath, UpdatePathNode, climb, follow, merge, node_key, renew, retained
from securechan.mls.treemath import LeafIndex, NodeIndex, common_ancestor, node_of
from tests.support.mls import FAST, RFC_SUITES, context_of, found, kem_private, of_suite, unhex


def private_keys(suite: Suite, case: dict[str, Any]) -> dict[int, dict[NodeIndex, KemKey]]:
    held = {}
    for leaf in case["leaves_private"]:
        own = node_of(LeafIndex(leaf["index"]))
        keys = {own: suite.hpke.kem.load(kem_private(suite, leaf["encryption_priv"]))}
        for secret in leaf["path_secrets"]:
            keys[NodeIndex(secret["node"])] = node_key(suite, unhex(secret["path_secret"]))
        held[leaf["index"]] = keys
    return held


@pytest.mark.parametrize("number", RFC_SUITES)
def test_official_vectors(number: int) -> None:
    for suite, case in of_suite("treekem", number):
        tree = RatchetTree.decode(suite, unhex(case["ratchet_tree"]))
        held = private_keys(suite, case)
        signing = {leaf["index"]: unhex(leaf["signature_priv"]) for leaf in case["leaves_private"]}
        for keys in held.values():
            assert retained(tree, keys) == keys  # each is the key that the tree shows
        for update in case["update_paths"]:
            sender = LeafIndex(update["sender"])
            path = UpdatePath.decode(unhex(update["update_path"]))
            path.leaf_node.verify(suite, unhex(case["group_id"]), sender)
            merged = merge(tree, sender, path, ())
            assert merged.tree_hash.hex() == update["tree_hash_after"]
            merged.check_parent_hashes()
            context = context_of(
                suite, case, case["epoch"], update["tree_hash_after"], case["confirmed_transcript_hash"]
            ).encode()
            for own, keys in held.items():
                if own == sender:
                    continue
                after, commit_secret = follow(merged, LeafIndex(own), keys, sender, path, context, ())
                assert commit_secret == unhex(update["commit_secret"])
                start = common_ancestor(LeafIndex(own), sender)
                assert after[start].public == node_key(suite, unhex(update["path_secrets"][own])).public
            # and a path of our own for the same sender
            old = tree.leaf(sender)
            assert old is not None
            key = signing[sender].rjust(suite.signature.private_length, b"\0")
            mine = renew(tree, sender, old, key, unhex(case["group_id"]))
            sealed = mine.seal(b"context", ())
            assert merge(tree, sender, sealed, ()).tree_hash == mine.tree.tree_hash
            for own, keys in held.items():
                if own != sender:
                    _, secret = follow(mine.tree, LeafIndex(own), keys, sender, sealed, b"context", ())
                    assert secret == mine.commit_secret


ALICE, BOB, CAROL = LeafIndex(0), LeafIndex(1), LeafIndex(2)


@pytest.fixture(scope="module")
def honest() -> tuple[RatchetTree, UpdatePath, dict[int, Any]]:
    groups = found("alice", "bob", "carol")
    state = groups[0].state
    path = renew(state.tree, ALICE, state.own_leaf_node, state.signing, b"group").seal(b"context", ())
    return state.tree, path, {group.own_leaf: group.state.private for group in groups}


def test_paths_of_the_wrong_shape_are_refused(honest: tuple[RatchetTree, UpdatePath, dict[int, Any]]) -> None:
    tree, path, _ = honest
    first, *others = path.nodes
    leaf = path.leaf_node
    stood = tree.leaf(BOB)
    assert stood is not None
    bad = {
        "of 1 nodes where 2": UpdatePath(leaf, tuple(others)),
        "secrets for": UpdatePath(leaf, (UpdatePathNode(first.encryption_key, ()), *others)),
        "in the tree already": UpdatePath(
            leaf, (UpdatePathNode(stood.encryption_key, first.encrypted_path_secret), *others)
        ),
        "parent hash": _relinked(path),
    }
    for reason, wrong in bad.items():
        with pytest.raises(Invalid, match=reason):
            merge(tree, ALICE, wrong, ())
    twice = UpdatePathNode(others[0].encryption_key, first.encrypted_path_secret)
    with pytest.raises(Invalid, match="in the tree already"):
        merge(tree, ALICE, UpdatePath(leaf, (twice, *others)), ())
    with pytest.raises(Malformed):
        merge(tree, ALICE, UpdatePath(leaf, (UpdatePathNode(b"short", first.encrypted_path_secret), *others)), ())


def _relinked(path: UpdatePath) -> UpdatePath:
    """The same path under a leaf that names another parent hash."""
    values = {name: value for name, value in path.leaf_node.__dict__.items() if name != "_wire"}
    assert path.leaf_node.source is LeafNodeSource.COMMIT
    return UpdatePath(type(path.leaf_node)(**{**values, "origin": b"another"}), path.nodes)


def test_my_share_may_fail_where_the_path_is_good(honest: tuple[RatchetTree, UpdatePath, dict[int, Any]]) -> None:
    tree, path, held = honest
    merged = merge(tree, ALICE, path, ())
    follow(merged, BOB, held[BOB], ALICE, path, b"context", ())
    with pytest.raises(CannotOpen):
        follow(merged, BOB, held[BOB], ALICE, path, b"another context", ())
    with pytest.raises(CannotOpen, match="a key that I hold"):
        follow(merged, BOB, {}, ALICE, path, b"context", ())
    with pytest.raises(CannotOpen, match="doesn't reach"):
        follow(merged, ALICE, held[ALICE], ALICE, path, b"context", ())
    swapped = UpdatePath(
        path.leaf_node,
        tuple(
            UpdatePathNode(node.encryption_key, path.nodes[0].encrypted_path_secret * len(node.encrypted_path_secret))
            for node in path.nodes
        ),
    )
    with pytest.raises(SecurechanError):
        follow(merged, CAROL, held[CAROL], ALICE, swapped, b"context", ())


def test_a_secret_that_makes_another_key_is_refused(honest: tuple[RatchetTree, UpdatePath, dict[int, Any]]) -> None:
    tree, path, held = honest
    merged = merge(tree, ALICE, path, ())
    start = common_ancestor(BOB, ALICE)
    with pytest.raises(Invalid, match="another key"):
        climb(merged, ALICE, start, bytes(FAST.hash_length), held[BOB])
    with pytest.raises(Invalid, match="of 5 bytes"):
        climb(merged, ALICE, start, b"short", held[BOB])


def test_the_parents_of_a_path_are_known_as_what_they_encode_to(
    honest: tuple[RatchetTree, UpdatePath, dict[int, Any]],
) -> None:
    tree, path, _ = honest
    parents = list(merge(tree, ALICE, path, ()).parents())
    assert len(parents) >= len(path.nodes)
    for node in parents:
        assert node.encode() == ParentNode(node.encryption_key, node.parent_hash, node.unmerged_leaves).encode()
