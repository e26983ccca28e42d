"""What one member with bent code can try against the others' clients: to stop them, to silence one, to make them fall
over, to smuggle somebody in. Each of these once worked."""

from __future__ import annotations

from dataclasses import replace
from itertools import count

from hypothesis import HealthCheck, given, settings

from securechan.agent.events import Alarm, AlarmKind, DeviceConfirmed, Frozen, MemberRemoved
from securechan.agent.founding import FOUNDING
from securechan.agent.inputs import CreateConversation, RenameConversation, RotateEpochs, SendText
from securechan.agent.payloads import MOST_CONFIRMED
from securechan.agent.policy import POLICY, Officer
from securechan.agent.turn import access_hash, access_secret
from securechan.bulletin.payload import Control, ControlKind, DeviceConfirmation, Leave, Payload, PayloadBody, Text
from securechan.bulletin.tlp import Tlp
from securechan.crypto.suite import HYBRID
from securechan.mls.group import Group
from securechan.mls.keypackage import LeafKeys, new_key_package
from securechan.mls.nodes import BasicCredential, Capabilities
from securechan.mls.outcomes import Application
from securechan.mls.registry import CredentialType, ProtocolVersion
from securechan.trust.records import key_hash
from securechan.wire.frames import Appended, CommitClaim, Entry
from tests.agent.places import STEWARDS, Rogue, community, direct, group_of, package, row_of, words
from tests.support.actor import Actor
from tests.support.federation import make_device
from tests.support.strategies import strategies
from tests.support.villain import again
from tests.support.world import World


def entries(world: World, topic: bytes) -> list[Entry]:
    """The log."""
    run = world.loop.run_until_complete(world.store.read(topic, 0, None, 1 << 24))
    return [each.entry() for each in run.entries]


def confirmation(device: str, key: bytes) -> PayloadBody:
    return Control(ControlKind.CONFIRM, DeviceConfirmation(device, key))


def alarms(actor: Actor, kind: AlarmKind) -> list[Alarm]:
    return [each for each in actor.told(Alarm) if each.kind is kind]


# ------------------------------------------------------------------------------------------------ what was said, again


def test_our_own_words_under_a_later_key_are_no_proof_of_a_rollback(world: World) -> None:
    """They verify, and we never used that key; yet we did say them, and no copy of us is needed to say them again."""
    ana, bor, cene, topic = community(world)
    rogue = Rogue(cene, topic)
    ana.do(SendText(topic, "once", Tlp.GREEN))
    world.run()
    rogue.append(again(rogue.group, entries(world, topic)[-1].body, 40))
    world.run(5)
    assert not ana.told(Frozen)
    assert not alarms(ana, AlarmKind.ROLLBACK)
    assert alarms(ana, AlarmKind.VOID)
    ana.do(SendText(topic, "and once more", Tlp.GREEN))
    world.run(5)
    assert words(bor, topic) == words(ana, topic) == ["once", "and once more"]


def test_a_repetition_spends_none_of_its_victims_keys(world: World) -> None:
    """Else the victim's next words would open for nobody, while it believes that everyone has read them."""
    ana, bor, cene, topic = community(world)
    rogue = Rogue(cene, topic)
    ana.do(SendText(topic, "once", Tlp.GREEN))
    world.run()
    spoken = entries(world, topic)[-1].body
    for generation in (1, 2, 3, 4000):
        rogue.append(again(rogue.group, spoken, generation))
    world.run(2)
    for number in range(4):
        ana.do(SendText(topic, f"{number}", Tlp.GREEN))
        world.run()
    assert words(bor, topic) == words(ana, topic) == ["once", "0", "1", "2", "3"]
    assert {each.who for each in alarms(bor, AlarmKind.VOID)} == {""}  # whoever it was, it wasn't ana


def test_nobody_can_use_up_an_id_that_is_anothers(world: World) -> None:
    """Who reads an id in words that came too late for their epoch could otherwise silence them for good."""
    ana, bor, cene, topic = community(world)
    identity = b"an id of ana's.."
    Rogue(cene, topic).say(Payload.of(identity, 0, Text(Tlp.GREEN, "mine")).encode())
    cene.disconnect()
    world.run()
    ana.do(SendText(topic, "no, mine", Tlp.GREEN, identity))
    world.run(2)
    assert words(bor, topic) == words(ana, topic) == ["mine", "no, mine"]
    assert ana.agent.outgoing(identity) == "sent"
    assert bor.agent.outgoing(identity) == "unknown"


def test_an_id_counts_once_for_its_sender(world: World) -> None:
    ana, bor, cene, topic = community(world)
    rogue = Rogue(cene, topic)
    for body in ("first", "second"):
        rogue.say(Payload.of(bytes(16), 0, Text(Tlp.GREEN, body)).encode())
    cene.disconnect()
    world.run(2)
    assert words(ana, topic) == words(bor, topic) == ["first"]


# ------------------------------------------------------------------------------------------------- clients fall over


def test_leaves_with_names_that_nobody_can_have_are_void(world: World) -> None:
    ana, bor, cene, topic = community(world)
    rogue = Rogue(cene, topic)
    for device in ("cert-si/" + "x" * 400, "cert-si/\N{PILE OF POO}" * 40, "cert-si/a b", "cert-si/\0", "cert-si/"):
        rogue.commit(adds=(package(device, "cene@cert-si", world.now),))
        world.run(1)
        rogue = Rogue(cene, topic)
        bor.do(RotateEpochs(topic))  # so that the hourly limit of unconfirmed commits is not what saves us
        world.run(5)
        rogue = Rogue(cene, topic)
    assert len(group_of(ana, topic).members()) == len(group_of(bor, topic).members()) == 3
    assert alarms(ana, AlarmKind.VOID)
    ana.restart().connect()
    world.run(2)
    assert group_of(ana, topic).epoch == group_of(bor, topic).epoch


