"""What may be asked of an agent without changing it: summaries for screens and scripts."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from securechan.agent.past import seen
from securechan.agent.policy import Policy, Seat, policy_of, seats_of
from securechan.agent.session import Live, Session
from securechan.agent.state import (
    BULLETINS,
    CONVERSATIONS,
    DOWNLOADS,
    GROUPS,
    LETTERS,
    ME,
    OFFERS,
    ONLY,
    OUTBOX,
    PENDING,
    RECEIPTS,
    TALLIES,
    TRUST,
    UPLOADS,
    BulletinRow,
    Conversation,
    Hold,
    Offer,
    Standing,
    Tally,
    bulletin_row,
)
from securechan.agent.tables import Rows
from securechan.bulletin.tlp import Tlp
from securechan.errors import NotFound

STALE: Final = 6 * 3600  # seconds without a sign of life from another member
SOON: Final = 30  # seconds that a refused commit is waited for


@dataclass(frozen=True, slots=True)
class ConversationSummary:
    """A conversation as people see it. ``stale_since`` is 0 while others are heard; times are Unix seconds."""

    topic: bytes
    name: str
    standing: str  # founding, member, frozen, gone
    kind: str
    ceiling: str
    policy: Policy | None
    epoch: int
    suite: str
    members: tuple[Seat, ...]
    synced: bool
    unread: int
    read: int
    sequence: int
    queued: int
    pending: bool
    pending_until: int  # when the relay takes the pending commit again, where it has refused it; else 0
    held: str
    stale_since: int
    waiting: tuple[str, ...]
    authenticator: bytes  # equal for members in the same epoch: what people compare


@dataclass(frozen=True, slots=True)
class Receipted:
    device: str
    officer: str
    time: int


@dataclass(frozen=True, slots=True)
class AckList:
    """Who has a bulletin: the newest revision's, by what they said last."""

    bulletin: str
    revision: int
    conversation: bytes
    delivered: tuple[Receipted, ...]
    acknowledged: tuple[Receipted, ...]
    missing: tuple[Receipted, ...]  # time 0


@dataclass(frozen=True, slots=True)
class BulletinSummary:
    bulletin: str
    revision: int
    conversation: bytes
    name: str
    issuer: str
    device: str
    title: str
    tlp: Tlp
    media_type: str
    sequence: int
    time: int
    ack_by: int
    own: bool
    acknowledged: bool
    complete: bool
    withdrawn: bool
    delivered: int
    acknowledgements: int
    audience: int
    forwarder: str  # the device that brought it here; empty where it was issued here
    consenter: str


def conversation(rows: Rows, session: Session, row: Conversation, now: int = 0) -> ConversationSummary:
    """One conversation. ``now`` = 0 leaves staleness out."""
    group = rows.get(GROUPS, row.topic.hex())
    policy = policy_of(group.context_extensions) if group is not None else None
    members = tuple(seats_of(group).values()) if group is not None else ()
    live = session.live.get(row.topic, Live())
    pending = rows.get(PENDING, row.topic.hex())
    quiet = now and row.standing is Standing.MEMBER and len(members) > 1 and row.heard + STALE < now
    return ConversationSummary(
        row.topic,
        row.name,
        row.standing.name.lower(),
        policy.kind.name.lower() if policy is not None else "",
        policy.ceiling.word if policy is not None else "",
        policy,
        group.epoch if group is not None else 0,
        group.suite.name if group is not None else "",
        members,
        live.synced,
        row.unread,
        row.read,
        row.cursor.sequence,
        sum(1 for item in rows.all(OUTBOX).values() if item.topic == row.topic),
        pending is not None,
        pending.retry if pending is not None else 0,
        "" if row.hold is Hold.NO else row.hold.name.lower(),
        row.heard if quiet else 0,
        tuple(each.device for each in row.announced),
        bytes(group.epoch_authenticator) if group is not None else b"",
    )


def conversations(rows: Rows, session: Session, now: int = 0) -> tuple[ConversationSummary, ...]:
    """All of them, by name."""
    found = [conversation(rows, session, row, now) for row in rows.all(CONVERSATIONS).values()]
    return tuple(sorted(found, key=lambda each: (each.name, each.topic)))


def offers(rows: Rows) -> tuple[Offer, ...]:
    """What waits for a person's yes."""
    return tuple(
        each for each in rows.all(OFFERS).values() if each.policy and not each.accepted and not _in(rows, each)
    )


def policy_of_offer(offer: Offer) -> Policy | None:
    """Who belongs to what is offered; None where its tree is still on its way."""
    return Policy.decode(offer.policy) if offer.policy else None


def arriving(rows: Rows) -> tuple[Offer, ...]:
    """Offers whose tree is still on its way: who belongs to them can't be seen yet."""
    return tuple(each for each in rows.all(OFFERS).values() if each.blob is not None and not _in(rows, each))


def _in(rows: Rows, offer: Offer) -> bool:
    known = rows.get(CONVERSATIONS, offer.topic.hex())
    return known is not None and known.standing is Standing.MEMBER


