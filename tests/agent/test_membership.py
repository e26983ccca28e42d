"""Who belongs, who is there, and whose turn it is: the pure function, and the federation at work."""

from __future__ import annotations

from securechan.agent.events import (
    Alarm,
    AlarmKind,
    ConversationJoined,
    DeviceAnnounced,
    DeviceConfirmed,
    DeviceWaiting,
    MemberAdded,
    MemberRemoved,
    MemberRevoked,
)
from securechan.agent.inputs import ConfirmDevice, Leave, PublishTrust, SendText
from securechan.agent.membership import TURN, Circumstances, differences, order, revoked, wait
from securechan.agent.policy import Seat
from securechan.bulletin.tlp import Tlp
from securechan.crypto.suite import HYBRID
from securechan.mls.keypackage import KeyPackage
from securechan.trust import authority
from securechan.wire.frames import TrustDocument
from tests.agent.places import Rogue, community, direct, group_of, package, secret, words
from tests.support.federation import Device, make_device
from tests.support.world import NOW, World, signer


def seat_of(leaf: int, device: Device) -> Seat:
    return Seat(leaf, device.name, device.record.address, device.key.public)


# ------------------------------------------------------------------------------------------------ the pure function


def test_a_tree_that_is_as_declared_has_no_difference(world: World) -> None:
    ana, bor = world.enrol_all("cert-hr", "ana", "bor")
    policy = world.community("c", "cert-hr", stewards=("ana@cert-hr",))
    seats = {0: seat_of(0, ana.device), 1: seat_of(1, bor.device)}
    assert not differences(seats, policy, world.view, NOW, Circumstances())


def test_who_is_missing_is_added_and_who_does_not_belong_is_removed(world: World) -> None:
    ana, bor = world.enrol_all("cert-hr", "ana", "bor")
    (cene,) = world.enrol_all("cert-si", "cene")
    policy = world.community("c", "cert-hr", stewards=("ana@cert-hr",))
    seats = {0: seat_of(0, ana.device), 3: seat_of(3, cene.device)}
    found = differences(seats, policy, world.view, NOW, Circumstances())
    assert (found.adds, found.removes, found.quarantined) == ((bor.name,), (3,), frozenset())


def test_a_leaf_with_another_key_or_officer_is_quarantined(world: World) -> None:
    (ana,) = world.enrol_all("cert-hr", "ana")
    policy = world.community("c", "cert-hr", stewards=("ana@cert-hr",))
    good = seat_of(0, ana.device)
    for leaf in (
        Seat(1, good.device, good.officer, HYBRID.signature.generate()[1]),
        Seat(1, good.device, "bor@cert-hr", good.key),
        Seat(1, "cert-hr/nobody", good.officer, good.key),
    ):
        found = differences({0: good, 1: leaf}, policy, world.view, NOW, Circumstances())
        assert found.quarantined == {1}
        assert found.removes == (1,)


def test_why_a_leaf_is_admitted_no_longer(world: World) -> None:
    (ana,) = world.enrol_all("cert-hr", "ana")
    good, now = seat_of(0, ana.device), world.now
    assert revoked(good, world.view, now) == ""
    world.revoke(ana, "left")
    assert revoked(good, world.view, now) == "left"
    for leaf in (
        Seat(0, good.device, "bor@cert-hr", good.key),  # who says to be somebody else has no excuse
        Seat(0, good.device, good.officer, HYBRID.signature.generate()[1]),
        Seat(0, "cert-zz/laptop", "ana@cert-zz", HYBRID.signature.generate()[1]),
        Seat(0, "", "", good.key),
    ):
        assert revoked(leaf, world.view, now) == ""
    bor = make_device("cert-si", "bor", "bor", now=now)
    world.publish(world.roster("cert-si", add=[authority.changed(bor.record, not_after=now + 60)]))
    assert revoked(seat_of(0, bor), world.view, now + 59) == ""
    assert revoked(seat_of(0, bor), world.view, now + 60) == "expired"
    world.publish(authority.federation(world.view, now=world.now, remove=["cert-si"]).sign(signer("targets")))
    assert revoked(seat_of(0, bor), world.view, now) == "agency-left"


