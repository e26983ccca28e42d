"""What one session asks about one thing is judged in its order."""

from __future__ import annotations

import asyncio
import hashlib
from typing import Any

import pytest

from relay.bounds import Bounds
from relay.lanes import Lanes
from relay.store.memory import MemoryStore
from relay.topics import Topics
from securechan.wire.frames import (
    Append,
    Appended,
    Code,
    CreateTopic,
    Done,
    Error,
    Show,
    Subscribe,
    Unsubscribe,
)
from tests.relay.desk import digest, open_desk

T = digest("topic")
S0, S1, S2, S3 = (digest("secret", n) for n in range(4))


async def test_requests_of_one_session_are_judged_in_their_order() -> None:
    async with open_desk() as desk:
        client = desk.client("cert-hr/a")
        numbers = [
            client.send(body)
            for body in (
                Append(T, digest(1), b"too early", None),
                CreateTopic(T, hashlib.sha256(S0).digest()),
                Append(T, digest(2), b"nothing shown", None),
            )
        ]
        answers = [await client.answer(number) for number in numbers]
        assert [a.code if isinstance(a, Error) else a for a in answers[:2]] == [Code.UNKNOWN_TOPIC, Done()]
        numbers = [
            client.send(body)
            for body in (Show(T, S0), Subscribe(T, 0), Append(T, digest(3), b"said", None), Unsubscribe(T))
        ]
        assert [await client.answer(n) for n in numbers] == [Done(), Done(), Appended(1), Done()]
        again = desk.client("cert-hr/b")  # the topic's closed secret takes a look into the store; the next must wait
        await client.commit(T, 0, S1)
        await again.show(T, S0)
        await again.show(T, S1)
        third = desk.client("cert-si/c")
        numbers = [third.send(body) for body in (Show(T, S0), Subscribe(T, 0), Append(T, digest(4), b"late", None))]
        answers = [await third.answer(n) for n in numbers]
        assert answers[:2] == [Done(), Done()]
        assert isinstance(answers[2], Error)
        assert (answers[2].code, answers[2].sequence) == (Code.STALE, 2)


async def test_a_fault_of_ours_is_the_answer_to_one_request_and_the_next_is_judged(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async with open_desk() as desk:
        look, faults = desk.store.topic, [ZeroDivisionError("a mistake of the relay's")]

        async def fails_once(topic: bytes) -> Any:
            if faults:
                raise faults.pop()
            return await look(topic)

        monkeypatch.setattr(desk.store, "topic", fails_once)
        client = desk.client("cert-hr/a")
        numbers = [client.send(Show(T, S0)), client.send(Subscribe(T, 0))]  # one lane: about one topic
        first, second = [await client.answer(number) for number in numbers]
        assert isinstance(first, Error)
        assert isinstance(second, Error)
        assert (first.code, second.code) == (Code.INTERNAL, Code.UNKNOWN_TOPIC)
        assert client.outlet.ended is None
        assert "request failed" in caplog.text
        assert "ZeroDivisionError" in caplog.text


async def test_what_is_judged_keeps_its_topic_open_from_then_on() -> None:
    topics = Topics(MemoryStore(), Bounds(topics_open=0))
    async with topics.use(T) as topic:
        pass
    answered = asyncio.Event()

    class Asker:
        def answer(self, _: int, body: object) -> None:
            assert body == Done()
            answered.set()

    async def work() -> Done:
        assert topics.get(T) is topic
        return Done()

    asker: Any = Asker()
    lanes = Lanes(topics, lambda *_: work())

    async def open_another() -> None:  # for which those are closed that nobody uses
        async with topics.use(S1):
            await answered.wait()

    another = asyncio.create_task(open_another())
    await asyncio.sleep(0)  # it is about to be opened, before the lane has its first turn
    lanes.take(asker, 1, Show(T, S0))
    await another
    await lanes.finish()
    assert topic.users == 0
