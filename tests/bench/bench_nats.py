"""The store on a NATS cluster of three: how fast it adds entries beside what nats-py alone publishes, and what 10,000
topics cost.

python -m tests.bench.bench_nats [--topics 10000] [--entries 20000]

All of it runs on this machine: three servers, and the relay's store in this process. The rows for nats-py publish the
same bytes into a stream with as many replicas, with as many under way at once; the store's do more: each entry's id is
checked by the cluster, and each entry comes back through the feed before it counts. CPU time is this process's.
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import tempfile
import time
from collections.abc import Awaitable, Callable
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


async def timed(count: int, act: Callable[[], Awaitable[None]]) -> tuple[float, float]:
    """Operations a wall second, and CPU microseconds of this process for each."""
    wall, cpu = time.perf_counter(), time.process_time()
    await act()
    return count / (time.perf_counter() - wall), (time.process_time() - cpu) / count * 1e6


async def create(store: NatsStore, first: int, last: int) -> None:
    for start in range(first, last, BATCH):
        made = await store.commit(
            [NewTopic(topic_of(n), bytes(32), bytes(16), 0) for n in range(start, min(start + BATCH, last))]
        )
        assert all(type(each).__name__ == "Made" for each in made)


def batches(count: int, topics: int, tag: str) -> list[list[Append]]:
    """Entries, made before the clock runs, as those of the plain publisher are."""
    return [[entry(n % topics, (tag, n)) for n in range(start, start + BATCH)] for start in range(0, count, BATCH)]


async def append(store: NatsStore, made: list[list[Append]]) -> None:
    for batch in made:
        outcomes = await store.commit(batch)
        assert all(isinstance(each, Placed) for each in outcomes), [x for x in outcomes if not isinstance(x, Placed)][
            :3
        ]


async def plain(cluster: Cluster, count: int) -> dict[str, tuple[float, float]]:
    """What nats-py alone does."""
    nc = await nats.connect(list(cluster.urls), pending_size=64 << 20)
    js = nc.jetstream(publish_async_max_pending=BATCH)
    await js.add_stream(name="plain", subjects=["plain.>"], num_replicas=3)
    await asyncio.sleep(1)  # until it has a leader

    async def awaited() -> None:
        for _ in range(0, count, BATCH):
            await asyncio.gather(*(js.publish("plain.a", BODY) for _ in range(BATCH)))

    async def pipelined() -> None:
        waiting: list[Any] = [await js.publish_async("plain.a", BODY) for _ in range(count)]
        await asyncio.gather(*waiting)

    told = {"publish": await timed(count, awaited), "publish_async": await timed(count, pipelined)}
    await js.delete_stream("plain")
    await nc.close()
    return told


def row(name: str, told: tuple[float, float], note: str = "") -> None:
    print(f"{name:52} {told[0]:10,.0f}/s  {told[1]:7.1f} µs CPU  {note}", flush=True)


async def bench(cluster: Cluster, topics: int, entries: int) -> None:
    print(f"three servers, R3, 1 KiB, {BATCH} under way")
    floor = await plain(cluster, entries)
    for name, told in floor.items():
        row(f"nats-py {name}", told)
    best = max(rate for rate, _ in floor.values())
    store = await empty(cluster, "bench")
    try:
        await create(store, 0, 8)
        few = batches(entries, 8, "few")
        told = await timed(entries, lambda: append(store, few))
        row("store, 8 topics", told, f"{told[0] / best:.0%} of nats-py's best")
        one = []
        for n in range(300):
            began = time.perf_counter()
            await store.commit([entry(0, ("one", n))])
            one.append(time.perf_counter() - began)
        one.sort()
        print(f"{'store, one at a time':52} median {one[150] * 1e3:.2f} ms, p99 {one[297] * 1e3:.2f} ms")
        before = cluster.memory()
        told = await timed(topics - 8, lambda: create(store, 8, topics))
        row(f"create {topics:,} topics", told)
        many = batches(entries, topics, "many")
        told = await timed(entries, lambda: append(store, many))
        row(f"store, {topics:,} topics", told, f"{told[0] / best:.0%} of nats-py's best")
        after = cluster.memory()
        grown = [(b - a) / 2**20 for a, b in zip(before, after, strict=True)]
        print(f"resident memory of the servers: {', '.join(f'{size / 2**20:.0f}' for size in after)} MiB")
        print(
            f"  grown by {', '.join(f'{size:.0f}' for size in grown)} MiB with the topics and their {entries:,} entries"
        )
        late = await NatsStore.open(cluster.settings("bench"))
        try:
            sample = 200
            told = await timed(sample, lambda: _open(late, sample, topics))
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
    parser.add_argument("--entries", type=int, default=20_000)
    parser.add_argument("--sync", action="store_true", help="sync_interval: always")
    parser.add_argument("--json", action="store_true", help="ignored: there is no floor of CPU to hold it against")
    given = parser.parse_args()
    sync = "sync_interval: always" if given.sync else ""
    with tempfile.TemporaryDirectory() as folder, Cluster(Path(folder), jetstream=sync) as cluster:
        asyncio.run(bench(cluster, given.topics, given.entries))


if __name__ == "__main__":
    main()
