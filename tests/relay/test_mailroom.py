"""The mailroom whole: readers brought up to date, sessions that come and go, how it starts and ends."""

from __future__ import annotations

import asyncio
import hashlib
from pathlib import Path
from typing import Any

import pytest

from relay.admission import name_of
from relay.bounds import Bounds
from relay.store.memory import MemoryStore
from relay.store.sqlite import SqliteStore
from securechan.errors import Refused
from securechan.wire.frames import (
    TRUST_TOPIC,
    Append,
    Appended,
    Code,
    CreateTopic,
    Deliver,
    Done,
    Error,
    Halt,
    Ping,
    Reason,
    Show,
    Subscribe,
    inbox_topic,
)
from tests.relay.desk import Clock, digest, open_desk

T = digest("topic")
S0, S1, S2, S3 = (digest("secret", n) for n in range(4))


async def test_catching_up_comes_in_runs_and_loses_nothing_that_is_said_meanwhile(tmp_path: Path) -> None:
    store = await SqliteStore.open(tmp_path / "relay.db")
    async with open_desk(store, bounds=Bounds(run=8192, tail=4096)) as desk:
        one = desk.client("cert-hr/a")
        await one.create(T, S0)
        numbers = [one.send(Append(T, digest(n), b"%03d" % n + bytes(400), None)) for n in range(200)]
        await one.answer(numbers[-1])
        late = desk.client("cert-si/c")
        await late.read(T, S0, after=50)
        for n in range(200, 260):
            one.send(Append(T, digest(n), b"%03d" % n + bytes(400), None))
            if n % 10 == 0:
                await asyncio.sleep(0)
        await late.halted(T, Halt.TAIL, 210)
        assert [int(body[:3]) for body in late.bodies(T)] == list(range(50, 260))
        runs = late.runs(T)
        assert all(sum(len(e.encode()) for e in run.entries) <= 2 * 8192 for run in runs)
        assert {run.halt for run in runs} == {Halt.MORE, Halt.TAIL}


async def test_a_slow_reader_costs_nothing_and_misses_nothing() -> None:
    async with open_desk(bounds=Bounds(run=4096, tail=4096)) as desk:
        one, slow, fast = (desk.client(n) for n in ("cert-hr/a", "cert-si/c", "cert-si/d"))
        await one.create(T, S0, slow, fast)
        for client in (slow, fast):
            await client.halted(T, Halt.TAIL)
        slow.outlet.congested = True
        for n in range(100):
            await one.say(T, b"%03d" % n + bytes(500))
        await fast.halted(T, Halt.TAIL, 100)
        assert slow.bodies(T) == []
        slow.outlet.relieve()
        await slow.halted(T, Halt.TAIL, 100)
        assert slow.entries(T) == fast.entries(T)


async def test_subscribing_anew_moves_the_cursor() -> None:
    async with open_desk(bounds=Bounds(run=500)) as desk:
        one, two = desk.client("cert-hr/a"), desk.client("cert-si/c")
        await one.create(T, S0)
        for n in range(20):
            await one.say(T, b"%03d" % n + bytes(200))
        await two.show(T, S0)
        for after in (15, 3, 18, 0):
            two.send(Subscribe(T, after))
        await two.halted(T, Halt.TAIL)
        seen = [int(body[:3]) for body in two.bodies(T)]
        assert seen[-20:] == list(range(20))  # the last word holds


async def test_many_lagging_sessions_are_served_in_turn() -> None:
    async with open_desk(bounds=Bounds(run=1000)) as desk:
        one = desk.client("cert-hr/a")
        await one.create(T, S0)
        for n in range(40):
            await one.say(T, b"%03d" % n + bytes(200))
        readers = [desk.client(name) for name in ("cert-hr/b", "cert-si/c", "cert-si/d")]
        for reader in readers:
            reader.send(Show(T, S0))
            reader.send(Subscribe(T, 0))
        await readers[0].halted(T, Halt.TAIL, 40)
        assert min(len(reader.entries(T)) for reader in readers) > 30  # nobody was served to the end before the others
        for reader in readers[1:]:
            await reader.halted(T, Halt.TAIL, 40)


async def test_a_session_has_its_bounds() -> None:
    async with open_desk(bounds=Bounds(topics_per_session=2, requests_in_flight=4, max_entry=1000)) as desk:
        one = desk.client("cert-hr/a")
        for n in range(2):
            await one.create(digest(n), digest("s", n))
        await one.ask(CreateTopic(digest(2), hashlib.sha256(digest("s", 2)).digest()))
        assert (await one.refused(Show(digest(2), digest("s", 2)))).code is Code.QUOTA
        assert (await one.refused(Append(digest(0), S0, bytes(1001), None))).code is Code.TOO_LARGE
        numbers = [one.send(Append(digest(0), digest("x", n), b"", None)) for n in range(6)]
        answers: list[Any] = [await one.answer(n) for n in numbers]
        assert [type(a) for a in answers] == [Appended] * 4 + [Error] * 2
        assert {a.code for a in answers[4:]} == {Code.OVERLOADED}


