"""An agency's roster key in a thief's hands: it lists what it likes, and must not come into direct conversations."""

from __future__ import annotations

from typing import Any

from relay.people import Device
from securechan.agent.events import Alarm, AlarmKind, MemberAdded, MemberRemoved
from securechan.agent.inputs import SendText
from securechan.agent.letters import Letter, LetterKind, ReaddLetter, SealedLetter, SignedLetter
from securechan.agent.policy import seats
from securechan.bulletin.payload import Control, ControlKind, Payload, RosterDocument, RosterNotice
from securechan.bulletin.tlp import Tlp
from securechan.crypto.contexts import REQUEST
from securechan.crypto.suite import HYBRID
from securechan.mls.message import MLSMessage
from securechan.trust import authority
from securechan.trust.contents import target
from securechan.trust.records import Tombstone, key_hash
from securechan.wire.frames import Appended, Deliver, Done, PutKeyPackages, inbox_topic
from tests.agent.places import Rogue, community, direct, group_of, package
from tests.support.actor import Wire
from tests.support.federation import forge
from tests.support.world import World, signer


def test_a_roster_told_in_a_conversation_buries_nobody_elses_keys(world: World) -> None:
    """Publication would refuse a tombstone over keys that the agency never listed; told in a conversation, such a
    roster had everybody put the other agencies' devices out."""
    ana, bor, cene, topic = community(world)
    draft = world.roster("cert-hr", revoke={"bor-laptop": "lost"})
    stolen = world.view.device(cene.name).hashes(None)

    def bury(signed: dict[str, Any]) -> None:
        stone = Tombstone(
            agency="cert-hr", device="bor-laptop", officer="bor", keys=stolen, reason="lost", at=world.now
        )
        signed["targets"]["cert-hr/+2"] = target("cert-hr/+2", stone).to_dict()

    forged = forge(draft.content, bury, signer("cert-hr-roster"))
    notice = RosterNotice((RosterDocument(draft.role, forged),))
    thief = Rogue(ana, topic)
    thief.say(Payload.of(bytes(16), world.now * 1000, Control(ControlKind.ROSTER, notice)).encode())
    world.run(30)
    for each in (bor, cene):
        quarantined = {alarm.who for alarm in each.told(Alarm) if alarm.kind is AlarmKind.QUARANTINE}
        assert quarantined <= {bor.name}  # of whom the agency may say so
    assert bor.name in {each.device for each in cene.told(MemberRemoved, topic)}
    assert cene.name in {seat.device for seat in seats(group_of(cene, topic).members()).values()}
    identity = cene.do(SendText(topic, "still here", Tlp.GREEN))
    world.run(5)
    assert cene.agent.outgoing(identity) == "sent"


def test_a_second_key_in_the_roster_does_not_bring_its_holder_in_by_asking_to_be_readded(world: World) -> None:
    """The thief lists a key of his own beside cene's, as if cene were rotating, speaks to the relay as cene, leaves key
    packages under that key, and asks ana to add "cene" again: the device is vouched for, the key is not."""
    ana, cene, topic = direct(world)
    private, public = HYBRID.signature.generate()
    record = authority.add_key(world.view.device(cene.name), "hybrid", public)
    cene.disconnect()
    world.publish(world.roster("cert-si", replace=[record]))
    world.run(2)

    ana_record = world.view.device(ana.name)
    letter = Letter(
        cene.name,
        key_hash(public),
        (ana.name,),
        ana.agent.trust_position,
        world.now,
        LetterKind.READD,
        ReaddLetter(topic, 1, "lost my state"),
    ).encode()
    signed = SignedLetter(letter, HYBRID.signature.sign(private, REQUEST, letter))
    enc, sealed = HYBRID.hpke.seal(ana_record.inbox, b"securechan/1 letter", b"", signed.encode())
    offered = package(cene.name, record.address, world.now, private)
    who = Device(cene.name, record.agency, frozenset(record.roles), key_hash(public), None)
    thief = world.inside(lambda: world.mailroom.enter(who, Wire()))
    wire = MLSMessage.of(offered).encode()
    assert world.loop.run_until_complete(thief.request(PutKeyPackages(HYBRID.number, 1, (), wire))) == Done()
    deliver = Deliver(inbox_topic(ana.name), bytes(32), SealedLetter(enc, sealed).encode())
    assert isinstance(world.loop.run_until_complete(thief.request(deliver)), Appended)
    world.run(30)

    assert public not in {seat.key for seat in seats(group_of(ana, topic).members()).values()}
    assert not ana.told(MemberAdded, topic)[1:]  # the thief never was in, not even for a moment
    assert AlarmKind.BAD_PACKAGE in {each.kind for each in ana.told(Alarm)}


def test_a_device_that_is_listed_with_a_key_not_its_own_says_so(world: World) -> None:
    ana, bor, _, _topic = community(world)
    record = authority.add_key(world.view.device(ana.name), "hybrid", HYBRID.signature.generate()[1])
    world.publish(world.roster("cert-hr", replace=[record]))
    world.run(5)
    assert AlarmKind.BAD_ROSTER in {each.kind for each in ana.told(Alarm)}
    assert AlarmKind.BAD_ROSTER not in {each.kind for each in bor.told(Alarm)}
