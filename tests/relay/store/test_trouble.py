"""A store that is full, slow, or gone and back: refused, never lost, never there twice. One suite, three stores.

What each store's trouble is made of: the memory store has a capacity; SQLite's file may not grow, or another process
holds its lock; of the cluster, the log has a bound, and two of three servers are paused or killed.
"""

from __future__ import annotations

import asyncio
import sqlite3
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from relay.store import topic_writes
from relay.store.base import (
    Behind,
    Outcome,
    Placed,
    PutPackages,
    Store,
    StoreFailed,
    StoreFull,
    Taken,
    TakePackage,
    TrimTo,
    Write,
)
from relay.store.memory import MemoryStore
from relay.store.nats import NatsStore
from relay.store.sqlite import SqliteStore
from securechan.wire.chain import advance
from tests.relay.store.test_nats import GROUP, NOW, TOPIC, digest, entry, eventually, placed
from tests.support.cluster import Cluster, empty


class Bench(ABC):
    """A store, and the trouble it can get into."""

    store: Store

    @abstractmethod
    async def fill(self) -> None:
        """From now on there is room for little more."""

    @abstractmethod
    async def relieve(self) -> None:
        """There is room again."""

    @abstractmethod
    async def vanish(self) -> None:
        """What the store needs is not to be had."""

    @abstractmethod
    async def come_back(self) -> None:
        """It is."""


class Memory(Bench):
    def __init__(self) -> None:
        self.memory = MemoryStore()
        self.store = self.memory

    async def fill(self) -> None:
        self.memory._capacity = self.memory._bytes + 20_000

    async def relieve(self) -> None:
        self.memory._capacity = None

    async def vanish(self) -> None:
        pytest.skip("what is in memory does not go away")

    async def come_back(self) -> None:
        """It never went."""


class Sqlite(Bench):
    def __init__(self, store: SqliteStore, path: Path) -> None:
        self.store = self._store = store
        self._path = path
        self._other: sqlite3.Connection | None = None

    async def fill(self) -> None:
        pages = self._store._writing._db.execute("pragma page_count").fetchone()[0]
        self._store._writing._db.execute(f"pragma max_page_count = {pages + 8}")

    async def relieve(self) -> None:
        self._store._writing._db.execute("pragma max_page_count = 1000000")

    async def vanish(self) -> None:
        self._store._writing._db.execute("pragma busy_timeout = 50")
        self._other = sqlite3.connect(self._path, isolation_level=None)
        self._other.execute("begin immediate")

    async def come_back(self) -> None:
        assert self._other is not None
        self._other.execute("rollback")
        self._other.close()


class Nats(Bench):
    def __init__(self, store: NatsStore, cluster: Cluster) -> None:
        self.store = self._store = store
        self._cluster = cluster
        self._away: list[int] = []

    async def _bound(self, size: int) -> None:
        config = (await self._cluster.ask(f"STREAM.INFO.{self._store.log_name}"))["config"]
        answer = await self._cluster.ask(f"STREAM.UPDATE.{self._store.log_name}", {**config, "max_bytes": size})
        assert "error" not in answer, answer

    async def fill(self) -> None:
        state = (await self._cluster.ask(f"STREAM.INFO.{self._store.log_name}"))["state"]
        await self._bound(state["bytes"] + 20_000)

    async def relieve(self) -> None:
        await self._bound(-1)

    async def vanish(self) -> None:
        self._away = [0, 1]
        for number in self._away:
            self._cluster.pause(number)

    async def come_back(self) -> None:
        for number in self._away:
            self._cluster.resume(number)
        await self._cluster.ready()


@asynccontextmanager
async def _bench(kind: str, folder: Path, request: pytest.FixtureRequest) -> AsyncIterator[Bench]:
    bench: Bench
    match kind:
        case "memory":
            bench = Memory()
        case "sqlite":
            bench = Sqlite(await SqliteStore.open(folder / "s.db"), folder / "s.db")
        case _:
            cluster = request.getfixturevalue("cluster")
            bench = Nats(await empty(cluster), cluster)
    try:
        yield bench
    finally:
        await bench.store.close()


KINDS = ("memory", "sqlite", "nats")


@pytest.fixture
def shared(request: pytest.FixtureRequest) -> None:
    """The cluster is started outside of any event loop."""
    if "nats" in request.node.name:
        request.getfixturevalue("cluster")


async def outcome(store: Store, write: Write) -> Outcome:
    """What became of one write, however the store says so."""
    try:
        (told,) = await store.commit([write])
    except (StoreFull, StoreFailed) as error:
        return error
    return told


