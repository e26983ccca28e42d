"""Keys that are renewed: epochs, and a device's signature key through its roster."""

from __future__ import annotations

import json

import pytest

from securechan.agent.events import Alarm, OpaqueReceived, RotationStep
from securechan.agent.inputs import PublishBulletin, RotateSignature, SendText
from securechan.agent.rotation import KEY_REQUEST
from securechan.agent.state import KeyState
from securechan.bulletin.tlp import Tlp
from securechan.errors import Conflict
from securechan.trust import authority
from securechan.trust.records import key_hash
from tests.agent.places import community, group_of, words
from tests.support.actor import Actor
from tests.support.world import World


def signs_with(actor: Actor) -> bytes:
    return actor.agent.credential()[2]


def test_a_signature_key_is_renewed_through_the_roster_with_overlap(world: World) -> None:
    admin = world.enrol("cert-hr", "admin-1", "boss", "admin").connect()
    ana, bor, cene, topic = community(world)
    old = signs_with(ana)
    new = ana.do(RotateSignature())
    world.run(2)
    with pytest.raises(Conflict):
        ana.do(RotateSignature())
    (letter,) = admin.told(OpaqueReceived)
    assert letter.kind == KEY_REQUEST
    wish = json.loads(letter.content)
    assert (wish["device"], wish["add"], wish["drop"]) == (ana.name, new.hex(), "")
    assert signs_with(ana) == old

    record = authority.add_key(world.view.device(ana.name), "hybrid", new)
    world.publish(world.roster("cert-hr", replace=[record]))
    world.run(10)
    assert signs_with(ana) == new
    for each in (ana, bor, cene):
        assert new in {member.signature_key for member in group_of(each, topic).members()}
    assert [each.step for each in ana.told(RotationStep)] == ["proposed", "adopting", "adopted"]
    ana.do(SendText(topic, "with the new key", Tlp.GREEN))
    world.run(2)
    assert words(cene, topic) == ["with the new key"]
    wish = json.loads(admin.told(OpaqueReceived)[-1].content)
    assert (wish["add"], wish["drop"]) == ("", old.hex())

    record = authority.drop_key(world.view.device(ana.name), "hybrid", key_hash(old))
    world.publish(world.roster("cert-hr", replace=[record]))
    world.run(5)
    assert ana.told(RotationStep)[-1].step == "done"
    held = ana.agent.keys()
    assert [(each.public, each.state) for each in held] == [(new, KeyState.CURRENT)]
    made = ana.do(PublishBulletin(topic, b"signed anew", "text/plain", Tlp.GREEN, "t"))
    world.run(3)
    assert len(cene.agent.bulletins()) == 1
    assert made.revision == 1
    assert not [each for actor in (ana, bor, cene) for each in actor.told(Alarm)]


def test_a_member_who_was_away_while_a_key_was_renewed_follows(world: World) -> None:
    ana, _bor, cene, topic = community(world)
    cene.disconnect()
    new = ana.do(RotateSignature())
    record = authority.add_key(world.view.device(ana.name), "hybrid", new)
    old = record.hashes()[0]
    world.publish(world.roster("cert-hr", replace=[record]))
    world.run(5)
    world.publish(world.roster("cert-hr", replace=[authority.drop_key(record, "hybrid", old)]))
    world.run(5)
    ana.do(SendText(topic, "after all that", Tlp.GREEN))
    world.run(2)
    cene.connect()
    world.run(10)
    assert words(cene, topic) == ["after all that"]
    assert not cene.told(Alarm)


def test_a_key_that_was_proposed_survives_a_restart(world: World) -> None:
    ana, _bor, _cene, _topic = community(world)
    new = ana.do(RotateSignature())
    ana.restart()
    record = authority.add_key(world.view.device(ana.name), "hybrid", new)
    world.publish(world.roster("cert-hr", replace=[record]))
    ana.connect()
    world.run(10)
    assert signs_with(ana) == new
