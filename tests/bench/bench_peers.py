"""What a user would compare the relay by: ``make bench B=peers``.

The same questions that are put to brokers and chat servers, by the same rules, of a relay process over loopback TCP
with the record layer on: messages of 1 KiB; the publisher is no member of those who read; nothing is acknowledged
before it is durable (SQLite, WAL, ``synchronous=FULL``: one fsync a group commit; ``STORE=nats`` and what that means:
`tests.bench.ground`); throughput is a closed loop, at most 32 messages ahead of the slowest member; nothing may be
lost. CPU is that of the relay's process, user and system, all threads, per message acknowledged, per delivery, or per
connection: 1 / it is what one core does. Milliseconds are of this machine and its neighbours; *fsync* beside them is
the machine's own, measured in turns.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

from securechan.wire.frames import Append, CreateTopic, Show, Subscribe
from tests.bench.crowd import BODY, Crowd, Line
from tests.bench.ground import Ground, standing
from tests.bench.harness import Row, Table, run
from tests.relay.desk import digest

SINGLE: Final = 400  # messages one at a time
PUBLISHERS: Final = 8
WINDOW: Final = 64  # of one publisher
APPENDS: Final = 16_000
AHEAD: Final = 32  # messages before the slowest member
FANNED: Final = 60_000  # deliveries
GENTLE: Final = 30  # messages, ten a second
CAUGHT: Final = 10_000
IDLE: Final = 1000
HANDSHAKES: Final = 200
MEMBERS: Final = tuple(int(n) for n in os.environ.get("MEMBERS", "10,200,1000").split(","))
"""``MEMBERS=10,200 make bench B=peers`` leaves the largest group out."""


def tables() -> Iterator[Table]:
    with standing() as ground:
        yield asyncio.run(measured(ground))


class Group:
    """A topic of its own for each question."""

    def __init__(self, name: object) -> None:
        self.topic, self.secret = digest("topic", name), digest("secret", name)

    async def founded(self, line: Line) -> None:
        assert await line.told(CreateTopic(self.topic, hashlib.sha256(self.secret).digest()))
        await self.opened(line)

    async def opened(self, line: Line) -> None:
        assert await line.told(Show(self.topic, self.secret))

    async def read(self, line: Line, after: int = 0) -> None:
        line.ask(Show(self.topic, self.secret), Subscribe(self.topic, after))

    def append(self) -> Append:
        return Append(self.topic, os.urandom(32), BODY, None)


@asynccontextmanager
async def crowded(devices: int, ground: Ground) -> AsyncIterator[Crowd]:
    """A fresh relay; the rest of the devices is admitted."""
    with (
        tempfile.TemporaryDirectory() as folder,
        Crowd(Path(folder) / "relay", devices, ground.environment()) as crowd,
    ):
        await crowd.admit()
        yield crowd


async def measured(ground: Ground) -> Table:
    table = Table(f"relay over sockets, 1 KiB, {ground.mode}, record layer on")
    async with crowded(PUBLISHERS + 1, ground) as crowd:
        table.rows.append(await one_at_a_time(crowd))
        table.rows.append(await publishers(crowd, ground))
        table.rows.append(await catch_up(crowd, ground))
        table.rows.append(await handshakes(crowd))
        table.rows.append(await idle(crowd))
    for members in MEMBERS:
        async with crowded(members + 1, ground) as crowd:
            table.rows += await fan_out(crowd, members, ground)
    return table


def percentile(values: list[float], part: float) -> float:
    return sorted(values)[min(len(values) - 1, int(len(values) * part))]


def a_sync(folder: Path) -> float:
    """Seconds that a write of 4 KiB and its fsync take here."""
    with (folder / "probe").open("ab") as file:
        start = time.perf_counter()
        file.write(bytes(4096))
        file.flush()
        os.fdatasync(file.fileno())
        return time.perf_counter() - start


async def one_at_a_time(crowd: Crowd) -> Row:
    line, group = await crowd.enter(0), Group("single")
    await group.founded(line)
    took, syncs = [], []
    cpu = crowd.cpu()
    for n in range(SINGLE):
        start = time.perf_counter()
        assert await line.told(group.append())
        took.append(time.perf_counter() - start)
        if n % 4 == 0:
            syncs.append(a_sync(crowd.process.home))
    cpu = crowd.cpu() - cpu
    line.bye()
    note = (
        f"p50 {percentile(took, 0.5) * 1e3:.2f} ms, p99 {percentile(took, 0.99) * 1e3:.2f} ms; fsync alone"
        f" p50 {percentile(syncs, 0.5) * 1e3:.2f} ms, p99 {percentile(syncs, 0.99) * 1e3:.2f} ms"
    )
    return Row("one publish at a time", cpu / SINGLE, None, note)


async def publishers(crowd: Crowd, ground: Ground) -> Row:
    lines, group = [await crowd.enter(n) for n in range(PUBLISHERS)], Group("publishers")
    await group.founded(lines[0])
    for line in lines[1:]:
        await group.opened(line)
    start, cpu, servers = time.perf_counter(), crowd.cpu(), ground.cpu()
    await asyncio.gather(*[pour(line, group, APPENDS // PUBLISHERS) for line in lines])
    cpu, servers, wall = crowd.cpu() - cpu, ground.cpu() - servers, time.perf_counter() - start
    for line in lines:
        line.bye()
    note = per_core(cpu / APPENDS, "appends", APPENDS / wall, servers / APPENDS)
    return Row(f"{PUBLISHERS} publishers", cpu / APPENDS, None, note)


async def pour(line: Line, group: Group, count: int) -> None:
    """So many appends, a record each, a window of them under way."""
    over: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    sent = answered = 0

    def answer(_: int, well: bool) -> None:
        nonlocal sent, answered
        assert well
        answered += 1
        if sent < count:
            sent += 1
            line.ask(group.append())
        elif answered == count:
            over.set_result(None)

    line.on_answer = answer
    for _ in range(min(WINDOW, count)):
        sent += 1
        line.ask(group.append())
    await over


async def catch_up(crowd: Crowd, ground: Ground) -> Row:
    line, group = await crowd.enter(0), Group("history")
    await group.founded(line)
    await pour(line, group, CAUGHT)
    spent = walls = 0.0
    servers = ground.cpu()
    for n in range(1, 4):
        late = await crowd.enter(n)
        over, held = asyncio.get_running_loop().create_future(), 0

        def entries(count: int, over: asyncio.Future[None] = over) -> None:
            nonlocal held
            held += count
            if held >= CAUGHT and not over.done():
                over.set_result(None)

        late.on_entries = entries
        start, cpu = time.perf_counter(), crowd.cpu()
        await group.read(late)
        await over
        spent, walls = spent + crowd.cpu() - cpu, walls + time.perf_counter() - start
        late.bye()
        assert held == CAUGHT
    line.bye()
    each = spent / (3 * CAUGHT)
    servers = (ground.cpu() - servers) / (3 * CAUGHT)
    return Row("caught up on", each, None, per_core(each, "entries", 3 * CAUGHT / walls, servers))


async def handshakes(crowd: Crowd) -> Row:
    """A connection, the handshake, and the end of it."""
    cpu = crowd.cpu()
    for n in range(HANDSHAKES):
        (await crowd.enter(n % PUBLISHERS)).bye()
    await asyncio.sleep(0.2)
    each = (crowd.cpu() - cpu) / HANDSHAKES
    return Row("connection: TCP, HTTP, handshake, bye", each, None, f"{1 / each:,.0f} a second and core")


async def idle(crowd: Crowd) -> Row:
    """What a session that says nothing holds in memory."""
    office = crowd.founded.office("targets")  # of an office there may be any number
    warm = [await crowd.enter(office) for _ in range(50)]
    before, cpu = crowd.memory(), crowd.cpu()
    lines = [await crowd.enter(office) for _ in range(IDLE)]
    held, each = crowd.memory() - before, (crowd.cpu() - cpu) / IDLE
    for line in [*warm, *lines]:
        line.bye()
    await asyncio.gather(*[line.lost for line in lines])
    return Row(f"{IDLE} idle sessions", each, None, f"{held / IDLE / 1024:.1f} KiB each")


async def fan_out(crowd: Crowd, members: int, ground: Ground) -> list[Row]:
    group, publisher = Group(members), await crowd.enter(0)
    await group.founded(publisher)
    lines = [await crowd.enter(n) for n in range(1, members + 1)]
    counts = [0] * members
    behind: dict[int, int] = {}  # message → members that have not got it
    last: list[float] = []
    sent_at: list[float] = []
    stir = asyncio.Event()

    def entries(member: int, count: int) -> None:
        for message in range(counts[member], counts[member] + count):
            behind[message] -= 1
            if not behind[message]:
                del behind[message]
                last.append(time.perf_counter() - sent_at[message])
                stir.set()
        counts[member] += count

    for n, line in enumerate(lines):
        line.on_entries = lambda count, n=n: entries(n, count)
        await group.read(line)
    await asyncio.gather(*[line.told(Show(group.topic, group.secret)) for line in lines])

    def publish() -> None:
        behind[len(sent_at)] = members
        sent_at.append(time.perf_counter())
        publisher.ask(group.append())

    for _ in range(GENTLE):
        publish()
        await asyncio.sleep(0.1)
    while behind:
        stir.clear()
        await stir.wait()
    gentle = last[1:]
    count = max(FANNED // members, 2 * AHEAD)
    start, cpu, servers = time.perf_counter(), crowd.cpu(), ground.cpu()
    for _ in range(count):
        while len(behind) >= AHEAD:
            stir.clear()
            await stir.wait()
        publish()
    while behind:
        stir.clear()
        await stir.wait()
    cpu, servers, wall = crowd.cpu() - cpu, ground.cpu() - servers, time.perf_counter() - start
    assert counts == [count + GENTLE] * members
    for line in [publisher, *lines]:
        line.bye()
    each = cpu / count / members
    half, most = (percentile(gentle, part) * 1e3 for part in (0.5, 0.99))
    note = f"p50 {half:.1f} ms, p99 {most:.1f} ms, ten messages a second"
    deliveries = per_core(each, "deliveries", count * members / wall, servers / count / members)
    return [
        Row(f"fan-out to {members}", each, None, deliveries),
        Row(f"the last of {members} has it", percentile(gentle, 0.5), None, f"wall: {note}"),
    ]


def per_core(each: float, what: str, wall: float, servers: float) -> str:
    beside = f"; servers {servers * 1e6:.1f} µs" if servers else ""
    return f"{1 / each:,.0f} {what} a second and core ({wall:,.0f}/s wall){beside}"


if __name__ == "__main__":
    run(tables())
