"""A committer dies before its acknowledgement: the relay has stored the commit, nobody told it so, and it comes back
in the right epoch.

What it made stands in its vault as pending: bytes, next epoch, Welcomes. No timeout decided what became of it, and no
answer; after the next start it reads the log, finds its own bytes where they close the epoch, adopts them, and lets
the Welcomes out, once.
"""

from __future__ import annotations

from contextlib import AsyncExitStack

from securechan.agent.events import ConversationJoined, EpochChanged, MemberAdded, MessageReceived
from securechan.agent.inputs import CreateConversation, RotateEpochs, SendText
from securechan.bulletin.tlp import Tlp
from tests.support import stage_questions as ask
from tests.support.stage import Stage
from tests.support.stage_cable import Cable, Way
from tests.support.stage_process import Nursery


async def test_a_renewal_that_was_stored_and_never_acknowledged(stage: Stage) -> None:
    async with AsyncExitStack() as exits:
        nursery = await exits.enter_async_context(Nursery(stage))
        line = await exits.enter_async_context(Cable(stage.port))
        ana = await nursery.process("ana", url=line.url).start()
        bor = await exits.enter_async_context(stage.live("bor"))
        await bor.idle()
        await ana.until(ask.idle)
        topic: bytes = await ana.do(CreateConversation(stage.room_policy("operations")))
        epoch = (await ana.until(ask.settled, topic, 2)).epoch
        await bor.until(lambda agent: ask.settled(agent, topic, 2, epoch))

        line.hold(Way.DOWN)
        await ana.do(RotateEpochs(topic))
        await bor.heard(EpochChanged, where=lambda event: event.epoch == epoch + 1)  # so the relay has stored it
        there = await ana.until(ask.pending, topic)
        assert there.epoch == epoch  # as far as ana knows
        await ana.kill()
        await line.cut()
        await bor.say(topic, "did you see that?")

        await ana.start()
        there = await ana.until(ask.settled, topic, 2, epoch + 1)
        assert there.epoch == epoch + 1  # its own, and no second one
        assert there.authenticator == bor.talk(topic).authenticator
        await ana.do(SendText(topic, "see what?", Tlp.GREEN))
        await bor.heard(MessageReceived, 2)
        await ana.until(ask.read, topic, bor.talk(topic).sequence)
        await ana.kill()
        words = [each["body"] for each in ana.archive(topic) if each["event"] == "message-received"]
        assert words == bor.words(topic) == ["did you see that?", "see what?"]
        assert not bor.alarms()
        assert not [each for each in ana.archive(topic) if each["event"] == "alarm"]
    assert not stage.ledger.reused()


async def test_a_commit_that_lets_somebody_in(stage: Stage) -> None:
    """The Welcomes wait with the pending commit: none leaves before it counts, and none is forgotten."""
    async with AsyncExitStack() as exits:
        nursery = await exits.enter_async_context(Nursery(stage))
        line = await exits.enter_async_context(Cable(stage.port))
        ana = await nursery.process("ana", url=line.url).start()
        bor = await exits.enter_async_context(stage.live("bor"))
        await bor.idle()
        await ana.until(ask.stocked)  # or its upload would be what springs the line

        line.spring(8000)  # the commit is longer; all that ana says before it, together, is shorter
        topic: bytes = await ana.do(CreateConversation(stage.room_policy("operations")))
        await line.answered()
        assert (await ana.until(ask.pending, topic)).epoch == 0
        assert not bor.agent.conversations()
        await ana.kill()
        await line.cut()

        await ana.start()
        there = await ana.until(ask.settled, topic, 2)
        (joined,) = await bor.heard(ConversationJoined)
        assert joined.epoch == there.epoch == 1
        await bor.say(topic, "here I am")
        await ana.until(ask.read, topic, bor.talk(topic).sequence)
        await ana.kill()
        shown = ana.archive(topic)
        assert [each["body"] for each in shown if each["event"] == "message-received"] == ["here I am"]
        assert [each["device"] for each in shown if each["event"] == "member-added"] == [bor.device]
        assert len(bor.told(ConversationJoined)) == 1
        assert not bor.told(MemberAdded)
        assert not bor.alarms()
    assert not stage.ledger.reused()
