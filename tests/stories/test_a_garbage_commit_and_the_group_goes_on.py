"""A garbage commit with a wrong access hash is in the log, and the group goes on, with the culprit named.

The relay can't tell a good commit from a bad one, so it takes what a member appends and believes nothing of it: the
secret that was live stays live. The members can tell, and all alike: what is void they skip, name its signer, and say
again what came too late. What is valid though its hash is wrong they take, and the next honest commit mends the hash.
What is valid for all but one, that one can't follow: it is put out and in again, at its own request.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable

import pytest

from securechan.agent.claims import Claim
from securechan.agent.events import Alarm, AlarmKind, ConversationJoined, Frozen, MessageReceived
from securechan.agent.inputs import CreateConversation, RenameConversation, RotateEpochs
from securechan.agent.policy import POLICY
from securechan.errors import Conflict
from securechan.wire.chain import start
from securechan.wire.frames import TRUST_TOPIC, CommitClaim
from tests.support.stage import COMMUNITY, Live, Stage
from tests.support.villain import Villain, garbage_hash, package

PATIENT = 20.0  # seconds: far more than the second that it takes, on a machine that has other things to do


async def void_bytes(villain: Villain) -> int:
    """Bytes that are no MLS."""
    return await villain.append(b"\x00\x01\x00\x02garbage", CommitClaim(villain.last_commit, garbage_hash()))


async def void_of_mls(villain: Villain) -> int:
    """It decrypts and verifies, but renews nothing by a path."""
    step = villain.made(path=False, adds=(package("cert-si/other", "other@cert-si", int(time.time())),))
    return await villain.offer(step, access=garbage_hash(), counts=False)


async def void_data(villain: Villain) -> int:
    """A commit that says nothing of log and trust."""
    return await villain.offer(villain.made(data=b"not a claim"), access=garbage_hash(), counts=False)


async def void_policy(villain: Villain) -> int:
    """A policy, by one who is no steward."""
    others = tuple(each for each in villain.group.context_extensions if each.kind != POLICY)
    mine = Stage.community_policy(name="mine-now")
    return await villain.offer(villain.made(extensions=(*others, mine.extension())), counts=False)


async def void_stranger(villain: Villain) -> int:
    """It lets in who can't belong."""
    stranger = package("cert-xx/stranger", "stranger@cert-xx", int(time.time()))
    return await villain.offer(villain.made(adds=(stranger,)), counts=False)


async def void_trust(villain: Villain) -> int:
    """Made on trust from before the conversation."""
    data = Claim(villain.claim.log, start(TRUST_TOPIC)).encode()
    return await villain.offer(villain.made(data=data), counts=False)


async def void_place(villain: Villain) -> int:
    """A good commit in the place of a payload, so that the relay counts it not."""
    return await villain.append(villain.made().commit)


async def goes_on(everyone: list[Live], topic: bytes, body: str) -> float:
    """The first of them says something and commits; all hear it and are in one epoch. How long that took, in s."""
    first, *others = everyone
    began = time.monotonic()
    await first.say(topic, body)
    for each in others:
        await each.heard(MessageReceived, where=lambda event: event.body == body)
    took = time.monotonic() - began
    before = first.talk(topic).epoch
    await first.do(RotateEpochs(topic))
    await Stage.agree(topic, everyone, epoch=before + 1)
    return took


def named(alarm: Alarm, sequence: int) -> bool:
    return alarm.kind is AlarmKind.VOID and alarm.entry == sequence


async def test_what_counts_for_nobody_stops_nobody(stage: Stage, capsys: pytest.CaptureFixture[str]) -> None:
    evils: list[tuple[Callable[[Villain], Awaitable[int]], bool]] = [
        (void_bytes, False),  # nobody has signed it, so nobody is named
        (void_of_mls, True),
        (void_data, True),
        (void_policy, True),
        (void_stranger, True),
        (void_trust, True),
        (void_place, True),
    ]
    async with stage.all("ana", "bor", "cene", "dora") as (ana, bor, cene, dora):
        topic = await stage.found(ana, (bor, cene, dora))
        honest = [ana, bor, cene]
        async with Villain.take(dora, topic) as villain:
            for evil, signed in evils:
                sequence = await evil(villain)
                took = await goes_on(honest, topic, f"after {evil.__name__}")
                assert took < PATIENT
                with capsys.disabled():
                    print(f"\n{evil.__doc__} heard of the next message after {took:.3f} s", end="")
                for each in honest:
                    (alarm,) = [told for told in each.alarms() if named(told, sequence)]
                    assert alarm.who == (villain.device if signed else "")
                    assert alarm.conversation == topic
                await villain.until(lambda: villain.epoch == ana.talk(topic).epoch)
        assert not [each for each in honest if each.told(Frozen)]
        assert ana.words(topic) == bor.words(topic) == cene.words(topic) == [f"after {e.__name__}" for e, _ in evils]


