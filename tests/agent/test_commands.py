"""What the user may ask, and what keeps it from being done: the error says, and nothing has changed."""

from __future__ import annotations

import pytest

from securechan.agent.events import (
    Alarm,
    BoxRead,
    MessageReceived,
    RequestDone,
    RequestFailed,
)
from securechan.agent.inputs import (
    ChangePolicy,
    ConfirmDevice,
    FetchAttachment,
    Leave,
    MarkRead,
    OpenBox,
    PublishTrust,
    ReadBox,
    RotateEpochs,
    SendAttachment,
    SendText,
    SendTogether,
    TryRelay,
    WriteBox,
)
from securechan.agent.policy import Kind
from securechan.bulletin.payload import CONTENT_MAX
from securechan.bulletin.tlp import Tlp
from securechan.errors import Denied, Invalid, NotFound, NotReady, SecurechanError, Unfit
from securechan.wire.frames import TrustDocument
from tests.agent.places import STEWARDS, Rogue, community, words
from tests.support.federation import make_device
from tests.support.world import World


def test_unread_counts_until_it_is_marked_read(world: World) -> None:
    ana, _bor, cene, topic = community(world)
    for body in ("one", "two"):
        ana.do(SendText(topic, body, Tlp.GREEN))
    world.run()
    assert cene.agent.conversation(topic).unread == 2
    assert ana.agent.conversation(topic).unread == 0
    cene.do(MarkRead(topic, cene.told(MessageReceived)[-1].sequence))
    assert cene.agent.conversation(topic).unread == 0
    assert cene.restart().agent.conversation(topic).read == cene.told(MessageReceived)[-1].sequence


def test_what_is_sent_together_is_queued_whole_or_not_at_all(world: World) -> None:
    ana, bor, _cene, topic = community(world)
    text = SendText(topic, "see the file", Tlp.GREEN)
    before = ana.agent
    with pytest.raises(Unfit) as refused:
        ana.do(SendTogether((text, SendAttachment(topic, "big.bin", "x/y", bytes(CONTENT_MAX + 1), Tlp.GREEN))))
    assert refused.value.message.startswith("big.bin: ")
    with pytest.raises(Denied) as denied:
        ana.do(SendTogether((text, SendText(topic, "not for here", Tlp.RED))))
    assert denied.value.message.startswith("the text: ")
    assert ana.agent is before
    ids = ana.do(SendTogether((text, SendAttachment(topic, "small.bin", "x/y", b"content", Tlp.GREEN))))
    world.run(2)
    assert [(each.payload, each.attachment) for each in bor.told(MessageReceived)] == [
        (ids[0], ""),
        (ids[1], "small.bin"),
    ]


def test_what_cannot_be_done_raises_and_does_nothing(world: World) -> None:
    ana, bor, _cene, topic = community(world)
    policy = world.community("eu-csirts", stewards=STEWARDS)
    before = bor.agent
    for command, error in (
        (ChangePolicy(topic, world.community("mine", stewards=STEWARDS)), Denied),  # no steward
        (ChangePolicy(bytes(32), policy), NotFound),
        (RotateEpochs(bytes(32)), NotFound),
        (ConfirmDevice("cert-si/nobody"), SecurechanError),
        (ConfirmDevice(ana.name), Denied),
        (FetchAttachment(topic, bytes(16)), NotFound),
        (Leave(bytes(32)), NotFound),
        (MarkRead(bytes(32), 1), NotFound),
        (SendText(topic, "", Tlp.GREEN), Invalid),
        (SendAttachment(topic, "x", "x/y", bytes(CONTENT_MAX + 1), Tlp.GREEN), Unfit),
    ):
        with pytest.raises(error):
            bor.do(command)
    assert bor.agent is before
    with pytest.raises(Invalid):
        ana.do(ChangePolicy(topic, world.community("eu-csirts", stewards=STEWARDS, kind=Kind.ROOM)))


def test_what_needs_the_relay_says_so_without_one(world: World) -> None:
    ana, _, _, _ = community(world)
    ana.disconnect()
    for command in (PublishTrust(()), OpenBox(bytes(32), bytes(32), world.now + 60), ReadBox(bytes(32)), TryRelay()):
        with pytest.raises(NotReady):
            ana.do(command)


def test_an_administrator_opens_reads_and_answers_a_box(world: World) -> None:
    boss = world.enrol("cert-hr", "boss-laptop", "boss", "admin").connect()
    world.run()
    box = world.chance(32)
    boss.do(OpenBox(box, world.chance(32), world.now + 3600))
    world.run()
    assert [each.what for each in boss.told(RequestDone)] == ["box"]
    boss.do(ReadBox(box))
    world.run()
    assert [each.sequence for each in boss.told(BoxRead)] == [0]  # that was all
    boss.do(WriteBox(box, b"verdict"))
    world.run()
    assert boss.told(RequestDone)[1:] or boss.told(RequestFailed)


def test_whether_the_relay_keeps_anything_is_tried_and_leaves_nothing(world: World) -> None:
    ana, _bor, _cene, _topic = community(world)
    ana.do(TryRelay())
    world.run()
    assert ana.told(RequestDone) == [RequestDone("try", 0)]
    assert not world.store._uploads  # the relay has forgotten it
    assert not ana.agent.session.asked
    world.mailroom._room.disk = lambda: 0.0
    ana.do(TryRelay())
    world.run()
    assert [(each.what, each.code) for each in ana.told(RequestFailed)] == [("try", "full")]


def test_publishing_trust_is_answered_by_an_event(world: World) -> None:
    boss = world.enrol("cert-hr", "boss-laptop", "boss", "admin").connect()
    world.run()
    fresh = make_device("cert-hr", "new-laptop", "ana", now=world.now)
    draft = world.roster("cert-hr", add=[fresh.record])
    boss.do(PublishTrust((TrustDocument("cert-hr-roster", b"{}"),)))
    world.run()
    (failed,) = boss.told(RequestFailed)
    assert failed.what == "publish"
    boss.do(PublishTrust((TrustDocument(*draft.pair()),)))
    world.run(2)
    assert [each.what for each in boss.told(RequestDone)] == ["publish"]
    assert world.view.find(fresh.name) is not None


def test_a_payload_that_cannot_be_read_is_named_and_stops_nobody(world: World) -> None:
    ana, _bor, cene, topic = community(world)
    rogue = Rogue(cene, topic)
    for plaintext in (b"", b"\xff" * 50, bytes(17)):
        rogue.say(plaintext)
    cene.disconnect()
    ana.do(SendText(topic, "on we go", Tlp.GREEN))
    world.run(2)
    assert [each.who for each in ana.told(Alarm)] == [cene.name] * 3
    assert words(ana, topic) == ["on we go"]
