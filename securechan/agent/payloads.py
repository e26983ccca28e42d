"""What a payload does to us once its entry is read: shown once, taken into account, or passed on to the bulletins.

Ours take the same way as others', when they come back from the log: what is on a screen is what stands in the log.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final, assert_never

from securechan.agent import bulletins, forwards, past, receipts, rosters, sending
from securechan.agent.events import (
    AlarmKind,
    DeviceAnnounced,
    DeviceConfirmed,
    MessageReceived,
)
from securechan.agent.membership import admitted
from securechan.agent.policy import Seat, agency_of
from securechan.agent.state import ATTACHMENTS, AttachmentRow, Confirmed
from securechan.agent.turn import Turn
from securechan.bulletin.bulletin import ReceiptKind
from securechan.bulletin.payload import (
    Announcement,
    Attachment,
    Bulletin,
    BulletinByReference,
    Control,
    DeviceConfirmation,
    Forward,
    Heartbeat,
    Leave,
    Payload,
    RosterNotice,
    Text,
)
from securechan.errors import SecurechanError
from securechan.trust.records import key_hash
from securechan.wire.frames import Entry

MOST_ATTACHMENTS: Final = 1000
MOST_CONFIRMED: Final = 500  # devices vouched for that are kept, per conversation


def receive(turn: Turn, topic: bytes, entry: Entry, seat: Seat, plaintext: bytes, *, marked: bool) -> None:
    """Another member's payload, decrypted."""
    try:
        payload = Payload.decode(plaintext)
    except SecurechanError as error:
        text = f"{seat.device} sent a payload that can't be read: {error.message}"
        turn.alarm(AlarmKind.VOID, text, topic=topic, who=seat.device, entry=entry.sequence)
        return
    take(turn, topic, entry, seat, payload, own=False, marked=marked)


def repeated(turn: Turn, topic: bytes, seat: Seat, plaintext: bytes) -> bool:
    """Whether this is what the same device said before."""
    try:
        payload = Payload.decode(plaintext)
    except SecurechanError:
        return False
    return past.seen(turn.rows, turn.conversation(topic), seat.device, payload.id)


def take(turn: Turn, topic: bytes, entry: Entry, seat: Seat, payload: Payload, *, own: bool, marked: bool) -> None:
    """A payload that stands in the log, ours or another's. Each id counts once."""
    if not sending.remember(turn, topic, seat.device, payload.id):
        return
    body = payload.body
    match body:
        case Text():
            _show(turn, topic, entry, seat, payload, own=own, marked=marked)
        case Attachment():
            _keep(turn, topic, payload, body)
            _show(turn, topic, entry, seat, payload, own=own, marked=marked)
        case Bulletin() | BulletinByReference():
            bulletins.receive(turn, topic, entry, seat, payload, own=own)
        case Forward():
            forwards.receive(turn, topic, entry, seat, payload, body, own=own)
        case Leave():
            conversation = turn.conversation(topic)
            if seat.device not in conversation.leaving:
                turn.put(replace(conversation, leaving=(*conversation.leaving, seat.device)))
        case Announcement():
            _announced(turn, topic, seat, body)
        case Control(_, control):
            match control:
                case Heartbeat():
                    pass
                case RosterNotice():
                    rosters.told(turn, topic, entry.sequence, seat, control)
                case DeviceConfirmation():
                    _confirmed(turn, topic, seat, control)
                case _:
                    assert_never(control)
        case _:
            assert_never(body)


def _show(turn: Turn, topic: bytes, entry: Entry, seat: Seat, payload: Payload, *, own: bool, marked: bool) -> None:
    conversation = turn.conversation(topic)
    body = payload.body
    shown = MessageReceived(
        topic,
        conversation.name,
        entry.sequence,
        payload.id,
        seat.device,
        seat.officer,
        entry.time // 1000,
        body.tlp if isinstance(body, Text | Attachment) else bulletins.UNMARKED,
        body.body if isinstance(body, Text) else body.caption if isinstance(body, Attachment) else "",
        own=own,
        marked=marked,
        sent=payload.time,
    )
    if isinstance(body, Attachment):
        shown = replace(shown, attachment=body.name, media_type=body.media_type, size=body.content.size)
    if not own:
        turn.put(replace(conversation, unread=min(conversation.unread + 1, 1 << 30)))
        receipts.owe_message(turn, topic, seat.device, payload.id, ReceiptKind.DELIVERED)
    turn.emit(shown)


def _keep(turn: Turn, topic: bytes, payload: Payload, body: Attachment) -> None:
    rows = turn.rows.all(ATTACHMENTS)
    if len(rows) >= MOST_ATTACHMENTS:
        turn.rows.drop(ATTACHMENTS, min(rows))  # ids begin with a counter: the oldest goes
    row = f"{turn.next_row()}{payload.id.hex()}"
    turn.rows.put(ATTACHMENTS, row, AttachmentRow(topic, payload.id, body.content, body.name[:60], body.media_type))


def _announced(turn: Turn, topic: bytes, seat: Seat, body: Announcement) -> None:
    record = turn.view.find(body.device)
    agrees = record is not None and record.address == body.officer and record.since == body.time
    turn.emit(DeviceAnnounced(topic, body.device, body.officer, body.approvers, body.time, seat.device, agrees))


def _confirmed(turn: Turn, topic: bytes, seat: Seat, body: DeviceConfirmation) -> None:
    """A device of the same officer, or an officer of another agency, vouches for a device. A colleague of the same
    agency doesn't count: a stolen agency key could make one."""
    record = turn.view.find(body.device)
    officer = record.address if record is not None else ""
    entitled = seat.officer == officer or seat.agency != agency_of(body.device)
    if not entitled or not admitted(seat, turn.view, turn.now):
        return
    conversation, own = turn.conversation(topic), Confirmed(seat.device, key_hash(seat.key))
    if seat.device in conversation.intruders and own not in conversation.confirmed:
        return  # for whom nobody has vouched, vouches for nobody, itself least of all
    mark = Confirmed(body.device, body.key_hash)
    if mark in conversation.confirmed:
        return
    kept = conversation.confirmed
    if len(kept) >= MOST_CONFIRMED:  # then those go first that trust knows nothing of: anybody may make such names up
        unknown = next((each for each in kept if turn.view.find(each.device) is None), None)
        if unknown is None:
            return
        kept = tuple(each for each in kept if each is not unknown)
    turn.put(replace(conversation, confirmed=(*kept, mark)))
    turn.emit(DeviceConfirmed(topic, body.device, seat.device))
