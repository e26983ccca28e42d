"""Forwarding: as far as the label lets it, as it was signed, and followed by whatever becomes of it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from securechan.agent.events import Alarm, AlarmKind, BulletinReceived, BulletinRefused, MessageDropped, ReceiptReceived
from securechan.agent.forwards import STAND_IN
from securechan.agent.inputs import (
    AcceptConversation,
    Acknowledge,
    ChangePolicy,
    CreateConversation,
    ForwardBulletin,
    PublishBulletin,
    Published,
    ReviseBulletin,
    WithdrawBulletin,
)
from securechan.agent.policy import AgencyScope, Kind, Policy
from securechan.agent.state import BULLETINS, bulletin_row
from securechan.bulletin.payload import Bulletin, Forward, Payload
from securechan.bulletin.tlp import Tlp
from securechan.errors import Conflict, Denied, Invalid, NotFound
from tests.agent.places import Rogue, community
from tests.support.actor import Actor
from tests.support.world import World

CONTENT = b"watch out"


def room(world: World, founder: Actor, *agencies: str, name: str = "room", ceiling: Tlp = Tlp.AMBER) -> bytes:
    """Another conversation, of these agencies."""
    kind = Kind.ROOM if len(agencies) == 1 else Kind.COMMUNITY
    stewards = tuple(next(record.address for record in world.view.devices(agency)) for agency in agencies)
    scopes = tuple(AgencyScope(each, ()) for each in agencies)
    world.bind(name, founders=(founder.name,))
    topic: bytes = founder.do(CreateConversation(Policy(name, kind, scopes, (), stewards, ceiling, 7 * 86400)))
    world.run(10)
    return topic


def publish(actor: Actor, topic: bytes, tlp: Tlp = Tlp.GREEN, content: bytes = CONTENT) -> str:
    made = actor.do(PublishBulletin(topic, content, "text/plain", tlp, "a warning"))
    assert isinstance(made, Published)
    actor.world.run(3)
    return made.bulletin


def shown(actor: Actor, topic: bytes) -> list[BulletinReceived]:
    return [each for each in actor.told(BulletinReceived) if each.conversation == topic]


def stage(world: World) -> tuple[Actor, Actor, Actor, Actor, bytes, bytes]:
    """ana and bor of cert-hr, cene and dora of cert-si in one community; a room of cert-si's own besides."""
    ana, bor, cene, topic = community(world)
    dora = world.enrol("cert-si", "dora-laptop", "dora", "desk").connect()
    world.run(15)
    return ana, bor, cene, dora, topic, room(world, cene, "cert-si")


def test_a_forward_is_the_issuers_word_and_says_who_brought_it(world: World) -> None:
    ana, _bor, cene, dora, topic, inner = stage(world)
    bulletin = publish(ana, topic, Tlp.AMBER)
    made = cene.do(ForwardBulletin(bulletin, inner, CONTENT))
    world.run(5)
    (there,) = shown(dora, inner)
    (here,) = shown(dora, topic)
    assert (there.issuer, there.device, there.forwarded_by) == ("cert-hr", ana.name, cene.name)
    assert (there.header, there.signature, there.content) == (here.header, here.signature, CONTENT)
    assert here.forwarded_by == ""
    assert shown(cene, inner)[0].own
    assert not dora.told(Alarm)
    # Who has it there is told to the desk that brought it, not to the issuer.
    dora.do(Acknowledge(bulletin, inner))
    world.run(5)
    told = [each for each in cene.told(ReceiptReceived) if each.conversation == inner]
    assert {(each.device, each.kind) for each in told} == {(dora.name, "delivered"), (dora.name, "acknowledged")}
    assert [each.device for each in cene.agent.acks(bulletin, inner)[0].acknowledged] == [dora.name]
    assert not [each for each in ana.told(ReceiptReceived) if each.conversation == inner]
    again = cene.do(ForwardBulletin(bulletin, inner, CONTENT, id=made.payload))
    assert again == made  # asked twice is done once


