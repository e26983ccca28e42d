"""Two agencies commit at once: one commit stands, the other is made again, and nothing that was said is lost.

Both seal theirs while their lines are held, so both name the same commit as the one before them. Whichever the relay
stores first counts; the other device reads that in the log, erases its own and makes it anew in the next epoch. What
each had to say was meant for the epoch that was, and arrives in one that is.
"""

from __future__ import annotations

from contextlib import AsyncExitStack

from securechan.agent.events import EpochChanged, MessageReceived
from securechan.agent.inputs import RotateEpochs, SendText
from securechan.bulletin.tlp import Tlp
from tests.support.stage import Stage
from tests.support.stage_cable import Cable, Way

ROUNDS = 3


async def test_two_agencies_commit_at_once(stage: Stage) -> None:
    async with AsyncExitStack() as exits:
        lines = [await exits.enter_async_context(Cable(stage.port)) for _ in range(2)]
        ana = await exits.enter_async_context(stage.live("ana", url=lines[0].url))
        cene = await exits.enter_async_context(stage.live("cene", url=lines[1].url))
        bor, dora = await exits.enter_async_context(stage.all("bor", "dora"))
        cast = (ana, bor, cene, dora)
        topic = await stage.found(ana, cast[1:])
        first = epoch = ana.talk(topic).epoch
        said: list[str] = []
        for number in range(ROUNDS):
            for line in lines:
                line.hold(Way.UP)
            for each in (ana, cene):
                said.append(f"{each.name} {number}")
                await each.do(RotateEpochs(topic))
                await each.do(SendText(topic, said[-1], Tlp.AMBER))
                assert each.talk(topic).pending
            for line in lines:
                line.release()
            epoch = await stage.agree(topic, cast, epoch=epoch + 2)  # each of them has renewed its leaf
            assert epoch == first + 2 * (number + 1)
        for each in cast:
            await each.heard(MessageReceived, len(said))
        assert sorted(ana.words(topic)) == sorted(said)
        for each in cast:
            assert each.words(topic) == each.heard_words(topic) == ana.words(topic)
            assert not each.alarms()
            committers = [event.by for event in each.told(EpochChanged) if event.epoch > first]
            assert committers.count(ana.device) == committers.count(cene.device) == ROUNDS
        assert not stage.ledger.reused()
