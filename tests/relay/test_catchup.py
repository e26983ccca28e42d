"""Catching up when things go wrong: a store that fails, a reader that leaves, an outlet that never empties."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from relay.bounds import Bounds
from relay.catchup import Catchup
from relay.outgoing import refusal
from relay.store.base import Run, StoreFailed, TrimTo
from relay.store.memory import MemoryStore
from relay.store.news import News
from securechan.wire.frames import Appended, Code, Deliver, Done, Halt, Reason, Subscribe, Trim, inbox_topic
from tests.relay.desk import Client, digest, open_desk

T, S0 = digest("topic"), digest("secret")


class Unreadable(MemoryStore):
    """A store that can't be read while ``broken``; ``gate`` holds reads back. While ``silent`` it keeps its news: what
    is durable and can be read is told later, as when a thread or a cluster wrote it."""

    broken = False
    gated = T
    silent = False

    def __init__(self) -> None:
        super().__init__()
        self.gate = asyncio.Event()
        self.gate.set()
        self.asked = asyncio.Event()
        self.untold: list[News] = []

    def _tell(self, news: Sequence[News]) -> None:
        self.untold += news
        if not self.silent:
            super()._tell(self.untold)
            self.untold.clear()

    async def read(self, topic: bytes, after: int, upto: int | None, size: int) -> Run:
        if topic == self.gated:
            self.asked.set()
            await self.gate.wait()
            if self.broken:
                raise StoreFailed("input/output error")
        return await super().read(topic, after, upto, size)


async def test_a_reader_that_cannot_be_served_is_sent_away_and_comes_back() -> None:
    store = Unreadable()
    async with open_desk(store, bounds=Bounds(tail=0)) as desk:
        one, two = desk.client("cert-hr/a"), desk.client("cert-si/c")
        await one.create(T, S0)
        await one.say(T, b"1")
        store.broken = True
        await two.read(T, S0)
        await two.outlet.until(lambda: two.outlet.ended)
        assert two.outlet.ended is Reason.SHUTDOWN
        two.member.leave()
        store.broken = False
        again = desk.client("cert-si/c")
        await again.read(T, S0)
        await again.halted(T, Halt.TAIL, 1)


@asynccontextmanager
async def asking() -> AsyncIterator[tuple[Unreadable, Client, Client]]:
    """One has said something; the other wants to read it, and the store doesn't answer yet."""
    store = Unreadable()
    async with open_desk(store, bounds=Bounds(tail=0)) as desk:
        one, two = desk.client("cert-hr/a"), desk.client("cert-si/c")
        await one.create(T, S0)
        await one.say(T, b"1")
        store.gate.clear()
        await two.read(T, S0)
        await store.asked.wait()
        yield store, one, two


async def test_what_was_read_for_one_who_left_is_dropped() -> None:
    async with asking() as (store, one, two):
        two.member.leave()
        store.gate.set()
        await one.read(T, S0)
        await one.halted(T, Halt.TAIL, 1)
        assert two.runs(T) == []


async def test_entries_that_come_while_the_store_is_read_are_not_skipped() -> None:
    async with asking() as (store, one, two):
        await one.say(T, b"2")
        store.gate.set()
        await one.say(T, b"3")
        await two.halted(T, Halt.TAIL, 3)
        assert two.bodies(T) == [b"1", b"2", b"3"]


async def test_one_who_never_reads_holds_up_nobody() -> None:
    async with open_desk(bounds=Bounds(run=200)) as desk:
        one, stuck, other = (desk.client(n) for n in ("cert-hr/a", "cert-si/c", "cert-si/d"))
        await one.create(T, S0)
        stuck.outlet.congested = True
        await stuck.read(T, S0)
        for n in range(20):
            await one.say(T, b"%d" % n + bytes(100))
        await other.read(T, S0)
        await other.halted(T, Halt.TAIL, 20)
        assert stuck.runs(T) == []
        stuck.outlet.end(Reason.SLOW)
        stuck.member.leave()
        assert isinstance(desk.mailroom._catchup, Catchup)
        assert desk.mailroom.stats()["subscriptions"] == 1


async def test_what_is_durable_before_it_is_told_is_sent_once() -> None:
    store = Unreadable()
    async with open_desk(store, bounds=Bounds(tail=0)) as desk:
        one, late = desk.client("cert-hr/a"), desk.client("cert-si/c")
        await one.create(T, S0)
        await one.say(T, b"1")
        store.silent = True
        await one.say(T, b"2")
        await late.read(T, S0)
        await late.halted(T, Halt.TAIL)
        assert late.bodies(T) == [b"1"]  # the second is in the store, but nobody has heard of it
        store.silent = False
        await one.say(T, b"3")
        await late.halted(T, Halt.TAIL, 3)
        assert late.bodies(T) == [b"1", b"2", b"3"]


async def test_an_inbox_that_its_owner_trims_while_it_catches_up_is_read_to_its_tail() -> None:
    inbox = inbox_topic("cert-si/c")
    store = Unreadable()
    store.gated = inbox
    async with open_desk(store, bounds=Bounds(tail=0)) as desk:
        one, owner = desk.client("cert-hr/a"), desk.client("cert-si/c")
        for n in range(3):
            await one.ask(Deliver(inbox, digest(n), b"%d" % n))
        store.gate.clear()
        assert await owner.ask(Subscribe(inbox, 0)) == Done()
        await store.asked.wait()
        assert await owner.ask(Trim(inbox, 3)) == Done()
        store.gate.set()
        assert await owner.halted(inbox, Halt.TAIL) == []
        await one.ask(Deliver(inbox, digest(3), b"3"))
        await owner.halted(inbox, Halt.TAIL, 1)


async def test_one_who_would_miss_what_was_trimmed_meanwhile_is_told_as_it_comes_back() -> None:
    async with asking() as (store, one, two):
        await one.say(T, b"2")
        await store.commit([TrimTo(T, 1)])
        store.gate.set()
        await two.outlet.until(lambda: two.outlet.ended)
        assert two.bodies(T) == []
        two.member.leave()
        assert await one.ask(Subscribe(T, 0)) == refusal(Code.TRIMMED, "entries after that are gone", sequence=1)


async def test_a_later_secret_that_is_shown_while_the_store_is_read_is_read_on_for() -> None:
    s1, s2 = digest("secret", 1), digest("secret", 2)
    store = Unreadable()
    async with open_desk(store, bounds=Bounds(tail=0)) as desk:
        one, two, late = (desk.client(name) for name in ("cert-hr/a", "cert-hr/b", "cert-si/c"))
        await one.create(T, S0, two)
        for expected, secret in ((0, s1), (1, s2)):  # each is confirmed, so the one before it is closed
            assert await one.commit(T, expected, secret) == Appended(expected + 1)
            await one.show(T, secret)
            await two.halted(T, Halt.SHOW, expected + 1)
            assert await two.show(T, secret) == Done()
        store.gate.clear()
        store.asked.clear()
        await late.read(T, S0, after=1)  # which is all that this secret opens
        await store.asked.wait()
        assert await late.show(T, s1) == Done()
        store.gate.set()
        (removal,) = await late.halted(T, Halt.SHOW, 1)
        assert removal.sequence == 2


async def test_one_who_subscribes_again_and_again_without_reading_is_waited_for_once() -> None:
    async with open_desk() as desk:
        one = desk.client("cert-hr/a")
        await one.create(T, S0)
        one.outlet.congested = True
        for _ in range(20):
            await one.read(T)
            await asyncio.sleep(0)
        assert len(desk.mailroom._catchup._waits) == 1
        one.outlet.relieve()
        await one.halted(T, Halt.TAIL)
