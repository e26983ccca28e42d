"""The group commit: what comes while one batch is written is the next, and what fails is refused and forgotten."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from relay.bounds import Bounds
from relay.heartbeat import Heartbeat, Outcome
from relay.store.base import Append, NewTopic, Placed, Result, StoreFull, TopicKind, Write, tail_of
from relay.store.memory import MemoryStore
from securechan.wire.frames import EntryKind
from tests.relay.desk import digest

T = digest("topic")


def append(n: object, body: bytes = b"x", kind: EntryKind = EntryKind.APPLICATION) -> Append:
    return Append(T, kind, digest(n), body, tail_of(body, None), 0, creates=TopicKind.INBOX)


class Slow(MemoryStore):
    """A store whose batches end when the test says so; ``sizes`` are theirs."""

    def __init__(self) -> None:
        super().__init__()
        self.gate = asyncio.Semaphore(0)
        self.sizes: list[int] = []
        self.full = False
        self.begun = asyncio.Event()

    async def commit(self, batch: Sequence[Write]) -> Sequence[Result]:
        self.sizes.append(len(batch))
        self.begun.set()
        await self.gate.acquire()
        if self.full and any(isinstance(w, Append) and w.kind is not EntryKind.TRUST for w in batch):
            raise StoreFull("full")
        return await super().commit(batch)


class Rig:
    """A heartbeat over a slow store, and what it said in which order."""

    def __init__(self, **bounds: int) -> None:
        self.store = Slow()
        self.said: list[object] = []
        self.heart = Heartbeat(self.store, Bounds(**bounds), lambda: self.said.append("done"))

    def offer(self, n: object, *, body: bytes = b"x", vital: bool = False) -> bool:
        def finish(outcome: Outcome) -> None:
            self.said.append((n, type(outcome)))

        kind = EntryKind.TRUST if vital else EntryKind.APPLICATION
        return self.heart.offer(append(n, body, kind), finish, vital=vital)

    async def play(self, *turns: int) -> None:
        """Run; let so many batches through in each turn, and stop."""
        running = asyncio.create_task(self.heart.run())
        for count in turns:
            for _ in range(count):
                self.store.gate.release()
            await asyncio.sleep(0.01)
        self.heart.stop()
        await running


async def test_what_arrives_meanwhile_is_the_next_batch() -> None:
    rig = Rig()
    running = asyncio.create_task(rig.heart.run())
    rig.offer(1)
    await rig.store.begun.wait()
    for n in range(2, 6):
        rig.offer(n)
    assert rig.said == []  # nothing is told before it is durable
    rig.store.gate.release()
    rig.store.gate.release()
    rig.heart.stop()
    await running
    assert rig.store.sizes == [1, 4]
    assert rig.said == [(1, Placed), "done", *((n, Placed) for n in range(2, 6)), "done"]
    assert (rig.heart.batches, rig.heart.writes) == (2, 5)
    assert not rig.offer(6)  # it has stopped


async def test_batches_have_their_size() -> None:
    rig = Rig(batch=3000, batch_writes=3)
    for n in range(7):
        rig.offer(n)
    rig.offer("big", body=bytes(2000))
    rig.offer("big too", body=bytes(2000))
    await rig.play(6)
    assert rig.store.sizes == [3, 3, 2, 1]


async def test_no_more_waits_than_may() -> None:
    rig = Rig(pending=1000)
    assert [rig.offer(n) for n in range(5)] == [True, True, True, False, False]
    assert rig.offer("trust", vital=True)
    await rig.play(5)
    assert [what for what in rig.said if what != "done"] == [*((n, Placed) for n in range(3)), ("trust", Placed)]


async def test_a_full_disk_refuses_the_batch_and_keeps_what_is_vital() -> None:
    rig = Rig()
    rig.store.full = True
    rig.offer(1)
    rig.offer("trust", vital=True)
    rig.offer(2)
    await rig.play(5)
    assert sorted(map(str, rig.said)) == sorted(map(str, [("trust", Placed), (1, StoreFull), (2, StoreFull), "done"]))
    assert rig.heart.failures == 1
    head = await rig.store.topic(T)
    assert head is not None
    assert head.count == 1


async def test_other_writes_go_along() -> None:
    rig = Rig()
    rig.heart.offer(NewTopic(digest("g"), digest("a"), b"f" * 16, 0), rig.said.append)
    await rig.play(1)
    assert await rig.store.topic(digest("g")) is not None
