"""Verdicts: what is void is void to all, with its signer; what fails for one is its own loss; nothing leaves a trace.

Each rule by itself is broken in ``tests/support/forgeries``; here are the verdicts' other halves: who is told what.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from securechan.crypto.secret import Secret
from securechan.mls.framing import AuthenticatedContent, FramedContent, FramedContentAuthData, PublicMessage, Sender
from securechan.mls.group import Group
from securechan.mls.message import MLSMessage
from securechan.mls.outcomes import Application, CannotFollow, Committed, Outcome, Own, Void
from securechan.mls.proposals import Add, Remove
from securechan.mls.registry import ContentType, WireFormat
from securechan.mls.rules import Rule
from securechan.mls.send import Step
from securechan.mls.treekem import UpdatePath
from securechan.mls.treemath import LeafIndex
from tests.support.mls import FAST, NOW, bundle, follow, found, keys
from tests.support.mls_forge import Forger, changed, releafed

ALICE, BOB, CAROL = LeafIndex(0), LeafIndex(1), LeafIndex(2)


@pytest.fixture(scope="module")
def trio() -> list[Group]:
    return found("alice", "bob", "carol")


def is_void(outcome: Outcome, rule: Rule, signer: LeafIndex | None) -> Void:
    assert isinstance(outcome, Void), outcome
    assert (outcome.rule, outcome.signer) == (rule, signer)
    return outcome


def test_who_signed_what_is_void_is_named(trio: list[Group]) -> None:
    alice, bob, carol = trio
    forger = Forger(alice)
    for message, rule, signer in (
        (forger.commit(Remove(ALICE)), Rule.OWN_REMOVE, ALICE),
        (forger.commit(tag=bytes(FAST.hash_length)), Rule.CONFIRMED, ALICE),
        (forger.proposal(Remove(LeafIndex(7))), Rule.REMOVES_A_MEMBER, ALICE),
        (forger.external(Remove(ALICE), Remove(BOB), keys=keys("eve").signature_private), Rule.ONE_REMOVE, None),
        (forger.private(b"words in another's mouth", at=CAROL), Rule.SIGNED, None),
        (alice.group_info(), Rule.TO_A_GROUP, None),
    ):
        assert is_void(bob.receive(message), rule, signer) == carol.receive(message)


def test_a_clock_judges_only_where_it_is_handed_in(trio: list[Group]) -> None:
    alice, bob, _ = trio
    step = alice.commit(adds=[bundle("dora", lifetime=10).key_package])
    assert isinstance(bob.receive(step.commit), Committed)
    assert isinstance(bob.receive(step.commit, now=NOW), Committed)
    is_void(bob.receive(step.commit, now=NOW + 11), Rule.LIFETIME, ALICE)


def test_a_member_that_is_removed_may_be_added_in_the_same_commit(trio: list[Group]) -> None:
    alice, bob, carol = trio
    again = replace(bundle("bob"), signature_private=Secret(bob.state.signing.private))
    package = releafed(again, FAST, signature_key=bob.state.own_leaf_node.signature_key)
    is_void(carol.receive(Forger(alice).commit(Add(package))), Rule.NOT_A_MEMBER, ALICE)
    outcome = carol.receive(alice.commit(adds=[package], removes=[BOB]).commit)
    assert isinstance(outcome, Committed)
    assert (outcome.added, outcome.removed) == ((BOB,), ((BOB, b"bob"),))


# ------------------------------------------------------------------------------------------------ tags and signatures


def remade(group: Group, step: Step, **content: Any) -> bytes:
    """A public commit with other content under the same signature and a good membership tag."""
    body = MLSMessage.decode(step.commit).body
    assert isinstance(body, PublicMessage)
    said: FramedContent = changed(body.content, **content)
    auth = FramedContentAuthData(body.auth.signature, body.auth.confirmation_tag)
    return Forger(group).shown(AuthenticatedContent(WireFormat.PUBLIC_MESSAGE, said, auth))


def test_another_content_under_the_same_signature_is_void(trio: list[Group]) -> None:
    alice, bob, _ = trio
    step = alice.commit(private=False)
    assert isinstance(bob.receive(remade(alice, step)), Committed)
    is_void(bob.receive(remade(alice, step, authenticated_data=b"changed")), Rule.SIGNED, None)
    is_void(bob.receive(remade(alice, step, sender=Sender.member(CAROL))), Rule.SIGNED, None)
    is_void(bob.receive(remade(alice, step, sender=Sender.member(LeafIndex(9)))), Rule.MEMBER_SENDS, None)


def test_a_path_that_leads_nobody_is_everyones_loss_and_one_that_misses_me_is_mine(trio: list[Group]) -> None:
    alice, bob, carol = trio

    def for_all_but_bob(path: UpdatePath) -> UpdatePath:
        (bobs,) = path.nodes[0].encrypted_path_secret
        spoiled = changed(bobs, ciphertext=bytes(len(bobs.ciphertext)))
        return UpdatePath(path.leaf_node, (changed(path.nodes[0], encrypted_path_secret=(spoiled,)), *path.nodes[1:]))

    message = Forger(alice, b"position").commit(sealed=for_all_but_bob)
    lost = bob.receive(message)
    assert isinstance(lost, CannotFollow)
    assert (lost.signer, lost.authenticated_data, lost.has_path) == (ALICE, b"position", True)
    assert lost.rule == Rule.PATH_SECRET_OPENS
    assert isinstance(carol.receive(message), Committed)

    message = Forger(alice).commit(secret_of=lambda _: Secret(bytes(FAST.hash_length)))  # of another key
    for member in (bob, carol):
        lost = member.receive(message)
        assert isinstance(lost, CannotFollow)
        assert lost.rule == Rule.PATH_SECRET_FITS


@pytest.mark.parametrize("private", [True, False])
def test_every_flipped_bit_ends_in_a_verdict_and_changes_nothing(trio: list[Group], private: bool) -> None:
    alice, bob, _ = trio
    step = alice.commit(private=private)
    before = bob.encode_epoch(), bob.encode_ratchets()
    for at in range(0, len(step.commit), max(1, len(step.commit) // 150)):
        flipped = bytearray(step.commit)
        flipped[at] ^= 1 << at % 8
        outcome = bob.receive(bytes(flipped))
        assert type(outcome).__name__ in {"Void", "Past", "Future"}, outcome
    for cut in range(0, len(step.commit), 97):
        assert isinstance(bob.receive(step.commit[:cut]), Void)
    assert (bob.encode_epoch(), bob.encode_ratchets()) == before
    assert isinstance(bob.receive(step.commit), Committed)


# --------------------------------------------------------------------------------------------------------- our own


def test_only_a_signature_proves_that_a_message_is_ours(trio: list[Group]) -> None:
    alice, bob, carol = trio
    posing = Forger(alice).private(b"words in another's mouth", at=BOB)
    assert isinstance(carol.receive(posing), Void)
    assert isinstance(bob.receive(posing), Void)  # a generation that bob never used: it can be checked, and fails
    after, sent = bob.protect(b"really mine")
    assert bob.receive(sent) == Own(
        ContentType.APPLICATION, 0, proven=True, plaintext=b"really mine"
    )  # to the state before, proof of a later one
    assert after.receive(sent) == Own(ContentType.APPLICATION, 0, proven=False)
    assert after.receive(posing) == Own(ContentType.APPLICATION, 0, proven=False)  # so bytes must be compared


def test_a_private_message_opens_once_and_in_any_order(trio: list[Group]) -> None:
    alice, bob, _ = trio
    messages = []
    for number in range(5):
        alice, message = alice.protect(b"%d" % number)
        messages.append(message)
    for number in (3, 0, 4, 1):
        outcome = bob.receive(messages[number])
        assert isinstance(outcome, Application)
        assert (outcome.plaintext, outcome.generation) == (b"%d" % number, number)
        assert (outcome.epoch, outcome.leaf_node) == (alice.epoch, alice.state.own_leaf_node)
        bob = outcome.group
        is_void(bob.receive(messages[number]), Rule.KEY_UNUSED, None)
    outcome = follow(alice.commit(), [bob])[1].receive(messages[2])
    assert type(outcome).__name__ == "Past"  # what came too late for its epoch isn't kept a key for
