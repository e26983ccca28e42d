"""What the relay costs per append, per delivery and per message caught up on: ``python -m tests.bench.bench_relay``.

Every figure is CPU time per operation of 1 KiB, all threads of the relay together, *everything durable before it is
acknowledged* (SQLite, WAL, synchronous=FULL). The first table drives the mailroom in this process, through outlets that
seal as a session does; its floor does the same work with nothing around it: one SQLite transaction for as many rows as
the mailroom's batches had on average, and one AES-GCM seal for each record that must leave. The second table drives a
relay process over sockets; what counts is that process's CPU, from /proc, and the notes give wall-clock medians of this
machine, which other processes share.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import sqlite3
import statistics
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from relay.mailroom import Mailroom
from relay.member import Member
from relay.people import Device
from relay.store.sqlite import SqliteStore
from relay.trust_topic import TrustTopic
from securechan.wire.frames import (
    Answer,
    Append,
    CreateTopic,
    Entries,
    FrameKind,
    Halt,
    Reason,
    Show,
    Subscribe,
)
from tests.bench.harness import Row, Table, run
from tests.relay.caller import Caller, call
from tests.relay.desk import digest, online
from tests.support.founding import found
from tests.support.relayproc import RelayProcess

BODY: Final = os.urandom(1024)
TOPIC: Final = digest("bench topic")
SECRET: Final = digest("bench secret")
PUBLISHERS: Final = 8
WINDOW: Final = 32  # requests of a publisher under way
MEMBERS: Final = 200
APPENDS: Final = 6000
SINGLE: Final = 300
FANNED: Final = 400


def tables() -> Iterator[Table]:
    yield asyncio.run(inside())
    yield asyncio.run(outside())


# --------------------------------------------------------------------------------------------- in this process


class Sealing:
    """An outlet that seals what one turn of the loop sends, as a session does, and writes it nowhere."""

    congested = False

    def __init__(self) -> None:
        self._aead = AESGCM(bytes(32))
        self._chunks: list[bytes] = []
        self.records = 0
        self.tail = asyncio.Event()  # everything there is has come

    def send(self, frames: bytes, /) -> None:
        if not self._chunks:
            asyncio.get_running_loop().call_soon(self._flush)
        self._chunks.append(frames)
        if frames[0] == FrameKind.ENTRIES and frames[-1] == Halt.TAIL:
            self.tail.set()

    def _flush(self) -> None:
        body = b"".join(self._chunks)
        self._chunks.clear()
        self.records += 1
        self._aead.encrypt(self.records.to_bytes(12, "big"), body, None)

    async def room(self) -> bool:
        return True

    def end(self, reason: Reason, /) -> None:
        raise AssertionError(reason)


@dataclass
class Room:
    """A mailroom over a fresh file."""

    mailroom: Mailroom
    store: SqliteStore

    def enter(self, n: int) -> tuple[Member, Sealing]:
        outlet = Sealing()
        return self.mailroom.enter(Device(f"agency/{n}", "agency", frozenset(), bytes(48), None), outlet), outlet

    async def founder(self) -> Member:
        member, _ = self.enter(0)
        await member.request(CreateTopic(TOPIC, hashlib.sha256(SECRET).digest()))
        await member.request(Show(TOPIC, SECRET))
        return member


@asynccontextmanager
async def room() -> AsyncIterator[Room]:
    with tempfile.TemporaryDirectory() as folder:
        store = await SqliteStore.open(Path(folder) / "relay.db")
        clock = time.time_ns
        trust = await TrustTopic.load(store, online=online(), clock=lambda: clock() // 1_000_000)
        mailroom = Mailroom(store, relay="relay-1", clock=lambda: clock() // 1_000_000, trust=trust)
        await mailroom.start()
        try:
            yield Room(mailroom, store)
        finally:
            await mailroom.stop()


async def spent(work: Callable[[], Awaitable[object]]) -> tuple[float, float]:
    """CPU seconds of this process (all threads) and wall seconds."""
    cpu, wall = time.process_time(), time.perf_counter()
    await work()
    return time.process_time() - cpu, time.perf_counter() - wall


def request(n: object) -> Append:
    return Append(TOPIC, digest(n), BODY, None)


async def publish(member: Member, name: object, count: int) -> None:
    """Keep a window of appends under way."""
    for n in range(count):
        await member.below(WINDOW)
        member.ask(n, request((name, n)))
    await member.below(1)


async def inside() -> Table:
    table = Table("relay, in process, SQLite synced")
    table.rows.append(await appends())
    table.rows.append(await one_by_one())
    table.rows.append(await fan_out())
    table.rows.append(await catch_up())
    return table


async def appends() -> Row:
    async with room() as here:
        members = [await here.founder(), *(here.enter(n)[0] for n in range(1, PUBLISHERS))]
        for member in members:
            await member.request(Show(TOPIC, SECRET))
        before = here.mailroom.stats()["batches"]
        share = APPENDS // PUBLISHERS
        cpu, wall = await spent(lambda: asyncio.gather(*[publish(m, n, share) for n, m in enumerate(members)]))
        batches = here.mailroom.stats()["batches"] - before
    batch = max(round(APPENDS / batches), 1)
    floor = await raw_commits(APPENDS, batch)
    return Row(
        f"append, {PUBLISHERS} publishers", cpu / APPENDS, floor, f"{batch} a batch, {APPENDS / wall:,.0f}/s wall"
    )


async def one_by_one() -> Row:
    async with room() as here:
        member = await here.founder()
        took = []

        async def work() -> None:
            for n in range(SINGLE):
                start = time.perf_counter()
                await member.request(request(n))
                took.append(time.perf_counter() - start)

        cpu, _ = await spent(work)
    floor = await raw_commits(SINGLE, 1)
    return Row("append, one at a time", cpu / SINGLE, floor, f"wall median {statistics.median(took) * 1e3:.2f} ms")


async def fan_out() -> Row:
    async with room() as here:
        founder = await here.founder()
        readers = [here.enter(n) for n in range(1, MEMBERS + 1)]
        for member, outlet in readers:
            await member.request(Show(TOPIC, SECRET))
            await member.request(Subscribe(TOPIC, 0))
            await outlet.tail.wait()
            outlet.records = 0
        cpu, _ = await spent(lambda: publish(founder, "fan", FANNED))
        delivered = here.mailroom.stats()["pushed"]
        records = sum(outlet.records for _, outlet in readers)
    assert delivered == FANNED * MEMBERS
    each = delivered / records
    body = BODY * max(round(each), 1)
    aead = AESGCM(bytes(32))
    start = time.process_time()
    for n in range(2000):
        aead.encrypt(n.to_bytes(12, "big"), body, None)
    floor = (time.process_time() - start) / 2000 / each
    return Row(f"delivery to {MEMBERS}", cpu / delivered, floor, f"{each:.0f} entries a record")


async def catch_up() -> Row:
    async with room() as here:
        founder = await here.founder()
        await publish(founder, "old", APPENDS)
        opened = here.mailroom._topics.get(TOPIC)
        assert opened is not None
        opened.tail.clear()  # a reader who was away finds nothing of its past in memory
        reader, outlet = here.enter(1)
        await reader.request(Show(TOPIC, SECRET))

        async def work() -> None:
            await reader.request(Subscribe(TOPIC, 0))
            await outlet.tail.wait()

        cpu, _ = await spent(work)
        records = outlet.records
    floor = await raw_reads(APPENDS, records)
    return Row("message caught up on", cpu / APPENDS, floor, f"{APPENDS / records:.0f} entries a record")


async def raw_commits(count: int, batch: int) -> float:
    """CPU seconds per row of plain transactions of ``batch`` rows in a thread, and a seal for each row."""
    with tempfile.TemporaryDirectory() as folder:
        db = plain(Path(folder) / "raw.db")
        aead = AESGCM(bytes(32))
        loop = asyncio.get_running_loop()

        def write(first: int) -> None:
            db.execute("begin")
            db.executemany("insert into e values (?, ?)", [(first + n, BODY) for n in range(batch)])
            db.execute("commit")

        async def work() -> None:
            for first in range(0, count, batch):
                await loop.run_in_executor(None, write, first)
                for n in range(batch):
                    aead.encrypt((first + n).to_bytes(12, "big"), BODY, None)

        cpu, _ = await spent(work)
        db.close()
    return cpu / count


async def raw_reads(count: int, records: int) -> float:
    """CPU seconds per row of reading rows in order and sealing them, so many records in all."""
    with tempfile.TemporaryDirectory() as folder:
        db = plain(Path(folder) / "raw.db")
        db.executemany("insert into e values (?, ?)", [(n, BODY) for n in range(count)])
        aead = AESGCM(bytes(32))
        share = -(-count // records)

        async def work() -> None:
            for first in range(0, count, share):
                rows = db.execute("select body from e where seq >= ? order by seq limit ?", (first, share)).fetchall()
                aead.encrypt(first.to_bytes(12, "big"), b"".join(row[0] for row in rows), None)

        cpu, _ = await spent(work)
        db.close()
    return cpu / count


def plain(path: Path) -> sqlite3.Connection:
    db = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    db.execute("pragma journal_mode = wal")
    db.execute("pragma synchronous = full")
    db.execute("create table e (seq integer primary key, body blob)")
    return db


# --------------------------------------------------------------------------------------------- over sockets

LOOSE: Final = {
    f"SECURECHAN_RELAY_QUOTAS__{name}": str(value)
    for name, value in {
        "APPENDS_PER_MINUTE": 10_000_000,
        "AGENCY_APPENDS_PER_MINUTE": 10_000_000,
        "REQUESTS_PER_SECOND": 1_000_000,
        "BANDWIDTH": 1 << 30,
        "AGENCY_BANDWIDTH": 1 << 30,
        "HANDSHAKES_PER_MINUTE": 1_000_000,
    }.items()
}
TICK: Final = 1 / os.sysconf("SC_CLK_TCK")


def cpu_of(pid: int) -> float:
    """CPU seconds of a process, in ticks of 10 ms."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) * TICK


