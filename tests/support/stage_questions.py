"""What stories ask of an agent in another process: functions that travel by their name."""

from __future__ import annotations

from securechan.agent.agent import Agent
from securechan.agent.look import BulletinSummary, ConversationSummary
from securechan.agent.packages import BATCH
from securechan.agent.state import PACKAGES


def idle(agent: Agent) -> bool:
    """Everything is read, and everything of ours is in the log."""
    return agent.idle


def stocked(agent: Agent) -> bool:
    """As idle, and the relay has the first batch of our key packages."""
    there = agent.rows.all(PACKAGES).values()
    return agent.idle and len(there) > BATCH and all(each.stored for each in there)


def sent(agent: Agent, payload: bytes) -> bool:
    """That payload of ours stands in the log."""
    return agent.outgoing(payload) == "sent"


def talk(agent: Agent, topic: bytes) -> ConversationSummary | None:
    """The conversation, once it is known."""
    return next((each for each in agent.conversations() if each.topic == topic), None)


def member(agent: Agent, topic: bytes) -> ConversationSummary | None:
    """The conversation, once we are a member of it."""
    found = talk(agent, topic)
    return found if found is not None and found.standing == "member" else None


def talks(agent: Agent) -> tuple[tuple[ConversationSummary, ...]]:
    """All conversations, at once."""
    return (agent.conversations(),)


def settled(agent: Agent, topic: bytes, members: int, epoch: int = 0) -> ConversationSummary | None:
    """The conversation, once it has so many members, is in that epoch or a later one, and nothing is under way."""
    found = talk(agent, topic)
    if found is None or not agent.idle or found.epoch < epoch or len(found.members) < members:
        return None
    return found


def read(agent: Agent, topic: bytes, sequence: int) -> bool:
    """The log is read up to there, blobs included."""
    found = talk(agent, topic)
    return found is not None and found.sequence >= sequence and agent.idle


def pending(agent: Agent, topic: bytes) -> ConversationSummary | None:
    """The conversation, while a commit of ours is on its way."""
    found = talk(agent, topic)
    return found if found is not None and found.pending else None


def bulletins(agent: Agent, topic: bytes, count: int) -> tuple[BulletinSummary, ...]:
    """The bulletins of a conversation, once there are so many."""
    found = tuple(each for each in agent.bulletins() if each.conversation == topic)
    return found if len(found) >= count else ()
