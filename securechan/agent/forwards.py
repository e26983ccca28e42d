"""Forwarding: a bulletin brought to another conversation as it was signed, and whatever becomes of it brought after it.

    read in A ──a person of a desk──► may it be read in B? ──► Forward, in B: the same header, signature, content
    revised in A ────by itself──────► may that be read in B? ─► Forward; else people are told that B has an old one
    withdrawn in A ──by itself──────► Forward, always: its words where their label lets them, else the bare header

Who reads a forward judges it as the issuer's word, by the issuer's key, and the way that it came by who brought it: the
two are never confused. Receipts go to the desk of who brought it. Where that device is no longer there, another that
reads both conversations stands in for it a minute later, in turns.
"""

from __future__ import annotations

from typing import Final

from securechan.agent import blobs, bulletins, reach, sending
from securechan.agent.events import AlarmKind, BulletinRefused
from securechan.agent.inputs import ForwardBulletin, Published
from securechan.agent.membership import TURN, wait
from securechan.agent.policy import Seat
from securechan.agent.state import BULLETINS, CONSENTS, BulletinRow, ConsentState, Standing, bulletin_row, consent_row
from securechan.agent.turn import Turn
from securechan.bulletin.bulletin import BulletinHeader, check_content, digest, verify
from securechan.bulletin.document import inspect
from securechan.bulletin.payload import INLINE_MAX, Bulletin, BulletinByReference, Forward, Payload
from securechan.bulletin.tlp import Tlp, strictest
from securechan.errors import Conflict, Denied, Invalid, NotFound, SecurechanError, Unfit, Untrusted
from securechan.wire.frames import Entry

STAND_IN: Final = 60  # seconds before another device does what the forwarder's should have done
MOST_FOLLOWING: Final = 16  # bulletins that we stand ready to bring after


# ----------------------------------------------------------------------------------------------------------- sending


def forward(turn: Turn, wish: ForwardBulletin) -> Published:
    """A person brings a bulletin elsewhere. Raises `NotFound`, `Denied`, `Conflict`, `Invalid`."""
    target = turn.conversation(wish.conversation)
    there = turn.rows.get(BULLETINS, bulletin_row(target.topic, wish.bulletin))
    if there is not None and wish.id and there.payload == wish.id:
        return Published(there.bulletin, there.revision, there.payload)
    if target.standing is not Standing.MEMBER:
        raise Denied("you are no member of this conversation", hint="see: securechan conversation ls")
    if "desk" not in turn.view.device(turn.me.device).roles:
        raise Denied("only a device with the desk role forwards bulletins", code="role-denied")
    row = source(turn, wish.bulletin, target.topic)
    header = BulletinHeader.decode(row.header)
    if header.withdrawn:
        raise Conflict(f"{header.id} was withdrawn by {header.issuer}: there is nothing to forward")
    if header.audience == target.topic or (there is not None and there.revision >= row.revision):
        raise Conflict(f"{header.id} is in {target.name} already")
    check_content(header, wish.content)
    public(turn, header)
    return _send(turn, target.topic, row, wish.content, _label(header, wish.floor), wish.id)


def source(turn: Turn, bulletin: str, target: bytes) -> BulletinRow:
    """The newest of a bulletin that we have elsewhere, rather where it was issued. Raises `NotFound`, `Conflict`."""
    found = [row for row in turn.rows.all(BULLETINS).values() if row.bulletin == bulletin and row.topic != target]
    if not found:
        if turn.rows.get(BULLETINS, bulletin_row(target, bulletin)) is not None:
            raise Conflict(f"{bulletin[:40]} is there already")
        raise NotFound(f"no bulletin {bulletin[:40]} to forward", hint="list them with: securechan bulletin ls")
    best = max(found, key=lambda row: (row.revision, not row.forwarder))
    if not best.sequence or not best.complete:
        raise Conflict(f"{bulletin} is not here as a whole yet", hint="securechan sync, then try again")
    return best


def consent_for(turn: Turn, topic: bytes, bulletin: str) -> bytes:
    """The issuer's consent that we hold, encoded; empty for none."""
    row = turn.rows.get(CONSENTS, consent_row(topic, bulletin, turn.agency))
    return row.consent if row is not None and row.state is ConsentState.GRANTED else b""


def _label(header: BulletinHeader, floor: Tlp | None) -> Tlp:
    return strictest((header.tlp, floor)) or header.tlp