async def outside() -> Table:
    table = Table("relay process, over sockets, SQLite synced")
    names = [f"agency-{n % 10}/{n}" for n in range(MEMBERS + 1)]
    with tempfile.TemporaryDirectory() as folder, RelayProcess(Path(folder), environment=LOOSE) as process:
        founded = found(process.card(), names)
        process.adopt(founded.bundle)

        async with AsyncExitStack() as stack:

            async def enter(name: str) -> Caller:
                return await stack.enter_async_context(call(process.url, founded.relay, founded.credential(name)))

            callers = [await enter(name) for name in names[:PUBLISHERS]]
            await callers[0].ask(CreateTopic(TOPIC, hashlib.sha256(SECRET).digest()))
            for caller in callers:
                await caller.ask(Show(TOPIC, SECRET))

            share = APPENDS // PUBLISHERS
            cpu, wall = await measured(
                process.pid, lambda: asyncio.gather(*[pour(c, ("s", n), share) for n, c in enumerate(callers)])
            )
            note = f"{APPENDS / wall:,.0f}/s wall"
            table.rows.append(Row(f"append, {PUBLISHERS} publishers", cpu / APPENDS, None, note))

            took = []

            async def single() -> None:
                for n in range(SINGLE):
                    start = time.perf_counter()
                    await callers[0].ask(request(("one", n)))
                    took.append(time.perf_counter() - start)

            cpu, _ = await measured(process.pid, single)
            note = f"wall median {statistics.median(took) * 1e3:.2f} ms"
            table.rows.append(Row("append, one at a time", cpu / SINGLE, None, note))

            before = cpu_of(process.pid)
            readers = [await enter(name) for name in names[PUBLISHERS : MEMBERS + 1]]
            opened = (cpu_of(process.pid) - before) / len(readers)
            table.rows.append(Row("handshake", opened))
            total = APPENDS + SINGLE
            for reader in readers:
                await reader.send(Show(TOPIC, SECRET), Subscribe(TOPIC, total))
            cpu, _ = await measured(
                process.pid,
                lambda: asyncio.gather(
                    pour(callers[0], "fan", FANNED), *[swallow(reader, FANNED) for reader in readers]
                ),
            )
            table.rows.append(Row(f"delivery to {len(readers)}", cpu / FANNED / len(readers)))

            late = callers[1]
            await late.send(Subscribe(TOPIC, 0))
            cpu, wall = await measured(process.pid, lambda: swallow(late, total + FANNED))
            note = f"{(total + FANNED) / wall:,.0f}/s wall"
            table.rows.append(Row("message caught up on", cpu / (total + FANNED), None, note))
    return table


async def measured(pid: int, work: Callable[[], Awaitable[object]]) -> tuple[float, float]:
    cpu, wall = cpu_of(pid), time.perf_counter()
    await work()
    return cpu_of(pid) - cpu, time.perf_counter() - wall


async def pour(caller: Caller, name: object, count: int) -> None:
    """Append with a window, a record of half of it at a time."""
    sent = done = 0
    while done < count:
        while sent < count and sent - done <= WINDOW // 2:
            some = min(WINDOW // 2, count - sent)
            await caller.send(*[request((name, n)) for n in range(sent, sent + some)])
            sent += some
        done += sum(isinstance(body, Answer) for body in await caller.hear())
        caller.heard.clear()


async def swallow(caller: Caller, count: int) -> None:
    """Read so many entries."""
    held = 0
    while held < count:
        held += sum(len(body.entries) for body in await caller.hear() if isinstance(body, Entries))
        caller.heard.clear()


if __name__ == "__main__":
    run(tables())
