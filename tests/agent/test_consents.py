"""Consent: asked of the issuer's desk, given by a person, and worth exactly what it says."""

from __future__ import annotations

from dataclasses import replace

import pytest

from securechan.agent import consents
from securechan.agent.events import Alarm, AlarmKind, BulletinReceived, ConsentAnswered, ConsentAsked
from securechan.agent.inputs import (
    AnswerConsent,
    AskConsent,
    ForwardBulletin,
    ReviseBulletin,
    WithdrawBulletin,
)
from securechan.agent.letters import AskConsentLetter, ConsentLetter
from securechan.agent.state import BULLETINS, CONSENTS, ConsentState, bulletin_row
from securechan.agent.turn import Turn
from securechan.bulletin.bulletin import BulletinHeader
from securechan.bulletin.consent import SignedConsent
from securechan.bulletin.tlp import Tlp
from securechan.errors import Conflict, Denied, Invalid, NotFound, Untrusted
from tests.agent.places import community
from tests.agent.test_forwards import CONTENT, publish, room, shown
from tests.support.actor import Actor
from tests.support.world import World

MONTH = 30 * 86400
THERE = ("cert-hr", "cert-si")  # who reads in the other conversation


def stage(world: World) -> tuple[Actor, Actor, bytes, bytes, str]:
    """A strict bulletin of cert-hr, and a conversation of both agencies that it may not go to by its label."""
    ana, _bor, cene, topic = community(world, ceiling=Tlp.AMBER_STRICT)
    there = room(world, cene, "cert-hr", "cert-si", name="observers", ceiling=Tlp.AMBER_STRICT)
    return ana, cene, topic, there, publish(ana, topic, Tlp.AMBER_STRICT)


def states(actor: Actor) -> list[ConsentState]:
    return [each.state for each in actor.agent.consents()]


def test_asked_given_and_shown_with_the_forward(world: World) -> None:
    ana, cene, _topic, there, bulletin = stage(world)
    cene.do(AskConsent(bulletin, there, "they see the same campaign"))
    world.run(3)
    (asked,) = ana.told(ConsentAsked)
    assert (asked.bulletin, asked.conversation, asked.name) == (bulletin, there, "observers")
    assert (asked.agencies, asked.officer) == (("cert-hr", "cert-si"), cene.officer)
    assert asked.reason == "they see the same campaign"
    with pytest.raises(Denied):
        cene.do(ForwardBulletin(bulletin, there, CONTENT))
    ana.do(AnswerConsent(bulletin, there, "cert-si", world.now + MONTH, THERE))
    world.run(3)
    assert (states(ana), states(cene)) == ([ConsentState.GIVEN], [ConsentState.GRANTED])
    (answered,) = cene.told(ConsentAnswered)
    assert (answered.granted, answered.officer, answered.until) == (True, ana.officer, world.now - 3 + MONTH)
    cene.do(ForwardBulletin(bulletin, there, CONTENT))
    world.run(5)
    (seen,) = shown(ana, there)
    assert (seen.forwarded_by, seen.consent_by) == (cene.name, ana.officer)
    assert not ana.told(Alarm)


def test_a_no_is_a_no(world: World) -> None:
    ana, cene, _topic, there, bulletin = stage(world)
    cene.do(AskConsent(bulletin, there))
    world.run(3)
    with pytest.raises(Invalid):
        ana.do(AnswerConsent(bulletin, there, "cert-si", world.now - 1, THERE))
    ana.do(AnswerConsent(bulletin, there, "cert-si", 0, THERE))
    world.run(3)
    assert [each.granted for each in cene.told(ConsentAnswered)] == [False]
    assert (states(ana), states(cene)) == ([ConsentState.DENIED], [ConsentState.REFUSED])
    with pytest.raises(Denied):
        cene.do(ForwardBulletin(bulletin, there, CONTENT))


def test_a_consent_ends_with_its_time(world: World) -> None:
    ana, cene, _topic, there, bulletin = stage(world)
    cene.do(AskConsent(bulletin, there))
    world.run(3)
    ana.do(AnswerConsent(bulletin, there, "cert-si", world.now + 60, THERE))
    world.run(61)
    with pytest.raises(Denied, match="run out"):
        cene.do(ForwardBulletin(bulletin, there, CONTENT))


