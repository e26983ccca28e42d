"""When a device can't go on: it freezes, asks, and comes back; and never uses a key twice."""

from __future__ import annotations

import pytest

from securechan.agent import inbox, letters, reconcile, recovery
from securechan.agent.events import Alarm, AlarmKind, ConversationJoined, Frozen, MemberAdded
from securechan.agent.inputs import RotateEpochs, SendText
from securechan.agent.letters import LetterBody, OpaqueLetter, ReaddLetter
from securechan.agent.policy import seats_of
from securechan.agent.state import LETTERS
from securechan.agent.turn import Turn
from securechan.bulletin.payload import Payload, Text
from securechan.bulletin.tlp import Tlp
from securechan.wire.frames import Deliver, inbox_topic
from tests.agent.places import Rogue, community, group_of, package, row_of, secret, words
from tests.agent.test_succession import wedge
from tests.support.actor import Actor
from tests.support.world import World


def test_yesterdays_vault_is_noticed_before_anything_is_sealed_and_the_device_is_added_again(world: World) -> None:
    ana, bor, cene, topic = community(world)
    backup = ana.snapshot()
    for body in ("one", "two"):
        ana.do(SendText(topic, body, Tlp.GREEN))
        world.run()
    ana.restore(backup)
    identity = ana.do(SendText(topic, "typed after the restore", Tlp.GREEN))
    ana.connect()
    world.run(30)
    assert [each.kind for each in ana.told(Alarm)].count(AlarmKind.ROLLBACK) == 1
    assert ana.told(Frozen)
    assert [each.again for each in ana.told(ConversationJoined)] == [True]
    assert ana.agent.outgoing(identity) == "sent"
    assert words(cene, topic) == ["one", "two", "typed after the restore"]
    assert secret(ana, topic) == secret(bor, topic) == secret(cene, topic)
    assert not [each for each in bor.told(Alarm) if each.kind is AlarmKind.VOID]  # no generation was used twice


def test_a_restored_vault_is_noticed_by_its_commits_too(world: World) -> None:
    ana, bor, cene, topic = community(world)
    backup = ana.snapshot()
    ana.do(RotateEpochs(topic))
    world.run()
    ana.restore(backup)
    ana.connect()
    world.run(30)
    assert AlarmKind.ROLLBACK in [each.kind for each in ana.told(Alarm)]
    ana.do(SendText(topic, "back", Tlp.GREEN))
    world.run(2)
    assert words(bor, topic) == words(cene, topic) == ["back"]


def test_after_a_rollback_every_key_package_is_made_anew(world: World) -> None:
    ana, _, _, topic = community(world)
    backup = ana.snapshot()
    before = set(backup["packages"])
    ana.do(SendText(topic, "one", Tlp.GREEN))
    world.run()
    ana.restore(backup)
    ana.connect()
    world.run(30)
    assert before.isdisjoint(ana.tables["packages"])


def test_a_committer_dies_after_the_relay_stored_its_commit_and_returns_in_the_right_epoch(world: World) -> None:
    ana, bor, cene, topic = community(world)
    step = ana.agent.on(RotateEpochs(topic), world.now)
    ana.adopt(step.writes)
    ana.agent = step.agent
    (send,) = [each for each in step.effects if type(each).__name__ == "Send"]
    assert ana.member is not None
    world.loop.run_until_complete(ana.member.request(send.body))
    ana.restart()  # the acknowledgement never came
    world.run(1)
    assert group_of(ana, topic).epoch == 1
    assert group_of(bor, topic).epoch == 2
    ana.connect()
    world.run(1)
    assert secret(ana, topic) == secret(bor, topic) == secret(cene, topic)
    assert not ana.told(Alarm)


def test_who_is_frozen_asks_others_when_nobody_answers(world: World) -> None:
    ana, bor, cene, topic = community(world)
    backup = ana.snapshot()
    ana.do(SendText(topic, "one", Tlp.GREEN))
    world.run()
    bor.disconnect()
    cene.disconnect()
    ana.restore(backup)
    ana.connect()
    world.run(60)
    assert ana.agent.conversation(topic).standing == "frozen"
    bor.connect()
    world.run(700)
    assert ana.agent.conversation(topic).standing == "member"
    assert secret(ana, topic) == secret(bor, topic)


def test_who_asks_to_be_added_again_and_again_makes_no_stream_of_commits(world: World) -> None:
    """A device is put out and in again once a minute at most, whomever it asks; none of its askings is lost."""
    ana, bor, cene, topic = community(world)

    def ask(whom: Actor) -> None:
        turn = Turn(cene.agent.rows, cene.agent.session, world.chance, world.now)
        assert letters.write(turn, (turn.view.device(whom.name),), ReaddLetter(topic, 1, "again"))
        sealed = max(turn.rows.all(LETTERS).items())[1].copies[0].body
        assert cene.member is not None
        world.loop.run_until_complete(cene.member.request(Deliver(inbox_topic(whom.name), world.chance(32), sealed)))

    first = group_of(ana, topic).epoch
    for number in range(10):
        ask((ana, bor)[number % 2])
        world.run(5)
    assert group_of(ana, topic).epoch == first + 1
    ana.do(SendText(topic, "meanwhile", Tlp.GREEN))  # nor does it hold anybody up
    world.run(2)
    assert words(bor, topic) == ["meanwhile"]
    world.run(60)
    assert first + 2 <= group_of(ana, topic).epoch <= first + 3
    assert len([each for each in ana.told(MemberAdded, topic) if each.device == cene.name]) <= 4


