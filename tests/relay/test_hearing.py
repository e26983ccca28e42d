"""What comes in through another relay reaches the readers of this one; what was heard before changes nothing."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import pytest

from relay.hearing import Hearing
from relay.store.base import CommitRow, Outcome, Placed, Run, Stored, StoreFailed, TopicKind, Write, tail_of
from relay.store.memory import MemoryStore
from relay.store.news import Added, Confirmed, Created, Dropped, Elsewhere, Lost, News, Shortened
from relay.topics import State
from securechan.wire.chain import Position, advance, start
from securechan.wire.frames import (
    Append,
    Appended,
    Code,
    CommitClaim,
    Done,
    EntryKind,
    Error,
    Halt,
    Reason,
    Show,
    Subscribe,
)
from tests.relay.desk import Desk, digest, open_desk

TOPIC = digest("topic")
SECRETS = [b"s%d" % n * 16 for n in range(4)]


def elsewhere(desk: Desk, heard: News) -> None:
    """News as a store tells them that is shared with another relay."""
    hearing: Hearing = desk.mailroom._hearing
    hearing.hear(heard)


def entry(position: Position, body: bytes, claim: CommitClaim | None = None) -> Added:
    """An entry that somebody appended at another relay."""
    kind = EntryKind.APPLICATION if claim is None else EntryKind.COMMIT
    sequence = position.sequence + 5  # of a log that many topics share
    stored = Stored.make(sequence, kind, digest(body), 7000, tail_of(body, claim))
    after = advance(position, kind, digest(body), sequence, body)
    return Added(TOPIC, TopicKind.GROUP, stored, after, b"c" * 16)


async def test_entries_of_another_relay_are_pushed_and_counted_once() -> None:
    async with open_desk() as desk:
        client = desk.client("cert-hr/a")
        await client.create(TOPIC, SECRETS[0])
        await client.read(TOPIC)
        await client.halted(TOPIC, Halt.TAIL)
        first = entry(start(TOPIC), b"one")
        elsewhere(desk, first)
        elsewhere(desk, first)
        claim = CommitClaim(0, hashlib.sha256(SECRETS[1]).digest())
        commit = entry(first.position, b"commit", claim)
        elsewhere(desk, commit)
        await client.halted(TOPIC, Halt.SHOW)
        assert client.bodies(TOPIC) == [b"one", b"commit"]
        assert await client.show(TOPIC, SECRETS[1]) == Done()  # its claim is on the ladder
        assert desk.mailroom.stats()["appends"] == 3  # with the first publication


@pytest.mark.parametrize("more", [False, True])
async def test_one_who_catches_up_between_the_news_and_the_push_gets_each_entry_once(more: bool) -> None:
    async with open_desk() as desk:
        client = desk.client("cert-hr/a")
        await client.create(TOPIC, SECRETS[0], client)
        await client.halted(TOPIC, Halt.TAIL)
        reader = client.member.readers[TOPIC]
        first = entry(start(TOPIC), b"one")
        second = entry(first.position, b"two")
        third = entry(second.position, b"three")
        elsewhere(desk, first)
        reader.state = State.LAGGING
        desk.mailroom._catchup._send(reader, Run((first.stored,), more=False))
        assert reader.state is State.TAIL
        if more:  # some of what is to be pushed it has, some not
            elsewhere(desk, second)
        await client.halted(TOPIC, Halt.TAIL, 1 + more)
        for each in (second, third):
            elsewhere(desk, each)
        await client.halted(TOPIC, Halt.TAIL, 3)
        assert client.bodies(TOPIC) == [b"one", b"two", b"three"]


async def test_confirmations_and_trims_of_another_relay_hold_here() -> None:
    async with open_desk() as desk:
        client = desk.client("cert-hr/a")
        await client.create(TOPIC, SECRETS[0])
        first = await client.commit(TOPIC, 0, SECRETS[1])
        assert isinstance(first, Appended)
        await client.read(TOPIC, after=first.sequence)
        await client.halted(TOPIC, Halt.TAIL)
        row = CommitRow(first.sequence, hashlib.sha256(SECRETS[1]).digest(), b"x" * 16, 7, closes=first.sequence)
        elsewhere(desk, Confirmed(TOPIC, row))
        await client.halted(TOPIC, Halt.END)  # it had shown only what is closed now
        elsewhere(desk, Confirmed(TOPIC, row))
        assert (await client.refused(Append(TOPIC, digest("x"), b"x", None))).code == Code.STALE
        elsewhere(desk, Shortened(TOPIC, Position(first.sequence, bytes(48))))
        other = desk.client("cert-hr/b")
        await other.show(TOPIC, SECRETS[1])
        assert (await other.refused(Subscribe(TOPIC, 0))).code == Code.TRIMMED


async def test_topics_come_and_go_elsewhere() -> None:
    async with open_desk() as desk:
        client = desk.client("cert-hr/a")
        await client.show(TOPIC, SECRETS[0])  # there is none, and the relay remembers that
        row = CommitRow(0, hashlib.sha256(SECRETS[0]).digest(), b"f" * 16, 7, closes=0)
        elsewhere(desk, Created(TOPIC, TopicKind.GROUP, row=row))
        await client.read(TOPIC, SECRETS[0])
        await client.halted(TOPIC, Halt.TAIL)
        elsewhere(desk, Dropped(TOPIC))
        assert (await client.refused(Show(TOPIC, SECRETS[0]))).code == Code.UNKNOWN_TOPIC


async def test_a_session_elsewhere_ends_the_one_here() -> None:
    async with open_desk() as desk:
        client = desk.client("cert-hr/a")
        elsewhere(desk, Elsewhere(b"device cert-hr/b"))
        assert client.outlet.ended is None
        elsewhere(desk, Elsewhere(b"device cert-hr/a"))
        assert client.outlet.ended is Reason.REPLACED
        assert client.member.gone


async def test_whoever_has_lost_track_ends() -> None:
    async with open_desk() as desk:
        client = desk.client("cert-hr/a")
        elsewhere(desk, Lost())
        assert desk.mailroom.failed.is_set()
        assert client.outlet.ended is Reason.SHUTDOWN


class HalfSure(MemoryStore):
    """A store that does not know what became of one write of a batch."""

    async def commit(self, batch: Sequence[Write]) -> Sequence[Outcome]:  # it may fail in part
        results = await super().commit(batch)
        return [StoreFailed("no answer") if isinstance(r, Placed) and b"lost" in r.stored.wire else r for r in results]


async def test_a_write_of_unknown_fate_is_asked_for_again() -> None:
    store = HalfSure()
    async with open_desk(store) as desk:
        client = desk.client("cert-hr/a")
        await client.create(TOPIC, SECRETS[0])
        await client.read(TOPIC)
        numbers = [client.send(body) for body in _appends(b"one", b"lost", b"two")]
        answers = [await client.answer(number) for number in numbers]
        refused = answers[1]
        assert isinstance(refused, Error)
        assert (refused.code, refused.retry_after > 0) == (Code.INTERNAL, True)
        assert all(isinstance(answer, Appended) for answer in (answers[0], answers[2]))
        await client.halted(TOPIC, Halt.TAIL, 3)
        assert client.bodies(TOPIC) == [b"one", b"lost", b"two"]  # it did stand


def _appends(*bodies: bytes) -> list[Append]:
    return [Append(TOPIC, digest(body), body, None) for body in bodies]


class Behindhand(MemoryStore):
    """A store that hears late what others wrote: only once it is asked to settle."""

    def __init__(self) -> None:
        super().__init__()
        self.late: list[Added | Created] = []

    async def settle(self) -> None:
        late, self.late = self.late, []
        for each in late:
            self._hear(each)


async def test_whoever_read_further_elsewhere_is_not_told_that_the_log_was_lost() -> None:
    store = Behindhand()
    async with open_desk(store) as desk:
        client = desk.client("cert-hr/a")
        row = CommitRow(0, hashlib.sha256(SECRETS[0]).digest(), b"f" * 16, 7, closes=0)
        store.late.append(Created(TOPIC, TopicKind.GROUP, row=row))
        assert await client.show(TOPIC, SECRETS[0]) == Done()  # made elsewhere a moment ago
        first = entry(start(TOPIC), b"one")
        store.late.append(first)
        assert await client.ask(Subscribe(TOPIC, first.stored.sequence)) == Done()
        await client.halted(TOPIC, Halt.TAIL)
        claim = CommitClaim(0, hashlib.sha256(SECRETS[1]).digest())
        store.late.append(entry(first.position, b"commit", claim))
        assert await client.show(TOPIC, SECRETS[1]) == Done()
        beyond = await client.refused(Subscribe(TOPIC, 99))
        assert beyond.code == Code.STALE  # nobody has heard of that one
