"""A topic as it follows from the messages that a cluster keeps of it: the same for whoever reads them, in their order.

    topic  ··n── born ─────────┐            n   there is such a topic: its kind, its first secret or its box
           ··a── entry ────────┤            a   an entry that anybody may add at any time, one subject for each entry id
           ··c── commit entry ─┼──▶ Fold    c   an entry that needs to know the one before it
           ··x── event ────────┘            x   a commit was confirmed, the topic was trimmed, the topic is no more

Nothing here waits or asks. `Fold.take` is given every message of one topic in the order of the stream, and says what
it means as news. What a message would break (a second birth, a confirmation of what is not there) it does not do: who
wrote it was not up to date, or wrote it twice. So two relays that have read equally far know the same, without a word
between them.

A fold can be put away (`Fold.snapshot`) and taken up again, so that not every reader begins with the first message,
and so that the head survives when old messages are purged.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass, field, fields
from typing import Annotated, Final, Self

from relay.store.base import TAG_SIZE, Box, CommitRow, Known, Stored, Topic, TopicKind
from relay.store.news import Added, Confirmed, Created, Dropped, OfTopic, Shortened
from securechan.codec import U8, U64, Enum8, Nothing, Opaque, Struct, fixed, select, text, vec
from securechan.errors import Malformed
from securechan.wire.chain import Position, advance, start
from securechan.wire.frames import CommitClaim

ROWS: Final = 8000  # commits that are remembered of one topic; older closed ones are forgotten
IDS: Final = 16_384  # ids of ordered entries that are; an older one's retry is told what the topic has come to since
_MOST: Final = 1 << 20  # bytes of the rows of a snapshot

Tag = Annotated[bytes, fixed(16)]
Hash = Annotated[bytes, fixed(32)]


class Part(enum.Enum):
    """Which kind of message it is: the token of its subject behind the topic's."""

    BORN = "n"
    FREE = "a"
    ORDERED = "c"
    EVENT = "x"


PARTS: Final = {part.value: part for part in Part}


class Secret(Struct):
    """How a GROUP topic was created."""

    access: Hash
    founder: Tag
    at: U64  # Unix seconds


class Opened(Struct):
    """How a BOX topic was opened."""

    mac_key: Opaque
    agency: Annotated[str, text(max=256)]
    not_after: U64  # Unix seconds

    def box(self) -> Box:
        return Box(self.mac_key, self.agency, self.not_after)


class Kind(Enum8):
    """`TopicKind`, on the wire."""

    GROUP = 1
    INBOX = 2
    TRUST = 3
    BOX = 4


class Born(Struct):
    """Body of an ``n`` message."""

    kind: Kind
    how: Annotated[
        Secret | Opened | None,
        select("kind", {Kind.GROUP: Secret, Kind.INBOX: Nothing, Kind.TRUST: Nothing, Kind.BOX: Opened}),
    ]


class EventKind(Enum8):
    """What an ``x`` message says."""

    CONFIRMED = 1
    TRIMMED = 2
    DROPPED = 3


class Confirmation(Struct):
    """The commit entry at ``sequence`` is confirmed; see `relay.store.base.Confirm`."""

    sequence: U64
    closes: U64


class Trim(Struct):
    """Entries up to ``position`` are gone; ``total``: how many the topic had had by then."""

    position: Position
    total: U64


class Event(Struct):
    """Body of an ``x`` message."""

    kind: EventKind
    what: Annotated[
        Confirmation | Trim | None,
        select(
            "kind",
            {EventKind.CONFIRMED: Confirmation, EventKind.TRIMMED: Trim, EventKind.DROPPED: Nothing},
        ),
    ]


class Row(Struct):
    """A commit entry, as far as access is concerned. 73 bytes."""

    sequence: U64
    access: Hash
    committer: Tag
    at: U64
    closed: U8
    closes: U64

    def row(self) -> CommitRow:
        return CommitRow(self.sequence, self.access, self.committer, self.at, self.closes if self.closed else None)


