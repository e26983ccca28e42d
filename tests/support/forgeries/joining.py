"""RFC 9420 §12.4.3, broken: Welcomes and invitations by a member who lies."""

from __future__ import annotations

from dataclasses import replace

from securechan.codec import encode
from securechan.crypto.secret import Secret
from securechan.mls.extensions import Extension
from securechan.mls.group import Group
from securechan.mls.lineage import parent_of
from securechan.mls.message import encode_message
from securechan.mls.nodes import Node, ParentNode, TreeSlot
from securechan.mls.proposals import (
    Remove,
)
from securechan.mls.registry import (
    ExtensionType,
    NodeType,
    ResumptionUsage,
)
from securechan.mls.rules import Rule
from securechan.mls.schedule import ExternalPub
from securechan.mls.send import signed_info
from securechan.mls.welcome import PathSecret
from tests.support.forgeries.base import (
    CAROL,
    DORA,
    NH,
    SUITE,
    ZERO_KEY,
    Attempt,
    Heard,
    Tried,
    bob,
    breaks,
    demanding,
    dora,
    external_psk,
    forger,
    inviter,
    joins,
    link,
    pending,
    trio,
)
from tests.support.mls import found, keys
from tests.support.mls_forge import Inviter, changed


@breaks(Rule.GROUP_ID_UNIQUE)
def a_welcome_to_where_we_are() -> Attempt:
    return joins(inviter().welcome(), others={trio()[0].group_id})


@breaks(Rule.GROUP_ID_UNIQUE)
def a_way_in_to_where_we_are() -> Attempt:
    info, who, others = trio()[0].group_info(), keys("eve", SUITE), {trio()[0].group_id}
    return Tried(lambda: Group.join_from_outside(SUITE, info, who, others=others))


@breaks(Rule.INFO_SIGNER)
def a_group_info_signed_by_a_blank_leaf() -> Attempt:
    return joins(inviter().welcome(inviter().signed(signer=9)))


@breaks(Rule.INFO_SIGNED)
def a_group_info_that_is_not_signed() -> Attempt:
    return joins(inviter().welcome(changed(inviter().info, signature=bytes(64))))


@breaks(Rule.INFO_SIGNED)
def a_group_info_signed_as_another() -> Attempt:
    return joins(inviter().welcome(inviter().signed(signer=1)))


@breaks(Rule.WELCOME_FOR_ME)
def a_welcome_to_somebody_else() -> Attempt:
    return joins(inviter().welcome(reference=bytes(NH)))


@breaks(Rule.WELCOME_SUITE)
def a_welcome_of_another_suite() -> Attempt:
    return joins(inviter().welcome(number=3))


@breaks(Rule.SECRETS_OPEN)
def a_welcome_under_another_init_key() -> Attempt:
    return joins(inviter().welcome(), replace(dora(), init_private=SUITE.hpke.kem.generate()[0]))


@breaks(Rule.WELCOME_PSK_HELD)
def a_welcome_with_a_key_that_we_do_not_hold() -> Attempt:
    return joins(inviter().welcome(secrets=changed(inviter().secrets, psks=(external_psk(),))))


@breaks(Rule.WELCOME_PSK_HELD)
def a_branch_of_a_group_that_is_not_handed_in() -> Attempt:
    psk = link(ResumptionUsage.BRANCH, bob())
    welcome = inviter().welcome(secrets=changed(inviter().secrets, psks=(psk,)))
    return joins(welcome, psks=bob().resumption_keys())


@breaks(Rule.WELCOME_PSK_HELD)
def a_link_to_a_group_that_is_not_among_the_parents() -> Attempt:
    return Tried(lambda: parent_of(link(ResumptionUsage.BRANCH, bob()), [demanding()[0]]))


@breaks(Rule.INFO_OPENS)
def a_group_info_under_another_key() -> Attempt:
    return joins(inviter().welcome(seal=lambda sealed: bytes(len(sealed))))


@breaks(Rule.INFO_SUITE)
def a_group_info_of_another_suite() -> Attempt:
    return joins(inviter().welcome(inviter().context(cipher_suite=3)))


@breaks(Rule.TREE_HASH)
def another_tree_than_the_context_names() -> Attempt:
    return joins(inviter().welcome(inviter().context(tree_hash=bytes(NH))))


@breaks(Rule.MY_LEAF)
def a_tree_without_the_newcomer() -> Attempt:
    return joins(inviter().welcome(inviter().planted(inviter().tree.remove(DORA))))


