"""Payloads on their way into a log: queued, sealed in the epoch that is open, offered, and read back.

    queue ──► outbox row ──seal──► Sealed(epoch, id, bytes) ──post──► relay ──► log ─► the row goes, `MessageSent`
                  ▲                                                     │
                  └────────── the epoch closed first: sealed again ◄────┘

Only the log says that something is sent. TLP and membership are looked at twice: when a person asks, and again when it
is sealed, since members may have changed in between. What can't be sent any more is told, with its content, and goes.
"""

from __future__ import annotations

import hashlib
from dataclasses import replace
from typing import Final

from securechan.agent import blobs, claims, past, reach
from securechan.agent.asks import Following, Posting, Shown
from securechan.agent.events import MessageDropped, MessageSent
from securechan.agent.membership import Difference
from securechan.agent.policy import Kind, Seat
from securechan.agent.state import (
    OUTBOX,
    PENDING,
    SENT,
    Conversation,
    Hold,
    Outgoing,
    Sealed,
    Standing,
)
from securechan.agent.turn import Turn, access_secret
from securechan.bulletin.payload import Announcement, Entered, Forward, Payload, PayloadBody, Text
from securechan.bulletin.tlp import Tlp
from securechan.errors import Conflict, Denied, Misuse, NotFound, NotReady, SecurechanError
from securechan.wire.frames import MAX_ENTRY, Append, Entry, Show, Subscribe

MOST_QUEUED: Final = 10_000  # rows of the outbox
WINDOW: Final = 16  # payloads of one conversation offered at a time
BUCKET: Final = 256  # bytes that a payload is padded to a multiple of, up to 16 KiB; beyond, 4 KiB
ROOM: Final = 16 << 10  # bytes that sealing may add


# ------------------------------------------------------------------------------------------------------- following


def follow(turn: Turn, topic: bytes) -> None:
    """Show that we belong, and have the log from where we stand."""
    conversation = turn.conversation(topic)
    if conversation.standing is not Standing.MEMBER or turn.live(topic).following or not turn.session.connected:
        return
    for back in range(len(conversation.accesses), 0, -1):
        show(turn, topic, back=back, walk=False)  # the relay judges by all that a session has shown; some it never knew
    show(turn, topic)
    turn.send(Subscribe(topic, conversation.cursor.sequence), Following(topic))
    turn.set_live(topic, following=True)


def show(turn: Turn, topic: bytes, *, back: int = 0, walk: bool = True) -> bool:
    """Show the access secret of our epoch, or of ``back`` epochs before. Whether there is one."""
    conversation = turn.conversation(topic)
    if back > len(conversation.accesses):
        return False
    secret = conversation.accesses[-back] if back else access_secret(turn.group(topic))
    turn.send(Show(topic, bytes(secret)), Shown(topic, conversation.cursor.sequence, back, walk))
    return True


# -------------------------------------------------------------------------------------------------------- queueing


def queue(
    turn: Turn,
    topic: bytes,
    body: PayloadBody,
    *,
    label: Tlp | None = None,
    identity: bytes = b"",
    needs: tuple[bytes, ...] = (),
) -> bytes:
    """Put a payload into the outbox. The answer is its id. Raises `Denied`, `NotFound`, `NotReady`, `Conflict`,
    `Misuse`."""
    conversation = turn.conversation(topic)
    if conversation.standing is Standing.GONE:
        raise Denied("you are no member of this conversation any more")
    if identity and len(identity) != 16:
        raise Misuse("a payload id has 16 bytes")
    if label is not None:
        reach.allow(turn, conversation, label)
        _somebody_reads(turn, conversation)
    payload = Payload.of(identity or turn.random(16), turn.ms, body)
    encoded = payload.encode()
    if len(encoded) > MAX_ENTRY - ROOM:
        raise Misuse("a payload larger than an entry", hint="send it as an attachment")
    outbox = turn.rows.all(OUTBOX)
    for other in outbox.values():
        if other.topic == topic and other.id == payload.id:
            if Payload.decode(other.payload).body != body:
                raise Conflict("another message is queued under that id")
            return payload.id  # asked for twice: it is the same message
    if past.seen(turn.rows, conversation, turn.me.device, payload.id):
        return payload.id
    if len(outbox) >= MOST_QUEUED:
        raise NotReady(f"{MOST_QUEUED} messages wait to be sent", hint="connect to the relay, then send again")
    row = Outgoing(topic, encoded, payload.id, 0 if label is None else label, needs, None, turn.now)
    turn.rows.put(OUTBOX, turn.next_row(), row)
    turn.dirty.add(topic)
    return payload.id