def test_what_it_covers_follows_too(world: World) -> None:
    ana, cene, topic, there, bulletin = stage(world)
    cene.do(AskConsent(bulletin, there))
    world.run(3)
    ana.do(AnswerConsent(bulletin, there, "cert-si", world.now + MONTH, THERE))
    world.run(3)
    cene.do(ForwardBulletin(bulletin, there, CONTENT))
    world.run(3)
    ana.do(ReviseBulletin(topic, bulletin, b"more", "text/plain", Tlp.AMBER_STRICT, "a warning"))
    world.run(5)
    assert [(each.revision, each.content) for each in shown(ana, there)] == [(1, CONTENT), (2, b"more")]
    assert not ana.told(Alarm)


def test_only_what_can_be_asked_is(world: World) -> None:
    ana, cene, topic, there, bulletin = stage(world)
    with pytest.raises(Conflict):
        ana.do(AskConsent(bulletin, there))
    with pytest.raises(NotFound):
        cene.do(AskConsent("SC-2027-0001-aaaaaa", there))
    with pytest.raises(NotFound):
        cene.do(AskConsent(bulletin, topic))  # it is there
    with pytest.raises(NotFound):
        ana.do(AnswerConsent(bulletin, there, "cert-si", world.now + 60, THERE))
    ana.do(WithdrawBulletin(topic, bulletin, "over"))
    world.run(3)
    with pytest.raises(Conflict):
        cene.do(AskConsent(bulletin, there))


def turn_of(actor: Actor) -> Turn:
    return Turn(actor.agent.rows, actor.agent.session, actor.world.chance, actor.world.now)


def test_an_answer_counts_from_the_issuers_desk_alone_and_for_what_was_asked(world: World) -> None:
    ana, cene, _topic, there, bulletin = stage(world)
    turn = turn_of(cene)
    record = turn.view.device(ana.name)
    with pytest.raises(Untrusted):
        consents.answered(turn, ConsentLetter(bulletin, there, b""), record)  # nobody has asked
    cene.do(AskConsent(bulletin, there))
    world.run(3)
    ana.do(AnswerConsent(bulletin, there, "cert-si", world.now + MONTH, THERE))
    given = next(iter(ana.agent.rows.all(CONSENTS).values())).consent
    turn = turn_of(cene)
    with pytest.raises(Untrusted):
        consents.answered(turn, ConsentLetter(bulletin, there, given), turn.view.device(cene.name))
    lea = world.enrol("cert-hr", "lea-laptop", "lea", "liaison")
    world.run(3)
    turn = turn_of(cene)
    with pytest.raises(Untrusted):
        consents.answered(turn, ConsentLetter(bulletin, there, given), turn.view.device(lea.name))
    flipped = given[:-1] + bytes([given[-1] ^ 1])
    with pytest.raises(Exception, match="verify"):
        consents.answered(turn, ConsentLetter(bulletin, there, flipped), record)
    assert states(cene) == [ConsentState.GRANTED]  # what came by itself


