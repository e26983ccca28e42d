"""A rogue administrator adds a device for one of its officers: the next message of that officer's peer isn't readable
by it.

Who holds an agency's roster key can list a device and say that it is cene's. Where membership goes by officers that is
not enough: everybody learns of the device, and it waits, until a device of cene's vouches for it or the other side has
made sure of it in person. Not even a member that keeps to no rule can bring it in for more than a moment, in which
nobody says anything.
"""

from __future__ import annotations

import time

import pytest

from securechan.agent.events import (
    Alarm,
    AlarmKind,
    ConversationJoined,
    ConversationOffered,
    DeviceAnnounced,
    DeviceConfirmed,
    DeviceWaiting,
    MemberAdded,
    MemberRemoved,
    MessageReceived,
)
from securechan.agent.inputs import AcceptConversation, ConfirmDevice, CreateConversation, SendText
from securechan.agent.policy import Kind, Policy
from securechan.bulletin.tlp import Tlp
from securechan.crypto.suite import HYBRID
from securechan.mls.group import Group
from securechan.mls.outcomes import Application
from securechan.trust.records import key_hash
from tests.support.federation import Device, make_device
from tests.support.stage import Live, Stage
from tests.support.villain import Villain, bundle, vouching
from tests.support.villain_office import Newcomer, Office, newcomer

PEERS = ("ana@cert-hr", "cene@cert-si")


async def talk(ana: Live, cene: Live) -> bytes:
    """A direct conversation of the two, by name."""
    for each in (ana, cene):
        await each.idle()
    policy = Policy("ana and cene", Kind.DIRECT, (), PEERS, PEERS, Tlp.RED, 7 * 86400)
    topic: bytes = await ana.do(CreateConversation(policy))
    await cene.heard(ConversationOffered)
    await cene.do(AcceptConversation(topic))
    await Stage.agree(topic, (ana, cene))
    return topic


async def tap_for(stage: Stage, ana: Live) -> tuple[Device, Newcomer]:
    """cert-si's roster key, in whosever hands, lists a device for cene."""
    device = make_device("cert-si", "tap", "cene", "liaison", now=int(time.time()))
    async with Office.open(stage, "cert-si") as office:
        await office.publish(add=[device.record])
    (waiting,) = await ana.heard(DeviceWaiting)
    assert (waiting.device, waiting.officer) == (device.name, "cene@cert-si")
    assert waiting.key_hash == key_hash(device.key.public)
    return device, newcomer(stage, device)


@pytest.mark.parametrize("voucher", ["ana", "cene"])
async def test_it_reads_nothing_until_somebody_entitled_vouches_for_it(stage: Stage, voucher: str) -> None:
    async with stage.all("ana", "bor", "cene", "dora") as (ana, bor, cene, dora):
        topic = await talk(ana, cene)
        device, tap = await tap_for(stage, ana)
        async with tap:
            await tap.idle()
            await ana.do(SendText(topic, "for cene alone", Tlp.RED))
            await cene.heard(MessageReceived)
            assert not tap.told(ConversationOffered)
            assert not tap.agent.conversations()
            for colleague in (bor, dora):  # who isn't in there has no say
                with pytest.raises(Exception, match="no"):
                    await colleague.do(ConfirmDevice(device.name, topic))

            await {"ana": ana, "cene": cene}[voucher].do(ConfirmDevice(device.name))
            (confirmed,) = await ana.heard(DeviceConfirmed)
            assert confirmed.by.partition("/")[2].startswith(voucher)
            await ana.heard(MemberAdded, where=lambda event: event.device == device.name)
            await joins(tap, topic)
            (announced,) = await ana.heard(DeviceAnnounced, where=lambda event: event.device == device.name)
            assert announced.agrees
            await ana.do(SendText(topic, "for both of cene's", Tlp.RED))
            await tap.heard(MessageReceived)
            await cene.heard(MessageReceived, 2)
            assert tap.words(topic) == ["for both of cene's"]


async def joins(tap: Live, topic: bytes) -> None:
    """Invited by its own officer it is in; invited by another agency, a person has to say yes."""
    await tap.until(lambda agent: agent.offers() or agent.conversations())
    if tap.agent.offers():
        await tap.do(AcceptConversation(topic))
    await tap.heard(ConversationJoined)


async def test_a_member_that_keeps_no_rules_brings_it_in_for_nothing(stage: Stage) -> None:
    async with stage.all("ana", "cene") as (ana, cene):
        topic = await talk(ana, cene)
        device, _ = await tap_for(stage, ana)
        ours = bundle(device.name, device.record.address, int(time.time()), bytes(device.key.private))
        async with Villain.take(cene, topic) as villain:
            step = villain.made(adds=(ours.key_package,))
            await villain.offer(step)
            inside = Group.join(
                step.welcomes[0], ours, now=int(time.time()), ratchet_tree=step.ratchet_tree, suite=HYBRID
            )
            # It says for itself that it is cene's, as soon as it can say anything.
            inside, message = inside.protect(
                vouching(device.name, key_hash(device.key.public)), authenticated_data=villain.claim.encode()
            )
            await villain.append(message)
            identity = await ana.do(SendText(topic, "for cene alone", Tlp.RED))
            (out,) = await ana.heard(MemberRemoved)
            assert (out.device, out.by) == (device.name, ana.device)
            (alarm,) = [each for each in ana.alarms() if each.kind is AlarmKind.QUARANTINE]
            assert alarm.who == device.name
            await ana.until(lambda agent: agent.outgoing(identity) == "sent")
            await villain.until(lambda: "for cene alone" in villain.texts)
            read = [inside.receive(entry.body) for entry in villain.entries]
            assert not [each for each in read if isinstance(each, Application)]
        assert not ana.told(DeviceConfirmed)
        assert not [each for each in ana.told(Alarm) if each.kind is AlarmKind.VOID]
