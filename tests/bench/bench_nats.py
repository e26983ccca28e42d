"""The store on a NATS cluster of three: how fast it adds entries beside what nats-py alone publishes, and what 10,000
topics cost.

python -m tests.bench.bench_nats [--topics 10000] [--entries 10000] [--rounds 5] [--sync]

All of it runs on this machine: three servers, and the relay's store in this process. The rows for nats-py publish the
same bytes into a stream with as many replicas, with as many under way at once; the store's do more: each entry's id is
checked by the cluster, and each entry comes back through the feed before it counts. They are measured in turns, and
what is said of two is the median of what it was in each turn, for rates of different minutes say nothing on a machine
that others use. CPU is per entry, of this process and of the three servers together.
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import statistics
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nats

from relay.store.base import Append, NewTopic, Placed, tail_of
from relay.store.nats import NatsStore
from securechan.wire.frames import EntryKind
from tests.support.cluster import Cluster, empty

BATCH = 1000  # under way at once
BODY = bytes(1024)


def topic_of(number: int) -> bytes:
    return hashlib.sha256(b"topic %d" % number).digest()


def entry(topic: int, what: object) -> Append:
    entry_id = hashlib.sha256(repr((topic, what)).encode()).digest()
    tail = tail_of(BODY, None)
    return Append(topic_of(topic), EntryKind.APPLICATION, entry_id, BODY, tail, int(time.time() * 1000))


@dataclass(frozen=True, slots=True)
class Told:
    """Operations a wall second; CPU microseconds of this process, and of the servers, for each."""

    rate: float
    cpu: float
    servers: float


async def timed(cluster: Cluster, count: int, act: Callable[[], Awaitable[None]]) -> Told:
    wall, cpu, servers = time.perf_counter(), time.process_time(), cluster.cpu()
    await act()
    cpu, servers = time.process_time() - cpu, cluster.cpu() - servers
    return Told(count / (time.perf_counter() - wall), cpu / count * 1e6, servers / count * 1e6)


async def create(store: NatsStore, first: int, last: int) -> None:
    for start in range(first, last, BATCH):
        made = await store.commit(
            [NewTopic(topic_of(n), bytes(32), bytes(16), 0) for n in range(start, min(start + BATCH, last))]
        )
        assert all(type(each).__name__ == "Made" for each in made)


def batches(count: int, topics: int, tag: str) -> list[list[Append]]:
    """Entries, made before the clock runs, as those of the plain publisher are."""
    return [[entry(n % topics, (tag, n)) for n in range(start, start + BATCH)] for start in range(0, count, BATCH)]


async def append(store: NatsStore, made: list[list[Append]], together: int = 1) -> None:
    """So many batches at a time, each begun when one is done."""
    queue = iter(made)

    async def turns() -> None:
        for batch in queue:
            outcomes = await store.commit(batch)
            failed = [each for each in outcomes if not isinstance(each, Placed)]
            assert not failed, failed[:3]

    await asyncio.gather(*(turns() for _ in range(together)))


@asynccontextmanager
async def plain(cluster: Cluster) -> AsyncIterator[dict[str, Callable[[int], Awaitable[None]]]]:
    """What nats-py alone does."""
    nc = await nats.connect(list(cluster.urls), pending_size=64 << 20)
    js = nc.jetstream(publish_async_max_pending=BATCH)
    await js.add_stream(name="plain", subjects=["plain.>"], num_replicas=3)
    await asyncio.sleep(1)  # until it has a leader

    async def awaited(count: int) -> None:
        for _ in range(0, count, BATCH):
            await asyncio.gather(*(js.publish("plain.a", BODY) for _ in range(BATCH)))

    async def pipelined(count: int) -> None:
        waiting: list[Any] = [await js.publish_async("plain.a", BODY) for _ in range(count)]
        await asyncio.gather(*waiting)

    yield {"nats-py publish": awaited, "nats-py publish_async": pipelined}
    await js.delete_stream("plain")
    await nc.close()


def median(each: list[Told]) -> Told:
    return Told(*(statistics.median(getattr(one, name) for one in each) for name in ("rate", "cpu", "servers")))


async def beside(cluster: Cluster, store: NatsStore, entries: int, rounds: int) -> None:
    """Store and nats-py in turns."""
    told: dict[str, list[Told]] = {}
    async with plain(cluster) as floors:
        for turn in range(rounds):
            for name, publish in floors.items():
                told.setdefault(name, []).append(await timed(cluster, entries, lambda p=publish: p(entries)))
            for together, name in ((1, "store, a batch at a time"), (2, "store, two batches at a time")):
                made = batches(entries, 8, f"{turn} {together}")
                each = await timed(cluster, entries, lambda m=made, t=together: append(store, m, t))
                told.setdefault(name, []).append(each)
    for name, each in told.items():
        note = []
        for floor in floors if name not in floors else ():
            ratios = (mine.rate / its.rate for mine, its in zip(each, told[floor], strict=True))
            note.append(f"{statistics.median(ratios):.0%} of {floor}")
        row(name, median(each), ", ".join(note))


def row(name: str, told: Told, note: str = "") -> None:
    print(
        f"{name:40} {told.rate:8,.0f}/s  CPU {told.cpu:6.1f} µs here, {told.servers:6.1f} µs servers  {note}",
        flush=True,
    )


async def bench(cluster: Cluster, topics: int, entries: int, rounds: int, mode: str) -> None:
    print(f"three servers, R3, {mode}, 1 KiB, {BATCH} under way")
    store = await empty(cluster, "bench")
    try:
        await create(store, 0, 8)
        await beside(cluster, store, entries, rounds)
        one = []
        for n in range(300):
            began = time.perf_counter()
            await store.commit([entry(0, ("one", n))])
            one.append(time.perf_counter() - began)
        one.sort()
        print(f"{'store, one at a time':40} median {one[150] * 1e3:.2f} ms, p99 {one[297] * 1e3:.2f} ms")
        if topics <= 8:
            return
        before = cluster.memory()
        row(f"create {topics:,} topics", await timed(cluster, topics - 8, lambda: create(store, 8, topics)))
        many = batches(entries, topics, "many")
        row(f"store, {topics:,} topics", await timed(cluster, entries, lambda: append(store, many)))
        after = cluster.memory()
        grown = [(b - a) / 2**20 for a, b in zip(before, after, strict=True)]
        print(f"resident memory of the servers: {', '.join(f'{size / 2**20:.0f}' for size in after)} MiB")
        print(
            f"  grown by {', '.join(f'{size:.0f}' for size in grown)} MiB with the topics and their {entries:,} entries"
        )
        late = await NatsStore.open(cluster.settings("bench"))
        try:
            sample = 200
            told = await timed(cluster, sample, lambda: _open(late, sample, topics))
            row("another relay opens a topic", told)
        finally:
            await late.close()
    finally:
        await store.close()


async def _open(store: NatsStore, count: int, topics: int) -> None:
    for n in range(count):
        assert await store.topic(topic_of(n * topics // count)) is not None


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--topics", type=int, default=10_000)
    parser.add_argument("--entries", type=int, default=10_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--sync", action="store_true", help="sync_interval: always")
    parser.add_argument("--json", action="store_true", help="ignored: there is no floor of CPU to hold it against")
    given = parser.parse_args()
    sync, mode = ("sync_interval: always",) * 2 if given.sync else ("", "sync_interval: 2m, the default: page cache")
    with tempfile.TemporaryDirectory() as folder, Cluster(Path(folder), jetstream=sync) as cluster:
        asyncio.run(bench(cluster, given.topics, given.entries, given.rounds, mode))


if __name__ == "__main__":
    main()