def _send(turn: Turn, topic: bytes, row: BulletinRow, content: bytes, label: Tlp, identity: bytes = b"") -> Published:
    conversation, header = turn.conversation(topic), BulletinHeader.decode(row.header)
    consent = consent_for(turn, topic, row.bulletin)
    try:
        needed = reach.allow_forward(turn, conversation, header, label, consent)
    except SecurechanError:
        if not header.withdrawn:
            raise
        needed, content = None, b""  # that it no longer stands, its readers must learn; why, not all of them may
    here = len(content) <= INLINE_MAX
    ref = None if here else blobs.put(turn, content)
    body = Forward(row.header, row.signature, content if here else b"", ref, b"" if needed is None else consent)
    shown = Tlp.CLEAR if header.withdrawn and not content else label
    payload = sending.queue(turn, topic, body, label=shown, identity=identity, needs=() if ref is None else (ref.blob,))
    name = bulletin_row(topic, header.id)
    if turn.rows.get(BULLETINS, name) is None:
        if len(turn.rows.all(BULLETINS)) >= bulletins.MOST_BULLETINS:
            raise Conflict(f"{bulletins.MOST_BULLETINS} bulletins are as many as a device may keep track of")
        kept = bulletins.row_of(
            topic,
            header,
            row.header,
            row.signature,
            payload,
            0,
            turn.ms,
            own=True,
            forwarder=turn.me.device,
        )
        turn.rows.put(BULLETINS, name, kept)
    return Published(header.id, header.revision, payload)


# ---------------------------------------------------------------------------------------------------------- following


def follow(turn: Turn) -> None:
    """Bring what has just come wherever its bulletin was forwarded to."""
    news, turn.news = turn.news, []
    for name, content in news:
        row = turn.rows.get(BULLETINS, name)
        if row is None or row.forwarder:  # a forward is brought on from where it was issued, and from nowhere else
            continue
        for topic in _behind(turn, row):
            there = turn.rows.need(BULLETINS, bulletin_row(topic, row.bulletin))
            if there.forwarder == turn.me.device:
                _bring(turn, topic, row, content)
            else:
                _stand_ready(turn, topic, name, content)


def _behind(turn: Turn, row: BulletinRow) -> list[bytes]:
    """Conversations of ours to which it was forwarded, and that have an older revision."""
    issued_in = BulletinHeader.decode(row.header).audience
    found = []
    for other in turn.rows.all(BULLETINS).values():
        if other.bulletin != row.bulletin or not other.forwarder or other.revision >= row.revision or other.withdrawn:
            continue
        member = turn.conversation(other.topic).standing is Standing.MEMBER
        if member and BulletinHeader.decode(other.header).audience == issued_in:
            found.append(other.topic)
    return sorted(found)


def _bring(turn: Turn, topic: bytes, row: BulletinRow, content: bytes) -> None:
    header = BulletinHeader.decode(row.header)
    try:
        floor = None if header.withdrawn else inspect(content, header.media_type).tlp_floor
        _send(turn, topic, row, content, _label(header, floor))
    except SecurechanError as error:
        name = turn.conversation(topic).name
        text = f"revision {row.revision} of {row.bulletin} can't follow to {name}: {error.message}"
        turn.alarm(AlarmKind.NOT_FOLLOWED, text, topic=topic, who=row.device)


def _stand_ready(turn: Turn, topic: bytes, name: str, content: bytes) -> None:
    """Somebody else has brought it there and should do so again; we do it if nothing comes."""
    own = int(turn.group(topic).own_leaf)
    place = wait(turn.seats(topic), own, (), turn.group(topic).epoch, name.encode()) or 0
    at = turn.now + STAND_IN + max(place, TURN)
    following = {**turn.session.following, (topic, name): (at, content)}
    while len(following) > MOST_FOLLOWING:
        following.pop(next(iter(following)))
    turn.set_session(following=following)
    turn.wake(at)


def stand_in(turn: Turn) -> None:
    """Bring what nobody else has brought in time."""
    for (topic, name), (at, content) in list(turn.session.following.items()):
        if at > turn.now:
            turn.wake(at)
            continue
        rest = {key: value for key, value in turn.session.following.items() if key != (topic, name)}
        turn.set_session(following=rest)
        row = turn.rows.get(BULLETINS, name)
        desk = "desk" in turn.view.device(turn.me.device).roles
        if row is not None and desk and topic in _behind(turn, row):
            _bring(turn, topic, row, content)


# ---------------------------------------------------------------------------------------------------------- receiving