async def test_a_valid_commit_with_a_wrong_hash_is_taken_and_mended(stage: Stage) -> None:
    async with stage.all("ana", "bor", "cene", "dora") as (ana, bor, cene, dora):
        topic = await stage.found(ana, (bor, cene, dora))
        honest = [ana, bor, cene]
        before = ana.talk(topic).epoch
        async with Villain.take(dora, topic) as villain:
            sequence = await villain.offer(villain.made(), access=garbage_hash())
            for each in honest:
                await each.heard(Alarm, where=lambda event: event.kind is AlarmKind.WRONG_ACCESS)
                assert each.talk(topic).epoch > before
            await goes_on(honest, topic, "still here")
        for each in honest:
            assert {alarm.who for alarm in each.alarms() if alarm.entry == sequence} == {villain.device}
            assert not each.told(Frozen)


async def test_wrong_hashes_one_upon_the_other_lock_nobody_out(stage: Stage) -> None:
    """Two epochs in a row that the relay knows no secret of: what opened the log before still opens it."""
    async with stage.all("ana", "bor", "cene", "dora") as (ana, bor, cene, dora):
        topic = await stage.found(ana, (bor, cene, dora))
        await bor.stop()
        honest = [ana, cene]
        async with Villain.take(dora, topic) as villain:
            for number in range(3):
                at = villain.epoch
                await villain.offer(villain.made(), access=bytes([number]) * 32)
                await villain.until(lambda least=at: villain.epoch > least)
            await goes_on(honest, topic, "still here")
            await bor.start()
            await goes_on([ana, bor, cene], topic, "and who slept, too")
            await cene.stop()
            await cene.start()
            await goes_on([cene, ana, bor], topic, "and who begins anew")


async def test_who_alone_cannot_follow_is_let_in_again(stage: Stage) -> None:
    async with stage.all("ana", "bor", "cene", "dora") as (ana, bor, cene, dora):
        topic = await stage.found(ana, (bor, cene, dora))
        (leaf,) = [seat.leaf for seat in ana.talk(topic).members if seat.device == dora.device]
        assert leaf == 3  # so cene, at leaf 2, is alone beside it: the lowest secret of the path is for cene
        async with Villain.take(dora, topic) as villain:
            sequence = await villain.offer(villain.made(bent={0}))
            (alarm,) = await cene.heard(Alarm, where=lambda event: event.kind is AlarmKind.CANNOT_FOLLOW)
            assert (alarm.who, alarm.entry) == (villain.device, sequence)
            await stage.agree(topic, [ana, bor, cene], epoch=villain.epoch)
            await goes_on([cene, ana, bor], topic, "here again")
        assert not ana.told(Frozen)
        assert not bor.told(Frozen)


async def test_who_shuts_everybody_out_ends_one_group_and_not_the_conversation(stage: Stage) -> None:
    """A path that nobody can open leaves its maker alone in the next epoch. All are told who it was; a steward founds
    the community anew, and the name goes with it."""
    async with stage.all("ana", "bor", "cene", "dora") as (ana, bor, cene, dora):
        topic = await stage.found(ana, (bor, cene, dora))
        honest = [ana, bor, cene]
        async with Villain.take(dora, topic) as villain:
            sequence = await villain.offer(villain.made(bent={0, 1, 2}))
            for each in honest:
                (alarm,) = await each.heard(Alarm, where=lambda event: event.kind is AlarmKind.CANNOT_FOLLOW)
                assert (alarm.who, alarm.entry) == (villain.device, sequence)
                await each.heard(Frozen)
        with pytest.raises(Conflict):  # mostly a conversation that is stuck is let in again within moments …
            await ana.do(CreateConversation(stage.community_policy()))
        await ana.do(RenameConversation(topic, "what dora broke"))  # … but this time a person has seen enough
        anew: bytes = await ana.do(CreateConversation(stage.community_policy()))
        for each in (bor, cene):
            await each.heard(ConversationJoined, where=lambda event: event.conversation == anew)
        await ana.say(anew, "here we are")
        for each in (bor, cene):
            await each.heard(MessageReceived)
        for each in honest:
            assert [row.topic for row in each.agent.conversations() if row.name == COMMUNITY] == [anew]
        assert {each.talk(topic).name for each in (bor, cene)} == {f"{COMMUNITY}~{topic.hex()[:8]}"}
