"""Looking at a conversation: absent devices, bad key packages, quiet, and a relay that is busy."""

from __future__ import annotations

from typing import Any

import pytest

from securechan.agent import commits, reconcile
from securechan.agent.asks import Committing, Posting, Taking
from securechan.agent.events import Alarm, AlarmKind, ConversationJoined, MemberAdded
from securechan.agent.inputs import Answered, CreateConversation, RotateEpochs, SendText
from securechan.agent.membership import Difference, differences
from securechan.agent.policy import seats_of
from securechan.agent.reconcile import QUIET
from securechan.agent.state import OUTBOX, PENDING
from securechan.bulletin.tlp import Tlp
from securechan.mls.message import MLSMessage
from securechan.wire.frames import Code, Error, KeyPackageTaken, PutKeyPackages
from tests.agent.places import community, group_of, package, row_of, secret, words
from tests.support.world import World


def refusal(code: Code, retry_after: int = 0) -> Error:
    return Error(code, retry_after, "test", 0, bytes(32))


def test_a_device_without_key_packages_is_asked_for_again_and_holds_nobody_up(world: World) -> None:
    ana, _bor, cene, topic = community(world)
    late = world.enrol("cert-si", "late-laptop", "late", "desk")
    world.run(60)
    ana.do(SendText(topic, "we go on", Tlp.GREEN))
    world.run(2)
    assert words(cene, topic) == ["we go on"]
    late.connect()
    world.run(400)
    assert late.told(ConversationJoined)
    assert [each.device for each in ana.told(MemberAdded)].count(late.name) == 1


def test_a_key_package_of_somebody_else_is_refused(world: World) -> None:
    ana, bor, cene, topic = community(world)
    late = world.enrol("cert-si", "late-laptop", "late", "desk")
    world.run(1)
    forged = MLSMessage.of(package(late.name, "late@cert-si", world.now)).encode()  # signed by an unlisted key
    late.connect()
    assert late.member is not None
    world.loop.run_until_complete(
        late.member.request(PutKeyPackages(group_of(ana, topic).suite.number, 1, (forged,) * 1, None))
    )
    world.run(60)
    refused = [a for actor in (ana, bor, cene) for a in actor.told(Alarm) if a.kind is AlarmKind.BAD_PACKAGE]
    assert refused
    assert {each.who for each in refused} == {late.name}
    world.run(600)  # it has put honest ones since
    assert late.told(ConversationJoined)


def test_a_quiet_conversation_gives_signs_of_life(world: World) -> None:
    ana, _bor, _cene, topic = community(world)
    before = ana.agent.conversation(topic).sequence
    world.run(QUIET * 3)
    after = ana.agent.conversation(topic).sequence
    assert 2 <= after - before <= 4
    assert ana.agent.conversation(topic, world.now).stale_since == 0
    assert words(ana, topic) == []


def test_when_nobody_is_heard_the_conversation_says_since_when(world: World) -> None:
    ana, bor, cene, topic = community(world)
    bor.disconnect()
    cene.disconnect()
    world.run(QUIET * 3)
    heard = row_of(ana, topic).heard
    assert ana.agent.conversation(topic, world.now).stale_since == heard > 0


