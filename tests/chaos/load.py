"""People at work while things break around them, and the reckoning afterwards.

Three devices live in this process, each with its vault and its socket; the fourth is a process of its own that kills
itself, by SIGKILL, before some effect in each of its lives. In each round all write as fast as they can, and some renew
their keys; a fault strikes in the middle. Nobody is told of it: devices come back by themselves.

What counts is what people see. A text is *acknowledged* once its sender was told that it stands in the log; *lost* if
one that was said is in the end missing from anybody's archive, acknowledged or not; *shown twice* if a screen was told
of it a second time.
"""

from __future__ import annotations

import asyncio
import random
import statistics
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from functools import partial
from itertools import pairwise
from typing import Final

from securechan.agent.agent import Agent
from securechan.agent.events import Alarm, Event, MessageReceived, MessageSent
from securechan.agent.inputs import RotateEpochs, SendText
from securechan.agent.state import CONVERSATIONS
from securechan.bulletin.tlp import Tlp
from tests.support import stage_questions as ask
from tests.support.stage import Live, Stage
from tests.support.stage_process import Died, Process

EACH: Final = 24  # texts of each device in a round
LONG: Final = 180.0  # seconds for a round to be read by all: a full disk is asked again after 30


@dataclass
class Reckoning:
    """What came of it. ``silences``: the longest one around each fault, in which nothing was
    acknowledged to anybody, in seconds."""

    said: int
    acknowledged: int
    delivered: int
    lost: int
    twice: int
    orders: int  # how many different orders there are: 1
    heads: int  # how many different history chains: 1
    reused: int  # keys that sealed two messages
    alarms: list[str]
    deaths: int  # of the mortal device
    silences: list[float]

    @property
    def good(self) -> bool:
        return (self.lost, self.twice, self.orders, self.heads, self.reused, self.alarms) == (0, 0, 1, 1, 0, [])

    def rows(self) -> list[tuple[str, str]]:
        """For the table."""
        times = sorted(self.silences)
        middle = (
            f"median {statistics.median(times):.2f} s, longest {times[-1]:.2f} s"
            if times
            else "nothing to recover from"
        )
        return [
            ("texts said", f"{self.said:,}"),
            ("acknowledged", f"{self.acknowledged:,}"),
            ("delivered, all screens together", f"{self.delivered:,}"),
            ("lost", str(self.lost)),
            ("shown twice", str(self.twice)),
            ("orders, history chains", f"{self.orders}, {self.heads}"),
            ("keys used twice", str(self.reused)),
            ("alarms", "; ".join(self.alarms[:3]) or "none"),
            ("deaths of a client between two effects", str(self.deaths)),
            ("time to recover: longest silence around a fault", middle),
        ]


@dataclass
class Screen:
    """What one device was told, counted as it comes."""

    device: Live
    shown: Counter[str] = field(default_factory=Counter)
    acknowledged: int = 0

    def hear(self, event: Event) -> None:
        match event:
            case MessageReceived():
                self.shown[event.body] += 1
            case MessageSent():
                self.acknowledged += 1


def _shows(screen: Screen, texts: list[str], _: Agent) -> bool | None:
    return all(text in screen.shown for text in texts) or None


