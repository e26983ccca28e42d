"""What a store promises: writes go in as batches, each batch becomes durable as one, and every write gets its answer.

    mailroom ──commit([w1, w2, …])──▶ store ──one transaction, one fsync──▶ [r1, r2, …]      all of them, or an error
             ──read(topic, after)───▶       ──▶ a run of entries in order

The store orders and remembers; it decides nothing about people. Three judgements are its own, because only the place
that writes can make them: **an entry id is looked up before any expectation** (same id and content: the same answer;
same id, other content: `Clash`), **of two commit entries with one expectation exactly one is stored** (`Behind` names
the winner), and **a key package leaves once**. A batch that can't be made durable raises `StoreFull` or `StoreFailed`.
A store that is one file is then as it was. One that is spread over machines may not know what became of a write: it
answers that write with `StoreFailed` in its place, and whoever repeats it (same id, same content) learns the outcome.

What became durable is told as news (`relay.store.news`), whoever wrote it: this relay or another one on the same store.

A topic's head (kind, last position, last commit entry, the commits that may still be live, the trim point with its
chain value) survives every trim. Entries are stored in their wire form, so that catching up copies bytes:

    sequence u64 ‖ kind u8 ‖ entry id [32] ‖ time u64 ms ‖ body opaque<V> ‖ optional<CommitClaim>
    0              8         9               41            49
"""

from __future__ import annotations

import enum
import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Protocol

from securechan.codec import Reader, write_varint
from securechan.errors import Refused
from securechan.wire.chain import Position
from securechan.wire.frames import CommitClaim, Entry, EntryKind

if TYPE_CHECKING:
    from relay.store.news import News

TAG_SIZE: Final = 16  # bytes that stand for a device in what is stored
SPENT_FOR: Final = 100 * 86400  # seconds for which a key package that was handed out is remembered
CHARGED_FOR: Final = 400 * 86400  # seconds for which charges are kept
_FRONT: Final = struct.Struct(">QB32sQ")
_TAIL_AT: Final = _FRONT.size
_COMMIT: Final = int(EntryKind.COMMIT)  # asked of each entry for each reader
_KINDS: Final = frozenset(map(int, EntryKind))


class StoreFull(Refused):
    """The write did not fit on the disk; nothing of it was stored."""

    code = "full"


class StoreFailed(Refused):
    """The write could not be made durable, or not in time: where many machines store, it may yet turn out to be."""

    code = "internal"


class TopicKind(enum.IntEnum):
    """How a topic came to be."""

    GROUP = 1
    INBOX = 2
    TRUST = 3
    BOX = 4


# ---------------------------------------------------------------------------------------------------- what is kept


def tail_of(body: bytes, commit: CommitClaim | None) -> bytes:
    """The part of an entry's wire form that its sender determines alone, apart from kind and id."""
    size = len(body)
    if commit is None and 1 << 6 <= size < 1 << 14:  # nearly all
        return b"".join(((size | 0x4000).to_bytes(2, "big"), body, b"\0"))
    length = bytearray()
    write_varint(length, size)
    return b"".join((length, body, b"\0" if commit is None else b"\1" + commit.encode()))