def test_roles_decide_where_a_policy_names_them(world: World) -> None:
    from securechan.agent.policy import AgencyScope

    desk = world.enrol("cert-hr", "d", "desk-1", "desk")
    liaison = world.enrol("cert-hr", "l", "liaison-1", "liaison")
    policy = world.community("c", stewards=("desk-1@cert-hr",), agencies=(AgencyScope("cert-hr", ("desk",)),))
    seats = {0: seat_of(0, liaison.device)}
    found = differences(seats, policy, world.view, NOW, Circumstances())
    assert (found.adds, found.removes) == ((desk.name,), (0,))


def test_who_has_left_is_not_called_back_unless_it_asks(world: World) -> None:
    ana, bor = world.enrol_all("cert-hr", "ana", "bor")
    policy = world.community("c", "cert-hr", stewards=("ana@cert-hr",))
    seats = {0: seat_of(0, ana.device), 1: seat_of(1, bor.device)}
    left = Circumstances(leaving=(bor.name,))
    assert differences(seats, policy, world.view, NOW, left).removes == (1,)
    assert not differences({0: seats[0]}, policy, world.view, NOW, left)
    back = Circumstances(leaving=(bor.name,), returning=(bor.name,))
    assert differences({0: seats[0]}, policy, world.view, NOW, back).adds == (bor.name,)


def test_turns_are_an_order_that_differs_from_epoch_to_epoch_and_leaves_out_who_goes() -> None:
    seats = {leaf: Seat(leaf, f"cert-hr/{leaf}", f"{leaf}@cert-hr", b"") for leaf in range(8)}
    places = order(seats, {3}, 5, b"change")
    assert sorted(places) == [0, 1, 2, 4, 5, 6, 7]
    assert [wait(seats, leaf, {3}, 5, b"change") for leaf in places] == [TURN * number for number in range(7)]
    assert wait(seats, 3, {3}, 5, b"change") is None
    assert len({order(seats, {3}, epoch, b"change") for epoch in range(8)}) > 1


# ------------------------------------------------------------------------------------------------- officers by name


def test_an_officers_second_device_waits_until_one_of_its_own_devices_vouches_for_it(world: World) -> None:
    ana, cene, topic = direct(world)
    phone = world.enrol("cert-si", "cene-phone", "cene", "liaison").connect()
    world.run(30)
    assert [each.device for each in ana.told(DeviceWaiting)] == [phone.name]
    assert not phone.told(ConversationJoined)
    cene.do(ConfirmDevice(phone.name))
    world.run(30)
    assert phone.told(ConversationJoined)
    assert [each.by for each in ana.told(DeviceConfirmed)] == [cene.name]
    assert phone.name in [each.device for each in ana.told(DeviceAnnounced)]
    ana.do(SendText(topic, "both of you", Tlp.RED))
    world.run(2)
    assert words(phone, topic) == words(cene, topic) == ["both of you"]


def test_the_other_side_may_confirm_in_person_and_a_colleague_may_not(worlds: object) -> None:
    world: World = worlds("cert-hr", "cert-si")
    ana, cene, topic = direct(world)
    phone = world.enrol("cert-si", "cene-phone", "cene", "liaison").connect()
    world.run(10)
    ana.do(ConfirmDevice(phone.name, topic))
    world.run(30)
    assert phone.told(ConversationJoined)
    assert len(group_of(cene, topic).members()) == 3


def test_a_rogue_administrators_device_does_not_read_the_next_message(world: World) -> None:
    ana, cene, topic = direct(world)
    # The administrator of cert-si lists a device for cene. A member that keeps no rules adds it all the same.
    tap = make_device("cert-si", "tap", "cene", "liaison", now=world.now)
    world.publish(world.roster("cert-si", add=[tap.record]))
    world.run(5)
    assert len(group_of(ana, topic).members()) == 2
    rogue = Rogue(cene, topic)
    added: KeyPackage = package(tap.name, tap.record.address, world.now, bytes(tap.key.private))
    rogue.commit(adds=(added,))
    cene.disconnect()
    identity = ana.do(SendText(topic, "for cene alone", Tlp.RED))
    world.run(20)
    assert [each.who for each in ana.told(Alarm) if each.kind is AlarmKind.QUARANTINE] == [tap.name]
    assert [each.device for each in ana.told(MemberRemoved)] == [tap.name]
    assert ana.agent.outgoing(identity) == "sent"
    assert tap.name not in {each.device for each in ana.agent.conversation(topic).members}


