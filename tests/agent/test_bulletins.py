"""Bulletins: published, believed or refused, receipted, revised, withdrawn; inside a message or as a blob."""

from __future__ import annotations

import pytest

from securechan.agent.events import (
    Alarm,
    AlarmKind,
    AttachmentFetched,
    BulletinReceived,
    BulletinRefused,
    MessageReceived,
    ReceiptReceived,
)
from securechan.agent.inputs import (
    Acknowledge,
    FetchAttachment,
    PublishBulletin,
    Published,
    ReviseBulletin,
    SendAttachment,
    SendText,
    WithdrawBulletin,
)
from securechan.bulletin.bulletin import describe, sign
from securechan.bulletin.payload import Bulletin, Payload
from securechan.bulletin.tlp import Tlp
from securechan.errors import Denied, NotFound
from securechan.trust.records import key_hash
from tests.agent.places import Rogue, community
from tests.support.actor import Actor
from tests.support.world import World


def publish(actor: Actor, topic: bytes, content: bytes = b"watch out", **changes: object) -> Published:
    fields: dict[str, object] = {"media_type": "text/plain", "tlp": Tlp.GREEN, "title": "a warning", **changes}
    made = actor.do(PublishBulletin(topic, content, **fields))
    assert isinstance(made, Published)
    return made


def test_a_bulletin_reaches_everyone_and_its_desk_learns_who_has_it(world: World) -> None:
    ana, bor, cene, topic = community(world)
    made = publish(ana, topic, ack_by=world.now + 3600)
    world.run(5)
    for each in (ana, bor, cene):
        (shown,) = each.told(BulletinReceived)
        assert (shown.bulletin, shown.content, shown.issuer) == (made.bulletin, b"watch out", "cert-hr")
        assert shown.own == (each is ana)
    assert {each.device for each in ana.told(ReceiptReceived)} == {bor.name, cene.name}
    cene.do(Acknowledge(made.bulletin))
    world.run(2)
    (list_,) = ana.agent.acks(made.bulletin)
    assert [each.device for each in list_.acknowledged] == [cene.name]
    assert {each.device for each in list_.delivered} == {bor.name, cene.name}
    assert list_.missing == ()
    assert ana.agent.acks(made.bulletin) == bor.agent.acks(made.bulletin)  # the whole desk sees it


def test_who_has_not_received_it_is_missing(world: World) -> None:
    ana, _bor, cene, topic = community(world)
    cene.disconnect()
    made = publish(ana, topic)
    world.run(5)
    (list_,) = ana.agent.acks(made.bulletin)
    assert [each.device for each in list_.missing] == [cene.name]
    cene.connect()
    world.run(5)
    (list_,) = ana.agent.acks(made.bulletin)
    assert list_.missing == ()


def test_a_large_bulletin_travels_as_a_blob(world: World) -> None:
    ana, _bor, cene, topic = community(world)
    content = world.rng.randbytes(1 << 20).hex().encode()[: 3 << 19]
    publish(ana, topic, content)
    world.run(10)
    assert [each.content for each in cene.told(BulletinReceived)] == [content]
    assert [each.content for each in ana.told(BulletinReceived)] == [content]
    assert not cene.tables.get("downloads")
    assert not ana.tables.get("uploads")


def test_an_upload_that_is_cut_off_resumes(world: World) -> None:
    ana, _bor, cene, topic = community(world)
    ana.disconnect()
    content = world.rng.randbytes(1 << 20)
    identity = ana.do(SendAttachment(topic, "sample.bin", "application/octet-stream", content, Tlp.GREEN, "look"))
    ana.connect()
    for _ in range(6):
        world.inside(ana.pump)
    ana.restart().connect()
    world.run(5)
    (shown,) = cene.told(MessageReceived)
    assert (shown.attachment, shown.size, shown.body) == ("sample.bin", 1 << 20, "look")
    cene.do(FetchAttachment(topic, identity))
    world.run(5)
    assert [each.content for each in cene.told(AttachmentFetched)] == [content]


def test_tlp_is_a_rule_and_nothing_is_sent_against_it(world: World) -> None:
    ana, _bor, _cene, topic = community(world)
    before = ana.agent
    with pytest.raises(Denied) as denied:
        publish(ana, topic, tlp=Tlp.AMBER_STRICT)
    assert denied.value.code == "tlp-denied"
    with pytest.raises(Denied):
        publish(ana, topic, tlp=Tlp.GREEN, floor=Tlp.AMBER)
    with pytest.raises(Denied):
        ana.do(SendText(topic, "red words", Tlp.RED))
    assert ana.agent is before


