"""Receipts: signed once for all who read them, true only from whom they are, and known to the whole desk."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from securechan.agent import letters, receipts
from securechan.agent.effects import Emit
from securechan.agent.events import Alarm, AlarmKind, BulletinReceived, MessageReached, ReceiptReceived
from securechan.agent.inputs import (
    Acknowledge,
    CreateConversation,
    MarkRead,
    PublishBulletin,
    SendText,
)
from securechan.agent.letters import ReceiptsLetter, SealedLetter, SignedLetter
from securechan.agent.look import AckList
from securechan.agent.state import BULLETINS, LETTERS, bulletin_row
from securechan.agent.turn import Turn
from securechan.bulletin.bulletin import Receipt, ReceiptKind
from securechan.bulletin.tlp import Tlp
from securechan.crypto.contexts import RECEIPT, REQUEST
from securechan.crypto.suite import HYBRID
from securechan.errors import Untrusted
from securechan.wire.frames import Appended, Deliver, inbox_topic
from tests.agent.places import STEWARDS, community, direct
from tests.support.actor import Actor
from tests.support.world import World


def turn_of(actor: Actor) -> Turn:
    return Turn(actor.agent.rows, actor.agent.session, actor.world.chance, actor.world.now)


def publish(actor: Actor, topic: bytes, content: bytes = b"watch out") -> str:
    made = actor.do(PublishBulletin(topic, content, "text/plain", Tlp.GREEN, "a warning"))
    name: str = made.bulletin
    return name


def receipt(desk: Actor, topic: bytes, about: str, of: Actor, **changes: object) -> Receipt:
    """What ``of`` would say of a bulletin that ``desk`` has."""
    row = desk.agent.rows.get(BULLETINS, bulletin_row(topic, about))
    assert row is not None
    said = Receipt(about, 1, row.digest, topic, ReceiptKind.ACKNOWLEDGED, of.officer, of.name, desk.world.now)
    return replace(said, **changes)


def acknowledged(actor: Actor) -> set[str]:
    return {each.device for each in actor.told(ReceiptReceived) if each.kind == "acknowledged"}


def test_a_receipt_is_its_own_devices_word_about_what_it_was_sent(world: World) -> None:
    ana, bor, cene, topic = community(world)
    bulletin = publish(ana, topic)
    world.run(3)
    before = len(ana.told(ReceiptReceived))
    turn = turn_of(ana)
    by = turn.view.device(cene.name)
    for bad in (
        receipt(ana, topic, bulletin, bor),  # of another device, by one that is of another agency
        receipt(ana, topic, bulletin, cene, officer="eva@cert-si"),
        receipt(ana, topic, bulletin, cene, digest=bytes(48)),  # of another text
    ):
        with pytest.raises(Untrusted):
            receipts.came(turn, (bad,), by)
    receipts.came(turn, (receipt(ana, topic, bulletin, cene, bulletin="SC-2027-0009-aaaaaa"),), by)  # nobody's: dropped
    receipts.came(turn, (receipt(ana, topic, bulletin, cene, revision=7),), by)
    assert len(ana.told(ReceiptReceived)) == before
    assert not list(turn.effects)


def test_one_false_receipt_hides_no_true_one(world: World) -> None:
    ana, bor, cene, topic = community(world)
    bulletin = publish(ana, topic)
    world.run(3)
    turn = turn_of(cene)
    batch = (receipt(ana, topic, bulletin, bor), receipt(ana, topic, bulletin, cene))
    assert letters.write(turn, (turn.view.device(ana.name),), ReceiptsLetter(batch))
    hand_over(cene, ana, written(turn))
    world.run(2)
    assert acknowledged(ana) == {cene.name}
    assert [(each.kind, each.who) for each in ana.told(Alarm)] == [(AlarmKind.BAD_LETTER, cene.name)]


def written(turn: Turn) -> bytes:
    return max(turn.rows.all(LETTERS).items())[1].copies[0].body


def hand_over(sender: Actor, reader: Actor, body: bytes) -> None:
    assert sender.member is not None
    request = Deliver(inbox_topic(reader.name), sender.world.chance(32), body)
    answer = sender.world.loop.run_until_complete(sender.member.request(request))
    assert isinstance(answer, Appended)


def test_a_letter_of_receipts_is_signed_as_that_and_for_whom_it_names(world: World) -> None:
    ana, bor, cene, topic = community(world)
    bulletin = publish(ana, topic)
    world.run(3)
    turn = turn_of(cene)
    body = ReceiptsLetter((receipt(ana, topic, bulletin, cene),))
    assert letters.write(turn, (turn.view.device(ana.name),), body)
    unsealed = letters.unsealed(turn_of(ana), written(turn))
    assert unsealed is not None
    HYBRID.signature.verify(cene.device.key.public, RECEIPT, unsealed.signed.letter, unsealed.signed.signature)
    for reader, context in ((ana, REQUEST), (bor, RECEIPT)):  # for another use; and passed on to whom it was not for
        signed = SignedLetter(
            unsealed.signed.letter, HYBRID.signature.sign(cene.device.key, context, unsealed.signed.letter)
        )
        enc, sealed = HYBRID.hpke.seal(reader.device.inbox.public, letters.INFO, b"", signed.encode())
        hand_over(cene, reader, SealedLetter(enc, sealed).encode())
        world.run(2)
        assert [each.kind for each in reader.told(Alarm)] == [AlarmKind.BAD_LETTER]
        assert not acknowledged(reader)


def big_desk(world: World) -> tuple[list[Actor], Actor, bytes]:
    """A desk of six devices and one reader."""
    desk = list(world.enrol_all("cert-hr", "ana", "bor", "daj", "eva", "fran", "goran"))
    (cene,) = world.enrol_all("cert-si", "cene")
    world.bind("eu-csirts", founders=(desk[0].name,))
    for each in (*desk, cene):
        each.connect()
    world.run()
    topic: bytes = desk[0].do(CreateConversation(world.community("eu-csirts", stewards=STEWARDS)))
    world.run(15)
    return desk, cene, topic


def test_two_are_told_and_the_whole_desk_learns_of_it(world: World) -> None:
    desk, cene, topic = big_desk(world)
    goran = desk[-1]
    bulletin = publish(goran, topic)
    world.run(6)
    cene.do(Acknowledge(bulletin))
    assert [len(each.copies) for each in cene.agent.rows.all(LETTERS).values()] == [receipts.FIRST_HAND]
    world.run(6)
    (list_,) = goran.agent.acks(bulletin)
    assert {each.device for each in list_.delivered} == {cene.name, *(each.name for each in desk[:-1])}
    assert [each.device for each in list_.acknowledged] == [cene.name]
    for each in desk:
        (theirs,) = each.agent.acks(bulletin)
        assert set(theirs.delivered) == set(list_.delivered)
        assert theirs.acknowledged == list_.acknowledged
    assert not goran.told(Alarm)


def test_where_the_signers_device_is_gone_another_passes_on(world: World) -> None:
    desk, cene, topic = big_desk(world)
    bulletin = publish(desk[-1], topic)
    world.run(6)
    world.revoke(desk[-1])
    world.run(15)
    cene.do(Acknowledge(bulletin))
    world.run(6)
    assert [acknowledged(each) for each in desk[:-1]] == [{cene.name}] * 5


def test_who_catches_up_writes_few_letters(world: World) -> None:
    ana, _bor, cene, topic = community(world)
    cene.disconnect()
    for number in range(6):
        publish(ana, topic, b"%d" % number)
    world.run(3)
    before = next_row(cene)
    cene.connect()
    world.run(5)
    assert len(cene.told(BulletinReceived)) == 6
    assert {len(list_.missing) for list_ in everything(ana)} == {0}
    assert next_row(cene) - before <= 6 + 2  # six receipts, and two letters for them


def next_row(actor: Actor) -> int:
    return int(turn_of(actor).next_row())


def everything(actor: Actor) -> list[AckList]:
    return [actor.agent.acks(each.bulletin)[0] for each in actor.agent.bulletins()]


def test_a_letter_stays_until_each_of_its_readers_can_have_it(world: World) -> None:
    ana, bor, cene, topic = community(world)
    bulletin = publish(ana, topic)
    world.run(3)
    cene.disconnect()
    cene.do(Acknowledge(bulletin))
    cene.connect()
    while not cene.agent.rows.all(LETTERS):
        world.inside(cene.pump)
    (row,) = cene.agent.rows.all(LETTERS)
    turn = turn_of(cene)
    letters.delivered(turn, row, ana.name)
    assert list(turn.rows.all(LETTERS)) == [row]
    letters.delivered(turn, row, bor.name)
    assert not turn.rows.all(LETTERS)
    letters.delivered(turn, row, bor.name)  # the answer to what was asked twice
    cene.restart().connect()  # what the relay had is offered again, and is read once
    world.run(5)
    assert not cene.agent.rows.all(LETTERS)
    for each in (ana, bor):
        assert [said.device for said in each.told(ReceiptReceived) if said.kind == "acknowledged"] == [cene.name]


# ---------------------------------------------------------------------------------------------------- of messages


def reached(actor: Actor) -> list[tuple[str, str, bytes]]:
    return [(each.kind, each.officer, each.payload) for each in actor.told(MessageReached)]


def test_the_sender_of_a_message_learns_that_it_came_and_was_read(world: World) -> None:
    ana, cene, topic = direct(world)
    first = ana.do(SendText(topic, "are you there?", Tlp.GREEN))
    world.run(3)
    assert reached(ana) == [("delivered", cene.officer, first)]
    assert reached(cene) == []
    cene.do(MarkRead(topic, cene.agent.conversation(topic).sequence, ((ana.name, first),)))
    world.run(3)
    assert reached(ana)[1:] == [("read", cene.officer, first)]
    assert not ana.told(Alarm)
    assert not cene.told(Alarm)
    assert len(ana.told(ReceiptReceived)) == 0
    kept = [json.loads(each) for each in ana.archive.values()]
    assert [each["kind"] for each in kept if each["event"] == "message-reached"] == ["delivered", "read"]


def test_who_comes_back_receipts_all_that_waited(world: World) -> None:
    ana, cene, topic = direct(world)
    cene.disconnect()
    sent = {ana.do(SendText(topic, f"number {n}", Tlp.GREEN)) for n in range(100)}
    world.run(20)
    cene.connect()
    world.run(10)
    assert {payload for _, _, payload in reached(ana)} == sent
    assert len(reached(ana)) == 100


def test_a_receipt_of_a_message_is_believed_of_its_reader_alone(world: World) -> None:
    ana, cene, topic = direct(world)
    sent = ana.do(SendText(topic, "hello", Tlp.GREEN))
    theirs = cene.do(SendText(topic, "mine", Tlp.GREEN))
    world.run(3)
    turn = turn_of(ana)
    by = turn.view.device(cene.name)
    said = Receipt(sent.hex(), 0, receipts.NO_TEXT, topic, ReceiptKind.DELIVERED, cene.officer, cene.name, world.now)

    def believed() -> list[MessageReached]:
        return [
            each.event for each in turn.effects if isinstance(each, Emit) and isinstance(each.event, MessageReached)
        ]

    with pytest.raises(Untrusted):
        receipts.came(turn, (replace(said, device=ana.name, officer=ana.officer),), by)
    for nothing in (
        replace(said, bulletin=theirs.hex()),  # not ours
        replace(said, bulletin=bytes(16).hex()),
        replace(said, bulletin="not hexadecimal"),
        replace(said, bulletin=""),
        replace(said, conversation=bytes(32)),
    ):
        receipts.came(turn, (nothing,), by)
    assert believed() == []
    receipts.came(turn, (said,), by)
    assert [each.payload for each in believed()] == [sent]
    stranger = world.enrol_all("cert-hr", "bor")[0]
    world.run(2)
    turn = turn_of(ana)
    receipts.came(
        turn,
        (replace(said, device=stranger.name, officer=stranger.officer),),
        turn.view.device(stranger.name),
    )
    assert believed() == []  # it is no member


def test_where_many_talk_no_message_is_receipted(world: World) -> None:
    ana, bor, cene, topic = community(world)
    sent = ana.do(SendText(topic, "to all", Tlp.GREEN))
    world.run(3)
    bor.do(MarkRead(topic, bor.agent.conversation(topic).sequence, ((ana.name, sent),)))
    world.run(3)
    assert reached(ana) == []
    assert receipts.receipted(world.direct("few", *(f"o{n}@cert-hr" for n in range(receipts.OFFICERS))))
    assert not receipts.receipted(world.direct("many", *(f"o{n}@cert-hr" for n in range(receipts.OFFICERS + 1))))
    assert not cene.told(MessageReached)