def test_a_large_tree_travels_as_a_blob(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(commits, "TREE_INLINE", 100)
    ana, bor, cene, topic = community(world)
    assert secret(ana, topic) == secret(bor, topic) == secret(cene, topic)
    assert not ana.tables.get("uploads")
    dora = world.enrol("cert-si", "dora-laptop", "dora", "desk").connect()
    world.run(30)
    assert secret(dora, topic) == secret(ana, topic)
    assert not dora.tables.get("downloads")


def test_a_relay_that_is_busy_is_asked_again_and_one_that_refuses_is_believed(world: World) -> None:
    ana, _bor, _cene, topic = community(world)
    ana.disconnect()
    identity = ana.do(SendText(topic, "one", Tlp.GREEN))
    ana.connect()
    for _ in range(200):
        world.inside(ana.pump)
        asked = [ask for ask in ana.asked.values() if isinstance(ask, Posting)]
        if asked:
            break
        world.loop.run_until_complete(_turn())
    (ask,) = asked
    step = ana.agent.on(Answered(ask, refusal(Code.OVERLOADED, 3000)), world.now)
    assert step.agent.outgoing(identity) == "sealed"
    assert step.agent.next_wake <= world.now + 3
    step = ana.agent.on(Answered(ask, refusal(Code.TOO_LARGE)), world.now)
    assert step.agent.outgoing(identity) == "unknown"
    step = ana.agent.on(Answered(ask, refusal(Code.STALE)), world.now)
    assert step.agent.rows.all(OUTBOX) == ana.agent.rows.all(OUTBOX)


async def _turn() -> None:
    import asyncio

    await asyncio.sleep(0)


def test_a_commit_that_the_relay_refuses_is_kept_or_given_up_by_the_reason(world: World) -> None:
    ana, _bor, _cene, topic = community(world)
    step = ana.agent.on(RotateEpochs(topic), world.now)
    (ask,) = [effect.ref for effect in step.effects if isinstance(getattr(effect, "ref", None), Committing)]
    agent = step.agent
    pending = agent.rows.get(PENDING, topic.hex())
    assert pending is not None
    stale = agent.on(Answered(ask, refusal(Code.STALE)), world.now).agent
    assert stale.rows.get(PENDING, topic.hex()) == pending
    later = agent.on(Answered(ask, refusal(Code.QUOTA, 60_000)), world.now).agent
    kept = later.rows.get(PENDING, topic.hex())
    assert kept is not None
    assert (kept.commit, kept.retry) == (pending.commit, world.now + 60)
    gone = agent.on(Answered(ask, refusal(Code.TOO_LARGE)), world.now).agent
    assert gone.rows.get(PENDING, topic.hex()) is None
    assert gone.rows.all(PENDING) == {}


def test_answers_that_nobody_asked_for_change_nothing(world: World) -> None:
    ana, _, _, topic = community(world)
    before = ana.agent.records()
    for ask in (Taking(topic, "cert-si/x"), Posting(topic, "0"), Committing(topic, bytes(32))):
        for body in (KeyPackageTaken(b"x", 0), refusal(Code.STALE), refusal(Code.TOO_LARGE)):
            assert ana.agent.on(Answered(ask, body), world.now).agent.records() == before


def test_a_founder_alone_waits_for_nobody_and_renews_when_told(world: World) -> None:
    (ana,) = world.enrol_all("cert-hr", "ana")
    ana.connect()
    world.run()
    topic = ana.do(CreateConversation(world.community("mine", "cert-hr", stewards=("ana@cert-hr",))))
    world.run(3)
    ana.do(RotateEpochs(topic))
    ana.do(SendText(topic, "a note to myself", Tlp.GREEN))
    world.run(5)
    assert group_of(ana, topic).epoch == 1
    assert words(ana, topic) == ["a note to myself"]


def test_who_belongs_is_judged_once_while_words_are_many(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """To look at every member for every message would make talk in a large community cost its square."""
    ana, bor, cene, topic = community(world)
    judged: list[int] = []
    honest = differences

    def counted(*args: Any) -> Difference:
        judged.append(world.now)
        return honest(*args)

    monkeypatch.setattr(reconcile, "differences", counted)
    for number in range(30):
        ana.do(SendText(topic, str(number), Tlp.GREEN))
    world.run(1)
    assert len(words(bor, topic)) == 30
    assert len(judged) <= 3 * 3  # three devices; not thirty messages
    judged.clear()
    world.revoke(cene)  # and whatever it follows from is heeded at once
    world.run(15)
    assert judged
    assert not any(seat.device == cene.name for seat in seats_of(group_of(ana, topic)).values())
