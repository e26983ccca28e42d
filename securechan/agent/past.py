"""What a conversation remembers of its log: the chain values of the newest entries, and which payloads were read.

Both are looked at for every entry and both are long, so they lie in two places: the newest few in the conversation's
own row, which every entry rewrites, and what is older in a row of its own, which is rewritten once in a while.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import replace
from typing import Final

from securechan.agent.state import HISTORY, PASTS, SEEN, Conversation, Past
from securechan.agent.tables import Draft, Rows
from securechan.wire.chain import Position

RECENT: Final = 32  # entries, and marks, that the conversation's own row has at most; half of them at least
_MARK: Final = 16  # bytes
_POSITION: Final = 8 + 48  # bytes


def advanced(rows: Draft, conversation: Conversation, position: Position) -> Conversation:
    """The conversation with one more entry read. What is too long for its row is moved."""
    history = conversation.history + position.encode()
    if len(history) > RECENT * _POSITION:
        past, half = _past(rows, conversation), RECENT // 2 * _POSITION
        older, history = history[:half], history[half:]
        rows.put(PASTS, conversation.topic.hex(), replace(past, history=(past.history + older)[-HISTORY * _POSITION :]))
    return replace(conversation, cursor=position, history=history)


def chains(rows: Draft, conversation: Conversation) -> Mapping[int, bytes]:
    """Chain values by sequence, the oldest first, as far back as is remembered."""
    known = _past(rows, conversation).history + conversation.history
    chains = {
        int.from_bytes(known[at : at + 8], "big"): known[at + 8 : at + _POSITION]
        for at in range(0, len(known), _POSITION)
    }
    chains[conversation.cursor.sequence] = conversation.cursor.chain
    return chains


def begun(position: Position) -> bytes:
    """`Conversation.history` where nothing but this position is known."""
    return position.encode()


def read_on(conversation: Conversation) -> bool:
    """Whether anything of the log was read since it was begun."""
    return len(conversation.history) > _POSITION


def forget_chains(rows: Draft, topic: bytes) -> None:
    """The log is read from somewhere else: between there and here we know nothing."""
    past = rows.get(PASTS, topic.hex())
    if past is not None:
        rows.put(PASTS, topic.hex(), replace(past, history=b""))


def mark(device: str, identity: bytes) -> bytes:
    """What is kept of a payload that was read (16 bytes). An id is its sender's own: nobody can use up another's."""
    return hashlib.sha256(device.encode() + b"\0" + identity).digest()[:_MARK]


def seen(rows: Draft | Rows, conversation: Conversation, device: str, identity: bytes) -> bool:
    """Whether this payload of this device was read before."""
    wanted = mark(device, identity)
    return _holds(conversation.seen, wanted) or _holds(_past(rows, conversation).seen, wanted)


def remembered(rows: Draft, conversation: Conversation, device: str, identity: bytes) -> Conversation:
    """The conversation with one more payload read."""
    marks = conversation.seen + mark(device, identity)
    if len(marks) > RECENT * _MARK:
        past, half = _past(rows, conversation), RECENT // 2 * _MARK
        older, marks = marks[:half], marks[half:]
        rows.put(PASTS, conversation.topic.hex(), replace(past, seen=(past.seen + older)[-SEEN * _MARK :]))
    return replace(conversation, seen=marks)


def _past(rows: Draft | Rows, conversation: Conversation) -> Past:
    return rows.get(PASTS, conversation.topic.hex()) or Past(b"", b"")


def _holds(marks: bytes, wanted: bytes) -> bool:
    at = marks.find(wanted)
    while at >= 0 and at % _MARK:
        at = marks.find(wanted, at + 1)
    return at >= 0
