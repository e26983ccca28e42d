"""Successors: the talk goes on under its name, at its members' word and nobody else's."""

from __future__ import annotations

from dataclasses import replace

import pytest

from securechan.agent import recovery, succession
from securechan.agent.events import (
    Alarm,
    AlarmKind,
    ConversationJoined,
    ConversationOffered,
    ConversationSucceeded,
    MessageReceived,
)
from securechan.agent.founding import Founding, Succession
from securechan.agent.inputs import AcceptConversation, CreateConversation, SendText, SucceedConversation
from securechan.agent.policy import Policy
from securechan.agent.state import CONVERSATIONS, SUCCESSIONS
from securechan.agent.turn import Turn
from securechan.bulletin.tlp import Tlp
from securechan.errors import Denied, Invalid, NotFound
from securechan.wire.chain import Position
from tests.agent.places import STEWARDS, community, direct, words
from tests.support.actor import Actor
from tests.support.world import World


def named(actor: Actor, name: str) -> bytes:
    """The topic of what an actor calls so."""
    (topic,) = [each.topic for each in actor.agent.conversations() if each.name == name]
    return topic


def wedge(actor: Actor, topic: bytes) -> None:
    """As if a commit had come that this device can't follow, and nobody who could add it again were there."""
    turn = Turn(actor.agent.rows, replace(actor.agent.session, connected=False), actor.world.chance, actor.world.now)
    recovery.freeze(turn, topic, "wedged")
    rows, writes = turn.rows.seal()
    actor.adopt((*writes, *turn.archive))
    actor.agent = replace(actor.agent, rows=rows, session=turn.session)


def test_a_wedged_conversation_goes_on_under_its_name(world: World) -> None:
    ana, bor, cene, old = community(world)
    ana.do(SendText(old, "before", Tlp.GREEN))
    world.run(3)
    for each in (ana, bor, cene):
        each.disconnect()
        wedge(each, old)
    new = cene.do(SucceedConversation(old, "no commit can be followed any more"))
    for each in (ana, bor, cene):
        each.restart().connect()
    world.run(30)
    for each in (ana, bor, cene):
        assert named(each, "eu-csirts") == new
        (told,) = each.told(ConversationSucceeded)
        assert (told.succeeds, told.by, told.without) == (old, cene.name, ())
        assert told.reason == "no commit can be followed any more"
        assert not each.told(ConversationOffered)
    bor.do(SendText(new, "after", Tlp.GREEN))
    world.run(5)
    assert [words(each, new) for each in (ana, cene)] == [["after"], ["after"]]
    assert cene.agent.conversation(old).name == f"eu-csirts~{old.hex()[:8]}"


def test_who_is_left_out_is_named_and_not_invited(world: World) -> None:
    ana, bor, cene, old = community(world)
    new = ana.do(SucceedConversation(old, "bor's device blocks every commit", (bor.name,)))
    world.run(30)
    assert named(cene, "eu-csirts") == new
    assert [each.without for each in cene.told(ConversationSucceeded)] == [(bor.name,)]
    assert {seat.device for seat in cene.agent.conversation(new).members} == {ana.name, cene.name}
    assert named(bor, "eu-csirts") == old
    world.run(120)
    assert {seat.device for seat in ana.agent.conversation(new).members} == {ana.name, cene.name}


def test_words_that_had_not_left_go_on_with_the_talk(world: World) -> None:
    ana, bor, cene, old = community(world)
    ana.disconnect()
    wedge(ana, old)
    ana.do(SendText(old, "said in the dark", Tlp.GREEN))
    new = ana.do(SucceedConversation(old, "wedged"))
    ana.connect()
    world.run(30)
    assert [words(each, new) for each in (bor, cene)] == [["said in the dark"]] * 2


def test_only_a_steward_founds_one_and_says_why(world: World) -> None:
    ana, bor, _cene, old = community(world)
    with pytest.raises(Denied) as denied:
        bor.do(SucceedConversation(old, "because"))
    assert denied.value.code == "role-denied"
    with pytest.raises(Invalid):
        ana.do(SucceedConversation(old, " "))
    with pytest.raises(Invalid):
        ana.do(SucceedConversation(old, "because", (ana.name,)))
    with pytest.raises(NotFound):
        ana.do(SucceedConversation(old, "because", ("cert-si/nobody",)))
    ana.do(SucceedConversation(old, "because"))
    with pytest.raises(Denied):
        ana.do(SucceedConversation(old, "because"))


