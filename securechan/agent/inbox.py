"""Our own inbox: letters, read in order, once each, and forgotten at the relay when they are done with.

A letter is read only when our trust reaches the position that its writer had: a device that was admitted a moment ago
may write before we have heard of it. Then the inbox waits, right there.

A writer that died before the relay's answer offers its letter again, byte for byte, and we may have read and trimmed it
meanwhile, so that the relay takes it for a new one. It is known by its hash, and passed over.
"""

from __future__ import annotations

import hashlib
from dataclasses import replace
from typing import Final, assert_never

from securechan.agent import consents, joining, letters, receipts, recovery
from securechan.agent.asks import Following, Trimming
from securechan.agent.events import OpaqueReceived
from securechan.agent.letters import (
    AskConsentLetter,
    ConsentLetter,
    Letter,
    OpaqueLetter,
    ReaddLetter,
    ReceiptsLetter,
    WelcomeLetter,
)
from securechan.agent.state import INBOX, LETTERS_KEPT, ONLY, InboxState
from securechan.agent.turn import Turn
from securechan.errors import NotFound
from securechan.trust.records import DeviceRecord
from securechan.wire.frames import Entries, Entry, Halt, Subscribe, Trim, inbox_topic

MOST_WAITING: Final = 512  # letters that wait for trust
PATIENCE: Final = 30  # seconds that a letter waits for the trust position that it names


def start(turn: Turn) -> None:
    """Trust is read to its head: have the inbox."""
    topic = inbox_topic(turn.me.device)
    turn.send(Subscribe(topic, _state(turn).cursor), Following(topic))


def restart(turn: Turn, end: int) -> None:
    """The relay's memory ends at ``end``: read on from there. What comes once more is known by its digest."""
    turn.rows.put(INBOX, ONLY, replace(_state(turn), cursor=end))
    turn.set_session(trimmed=min(turn.session.trimmed, end))
    start(turn)


def _state(turn: Turn) -> InboxState:
    return turn.rows.get(INBOX, ONLY) or InboxState(0, ())


def on_entries(turn: Turn, frame: Entries) -> None:
    """A run of letters."""
    waiting = (*turn.session.letters, *frame.entries)
    if len(waiting) > MOST_WAITING:
        # Nothing is lost: they stay at the relay until they are trimmed, and come again with the next session.
        waiting = waiting[:MOST_WAITING]
        turn.reconnect("more letters wait for trust than can be kept")
    turn.set_session(letters=waiting)
    if frame.halt is Halt.TAIL:
        turn.set_session(inbox_synced=True)
    go_on(turn)


def go_on(turn: Turn) -> None:
    """Read the letters that can be read now."""
    while turn.session.letters:
        entry = turn.session.letters[0]
        if entry.sequence > _state(turn).cursor:
            letter = letters.unsealed(turn, entry.body)
            if letter is not None and not _trust_read(turn, entry, letter.letter):
                return
            state, digest = _state(turn), hashlib.sha256(entry.body).digest()
            done = (*state.done, digest)[-LETTERS_KEPT:]
            turn.rows.put(INBOX, ONLY, InboxState(entry.sequence, done))
            if letter is not None and digest not in state.done:
                letters.opened(turn, letter, lambda letter, record: _use(turn, letter, record))
        turn.set_session(letters=turn.session.letters[1:])
    read = _state(turn).cursor
    if read > turn.session.trimmed:
        turn.send(Trim(inbox_topic(turn.me.device), read), Trimming(read))


def _trust_read(turn: Turn, entry: Entry, letter: Letter) -> bool:
    """Whether the letter can be judged. One from a position that we haven't reached waits while it is young: trust log
    and inbox may be a moment apart, and a liar must not stop us."""
    young = entry.time // 1000 + PATIENCE > turn.now + turn.session.offset
    if letter.trust.sequence <= turn.trust_position.sequence or not young:
        return True
    turn.wake(turn.now + 2)
    return False


def _use(turn: Turn, letter: Letter, record: DeviceRecord) -> None:
    body = letter.body
    match body:
        case WelcomeLetter():
            try:
                joining.invited(turn, body, record)
            except NotFound:
                recovery.uninvited(turn, body.topic, record)
                raise
        case ReceiptsLetter(batch):
            receipts.came(turn, batch[: letters.MOST_RECEIPTS], record)
        case ReaddLetter():
            recovery.asked_to_readd(turn, body, record, letter.time)
        case AskConsentLetter():
            consents.asked(turn, body, record)
        case ConsentLetter():
            consents.answered(turn, body, record)
        case OpaqueLetter(kind, content):
            turn.emit(OpaqueReceived(record.name, record.address, kind, content))
        case _:
            assert_never(body)


def trimmed(turn: Turn, upto: int) -> None:
    """The relay has forgotten what we have read."""
    turn.set_session(trimmed=max(turn.session.trimmed, upto))