class Named(Struct):
    """An ordered entry and its id. 40 bytes."""

    sequence: U64
    entry_id: Hash


class Snapshot(Struct):
    """A fold that was put away. ``at``: the last message that is in it."""

    at: U64
    born: Annotated[tuple[Born, ...], vec(max=4096, most=1)]
    last: Position
    total: U64
    trimmed: Position
    trimmed_total: U64
    last_id: Hash
    ordered: U64
    commit: U64
    commit_id: Hash
    rows: Annotated[tuple[Row, ...], vec(max=_MOST)]
    ids: Annotated[tuple[Named, ...], vec(max=_MOST)]


def entry_of(at: int, part: Part, body: bytes, committer: bytes) -> tuple[Stored, CommitClaim | None]:
    """The entry of an ``a`` or ``c`` message; given as to `Fold.take`. Raises `Malformed` for what no relay writes."""
    stored = Stored.unpacked(at, body)
    stored.check()
    if not stored.is_commit:
        return stored, None
    claim = stored.entry().commit
    if claim is None or part is not Part.ORDERED or len(committer) != TAG_SIZE:
        raise Malformed("a commit entry without its claim or its committer, or out of order")
    return stored, claim


@dataclass(slots=True)
class Fold:
    """Everything that follows of one topic. ``at``: the stream's sequence of the last message that was taken."""

    topic: bytes
    at: int = 0
    born: Born | None = None
    kind: TopicKind | None = None
    last: Position = field(init=False)
    total: int = 0  # entries that there ever were
    trimmed: Position = field(init=False)
    trimmed_total: int = 0
    last_id: bytes = bytes(32)
    ordered: int = 0  # the last ``c`` message
    commit: int = 0
    commit_id: bytes = bytes(32)
    rows: dict[int, CommitRow] = field(default_factory=dict)  # by sequence
    ids: dict[bytes, int] = field(default_factory=dict)  # of ordered entries
    claims: dict[bytes, int] = field(default_factory=dict)  # access hashes

    def __post_init__(self) -> None:
        self.last = self.trimmed = start(self.topic)

    @property
    def box(self) -> Box | None:
        how = None if self.born is None else self.born.how
        return how.box() if isinstance(how, Opened) else None

    @property
    def count(self) -> int:
        return self.total - self.trimmed_total

    # ---------------------------------------------------------------------------------------------- messages

    def take(self, at: int, part: Part, body: bytes, committer: bytes = b"") -> OfTopic | None:
        """One more message of the topic: its place in the stream, its part and body, and of a commit entry the tag of
        its committer. Raises `Malformed` for what no relay writes; that changes nothing but what the next ordered entry
        finds before it."""
        if at <= self.at:
            return None
        self.at = at
        match part:
            case Part.BORN:
                return self._be_born(Born.decode(body))
            case Part.EVENT:
                return self._happen(Event.decode(body))
            case Part.FREE | Part.ORDERED:
                return self._add(at, part, body, committer)

    def _be_born(self, born: Born) -> OfTopic | None:
        if self.born is not None:
            return None
        self.born, self.kind = born, TopicKind(born.kind)
        row = None
        if isinstance(born.how, Secret):
            row = CommitRow(0, born.how.access, born.how.founder, born.how.at, closes=0)
            self._remember(row)
        if born.kind in (Kind.GROUP, Kind.BOX):
            return Created(self.topic, self.kind, row, self.box)
        return None

    def _add(self, at: int, part: Part, body: bytes, committer: bytes) -> OfTopic | None:
        if part is Part.ORDERED:
            self.ordered = at  # whatever it is: the cluster holds the next one against it
        if self.kind is None:
            return None  # it came too late: the topic is no more
        stored, claim = entry_of(at, part, body, committer)
        self.last = advance(self.last, stored.kind, stored.entry_id, at, stored.body)
        self.total += 1
        self.last_id = stored.entry_id
        if part is Part.ORDERED:
            self.ids[stored.entry_id] = at
            if len(self.ids) > IDS:
                del self.ids[next(iter(self.ids))]
        if claim is not None:
            self.commit, self.commit_id = at, stored.entry_id
            self._remember(CommitRow(at, claim.next_access, committer, stored.at // 1000, None))
        return Added(self.topic, self.kind, stored, self.last, committer)

    def _happen(self, event: Event) -> OfTopic | None:
        match event.what:
            case Confirmation(sequence=sequence, closes=closes):
                row = self.rows.get(sequence)
                if row is None or row.closes is not None:
                    return None
                row = self.rows[sequence] = CommitRow(row.sequence, row.access, row.committer, row.at, closes)
                return Confirmed(self.topic, row)
            case Trim(position=position, total=total):
                if position.sequence <= self.trimmed.sequence or position.sequence > self.last.sequence:
                    return None
                self.trimmed, self.trimmed_total = position, total
                self.ids = {entry_id: at for entry_id, at in self.ids.items() if at > position.sequence}
                self._forget(position.sequence)
                return Shortened(self.topic, position)
            case _:
                self._reset()
                return Dropped(self.topic)

    def _reset(self) -> None:
        """As if nothing had been."""
        new = Fold(self.topic, self.at)
        for each in fields(self):
            setattr(self, each.name, getattr(new, each.name))

    def _remember(self, row: CommitRow) -> None:
        self.rows[row.sequence] = row
        self.claims[row.access] = row.sequence
        if len(self.rows) > ROWS:
            self._forget(list(self.rows)[len(self.rows) - ROWS - 1])

    def _forget(self, upto: int) -> None:
        """Forget closed secrets that were claimed up to there."""
        base = self._base()
        for sequence in [s for s in self.rows if s <= upto and s < base]:
            del self.claims[self.rows.pop(sequence).access]

    def _base(self) -> int:
        return max((row.sequence for row in self.rows.values() if row.closes is not None), default=0)

    # ---------------------------------------------------------------------------------------------- what is known

    def head(self) -> Topic | None:
        """As `Store.topic` gives it."""
        if self.kind is None:
            return None
        base = self._base()
        rungs = tuple(row for row in self.rows.values() if row.sequence >= base)
        return Topic(self.kind, self.last, self.commit, self.commit_id, self.trimmed, self.count, rungs)

    def known(self, access: bytes) -> Known | None:
        """As `Store.known` gives it."""
        if access not in self.claims:
            return None
        row = self.rows[self.claims[access]]
        later = (r.closes for r in self.rows.values() if r.closes is not None and r.sequence > row.sequence)
        return Known(row, next(later, None))

    # ---------------------------------------------------------------------------------------------- put away

    def snapshot(self) -> Snapshot:
        """All of it, to be taken up again with `restore`."""
        rows = tuple(
            Row(
                row.sequence,
                row.access,
                row.committer,
                row.at,
                int(row.closes is not None),
                row.closes or 0,
            )
            for row in self.rows.values()
        )
        born = () if self.born is None else (self.born,)
        return Snapshot(
            self.at,
            born,
            self.last,
            self.total,
            self.trimmed,
            self.trimmed_total,
            self.last_id,
            self.ordered,
            self.commit,
            self.commit_id,
            rows,
            tuple(Named(at, entry_id) for entry_id, at in self.ids.items()),
        )

    @classmethod
    def restore(cls, topic: bytes, kept: Snapshot) -> Self:
        """The fold that gave this snapshot."""
        made = cls(topic, kept.at)
        if kept.born:
            made.born, made.kind = kept.born[0], TopicKind(kept.born[0].kind)
        made.last, made.total = kept.last, kept.total
        made.trimmed, made.trimmed_total = kept.trimmed, kept.trimmed_total
        made.last_id, made.ordered = kept.last_id, kept.ordered
        made.commit, made.commit_id = kept.commit, kept.commit_id
        made.rows = {row.sequence: row.row() for row in kept.rows}
        made.claims = {row.access: row.sequence for row in kept.rows}
        made.ids = {named.entry_id: named.sequence for named in kept.ids}
        return made
