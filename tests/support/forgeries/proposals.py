"""RFC 9420 §12.1, broken: proposals alone."""

from __future__ import annotations

from securechan.mls.extensions import Extension
from securechan.mls.framing import Sender
from securechan.mls.group import Group
from securechan.mls.proposals import (
    ExternalInit,
    GroupContextExtensions,
    PreSharedKey,
    Proposal,
    Remove,
    Update,
)
from securechan.mls.registry import (
    ExtensionType,
    ResumptionUsage,
    SenderType,
)
from securechan.mls.rules import Rule
from securechan.mls.treemath import LeafIndex
from securechan.mls.validation import check_proposal
from tests.support.forgeries.base import (
    ABLE,
    ALICE,
    DORA,
    NH,
    REINIT,
    REQUIRED,
    SUITE,
    WATCHER_PRIVATE,
    Attempt,
    Heard,
    Tried,
    bob,
    breaks,
    commits,
    external_psk,
    forger,
    inviter,
    joins,
    resumption,
    trio,
    watched,
)
from tests.support.mls import keys
from tests.support.mls_forge import Forger, changed


@breaks(Rule.UPDATE_BY_MEMBER)
def an_update_by_nobody() -> Attempt:
    state, update = trio()[0].state, Proposal.of(Update(forger().leaf()))
    outside = Sender(SenderType.NEW_MEMBER_COMMIT, None)  # no message of theirs comes so far
    return Tried(lambda: check_proposal(SUITE, state.context, state.tree, update, outside))


@breaks(Rule.REMOVES_A_MEMBER)
def a_proposal_to_remove_nobody() -> Attempt:
    return Heard(bob(), forger().proposal(Remove(LeafIndex(7))))


@breaks(Rule.REMOVES_A_MEMBER)
def a_commit_that_removes_a_blank_leaf() -> Attempt:
    return commits(Remove(DORA))


@breaks(Rule.REMOVES_A_MEMBER)
def a_newcomer_in_place_of_nobody() -> Attempt:
    info, who = trio()[0].group_info(), keys("eve", SUITE)
    return Tried(lambda: Group.join_from_outside(SUITE, info, who, replacing=DORA))


@breaks(Rule.PSK_REINIT)
def a_reinit_key_in_a_group_that_goes_on() -> Attempt:
    return commits(PreSharedKey(resumption(ResumptionUsage.REINIT, bob())))


@breaks(Rule.PSK_BRANCH)
def a_branch_key_in_the_group_itself() -> Attempt:
    return Heard(bob(), forger().proposal(PreSharedKey(resumption(ResumptionUsage.BRANCH, bob()))))


@breaks(Rule.PSK_NONCE)
def a_short_nonce() -> Attempt:
    return commits(PreSharedKey(external_psk(NH - 1)))


@breaks(Rule.PSK_NONCE)
def a_long_nonce() -> Attempt:
    return commits(PreSharedKey(external_psk(NH + 1)))


@breaks(Rule.PSK_NONCE)
def a_welcome_with_a_short_nonce() -> Attempt:
    secrets = changed(inviter().secrets, psks=(external_psk(NH - 1),))
    return joins(inviter().welcome(secrets=secrets), psks={b"id": b"key"})


@breaks(Rule.REINIT_NOT_OLDER)
def a_new_beginning_in_an_older_version() -> Attempt:
    state = trio()[0].state
    later = changed(state.context, version=2)  # of a protocol yet to come
    return Tried(lambda: check_proposal(SUITE, later, state.tree, Proposal.of(REINIT), Sender.member(ALICE)))


@breaks(Rule.EXTERNAL_INIT_PLACE)
def an_external_init_by_a_member() -> Attempt:
    return Heard(bob(), forger().proposal(ExternalInit(bytes(32))))


@breaks(Rule.ALL_CAPABLE)
def requirements_that_members_do_not_meet() -> Attempt:
    return commits(GroupContextExtensions((REQUIRED,)), leaf={"capabilities": ABLE})


@breaks(Rule.EXTERNAL_TYPES)
def an_update_by_an_external_sender() -> Attempt:
    alice, other = watched()
    update = Update(Forger(alice).leaf())
    return Heard(other, Forger(alice).proposal(update, sender=Sender(SenderType.EXTERNAL, 0), key=WATCHER_PRIVATE))


@breaks(Rule.EXTERNAL_TYPES)
def an_external_init_by_an_external_sender() -> Attempt:
    alice, other = watched()
    sender = Sender(SenderType.EXTERNAL, 0)
    return Heard(other, Forger(alice).proposal(ExternalInit(b""), sender=sender, key=WATCHER_PRIVATE))


@breaks(Rule.SENDERS_PARSE)
def external_senders_that_do_not_parse() -> Attempt:
    return commits(GroupContextExtensions((Extension(ExtensionType.EXTERNAL_SENDERS, b"\x05"),)))
