"""A clock that was ahead and has been set right: nothing waits for a time that was never there."""

from __future__ import annotations

from dataclasses import replace

from securechan.agent import letters
from securechan.agent.events import Alarm, BulletinReceived, ConversationJoined, MemberAdded, ReceiptReceived
from securechan.agent.inputs import Acknowledge, CreateConversation, PublishBulletin, RotateEpochs
from securechan.agent.letters import ReaddLetter
from securechan.agent.state import CONVERSATIONS, LETTERS, PACKAGES, PENDING, RECEIPTS
from securechan.agent.turn import Turn
from securechan.bulletin.tlp import Tlp
from securechan.mls.keypackage import DEFAULT_LIFETIME
from securechan.wire.frames import Deliver, inbox_topic
from tests.agent.places import STEWARDS, community, row_of, secret
from tests.support.actor import Actor
from tests.support.world import World

YEAR = 365 * 86400


def shift(actor: Actor, seconds: int) -> None:
    """As if its clock had been ``seconds`` ahead in all that it has done so far."""
    rows = actor.agent.rows.edit()
    for row, each in rows.items(CONVERSATIONS):
        times = {name: getattr(each, name) + seconds for name in ("renewed", "committed", "heard", "spoke")}
        rows.put(CONVERSATIONS, row, replace(each, **times))
    for row, commit in rows.items(PENDING):
        rows.put(PENDING, row, replace(commit, retry=actor.world.now + seconds))
    for row, package in rows.items(PACKAGES):
        rows.put(PACKAGES, row, replace(package, not_after=package.not_after + seconds))
    _, writes = rows.seal()
    actor.adopt(writes)
    actor.restart()


def test_receipts_leave_when_the_clock_is_right_again(world: World) -> None:
    ana, _bor, cene, topic = community(world)
    ana.do(PublishBulletin(topic, b"watch out", "text/plain", Tlp.GREEN, "a warning"))
    world.run(5)
    (came,) = cene.told(BulletinReceived)
    cene.disconnect()
    cene.ahead = YEAR
    cene.do(Acknowledge(came.bulletin, topic))
    cene.ahead = 0
    (due,) = cene.agent.rows.all(RECEIPTS).values()
    assert due.after > world.now + YEAR // 2
    cene.connect()
    world.run(5)
    assert not cene.agent.rows.all(RECEIPTS)
    assert "acknowledged" in {each.kind for each in ana.told(ReceiptReceived) if each.device == cene.name}


def test_a_stock_that_is_not_valid_yet_is_made_anew(world: World) -> None:
    ana, _bor, _cene, _topic = community(world)
    dora = world.enrol("cert-si", "dora-laptop", "dora", "liaison").connect()
    world.run(60)
    first = set(dora.agent.rows.all(PACKAGES))
    dora.disconnect()
    shift(dora, YEAR)
    dora.connect()
    world.run(5)
    fresh = [each for row, each in dora.agent.rows.all(PACKAGES).items() if row not in first]
    assert fresh
    assert max(each.not_after for each in fresh) <= world.now + DEFAULT_LIFETIME
    ana.do(CreateConversation(world.community("all", stewards=(*STEWARDS, dora.officer))))
    world.run(60)
    assert dora.told(ConversationJoined) or dora.agent.offers()
    world.run(3 * 3600)  # until the stock is full
    kept = dora.agent.rows.all(PACKAGES)
    dora.disconnect()
    dora.connect()
    world.run(5)
    assert set(dora.agent.rows.all(PACKAGES)) == set(kept)  # once is enough


def test_keys_are_renewed_though_it_was_noted_that_they_will_have_been(world: World) -> None:
    ana, bor, cene, topic = community(world)
    before = secret(ana, topic)
    for each in (ana, bor, cene):
        each.disconnect()
        shift(each, YEAR)
        each.connect()
    assert row_of(ana, topic).renewed <= world.now
    world.run(8 * 86400)
    assert secret(ana, topic) == secret(bor, topic) != before


def test_a_commit_that_was_put_off_is_offered_again(world: World) -> None:
    ana, bor, _cene, topic = community(world)
    before = secret(ana, topic)
    ana.give(RotateEpochs(topic), lose_effects=True)
    assert ana.agent.rows.get(PENDING, topic.hex()) is not None
    shift(ana, YEAR)
    ana.connect()
    world.run(5)
    assert ana.agent.rows.get(PENDING, topic.hex()) is None
    assert secret(ana, topic) == secret(bor, topic) != before


def test_who_asked_to_be_added_again_by_a_clock_ahead_may_ask_by_a_right_one(world: World) -> None:
    ana, _bor, cene, topic = community(world)
    member = cene.member
    assert member is not None
    times = [_times_let_in(ana, cene, topic)]
    for ahead in (YEAR, 0):
        turn = Turn(cene.agent.rows, cene.agent.session, world.chance, world.now + ahead)
        assert letters.write(turn, (turn.view.device(ana.name),), ReaddLetter(topic, 1, "lost"))
        (letter,) = turn.rows.all(LETTERS).values()
        ask = Deliver(inbox_topic(ana.name), world.chance(32), letter.copies[0].body)
        world.loop.run_until_complete(member.request(ask))
        world.run(130)
        times.append(_times_let_in(ana, cene, topic))
    assert times[0] == times[1] < times[2]
    assert "ahead of ours" in ana.told(Alarm)[0].text


def _times_let_in(witness: Actor, who: Actor, topic: bytes) -> int:
    return len([each for each in witness.told(MemberAdded, topic) if each.device == who.name])