def test_who_has_no_desk_role_publishes_nothing_and_is_not_believed(world: World) -> None:
    ana, _bor, cene, topic = community(world)
    lea = world.enrol("cert-hr", "lea-laptop", "lea", "liaison").connect()
    world.run(20)
    with pytest.raises(Denied):
        publish(lea, topic)
    rogue = Rogue(lea, topic)
    forge(rogue, lea, topic)
    lea.disconnect()
    world.run(2)
    assert [each.device for each in ana.told(BulletinRefused)] == [lea.name]
    assert AlarmKind.BAD_BULLETIN in {each.kind for each in cene.told(Alarm)}
    assert not ana.told(BulletinReceived)


def forge(rogue: Rogue, actor: Actor, topic: bytes, **changes: object) -> None:
    view, key = actor.agent.view, actor.device.key
    fields: dict[str, object] = {
        "issuer": actor.agent.agency,
        "id": "SC-2027-0001-aaaaaa",
        "tlp": Tlp.GREEN,
        "media_type": "text/plain",
        "audience": topic,
        "time": actor.world.now,
        "device": actor.name,
        "signer": key_hash(key.public),
        "roster_version": view.roster_version(actor.agent.agency),
        "roster_hash": view.roster_hash(actor.agent.agency),
        "title": "forged",
        **changes,
    }
    header = describe(b"false", **fields)
    signed = sign(header, b"false", key)
    payload = Payload.of(actor.world.chance(16), 0, Bulletin(signed.header, signed.signature, b"false"))
    rogue.say(payload.encode())


def test_a_bulletin_for_another_conversation_or_of_another_agency_is_refused(world: World) -> None:
    ana, _bor, cene, topic = community(world)
    rogue = Rogue(cene, topic)
    forge(rogue, cene, topic, audience=bytes(32))
    cene.disconnect()
    world.run(2)
    (refused,) = ana.told(BulletinRefused)
    assert "another conversation" in refused.reason


def test_revisions_follow_each_other_and_withdrawal_is_final(world: World) -> None:
    ana, bor, cene, topic = community(world)
    made = publish(ana, topic)
    world.run(3)
    # A colleague of the same desk revises.
    again = bor.do(ReviseBulletin(topic, made.bulletin, b"watch out more", "text/plain", Tlp.GREEN, "a warning"))
    world.run(3)
    assert (again.bulletin, again.revision) == (made.bulletin, 2)
    assert [each.revision for each in cene.told(BulletinReceived)] == [1, 2]
    with pytest.raises(Denied):
        cene.do(WithdrawBulletin(topic, made.bulletin, "not mine"))
    ana.do(WithdrawBulletin(topic, made.bulletin, "it was a test"))
    world.run(3)
    assert [each.status for each in cene.told(BulletinReceived)] == ["active", "active", "withdrawn"]
    with pytest.raises(Exception, match="final"):
        ana.do(ReviseBulletin(topic, made.bulletin, b"once more", "text/plain", Tlp.GREEN, "a warning"))


def test_of_two_revisions_the_first_in_the_log_wins(world: World) -> None:
    ana, bor, cene, topic = community(world)
    made = publish(ana, topic)
    world.run(3)
    for actor, content in ((ana, b"from ana"), (bor, b"from bor")):
        actor.do(ReviseBulletin(topic, made.bulletin, content, "text/plain", Tlp.GREEN, "a warning"))
    world.run(3)
    second = [each.content for each in cene.told(BulletinReceived)][1:]
    assert len(second) == 1
    assert [each.content for each in ana.told(BulletinReceived)][1:] == second
    assert len(cene.told(BulletinRefused)) == 1


def test_publishing_twice_under_one_id_is_publishing_once(world: World) -> None:
    ana, _bor, cene, topic = community(world)
    first = publish(ana, topic, id=bytes(range(16)))
    world.run(2)
    assert publish(ana, topic, id=bytes(range(16))) == first
    world.run(2)
    assert len(cene.told(BulletinReceived)) == 1


def test_what_is_not_there_is_not_acknowledged(world: World) -> None:
    ana, _, _, _ = community(world)
    with pytest.raises(NotFound):
        ana.do(Acknowledge("SC-2027-0001-aaaaaa"))