def test_an_impostors_successor_is_refused(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """bor is no steward; its client has been bent to found one all the same, and to change the policy."""
    ana, bor, cene, old = community(world)
    honest = Turn.policy
    monkeypatch.setattr(
        Turn, "policy", lambda turn, topic: replace(honest(turn, topic), stewards=(bor.officer, "cene@cert-si"))
    )
    fake = bor.do(SucceedConversation(old, "follow me"))
    monkeypatch.setattr(Turn, "policy", honest)
    world.run(30)
    for each in (ana, cene):
        assert named(each, "eu-csirts") == old
        assert not each.told(ConversationSucceeded)
        alarms = [alarm for alarm in each.told(Alarm) if alarm.kind is AlarmKind.BAD_LETTER]
        assert any("no steward of it" in alarm.text for alarm in alarms)
        assert all(conversation.topic != fake for conversation in each.agent.conversations())


def test_of_two_successors_the_lower_id_wins(world: World) -> None:
    ana, bor, cene, old = community(world)
    ana.disconnect()
    cene.disconnect()
    ours, theirs = ana.do(SucceedConversation(old, "wedged")), cene.do(SucceedConversation(old, "wedged"))
    winner = min(ours, theirs)
    for each in (ana, cene):
        each.connect()
        world.run(20)
    world.run(60)
    for each in (ana, bor, cene):
        assert named(each, "eu-csirts") == winner
        (kept,) = each.agent.rows.all(SUCCESSIONS).values()
        assert kept.topic == winner
    bor.do(SendText(winner, "here we are", Tlp.GREEN))
    world.run(5)
    assert {body.body for each in (ana, cene) for body in each.told(MessageReceived, winner)} == {"here we are"}


def test_once_a_day_by_itself(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(succession, "DAY", 600)
    ana, _bor, cene, old = community(world)
    first = ana.do(SucceedConversation(old, "once"))
    world.run(30)
    second = ana.do(SucceedConversation(first, "again"))
    world.run(30)
    assert named(cene, "eu-csirts") == first
    assert [each.conversation for each in cene.told(ConversationOffered)] == [second]
    cene.do(AcceptConversation(second))
    world.run(10)
    assert named(cene, "eu-csirts") == second
    world.run(succession.DAY + 60)
    third = ana.do(SucceedConversation(second, "much later"))
    world.run(60)
    assert named(cene, "eu-csirts") == third


def test_what_succeeds_nothing_that_we_know_is_an_invitation_like_any(world: World) -> None:
    ana, _bor, cene, _old = community(world)
    policy: Policy = world.community("talk", "cert-hr", stewards=(ana.officer,))
    inner = ana.do(CreateConversation(policy))
    world.run(10)
    wider = replace(policy, agencies=world.community("x", stewards=STEWARDS).agencies, stewards=STEWARDS)
    assert wider != policy
    new = ana.do(SucceedConversation(inner, "moved"))
    world.run(20)
    assert new not in {each.topic for each in cene.agent.conversations()}
    assert not [each for each in cene.told(ConversationJoined) if each.conversation == new]


def test_another_device_listed_for_a_steward_takes_no_conversation_along(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who holds cert-hr's keys lists a device for ana, which never was in the conversation that it claims to go on."""
    ana, cene, topic = direct(world)
    rogue = world.enrol("cert-hr", "ana-2", "ana", "liaison", "desk").connect()
    world.run(2)
    honest = Founding.sign

    def bent(new: bytes, name: str, founder: str, private: bytes, _: Succession | None = None) -> Founding:
        return honest(new, name, founder, private, Succession(topic, Position(10**6, bytes(48)), "wedged", (ana.name,)))

    monkeypatch.setattr(Founding, "sign", bent)
    fake = rogue.do(CreateConversation(world.direct("ana and cene", "ana@cert-hr", "cene@cert-si")))
    monkeypatch.setattr(Founding, "sign", honest)
    world.run(30)
    assert named(cene, "ana and cene") == topic
    assert not cene.told(ConversationSucceeded)
    assert [each.conversation for each in cene.told(ConversationOffered) if each.conversation != topic] == [fake]
    cene.do(AcceptConversation(fake))
    world.run(5)
    assert named(cene, "ana and cene") == topic
    assert not cene.told(ConversationSucceeded)


def test_a_direct_conversation_goes_on_from_a_device_that_was_vouched_for(world: World) -> None:
    ana, cene, topic = direct(world)
    wedge(cene, topic)
    new = ana.do(SucceedConversation(topic, "cene can't follow"))
    cene.restart().connect()
    world.run(30)
    assert named(cene, "ana and cene") == new
    assert [each.by for each in cene.told(ConversationSucceeded)] == [ana.name]


def forget_successors(actor: Actor, old: bytes) -> None:
    """As if this device had founded none: its client has been bent to found one after the other."""
    rows = actor.agent.rows.edit()
    rows.drop(SUCCESSIONS, old.hex())
    for row, each in list(rows.items(CONVERSATIONS)):
        rows.put(CONVERSATIONS, row, replace(each, name="eu-csirts" if each.topic == old else row))
    after, writes = rows.seal()
    actor.adopt(writes)
    actor.agent = replace(actor.agent, rows=after)


def test_a_second_successor_by_the_same_founder_waits_for_a_person(world: World) -> None:
    """A steward that founds successor after successor, each of a lower id, moves nobody more than once."""
    ana, _bor, cene, old = community(world)
    first = ana.do(SucceedConversation(old, "once"))
    world.run(20)
    assert named(cene, "eu-csirts") == first
    assert [row.by for row in cene.agent.rows.all(SUCCESSIONS).values()] == [ana.name]
    lower = first
    while lower >= first:
        forget_successors(ana, old)
        lower = ana.do(SucceedConversation(old, "and again"))
    world.run(20)
    assert named(cene, "eu-csirts") == first
    assert [each.conversation for each in cene.told(ConversationSucceeded)] == [first]
    assert [each.conversation for each in cene.told(ConversationOffered)] == [lower]
