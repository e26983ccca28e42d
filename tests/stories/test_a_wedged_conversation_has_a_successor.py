"""A conversation is wedged for all its members, and goes on under its name in another group.

Every client of eu-csirts is frozen, as after a commit that only colluders can follow, and nobody is left who could add
anybody again. A steward of cert-si founds the successor: the others join it unasked, because the policy of the group
that they still hold names that steward, and the talk goes on where people look for it. Before that somebody who is no
steward has tried the same with a bent client; nobody followed.
"""

from __future__ import annotations

from typing import Any

import pytest

from clients.clock import SystemClock
from clients.operations import conversation
from clients.operations.engine import Work
from clients.vault import Vault
from securechan.agent import recovery
from securechan.agent.agent import Agent
from securechan.agent.events import Alarm, ConversationJoined, ConversationOffered, ConversationSucceeded
from securechan.agent.inputs import SucceedConversation
from securechan.agent.state import TABLES
from securechan.agent.turn import Turn
from securechan.errors import Denied
from tests.support.stage import COMMUNITY, PASSPHRASE, Live, Stage

CAST = ("ana", "bor", "cene", "dora")


def work(live: Live) -> Work:
    async def nowhere(_: Any) -> None:
        """Nothing here is a stream."""

    return Work(live.runtime, live.profile, SystemClock(), nowhere)


def wedge(live: Live, topic: bytes) -> None:
    """What a commit that can't be followed does to a client, done to its vault while it isn't running; that nobody can
    add anybody again follows from its being done to all."""
    with Vault.open(live.profile.vault, PASSPHRASE) as vault:
        agent = Agent.load({table: vault.all(table) for table in TABLES})
        turn = Turn(agent.rows, agent.session, agent.random, int(SystemClock().time()))
        recovery.freeze(turn, topic, "a commit that we can't follow")
        _, writes = turn.rows.seal()
        vault.adopt((*writes, *turn.archive))


async def test_the_talk_goes_on_under_its_name(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    lives = {name: stage.live(name) for name in CAST}
    ana, bor, cene, dora = lives.values()
    try:
        for each in lives.values():
            await each.start()
        old = await stage.found(ana, [bor, cene, dora])
        await ana.say(old, "before")
        for each in lives.values():
            await each.until(lambda agent: agent.idle)
            await each.stop()
            wedge(each, old)
            await each.start()

        with pytest.raises(Denied) as denied:
            await conversation.succeed(work(bor), {"conversation": COMMUNITY, "reason": "follow me"})
        assert denied.value.code == "role-denied"
        with monkeypatch.context() as bent:
            bent.setattr("securechan.agent.succession._may_found", lambda *_: None)
            fake = await bor.do(SucceedConversation(old, "follow me"))
            for each in (ana, cene, dora):
                await each.heard(Alarm, where=lambda alarm: "no steward of it" in alarm.text)
        assert all(talk.topic != fake for each in (ana, cene, dora) for talk in each.agent.conversations())

        told = await conversation.succeed(
            work(cene),
            {"conversation": COMMUNITY, "reason": "nobody can follow any more", "without": ["cert-hr/bor-laptop"]},
        )
        new = bytes.fromhex(told["id"])
        assert (told["name"], told["succeeds"]) == (COMMUNITY, old.hex())
        for each in (ana, dora):
            (moved,) = await each.heard(ConversationSucceeded)
            assert (moved.conversation, moved.succeeds, moved.by) == (new, old, cene.device)
            assert (moved.reason, moved.without) == ("nobody can follow any more", (bor.device,))
            await each.heard(ConversationJoined, where=lambda joined: joined.conversation == new)
            assert not each.told(ConversationOffered)
        await stage.agree(new, [ana, cene, dora])
        await dora.say(new, "after")
        await ana.until(lambda _: ana.words(new) == ["after"])
        assert [each.talk(new).name for each in (ana, cene, dora)] == [COMMUNITY] * 3
        assert ana.words(old) == ["before"]  # what was said stays readable
        claims = [
            alarm for each in (ana, cene, dora) for alarm in each.told(Alarm) if "claims to succeed" in alarm.text
        ]
        assert {alarm.who for alarm in claims} == {bor.device}
    finally:
        for each in lives.values():
            await each.stop()
