"""Yesterday's vault is restored: no key seals twice, everything freezes, and the device is added again.

Somebody puts a copy of a vault back. Its keys of yesterday have sealed messages since, which it doesn't know of, and
its key packages may have been used. So after every start nothing is sealed before the log has been read; there the
device finds entries of its own leaf that it can't remember, with its own signature: proof. It freezes every
conversation, has the relay forget its key packages, and asks members to put it out and in again, with fresh keys. What
its user wants to say meanwhile waits, and arrives once.

It may die between any two effects of all that, too.

Where the device had said nothing since, there is nothing to prove and nothing to fear: it reads on.
"""

from __future__ import annotations

import shutil
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from typing import TypeVar

import pytest

from securechan.agent.events import AlarmKind, ConversationJoined, Frozen, MemberAdded, MessageReceived
from securechan.agent.inputs import RotateEpochs, SendText
from securechan.bulletin.tlp import Tlp
from tests.support import stage_questions as ask
from tests.support.stage import Live, Stage
from tests.support.stage_process import Died, Nursery

T = TypeVar("T")

MOMENTS = [pytest.param(moment, marks=[] if moment == 9 else [pytest.mark.slow]) for moment in range(1, 36)]
YESTERDAY = "as of yesterday"


async def _a_day_passes(stage: Stage, ana: Live, bor: Live, topic: bytes, texts: list[str], *, renewed: bool) -> None:
    """Ana's day after the backup."""
    async with ana:
        await ana.idle()
        for text in texts:
            await ana.say(topic, text)
        if renewed:
            epoch = ana.talk(topic).epoch
            await ana.do(RotateEpochs(topic))
            await stage.agree(topic, (ana, bor), epoch=epoch + 1)


@pytest.mark.parametrize(
    ("texts", "renewed"),
    [(["one", "two", "three"], False), ([], True), (["one", "two"], True)],
    ids=["texts", "commit", "both"],
)
async def test_a_device_that_had_spoken_since(stage: Stage, texts: list[str], renewed: bool) -> None:
    ana = stage.live("ana")
    async with stage.all("bor", "cene") as (bor, cene):
        async with ana:
            topic = await stage.found(ana, [bor, cene])
            room = await stage.found(ana, [bor], stage.room_policy("operations"))
            await ana.say(topic, YESTERDAY)
        backup = shutil.copy(ana.profile.vault, stage.folder / "backup")
        await _a_day_passes(stage, ana, bor, topic, texts, renewed=renewed)
        shutil.copy(backup, ana.profile.vault)

        ana.events.clear()
        async with ana:
            asked = await ana.do(SendText(topic, "is anybody there?", Tlp.GREEN))  # before an entry is read
            frozen = await ana.heard(Frozen, 2)
            assert {event.conversation for event in frozen} == {topic, room}
            assert AlarmKind.ROLLBACK in {alarm.kind for alarm in ana.alarms()}
            again = await ana.heard(ConversationJoined, 2)
            assert {event.conversation for event in again} == {topic, room}
            assert all(event.again for event in again)
            await stage.agree(topic, (ana, bor, cene))
            await stage.agree(room, (ana, bor))
            await ana.until(lambda agent: agent.outgoing(asked) == "sent")
            await ana.say(room, "back again")
            await bor.say(topic, "welcome back")
            for each in (bor, cene):
                await each.heard(MessageReceived, where=lambda event: event.body == "welcome back")
                assert each.words(topic) == [YESTERDAY, *texts, "is anybody there?", "welcome back"]
                entered = [event.device for event in each.told(MemberAdded) if event.conversation == topic]
                assert entered[-1] == ana.device
                assert not each.alarms()
            await ana.heard(MessageReceived, where=lambda event: event.body == "welcome back")
            assert ana.words(topic) == [YESTERDAY, "is anybody there?", "welcome back"]
            assert bor.words(room) == ["back again"]
            assert len(ana.told(Frozen)) == 2
    assert not stage.ledger.reused()


async def test_a_device_that_had_been_silent_since(stage: Stage) -> None:
    ana = stage.live("ana")
    async with stage.all("bor", "cene") as (bor, cene):
        async with ana:
            topic = await stage.found(ana, [bor, cene])
            await ana.say(topic, YESTERDAY)
        backup = shutil.copy(ana.profile.vault, stage.folder / "backup")
        async with ana:
            for each in (bor, cene):
                await each.say(topic, f"by {each.name}")
                await each.do(RotateEpochs(topic))
                await stage.agree(topic, (ana, bor, cene))
        shutil.copy(backup, ana.profile.vault)

        async with ana:
            await ana.say(topic, "is anybody there?")
            await cene.heard(MessageReceived, where=lambda event: event.body == "is anybody there?")
            assert ana.words(topic) == cene.words(topic) == [YESTERDAY, "by bor", "by cene", "is anybody there?"]
            assert not ana.told(Frozen)
            assert not [alarm for each in (ana, bor, cene) for alarm in each.alarms()]
    assert not stage.ledger.reused()


@pytest.mark.parametrize("moment", MOMENTS)
async def test_it_dies_while_it_recovers(stage: Stage, moment: int) -> None:
    """Before its n-th effect since the restored vault was opened, and once more a little later."""
    async with AsyncExitStack() as exits:
        nursery = await exits.enter_async_context(Nursery(stage))
        bor, cene = await exits.enter_async_context(stage.all("bor", "cene"))
        ana = stage.live("ana")
        async with ana:
            topic = await stage.found(ana, [bor, cene])
            room = await stage.found(ana, [bor], stage.room_policy("operations"))
            await ana.say(topic, YESTERDAY)
        backup = shutil.copy(ana.profile.vault, stage.folder / "backup")
        await _a_day_passes(stage, ana, bor, topic, ["one", "two"], renewed=True)
        shutil.copy(backup, ana.profile.vault)

        process, moments = nursery.process("ana"), [moment + 3]
        await process.start(die=moment)

        async def insist(step: Callable[[], Awaitable[T]]) -> T:
            while True:
                try:
                    return await step()
                except Died:
                    await process.start(die=moments.pop() if moments else 0)

        identity = bytes(range(16))
        await insist(lambda: process.do(SendText(topic, "is anybody there?", Tlp.GREEN, identity)))
        await insist(lambda: process.until(ask.sent, identity))
        await bor.say(topic, "welcome back")
        await insist(lambda: process.until(ask.settled, topic, 3, 2))
        await insist(lambda: process.until(ask.settled, room, 2, 2))
        await insist(lambda: process.until(ask.read, topic, bor.talk(topic).sequence))
        await insist(lambda: process.die(0))
        for where, members in ((topic, 3), (room, 2)):
            there = await process.until(ask.settled, where, members)
            await bor.until(lambda agent, least=there.epoch, at=where: agent.conversation(at).epoch >= least)
            assert there.authenticator == bor.talk(where).authenticator
        assert process.lives > 1
        await process.kill()
        shown = process.archive(topic)
        said = [each["body"] for each in shown if each["event"] == "message-received"]
        assert said == [YESTERDAY, "is anybody there?", "welcome back"]
        assert [each["event"] for each in shown].count("frozen") == 1
        for each in (bor, cene):
            await each.heard(MessageReceived, where=lambda event: event.body == "welcome back")
            assert each.words(topic) == [YESTERDAY, "one", "two", "is anybody there?", "welcome back"]
            assert not each.alarms()
    assert not stage.ledger.reused()