class Load:
    """The cast in one conversation, and what they say."""

    def __init__(self, stage: Stage, topic: bytes, cast: list[Live], mortal: Process, chance: random.Random) -> None:
        self.stage = stage
        self.topic = topic
        self.screens = [Screen(each) for each in cast]
        self.mortal = mortal
        self.chance = chance
        self.said: list[str] = []
        self.silences: list[float] = []
        self.deaths = 0
        self.mortals = 0  # texts of the mortal device that it knows to stand in the log
        self._sent: list[float] = []  # when something was acknowledged in this round
        self._round = 0
        for each in self.screens:
            each.device.runtime.listen(each.hear)
            each.device.runtime.listen(self._clock)

    def _clock(self, event: Event) -> None:
        if isinstance(event, MessageSent):
            self._sent.append(time.monotonic())

    async def round(self, strike: Callable[[], Awaitable[None]]) -> None:
        """All write; in the middle of it the fault strikes, and is over; then everybody has read everything."""
        self._round += 1
        self._sent.clear()
        before = len(self.said)
        watcher = self.screens[1]
        moment = sum(watcher.shown.values()) + self.chance.randint(1, 2 * EACH)
        async with asyncio.TaskGroup() as writing:
            for each in self.screens:
                writing.create_task(self._write(each.device))
            writing.create_task(self._mortal())
            await watcher.device.until(lambda _: sum(watcher.shown.values()) >= moment or None, LONG)
            await asyncio.sleep(self.chance.random() * 0.02)  # anywhere between two things, not always after one
            struck = time.monotonic()
            await strike()
        fresh = self.said[before:]
        for each in self.screens:
            await each.device.until(partial(_shows, each, fresh), LONG)
        self.silences += [max(end - begin for begin, end in pairs)] if (pairs := self._around(struck)) else []

    def _around(self, struck: float) -> list[tuple[float, float]]:
        """Two acknowledgements, one after the other, of which the second came after the fault had struck."""
        return [(begin, end) for begin, end in pairwise(self._sent) if end > struck]

    async def _write(self, device: Live) -> None:
        for count in range(EACH):
            text = f"{device.name} {self._round}.{count}"
            await device.do(SendText(self.topic, text, Tlp.GREEN))
            self.said.append(text)
            if count == EACH // 2 and self.chance.random() < 0.3:
                await device.do(RotateEpochs(self.topic))

    async def _mortal(self) -> None:
        """A few texts, however many lives it takes."""
        for count in range(EACH // 6):
            text = f"{self.mortal.name} {self._round}.{count}"
            identity = self.chance.randbytes(16)
            await self._insist(partial(self._say, text, identity))
            self.said.append(text)
            self.mortals += 1

    async def _say(self, text: str, identity: bytes) -> None:
        await self.mortal.do(SendText(self.topic, text, Tlp.GREEN, identity))
        await self.mortal.until(ask.sent, identity)

    async def _rest(self, last: int) -> None:
        await self.mortal.die(0)  # any more
        await self.mortal.until(ask.read, self.topic, last)

    async def _insist(self, step: Callable[[], Awaitable[None]]) -> None:
        until = time.monotonic() + LONG
        while True:
            try:
                await step()
                return
            except Died:
                self.deaths += 1
                await self.mortal.start(die=self.chance.randint(2, 40))
            except TimeoutError:  # the relay takes nothing for a while: ask again
                if time.monotonic() > until:
                    raise

    async def reckon(self) -> Reckoning:
        """Everything has come to rest: count."""
        everyone = [each.device for each in self.screens]
        async with asyncio.timeout(LONG):
            for device in everyone:
                await device.until(lambda agent: agent.idle or None, LONG)
        await self.stage.agree(self.topic, everyone)
        last = max(device.talk(self.topic).sequence for device in everyone)
        await self._insist(partial(self._rest, last))
        await self.mortal.kill()

        archives = [device.words(self.topic) for device in everyone]
        archives.append([e["body"] for e in self.mortal.archive(self.topic) if e["event"] == "message-received"])
        screens = [each.shown for each in self.screens]
        heads = set()
        for device in everyone:
            row = device.agent.rows.all(CONVERSATIONS)[self.topic.hex()]
            heads.add((row.cursor.sequence, row.cursor.chain))
        return Reckoning(
            said=len(self.said),
            acknowledged=self.mortals + sum(each.acknowledged for each in self.screens),
            delivered=sum(sum(each.values()) for each in screens),
            lost=sum(text not in archive for archive in map(set, archives) for text in self.said),
            twice=sum(count - 1 for each in screens for count in each.values())
            + sum(len(each) - len(set(each)) for each in archives),
            orders=len({tuple(each) for each in archives}),
            heads=len(heads),
            reused=len(self.stage.ledger.reused()),
            alarms=[f"{device.name}: {event.text}" for device in everyone for event in device.told(Alarm)],
            deaths=self.deaths,
            silences=self.silences,
        )