def test_the_label_forbids_and_nothing_is_sent(world: World) -> None:
    ana, _bor, cene, topic = community(world, ceiling=Tlp.AMBER_STRICT)
    bulletin = publish(ana, topic, Tlp.AMBER_STRICT)
    both = room(world, cene, "cert-hr", "cert-si", name="observers", ceiling=Tlp.AMBER_STRICT)
    before = cene.agent
    with pytest.raises(Denied) as denied:
        cene.do(ForwardBulletin(bulletin, both, CONTENT))
    assert denied.value.code == "tlp-denied"
    assert f"ask-consent {bulletin} --to observers" in denied.value.hint
    assert cene.agent is before


def test_red_goes_nowhere(world: World) -> None:
    ana, _bor, cene, _topic = community(world)
    named: bytes = ana.do(CreateConversation(world.direct("named", ana.officer, cene.officer)))
    world.run(10)
    cene.do(AcceptConversation(named))
    world.run(5)
    bulletin = publish(ana, named, Tlp.RED)
    inner = room(world, cene, "cert-si", ceiling=Tlp.RED)
    with pytest.raises(Denied, match="may not be forwarded at all"):
        cene.do(ForwardBulletin(bulletin, inner, CONTENT))


def test_what_the_content_says_counts_and_who_comes_in_between_is_seen(world: World) -> None:
    ana, _bor, cene, _dora, topic, inner = stage(world)
    bulletin = publish(ana, topic, Tlp.CLEAR)
    both = room(world, cene, "cert-hr", "cert-si", name="observers")
    with pytest.raises(Denied):
        cene.do(ForwardBulletin(bulletin, both, CONTENT, floor=Tlp.AMBER))
    for wrong in (b"other words", b""):
        with pytest.raises(Invalid):
            cene.do(ForwardBulletin(bulletin, inner, wrong))
    with pytest.raises(Conflict):
        cene.do(ForwardBulletin(bulletin, topic, CONTENT))
    with pytest.raises(NotFound):
        cene.do(ForwardBulletin("SC-2027-0001-aaaaaa", inner, CONTENT))
    lea = world.enrol("cert-si", "lea-laptop", "lea", "liaison").connect()
    world.run(15)
    with pytest.raises(Denied):
        lea.do(ForwardBulletin(bulletin, inner, CONTENT))


def test_revision_and_withdrawal_follow_every_forward(world: World) -> None:
    ana, _bor, cene, dora, topic, inner = stage(world)
    bulletin = publish(ana, topic)
    cene.do(ForwardBulletin(bulletin, inner, CONTENT))
    world.run(3)
    ana.do(ReviseBulletin(topic, bulletin, b"watch out more", "text/plain", Tlp.GREEN, "a warning"))
    world.run(5)
    assert [(each.revision, each.content) for each in shown(dora, inner)] == [(1, CONTENT), (2, b"watch out more")]
    ana.do(WithdrawBulletin(topic, bulletin, "it was a test"))
    world.run(5)
    last = shown(dora, inner)[-1]
    assert (last.status, last.content, last.forwarded_by) == ("withdrawn", b"it was a test", cene.name)
    assert not dora.told(BulletinRefused)
    with pytest.raises(Conflict):
        dora.do(ForwardBulletin(bulletin, inner, b"it was a test"))
    with pytest.raises((Conflict, Denied)):
        cene.do(WithdrawBulletin(inner, bulletin, "not there"))


def test_a_stricter_revision_stays_behind_and_its_withdrawal_goes_without_words(world: World) -> None:
    ana, _bor, cene, _dora, topic, _inner = stage(world)
    both = room(world, cene, "cert-hr", "cert-si", name="observers")
    bulletin = publish(ana, topic, Tlp.GREEN)
    cene.do(ForwardBulletin(bulletin, both, CONTENT))
    world.run(3)
    ana.do(ReviseBulletin(topic, bulletin, b"names of victims", "text/plain", Tlp.AMBER, "a warning"))
    world.run(5)
    assert [each.kind for each in cene.told(Alarm)] == [AlarmKind.NOT_FOLLOWED]
    assert [each.revision for each in shown(ana, both)] == [1]
    ana.do(WithdrawBulletin(topic, bulletin, "the victims objected"))
    world.run(5)
    last = shown(ana, both)[-1]
    assert (last.status, last.content) == ("withdrawn", b"")
    assert not ana.told(BulletinRefused)