async def chained(store: Store) -> list[bytes]:
    """The ids of all entries, once the head has been held against them."""
    run = await store.read(TOPIC, 0, None, 1 << 30)
    head = await store.topic(TOPIC)
    assert head is not None
    position = head.trimmed
    for stored in run.entries:
        e = stored.entry()
        position = advance(position, e.kind, e.entry_id, e.sequence, e.body)
    assert position == head.last
    return [stored.entry_id for stored in run.entries]


@pytest.mark.parametrize("kind", KINDS)
async def test_a_full_store_says_so_and_goes_on_when_there_is_room(
    kind: str, tmp_path: Path, request: pytest.FixtureRequest, shared: None
) -> None:
    async with _bench(kind, tmp_path, request) as bench:
        store = bench.store
        await store.commit([GROUP, entry("first")])
        await bench.fill()
        told = [(n, await outcome(store, entry(n, bytes(4000)))) for n in range(40)]
        stood = [n for n, each in told if isinstance(each, Placed)]
        full = [each for _, each in told if isinstance(each, StoreFull)]
        assert len(stood) + len(full) == 40
        assert 0 < len(stood) < 20
        assert all(each.retry_after for each in full if kind != "memory")
        assert await chained(store) == [digest("first"), *(digest(n) for n in stood)]
        late = await outcome(store, entry("late", bytes(4000), expected=0))
        assert isinstance(late, StoreFull)
        await bench.relieve()
        assert placed(await outcome(store, entry("late", bytes(4000), expected=0))).fresh
        again = [placed(await outcome(store, entry(n, bytes(4000)))) for n in range(40)]
        assert [n for n, each in enumerate(again) if not each.fresh] == stood
        assert len(set(await chained(store))) == 42


@pytest.mark.parametrize("kind", KINDS)
async def test_what_a_store_that_was_gone_is_asked_again_is_there_once(
    kind: str, tmp_path: Path, request: pytest.FixtureRequest, shared: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(topic_writes, "PATIENCE", 1.5)
    monkeypatch.setattr(topic_writes, "ATTEMPT", 0.5)
    async with _bench(kind, tmp_path, request) as bench:
        store = bench.store
        await store.commit([GROUP, entry("first"), PutPackages("d", 1, (b"k1", b"k2"), None, purge=False, room=9)])
        await bench.vanish()
        writes: list[Write] = [entry("free"), entry("commit", expected=0), entry("more"), TrimTo(TOPIC, 0)]
        try:
            refused = await asyncio.gather(*(outcome(store, write) for write in writes[:3]))
            refused.append(await outcome(store, TakePackage("d", 1, NOW)))
        finally:
            await bench.come_back()
        assert all(isinstance(each, StoreFailed) and each.retry_after for each in refused), refused

        for write in writes[:3]:

            async def stands(write: Write = write) -> bool:
                return isinstance(await outcome(store, write), Placed)

            await eventually(stands)
        rival = await outcome(store, entry("rival", expected=0))
        assert isinstance(rival, Behind)
        assert rival.entry_id == digest("commit")
        assert sorted(await chained(store)) == sorted(map(digest, ("first", "free", "commit", "more")))
        taken = []

        async def takes() -> bool:
            taken.append(await outcome(store, TakePackage("d", 1, NOW)))
            return not isinstance(taken[-1], StoreFailed)

        await eventually(takes)
        await eventually(takes)
        first, second = [each for each in taken if not isinstance(each, StoreFailed)]
        assert isinstance(first, Taken)  # one may be lost with the answer that was; none comes twice
        assert first != second


@pytest.mark.slow
async def test_a_cluster_whose_leader_dies_loses_nothing(cluster: Cluster) -> None:
    store = await empty(cluster)
    try:
        await store.commit([GROUP])
        leader = await cluster.leader(store.log_name)
        acknowledged: list[bytes] = []
        under_load, dead = asyncio.Event(), asyncio.Event()

        async def write(who: int) -> None:
            n = 0
            while not dead.is_set() or n < 30:
                append = entry((who, n))
                if isinstance(await outcome(store, append), Placed):
                    acknowledged.append(append.entry_id)
                    n += 1
                if len(acknowledged) == 40:
                    under_load.set()

        writing = [asyncio.create_task(write(who)) for who in range(4)]
        await under_load.wait()
        cluster.kill(leader)
        dead.set()
        await asyncio.gather(*writing)
        cluster.start(leader)
        found = await chained(store)
        assert len(found) == len(set(found))
        assert sorted(found) == sorted(acknowledged)
    finally:
        await store.close()
    await cluster.ready()
