"""A stale roster can't re-add a revoked key, whoever brings it: the relay, a holder of keys, a member.

Rosters have versions, publications a place in the one trust log, and a tombstone is for good. An old roster is refused
at the door; smuggled into the log, it is skipped by everybody alike; told in a conversation, it says nothing new. And
a member who commits as if it were yesterday is refused: a commit never rests on trust older than the one before.
"""

from __future__ import annotations

import sqlite3
import time
from contextlib import closing

import pytest

from relay.keys import DATABASE
from securechan.agent.claims import Claim
from securechan.agent.events import Alarm, AlarmKind, MemberRemoved, MessageReceived
from securechan.agent.state import TRUST_LOG
from securechan.errors import SecurechanError
from securechan.trust.bundle import Bundle
from securechan.wire.chain import Position, advance
from securechan.wire.frames import TRUST_TOPIC, Entry
from tests.support.stage import Live, Stage
from tests.support.villain import Villain, notice, package
from tests.support.villain_office import Office

GONE = "cert-si/dora-laptop"


async def revoke(stage: Stage, *honest: Live) -> tuple[str, bytes]:
    """dora's device is revoked, and out of everybody's tree. The roster before."""
    stale = next(pair for pair in Bundle.decode(stage.founding.bundle).documents if pair[0] == "cert-si-roster")
    async with Office.open(stage, "cert-si") as office:
        await office.publish(revoke={"dora-laptop": "lost"})
    for each in honest:
        await each.heard(MemberRemoved, where=lambda event: event.device == GONE)
    return stale


def buried(live: Live) -> bool:
    """Whether the device is gone, for its trust and its trees."""
    trees = [seat.device for each in live.agent.conversations() for seat in each.members]
    return live.agent.view.find(GONE) is None and GONE not in trees


async def test_by_publication(stage: Stage) -> None:
    """Who holds the roster's keys, and the operator of the relay."""
    async with stage.all("ana", "bor", "cene", "dora") as (ana, bor, cene, dora):
        topic = await stage.found(ana, (bor, cene, dora))
        stale = await revoke(stage, ana, bor, cene)
        async with Office.open(stage, "cert-si") as office:
            with pytest.raises(SecurechanError) as refused:
                await office.replay((stale,))
            assert "roll" in str(refused.value) or "version" in str(refused.value)
        assert stage.relay.stop() == 0
        repeat_first_publication(stage)
        stage.relay.start()
        for each in (ana, bor, cene):
            alarm, *_ = await each.heard(Alarm, where=lambda event: event.kind is AlarmKind.TRUST_REFUSED)
            assert alarm.entry == each.agent.trust_position.sequence
        await ana.say(topic, "without dora")
        await cene.heard(MessageReceived)
        assert all(buried(each) for each in (ana, bor, cene))


def repeat_first_publication(stage: Stage) -> None:
    """The operator writes into the store: the federation as it was at first, once more, at the end."""
    with closing(sqlite3.connect(stage.relay.home / DATABASE)) as database:
        number, last, chain = database.execute(
            "select number, last, chain from topic where topic = ?", (TRUST_TOPIC,)
        ).fetchone()
        (wire,) = database.execute(
            "select wire from entry where key > ? order by key limit 1", (number << 40,)
        ).fetchone()
        first = Entry.decode(wire)
        again = Entry(last + 1, first.kind, bytes(31) + b"\x01", first.time, first.body, None)
        position = advance(Position(last, chain), again.kind, again.entry_id, again.sequence, again.body)
        row = (number << 40 | again.sequence, again.entry_id, position.chain, again.encode())
        database.execute("insert into entry (key, entry_id, chain, wire) values (?, ?, ?, ?)", row)
        database.execute(
            "update topic set last = ?, chain = ?, count = count + 1 where topic = ?",
            (position.sequence, position.chain, TRUST_TOPIC),
        )
        database.commit()


async def test_by_a_member(stage: Stage) -> None:
    """With a commit as of yesterday, with one as of today, and with the old roster in the conversation."""
    async with stage.all("ana", "bor", "cene", "dora") as (ana, bor, cene, dora):
        topic = await stage.found(ana, (bor, cene, dora))
        before = ana.agent.trust_position
        role, content = await revoke(stage, ana, bor, cene)
        honest = (ana, bor)
        ours = package(GONE, "dora@cert-si", int(time.time()), bytes(stage.founding.devices["dora"].key.private))
        await cene.idle()
        async with Villain.take(cene, topic) as villain:
            assert villain.agent.rows.get(TRUST_LOG, f"{before.sequence:016d}") == before.chain
            yesterday = Claim(villain.claim.log, before).encode()
            sequence = await villain.offer(villain.made(adds=(ours,), data=yesterday), counts=False)
            for each in honest:
                (alarm,) = await each.heard(Alarm, where=lambda event: event.kind is AlarmKind.VOID)
                assert (alarm.who, alarm.entry) == (villain.device, sequence)
                assert buried(each)

            await villain.offer(villain.made(adds=(ours,)))
            for each in honest:
                (alarm,) = await each.heard(Alarm, where=lambda event: event.kind is AlarmKind.QUARANTINE)
                assert alarm.who == GONE
                await each.heard(MemberRemoved, 2, where=lambda event: event.device == GONE)

            await villain.say(notice(role, content))
            await villain.say("that was the old roster")
            for each in honest:
                await each.heard(MessageReceived)
                assert buried(each)
            await ana.say(topic, "without dora")
            await bor.heard(MessageReceived, 2)
