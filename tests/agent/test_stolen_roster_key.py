"""An agency's roster key in a thief's hands: it lists what it likes, and must not come into direct conversations."""

from __future__ import annotations

from relay.people import Device
from securechan.agent.events import Alarm, AlarmKind, MemberAdded
from securechan.agent.letters import Letter, LetterKind, ReaddLetter, SealedLetter, SignedLetter
from securechan.agent.policy import seats
from securechan.crypto.contexts import REQUEST
from securechan.crypto.suite import HYBRID
from securechan.mls.message import MLSMessage
from securechan.trust import authority
from securechan.trust.records import key_hash
from securechan.wire.frames import Appended, Deliver, Done, PutKeyPackages, inbox_topic
from tests.agent.places import group_of, package
from tests.agent.test_membership import direct
from tests.support.world import Wire, World


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
        ana.name,
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
