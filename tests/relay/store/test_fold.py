"""A topic's fold: whoever reads the same messages knows the same, from wherever they began."""

from __future__ import annotations

import hashlib

import pytest

from relay.store import fold as module
from relay.store.base import Stored, TopicKind, tail_of
from relay.store.fold import (
    Born,
    Confirmation,
    Event,
    EventKind,
    Fold,
    Kind,
    Opened,
    Part,
    Secret,
    Snapshot,
    Trim,
)
from relay.store.news import Added, Confirmed, Created, Dropped, Shortened
from securechan.errors import Malformed
from securechan.wire.chain import Position, advance, start
from securechan.wire.frames import CommitClaim, EntryKind

TOPIC = b"t" * 32
Said = tuple[int, Part, bytes, bytes]


def digest(what: object) -> bytes:
    return hashlib.sha256(repr(what).encode()).digest()


def entry(at: int, what: object, expected: int | None = None) -> Said:
    claim = None if expected is None else CommitClaim(expected, digest(("access", what)))
    kind = EntryKind.APPLICATION if claim is None else EntryKind.COMMIT
    body = Stored.make(0, kind, digest(what), at * 1000, tail_of(repr(what).encode(), claim)).packed
    return at, Part.FREE if claim is None else Part.ORDERED, body, b"" if claim is None else b"c" * 16


def born(at: int) -> Said:
    return at, Part.BORN, Born(Kind.GROUP, Secret(b"a" * 32, b"f" * 16, 7)).encode(), b""


def event(at: int, kind: EventKind, what: Confirmation | Trim | None) -> Said:
    return at, Part.EVENT, Event(kind, what).encode(), b""


def life() -> list[Said]:
    """A topic with all that can happen to one."""
    said = [born(3), entry(5, "a"), entry(8, "c1", 0), entry(9, "b"), entry(12, "c2", 8), entry(15, "c3", 12)]
    said.append(event(16, EventKind.CONFIRMED, Confirmation(12, 15)))
    fold = Fold(TOPIC)
    for each in said[:4]:
        fold.take(*each)
    said.append(event(20, EventKind.TRIMMED, Trim(fold.last, fold.total)))
    return [*said, entry(22, "d"), event(23, EventKind.CONFIRMED, Confirmation(12, 99)), entry(24, "e")]


def test_what_is_put_away_anywhere_goes_on_alike() -> None:
    said = life()
    whole = Fold(TOPIC)
    told = [whole.take(*each) for each in said]
    kinds = [Created, Added, Added, Added, Added, Added, Confirmed, Shortened, Added, type(None), Added]
    assert [type(each) for each in told] == kinds
    for cut in range(len(said) + 1):
        first = Fold(TOPIC)
        for each in said[:cut]:
            first.take(*each)
        again = Fold.restore(TOPIC, Snapshot.decode(first.snapshot().encode()))
        assert again == first
        assert [again.take(*each) for each in said] == [None] * cut + told[cut:]  # the old ones again, too
        assert again == whole
    head = whole.head()
    assert head is not None
    assert (head.kind, head.commit, head.commit_id, head.count) == (TopicKind.GROUP, 15, digest("c3"), 4)
    assert [(row.sequence, row.closes) for row in head.rungs] == [(12, 15), (15, None)]
    assert head.trimmed.sequence == 9
    assert whole.known(b"a" * 32) is None  # closed and trimmed
    assert whole.ids == {digest("c2"): 12, digest("c3"): 15}


def test_the_chain_is_that_of_the_entries() -> None:
    fold = Fold(TOPIC)
    position = start(TOPIC)
    for said in life():
        told = fold.take(*said)
        if isinstance(told, Added):
            e = told.stored.entry()
            position = advance(position, e.kind, e.entry_id, e.sequence, e.body)
            assert told.position == position
    assert fold.last == position
    assert fold.total == 7


def test_a_second_birth_and_what_is_not_there_change_nothing() -> None:
    fold = Fold(TOPIC)
    assert fold.take(*entry(1, "before it was born")) is None
    fold.take(*born(2))
    fold.take(*entry(4, "a"))
    head = fold.head()
    assert fold.take(5, Part.BORN, Born(Kind.BOX, Opened(b"m", "cert-hr", 9)).encode()) is None
    assert fold.take(*event(6, EventKind.CONFIRMED, Confirmation(99, 99))) is None
    assert fold.take(*event(7, EventKind.TRIMMED, Trim(Position(99, bytes(48)), 9))) is None
    assert fold.take(*event(8, EventKind.TRIMMED, Trim(start(TOPIC), 0))) is None
    assert fold.head() == head


def test_a_dropped_topic_can_be_born_again() -> None:
    fold = Fold(TOPIC)
    for said in life():
        fold.take(*said)
    assert fold.take(*event(30, EventKind.DROPPED, None)) == Dropped(TOPIC)
    assert fold == Fold(TOPIC, 30)
    assert fold.take(*entry(31, "too late")) is None
    assert fold.take(32, Part.BORN, Born(Kind.BOX, Opened(b"m" * 32, "cert-hr", 9)).encode()) is not None
    assert fold.box == Opened(b"m" * 32, "cert-hr", 9).box()
    assert (fold.kind, fold.last) == (TopicKind.BOX, start(TOPIC))


def test_old_closed_secrets_are_forgotten_beyond_a_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "ROWS", 4)
    fold = Fold(TOPIC)
    fold.take(*born(1))
    for at in range(2, 8):
        fold.take(*entry(at, at, at - 1))
    assert len(fold.rows) == 7  # all may be live
    fold.take(*event(8, EventKind.CONFIRMED, Confirmation(6, 6)))
    for at in range(9, 12):
        fold.take(*entry(at, at, at - 1))
    assert list(fold.rows) == [6, 7, 9, 10, 11]  # the base and what is above it stay, however many
    assert fold.known(digest(("access", 6))) is not None


def test_a_topic_with_ever_so_many_ordered_entries_can_be_put_away(monkeypatch: pytest.MonkeyPatch) -> None:
    assert len(Snapshot.encode(Fold(TOPIC).snapshot())) + module.IDS * 40 + 8 * module.ROWS < 1 << 20
    monkeypatch.setattr(module, "IDS", 3)
    fold = Fold(TOPIC)
    fold.take(*born(1))
    for at in range(2, 8):
        fold.take(*entry(at, at, at - 1))
    assert list(fold.ids) == [digest(at) for at in (5, 6, 7)]
    assert list(Fold.restore(TOPIC, fold.snapshot()).ids) == list(fold.ids)


@pytest.mark.parametrize("said", [(4, Part.BORN, b"\7"), (4, Part.EVENT, b""), (4, Part.FREE, entry(4, "c", 0)[2])])
def test_what_no_relay_writes_is_malformed(said: tuple[int, Part, bytes]) -> None:
    fold = Fold(TOPIC)
    fold.take(*born(2))
    head = fold.head()
    with pytest.raises(Malformed):
        fold.take(*said)
    assert fold.head() == head