def test_who_vouches_without_end_fills_nothing(world: World) -> None:
    """What is kept of it has a bound that its encoding has, too."""
    ana, bor, cene, topic = community(world)
    rogue = Rogue(cene, topic)
    vouched = [(f"cert-hr/{number:064}", bytes(48)) for number in range(MOST_CONFIRMED + 20)]
    vouched.append((bor.name, key_hash(bor.device.key.public)))  # one that there is
    for number, (device, key) in enumerate(vouched):
        rogue.say(Payload.of(number.to_bytes(16, "big"), 0, confirmation(device, key)).encode())
    cene.disconnect()
    world.run(2)
    kept = row_of(ana, topic).confirmed
    assert len(kept) == MOST_CONFIRMED
    assert kept[-1].device == bor.name
    ana.do(SendText(topic, "still standing", Tlp.GREEN))
    world.run(2)
    assert words(bor, topic) == ["still standing"]


# ---------------------------------------------------------------------------------------------- somebody smuggled in


def test_a_device_that_was_smuggled_in_does_not_vouch_for_itself(world: World) -> None:
    ana, cene, topic = direct(world)
    tap = make_device("cert-si", "tap", "cene", "liaison", now=world.now)
    world.publish(world.roster("cert-si", add=[tap.record]))
    world.run(5)
    rogue = Rogue(cene, topic)
    keys = LeafKeys(bytes(tap.key.private), BasicCredential(tap.name.encode()))
    able = Capabilities((ProtocolVersion.MLS10,), (HYBRID.number,), (POLICY, FOUNDING), (), (CredentialType.BASIC,))
    officer = (Officer(tap.record.address).extension(),)
    bundle = new_key_package(HYBRID, keys, now=world.now, leaf_extensions=officer, capabilities=able)
    data = rogue.claim.encode()
    step = rogue.group.commit(authenticated_data=data, tree_in_welcome=False, adds=(bundle.key_package,))
    claim = CommitClaim(rogue.row.last_commit, access_hash(access_secret(step.next)))
    assert isinstance(rogue.append(step.commit, claim), Appended)
    # The tap is in, and speaks before anybody's turn to put it out has come.
    tapping = Group.join(step.welcomes[0], bundle, now=world.now, ratchet_tree=step.ratchet_tree, suite=HYBRID)
    vouching = Payload.of(bytes(16), 0, confirmation(tap.name, key_hash(tap.key.public))).encode()
    tapping, message = tapping.protect(vouching, authenticated_data=data)
    assert isinstance(rogue.append(message), Appended)
    cene.disconnect()
    identity = ana.do(SendText(topic, "for cene alone", Tlp.RED))
    world.run(20)
    assert not ana.told(DeviceConfirmed)
    assert [each.device for each in ana.told(MemberRemoved)] == [tap.name]
    assert ana.agent.outgoing(identity) == "sent"
    read = [tapping.receive(each.body) for each in entries(world, topic)]
    assert not [each for each in read if isinstance(each, Application)]


# ----------------------------------------------------------------------------------------------------- anything at all


def test_no_payload_stops_a_client(world: World) -> None:
    """Whatever a payload can be: it is shown, refused or passed over, and the next honest word is read."""
    ana, bor, cene, topic = community(world)
    rogue = Rogue(cene, topic)
    cene.pump = lambda: False  # its own client hears nothing of it
    ana.careful = True
    numbers = count()

    @settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
    @given(strategies(Payload).filter(lambda payload: not isinstance(payload.body, Leave)))
    def any_payload(payload: Payload) -> None:
        rogue.say(replace(payload, id=next(numbers).to_bytes(16, "big")).encode())
        world.run()

    any_payload()
    world.run(30)
    ana.do(SendText(topic, "still standing", Tlp.GREEN))
    world.run(2)
    assert words(bor, topic)[-1] == words(ana, topic)[-1] == "still standing"


def test_who_puts_everybody_out_ends_one_group_and_is_named(world: World) -> None:
    """A commit may remove anybody. Who did is told; and what follows under the name is nobody's but its founders'."""
    ana, bor, cene, topic = community(world)
    rogue = Rogue(cene, topic)
    others = [member.leaf for member in rogue.group.members() if member.leaf != rogue.group.own_leaf]
    rogue.commit(removes=others)
    cene.pump = lambda: False  # a client that keeps no rules lets nobody in again
    world.run(5)
    for actor in (ana, bor):
        assert [each.who for each in alarms(actor, AlarmKind.CANNOT_FOLLOW)] == [cene.name]
        assert actor.told(Frozen)
    ana.do(RenameConversation(topic, "what cene broke"))  # a person has seen enough
    anew = ana.do(CreateConversation(world.community("eu-csirts", stewards=STEWARDS)))
    world.run(10)
    ana.do(SendText(anew, "here we are", Tlp.GREEN))
    world.run(2)
    assert words(bor, anew) == ["here we are"]
    assert ana.agent.conversation(anew).name == bor.agent.conversation(anew).name == "eu-csirts"
    assert bor.agent.conversation(topic).name == f"eu-csirts~{topic.hex()[:8]}"