@dataclass(slots=True, unsafe_hash=True)  # one an entry; nobody changes it, but frozen it takes longer to make
class Stored:
    """An entry as it is kept: ``wire`` is exactly ``Entry.encode()``."""

    sequence: int
    wire: bytes

    @classmethod
    def make(cls, sequence: int, kind: EntryKind, entry_id: bytes, at: int, tail: bytes) -> Stored:
        return cls(sequence, _FRONT.pack(sequence, kind, entry_id, at) + tail)

    @classmethod
    def unpacked(cls, sequence: int, packed: bytes) -> Stored:
        """From what `packed` gave, at this place."""
        return cls(sequence, sequence.to_bytes(8, "big") + packed)

    @staticmethod
    def front(kind: EntryKind, entry_id: bytes, at: int) -> bytes:
        """What `packed` has before the tail."""
        return _FRONT.pack(0, kind, entry_id, at)[8:]

    @property
    def packed(self) -> bytes:
        """All of it but its place."""
        return self.wire[8:]

    @property
    def kind(self) -> int:
        return self.wire[8]

    @property
    def is_commit(self) -> bool:
        return self.wire[8] == _COMMIT

    @property
    def body(self) -> bytes:
        """Raises `Malformed` for what is no entry."""
        wire = self.wire
        size = int.from_bytes(wire[_TAIL_AT : _TAIL_AT + 2], "big") ^ 0x4000
        if 1 << 6 <= size < 1 << 14 and len(wire) >= _TAIL_AT + 2 + size:  # nearly all
            return wire[_TAIL_AT + 2 : _TAIL_AT + 2 + size]
        return Reader(wire, _TAIL_AT).vector()

    @property
    def entry_id(self) -> bytes:
        return self.wire[9:41]

    @property
    def at(self) -> int:
        """Unix milliseconds."""
        return int.from_bytes(self.wire[41:49], "big")

    def says(self, kind: EntryKind, tail: bytes) -> bool:
        """Whether this is the entry that a sender of ``kind`` and ``tail`` meant."""
        return self.wire[8] == kind and self.wire[_TAIL_AT:] == tail

    def entry(self) -> Entry:
        return Entry.decode(self.wire)

    def check(self) -> None:
        """Raises `Malformed` where it is not the wire form of an entry, as `entry` does; quick for nearly all."""
        wire = self.wire
        size = int.from_bytes(wire[_TAIL_AT : _TAIL_AT + 2], "big") ^ 0x4000
        usual = 1 << 6 <= size < 1 << 14 and len(wire) == _TAIL_AT + 3 + size and not wire[-1] and wire[8] in _KINDS
        if not usual:
            self.entry()


@dataclass(frozen=True, slots=True)
class CommitRow:
    """What is remembered of a commit entry (sequence 0: of the topic's creation) for the sake of access."""

    sequence: int
    access: bytes  # SHA-256 of the access secret of the epoch it claims to open
    committer: bytes  # tag of the device, 16 bytes
    at: int  # Unix seconds
    closes: int | None  # when it is confirmed: how far the secrets below it read; else None


@dataclass(frozen=True, slots=True)
class Topic:
    """A topic's head."""

    kind: TopicKind
    last: Position
    commit: int  # sequence of the last commit entry, 0 before the first
    commit_id: bytes  # its entry id, zeros before the first
    trimmed: Position  # entries up to here are gone
    count: int  # entries that are there
    rungs: tuple[CommitRow, ...]  # from the last confirmed one (or the creation) on, in order; empty unless GROUP


@dataclass(frozen=True, slots=True)
class Run:
    """Entries in order; ``more`` when the run was ended by its size. ``trimmed``: up to where entries were gone by the
    time it was read; where that is behind the place it was asked for, some may be missing at its front."""

    entries: tuple[Stored, ...]
    more: bool
    trimmed: int = 0


@dataclass(frozen=True, slots=True)
class Known:
    """Where an access hash of a topic stands: ``closed_by`` is how far it reads, once a later one is confirmed."""

    row: CommitRow
    closed_by: int | None


@dataclass(frozen=True, slots=True)
class Box:
    """An enrolment box: ``mac_key`` is what a guest proves itself with."""

    mac_key: bytes
    agency: str
    not_after: int  # Unix seconds


@dataclass(frozen=True, slots=True)
class Upload:
    """A blob on its way in."""

    total: int
    have: int


# ---------------------------------------------------------------------------------------------------- writes


@dataclass(frozen=True, slots=True)
class NewTopic:
    """Create a GROUP topic. `Made`, also when the same founder repeats it; `Clash` when the topic exists otherwise."""

    topic: bytes
    access: bytes
    founder: bytes
    at: int  # Unix seconds


@dataclass(frozen=True, slots=True)
class NewBox:
    """Open an enrolment box. `Made`, also when repeated alike; else `Clash`."""

    topic: bytes
    box: Box


