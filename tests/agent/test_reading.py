"""Reading a log: what is sent arrives once, in one order, and what counts for nobody stops nobody."""

from __future__ import annotations

from dataclasses import replace
from time import sleep

from securechan.agent.claims import Claim
from securechan.agent.events import (
    Alarm,
    AlarmKind,
    ConversationLeft,
    ConversationOffered,
    EpochChanged,
    Held,
    MemberAdded,
    MemberRemoved,
    MessageReceived,
    MessageSent,
)
from securechan.agent.inputs import AcceptConversation, ChangePolicy, CreateConversation, Resume, RotateEpochs, SendText
from securechan.agent.policy import POLICY, AgencyScope, policy_of
from securechan.bulletin.payload import Payload, Text
from securechan.bulletin.tlp import Tlp
from securechan.wire.chain import Position
from securechan.wire.frames import Appended, CommitClaim
from tests.agent.places import Rogue, community, group_of, package, secret, words
from tests.support.actor import Actor
from tests.support.world import World


def epoch(actor: Actor, topic: bytes) -> int:
    return group_of(actor, topic).epoch


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
    ana, bor, cene, topic = community(world, bound=False)
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
    ana.do(ChangePolicy(topic, world.community("eu-csirts", "cert-hr", stewards=("ana@cert-hr",))))
    world.run(10)
    assert [each.by for each in cene.told(ConversationLeft)] != []
    assert len(ana.agent.conversation(topic).members) == 2
    assert not [each for each in ana.told(Alarm) if each.kind is AlarmKind.VOID]


def test_epochs_renew_by_themselves(world: World) -> None:
    ana, bor, cene, topic = community(world, renewal=1800)
    world.run(6 * 3600)
    assert 4 <= epoch(ana, topic) <= 13  # at most one renewal in the interval, by each member in its turn
    assert {each.by for each in ana.told(EpochChanged, topic)} == {ana.name, bor.name, cene.name}
    assert len({secret(each, topic) for each in (ana, bor, cene)}) == 1


# ---------------------------------------------------------------------------------------------- what counts for nobody


def alarms(actor: Actor, kind: AlarmKind) -> list[Alarm]:
    return [each for each in actor.told(Alarm) if each.kind is kind]


def test_a_garbage_commit_with_a_wrong_hash_stops_nobody_and_is_named(world: World) -> None:
    ana, bor, cene, topic = community(world)
    rogue = Rogue(cene, topic)
    assert isinstance(rogue.commit(data=b"not a claim", access=bytes(31) + b"\x01"), Appended)
    cene.disconnect()
    world.run(1)
    ana.do(SendText(topic, "on we go", Tlp.GREEN))
    bor.do(RotateEpochs(topic))
    world.run(3)
    assert words(bor, topic) == words(ana, topic) == ["on we go"]
    assert epoch(ana, topic) == epoch(bor, topic) == 2
    assert cene.name in [each.who for each in alarms(ana, AlarmKind.VOID)]


def test_bytes_that_are_no_message_are_void_though_they_name_nobody(world: World) -> None:
    ana, bor, cene, topic = community(world)
    rogue = Rogue(cene, topic)
    rogue.append(b"\x00\x01\x00\x02garbage", CommitClaim(rogue.row.last_commit, bytes(32)))
    bor.do(RotateEpochs(topic))
    world.run(3)
    assert epoch(ana, topic) == epoch(bor, topic) == epoch(cene, topic) == 2
    assert [each.who for each in alarms(ana, AlarmKind.VOID)] == [""]


def test_a_commit_that_renews_nothing_by_a_path_is_void(world: World) -> None:
    ana, bor, cene, topic = community(world)
    Rogue(cene, topic).commit(path=False, adds=(package("cert-si/other", "other@cert-si", world.now),))
    cene.disconnect()
    world.run(2)
    assert epoch(ana, topic) == epoch(bor, topic) == 1
    assert [each.who for each in alarms(ana, AlarmKind.VOID)] == [cene.name]


def test_a_commit_that_adds_who_cannot_belong_is_void(world: World) -> None:
    ana, bor, cene, topic = community(world)
    Rogue(cene, topic).commit(adds=(package("cert-xx/stranger", "stranger@cert-xx", world.now),))
    cene.disconnect()
    world.run(2)
    assert epoch(ana, topic) == epoch(bor, topic) == 1


def test_what_is_sent_in_the_clear_is_void(world: World) -> None:
    ana, bor, cene, topic = community(world)
    Rogue(cene, topic).commit(private=False)
    cene.disconnect()
    world.run(2)
    assert epoch(ana, topic) == epoch(bor, topic) == 1
    assert alarms(bor, AlarmKind.VOID)


def test_a_commit_on_an_older_trust_position_is_void(world: World) -> None:
    ana, bor, cene, topic = community(world)
    old = Position(1, bytes(48))
    rogue = Rogue(cene, topic)
    rogue.commit(data=Claim(rogue.claim.log, old).encode())
    cene.disconnect()
    world.run(2)
    assert epoch(ana, topic) == epoch(bor, topic) == 1
    assert [each.who for each in alarms(ana, AlarmKind.VOID)] == [cene.name]


