"""The relay ends before what we have read of it: it has forgotten entries that it acknowledged, or hides them.

That is what a relay looks like whose operator put an old backup back. It is no accident that may be passed over: what
others say next would take the place of what we have, and two members would hold two histories. So it is said at once,
and nothing is sent there until a person decides:

    trust         nothing can be judged: this session stays where it is; all there is to do is to tell
    conversation  held, as for a fork; read again when the relay has found its memory
    inbox         letters stand for themselves, each signed and used once: we say so, and read on from where it ends
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from securechan.agent import inbox
from securechan.agent.events import AlarmKind, Held
from securechan.agent.state import CONVERSATIONS, Hold
from securechan.agent.turn import Turn
from securechan.wire.frames import TRUST_TOPIC, inbox_topic

AGAIN: Final = 60  # seconds until it is looked whether the relay has found its memory


def told(turn: Turn, topic: bytes, end: int) -> None:
    """The relay says that ``topic`` ends at entry ``end``, and we have read further."""
    relay = turn.me.relay
    if topic == TRUST_TOPIC:
        turn.alarm(
            AlarmKind.FORK,
            f"the trust log of {relay} ends at entry {end}, and {turn.trust_position.sequence} was read: it has "
            "forgotten publications; nothing is sent or admitted until its operator has put them back",
            who=relay,
            entry=end,
        )
    elif topic == inbox_topic(turn.me.device):
        turn.alarm(AlarmKind.FORK, f"{relay} has forgotten letters to this device after number {end}", who=relay)
        inbox.restart(turn, end)
    else:
        _hold(turn, topic, end, relay)


def _hold(turn: Turn, topic: bytes, end: int, relay: str) -> None:
    conversation = turn.rows.get(CONVERSATIONS, topic.hex())
    if conversation is None:
        return
    if conversation.hold is not Hold.FORK:
        text = f"{relay} ends at entry {end}, and {conversation.cursor.sequence} was read: it has forgotten entries"
        turn.alarm(AlarmKind.FORK, text, topic=topic, who=relay, entry=end)
        turn.emit(Held(topic, f"{relay} has forgotten what it acknowledged"))
        turn.put(replace(conversation, hold=Hold.FORK))
    turn.set_live(topic, following=True)  # not before the wait is over
    turn.set_session(refollow={**turn.session.refollow, topic: turn.now + AGAIN})
    turn.wake(turn.now + AGAIN)
