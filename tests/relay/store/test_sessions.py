"""Notices of sessions: one for each device, as long as its session lives, and each once, whatever the cluster does."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Coroutine, Mapping
from typing import Any

import pytest

from relay.store import sessions
from relay.store.jetstream import ONCE, ApiError, Link, Message, StoreFailed, Unsure
from relay.store.news import Elsewhere
from relay.store.sessions import Sessions
from tests.relay.store.test_nats import Ear, eventually, relays
from tests.support.cluster import Cluster

WHO = b"cert-at/a"


class Log(Link):
    """A cluster's log, as far as `Sessions` writes to it. ``refuses``: with what, one after the other; ``loses``: how
    many of the first are taken, yet not confirmed; then ``echo`` is called."""

    def __init__(self) -> None:
        self.refuses: list[Exception] = []
        self.loses = 0
        self.echo: Callable[[], None] = lambda: None
        self.kept: list[Message] = []
        self.tried = asyncio.Event()

    async def put(
        self,
        subject: str,
        body: bytes,
        expect: int | None = None,
        headers: Mapping[str, str] | None = None,
        patience: float = 0.0,
    ) -> int:
        self.tried.set()
        await asyncio.sleep(0)
        if self.refuses:
            raise self.refuses.pop(0)
        self.kept.append(Message(subject, len(self.kept) + 1, body))
        if self.loses:
            self.loses -= 1
            self.echo()
            raise Unsure("no answer in time")
        return len(self.kept)


class Relay:
    """One that writes to the log, and reads it when it is told to."""

    def __init__(self, log: Log) -> None:
        self._log = log
        self._read = 0
        self.ended: list[bytes] = []
        self.tasks: set[asyncio.Task[None]] = set()
        self.sessions = Sessions(log, "p", self._spawn, self.ended.append)

    def _spawn(self, work: Coroutine[None, None, None]) -> None:
        task = asyncio.create_task(work)
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)

    async def done(self) -> None:
        await asyncio.gather(*self.tasks)

    def read(self) -> None:
        for message in self._log.kept[self._read :]:
            self.sessions.take(message)
        self._read = len(self._log.kept)

    def nothing_left(self) -> bool:
        return not (self.tasks or self.sessions._announced or self.sessions._sending)


@pytest.fixture
def log(monkeypatch: pytest.MonkeyPatch) -> Log:
    monkeypatch.setattr(sessions, "AGAIN", 0.0)
    return Log()


async def test_who_has_left_meanwhile_ends_nobody_when_the_cluster_is_back(log: Log) -> None:
    here, there = Relay(log), Relay(log)
    log.refuses = [StoreFailed("the cluster is not reached", retry_after=1.0)]
    here.sessions.announce(WHO)
    await log.tried.wait()
    here.sessions.retract(WHO)
    there.sessions.announce(WHO)
    await there.done()
    await here.done()
    there.read()
    here.read()
    assert there.ended == []
    assert [json.loads(message.data)["relay"] for message in log.kept] == [there.sessions._instance]
    assert here.nothing_left()
    assert there.nothing_left()


async def test_who_leaves_in_the_turn_in_which_it_came_is_not_announced(log: Log) -> None:
    here = Relay(log)
    here.sessions.announce(WHO)
    here.sessions.retract(WHO)
    await here.done()
    assert not log.tried.is_set()
    assert here.nothing_left()


@pytest.mark.parametrize(
    "error", [Unsure("nobody answers"), ApiError(10158, "in process"), StoreFailed("away", retry_after=1.0)], ids=type
)
async def test_whatever_a_cluster_answers_the_notice_is_due(log: Log, error: Exception) -> None:
    here, there = Relay(log), Relay(log)
    log.refuses = [error] * 3
    here.sessions.announce(WHO)
    await here.done()
    there.read()
    assert there.ended == [WHO]
    here.read()
    assert here.nothing_left()
    there.sessions.announce(WHO)  # and a later one ends it
    await there.done()
    here.read()
    assert here.ended == [WHO]


async def test_what_has_come_back_is_not_sent_again(log: Log) -> None:
    here, there = Relay(log), Relay(log)
    log.loses = 1
    log.echo = here.read  # before the pause is over
    here.sessions.announce(WHO)
    await here.done()
    assert len(log.kept) == 1
    there.sessions.announce(WHO)  # later than that, though it has not heard of it
    await there.done()
    there.read()
    assert there.ended == []
    here.read()
    assert here.ended == [WHO]
    assert here.nothing_left()
    assert there.nothing_left()


async def test_the_newest_session_here_counts_and_no_older_notice_of_it(log: Log) -> None:
    here, there = Relay(log), Relay(log)
    here.sessions.announce(WHO)
    await here.done()
    there.sessions.announce(WHO)
    await there.done()
    here.sessions.announce(WHO)  # before it has heard of either
    await here.done()
    here.read()
    assert here.ended == []
    there.read()
    assert there.ended == [WHO]
    assert here.nothing_left()
    assert there.nothing_left()


async def test_the_cluster_takes_a_notice_once(cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sessions, "AGAIN", 0.01)
    async with relays(cluster, 2) as (first, second):
        ear, honest, names = Ear(second), first.link.put, []

        async def put(subject: str, body: bytes, **also: Any) -> int:
            names.append(also["headers"][ONCE])
            places = [await honest(subject, body, **also) for _ in range(2)]  # as where the first answer got lost
            assert len(set(places)) == 1
            return places[0]

        monkeypatch.setattr(first.link, "put", put)
        first.announce(b"one")
        first.announce(b"two")
        await ear.until(lambda heard: len(heard) == 2)
        assert {news.who for news in ear.heard if isinstance(news, Elsewhere)} == {b"one", b"two"}
        assert len(set(names)) == 2


async def test_a_crowd_that_comes_again_and_again_leaves_one_notice_each(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sessions, "AGAIN", 0.01)
    monkeypatch.setattr(sessions, "LONGEST", 0.01)
    async with relays(cluster, 2) as (first, second):
        ear = Ear(second)
        honest, away, tried = first.link.put, True, 0

        async def put(*given: Any, **also: Any) -> int:
            nonlocal tried
            tried += 1
            if away:
                raise Unsure("no answer in time")
            return await honest(*given, **also)

        monkeypatch.setattr(first.link, "put", put)
        crowd = [b"device %d" % n for n in range(20)]
        for _ in range(50):
            for who in crowd:
                first.announce(who)

        async def all_tried() -> bool:
            return tried >= 3 * len(crowd)

        await eventually(all_tried)
        assert len(first._sessions._sending) == len(crowd)
        assert len(first._tasks) <= len(crowd) + 2  # beside the feed, and the looks at the log
        away = False
        await ear.until(lambda heard: len(heard) == len(crowd))
        assert {news.who for news in ear.heard if isinstance(news, Elsewhere)} == set(crowd)

        async def nothing_left() -> bool:
            return not first._sessions._sending and not first._sessions._announced

        await eventually(nothing_left)
        first.announce(crowd[0])  # a later one is told again
        await ear.until(lambda heard: heard.count(Elsewhere(crowd[0])) == 2)
