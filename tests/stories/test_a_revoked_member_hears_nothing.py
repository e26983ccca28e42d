"""A revoked member hears nothing: within seconds of the publication its leaf is out, and nobody had to ask.

The roster buries the device; the relay ends its session in the same turn; whoever is online finds that the tree holds
a leaf that trust does not admit, writes nothing to it, and removes it when its turn comes. What was typed meanwhile
waits for that, and is lost to nobody else.
"""

from __future__ import annotations

import time

import pytest

from clients.clock import SystemClock
from clients.connection import connect
from securechan.agent.events import Alarm, AlarmKind, MemberRemoved, MessageReceived, TrustChanged
from securechan.agent.inputs import SendText
from securechan.bulletin.tlp import Tlp
from securechan.errors import Untrusted
from tests.support.stage import Stage
from tests.support.villain import Villain, notice
from tests.support.villain_office import Office

PATIENT = 60.0  # seconds on a busy machine; of four members each waits two more than the one before


async def test_a_revoked_member_hears_nothing(stage: Stage, capsys: pytest.CaptureFixture[str]) -> None:
    async with stage.all("ana", "bor", "cene", "dora") as (ana, bor, cene, dora):
        topic = await stage.found(ana, (bor, cene, dora))
        honest = (ana, bor, cene)
        await ana.say(topic, "before")
        await dora.heard(MessageReceived)
        async with Office.open(stage, "cert-si") as office:
            began = time.monotonic()
            await office.publish(revoke={"dora-laptop": "lost"})
        await ana.heard(TrustChanged, where=lambda event: dora.device in event.revoked)
        identity = await ana.do(SendText(topic, "not for dora", Tlp.GREEN))  # typed before she is out
        for each in honest:
            (out,) = await each.heard(MemberRemoved)
            assert out.device == dora.device
        took = time.monotonic() - began
        with capsys.disabled():
            print(f"\nout of everybody's tree {took:.1f} s after the roster was handed in", end="")
        assert took < PATIENT
        await ana.until(lambda agent: agent.outgoing(identity) == "sent")
        for each in (bor, cene):
            await each.heard(MessageReceived, 2)
            assert each.words(topic) == ["before", "not for dora"]
            assert dora.device not in {seat.device for seat in each.talk(topic).members}
        # Her own client was put off, and knows why.
        assert dora.words(topic) == ["before"]
        await dora.stop()
        with pytest.raises(Untrusted, match="revoked"):
            await connect(Villain.route(dora, Villain.vault(dora)), stage.relay.url, SystemClock())


async def test_who_was_asleep_then_sends_nothing_to_it_either(stage: Stage) -> None:
    """Nobody is online when the roster comes: the first who is removes the leaf before saying anything."""
    async with stage.all("ana", "bor", "cene", "dora") as (ana, bor, cene, dora):
        topic = await stage.found(ana, (bor, cene, dora))
        for each in (ana, bor, cene, dora):
            await each.stop()
        async with Office.open(stage, "cert-si") as office:
            await office.publish(revoke={"dora-laptop": "left"})
        await ana.start()
        identity = await ana.do(SendText(topic, "good morning", Tlp.GREEN))
        await ana.until(lambda agent: agent.outgoing(identity) == "sent")
        names = [type(event).__name__ for event in ana.events]
        assert names.index("MemberRemoved") < names.index("MessageSent")
        await bor.start()
        await bor.heard(MessageReceived)
        keys = Villain.vault(dora)  # whatever she has kept
        assert not [alarm for alarm in ana.alarms() if alarm.kind is AlarmKind.VOID]
        with pytest.raises(Untrusted, match="revoked"):
            await connect(Villain.route(dora, keys), stage.relay.url, SystemClock())


async def test_a_revocation_that_the_relay_holds_back_is_told_in_the_conversation(stage: Stage) -> None:
    """An administrator's client posts the signed roster where it is a member: no relay can keep it to itself."""
    async with stage.all("ana", "bor", "cene", "dora") as (ana, bor, cene, dora):
        topic = await stage.found(ana, (bor, cene, dora))
        async with Office.open(stage, "cert-si") as office:
            roster = office.roster(revoke={"dora-laptop": "lost"})  # signed, and never published
        poster = cene.device
        async with Villain.take(cene, topic) as posting:
            await posting.say(notice(*roster.pair()))
            for each in (ana, bor):
                (alarm,) = await each.heard(Alarm, where=lambda event: event.kind is AlarmKind.REVOKED)
                assert alarm.who == poster
                (out,) = await each.heard(MemberRemoved)
                assert out.device == dora.device
            await ana.say(topic, "among us")
            await bor.heard(MessageReceived)
        await dora.idle()
        assert dora.words(topic) == []
        assert dora.talk(topic).standing == "gone"