def test_who_asks_too_much_is_not_heard(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    ana, cene, _topic, there, bulletin = stage(world)
    monkeypatch.setattr(consents, "MOST_WAITING", 2)
    turn = turn_of(ana)
    by = turn.view.device(cene.name)
    row = next(row for row in turn.rows.all(consents.BULLETINS).values() if row.bulletin == bulletin)
    asked = AskConsentLetter(bulletin, 1, row.digest, there, "observers", ("cert-si",), "")
    for number in range(2):
        consents.asked(turn, replace(asked, conversation=bytes([number]) * 32), by)
    with pytest.raises(Denied):
        consents.asked(turn, asked, by)
    consents.asked(turn, replace(asked, conversation=bytes(32), reason="again"), by)  # the same question again
    with pytest.raises(NotFound):
        consents.asked(turn, replace(asked, digest=bytes(48)), by)
    with pytest.raises(NotFound):
        consents.asked(turn, replace(asked, bulletin="SC-2027-0001-aaaaaa"), by)
    assert len(turn.rows.all(CONSENTS)) == 2


def test_a_used_consent_does_not_help_another_room(world: World) -> None:
    ana, cene, _topic, there, bulletin = stage(world)
    elsewhere = room(world, cene, "cert-hr", "cert-si", name="elsewhere", ceiling=Tlp.AMBER_STRICT)
    cene.do(AskConsent(bulletin, there))
    world.run(3)
    ana.do(AnswerConsent(bulletin, there, "cert-si", world.now + MONTH, THERE))
    world.run(3)
    with pytest.raises(Denied):
        cene.do(ForwardBulletin(bulletin, elsewhere, CONTENT))
    assert not [each for each in ana.told(BulletinReceived) if each.conversation == elsewhere]
    assert AlarmKind.BAD_BULLETIN not in {each.kind for each in ana.told(Alarm)}


def test_a_question_stays_as_it_was_shown_while_it_waits(world: World) -> None:
    ana, cene, _topic, there, bulletin = stage(world)
    cene.do(AskConsent(bulletin, there))
    world.run(3)
    turn = turn_of(ana)
    by = turn.view.device(cene.name)
    row = next(row for row in turn.rows.all(BULLETINS).values() if row.bulletin == bulletin)
    wider = AskConsentLetter(bulletin, 1, row.digest, there, "observers", ("cert-hr", "cert-si", "everybody"), "")
    with pytest.raises(Denied, match="asks for more"):
        consents.asked(turn, wider, by)
    consents.asked(turn, replace(wider, agencies=("cert-si",)), by)
    assert [each.agencies for each in turn.rows.all(CONSENTS).values()] == [("cert-si",)]
    turn.now += consents.STANDS
    consents.asked(turn, wider, by)
    assert [each.agencies for each in turn.rows.all(CONSENTS).values()] == [wider.agencies]
    with pytest.raises(Conflict, match="more than you were shown"):
        consents.answer(turn, AnswerConsent(bulletin, there, "cert-si", turn.now + MONTH, THERE))


def namesake(ana: Actor, bulletin: str, label: Tlp) -> Turn:
    """Where cert-si has issued another bulletin of the same id elsewhere, which is looked at first."""
    turn = turn_of(ana)
    (name, row), *_ = [pair for pair in turn.rows.items(BULLETINS) if pair[1].bulletin == bulletin]
    header = replace(BulletinHeader.decode(row.header), issuer="cert-si", device="cert-si/cene-laptop")
    theirs = replace(row, topic=bytes(32), device="cert-si/cene-laptop", header=header.encode(), tlp=label)
    turn.rows.drop(BULLETINS, name)
    turn.rows.put(BULLETINS, bulletin_row(bytes(32), bulletin), theirs)
    turn.rows.put(BULLETINS, name, row)
    return turn


def test_another_agencys_bulletin_of_the_same_id_is_not_consented_to(world: World) -> None:
    ana, cene, _topic, there, bulletin = stage(world)
    cene.do(AskConsent(bulletin, there))
    world.run(3)
    turn = namesake(ana, bulletin, Tlp.RED)
    consents.answer(turn, AnswerConsent(bulletin, there, "cert-si", world.now + MONTH, THERE))
    (row,) = turn.rows.all(CONSENTS).values()
    assert SignedConsent.decode(row.consent).claim.tlp is Tlp.AMBER_STRICT


def test_another_agencys_bulletin_of_the_same_id_gives_no_answer(world: World) -> None:
    ana, cene, _topic, there, bulletin = stage(world)
    cene.do(AskConsent(bulletin, there))
    world.run(3)
    turn = namesake(cene, bulletin, Tlp.AMBER)
    with pytest.raises(Untrusted, match="cert-hr"):
        consents.answered(turn, ConsentLetter(bulletin, there, b""), turn.view.device("cert-si/cene-laptop"))
    consents.answered(turn, ConsentLetter(bulletin, there, b""), turn.view.device(ana.name))
