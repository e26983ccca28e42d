"""Many at once, and some who mean harm: what `bench_load` measures at full size and `tests/relay/test_load.py` judges
at a small one.

Each scenario is a coroutine over a `Crowd` and returns what happened. Sizes are arguments. The *probe* is an honest
session that publishes one message at a time throughout: what others suffer is how its latency changes.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import os
import random
import resource
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Final

from securechan.errors import SecurechanError
from securechan.wire.frames import Append, CreateTopic, Ping, Show, Subscribe
from securechan.wire.handshake import Greeting
from tests.bench.crowd import BODY, Crowd, Line, wrapped
from tests.relay.desk import digest

TOPIC: Final = digest("load topic")
SECRET: Final = digest("load secret")
JITTER: Final = 2.0  # seconds over which those come back who were cut off together
PROBE_PAUSE: Final = 0.01


def more_files(wanted: int) -> bool:
    """Let this process, and those it starts, have so many files open; False where the machine doesn't."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < wanted:
        return False
    if soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    return True


def append() -> Append:
    return Append(TOPIC, os.urandom(32), BODY, None)


async def founder(crowd: Crowd, who: int = 0) -> Line:
    """Device ``who``, in a topic it has founded or entered."""
    line = await crowd.enter(who)
    await line.told(CreateTopic(TOPIC, hashlib.sha256(SECRET).digest()))
    if not await line.told(Show(TOPIC, SECRET)):
        raise RuntimeError("the relay took no secret")
    return line


def percentile(values: list[float], part: float) -> float:
    return sorted(values)[min(len(values) - 1, int(len(values) * part))]


@dataclass
class Probe:
    """Seconds that the honest session's appends took."""

    took: list[float] = field(default_factory=list)
    refused: int = 0

    @property
    def p95(self) -> float:
        return percentile(self.took, 0.95)


@asynccontextmanager
async def probing(line: Line) -> AsyncIterator[Probe]:
    """An honest session that publishes one message after another while the block lasts, and once more after it."""
    probe, over = Probe(), asyncio.Event()

    async def publish() -> None:
        while True:
            last = over.is_set()
            start = time.perf_counter()
            probe.refused += not await line.told(append())
            probe.took.append(time.perf_counter() - start)
            if last:
                return
            await asyncio.sleep(PROBE_PAUSE)

    task = asyncio.create_task(publish())
    try:
        yield probe
    finally:
        over.set()
        await task


async def quiet(line: Line, seconds: float) -> Probe:
    """The same while nothing else happens."""
    async with probing(line) as probe:
        await asyncio.sleep(seconds)
    return probe


async def together(count: int, each: Callable[[int], Awaitable[Line]], at_once: int = 64) -> list[Line]:
    """So many lines, some at a time."""
    turn = asyncio.Semaphore(at_once)

    async def one(n: int) -> Line:
        async with turn:
            return await each(n)

    return list(await asyncio.gather(*(one(n) for n in range(count))))


async def leave(*lines: Line) -> None:
    """All say bye, and are gone."""
    for line in lines:
        line.bye()
    await asyncio.gather(*(line.lost for line in lines))


# ------------------------------------------------------------------------------------------------------------ crowds


@dataclass(frozen=True)
class Crowded:
    """Bytes of memory a session; the seconds that each message took to the last of the active."""

    each: float
    lasts: list[float]
    idle_cpu: float  # of one core, while nobody says anything


async def idle_and_active(crowd: Crowd, idle: int, active: int, messages: int) -> Crowded:
    """``idle`` sessions that say nothing, ``active`` ones that read one conversation at ten messages a second."""
    office = crowd.founded.office("targets")  # there may be any number of sessions of an office
    publisher = await founder(crowd)
    before = crowd.memory()
    silent = await together(idle, lambda _: crowd.enter(office))
    each = (crowd.memory() - before) / max(idle, 1)
    cpu, start = crowd.cpu(), time.perf_counter()
    await asyncio.sleep(1.0)
    idle_cpu = (crowd.cpu() - cpu) / (time.perf_counter() - start)
    readers = await together(active, lambda n: crowd.enter(n + 1))
    got, reached = Counter[int](), asyncio.Event()
    lasts: list[float] = []

    def entries(line: Line) -> Callable[[int], None]:
        held = 0

        def hear(count: int) -> None:
            nonlocal held
            for n in range(held, held + count):
                got[n] += 1
                if got[n] == active:
                    reached.set()
            held += count

        line.on_entries = hear
        return hear

    for line in readers:
        entries(line)
        line.ask(Show(TOPIC, SECRET), Subscribe(TOPIC, 0))
    await asyncio.gather(*(line.told(Ping()) for line in readers))
    for _ in range(messages):
        start = time.perf_counter()
        reached.clear()
        publisher.ask(append())
        async with asyncio.timeout(60):
            await reached.wait()
        lasts.append(time.perf_counter() - start)
        await asyncio.sleep(max(0.0, 0.1 - lasts[-1]))
    assert await silent[-1].told(Ping()) if silent else True
    await leave(*silent, *readers, publisher)
    return Crowded(each, lasts, idle_cpu)


@dataclass(frozen=True)
class Storm:
    """How long until all were back, how often one was told to come later, CPU seconds of the relay a session."""

    seconds: float
    put_off: int
    each: float


