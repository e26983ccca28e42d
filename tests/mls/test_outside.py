"""Proposals from outside: by a sender that the group lists, and by a newcomer for itself."""

from __future__ import annotations

import pytest

from securechan.crypto.suite import by_number
from securechan.errors import Misuse
from securechan.mls.extensions import Extension
from securechan.mls.group import Group
from securechan.mls.nodes import Credential
from securechan.mls.outcomes import Committed, Proposed
from securechan.mls.outside import propose_from_outside, propose_self
from securechan.mls.proposals import ExternalInit, Remove
from securechan.mls.registry import ExtensionType, SenderType
from securechan.mls.treemath import LeafIndex
from securechan.mls.validation import ExternalSender, ExternalSenders
from tests.support.mls import NOW, agree, bundle, found, keys, taken

SUITE = by_number(1)


def test_a_listed_sender_proposes_and_a_member_commits() -> None:
    private, public = SUITE.signature.generate()
    senders = ExternalSenders((ExternalSender(public, Credential.of(keys("watcher", SUITE).credential)),))
    listed = Extension(ExtensionType.EXTERNAL_SENDERS, senders.encode())
    alice, bob, carol = found("alice", "bob", "carol", suite=SUITE, extensions=(listed,))
    message = propose_from_outside(SUITE, alice.group_id, alice.epoch, 0, private, Remove(carol.own_leaf))
    outcome = alice.receive(message)
    assert isinstance(outcome, Proposed)
    assert outcome.sender is None
    assert outcome.group.pending[0].sender.kind is SenderType.EXTERNAL
    bob = taken(bob.receive(message))
    step = outcome.group.commit(by_reference=[outcome.ref])
    done = bob.receive(step.commit)
    assert isinstance(done, Committed)
    assert done.removed == ((LeafIndex(2), b"carol"),)
    with pytest.raises(Misuse):
        propose_from_outside(SUITE, alice.group_id, alice.epoch, 0, private, ExternalInit(b""))


def test_a_newcomer_asks_to_be_added() -> None:
    alice, bob = found("alice", "bob", suite=SUITE)
    new = bundle("dora", SUITE)
    message = propose_self(SUITE, alice.group_id, alice.epoch, new, authenticated_data=b"let me in")
    outcome = bob.receive(message)
    assert isinstance(outcome, Proposed)
    assert (outcome.sender, outcome.authenticated_data) == (None, b"let me in")
    step = outcome.group.commit(by_reference=[outcome.ref])
    agree([step.next, taken(taken(alice.receive(message)).receive(step.commit))])
    agree([step.next, Group.join(step.welcomes[0], new, now=NOW)])
