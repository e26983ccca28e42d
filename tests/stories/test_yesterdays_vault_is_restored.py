"""Yesterday's vault is restored: no key seals twice, everything freezes, and the device is added again.

Somebody puts a copy of a vault back. Its keys of yesterday have sealed messages since, which it doesn't know of, and
its key packages may have been used. So after every start nothing is sealed before the log has been read; there the
device finds entries of its own leaf that it can't remember, with its own signature: proof. It freezes every
conversation, has the relay forget its key packages, and asks members to put it out and in again, with fresh keys. What
its user wants to say meanwhile waits, and arrives once.

Where the device had said nothing since, there is nothing to prove and nothing to fear: it reads on.
"""

from __future__ import annotations

import shutil

import pytest

from securechan.agent.events import AlarmKind, ConversationJoined, Frozen, MemberAdded, MessageReceived
from securechan.agent.inputs import RotateEpochs, SendText
from securechan.bulletin.tlp import Tlp
from tests.support.stage import Live, Stage

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
