"""Everything dies at once: three devices, the relay, again and again, while all of them write; and nothing is missing.

Texts, attachments and bulletins small and large, key renewals; each device kills itself before an effect that chance
picks, sometimes again while it recovers; the relay is killed three times. A fourth device lives through it all. Once
the dying is over, every archive holds everything that anybody was told is taken, once, at the same place in the log.

One run by one seed each time; ``pytest -m slow`` has more of them.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from random import Random
from typing import Any, TypeVar

import pytest

from securechan.agent.events import BulletinReceived, MessageReceived
from securechan.agent.inputs import (
    Command,
    CreateConversation,
    PublishBulletin,
    RotateEpochs,
    SendAttachment,
    SendText,
)
from securechan.bulletin.tlp import Tlp
from tests.support import stage_questions as ask
from tests.support.stage import Stage
from tests.support.stage_process import Died, Nursery, Process

T = TypeVar("T")

COMMANDS = 8  # of each device
RELAY_DEATHS = 3
BAD = ("alarm", "message-dropped", "frozen", "bulletin-refused", "held")


@dataclass
class Reckless:
    """A device that writes, and dies on the way."""

    process: Process
    topic: bytes
    rng: Random
    said: list[tuple[str, str]] = field(default_factory=list)  # what it was told is taken: kind of event, text

    async def insist(self, step: Callable[[], Awaitable[T]]) -> T:
        while True:
            try:
                return await step()
            except Died:
                await self.process.start(die=self.rng.choice([0, 0, self.rng.randrange(1, 40)]))

    def _command(self, number: int) -> tuple[Command, str]:
        """What to do, and the kind of event by which all see it."""
        rng, topic, identity, text = self.rng, self.topic, self.rng.randbytes(16), f"{self.process.name} {number}"
        match rng.choice(["renew", "renew", "bulletin", "attachment", "text", "text", "text", "text"]):
            case "renew":
                return RotateEpochs(topic), ""
            case "bulletin":
                content = b"patch\n" * rng.choice([1, 50_000])
                return PublishBulletin(topic, content, "text/plain", Tlp.GREEN, text, id=identity), "bulletin-received"
            case "attachment":
                content = rng.randbytes(rng.choice([100, 300_000]))
                file = ("sample.bin", "application/octet-stream", content)
                return SendAttachment(topic, *file, Tlp.GREEN, text, identity), "message-received"
            case _:
                return SendText(topic, text, Tlp.GREEN, identity), "message-received"

    async def write(self) -> None:
        for number in range(COMMANDS):
            if self.rng.random() < 0.3:
                moment = self.rng.randrange(1, 25)
                await self.insist(lambda before=moment: self.process.die(before))
            command, kind = self._command(number)
            await self.insist(lambda asked=command: self.process.do(asked))
            if kind:
                self.said.append((kind, f"{self.process.name} {number}"))
            if self.rng.random() < 0.3:
                await self.insist(lambda: self.process.until(ask.idle))


async def _kill(stage: Stage, rng: Random) -> None:
    """Have the relay die, at moments that nobody waits for."""
    for _ in range(RELAY_DEATHS):
        await asyncio.sleep(rng.random())
        stage.relay.kill()
        await asyncio.to_thread(stage.relay.start)


SEEDS = [pytest.param(seed, marks=[pytest.mark.slow] if seed else []) for seed in range(10)]


@pytest.mark.parametrize("seed", SEEDS)
async def test_everything_dies_at_once(stage: Stage, seed: int) -> None:
    rng = Random(seed)
    async with AsyncExitStack() as exits:
        nursery = await exits.enter_async_context(Nursery(stage))
        bor = await exits.enter_async_context(stage.live("bor"))
        processes = [await nursery.process(name).start() for name in ("ana", "cene", "dora")]
        for each in processes:
            await each.until(ask.idle)
        await bor.idle()
        topic: bytes = await processes[0].do(CreateConversation(stage.community_policy()))
        for each in processes:
            await each.until(ask.settled, topic, 4)
        devices = [Reckless(each, topic, Random(rng.random())) for each in processes]

        await asyncio.gather(_kill(stage, rng), *(device.write() for device in devices))
        for device in devices:
            await device.insist(lambda each=device: each.process.die(0))
        for each in processes:
            await each.until(ask.idle)
        said = sorted(one for device in devices for one in device.said)
        await bor.heard(MessageReceived, sum(kind == "message-received" for kind, _ in said))
        await bor.heard(BulletinReceived, sum(kind == "bulletin-received" for kind, _ in said))

        epoch = bor.talk(topic).epoch
        for each in processes:
            epoch = max(epoch, (await each.until(ask.settled, topic, 4, epoch)).epoch)
        there = [await each.until(ask.settled, topic, 4, epoch) for each in processes]
        await bor.until(lambda agent: agent.conversation(topic).epoch == epoch and agent.idle)
        assert {each.authenticator for each in there} == {bor.talk(topic).authenticator}
        for each in processes:
            await each.until(ask.read, topic, bor.talk(topic).sequence)
            await each.kill()

        logs = [bor.archive(topic), *(each.archive(topic) for each in processes)]
        for log in logs:
            assert [each for each in log if each["event"] in BAD] == []
            assert sorted((kind, text) for _, kind, text in _shown(log)) == said
            assert _shown(log) == _shown(logs[0])
    assert not stage.ledger.reused()


def _shown(log: list[dict[str, Any]]) -> list[tuple[int, str, str]]:
    """What people see, by its place in the log. (What comes as a blob is shown when the blob is there.)"""
    found = []
    for each in log:
        if each["event"] == "message-received":
            found.append((each["sequence"], each["event"], each["body"]))
        elif each["event"] == "bulletin-received":
            found.append((each["sequence"], each["event"], each["title"]))
    return sorted(found)