@dataclass(slots=True)  # one an append: frozen, it would take three times as long to make
class Append:
    """Add an entry. ``creates`` makes a topic that is not there; ``after`` (of TRUST and BOX topics only) demands that
    the topic's last entry is that one; ``room`` bounds the entries a topic holds, as far as this relay knows of them.
    Answers `Placed`, `Clash`, `Behind`, `Missing`, `Overfull`."""

    topic: bytes
    kind: EntryKind
    entry_id: bytes
    body: bytes
    tail: bytes  # tail_of(body, commit)
    at: int  # Unix milliseconds
    commit: CommitClaim | None = None
    committer: bytes = b""
    creates: TopicKind | None = None
    after: int | None = None
    room: int | None = None


@dataclass(frozen=True, slots=True)
class Confirm:
    """The commit entry at ``sequence`` is confirmed: secrets that were claimed below it read up to and including the
    commit entry at ``closes``. What is confirmed stays as it is. Answers `Made`, `Missing`."""

    topic: bytes
    sequence: int
    closes: int


@dataclass(frozen=True, slots=True)
class TrimTo:
    """Forget the entries up to and including ``upto``, never the last commit entry. `Trimmed`, `Missing`."""

    topic: bytes
    upto: int


@dataclass(frozen=True, slots=True)
class DropTopic:
    """Forget a topic that stands where an inbox belongs, and all its entries. `Made`; `Missing` where there is none, or
    it is an inbox."""

    topic: bytes


@dataclass(frozen=True, slots=True)
class PutPackages:
    """Keep key packages of a device. `Counted` (all of that suite), `Overfull` beyond ``room``."""

    device: str
    suite: int
    packages: tuple[bytes, ...]
    last_resort: bytes | None
    purge: bool
    room: int


@dataclass(frozen=True, slots=True)
class TakePackage:
    """Hand out one key package of a device: never the same twice, even if it is put again, unless it is the last
    resort. `Taken`, `Missing`."""

    device: str
    suite: int
    at: int  # Unix seconds


@dataclass(frozen=True, slots=True)
class PutPart:
    """The next piece of a blob that ``owner`` uploads; ``done`` moves it among the blobs. `Counted` (bytes there)."""

    owner: bytes
    blob: bytes
    total: int
    offset: int
    piece: bytes
    done: bool
    expires: int  # Unix seconds: of the upload, or of the blob when done


@dataclass(frozen=True, slots=True)
class DropUpload:
    """Forget an upload. `Made`."""

    owner: bytes
    blob: bytes


@dataclass(frozen=True, slots=True)
class Sweep:
    """Forget blobs, uploads, boxes, spent key packages and charges whose time is over; ``limit`` bounds each.
    `Counted`."""

    now: int  # Unix seconds
    limit: int = 64


@dataclass(frozen=True, slots=True)
class Charge:
    """An agency brought in so many bytes on a day (days since 1970). `Made`."""

    agency: str
    day: int
    size: int


Write = (
    NewTopic
    | NewBox
    | Append
    | Confirm
    | TrimTo
    | DropTopic
    | PutPackages
    | TakePackage
    | PutPart
    | DropUpload
    | Sweep
    | Charge
)


# ---------------------------------------------------------------------------------------------------- results


@dataclass(frozen=True, slots=True)
class Made:
    """It is so."""


@dataclass(slots=True)  # likewise
class Placed:
    """The entry is there. ``position``: the topic's after it, if this write put it there; None if it was there."""

    stored: Stored
    position: Position | None

    @property
    def fresh(self) -> bool:
        return self.position is not None


@dataclass(frozen=True, slots=True)
class Clash:
    """It exists, and differs: a topic, an entry id, or an access hash that was claimed before."""

    what: str


@dataclass(frozen=True, slots=True)
class Behind:
    """The expectation is not what the topic holds: the entry that does."""

    sequence: int
    entry_id: bytes


@dataclass(frozen=True, slots=True)
class Missing:
    """No such thing."""


@dataclass(frozen=True, slots=True)
class Overfull:
    """It holds as many as it may."""


