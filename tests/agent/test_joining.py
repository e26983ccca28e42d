"""Coming in: founded, offered, accepted; names are local, and a look-alike is only ever an offer."""

from __future__ import annotations

from dataclasses import replace

import pytest

from securechan.agent import joining
from securechan.agent.events import BulletinReceived, ConversationJoined, ConversationOffered, MessageReceived
from securechan.agent.inputs import (
    AcceptConversation,
    CreateConversation,
    DeclineConversation,
    PublishBulletin,
    RenameConversation,
    SendText,
)
from securechan.agent.look import policy_of_offer
from securechan.agent.policy import Kind, agency_of
from securechan.bulletin.tlp import Tlp
from securechan.errors import Conflict, Invalid, NotFound
from tests.agent.places import STEWARDS, community, words
from tests.support.world import World


def test_two_groups_of_one_name_stay_two_and_a_bulletin_goes_to_the_right_one(world: World) -> None:
    ana, _bor, cene, topic = community(world)
    # cene founds a look-alike; the federation binds the name to ana's, so nobody elsewhere joins unasked.
    eva = world.enrol("cert-si", "eva-laptop", "eva", "liaison", "desk").connect()
    world.run(10)
    other = eva.do(CreateConversation(world.community("EU-CSIRTS", stewards=("eva@cert-si", "ana@cert-hr"))))
    world.run(10)
    assert [each.conversation for each in ana.told(ConversationOffered)] == [other]
    ana.do(AcceptConversation(other, "the other one"))
    world.run(5)
    ana.do(PublishBulletin(topic, b"for the right one", "text/plain", Tlp.GREEN, "t"))
    world.run(5)
    assert [each.conversation for each in cene.told(BulletinReceived)] == [topic]
    assert {each.name for each in ana.agent.conversations()} == {"eu-csirts", "the other one"}


def test_a_second_group_of_the_same_name_gets_another_one_here(world: World) -> None:
    ana, bor, cene, topic = community(world)
    for each in (ana, bor, cene):
        each.disconnect()
    fay = world.enrol("cert-hr", "fay-laptop", "fay", "liaison").connect()
    world.run()
    other = fay.do(CreateConversation(world.community("eu-csirts", stewards=("fay@cert-hr", "cene@cert-si"))))
    world.run(5)
    ana.connect()
    world.run(20)
    names = {each.topic: each.name for each in ana.agent.conversations()}
    assert names[topic] == "eu-csirts"
    assert names[other] == f"eu-csirts~{other.hex()[:8]}"


def test_the_federation_may_bind_a_name_to_a_group(world: World) -> None:
    _ana, _bor, cene, topic = community(world, bound=False)
    world.bind("eu-csirts", group=topic)
    dora = world.enrol("cert-si", "dora-laptop", "dora", "desk").connect()
    world.run(30)
    assert [each.conversation for each in dora.told(ConversationJoined)] == [topic]
    assert cene.told(ConversationOffered)  # offered before the name was bound


def test_an_offer_can_be_declined_and_is_then_forgotten(world: World) -> None:
    _ana, _bor, cene, topic = community(world, bound=False)
    cene.do(DeclineConversation(topic))
    assert cene.agent.offers() == ()
    with pytest.raises(NotFound):
        cene.do(AcceptConversation(topic))
    with pytest.raises(NotFound):
        cene.do(DeclineConversation(topic))


def test_who_belongs_to_what_is_offered_is_seen_before_it_is_joined(world: World) -> None:
    _ana, _bor, cene, topic = community(world, bound=False)
    (offer,) = cene.agent.offers()
    policy = policy_of_offer(offer)
    assert policy is not None
    assert [scope.agency for scope in policy.agencies] == ["cert-hr", "cert-si"]
    assert cene.agent.offers() == (offer,)
    cene.do(AcceptConversation(topic))
    world.run(2)
    assert cene.agent.conversation(topic).policy == policy


def test_a_revoked_device_offers_nothing_any_more(world: World) -> None:
    ana, _bor, cene, topic = community(world, bound=False)
    dora = world.enrol("cert-si", "dora-laptop", "dora", "desk").connect()
    world.run(10)
    assert [each.by for each in cene.agent.offers()] == [ana.name]
    (to_dora,) = dora.agent.offers()  # by whichever of the two members came first
    world.revoke(ana)
    world.run(10)
    assert cene.agent.offers() == ()
    assert dora.agent.offers() == (() if to_dora.by == ana.name else (to_dora,))
    with pytest.raises(NotFound):
        cene.do(AcceptConversation(topic))


