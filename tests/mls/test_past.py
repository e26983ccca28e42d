"""Late messages of epochs gone by: opened once while their epoch is kept, and by nobody once it isn't."""

from __future__ import annotations

from dataclasses import replace

import pytest

from securechan.crypto.suite import by_number
from securechan.errors import Malformed
from securechan.mls.group import Group
from securechan.mls.outcomes import Application, Committed, Own, Past, Void
from securechan.mls.past import PastEpoch, PastState
from securechan.mls.rules import Rule
from securechan.mls.terms import Terms
from securechan.mls.treemath import LeafIndex
from tests.support.mls import bundle, follow, found, taken

SUITE = by_number(1)


def keeping(group: Group, epochs: int) -> Group:
    return replace(group, terms=Terms(past_epochs=epochs))


def saved(group: Group) -> tuple[bytes, bytes]:
    return group.encode_epoch(), group.encode_ratchets()


@pytest.mark.parametrize("epochs", [1, 5])
def test_as_many_epochs_are_kept_as_one_wants(epochs: int) -> None:
    alice, bob = found("alice", "bob", suite=SUITE)
    bob = keeping(bob, epochs)
    messages = []
    for _ in range(epochs + 2):
        alice, message = alice.protect(b"in epoch %d" % alice.epoch)
        messages.append((alice.epoch, message))
        alice, bob = follow(alice.commit(), [bob])
    assert [kept.epoch for kept in bob.past] == [epoch for epoch, _ in messages[-epochs:]]
    for epoch, message in messages[:-epochs]:
        assert bob.receive(message) == Past(epoch)
    for epoch, message in messages[-epochs:]:
        outcome = bob.receive(message)
        assert isinstance(outcome, Application)
        assert (outcome.plaintext, outcome.epoch, outcome.sender) == (b"in epoch %d" % epoch, epoch, 0)
        assert outcome.leaf_node.identity == b"alice"
        assert (outcome.group.epoch, outcome.group.state) == (bob.epoch, bob.state)
        bob = outcome.group
        again = bob.receive(message)  # its key is gone
        assert isinstance(again, Void)
        assert again.rule == Rule.KEY_UNUSED


def test_a_past_epoch_survives_the_vault_with_the_members_it_had() -> None:
    alice, bob, carol = found("alice", "bob", "carol", suite=SUITE)
    bob = keeping(bob, 2)
    _, early = carol.protect(b"before I go")
    _, other = alice.protect(b"in between")
    step = alice.commit(removes=[carol.own_leaf])
    alice, bob = follow(step, [bob])
    alice, bob = follow(alice.commit(adds=[bundle("dora", SUITE).key_package]), [bob])  # in carol's place
    bob = taken(bob.receive(other))
    again = Group.decode(*saved(bob), bob.terms)
    assert again == replace(bob, state=again.state, own_updates=again.own_updates)
    assert saved(again) == saved(bob)
    outcome = again.receive(early)
    assert isinstance(outcome, Application)
    assert outcome.leaf_node.identity == b"carol"
    assert isinstance(again.receive(other), Void)
    forgetting = Group.decode(*saved(bob))  # whose terms keep nothing any more
    assert forgetting.past == ()
    assert isinstance(forgetting.receive(early), Past)


def test_only_words_come_late_no_handshakes() -> None:
    alice, bob = found("alice", "bob", suite=SUITE)
    bob = keeping(bob, 1)
    _, proposal = alice.propose_update()
    rival, late = alice.commit(), alice.commit(private=False)
    _, bob = follow(late, [bob])
    for message in (proposal, rival.commit, late.commit):
        assert bob.receive(message) == Past(alice.epoch)


def test_ones_own_message_is_known_in_a_past_epoch_too() -> None:
    alice, bob = found("alice", "bob", suite=SUITE)
    bob, message = keeping(bob, 1).protect(b"mine")
    _, bob = follow(alice.commit(), [bob])
    outcome = bob.receive(message)
    assert isinstance(outcome, Own)
    assert not outcome.proven


def test_a_stranger_to_the_epoch_is_refused_in_it() -> None:
    alice, bob = found("alice", "bob", suite=SUITE)
    bob = keeping(bob, 1)
    alice, message = alice.protect(b"hello")
    _, bob = follow(alice.commit(), [bob])
    damaged = bytearray(message)
    damaged[-1] ^= 1
    before = saved(bob)
    assert isinstance(bob.receive(bytes(damaged)), Void)
    assert saved(bob) == before


def test_a_commit_that_is_pending_keeps_the_epoch_it_closes() -> None:
    alice, bob = found("alice", "bob", suite=SUITE)
    alice = keeping(alice, 1)
    _, message = bob.protect(b"on its way while alice commits")
    step = alice.commit()
    assert isinstance(step.next.receive(message), Application)
    assert isinstance(step.current.receive(message), Application)
    outcome = bob.receive(step.commit)
    assert isinstance(outcome, Committed)


def test_a_state_without_us_in_it_is_none() -> None:
    alice, _ = found("alice", "bob", suite=SUITE)
    kept = PastEpoch.of(alice)
    tree = alice.state.tree
    state = PastState.decode(kept.encode(tree))
    assert state.differing == ()
    elsewhere = PastState(state.context, state.sender_data, 9, (), state.ratchets)
    with pytest.raises(Malformed):
        PastEpoch.decode(elsewhere.encode(), tree)
    assert PastEpoch.decode(kept.encode(tree), tree).leaves[LeafIndex(1)].identity == b"bob"
