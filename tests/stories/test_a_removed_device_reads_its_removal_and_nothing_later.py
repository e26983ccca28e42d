"""A removed device reads its removal and nothing later, and appends nothing.

Nobody tells the relay who belongs, and no list is kept there. A member who shows the secret of the epoch after the
removal closes everything before it: the old secrets read up to the commit that put the device out, and that is the
last thing they ever open, however often they are shown.
"""

from __future__ import annotations

import secrets

import pytest

from securechan.agent.events import ConversationLeft, EpochChanged, MemberRemoved, MessageReceived
from securechan.agent.inputs import ChangePolicy, Leave, SendText
from securechan.bulletin.tlp import Tlp
from securechan.errors import Denied
from securechan.mls.outcomes import Removed
from securechan.wire.frames import Append, Code, CommitClaim, Done, EntryKind, Error, GetHeads, Halt, Show, Subscribe
from tests.support.stage import Live, Stage
from tests.support.villain import Villain, garbage_hash

SINCE = ["a word after", "and another"]


async def put_out(stage: Stage, topic: bytes, ana: Live, bor: Live) -> int:
    """ana, a steward, has cert-si belong no more; and they go on among themselves. At which entry they were put out."""
    await ana.do(ChangePolicy(topic, stage.community_policy("cert-hr")))
    await ana.heard(MemberRemoved, 2)
    (entry,) = {each.sequence for each in ana.told(EpochChanged) if each.members == 2 and each.epoch > 1}
    for each, body in zip((bor, ana), SINCE, strict=True):
        await each.say(topic, body)
    await bor.heard(MessageReceived, where=lambda event: event.body == SINCE[-1])
    return entry


async def test_by_its_own_client(stage: Stage) -> None:
    async with stage.all("ana", "bor", "cene", "dora") as (ana, bor, cene, dora):
        topic = await stage.found(ana, (bor, cene, dora))
        await ana.say(topic, "before")
        await cene.heard(MessageReceived)
        await dora.stop()  # one of the two is asleep when it happens
        entry = await put_out(stage, topic, ana, bor)
        await dora.start()
        for each in (cene, dora):
            (left,) = await each.heard(ConversationLeft)
            assert (left.by, left.sequence) == (ana.device, entry)
            assert each.talk(topic).standing == "gone"
            assert each.words(topic) == ["before"]
            with pytest.raises(Denied, match="no member"):
                await each.do(SendText(topic, "let me in", Tlp.GREEN))
            assert not each.alarms()
        assert bor.words(topic) == ["before", *SINCE]


async def test_by_a_client_that_goes_on_asking_with_its_old_secrets(stage: Stage) -> None:
    async with stage.all("ana", "bor", "cene", "dora") as (ana, bor, cene, dora):
        topic = await stage.found(ana, (bor, cene, dora))
        async with Villain.take(dora, topic) as villain:
            await ana.say(topic, "before")
            await villain.until(lambda: villain.texts == ["before"])
            entry = await put_out(stage, topic, ana, bor)
            await villain.until(lambda: villain.cursor.sequence >= entry)
            await turned_away(villain, entry)
            told = list(villain.entries)
        # Again with a fresh session, all that it ever had, and everything from the beginning.
        async with Villain.take(dora, topic) as villain:
            await villain.until(lambda: villain.cursor.sequence >= entry and villain.halt is Halt.END)
            await turned_away(villain, entry)
            assert [each.sequence for each in villain.entries if each.sequence > entry] == []
        assert told[-1].sequence == entry
        assert told[-1].kind is EntryKind.COMMIT
        assert villain.texts == ["before"]
        assert bor.words(topic) == ["before", *SINCE]


async def turned_away(villain: Villain, entry: int) -> None:
    """It reads its removal; everything that it asks for from there on is refused."""
    assert isinstance(villain.group.receive(villain.entries[-1].body), Removed)
    assert villain.entries[-1].sequence == entry
    for secret in villain.secrets:
        assert await villain.ask(Show(villain.topic, secret)) == Done()  # it did belong; that opens nothing more
    forged = await villain.ask(Show(villain.topic, secrets.token_bytes(32)))
    assert isinstance(forged, Error)
    assert forged.code is Code.ACCESS_DENIED
    last = villain.last_commit
    for commit in (None, CommitClaim(last, garbage_hash()), CommitClaim(entry, garbage_hash())):
        refused = await villain.ask(
            Append(villain.topic, secrets.token_bytes(32), villain.sealed(b"let me in"), commit)
        )
        assert isinstance(refused, Error)
        assert refused.code in (Code.STALE, Code.ACCESS_DENIED)
    refused = await villain.ask(GetHeads((villain.topic,)))
    assert isinstance(refused, Error)
    assert refused.code is Code.ACCESS_DENIED
    await villain.ask(Subscribe(villain.topic, entry))
    await villain.ask(Subscribe(villain.topic, 0))
    assert villain.entries[-1].sequence == entry


async def test_who_leaves_is_out(stage: Stage) -> None:
    async with stage.all("ana", "bor", "cene", "dora") as (ana, bor, cene, dora):
        topic = await stage.found(ana, (bor, cene, dora))
        await dora.do(Leave(topic))
        await dora.heard(ConversationLeft)
        await ana.say(topic, "without dora")
        await cene.heard(MessageReceived)
        assert dora.words(topic) == []
        assert dora.talk(topic).standing == "gone"
