"""A step at rest: a commit that nobody has decided on yet resumes exactly, whichever way it goes."""

from __future__ import annotations

import pytest

from securechan.crypto.suite import Suite, by_number
from securechan.errors import Malformed
from securechan.mls.group import Group
from securechan.mls.outcomes import Application, Own
from securechan.mls.step import Step
from securechan.mls.terms import Terms
from tests.support.mls import FAST, NOW, agree, bundle, found, keys, taken

SUITE = by_number(1)


def saved(group: Group) -> tuple[bytes, bytes]:
    return group.encode_epoch(), group.encode_ratchets()


def test_a_suite_that_is_in_no_table_is_handed_in_where_it_is_read() -> None:
    mine = Suite("mine", 0xF1A0, FAST.hpke, FAST.kdf, FAST.signature)
    new = bundle("bob", mine)
    step = Group.create(mine, b"group", keys("alice", mine), now=NOW).commit(adds=[new.key_package])
    again = Step.decode(step.encode(), suite=mine)
    assert again.next.suite is mine
    alice, bob = again.next, Group.join(again.welcomes[0], new, now=NOW, suite=mine)
    pieces = {name: piece for name, piece in bob.changes(None).items() if piece is not None}
    agree([alice, Group.of_pieces(pieces, suite=mine)])
    namesake = Suite("another", mine.number, mine.hpke, mine.kdf, mine.signature)
    for other in (None, FAST, namesake):
        with pytest.raises(Malformed, match="mine"):
            Group.of_pieces(pieces, suite=other)
        with pytest.raises(Malformed, match="mine"):
            Step.decode(step.encode(), suite=other)


def test_a_pending_commit_resumes_exactly() -> None:
    alice, bob, carol = found("alice", "bob", "carol", suite=SUITE)
    new = bundle("dora", SUITE)
    step = alice.commit(
        adds=[new.key_package],
        removes=[carol.own_leaf],
        new_signature=keys("alice's second key", SUITE),
        authenticated_data=b"where the log was",
    )
    again = Step.decode(step.encode())
    assert again.encode() == step.encode()
    assert (again.commit, again.welcomes) == (step.commit, step.welcomes)
    assert saved(again.next) == saved(step.next)
    assert saved(again.current) == saved(step.current)
    done = again.committed
    assert (done.added, done.removed, done.updated) == (
        step.committed.added,
        step.committed.removed,
        step.committed.updated,
    )
    assert (done.authenticated_data, done.has_path, done.external) == (b"where the log was", True, False)
    assert not done.extensions_changed
    # if it is taken
    agree([again.next, taken(bob.receive(again.commit)), Group.join(again.welcomes[0], new, now=NOW)])
    assert again.ratchet_tree == again.next.tree_bytes()
    # if another's is
    theirs = bob.commit()
    assert isinstance(again.current.receive(step.commit), Own)
    agree([taken(again.current.receive(theirs.commit)), theirs.next])
    after, message = again.current.protect(b"still here")
    assert isinstance(bob.receive(message), Application)
    assert after.commit().commit != step.commit


def test_a_step_keeps_its_terms_and_its_past() -> None:
    terms = Terms(past_epochs=1)
    alice, bob = found("alice", "bob", suite=SUITE, terms=terms)
    _, message = bob.protect(b"late")
    again = Step.decode(alice.commit().encode(), terms)
    outcome = again.next.receive(message)
    assert isinstance(outcome, Application)
    assert outcome.epoch == alice.epoch


def test_what_is_no_step_is_refused() -> None:
    alice, _ = found("alice", "bob", suite=SUITE)
    data = alice.commit().encode()
    for bad in (data[:-1], data + b"\0", b""):
        with pytest.raises(Malformed):
            Step.decode(bad)
