"""RFC 9420 §7.1, §7.4 to §7.9, §12.4.3.1, broken: paths that do not fit, and trees that nobody made."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from securechan.crypto.secret import Secret
from securechan.mls.labels import HPKECiphertext
from securechan.mls.nodes import ParentNode, parent_start
from securechan.mls.registry import LeafNodeSource
from securechan.mls.rules import Rule
from securechan.mls.tree import parent_hash
from securechan.mls.treekem import UpdatePath
from securechan.mls.treemath import NodeIndex, node_of
from securechan.mls.welcome import PathSecret
from tests.support.forgeries.base import (
    ALICE,
    BOB,
    CAROL,
    DORA,
    NH,
    SUITE,
    ZERO_KEY,
    Attempt,
    breaks,
    commits,
    inviter,
    inviter_by_path,
    joins,
    trio,
    with_nodes,
)
from tests.support.mls_forge import changed, with_forged_path


def with_secrets(path: UpdatePath, spoil: Callable[[HPKECiphertext], HPKECiphertext]) -> UpdatePath:
    return UpdatePath(
        path.leaf_node,
        tuple(
            changed(node, encrypted_path_secret=tuple(map(spoil, node.encrypted_path_secret))) for node in path.nodes
        ),
    )


@breaks(Rule.PATH_SECRET_FITS)
def a_path_secret_that_makes_another_key() -> Attempt:
    return commits(secret_of=lambda _: Secret(bytes(NH)))


@breaks(Rule.PATH_SECRET_FITS)
def a_welcome_with_another_path_secret() -> Attempt:
    secrets = changed(inviter_by_path().secrets, path_secret=PathSecret(Secret(bytes(NH))))
    return joins(inviter_by_path().welcome(secrets=secrets))


@breaks(Rule.PATH_SECRET_OPENS)
def a_path_that_opens_to_nobody() -> Attempt:
    return commits(sealed=lambda path: with_secrets(path, lambda sealed: changed(sealed, ciphertext=bytes(48))))


@breaks(Rule.PATH_LENGTH)
def a_path_that_is_too_short() -> Attempt:
    return commits(sealed=lambda path: UpdatePath(path.leaf_node, path.nodes[1:]))


@breaks(Rule.PATH_LENGTH)
def a_path_that_is_too_long() -> Attempt:
    return commits(sealed=lambda path: UpdatePath(path.leaf_node, (*path.nodes, path.nodes[0])))


@breaks(Rule.PATH_RECIPIENTS)
def a_path_that_leaves_somebody_out() -> Attempt:
    return commits(sealed=lambda path: with_nodes(path, encrypted_path_secret=()))


@breaks(Rule.PARENT_HASH)
def a_leaf_with_another_parent_hash() -> Attempt:
    return commits(leaf={"origin": bytes(NH)})


def planted(at: int, **values: Any) -> Attempt:
    """A joiner's tree with a parent that has other values."""
    node = inviter().tree.parent(NodeIndex(at))
    assert node is not None
    tree = inviter().tree.with_nodes([(NodeIndex(at), changed(node, **values))])
    return joins(inviter().welcome(inviter().planted(tree)))


@breaks(Rule.PARENT_HASHES)
def a_parent_that_no_member_made() -> Attempt:
    return planted(1, encryption_key=SUITE.hpke.kem.generate()[1])


@breaks(Rule.PARENT_HASHES)
def a_parent_that_its_maker_did_not_share_with_all_below() -> Attempt:
    """Alice links the root to her leaf, past the node over her and bob, who isn't new and was never sent its secret."""
    tree, alice = inviter().tree.with_nodes([(NodeIndex(1), None)]), trio()[0]
    root = ParentNode(SUITE.hpke.kem.generate()[1], b"", ())
    linked = parent_hash(SUITE, parent_start(root.encryption_key, b""), tree.node_hash(NodeIndex(5)))
    leaf = changed(tree.leaf(ALICE), source=LeafNodeSource.COMMIT, origin=linked)
    signed = leaf.signed(SUITE, alice.state.signing, alice.group_id, ALICE)
    return joins(inviter().welcome(inviter().planted(tree.with_nodes([(tree.root, root), (node_of(ALICE), signed)]))))


@breaks(Rule.UNMERGED_ORDER)
def unmerged_leaves_out_of_order() -> Attempt:
    return planted(3, unmerged_leaves=(DORA, CAROL))


@breaks(Rule.UNMERGED_ORDER)
def an_unmerged_leaf_twice() -> Attempt:
    return planted(3, unmerged_leaves=(DORA, DORA))


@breaks(Rule.UNMERGED_BELOW)
def an_unmerged_leaf_that_is_elsewhere() -> Attempt:
    return planted(1, unmerged_leaves=(CAROL,))


@breaks(Rule.UNMERGED_BELOW)
def an_unmerged_leaf_that_is_blank() -> Attempt:
    tree = inviter().tree
    root = tree.parent(tree.root)
    assert root is not None
    nodes = [(node_of(CAROL), None), (tree.root, changed(root, unmerged_leaves=(CAROL, DORA)))]
    return joins(inviter().welcome(inviter().planted(tree.with_nodes(nodes))))


@breaks(Rule.UNMERGED_BETWEEN)
def an_unmerged_leaf_that_a_parent_between_does_not_list() -> Attempt:
    return planted(3, unmerged_leaves=(BOB, DORA))


def with_parent(key: bytes) -> Attempt:
    """A joiner's tree with a parent of that key, linked and signed as a tree must be."""
    tree, alice = inviter().tree, trio()[0]
    publics = {NodeIndex(1): key, NodeIndex(3): SUITE.hpke.kem.generate()[1]}
    forged = with_forged_path(tree, ALICE, alice.state.signing, alice.group_id, publics)
    return joins(inviter().welcome(inviter().planted(forged)))


@breaks(Rule.PARENT_KEYS)
def a_parent_with_the_key_of_a_leaf() -> Attempt:
    leaf = inviter().tree.leaf(CAROL)
    assert leaf is not None
    return with_parent(leaf.encryption_key)


@breaks(Rule.KEY_OF_SUITE)
def a_parent_with_a_key_that_is_none() -> Attempt:
    return with_parent(b"short")


@breaks(Rule.KEY_OF_SUITE)
def a_parent_with_a_key_of_small_order() -> Attempt:
    return with_parent(ZERO_KEY)