def public(turn: Turn, header: BulletinHeader) -> bytes:
    """The issuer's key that has to have signed: one that stands. Raises `Untrusted`, `Denied`."""
    record = turn.view.find(header.device)
    if record is None or header.signer not in record.hashes() or turn.view.tombstoned(header.signer) is not None:
        raise Untrusted(
            f"{header.device[:100]} signed it with a key that its agency does not list any more", code="unknown-key"
        )
    if "desk" not in record.roles:
        raise Denied(f"{header.device} has no desk role", code="role-denied")
    return record.public(header.signer)


def receive(turn: Turn, topic: bytes, entry: Entry, seat: Seat, payload: Payload, body: Forward, *, own: bool) -> None:
    """A forward stands in the log: believe it or say why not."""
    name = ""
    try:
        claim = BulletinHeader.decode(body.header)
        name = claim.id
        header = verify(body.header, body.signature, public(turn, claim))
        if header.audience == topic:
            raise Untrusted("it was issued for this conversation, where only its issuer says it", code="wrong-audience")
        carrier = turn.view.find(seat.device)
        if carrier is None or "desk" not in carrier.roles:
            raise Denied(f"{seat.device} has no desk role", code="role-denied")
        before = turn.rows.get(BULLETINS, bulletin_row(topic, header.id))
        if before is not None and before.sequence:
            same = before.digest == digest(body.header)
            if same and before.complete:
                return  # two have brought it
            if not same:
                _follows(BulletinHeader.decode(before.header), before.digest, header)
        whole = _content(header, body)
    except SecurechanError as error:
        turn.emit(BulletinRefused(topic, entry.sequence, seat.device, name[:40], error.message))
        text = f"{seat.device} forwarded a bulletin that is not to be believed: {error.message}"
        turn.alarm(AlarmKind.BAD_BULLETIN, text, topic=topic, who=seat.device, entry=entry.sequence)
        return
    consenter = ""
    if not (header.withdrawn and isinstance(whole, Bulletin) and not whole.content):
        consenter = _judge(turn, topic, entry, seat, header, body, whole)
    bulletins.keep(turn, topic, entry, payload, whole, header, own=own, forwarder=seat.device, consenter=consenter)


def _follows(before: BulletinHeader, named: bytes, header: BulletinHeader) -> None:
    """A later revision of the same line; some in between may not have been for here. Raises `Invalid`."""
    for holds, what in (
        (header.issuer == before.issuer and header.audience == before.audience, "it is another bulletin of that name"),
        (not before.withdrawn, "the bulletin was withdrawn, which is final"),
        (header.revision > before.revision, f"revision {header.revision} can't follow revision {before.revision}"),
        (header.revision > before.revision + 1 or header.previous == named, "it follows another text of that revision"),
        (header.exercise == before.exercise, "an exercise stays one, and the real thing real"),
    ):
        if not holds:
            raise Invalid(f"bulletin {header.id}: {what}", rule="SPEC bulletin revision")


def _content(header: BulletinHeader, body: Forward) -> Bulletin | BulletinByReference:
    """What it brings. Raises `Invalid`."""
    if body.blob is not None:
        if header.content_size != body.blob.size or body.content:
            raise Invalid("the blob is not of the size that was signed", rule="SPEC bulletin content")
        return BulletinByReference(body.header, body.signature, body.blob)
    if body.content or not header.withdrawn:
        check_content(header, body.content)
    return Bulletin(body.header, body.signature, body.content)


def _judge(
    turn: Turn,
    topic: bytes,
    entry: Entry,
    seat: Seat,
    header: BulletinHeader,
    body: Forward,
    whole: Bulletin | BulletinByReference,
) -> str:
    """Who consented; an alarm where it should not have come here."""
    label = header.tlp
    if isinstance(whole, Bulletin) and not header.withdrawn:
        try:
            label = _label(header, inspect(whole.content, header.media_type).tlp_floor)
        except Unfit:
            label = header.tlp  # what is no good document says nothing of itself
    conversation = turn.conversation(topic)
    try:
        given = reach.allow_forward(turn, conversation, header, label, body.consent, seat.device, entry.time // 1000)
    except SecurechanError as error:
        text = f"{seat.device} forwarded {header.id} against its label: {error.message}"
        turn.alarm(AlarmKind.BAD_BULLETIN, text, topic=topic, who=seat.device, entry=entry.sequence)
        return ""
    return "" if given is None else given.officer