# ------------------------------------------------------------------------------------------------------- revocation


def test_nothing_is_written_until_a_revoked_leaf_is_out(world: World) -> None:
    ana, bor, cene, topic = community(world)
    world.revoke(cene)
    identity = ana.do(SendText(topic, "not for cene", Tlp.GREEN))
    world.run(20)
    assert ana.agent.outgoing(identity) == "sent"
    assert words(bor, topic) == ["not for cene"]
    assert cene.name not in {each.device for each in ana.agent.conversation(topic).members}
    assert words(cene, topic) == []
    for each in (ana, bor):  # what an agency does every week is no alarm
        assert [(event.device, event.reason) for event in each.told(MemberRevoked)] == [(cene.name, "lost")]
        assert not each.told(Alarm)


def test_who_lets_a_revoked_device_in_again_raises_an_alarm(world: World) -> None:
    ana, bor, cene, topic = community(world)
    world.revoke(cene)
    world.run(20)
    assert not ana.told(Alarm)
    device = cene.device
    rogue = Rogue(bor, topic)
    rogue.commit(adds=(package(device.name, device.record.address, world.now, bytes(device.key.private)),))
    bor.disconnect()
    world.run(20)
    (alarm,) = ana.told(Alarm)
    assert (alarm.kind, alarm.who) == (AlarmKind.QUARANTINE, cene.name)
    assert alarm.text.startswith(f"{bor.name} let {cene.name} in")
    assert cene.name not in {each.device for each in ana.agent.conversation(topic).members}


def test_a_roster_told_in_the_conversation_revokes_though_the_relay_holds_it_back(world: World) -> None:
    ana, bor, cene, _topic = community(world)
    draft = world.roster("cert-hr", revoke={"bor-laptop": "lost"})
    document = TrustDocument(*draft.pair())
    # ana's client is the administrator's: it tells the roster in the conversation; the relay never publishes it.
    from securechan.agent import rosters
    from securechan.agent.turn import Turn

    turn = Turn(ana.agent.rows, ana.agent.session, world.chance, world.now)
    rosters.tell(turn, (document,))
    _rows, writes = turn.rows.seal()
    ana.adopt(writes)
    ana.restart().connect()
    world.run(20)
    assert [each.device for each in cene.told(MemberRemoved)] == [bor.name]
    assert AlarmKind.REVOKED in {each.kind for each in cene.told(Alarm)}
    assert world.view.find(bor.name) is not None


def test_an_administrators_publication_is_told_in_the_conversations_it_shares(world: World) -> None:
    ana, bor, cene, _topic = community(world)
    draft = world.roster("cert-hr", revoke={"bor-laptop": "lost"})
    from securechan.agent.events import RequestDone, RequestFailed

    ana.do(PublishTrust((TrustDocument(*draft.pair()),)))
    world.run(20)
    assert ana.told(RequestDone) or ana.told(RequestFailed)  # a device may or may not publish: the relay says which
    if ana.told(RequestDone):
        assert [each.device for each in cene.told(MemberRemoved)] == [bor.name]


def test_who_leaves_is_removed_and_not_called_back(world: World) -> None:
    ana, bor, cene, topic = community(world)
    bor.do(Leave(topic))
    world.run(60)
    assert [each.device for each in ana.told(MemberRemoved)] == [bor.name]
    assert [each.device for each in ana.told(MemberAdded)].count(bor.name) == 1
    assert bor.agent.conversation(topic).standing == "gone"
    assert secret(ana, topic) == secret(cene, topic)


def test_a_stale_roster_cannot_bring_a_revoked_key_back(world: World) -> None:
    ana, bor, cene, topic = community(world)
    old = world.roster("cert-hr", add=[make_device("cert-hr", "x", "x", now=world.now).record])
    world.revoke(bor)
    world.run(20)
    from securechan.agent import rosters
    from securechan.agent.turn import Turn

    turn = Turn(ana.agent.rows, ana.agent.session, world.chance, world.now)
    rosters.tell(turn, (TrustDocument(*old.pair()),))
    _, writes = turn.rows.seal()
    ana.adopt(writes)
    ana.restart().connect()
    world.run(20)
    assert bor.name not in {each.device for each in cene.agent.conversation(topic).members}
    assert len(cene.agent.conversation(topic).members) == 2