async def test_below_waits_for_answers() -> None:
    async with open_desk() as desk:
        one = desk.client("cert-hr/a")
        await one.create(T, S0)
        for n in range(10):
            one.send(Append(T, digest(n), b"", None))
        assert one.member.inflight == 10
        await one.member.below(10)
        assert one.member.inflight < 10
        await one.member.below(1)
        assert one.member.inflight == 0


async def test_sessions_come_and_go() -> None:
    async with open_desk(bounds=Bounds(sessions=2)) as desk:
        one, two = desk.client("cert-hr/a"), desk.client("cert-si/c")
        with pytest.raises(Refused) as refused:
            desk.client("cert-si/d")
        assert refused.value.code == "overloaded"
        again = desk.client("cert-hr/a")
        assert one.outlet.ended is Reason.REPLACED
        one.member.leave()
        one.member.leave()
        two.member.leave()
        assert desk.mailroom.stats()["sessions"] == 1
        three = desk.client("cert-si/c")
        await again.create(T, S0, three)
        three.send(Append(T, digest("last words"), b"last words", None))
        three.member.leave()  # nobody hears the answer, and yet
        await again.read(T)
        await again.halted(T, Halt.TAIL, 1)
        assert again.bodies(T) == [b"last words"]
        assert three.bodies(T) == []


class Told(MemoryStore):
    """Keeps what it is told of sessions."""

    def __init__(self) -> None:
        super().__init__()
        self.sessions: list[tuple[str, bytes]] = []

    def announce(self, who: bytes) -> None:
        self.sessions.append(("begun", who))

    def retract(self, who: bytes) -> None:
        self.sessions.append(("over", who))


async def test_a_session_is_announced_and_its_notice_goes_with_it() -> None:
    store = Told()
    async with open_desk(store) as desk:
        older = desk.client("cert-hr/a")
        newer = desk.client("cert-hr/a")
        who = name_of(newer.member.who)
        assert store.sessions == [("begun", who), ("over", who), ("begun", who)]
        older.member.leave()  # again: the newer one's notice stays
        assert len(store.sessions) == 3
        newer.member.leave()
        assert store.sessions[3:] == [("over", who)]


async def test_stopping_finishes_what_was_asked(tmp_path: Path) -> None:
    store = await SqliteStore.open(tmp_path / "relay.db")
    async with open_desk(store) as desk:
        one = desk.client("cert-hr/a")
        await one.create(T, S0)
        numbers = [one.send(Append(T, digest(n), b"%d" % n, None)) for n in range(50)]
        await desk.mailroom.stop()
        assert [await one.answer(n) for n in numbers] == [Appended(n + 1) for n in range(50)]
        late = await one.refused(Append(T, digest("late"), b"late", None))
        assert late.code is Code.OVERLOADED
    again = await SqliteStore.open(tmp_path / "relay.db")
    assert len((await again.read(T, 0, None, 1 << 30)).entries) == 50
    await again.close()


async def test_requests_past_the_outlet_are_answered_too() -> None:
    async with open_desk() as desk:
        one = desk.client("cert-hr/a")
        answers = await asyncio.gather(one.member.request(Ping()), one.member.request(Show(T, S0)))
        assert answers[0] == Done()
        assert isinstance(answers[1], Error)
        assert one.outlet.frames == []


async def test_topics_nobody_uses_are_closed_and_come_back() -> None:
    async with open_desk(bounds=Bounds(topics_open=4), clock=Clock()) as desk:
        one = desk.client("cert-hr/a")
        to = [inbox_topic(name) for name in ("cert-hr/a", "cert-hr/b", "cert-si/c", "cert-si/d")]
        for turn in range(3):
            for n in range(20):
                await one.refused(Subscribe(digest("nothing", n), 0))
            for topic in to:
                assert await one.ask(Deliver(topic, digest(turn), b"%d" % turn)) == Appended(turn + 1)
        assert desk.mailroom.stats()["topics_open"] <= 6
        await one.read(to[0])
        await one.halted(to[0], Halt.TAIL, 3)


async def test_what_is_older_than_the_retention_goes() -> None:
    async with open_desk(bounds=Bounds(retention=1000)) as desk:
        one, two = desk.client("cert-hr/a"), desk.client("cert-si/c")
        await one.create(T, S0)
        await one.say(T, b"old")
        await one.commit(T, 0, S1)
        await one.say(T, b"old too")
        await one.ask(Deliver(inbox_topic("cert-si/c"), S0, b"old"))
        desk.clock.now += 1001 * 1000
        await one.say(T, b"new")
        await desk.mailroom._forget_old(desk.clock.now // 1000)
        await one.say(T, b"newer")
        await two.show(T, S0)
        early = await two.refused(Subscribe(T, 0))
        assert (early.code, early.sequence) == (Code.TRIMMED, 1)  # all but the last commit and what follows it
        await two.read(T, after=1)
        await two.halted(T, Halt.SHOW)
        await two.show(T, S1)
        await two.halted(T, Halt.TAIL)
        assert two.bodies(T) == [b"commit", b"old too", b"new", b"newer"]
        mine = inbox_topic("cert-si/c")
        await two.read(mine)
        await two.halted(mine, Halt.TAIL)
        assert two.bodies(mine) == []
        await two.read(TRUST_TOPIC)
        await two.halted(TRUST_TOPIC, Halt.TAIL, 1)  # never trimmed