def followed(rows: Rows) -> frozenset[bytes]:
    """The topics of the conversations that we are members of."""
    return frozenset(each.topic for each in rows.all(CONVERSATIONS).values() if each.standing is Standing.MEMBER)


def unread(rows: Rows, session: Session) -> Iterator[str]:
    """What the relay may hold that we have not read in this session, in words."""
    if not session.connected:
        yield "no session with the relay"
    if not session.trust_synced:
        yield "the federation's documents are being read"
    if not session.inbox_synced or session.letters:
        yield "the inbox is being read"
    for topic in followed(rows):
        if not session.live.get(topic, Live()).synced:
            yield f"{rows.all(CONVERSATIONS)[topic.hex()].name} is being read"


def leaving(rows: Rows, now: int | None = None, away: frozenset[bytes] = frozenset()) -> Iterator[str]:
    """What is on its way from us or to us, in words; with ``now``, in Unix seconds, without the commits that the relay
    does not want to see before some time has passed, and without what is queued in the conversations ``away``: they
    wait in the vault, and nobody need wait with them."""
    names = {each.topic: each.name for each in rows.all(CONVERSATIONS).values()}
    members = followed(rows) - away
    for item in rows.all(OUTBOX).values():
        if item.topic in members:
            yield f"a message to {names[item.topic]} is to be sent"
    for topic, commit in rows.all(PENDING).items():
        if now is None or commit.retry <= now + SOON:
            yield f"a change of {names.get(bytes.fromhex(topic), topic[:16])} is to be taken by the relay"
    for letter in rows.all(LETTERS).values():
        yield f"a letter to {', '.join(copy.device for copy in letter.copies[:3])} is to be taken by the relay"
    for download in rows.all(DOWNLOADS).values():
        yield f"the {download.purpose.name.lower()} of {names.get(download.topic, 'an offer')} is to be fetched"
    if rows.all(UPLOADS):
        yield "a file is to be stored at the relay"
    if rows.all(RECEIPTS):
        yield "receipts are to be sent"


def outgoing(rows: Rows, payload: bytes) -> str:
    """``queued``, ``sealed``, ``sent``, or ``unknown`` (never ours, or longer ago than is remembered)."""
    for item in rows.all(OUTBOX).values():
        if item.id == payload:
            return "queued" if item.sealed is None else "sealed"
    device = rows.all(ME)[ONLY].device
    return "sent" if any(seen(rows, each, device, payload) for each in rows.all(CONVERSATIONS).values()) else "unknown"


def bulletins(rows: Rows) -> tuple[BulletinSummary, ...]:
    """All that are known, the newest first."""
    found = [_bulletin(rows, each) for each in rows.all(BULLETINS).values()]
    return tuple(sorted(found, key=lambda each: (-each.time, each.bulletin)))


def _bulletin(rows: Rows, row: BulletinRow) -> BulletinSummary:
    talk = rows.get(CONVERSATIONS, row.topic.hex())
    tally = _tally(rows, row)
    current = [each for each in tally.receipts if each.revision == row.revision]
    return BulletinSummary(
        row.bulletin,
        row.revision,
        row.topic,
        talk.name if talk is not None else "",
        row.device.partition("/")[0],
        row.device,
        row.title,
        Tlp(row.tlp),
        row.media_type,
        row.sequence,
        row.time,
        row.ack_by,
        bool(row.own),
        bool(row.acknowledged),
        bool(row.complete),
        bool(row.withdrawn),
        len(current),
        sum(each.acknowledged for each in current),
        len(tally.audience),
        row.forwarder,
        row.consenter,
    )


def _tally(rows: Rows, row: BulletinRow) -> Tally:
    return rows.get(TALLIES, bulletin_row(row.topic, row.bulletin)) or Tally((), ())


def acks(rows: Rows, bulletin: str, topic: bytes | None = None) -> tuple[AckList, ...]:
    """Who has and who hasn't, in each conversation it went to. Raises `NotFound`."""
    found = [
        row
        for row in rows.all(BULLETINS).values()
        if row.bulletin == bulletin and _tally(rows, row).audience and (topic is None or row.topic == topic)
    ]
    if not found:
        raise NotFound(f"no bulletin {bulletin[:40]} of your agency", hint="list them with: securechan bulletin ls")
    return tuple(_acks(rows, row) for row in found)


def _acks(rows: Rows, row: BulletinRow) -> AckList:
    view = rows.all(TRUST)[ONLY].view
    tally = _tally(rows, row)
    current = {each.device: each for each in tally.receipts if each.revision == row.revision}
    delivered = tuple(Receipted(each.device, each.officer, each.time) for each in current.values())
    acknowledged = tuple(
        Receipted(each.device, each.officer, each.time) for each in current.values() if each.acknowledged
    )
    missing = []
    for device in tally.audience:
        if device not in current:
            record = view.find(device)
            missing.append(Receipted(device, record.address if record is not None else "", 0))
    return AckList(row.bulletin, row.revision, row.topic, delivered, acknowledged, tuple(missing))