@dataclass(frozen=True, slots=True)
class Trimmed:
    """Entries up to here are gone."""

    position: Position


@dataclass(frozen=True, slots=True)
class Counted:
    count: int


@dataclass(frozen=True, slots=True)
class Taken:
    package: bytes
    last_resort: bool


Result = Made | Placed | Clash | Behind | Missing | Overfull | Trimmed | Counted | Taken
Outcome = Result | StoreFull | StoreFailed


@dataclass(frozen=True, slots=True)
class Aged:
    """Topics, each with the last sequence whose entry is too old (0: none). ``cursor`` goes on; empty at the end."""

    topics: tuple[tuple[bytes, int], ...]
    cursor: bytes


@dataclass(frozen=True, slots=True)
class Health:
    """How a store is. ``trouble``: why it can't serve now, in words for the operator; empty when it can.
    ``unreadable``: how often something was passed over that no relay writes."""

    trouble: str = ""
    unreadable: int = 0


# ---------------------------------------------------------------------------------------------------- the store


class Store(Protocol):
    """All methods may be called at any time and from many tasks of one event loop."""

    def listen(self, hear: Callable[[News], None]) -> None:
        """From now on tell news to ``hear``, on the event loop."""
        ...

    def release(self, topic: bytes) -> None:
        """Nobody here needs news of this topic any more."""
        ...

    def announce(self, who: bytes) -> None:
        """A session of ``who`` (at most 512 bytes) has begun here: relays on the same store that have an older one hear
        `Elsewhere`. Never waits."""
        ...

    def retract(self, who: bytes) -> None:
        """The session of ``who`` that was announced last has ended: where other relays have not been told of it yet,
        they need not be. Never waits."""
        ...

    async def commit(self, batch: Sequence[Write]) -> Sequence[Outcome]:
        """Apply the writes, those of a batch about one thing in order, durably. See the head of this file for what is
        raised."""
        ...

    async def settle(self) -> None:
        """Return when all that was acknowledged by now, through any relay, was told here. Raises `StoreFailed`."""
        ...

    async def topic(self, topic: bytes) -> Topic | None:
        """A topic's head; from now on until `release` its news are told."""
        ...

    async def read(self, topic: bytes, after: int, upto: int | None, size: int) -> Run:
        """Entries after ``after`` and up to ``upto``, at least one if there is one, until ``size`` bytes are passed."""
        ...

    async def entry(self, topic: bytes, entry_id: bytes) -> Stored | None:
        """The entry of that id."""
        ...

    async def known(self, topic: bytes, access: bytes) -> Known | None:
        """Where an access hash stands."""
        ...

    async def box(self, topic: bytes) -> Box | None:
        """An enrolment box."""
        ...

    async def packages(self, device: str, suite: int) -> int:
        """How many key packages are left, the last resort not counted."""
        ...

    async def blob(self, blob: bytes) -> int | None:
        """The size of a complete blob."""
        ...

    async def piece(self, blob: bytes, offset: int, size: int) -> bytes:
        """Bytes of a complete blob, empty beyond its end."""
        ...

    async def upload(self, owner: bytes, blob: bytes) -> Upload | None:
        """How far an upload has come."""
        ...

    async def upload_piece(self, owner: bytes, blob: bytes, offset: int, size: int) -> bytes:
        """Bytes of an upload, to hash it again after a restart."""
        ...

    async def usage(self) -> int:
        """Bytes in use."""
        ...

    async def charges(self, since: int) -> dict[str, int]:
        """Bytes that each agency brought in since a day, that day included."""
        ...

    async def aged(self, cursor: bytes, limit: int, before: int) -> Aged:
        """The next ``limit`` topics after ``cursor`` (empty: from the first), each with the last sequence whose entry
        is older than ``before`` (Unix milliseconds)."""
        ...

    def free(self) -> float:
        """Which part of the place for entries is left, from 0 to 1, as far as is known without waiting."""
        ...

    def health(self) -> Health:
        """How it is, as far as is known without waiting."""
        ...

    async def close(self) -> None:
        """Finish what runs, release the store."""
        ...