def test_an_offer_survives_a_restart_and_is_accepted_under_a_name_of_ones_own(world: World) -> None:
    ana, _bor, cene, topic = community(world, bound=False)
    cene.restart().connect()
    world.run()
    cene.do(AcceptConversation(topic, "the csirts"))
    world.run(3)
    ana.do(SendText(topic, "welcome", Tlp.GREEN))
    world.run(2)
    assert [(each.name, each.body) for each in cene.told(MessageReceived)] == [("the csirts", "welcome")]


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"agencies": ()}, Invalid),
        ({"stewards": ()}, Invalid),
        ({"stewards": ("ana@cert-hr",)}, Invalid),
        ({"name": " "}, Invalid),
        ({"renewal": 1}, Invalid),
        ({"stewards": ("nobody@cert-hr", "cene@cert-si")}, NotFound),
    ],
)
def test_a_policy_that_cannot_be_is_refused_before_anything_is_made(
    world: World, changes: dict[str, object], error: type[Exception]
) -> None:
    (ana,), (_,) = world.enrol_all("cert-hr", "ana"), world.enrol_all("cert-si", "cene")
    ana.connect()
    world.run()
    fields = {"stewards": STEWARDS, **changes}
    with pytest.raises(error):
        ana.do(CreateConversation(replace(world.community("c", stewards=STEWARDS), **fields)))
    assert ana.agent.conversations() == ()


def test_a_founder_belongs_to_what_it_founds(world: World) -> None:
    (ana,), (_,) = world.enrol_all("cert-hr", "ana"), world.enrol_all("cert-si", "cene")
    ana.connect()
    world.run()
    with pytest.raises(Invalid):
        ana.do(CreateConversation(world.community("c", "cert-si", stewards=("cene@cert-si",))))
    with pytest.raises(Invalid):
        ana.do(CreateConversation(world.direct("d", "cene@cert-si")))
    ana.do(CreateConversation(world.community("mine", "cert-hr", stewards=("ana@cert-hr",), kind=Kind.ROOM)))
    with pytest.raises(Conflict):
        ana.do(CreateConversation(world.community("mine", "cert-hr", stewards=("ana@cert-hr",), kind=Kind.ROOM)))


def test_a_conversation_founded_offline_is_made_at_the_next_connection_once(world: World) -> None:
    ana, bor, _cene, _ = community(world)
    ana.disconnect()
    topic = ana.do(CreateConversation(world.direct("later", "ana@cert-hr", "bor@cert-hr")))
    ana.do(SendText(topic, "first words", Tlp.RED))
    ana.restart().connect()
    world.run(5)
    assert words(bor, topic) == ["first words"]


def test_first_words_wait_for_those_they_are_for(world: World) -> None:
    ana, _bor, _cene, _ = community(world)
    dora = world.enrol("cert-si", "dora-laptop", "dora", "liaison")
    world.run(5)
    topic = ana.do(CreateConversation(world.direct("ana and dora", "ana@cert-hr", "dora@cert-si")))
    identity = ana.do(SendText(topic, "hello dora", Tlp.RED))
    world.run(30)
    assert ana.agent.outgoing(identity) == "queued"
    dora.connect()
    world.run(600)
    dora.do(AcceptConversation(topic))
    world.run(5)
    assert words(dora, topic) == ["hello dora"]


def test_names_are_local(world: World) -> None:
    ana, bor, _cene, topic = community(world)
    ana.do(RenameConversation(topic, "the csirts"))
    assert ana.agent.conversation(topic).name == "the csirts"
    assert bor.agent.conversation(topic).name == "eu-csirts"
    with pytest.raises(Invalid):
        ana.do(RenameConversation(topic, "\x07"))


def test_one_agencys_offers_push_out_no_others(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(joining, "MOST_OFFERS_OF_ONE", 3)
    ana, _bor, _cene, _topic = community(world, bound=False)
    (dora,) = world.enrol_all("cert-si", "dora")
    dora.connect()
    world.run(10)
    mine = {each.topic for each in dora.agent.offers()}
    assert [agency_of(each.by) for each in dora.agent.offers()] == ["cert-hr"]  # by whichever member came first
    for number in range(5):
        ana.do(CreateConversation(world.community(f"talk-{number}", stewards=STEWARDS)))
        world.run(6)
    offers = dora.agent.offers()
    assert len(offers) == 3
    assert not mine & {each.topic for each in offers}  # its oldest went first
    assert {each.name for each in offers} == {"talk-2", "talk-3", "talk-4"}