@breaks(Rule.MY_KEYS)
def a_bundle_with_another_encryption_key() -> Attempt:
    return joins(inviter().welcome(), replace(dora(), encryption_private=SUITE.hpke.kem.generate()[0]))


@breaks(Rule.MY_KEYS)
def a_bundle_with_another_signature_key() -> Attempt:
    return joins(inviter().welcome(), replace(dora(), signature_private=Secret(SUITE.signature.generate()[0])))


@breaks(Rule.PATH_SECRET_PLACE)
def a_path_secret_of_a_blank_node() -> Attempt:
    alice = found("alice", suite=SUITE)[0]
    honest = Inviter(alice.commit(adds=[dora().key_package], path=False), dora())
    secrets = changed(honest.secrets, path_secret=PathSecret(Secret(bytes(NH))))
    return joins(honest.welcome(secrets=secrets))


@breaks(Rule.WELCOME_CONFIRMED)
def a_group_info_with_another_tag() -> Attempt:
    return joins(inviter().welcome(inviter().signed(confirmation_tag=bytes(NH))))


@breaks(Rule.WELCOME_CONFIRMED)
def a_group_info_of_another_epoch() -> Attempt:
    return joins(inviter().welcome(inviter().context(epoch=77)))


@breaks(Rule.EXTERNAL_PUB)
def a_group_info_that_invites_nobody() -> Attempt:
    info, who = trio()[0].group_info(invite=False), keys("eve", SUITE)
    return Tried(lambda: Group.join_from_outside(SUITE, info, who))


def invited_by(external_pub: bytes) -> Attempt:
    """By a good group info but for this extension."""
    tree = Extension(ExtensionType.RATCHET_TREE, trio()[0].tree_bytes())
    info = encode_message(signed_info(trio()[0].state, (Extension(ExtensionType.EXTERNAL_PUB, external_pub), tree)))
    return Tried(lambda: Group.join_from_outside(SUITE, info, keys("eve", SUITE)))


@breaks(Rule.EXTERNAL_PUB)
def a_group_info_that_invites_with_bytes_for_a_key() -> Attempt:
    return invited_by(b"\x20")


@breaks(Rule.KEY_OF_SUITE)
def a_group_info_that_invites_with_a_key_that_is_none() -> Attempt:
    return invited_by(ExternalPub(b"short").encode())


@breaks(Rule.KEY_OF_SUITE)
def a_group_info_that_invites_with_a_key_of_small_order() -> Attempt:
    return invited_by(ExternalPub(ZERO_KEY).encode())


@breaks(Rule.EXTERNAL_PATH)
def an_external_commit_without_a_path() -> Attempt:
    return Heard(bob(), forger().external(keys=keys("eve", SUITE).signature_private, path=False))


@breaks(Rule.EXTERNAL_BY_VALUE)
def an_external_commit_that_refers_to_a_proposal() -> Attempt:
    _, member = pending(forger().proposal(Remove(CAROL)))
    message = forger().external(keys=keys("eve", SUITE).signature_private, refs=[member.pending[0].ref])
    return Heard(member, message)


@breaks(Rule.TREE_GIVEN)
def a_welcome_without_a_tree() -> Attempt:
    return joins(inviter().welcome(inviter().signed(extensions=())))


@breaks(Rule.TREE_GIVEN)
def a_welcome_with_bytes_for_a_tree() -> Attempt:
    return joins(inviter().welcome(inviter().planted(b"\xff")))


def nodes_of_the_tree() -> list[Node | None]:
    return list(inviter().tree.nodes)


def slots(nodes: list[Node | None]) -> bytes:
    return encode(
        tuple[TreeSlot | None, ...],
        tuple(
            None if node is None else TreeSlot(NodeType.PARENT if isinstance(node, ParentNode) else NodeType.LEAF, node)
            for node in nodes
        ),
    )


@breaks(Rule.TREE_ENDS)
def a_tree_that_ends_in_nothing() -> Attempt:
    return joins(inviter().welcome(inviter().planted(slots([*nodes_of_the_tree(), None]))))


@breaks(Rule.TREE_ENDS)
def a_tree_of_nothing() -> Attempt:
    return joins(inviter().welcome(inviter().planted(slots([]))))


@breaks(Rule.TREE_KINDS)
def a_tree_of_leaves_alone() -> Attempt:
    return joins(inviter().welcome(inviter().planted(slots(nodes_of_the_tree()[::2]))))
