"""Open topics: the tail in memory, where a reader stops, what a confirmation changes, and what is closed when."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.access import Access
from relay.bounds import Bounds
from relay.store.base import Append, Placed, Stored, StoreFailed, Topic, TopicKind, tail_of
from relay.store.memory import MemoryStore
from relay.topics import OpenTopic, Reader, State, Tail, Topics, cut
from securechan.wire.chain import start
from securechan.wire.frames import EntryKind
from tests.relay.desk import digest

T = digest("topic")


def stored(sequence: int, size: int = 10, kind: EntryKind = EntryKind.APPLICATION) -> Stored:
    return Stored.make(sequence, kind, digest(sequence), 0, bytes(size))


def opened(access: Access | None = None) -> OpenTopic:
    return OpenTopic(T, TopicKind.GROUP, start(T), 0, bytes(32), start(T), access, Tail(0, 1000))


@given(st.lists(st.integers(1, 300), max_size=30), st.integers(0, 40))
def test_the_tail_has_everything_after_a_cursor_or_says_that_it_has_not(sizes: list[int], cursor: int) -> None:
    tail = Tail(0, 1000)
    entries = [stored(n + 1, size) for n, size in enumerate(sizes)]
    for entry in entries:
        tail.add(entry)
    assert tail.size == sum(len(entry.wire) for entry in tail.entries) <= 1000
    after = tail.after(cursor)
    if after is None:
        assert cursor < tail.start
    else:
        assert after == [entry for entry in entries if entry.sequence > cursor]
    held = tail.size
    assert tail.clear() == held
    assert tail.after(len(entries)) == []
    assert tail.after(len(entries) - 1) is None or not entries


def test_a_reader_stops_at_the_first_commit_beyond_its_secrets() -> None:
    topic = opened(Access.created(digest("a"), b"f" * 16, 0))
    reader = Reader(None, topic)  # nobody is sent anything
    run = [stored(1), stored(2, kind=EntryKind.COMMIT), stored(3), stored(4, kind=EntryKind.COMMIT), stored(5)]
    reader.top = 0
    assert cut(reader, run) == (run[:2], True)
    reader.top = 2
    assert cut(reader, run) == (run[:4], True)
    reader.top = 4
    assert cut(reader, run) == (run, False)
    plain = Reader(None, opened())
    assert cut(plain, run) == (run, False)
    assert plain.limit() is None


def test_closing_changes_those_who_showed_what_is_closed() -> None:
    access = Access.created(digest("a"), b"f" * 16, 0).committed(5, digest("b"), b"f" * 16, 0)
    topic = opened(access)
    members = [object(), object(), object()]
    old, new, both = (topic.reader(member) for member in members)  # names enough
    old.shown, new.shown, both.shown = {0}, {5}, {0, 5}
    assert topic.reader(members[0]) is old
    for device, sequence in ((b"1", 0), (b"2", 0), (b"2", 5)):
        topic.remember(device, sequence)
    rung = access.find(digest("b"))
    assert rung is not None
    topic.access = access.confirmed(rung)
    assert set(topic.closed(5, 7)) == {old, both}
    assert (old.limit(), new.limit(), both.limit()) == (7, None, None)
    assert dict(topic.witnesses) == {b"2": frozenset({5})}
    assert not old.subscribed
    old.state = State.TAIL
    assert old.subscribed


def test_witnesses_are_bounded() -> None:
    topic = opened()
    for n in range(5000):
        topic.remember(b"%d" % n, 1)
    assert len(topic.witnesses) <= 4096
    assert b"4999" in topic.witnesses


async def test_a_topic_that_is_used_stays_open_and_is_one() -> None:
    store = MemoryStore()
    body = b"x"
    for n in range(10):
        await store.commit(
            [Append(digest(n), EntryKind.INBOX, T, body, tail_of(body, None), 0, creates=TopicKind.INBOX)]
        )
    topics = Topics(store, Bounds(topics_open=3))

    async def use(n: int) -> OpenTopic:
        async with topics.use(digest(n)) as topic:
            await asyncio.sleep(0)
            assert topics.get(digest(n)) is topic
            return topic

    first = await asyncio.gather(*[use(0) for _ in range(5)])
    assert len({id(topic) for topic in first}) == 1
    async with topics.use(digest(0)) as held:
        for n in range(1, 10):
            await use(n)
        assert topics.get(digest(0)) is held
    assert len(topics) <= 4


async def test_all_tails_together_are_bounded() -> None:
    store = MemoryStore()
    topics = Topics(store, Bounds(tails=3000, tail=2000))
    for n in range(10):
        for m in range(10):
            async with topics.use(digest(n)) as topic:
                body = b"%d" % m + bytes(100)
                write = Append(
                    digest(n), EntryKind.INBOX, digest(m), body, tail_of(body, None), 0, creates=TopicKind.INBOX
                )
                (result,) = await store.commit([write])
                assert isinstance(result, Placed)
                assert result.position is not None
                topics.placed(topic, result.stored, result.position)
    held = [topic.tail.size for n in range(10) if (topic := topics.get(digest(n))) is not None]
    assert sum(held) <= 3000
    assert held[-1] > 0  # the busiest keeps its own


async def test_a_topic_that_is_asked_for_as_it_comes_is_there_however_many_are_open() -> None:
    gate = asyncio.Event()

    class Slow(MemoryStore):
        async def topic(self, topic: bytes) -> Topic | None:
            await gate.wait()
            return await super().topic(topic)

    topics = Topics(Slow(), Bounds(topics_open=0))
    opened: list[OpenTopic] = []

    async def use(topic: bytes) -> None:
        async with topics.use(topic) as there:
            assert topics.get(topic) is there
            opened.append(there)

    async def late(topic: bytes) -> None:
        await gate.wait()
        await use(topic)

    tasks = [asyncio.create_task(work) for work in (use(T), use(digest("other")), late(T))]
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    gate.set()
    await asyncio.gather(*tasks)
    first, second = (there for there in opened if there.id == T)
    assert first is second  # it was not closed by the other, which came in the same turn
    assert not topics._awaited


async def test_what_could_not_be_opened_needs_no_news() -> None:
    class Gone(MemoryStore):
        released: bytes = b""

        async def topic(self, topic: bytes) -> Topic | None:
            raise StoreFailed("input/output error")

        def release(self, topic: bytes) -> None:
            self.released = topic

    store = Gone()
    topics = Topics(store, Bounds())
    with pytest.raises(StoreFailed):
        async with topics.use(T):
            pass
    assert store.released == T
    assert not topics._awaited
