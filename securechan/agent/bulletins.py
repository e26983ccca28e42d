"""Bulletins on the desk: published, received, revised, withdrawn, and receipted.

    publish ─► header, signature ─► payload (content inside, or as a blob) ─► log ─► every reader judges:
        signature by a listed key of a desk device · issuer is the sender's agency · audience is this conversation ·
        it follows the revision before, first in the log wins ─► shown, and a receipt goes to the issuer's desk

A key that has been revoked by now still vouches for what it signed while it stood: the relay's time of the entry is
held against the time of the revocation, which is all the evidence of time that there is.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from securechan.agent import blobs, reach, receipts, sending
from securechan.agent.events import AlarmKind, BulletinReceived, BulletinRefused
from securechan.agent.inputs import PublishBulletin, Published, ReviseBulletin, WithdrawBulletin
from securechan.agent.policy import Seat, agency_of
from securechan.agent.state import (
    BULLETINS,
    TALLIES,
    BulletinRow,
    Purpose,
    Standing,
    Tally,
    bulletin_row,
)
from securechan.agent.turn import Turn
from securechan.bulletin.bulletin import (
    FIRST,
    BulletinHeader,
    ReceiptKind,
    Status,
    check_content,
    describe,
    digest,
    new_id,
    sign,
    succeeds,
    verify,
)
from securechan.bulletin.payload import CONTENT_MAX, INLINE_MAX, Bulletin, BulletinByReference, Payload
from securechan.bulletin.tlp import Tlp, at_least
from securechan.errors import Conflict, Denied, Invalid, NotFound, SecurechanError, Unfit, Untrusted
from securechan.trust.records import key_hash
from securechan.wire.frames import Entry

UNMARKED: Final = Tlp.CLEAR
MOST_BULLETINS: Final = 10_000


# -------------------------------------------------------------------------------------------------------- publishing


def publish(turn: Turn, wish: PublishBulletin) -> Published:
    """Sign a document and queue it. Raises `Denied`, `Unfit`, `NotFound`, `Conflict`."""
    for row in turn.rows.all(BULLETINS).values():
        if wish.id and row.payload == wish.id and row.topic == wish.conversation:
            return Published(row.bulletin, row.revision, row.payload)
    number = 1 + sum(1 for row in turn.rows.all(BULLETINS).values() if row.device.startswith(f"{turn.agency}/"))
    return _send(
        turn,
        wish.conversation,
        wish.content,
        id=new_id(turn.now, number, turn.random(8)),
        tlp=wish.tlp,
        media_type=wish.media_type,
        title=wish.title,
        floor=wish.floor,
        ack_by=wish.ack_by,
        valid_until=wish.valid_until,
        exercise=wish.exercise,
        payload=wish.id,
    )


def revise(turn: Turn, wish: ReviseBulletin) -> Published:
    """The next revision. Raises `NotFound`, `Denied`, `Unfit`."""
    row, before = _ours(turn, wish.conversation, wish.bulletin)
    return _send(
        turn,
        wish.conversation,
        wish.content,
        id=row.bulletin,
        tlp=wish.tlp,
        media_type=wish.media_type,
        title=wish.title,
        floor=wish.floor,
        ack_by=wish.ack_by,
        valid_until=wish.valid_until,
        exercise=bool(before.exercise),
        follows=row,
    )


def withdraw(turn: Turn, wish: WithdrawBulletin) -> Published:
    """The last revision, whose content says why. Raises `NotFound`, `Denied`."""
    row, before = _ours(turn, wish.conversation, wish.bulletin)
    return _send(
        turn,
        wish.conversation,
        wish.reason.encode(),
        id=row.bulletin,
        tlp=before.tlp,
        media_type="text/plain",
        title=before.title,
        exercise=bool(before.exercise),
        follows=row,
        status=Status.WITHDRAWN,
    )


def _ours(turn: Turn, topic: bytes, bulletin: str) -> tuple[BulletinRow, BulletinHeader]:
    row = turn.rows.get(BULLETINS, bulletin_row(topic, bulletin))
    if row is None:
        raise NotFound(f"no bulletin {bulletin[:40]} in this conversation")
    header = BulletinHeader.decode(row.header)
    if header.issuer != turn.agency:
        raise Denied(f"{bulletin} is of {header.issuer}: only its issuer revises or withdraws it", code="role-denied")
    if row.forwarder:
        raise Conflict(f"{bulletin} was forwarded here", hint="revise it where it was issued: the forwards follow")
    if row.withdrawn:
        raise Conflict(f"{bulletin} was withdrawn, which is final")
    if not row.sequence:
        raise Conflict(f"{bulletin} is not in the log yet", hint="wait until it is sent")
    return row, header


def _send(
    turn: Turn,
    topic: bytes,
    content: bytes,
    *,
    id: str,
    tlp: Tlp,
    media_type: str,
    title: str,
    floor: Tlp | None = None,
    ack_by: int = 0,
    valid_until: int = 0,
    exercise: bool = False,
    payload: bytes = b"",
    follows: BulletinRow | None = None,
    status: Status = Status.ACTIVE,
) -> Published:
    conversation = turn.conversation(topic)
    if conversation.standing is not Standing.MEMBER:
        raise Denied("you are no member of this conversation", hint="see: securechan conversation ls")
    if "desk" not in turn.view.device(turn.me.device).roles:
        raise Denied("only a device with the desk role publishes bulletins", code="role-denied")
    if len(content) > CONTENT_MAX:
        raise Unfit(f"{len(content)} bytes: a bulletin has at most {CONTENT_MAX}")
    if follows is None and len(turn.rows.all(BULLETINS)) >= MOST_BULLETINS:
        raise Conflict(f"{MOST_BULLETINS} bulletins are as many as a device may keep track of")
    at_least(tlp, floor)
    reach.allow(turn, conversation, tlp)
    key = turn.signing
    header = describe(
        content,
        issuer=turn.agency,
        id=id,
        tlp=tlp,
        media_type=media_type,
        audience=topic,
        time=turn.now,
        device=turn.me.device,
        signer=key_hash(key.public),
        roster_version=turn.view.roster_version(turn.agency),
        roster_hash=turn.view.roster_hash(turn.agency),
        title=title,
        revision=1 if follows is None else follows.revision + 1,
        previous=FIRST if follows is None else follows.digest,
        status=status,
        valid_until=valid_until,
        ack_by=ack_by,
        exercise=exercise,
    )
    signed = sign(header, content, turn.signer)
    body: Bulletin | BulletinByReference
    needs: tuple[bytes, ...] = ()
    if len(content) <= INLINE_MAX:
        body = Bulletin(signed.header, signed.signature, content)
    else:
        ref = blobs.put(turn, content)
        body, needs = BulletinByReference(signed.header, signed.signature, ref), (ref.blob,)
    identity = sending.queue(turn, topic, body, label=tlp, identity=payload, needs=needs)
    if follows is None:
        row = row_of(topic, header, signed.header, signed.signature, identity, 0, turn.now * 1000, own=True)
        turn.rows.put(BULLETINS, bulletin_row(topic, id), row)
    return Published(id, header.revision, identity)


def row_of(
    topic: bytes,
    header: BulletinHeader,
    encoded: bytes,
    signature: bytes,
    payload: bytes,
    sequence: int,
    sent: int,
    *,
    own: bool,
    forwarder: str = "",
) -> BulletinRow:
    """What is kept of a bulletin that is new in a conversation."""
    return BulletinRow(
        topic=topic,
        bulletin=header.id,
        revision=header.revision,
        header=encoded,
        signature=signature,
        digest=digest(encoded),
        device=header.device,
        payload=payload,
        sequence=sequence,
        sent=sent,
        complete=0,
        withdrawn=int(header.withdrawn),
        own=int(own),
        acknowledged=0,
        ack_by=header.ack_by,
        title=header.title,
        tlp=header.tlp,
        media_type=header.media_type,
        time=0,
        forwarder=forwarder,
        consenter="",
    )


# --------------------------------------------------------------------------------------------------------- receiving


def receive(turn: Turn, topic: bytes, entry: Entry, seat: Seat, payload: Payload, *, own: bool) -> None:
    """A bulletin stands in the log: believe it or say why not."""
    body = payload.body
    if not isinstance(body, Bulletin | BulletinByReference):
        return
    name = ""
    try:
        claim = BulletinHeader.decode(body.header)
        name = claim.id
        header = verify(body.header, body.signature, _signer(turn, topic, entry, seat, claim))
        before = turn.rows.get(BULLETINS, bulletin_row(topic, header.id))
        if before is not None and before.sequence:
            succeeds(before.header, header)
        if isinstance(body, Bulletin):
            check_content(header, body.content)
        elif header.content_size != body.content.size:
            raise Invalid("the blob is not of the size that was signed", rule="SPEC bulletin content")
    except SecurechanError as error:
        turn.emit(BulletinRefused(topic, entry.sequence, seat.device, name[:40], error.message))
        text = f"{seat.device} sent a bulletin that is not to be believed: {error.message}"
        turn.alarm(AlarmKind.BAD_BULLETIN, text, topic=topic, who=seat.device, entry=entry.sequence)
        return
    keep(turn, topic, entry, payload, body, header, own=own)


def _signer(turn: Turn, topic: bytes, entry: Entry, seat: Seat, claim: BulletinHeader) -> bytes:
    """The public key that has to have signed. Raises `Untrusted`, `Denied`."""
    if claim.audience != topic:
        raise Untrusted("it was signed for another conversation", code="wrong-audience")
    if claim.issuer != seat.agency:
        raise Untrusted(f"it says to be of {claim.issuer[:60]}, and was sent by {seat.device}", code="wrong-issuer")
    record = turn.view.find(claim.device)
    if record is not None and claim.signer in record.hashes():
        if "desk" not in record.roles:
            raise Denied(f"{claim.device} has no desk role", code="role-denied")
        return record.public(claim.signer)
    stone = turn.view.tombstoned(claim.signer)
    if stone is None:
        raise Untrusted(f"{claim.device[:100]} signs with a key that its agency does not list", code="unknown-key")
    if entry.time // 1000 >= stone.at or key_hash(seat.key) != claim.signer:
        raise Untrusted(f"{claim.device[:100]} was revoked ({stone.reason}) before it was sent", code="revoked")
    return seat.key


def keep(
    turn: Turn,
    topic: bytes,
    entry: Entry,
    payload: Payload,
    body: Bulletin | BulletinByReference,
    header: BulletinHeader,
    *,
    own: bool,
    forwarder: str = "",
    consenter: str = "",
) -> None:
    """A bulletin is believed: it is the newest of its line here, and shown as soon as its content is."""
    name = bulletin_row(topic, header.id)
    rows = turn.rows.all(BULLETINS)
    if name not in rows and len(rows) >= MOST_BULLETINS:
        oldest = min(turn.rows.items(BULLETINS), key=lambda pair: pair[1].time)[0]
        turn.rows.drop(BULLETINS, oldest)
        turn.rows.drop(TALLIES, oldest)
    row = row_of(
        topic,
        header,
        body.header,
        body.signature,
        payload.id,
        entry.sequence,
        payload.time,
        own=own,
        forwarder=forwarder,
    )
    row = replace(row, time=entry.time // 1000, consenter=consenter)
    if agency_of(receipts.publisher(row)) == turn.agency:
        there = sorted(seat.device for seat in turn.seats(topic).values())
        asked = tuple(each for each in there if each and each != receipts.publisher(row))
        turn.rows.put(TALLIES, name, Tally(asked, ()))
    if header.tlp > turn.policy(topic).ceiling:
        text = f"{header.id} is {header.tlp}: more than this conversation is meant for"
        turn.alarm(AlarmKind.BAD_BULLETIN, text, topic=topic, who=header.device, entry=entry.sequence)
    turn.rows.put(BULLETINS, name, row)
    if not own:
        conversation = turn.conversation(topic)
        turn.put(replace(conversation, unread=min(conversation.unread + 1, 1 << 30)))
    if isinstance(body, Bulletin):
        _complete(turn, name, body.content)
    else:
        blobs.get(turn, body.content, Purpose.BULLETIN, topic, name, header.title[:60], header.media_type)


def content_here(turn: Turn, name: str, content: bytes) -> None:
    """The content of a bulletin that came by reference has been fetched."""
    row = turn.rows.get(BULLETINS, name)
    if row is None or row.complete:
        return
    try:
        check_content(BulletinHeader.decode(row.header), content)
    except SecurechanError as error:
        turn.emit(BulletinRefused(row.topic, row.sequence, row.device, row.bulletin, error.message))
        return
    _complete(turn, name, content)


def _complete(turn: Turn, name: str, content: bytes) -> None:
    row = replace(turn.rows.need(BULLETINS, name), complete=1)
    turn.rows.put(BULLETINS, name, row)
    header = BulletinHeader.decode(row.header)
    turn.emit(
        BulletinReceived(
            row.topic,
            turn.conversation(row.topic).name,
            row.sequence,
            row.payload,
            header.id,
            header.revision,
            header.issuer,
            header.device,
            header.title,
            header.tlp,
            header.media_type,
            header.status.name.lower(),
            bool(header.exercise),
            header.ack_by,
            row.time,
            header.valid_until,
            row.header,
            row.signature,
            content,
            own=bool(row.own),
            forwarded_by=row.forwarder,
            consent_by=row.consenter,
        )
    )
    if not row.own:
        receipts.owe(turn, row, ReceiptKind.DELIVERED)
    turn.news.append((name, content))