def test_another_stands_in_where_the_forwarders_device_is_gone(world: World) -> None:
    ana, _bor, cene, dora, topic, inner = stage(world)
    bulletin = publish(ana, topic)
    cene.do(ForwardBulletin(bulletin, inner, CONTENT))
    world.run(3)
    cene.disconnect()
    ana.do(WithdrawBulletin(topic, bulletin, "it was a test"))
    world.run(STAND_IN - 5)
    assert [each.status for each in shown(dora, inner)] == ["active"]
    world.run(30)
    assert [(each.status, each.forwarded_by) for each in shown(dora, inner)][1:] == [("withdrawn", dora.name)]
    cene.connect()  # it brings the same again, which is passed over
    world.run(10)
    assert [each.status for each in shown(dora, inner)] == ["active", "withdrawn"]
    assert [each.status for each in shown(cene, inner)] == ["active", "withdrawn"]
    assert not dora.told(BulletinRefused)
    assert not cene.told(BulletinRefused)


def test_who_forwards_against_the_label_is_named_and_no_forgery_is_shown(world: World) -> None:
    ana, _bor, cene, _dora, topic, _inner = stage(world)
    bulletin = publish(ana, topic, Tlp.AMBER)
    row = cene.agent.rows.get(BULLETINS, bulletin_row(topic, bulletin))
    assert row is not None
    both = room(world, cene, "cert-hr", "cert-si", name="observers")
    rogue = Rogue(cene, both)
    honest = Forward(row.header, row.signature, CONTENT, None, b"")
    for body in (
        replace(honest, content=b"altered"),
        replace(honest, signature=bytes(len(row.signature))),
        replace(honest, content=b""),  # only a withdrawal comes without its words
        replace(honest, consent=b"no consent"),  # what was signed, where it may not be read
        honest,  # the same once more
    ):
        rogue.say(Payload.of(world.chance(16), 0, body).encode())
    cene.disconnect()
    world.run(3)
    assert [each.content for each in shown(ana, both)] == [CONTENT]
    assert len(ana.told(BulletinRefused)) == 3
    kinds = [each.kind for each in ana.told(Alarm)]
    assert kinds == [AlarmKind.BAD_BULLETIN] * 4


def test_a_forward_does_not_pass_for_an_original_nor_the_other_way(world: World) -> None:
    ana, _bor, cene, _dora, topic, inner = stage(world)
    bulletin = publish(ana, topic)
    row = cene.agent.rows.get(BULLETINS, bulletin_row(topic, bulletin))
    assert row is not None
    rogue = Rogue(cene, inner)
    rogue.say(Payload.of(world.chance(16), 0, Bulletin(row.header, row.signature, CONTENT)).encode())
    here = Rogue(cene, topic)
    here.say(Payload.of(world.chance(16), 0, Forward(row.header, row.signature, CONTENT, None, b"")).encode())
    cene.disconnect()
    world.run(3)
    reasons = [each.reason for each in _dora.told(BulletinRefused)]
    assert len(reasons) == 2
    assert all("conversation" in each for each in reasons)


def test_who_came_in_between_is_seen_when_it_is_sealed(world: World) -> None:
    ana, _bor, cene, dora, topic, _inner = stage(world)
    bulletin = publish(ana, topic, Tlp.AMBER)
    small = Policy("small", Kind.COMMUNITY, (AgencyScope("cert-si", ()),), (), (dora.officer,), Tlp.AMBER, 7 * 86400)
    world.bind("small", founders=(dora.name,))
    there: bytes = dora.do(CreateConversation(small))
    world.run(10)
    cene.disconnect()
    cene.do(ForwardBulletin(bulletin, there, CONTENT))
    wider = replace(small, agencies=(AgencyScope("cert-hr", ()), *small.agencies), stewards=(ana.officer, dora.officer))
    dora.do(ChangePolicy(there, wider))
    world.run(20)
    cene.connect()
    world.run(10)
    (dropped,) = cene.told(MessageDropped)
    assert "cert-hr is tlp:amber" in dropped.reason
    assert not shown(dora, there)
