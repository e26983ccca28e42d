"""A lying chain value raises an alarm and stops nothing; a lying relay is found at the next honest message.

What a sender says of the log is a claim by its sender: who lies is named with the entry, and the conversation goes on.
Members of two agencies that claim another history are not waved through: nothing is sent until a person has decided.
And a relay that really shows another history than it showed before can't hide it: honest messages carry what their
senders read, and its own signature is under both.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace

import pytest

from relay.keys import DATABASE
from securechan.agent.claims import Claim
from securechan.agent.events import Alarm, AlarmKind, Held, MessageReceived
from securechan.agent.inputs import Resume, RotateEpochs, SendText
from securechan.bulletin.tlp import Tlp
from securechan.wire.chain import Position, advance, start
from securechan.wire.frames import Entry
from tests.support.stage import RELAY, Stage
from tests.support.villain import Villain


def lie(villain: Villain) -> bytes:
    """That the last entry read had other bytes."""
    honest = villain.claim
    return Claim(Position(honest.log.sequence, bytes(48)), honest.trust).encode()


def of_kind(kind: AlarmKind) -> Callable[[Alarm], bool]:
    return lambda event: event.kind is kind


async def test_one_liar_is_named_and_nobody_waits(stage: Stage) -> None:
    async with stage.all("ana", "bor", "cene", "dora") as (ana, bor, cene, dora):
        topic = await stage.found(ana, (bor, cene, dora))
        honest = (ana, bor, cene)
        async with Villain.take(dora, topic) as villain:
            lies = [
                await villain.say("another byte", data=lie(villain)),
                await villain.say(
                    "of the future", data=Claim(Position(10_000, bytes(48)), villain.claim.trust).encode()
                ),
                await villain.say("no claim at all", data=b"\x00"),
                await villain.offer(villain.made(data=lie(villain))),  # a commit that lies is applied all the same
            ]
            for each in honest:
                alarms = await each.heard(Alarm, len(lies))
                assert [alarm.entry for alarm in alarms] == lies
                assert {(alarm.kind, alarm.who, alarm.conversation) for alarm in alarms} == {
                    (AlarmKind.CHAIN_CLAIM, villain.device, topic)
                }
                assert all(event.marked for event in each.told(MessageReceived))
            await ana.say(topic, "on we go")
            await bor.do(RotateEpochs(topic))
            await cene.heard(MessageReceived, 4)
            await stage.agree(topic, honest, epoch=villain.epoch + 1)
        for each in honest:
            assert not each.told(Held)
            (last,) = [event for event in each.told(MessageReceived) if event.body == "on we go"]
            assert not last.marked


async def test_liars_of_two_agencies_hold_what_is_sent_until_a_person_decides(stage: Stage) -> None:
    async with stage.all("ana", "bor", "cene", "dora") as (ana, bor, cene, dora):
        topic = await stage.found(ana, (bor, cene, dora))
        async with Villain.take(bor, topic) as hers, Villain.take(dora, topic) as theirs:
            await hers.say("a lie", data=lie(hers))
            await theirs.until(lambda: theirs.texts == ["a lie"])
            await theirs.say("a lie", data=lie(theirs))
            for each in (ana, cene):
                await each.heard(Held)
            identity = await ana.do(SendText(topic, "shall I?", Tlp.GREEN))
            await cene.do(Resume(topic))
            await cene.say(topic, "I do")
            await ana.heard(MessageReceived, where=lambda event: event.body == "I do")  # reading never stops
            assert ana.agent.outgoing(identity) == "queued"
            await ana.do(Resume(topic))
            await ana.until(lambda agent: agent.outgoing(identity) == "sent")
            await cene.heard(MessageReceived, where=lambda event: event.body == "shall I?")


# ------------------------------------------------------------------------------------------------------ a lying relay


def altered(entries: list[Entry]) -> list[Entry]:
    """One byte of what bor said."""
    middle = entries[-2]
    return [*entries[:-2], replace(middle, body=middle.body[:-1] + bytes([middle.body[-1] ^ 1])), entries[-1]]


def dropped(entries: list[Entry]) -> list[Entry]:
    """What bor said is gone."""
    return [*entries[:-2], entries[-1]]


def reordered(entries: list[Entry]) -> list[Entry]:
    """What bor said comes before what ana said."""
    one, two = entries[-3:-1]
    return [
        *entries[:-3],
        replace(two, sequence=one.sequence),
        replace(one, sequence=two.sequence),
        entries[-1],
    ]


def rewrite(stage: Stage, topic: bytes, tamper: Callable[[list[Entry]], list[Entry]]) -> None:
    """The operator changes what the relay has stored, while it is down, and makes everything fit but the past."""
    path = stage.relay.home / DATABASE
    with closing(sqlite3.connect(path)) as database:
        number, last = database.execute("select number, last from topic where topic = ?", (topic,)).fetchone()
        span = (number << 40, number << 40 | last)
        rows = database.execute("select wire from entry where key between ? and ? order by key", span).fetchall()
        database.execute("delete from entry where key between ? and ?", span)
        position = start(topic)
        for entry in tamper([Entry.decode(wire) for (wire,) in rows]):
            position = advance(position, entry.kind, entry.entry_id, entry.sequence, entry.body)
            row = (number << 40 | entry.sequence, entry.entry_id, position.chain, entry.encode())
            database.execute("insert into entry (key, entry_id, chain, wire) values (?, ?, ?, ?)", row)
        changed = database.execute(
            "update topic set chain = ? where topic = ? and last = ?", (position.chain, topic, position.sequence)
        )
        assert changed.rowcount == 1
        database.commit()


@pytest.mark.parametrize("tamper", [altered, dropped, reordered])
async def test_a_relay_that_shows_another_history_is_convicted_by_its_own_signature(
    stage: Stage, tamper: Callable[[list[Entry]], list[Entry]]
) -> None:
    async with stage.all("ana", "bor", "cene") as (ana, bor, cene):
        topic = await stage.found(ana, (bor, cene))
        await cene.stop()
        await ana.say(topic, "one")
        await bor.say(topic, "two")
        await ana.say(topic, "three")
        await bor.heard(MessageReceived, 3)
        await bor.stop()
        assert stage.relay.stop() == 0
        rewrite(stage, topic, tamper)
        await ana.do(SendText(topic, "an honest message", Tlp.GREEN))  # it waits for the relay to come back
        stage.relay.start()
        await cene.start()
        claim, *_ = await cene.heard(Alarm, where=of_kind(AlarmKind.CHAIN_CLAIM))
        assert claim.who in ("cert-hr/ana-laptop", "cert-hr/bor-laptop")  # whose next words show it first
        (shown,) = await cene.heard(MessageReceived, where=lambda event: event.body == "an honest message")
        assert shown.marked
        # To ana the relay has signed, in earlier days and now, what can't both be so.
        (fork,) = await ana.heard(Alarm, where=of_kind(AlarmKind.FORK))
        assert (fork.who, fork.conversation) == (RELAY, topic)
        await ana.heard(Held)
        identity = await ana.do(SendText(topic, "into which history?", Tlp.GREEN))
        await ana.until(lambda agent: agent.synced)
        assert ana.agent.outgoing(identity) == "queued"
        await ana.do(Resume(topic))  # a person has decided
        await ana.until(lambda agent: agent.outgoing(identity) == "sent")