async def reconnect(crowd: Crowd, count: int) -> Storm:
    """So many sessions are cut at once; all come back, after a moment of their own, as clients do."""
    office = crowd.founded.office("targets")
    lines = await together(count, lambda _: crowd.enter(office), at_once=8)
    for line in lines:
        line.transport.abort()
    await asyncio.gather(*(line.lost for line in lines))
    put_off = 0
    cpu, start = crowd.cpu(), time.perf_counter()

    async def again(_: int) -> Line:
        nonlocal put_off
        pause = JITTER
        while True:
            await asyncio.sleep(random.uniform(0, pause))
            try:
                return await crowd.enter(office)
            except (SecurechanError, OSError):
                put_off += 1
                pause = min(2 * pause, 8.0)

    back = list(await asyncio.gather(*(again(n) for n in range(count))))
    storm = Storm(time.perf_counter() - start, put_off, (crowd.cpu() - cpu) / count)
    assert all(await asyncio.gather(*(line.told(Ping()) for line in back)))
    await leave(*back)
    return storm


# -------------------------------------------------------------------------------------------------- too much of one


@dataclass(frozen=True)
class Flood:
    """How the honest session fared before and during, and what became of the flood."""

    before: Probe
    during: Probe
    granted: int
    refused: int
    seconds: float


async def one_floods(crowd: Crowd, seconds: float) -> Flood:
    """A device that is let in appends without end; another publishes on."""
    line, rude = await founder(crowd, 0), await founder(crowd, 1)
    before = await quiet(line, seconds / 2)
    answers, over = Counter[bool](), False

    def answer(_: int, well: bool) -> None:
        answers[well] += 1
        if not over:
            rude.ask(append())

    rude.on_answer = answer
    start = time.perf_counter()
    async with probing(line) as during:
        for _ in range(60):
            rude.ask(append())
        await asyncio.sleep(seconds)
        over = True
    await leave(line, rude)
    return Flood(before, during, answers[True], answers[False], time.perf_counter() - start)


async def slow_reader(crowd: Crowd, messages: int) -> tuple[int, int]:
    """One reads nothing while so many entries are said: (bytes by which the relay grew, entries the slow one has once
    it reads on, or when it comes again)."""
    line, slow = await founder(crowd, 0), await founder(crowd, 1)
    held, over = 0, asyncio.Event()

    def entries(count: int) -> None:
        nonlocal held
        held += count
        if held >= messages:
            over.set()

    slow.on_entries = entries
    await slow.told(Subscribe(TOPIC, 0))
    slow.transport.pause_reading()
    before = crowd.memory()
    for first in range(0, messages, 32):
        last = line.ask(*(append() for _ in range(min(32, messages - first)))) + min(32, messages - first) - 1
        answered: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        line.on_answer = lambda n, _, last=last, answered=answered: answered.set_result(None) if n == last else None
        await answered
    grown = crowd.memory() - before
    slow.transport.resume_reading()
    async with asyncio.timeout(60):
        await over.wait()
    await leave(line, slow)
    return grown, held


# ------------------------------------------------------------------------------------------------------- strangers


async def knock(crowd: Crowd, kind: str) -> None:
    """One stranger of a kind, who goes when the relay hangs up or a moment after."""
    try:
        line = await crowd.line()
    except OSError:
        return
    with contextlib.suppress(SecurechanError, TimeoutError, OSError):
        if kind != "silent":
            await line.message()
        match kind:
            case "garbage":
                line.transport.write(wrapped(os.urandom(3000)))
            case "no frames":
                line.transport.write(os.urandom(3000))
            case "huge":
                line.transport.write(b"\x82\xff" + (1 << 40).to_bytes(8, "big") + bytes(4) + bytes(4096))
            case "slow":
                for byte in wrapped(os.urandom(2400))[:20]:
                    line.transport.write(bytes((byte,)))
                    await asyncio.sleep(0.05)
            case "bad tag":
                _, hello = Greeting.start(crowd.founded.relay, crowd.credential(0))
                spoilt = bytearray(hello)
                spoilt[-40] ^= 1
                line.transport.write(wrapped(bytes(spoilt)))
            case "silent" | "half":
                await asyncio.sleep(1.0)
        await asyncio.wait([line.lost], timeout=0.5)
    line.transport.abort()


STRANGERS: Final = ("garbage", "no frames", "huge", "slow", "bad tag", "silent", "half")


@dataclass(frozen=True)
class Siege:
    """How the honest session fared before and during, how many strangers came, and by how many bytes the relay grew."""

    before: Probe
    during: Probe
    strangers: int
    grown: int
    cpu: float  # seconds of the relay a stranger


async def siege(crowd: Crowd, seconds: float, kinds: tuple[str, ...] = STRANGERS, at_once: int = 32) -> Siege:
    """Strangers who can't be let in come without end; one session publishes on."""
    line = await founder(crowd, 0)
    before = await quiet(line, seconds / 2)
    came, over, memory = 0, False, crowd.memory()
    cpu = crowd.cpu()

    async def come(n: int) -> None:
        nonlocal came
        while not over:
            await knock(crowd, kinds[n % len(kinds)])
            came += 1
            n += 1

    async with probing(line) as during:
        besiegers = [asyncio.create_task(come(n)) for n in range(at_once)]
        await asyncio.sleep(seconds)
        over = True
        await asyncio.gather(*besiegers)
    spent = crowd.cpu() - cpu
    await leave(line)
    return Siege(before, during, came, crowd.memory() - memory, spent / max(came, 1))
