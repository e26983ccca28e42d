"""The client is killed between any two effects, and again while it recovers: nothing is lost, nothing comes twice.

A device founds a conversation, speaks, renews its keys, publishes a bulletin and acknowledges another's. It kills
itself, with SIGKILL, before the n-th effect of all that; its next life before the m-th of its own. The third goes on
where the disk says that it was. Whoever drives it repeats what wasn't answered, as a person or a script would.

In the end, whatever n and m: every message and bulletin stands in both archives exactly once, in one order; every
screen of the other device was told once; both are in one epoch; nobody raised an alarm; and no key sealed two
messages, which is looked up in the sender data of everything that ever left.

A few n are tried each time. ``make test`` leaves the full row to ``pytest -m slow``.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import TypeVar

import pytest

from securechan.agent.events import BulletinReceived, MessageReceived, ReceiptReceived
from securechan.agent.inputs import Acknowledge, CreateConversation, PublishBulletin, Published, RotateEpochs, SendText
from securechan.bulletin.tlp import Tlp
from tests.support import stage_questions as ask
from tests.support.stage import Live, Stage
from tests.support.stage_process import Died, Nursery, Process

T = TypeVar("T")

SOME = range(1, 30, 4)
ALL = range(1, 32)  # what is asked of it takes about thirty effects


@pytest.fixture(params=[SOME, pytest.param(ALL, marks=pytest.mark.slow)], ids=["some", "all"])
def moments(request: pytest.FixtureRequest) -> range:
    """Before which effects it dies."""
    found: range = request.param
    return found


@dataclass
class Mortal:
    """A process that is started again whenever it dies."""

    process: Process
    next_deaths: list[int]
    deaths: int = 0

    async def insist(self, step: Callable[[], Awaitable[T]]) -> T:
        """Until it has answered."""
        while True:
            try:
                return await step()
            except Died:
                self.deaths += 1
                await self.process.start(die=self.next_deaths.pop(0) if self.next_deaths else 0)

    async def found(self, stage: Stage, name: str) -> bytes:
        async def step() -> bytes:
            known = await self.process.until(ask.talks)
            there = [each.topic for each in known[0] if each.name == name]
            if there:
                return bytes(there[0])
            topic: bytes = await self.process.do(CreateConversation(stage.room_policy(name)))
            return topic

        return await self.insist(step)


async def test_the_client_is_killed_between_any_two_effects(stage: Stage, moments: range) -> None:
    async with AsyncExitStack() as exits:
        nursery = await exits.enter_async_context(Nursery(stage))
        bor = await exits.enter_async_context(stage.live("bor"))
        ana = nursery.process("ana")
        await ana.start()
        topics = [await _one_round(stage, ana, bor, moment) for moment in moments]
        await ana.kill()
        for topic in topics:
            mine, his = ana.archive(topic), bor.archive(topic)
            for kind, field, count in (("message-received", "body", 3), ("bulletin-received", "title", 2)):
                shown = [each[field] for each in mine if each["event"] == kind]
                assert shown == [each[field] for each in his if each["event"] == kind]
                assert len(shown) == len(set(shown)) == count
            assert [each["device"] for each in mine if each["event"] == "member-added"] == [bor.device]
        assert not [each for topic in topics for each in ana.archive(topic) if each["event"] == "alarm"]
        assert not bor.alarms()
        assert ana.lives > 1.5 * len(topics)
    assert len(stage.ledger.entries()) > 5 * len(topics)
    assert not stage.ledger.reused()


async def _one_round(stage: Stage, process: Process, bor: Live, moment: int) -> bytes:
    name = f"room-{moment}"
    ana = Mortal(process, [1 + moment * 5 % 17])
    await ana.insist(lambda: process.until(ask.idle))
    await ana.insist(lambda: process.die(moment))

    topic = await ana.found(stage, name)
    first, second, third, fourth = (bytes([moment, each]) * 8 for each in range(4))
    await ana.insist(lambda: process.do(SendText(topic, "one", Tlp.GREEN, first)))
    await ana.insist(lambda: process.until(ask.member, topic))
    await ana.insist(lambda: process.do(RotateEpochs(topic)))
    await ana.insist(lambda: process.do(SendText(topic, "two", Tlp.GREEN, second)))
    await ana.insist(lambda: process.until(ask.settled, topic, 2))
    await bor.until(lambda agent: ask.settled(agent, topic, 2))
    theirs: Published = await bor.do(_bulletin(topic, "his", third))
    await ana.insist(lambda: process.do(_bulletin(topic, "hers", fourth)))
    await ana.insist(lambda: process.until(ask.bulletins, topic, 2))
    await ana.insist(lambda: process.do(Acknowledge(theirs.bulletin, topic)))
    await bor.say(topic, "three")
    await ana.insist(lambda: process.until(ask.idle))

    def acknowledged(event: ReceiptReceived) -> bool:
        return event.bulletin == theirs.bulletin and event.kind == "acknowledged"

    await bor.heard(ReceiptReceived, where=acknowledged)
    await bor.heard(BulletinReceived, 2, where=lambda event: event.conversation == topic)
    await bor.heard(MessageReceived, 3, where=lambda event: event.conversation == topic)
    await ana.insist(lambda: process.until(ask.read, topic, bor.talk(topic).sequence))
    there = await ana.insist(lambda: process.until(ask.settled, topic, 2))
    await bor.until(lambda agent: ask.settled(agent, topic, 2, there.epoch))
    assert bor.talk(topic).authenticator == there.authenticator
    assert sorted(bor.heard_words(topic)) == ["one", "three", "two"]
    titles = [each.title for each in bor.told(BulletinReceived) if each.conversation == topic]
    assert sorted(titles) == ["hers", "his"]
    assert len([each for each in bor.told(ReceiptReceived) if acknowledged(each)]) == 1
    await ana.insist(lambda: process.die(0))
    return topic


def _bulletin(topic: bytes, title: str, identity: bytes) -> PublishBulletin:
    return PublishBulletin(topic, b"patch now", "text/plain", Tlp.GREEN, title, id=identity)