@pytest.mark.parametrize("ahead", [0, 300])
def test_a_relay_that_says_an_old_letter_again_moves_nobody(
    world: World, monkeypatch: pytest.MonkeyPatch, ahead: int
) -> None:
    """The relay has every letter that it ever carried; one that asked to be added again has done its work."""
    monkeypatch.setattr(inbox, "LETTERS_KEPT", 1)
    ana, _bor, cene, topic = community(world)
    member = cene.member
    assert member is not None

    def sealed(body: LetterBody) -> bytes:
        turn = Turn(cene.agent.rows, cene.agent.session, world.chance, world.now + ahead)
        assert letters.write(turn, (turn.view.device(ana.name),), body)
        return max(turn.rows.all(LETTERS).items())[1].copies[0].body

    def deliver(letter: bytes) -> int:
        world.loop.run_until_complete(member.request(Deliver(inbox_topic(ana.name), world.chance(32), letter)))
        world.run(130)
        return len([each for each in ana.told(MemberAdded, topic) if each.device == cene.name])

    old = sealed(ReaddLetter(topic, 1, "lost"))
    first = deliver(sealed(OpaqueLetter("other", b"")))
    heeded = deliver(old)
    assert heeded > first
    assert deliver(sealed(OpaqueLetter("other", b""))) == heeded
    assert deliver(old) == heeded
    assert "old letter" in ana.told(Alarm)[-1].text
    assert deliver(sealed(ReaddLetter(topic, 2, "lost again"))) > heeded


def test_a_stranger_is_not_asked_whatever_it_writes(world: World) -> None:
    """Whom we asked may add us unasked: so a device that has no leaf isn't, though it sends an invitation by a key
    package that isn't here. Else a second one, to a group of its own making, would take the conversation's place."""
    ana, _bor, cene, topic = community(world)
    dora = world.enrol("cert-si", "dora-laptop", "dora", "liaison")
    wedge(cene, topic)
    turn = Turn(cene.agent.rows, cene.agent.session, world.chance, world.now)
    recovery.uninvited(turn, topic, dora.device.record)
    assert dora.name not in turn.conversation(topic).asked
    turn = Turn(cene.agent.rows, cene.agent.session, world.chance, world.now)
    recovery.uninvited(turn, topic, ana.device.record)
    assert ana.name in turn.conversation(topic).asked


def late_commit(world: World, *, announced: bool) -> tuple[Actor, Actor, Actor, bytes]:
    """cene's device adds dora's and dies with the Welcome unsent; with ``announced`` it has spoken after."""
    ana, _bor, cene, topic = community(world)
    dora = world.enrol("cert-si", "dora-laptop", "dora", "desk")
    rogue = Rogue(cene, topic)
    record, key = dora.device.record, bytes(dora.device.key.private)
    rogue.commit(adds=(package(record.name, record.address, world.now, key),))
    if announced:
        rogue.go_on()
        rogue.say(Payload.of(world.chance(16), 0, Text(Tlp.GREEN, "dora comes")).encode())
    cene.disconnect()
    world.run(10)
    assert any(seat.device == dora.name for seat in seats_of(group_of(ana, topic)).values())
    dora.connect()
    world.run(60)
    assert not dora.told(ConversationJoined)
    return ana, cene, dora, topic


def test_who_was_never_welcomed_is_added_anew(world: World) -> None:
    """A committer that dies between the relay's acceptance and its Welcome leaves a leaf that knows of nothing."""
    ana, _cene, dora, topic = late_commit(world, announced=False)
    assert [each.by for each in row_of(ana, topic).owed] == ["cert-si/cene-laptop"]
    world.run(reconcile.UNWELCOMED + 60)
    assert [each.by for each in dora.told(ConversationJoined)]
    ana.do(SendText(topic, "welcome after all", Tlp.GREEN))
    world.run(5)
    assert words(dora, topic) == ["welcome after all"]
    dora.do(SendText(topic, "thank you", Tlp.GREEN))
    world.run(5)
    assert row_of(ana, topic).owed == ()


def test_whose_committer_has_spoken_since_is_left_alone(world: World) -> None:
    ana, _cene, _dora, topic = late_commit(world, announced=True)
    epoch = group_of(ana, topic).epoch
    assert row_of(ana, topic).owed == ()
    world.run(reconcile.UNWELCOMED + 60)
    assert group_of(ana, topic).epoch == epoch