def announce(turn: Turn, topic: bytes, device: str, what: Entered) -> None:
    """Tell the conversation which device has entered, for whom, and who approved it."""
    record = turn.view.find(device)
    if record is None:
        return
    body = Announcement(device, record.address, approvers(turn, record.agency), record.since, what)
    queue(turn, topic, body)


def approvers(turn: Turn, agency: str) -> tuple[str, ...]:
    """Who can have signed an agency's devices in: the holders of its roster keys, as far as trust names them."""
    found = [each.address for each in turn.view.devices(agency) if "admin" in each.roles]
    return tuple(sorted(set(found)))[:16]


# ----------------------------------------------------------------------------------------------- sealing and posting


def obstacle(turn: Turn, conversation: Conversation, difference: Difference) -> str:
    """Why nothing may be sealed here now; empty if nothing stands in the way."""
    topic = conversation.topic
    if conversation.standing is not Standing.MEMBER:
        return "not a member"
    if not (turn.able and turn.live(topic).synced):
        return "not read to the end yet"
    if conversation.hold is not Hold.NO:
        return "held until a person decides"
    pending = turn.rows.get(PENDING, topic.hex())
    if pending is not None and pending.retry <= turn.now:  # one that the relay wants later holds up nobody's words
        return "a commit is pending"
    if difference.removes:
        return "somebody has to be removed first"
    if _talks_to_itself(turn, topic, difference):
        return "those whom it is for have not joined yet"
    allowed = turn.view.may_send(turn.now, turn.me.device)
    return "" if allowed else allowed.reason


def waits_for_others(turn: Turn, conversation: Conversation, difference: Difference) -> bool:
    """Whether what is queued here waits for people or for devices that may be away for weeks: for the first reader, for
    a person's decision, for a roster that our agency has to renew. Nobody need wait with it."""
    if conversation.hold is not Hold.NO or _talks_to_itself(turn, conversation.topic, difference):
        return True
    return not turn.view.may_send(turn.now, turn.me.device)


def _talks_to_itself(turn: Turn, topic: bytes, difference: Difference) -> bool:
    """A joiner reads nothing that was sealed before it came: so the first words wait for the first readers."""
    there, policy = turn.seats(topic), turn.policy(topic)
    if policy.kind is Kind.DIRECT:
        away = set(policy.officers) - {seat.officer for seat in there.values()}
        return any(turn.view.devices_of(officer) for officer in away)  # whoever has no device isn't on the way
    return len(there) == 1 and bool(difference.adds)


def _somebody_reads(turn: Turn, conversation: Conversation) -> None:
    """Raises `NotFound` where a direct conversation has lost the other's last device: its words would reach nobody."""
    if conversation.standing is not Standing.MEMBER:
        return
    policy = turn.policy(conversation.topic)
    if policy.kind is Kind.DIRECT:
        there = {seat.officer for seat in turn.seats(conversation.topic).values()}
        for officer in set(policy.officers) - there:
            if not turn.view.devices_of(officer):
                raise NotFound(
                    f"{officer} has no device any more: nobody could read it",
                    hint=f"write again when {officer} is enrolled anew, or leave: securechan conversation leave NAME",
                )


def post(turn: Turn, topic: bytes) -> None:
    """Seal and offer what waits, in order, a window at a time. Nothing stands in the way."""
    conversation = turn.conversation(topic)
    if turn.live(topic).retry > turn.now:
        turn.wake(turn.live(topic).retry)
        return
    offered = 0
    for row, item in turn.rows.items(OUTBOX):
        if item.topic != topic:
            continue
        if offered >= WINDOW:
            return
        if any(not blobs.stored(turn, blob) for blob in item.needs):
            return  # in order: what follows waits, too
        ready = item if item.sealed is not None else _seal(turn, conversation, row, item)
        if ready is None or ready.sealed is None:
            continue
        offered += 1
        identity = ready.sealed.entry_id
        live = turn.live(topic)
        if identity not in live.posted and turn.send(
            Append(topic, identity, ready.sealed.message, None), Posting(topic, row)
        ):
            turn.set_live(topic, posted=live.posted | {identity})


