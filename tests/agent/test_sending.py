"""Payloads on their way: in order, once, and looked at again when they are sealed."""

from __future__ import annotations

import pytest

from securechan.agent.events import MessageDropped, MessageSent
from securechan.agent.inputs import AcceptConversation, ChangePolicy, CreateConversation, Leave, RotateEpochs, SendText
from securechan.bulletin.payload import TEXT_MAX
from securechan.bulletin.tlp import Tlp
from securechan.errors import Conflict, Denied, Misuse, NotFound, Unfit
from tests.agent.places import STEWARDS, community, words
from tests.support.world import World


def test_many_words_keep_their_order_across_an_epoch(world: World) -> None:
    ana, bor, cene, topic = community(world)
    said = [str(number) for number in range(40)]
    for body in said[:20]:
        ana.do(SendText(topic, body, Tlp.GREEN))
    bor.do(RotateEpochs(topic))
    for body in said[20:]:
        ana.do(SendText(topic, body, Tlp.GREEN))
    world.run(10)
    assert words(cene, topic) == words(bor, topic) == words(ana, topic) == said


def test_one_id_is_one_message_however_often_it_is_asked_for(world: World) -> None:
    ana, _bor, cene, topic = community(world)
    identity = bytes(range(16))
    ana.disconnect()
    assert ana.do(SendText(topic, "once", Tlp.GREEN, identity)) == identity
    assert ana.do(SendText(topic, "once", Tlp.GREEN, identity)) == identity
    with pytest.raises(Conflict):
        ana.do(SendText(topic, "other words", Tlp.GREEN, identity))
    ana.connect()
    world.run(3)
    assert ana.do(SendText(topic, "once", Tlp.GREEN, identity)) == identity
    world.run(3)
    assert words(cene, topic) == ["once"]
    assert ana.agent.outgoing(identity) == "sent"
    with pytest.raises(Misuse):
        ana.do(SendText(topic, "short id", Tlp.GREEN, b"1"))


def test_what_the_policy_forbids_by_the_time_it_is_sealed_is_dropped_and_said(world: World) -> None:
    ana, bor, cene, topic = community(world)
    ana.disconnect()
    identity = ana.do(SendText(topic, "amber words", Tlp.AMBER))
    cene.do(ChangePolicy(topic, world.community("eu-csirts", stewards=STEWARDS, ceiling=Tlp.GREEN)))
    world.run(5)
    ana.connect()
    world.run(5)
    (dropped,) = ana.told(MessageDropped)
    assert (dropped.payload, dropped.body) == (identity, "amber words")
    assert words(bor, topic) == []


def test_who_is_out_sends_nothing(world: World) -> None:
    ana, _bor, cene, topic = community(world)
    cene.do(ChangePolicy(topic, world.community("eu-csirts", "cert-si", stewards=("cene@cert-si",))))
    world.run(20)
    with pytest.raises(Denied):
        ana.do(SendText(topic, "hello", Tlp.GREEN))


def test_a_text_that_is_too_long_is_refused(world: World) -> None:
    ana, _, _, topic = community(world)
    with pytest.raises(Unfit):
        ana.do(SendText(topic, "x" * (TEXT_MAX + 1), Tlp.GREEN))


def test_what_the_log_holds_is_told_with_its_place(world: World) -> None:
    ana, _, _, topic = community(world)
    identity = ana.do(SendText(topic, "one", Tlp.GREEN))
    world.run()
    (sent,) = ana.told(MessageSent, topic)
    assert (sent.payload, sent.epoch) == (identity, 1)
    assert ana.agent.idle


def test_a_commit_that_the_relay_wants_later_holds_up_nobodys_words(world: World) -> None:
    ana, bor, cene, topic = community(world)
    bor.disconnect()
    cene.disconnect()
    for _ in range(4):  # nobody is there to confirm: the relay takes three in an hour
        ana.do(RotateEpochs(topic))
        world.run(2)
    waiting = ana.agent.conversation(topic)
    assert waiting.pending_until > world.now + 600
    assert not ana.agent.idle
    assert ana.agent.at_rest(world.now)
    identity = ana.do(SendText(topic, "said all the same", Tlp.GREEN))
    world.run(3)
    assert ana.agent.outgoing(identity) == "sent"
    bor.connect()
    world.run(5)
    assert words(bor, topic) == ["said all the same"]
    world.run(waiting.pending_until - world.now + 5)
    assert ana.agent.conversation(topic).epoch == bor.agent.conversation(topic).epoch > waiting.epoch
    assert ana.agent.idle


def test_who_talks_to_nobody_is_told_and_nothing_waits_for_nobody(world: World) -> None:
    """The last device of the other officer is revoked while words for it wait: they come back, and all goes on."""
    ana, _bor, cene, _ = community(world)
    talk = ana.do(CreateConversation(world.direct("talk", "ana@cert-hr", "cene@cert-si")))
    world.run(5)
    cene.do(AcceptConversation(talk, ""))
    world.run(3)
    ana.disconnect()
    ana.do(SendText(talk, "too late", Tlp.GREEN))
    world.revoke(cene)
    ana.connect()
    world.run(10)
    assert [each.body for each in ana.told(MessageDropped)] == ["too late"]
    assert [seat.officer for seat in ana.agent.conversation(talk).members] == ["ana@cert-hr"]
    assert ana.agent.idle
    with pytest.raises(NotFound, match="no device any more"):
        ana.do(SendText(talk, "and again", Tlp.GREEN))
    ana.do(RotateEpochs(talk))
    world.run(3)
    assert ana.agent.idle
    ana.do(Leave(talk))  # nobody is there who could put it out
    world.run(3)
    assert ana.agent.conversation(talk).standing == "gone"
    assert ana.agent.idle