def test_a_commit_on_a_trust_position_that_never_was_is_void_once_the_relay_has_signed_so(world: World) -> None:
    ana, bor, cene, topic = community(world)
    rogue = Rogue(cene, topic)
    rogue.commit(data=Claim(rogue.claim.log, Position(10_000, bytes(48))).encode())
    cene.disconnect()
    for _ in range(60):  # the relay signs heads once a real second, at times later than the entry
        world.run(1)
        if alarms(ana, AlarmKind.VOID):
            break
        sleep(0.1)
    ana.do(SendText(topic, "on we go", Tlp.GREEN))
    world.run(2)
    assert [each.who for each in alarms(ana, AlarmKind.VOID)] == [cene.name]
    assert "on we go" in words(bor, topic)


def test_a_member_who_is_no_steward_cannot_change_the_policy(world: World) -> None:
    ana, bor, cene, topic = community(world)
    rogue = Rogue(bor, topic)
    policy = world.community("mine-now", stewards=("bor@cert-hr", "cene@cert-si"))
    others = tuple(each for each in rogue.group.context_extensions if each.kind != POLICY)
    rogue.commit(extensions=(*others, policy.extension()))
    bor.disconnect()
    world.run(3)
    assert ana.agent.conversation(topic).policy == cene.agent.conversation(topic).policy
    assert epoch(ana, topic) == 1
    assert [each.who for each in alarms(ana, AlarmKind.VOID)] == [bor.name]


def test_a_steward_cannot_turn_named_officers_into_whole_agencies(world: World) -> None:
    (ana,), (cene,) = world.enrol_all("cert-hr", "ana"), world.enrol_all("cert-si", "cene")
    for each in (ana, cene):
        each.connect()
    world.run()
    topic = ana.do(CreateConversation(world.direct("ana and cene", "ana@cert-hr", "cene@cert-si")))
    world.run(3)
    cene.do(AcceptConversation(topic))
    world.run(3)
    rogue = Rogue(ana, topic)
    everyone = (AgencyScope("cert-hr", ()), AgencyScope("cert-si", ()))
    policy = replace(policy_of(rogue.group.context_extensions), officers=(), agencies=everyone)
    others = tuple(each for each in rogue.group.context_extensions if each.kind != POLICY)
    rogue.commit(extensions=(*others, policy.extension()))
    ana.disconnect()
    world.run(3)
    assert epoch(cene, topic) == 1
    assert [each.who for each in alarms(cene, AlarmKind.VOID)] == [ana.name]


def test_wrong_access_hashes_of_valid_commits_lock_nobody_out_and_are_mended(world: World) -> None:
    ana, bor, cene, topic = community(world)
    rogue = Rogue(cene, topic)
    for number in range(2):
        assert isinstance(rogue.commit(access=bytes(31) + bytes([7 + number])), Appended)
        rogue.go_on()
    cene.disconnect()
    world.run(10)
    # Both were valid, so both count; somebody has committed since, with a hash that holds.
    assert {each.who for each in alarms(ana, AlarmKind.WRONG_ACCESS)} == {cene.name}
    assert epoch(ana, topic) == epoch(bor, topic) == 4
    ana.do(SendText(topic, "still here", Tlp.GREEN))
    world.run(3)
    assert words(bor, topic) == ["still here"]
    bor.restart().connect()
    world.run(3)
    ana.do(SendText(topic, "and again", Tlp.GREEN))
    world.run(3)
    assert words(bor, topic) == ["still here", "and again"]
    assert ana.agent.conversation(topic).standing == bor.agent.conversation(topic).standing == "member"


def test_a_lying_chain_value_raises_an_alarm_and_stops_nothing(world: World) -> None:
    ana, bor, cene, topic = community(world)
    rogue = Rogue(cene, topic)
    payload = Payload.of(bytes(16), 0, Text(Tlp.GREEN, "believe me"))
    rogue.say(payload.encode(), log=Position(rogue.claim.log.sequence, bytes(48)))
    cene.disconnect()
    world.run(2)
    (alarm,) = alarms(ana, AlarmKind.CHAIN_CLAIM)
    assert (alarm.who, alarm.conversation) == (cene.name, topic)
    (shown,) = ana.told(MessageReceived)
    assert shown.marked
    ana.do(SendText(topic, "on we go", Tlp.GREEN))
    world.run(2)
    assert words(bor, topic) == ["believe me", "on we go"]


def test_claims_from_two_agencies_hold_what_we_send_until_a_person_decides(world: World) -> None:
    ana, bor, cene, topic = community(world)
    for number, actor in enumerate((bor, cene)):
        rogue = Rogue(actor, topic)
        payload = Payload.of(bytes(15) + bytes([number + 1]), 0, Text(Tlp.GREEN, "liar"))
        rogue.say(payload.encode(), log=Position(rogue.claim.log.sequence, bytes(48)))
    world.run(2)
    assert ana.told(Held)
    identity = ana.do(SendText(topic, "shall I", Tlp.GREEN))
    world.run(5)
    assert ana.agent.outgoing(identity) == "queued"
    assert ana.agent.at_rest(world.now)  # a person's decision may take days: nobody waits with it
    assert not ana.agent.idle
    ana.do(Resume(topic))
    world.run(2)
    assert ana.agent.outgoing(identity) == "sent"


def test_a_replay_of_our_own_words_is_void_and_freezes_nothing(world: World) -> None:
    ana, bor, cene, topic = community(world)
    ana.do(SendText(topic, "once", Tlp.GREEN))
    world.run()
    run = world.loop.run_until_complete(world.store.read(topic, 0, None, 1 << 20))
    entry = run.entries[-1].entry()
    Rogue(cene, topic).append(entry.body)
    world.run(2)
    assert words(bor, topic) == words(ana, topic) == ["once"]
    assert ana.agent.conversation(topic).standing == "member"
    assert alarms(ana, AlarmKind.VOID)