def _seal(turn: Turn, conversation: Conversation, row: str, item: Outgoing) -> Outgoing | None:
    topic = conversation.topic
    if item.label:
        try:
            reach.allow(turn, conversation, Tlp(item.label))
            _somebody_reads(turn, conversation)
            body = Payload.decode(item.payload).body
            if isinstance(body, Forward):
                reach.allow_again(turn, conversation, Tlp(item.label), body)
        except SecurechanError as error:
            drop(turn, row, item, error)
            return None
    group, data = turn.group(topic), claims.ours(turn, conversation)
    size = len(item.payload)
    step = BUCKET if size < 16 << 10 else 4 << 10
    after, message = group.protect(item.payload, authenticated_data=data, padding=-size % step)
    turn.set_group(topic, after)
    turn.rows.put(SENT, f"{topic.hex()}{_digest(message)}", b"\x01")
    turn.rows.put(SENT, f"{topic.hex()}{_digest(data + item.payload)}", b"\x02")
    sealed = replace(item, sealed=Sealed(group.epoch, turn.random(32), message))
    turn.rows.put(OUTBOX, row, sealed)
    return sealed


def reseal(turn: Turn, topic: bytes) -> None:
    """The epoch that these payloads were sealed in is over for us: they are sealed again in the next."""
    for row, item in turn.rows.items(OUTBOX):
        if item.topic == topic and item.sealed is not None:
            turn.rows.put(OUTBOX, row, replace(item, sealed=None))


def rename(turn: Turn, row: str, item: Outgoing) -> None:
    """Somebody has used our entry's id: offer the same bytes under another."""
    if item.sealed is not None:
        turn.rows.put(OUTBOX, row, replace(item, sealed=replace(item.sealed, entry_id=turn.random(32))))


def drop(turn: Turn, row: str, item: Outgoing, error: SecurechanError) -> None:
    """It can't be sent any more: say so, with its words."""
    turn.rows.drop(OUTBOX, row)
    body = Payload.decode(item.payload).body
    words = body.body if isinstance(body, Text) else type(body).__name__
    turn.emit(MessageDropped(item.topic, item.id, error.message, words))


def _digest(message: bytes) -> str:
    return hashlib.sha256(message).hexdigest()[:32]


# --------------------------------------------------------------------------------------------------- from the log


def _row_of(turn: Turn, topic: bytes, entry: Entry) -> tuple[str, Outgoing] | None:
    for row, item in turn.rows.items(OUTBOX):
        sealed = item.sealed
        if item.topic == topic and sealed is not None and sealed.entry_id == entry.entry_id:
            return (row, item) if sealed.message == entry.body else None
    return None


def is_ours(turn: Turn, conversation: Conversation, entry: Entry, epoch: int) -> bool:
    """Whether this entry is a payload of ours as we sealed it for the epoch that is open."""
    found = _row_of(turn, conversation.topic, entry)
    return found is not None and found[1].sealed is not None and found[1].sealed.epoch == epoch


def was_sealed(turn: Turn, topic: bytes, message: bytes) -> bool:
    """Whether we sealed these bytes in the epoch that is open."""
    return turn.rows.get(SENT, f"{topic.hex()}{_digest(message)}") is not None


def was_said(turn: Turn, topic: bytes, data: bytes, plaintext: bytes) -> bool:
    """Whether we said this in the epoch that is open. A signature covers no generation (RFC 9420 §6.1), so any member
    can seal what we signed a second time, under keys of ours that we have not used yet."""
    return turn.rows.get(SENT, f"{topic.hex()}{_digest(data + plaintext)}") is not None


def sent(turn: Turn, topic: bytes, entry: Entry) -> Payload:
    """A payload of ours stands in the log: every member reads it. The answer is what we said."""
    found = _row_of(turn, topic, entry)
    if found is None:
        raise Misuse("asked to mark as sent what is not ours")
    row, item = found
    turn.rows.drop(OUTBOX, row)
    turn.emit(MessageSent(topic, item.id, entry.sequence, turn.group(topic).epoch))
    return Payload.decode(item.payload)


def own_seat(turn: Turn, topic: bytes) -> Seat:
    return turn.seats(topic)[int(turn.group(topic).own_leaf)]


def remember(turn: Turn, topic: bytes, device: str, identity: bytes) -> bool:
    """Whether a payload is read for the first time; from now on it isn't."""
    conversation = turn.conversation(topic)
    if past.seen(turn.rows, conversation, device, identity):
        return False
    turn.put(past.remembered(turn.rows, conversation, device, identity))
    return True
