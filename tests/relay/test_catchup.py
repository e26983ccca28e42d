"""Catching up when things go wrong: a store that fails, a reader that leaves, an outlet that never empties."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from relay.bounds import Bounds
from relay.catchup import Catchup
from relay.store.base import Run, StoreFailed
from relay.store.memory import MemoryStore
from securechan.wire.frames import Halt, Reason
from tests.relay.desk import Client, digest, open_desk

T, S0 = digest("topic"), digest("secret")


class Unreadable(MemoryStore):
    """A store that can't be read while ``broken``; ``gate`` holds reads back. While ``silent`` it keeps its news: what
    is durable and can be read is told later, as when a thread or a cluster wrote it."""

    broken = False
    silent = False

    def __init__(self) -> None:
        super().__init__()
        self.gate = asyncio.Event()
        self.gate.set()
        self.asked = asyncio.Event()

    def _tell(self) -> None:
        if not self.silent:
            super()._tell()

    async def read(self, topic: bytes, after: int, upto: int | None, size: int) -> Run:
        if topic == T:
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
