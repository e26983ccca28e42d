"""Reading a log: what is sent arrives once, in one order, and what counts for nobody stops nobody."""

from __future__ import annotations

from securechan.agent.events import (
    Alarm,
    AlarmKind,
    ConversationLeft,
    ConversationOffered,
    EpochChanged,
    MemberAdded,
    MemberRemoved,
    MessageReceived,
    MessageSent,
)
from securechan.agent.inputs import AcceptConversation, CreateConversation, RotateEpochs, SendText
from securechan.bulletin.tlp import Tlp
from tests.support.world import Actor, World

STEWARDS = ("ana@cert-hr", "cene@cert-si")


def community(world: World, *, founders: bool = True) -> tuple[Actor, Actor, Actor, bytes]:
    """Two devices of cert-hr and one of cert-si in a community whose name the federation binds."""
    ana, bor = world.enrol_all("cert-hr", "ana", "bor")
    (cene,) = world.enrol_all("cert-si", "cene")
    if founders:
        world.bind("eu-csirts", founders=(ana.name,))
    for each in (ana, bor, cene):
        each.connect()
    world.run()
    topic: bytes = ana.do(CreateConversation(world.community("eu-csirts", stewards=STEWARDS)))
    world.run(10)
    return ana, bor, cene, topic


def words(actor: Actor, topic: bytes) -> list[str]:
    return [each.body for each in actor.told(MessageReceived, topic)]


def epoch(actor: Actor, topic: bytes) -> int:
    from securechan.agent.state import GROUPS

    group = actor.agent.rows.get(GROUPS, topic.hex())
    assert group is not None
    return group.epoch


def secret(actor: Actor, topic: bytes) -> bytes:
    """Equal for those who are in the same epoch of the same group."""
    from securechan.agent.state import GROUPS

    group = actor.agent.rows.get(GROUPS, topic.hex())
    assert group is not None
    return bytes(group.epoch_authenticator)


def test_what_is_sent_is_shown_to_all_once_and_in_one_order(world: World) -> None:
    ana, bor, cene, topic = community(world)
    for actor, body in ((ana, "one"), (cene, "two"), (bor, "three")):
        identity = actor.do(SendText(topic, body, Tlp.GREEN))
        world.run()
        assert actor.told(MessageSent, topic)[-1].payload == identity
    assert words(ana, topic) == words(bor, topic) == words(cene, topic) == ["one", "two", "three"]
    assert [each.own for each in ana.told(MessageReceived)] == [True, False, False]
    assert not [each for actor in (ana, bor, cene) for each in actor.told(Alarm)]


def test_an_offline_device_catches_up_over_many_epochs(world: World) -> None:
    ana, bor, cene, topic = community(world)
    cene.disconnect()
    for number in range(12):
        ana.do(SendText(topic, f"{number}", Tlp.GREEN))
        world.run()
        (ana if number % 2 else bor).do(RotateEpochs(topic))
        world.run()
    cene.connect()
    world.run()
    assert words(cene, topic) == [str(number) for number in range(12)]
    assert epoch(cene, topic) == epoch(ana, topic) == 13
    assert secret(cene, topic) == secret(ana, topic) == secret(bor, topic)


def test_two_members_commit_at_once_and_one_wins(world: World) -> None:
    ana, bor, cene, topic = community(world)
    for actor in (ana, bor, cene):
        actor.do(RotateEpochs(topic))
        actor.do(SendText(topic, f"from {actor.officer}", Tlp.GREEN))
    world.run(30)
    assert len({secret(each, topic) for each in (ana, bor, cene)}) == 1
    assert epoch(ana, topic) == 4  # everyone's own renewal has come through in the end
    assert sorted(words(ana, topic)) == sorted(f"from {each.officer}" for each in (ana, bor, cene))
    assert words(ana, topic) == words(bor, topic) == words(cene, topic)
    assert not [each for actor in (ana, bor, cene) for each in actor.told(Alarm)]


def test_what_was_sealed_for_a_closed_epoch_is_sealed_again(world: World) -> None:
    ana, bor, cene, topic = community(world)
    # Both leave in one breath: the renewal is first in the log, so ana's words are late for their epoch.
    bor.do(RotateEpochs(topic))
    ana.do(SendText(topic, "late", Tlp.GREEN))
    world.run(10)
    assert words(cene, topic) == words(bor, topic) == words(ana, topic) == ["late"]


def test_nobody_is_added_unasked_to_what_nobody_vouches_for(world: World) -> None:
    ana, bor, cene, topic = community(world, founders=False)
    assert bor.agent.conversation(topic) is not None  # of the founder's own agency
    (offer,) = cene.told(ConversationOffered)
    assert offer.conversation == topic
    assert offer.by == ana.name
    ana.do(SendText(topic, "are you there", Tlp.GREEN))
    world.run()
    assert words(cene, topic) == []
    cene.do(AcceptConversation(topic))
    world.run()
    assert words(cene, topic) == ["are you there"]


def test_a_revoked_device_reads_its_removal_and_nothing_later(world: World) -> None:
    ana, bor, cene, topic = community(world)
    ana.do(SendText(topic, "before", Tlp.GREEN))
    world.run()
    cene.disconnect()
    world.revoke(bor)
    world.run(10)
    assert not [each for each in ana.agent.conversation(topic).members if each.device == bor.name]
    assert [each.device for each in ana.told(MemberRemoved)] == [bor.name]
    ana.do(SendText(topic, "after", Tlp.GREEN))
    cene.connect()
    world.run(10)
    assert words(bor, topic) == ["before"]
    assert words(cene, topic) == ["before", "after"]


def test_a_new_device_is_brought_in_by_itself(world: World) -> None:
    ana, bor, cene, topic = community(world)
    dora = world.enrol("cert-si", "dora-laptop", "dora", "desk")
    world.run(3)
    dora.connect()
    world.run(30)
    assert [each.device for each in cene.told(MemberAdded)].count(dora.name) == 1
    dora.do(SendText(topic, "hello", Tlp.GREEN))
    world.run()
    assert words(ana, topic) == words(bor, topic) == words(cene, topic) == ["hello"]


def test_a_removal_is_told_to_who_is_removed(world: World) -> None:
    ana, _bor, cene, topic = community(world)
    from securechan.agent.inputs import ChangePolicy

    ana.do(ChangePolicy(topic, world.community("eu-csirts", "cert-hr", stewards=("ana@cert-hr",))))
    world.run(10)
    assert [each.by for each in cene.told(ConversationLeft)] != []
    assert len(ana.agent.conversation(topic).members) == 2
    assert not [each for each in ana.told(Alarm) if each.kind is AlarmKind.VOID]


def test_epochs_renew_by_themselves(world: World) -> None:
    ana, bor, cene, topic = community(world)
    world.run(8 * 86400)
    assert epoch(ana, topic) >= 4
    assert {each.by for each in ana.told(EpochChanged, topic)} == {ana.name, bor.name, cene.name}
    assert len({secret(each, topic) for each in (ana, bor, cene)}) == 1
