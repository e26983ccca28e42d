"""RFC 9420 §5, §6, broken: bytes, senders, signatures, tags, envelopes."""

from __future__ import annotations

from securechan.mls.framing import PrivateMessage, Sender
from securechan.mls.message import MLSMessage, encode_message
from securechan.mls.proposals import (
    Add,
    Commit,
    Remove,
)
from securechan.mls.registry import (
    SenderType,
)
from securechan.mls.rules import Rule
from tests.support.forgeries.base import (
    ALICE,
    CAROL,
    DORA,
    NH,
    SUITE,
    WATCHER_PRIVATE,
    ZERO_KEY,
    Attempt,
    Heard,
    adds,
    bob,
    breaks,
    commits,
    dora,
    forger,
    trio,
    updates,
    watched,
    with_nodes,
)
from tests.support.mls import keys
from tests.support.mls_forge import Forger, changed, resigned


@breaks(Rule.KEY_OF_SUITE)
def an_update_with_a_key_that_is_none() -> Attempt:
    return updates(encryption_key=b"short")


@breaks(Rule.KEY_OF_SUITE)
def an_update_with_a_key_of_small_order() -> Attempt:
    return updates(encryption_key=ZERO_KEY)


@breaks(Rule.KEY_OF_SUITE)
def an_init_key_that_is_none() -> Attempt:
    return adds(resigned(dora().key_package, SUITE, dora().signature_private, init_key=b"short"))


@breaks(Rule.KEY_OF_SUITE)
def a_path_with_a_key_that_is_none() -> Attempt:
    return commits(sealed=lambda path: with_nodes(path, encryption_key=ZERO_KEY))


@breaks(Rule.PARSES)
def no_message_at_all() -> Attempt:
    return Heard(bob(), b"\x00\x01\x00")


@breaks(Rule.PARSES)
def a_length_in_more_bytes_than_it_needs() -> Attempt:
    good = forger().proposal(Remove(CAROL))
    length = len(bob().group_id)
    assert good[4] == length
    return Heard(bob(), good[:4] + (0x4000 | length).to_bytes(2, "big") + good[5:])


@breaks(Rule.PARSES)
def a_message_with_something_behind_it() -> Attempt:
    return Heard(bob(), forger().proposal(Remove(CAROL)) + b"\0")


@breaks(Rule.TO_A_GROUP)
def a_group_info_for_a_member() -> Attempt:
    return Heard(bob(), trio()[0].group_info())


@breaks(Rule.GROUP_ID)
def a_message_of_another_group() -> Attempt:
    return Heard(bob(), watched()[0].protect(b"")[1].replace(b"tests", b"tasks"))


@breaks(Rule.SEALED_DATA)
def application_data_in_the_clear() -> Attempt:
    return Heard(bob(), forger().public(b"for all to read"))


@breaks(Rule.SIGNED)
def a_proposal_signed_by_another() -> Attempt:
    return Heard(bob(), forger().proposal(Remove(CAROL), key=trio()[2].state.signing))


@breaks(Rule.SIGNED)
def a_sealed_message_signed_by_another() -> Attempt:
    return Heard(bob(), forger().private(b"words in carol's mouth", at=CAROL))


@breaks(Rule.SIGNED)
def an_external_sender_who_is_not() -> Attempt:
    alice, other = watched()
    return Heard(other, Forger(alice).proposal(Remove(ALICE), sender=Sender(SenderType.EXTERNAL, 0)))


@breaks(Rule.SIGNED)
def a_newcomer_who_proposes_another() -> Attempt:
    sender = Sender(SenderType.NEW_MEMBER_PROPOSAL, None)
    return Heard(bob(), forger().proposal(Add(dora().key_package), sender=sender))


@breaks(Rule.SIGNED)
def a_newcomer_whose_commit_another_signed() -> Attempt:
    message = forger().external(keys=keys("eve", SUITE).signature_private, signed_by=trio()[0].state.signing)
    return Heard(bob(), message)


@breaks(Rule.MEMBER_SENDS)
def a_message_from_a_blank_leaf() -> Attempt:
    return Heard(bob(), forger().proposal(Remove(CAROL), sender=Sender.member(DORA)))


@breaks(Rule.SENDER_IS_LISTED)
def an_external_sender_that_nobody_listed() -> Attempt:
    alice, other = watched()
    sender = Sender(SenderType.EXTERNAL, 1)
    return Heard(other, Forger(alice).proposal(Remove(ALICE), sender=sender, key=WATCHER_PRIVATE))


@breaks(Rule.SENDER_IS_LISTED)
def an_external_sender_to_a_group_that_lists_none() -> Attempt:
    sender = Sender(SenderType.EXTERNAL, 0)
    return Heard(bob(), forger().proposal(Remove(ALICE), sender=sender, key=WATCHER_PRIVATE))


@breaks(Rule.EXTERNAL_PROPOSES)
def an_external_sender_who_commits() -> Attempt:
    alice, other = watched()
    sender = Sender(SenderType.EXTERNAL, 0)
    return Heard(other, Forger(alice).public(Commit((), None), sender=sender, key=WATCHER_PRIVATE))


@breaks(Rule.NEWCOMER_PROPOSES)
def a_newcomer_who_proposes_a_removal() -> Attempt:
    sender = Sender(SenderType.NEW_MEMBER_PROPOSAL, None)
    return Heard(bob(), forger().proposal(Remove(CAROL), sender=sender))


@breaks(Rule.NEWCOMER_COMMITS)
def a_committing_newcomer_who_proposes() -> Attempt:
    sender = Sender(SenderType.NEW_MEMBER_COMMIT, None)
    return Heard(bob(), forger().proposal(Add(dora().key_package), sender=sender))


@breaks(Rule.MEMBERSHIP_TAG)
def a_message_without_the_membership_key() -> Attempt:
    return Heard(bob(), forger().proposal(Remove(CAROL), membership=bytes(NH)))


@breaks(Rule.CONTENT_OPENS)
def a_message_under_another_key() -> Attempt:
    return Heard(bob(), forger().private(b"hello", key=bytes(SUITE.aead_key_length)))


@breaks(Rule.CONTENT_PARSES)
def sealed_bytes_that_are_no_message() -> Attempt:
    return Heard(bob(), forger().private(b"hello", plaintext=lambda inside: b"\xff" + inside))


@breaks(Rule.PADDING)
def padding_that_says_something() -> Attempt:
    return Heard(bob(), forger().private(b"hello", plaintext=lambda inside: inside + b"\0\0\1"))


@breaks(Rule.SENDER_OPENS)
def a_message_altered_on_the_way() -> Attempt:
    sealed = MLSMessage.decode(forger().private(b"hello")).body
    assert isinstance(sealed, PrivateMessage)
    return Heard(bob(), encode_message(changed(sealed, encrypted_sender_data=bytes(28))))


@breaks(Rule.SENDER_HAS_LEAF)
def a_sealed_message_from_a_blank_leaf() -> Attempt:
    return Heard(bob(), forger().private(b"hello", at=DORA))
