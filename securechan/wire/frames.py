"""What client and relay say to each other inside records: requests, their answers, and what the relay pushes.

A record holds any number of frames, so that one seal and one write carry a whole group commit. A request carries a
number of the client's choice; exactly one `Answer` repeats it. Entries, heads and ``bye`` come unasked. Frames know
topics, not groups: the relay never learns what an entry says.

    topic      32 bytes. GROUP: chosen at random by its founder. INBOX: `inbox_topic(device)`. TRUST: `TRUST_TOPIC`.
               BOX: derived from an invite's code. Kinds are told apart by how they came to be, not by the number.
    entry id   32 bytes chosen by the sender; the same id and bytes get the same answer for as long as the entry lives.
    sequence   per topic, increasing from 1, not necessarily dense; 0 is "before the first".
"""

from __future__ import annotations

import hashlib
import struct
from dataclasses import field
from typing import Annotated, Final, Self

from securechan.codec import U8, U16, U32, U64, Enum8, Enum16, Reader, Struct, fixed, opaque, select, text, vec
from securechan.wire.chain import ChainValue

MAX_ENTRY: Final = 2 << 20  # bytes of one entry's body: a commit that fills a blank tree of 1,000 weighs 1.3 MB
MAX_FRAMES: Final = (4 << 20) - (1 << 16)  # bytes of all frames of one record
MOST_FRAMES: Final = 4096  # in one record: reading a frame costs time whatever its size
MOST_DOCUMENTS: Final = 256  # in one publication
MOST_PACKAGES: Final = 256  # in one request
MAX_CHUNK: Final = 256 << 10  # bytes of one piece of a blob
MAX_BLOB: Final = 64 << 20

TopicId = Annotated[bytes, fixed(32)]
EntryId = Annotated[bytes, fixed(32)]
Hash32 = Annotated[bytes, fixed(32)]
Body = Annotated[bytes, opaque(MAX_ENTRY)]
DeviceName = Annotated[str, text(160)]  # "agency/device"

TRUST_TOPIC: Final = hashlib.sha256(b"securechan/1 trust topic").digest()


def inbox_topic(device: str) -> bytes:
    """The inbox topic (32 bytes) of ``"agency/device"``."""
    return hashlib.sha256(b"securechan/1 inbox topic" + device.encode()).digest()


class EntryKind(Enum8):
    """What kind of entry a topic holds; the relay treats commits alone differently."""

    APPLICATION = 0
    COMMIT = 1
    INBOX = 2
    TRUST = 3
    BOX = 4


class Code(Enum16):
    """Why the relay refuses. SPEC.md lists what a client does about each."""

    MALFORMED = 1
    UNKNOWN_TOPIC = 2
    ACCESS_DENIED = 3
    STALE = 4
    CONFLICT = 5  # the id was used for other bytes, or the topic exists
    TOO_LARGE = 6
    QUOTA = 7
    OVERLOADED = 8
    FULL = 9  # the disk is nearly full: appends stop, heads and trust still write
    NOT_FOUND = 10
    FORBIDDEN = 11  # this kind of session may not ask this
    UNTRUSTED = 12  # a publication that the trust rules refuse
    EXPIRED = 13
    TRIMMED = 14  # what was asked for lies before the trim point
    INTERNAL = 15


# ------------------------------------------------------------------------------------------------- client → relay


class CommitClaim(Struct):
    """What makes an entry a commit entry: where its sender thinks the epoch began, and who may read the next."""

    expected: U64  # sequence of the previous commit entry; 0 before the first
    next_access: Hash32  # SHA-256 of the access secret of the epoch that this commit opens


class CreateTopic(Struct):
    """Make a GROUP topic; ``access`` is SHA-256 of epoch 0's access secret."""

    topic: TopicId
    access: Hash32


class Append(Struct):
    """Add an entry to a GROUP topic (a live secret must have been shown) or to a BOX."""

    topic: TopicId
    entry_id: EntryId
    body: Body
    commit: CommitClaim | None


class Show(Struct):
    """Show an access secret of a GROUP topic on this session."""

    topic: TopicId
    secret: Hash32 = field(repr=False)


class Subscribe(Struct):
    """Send every entry after ``after``, then each new one. A GROUP subscription stops at each commit entry until the
    next secret is shown."""

    topic: TopicId
    after: U64


class Unsubscribe(Struct):
    topic: TopicId


class Deliver(Struct):
    """Add an entry to another device's INBOX."""

    topic: TopicId
    entry_id: EntryId
    body: Body


class Trim(Struct):
    """Forget the entries of the caller's own INBOX up to and including ``upto``."""

    topic: TopicId
    upto: U64


class TrustDocument(Struct):
    """One signed TUF metadata file, byte for byte. ``role`` is its TUF role name."""

    role: Annotated[str, text(128)]
    content: Annotated[bytes, opaque(4 << 20)]


class Publish(Struct):
    """Ask the publisher to verify these documents, sign snapshot and timestamp over them and append them to TRUST.
    ``expected`` is the sequence of the newest trust entry the caller knows."""

    expected: U64
    documents: Annotated[tuple[TrustDocument, ...], vec(MAX_ENTRY, MOST_DOCUMENTS)]


class Publication(Struct):
    """The body of a TRUST entry: documents that take effect together (snapshot and timestamp among them)."""

    documents: Annotated[tuple[TrustDocument, ...], vec(MAX_ENTRY, MOST_DOCUMENTS)]


class PutBlob(Struct):
    """One piece of a blob of ``total`` bytes whose SHA-256 is ``blob``; pieces come in order."""

    blob: Hash32
    total: U32
    offset: U32
    piece: Annotated[bytes, opaque(MAX_CHUNK)]


class GetBlob(Struct):
    """Ask for at most `MAX_CHUNK` bytes of a blob from ``offset``."""

    blob: Hash32
    offset: U32


class PutKeyPackages(Struct):
    """Store the caller's key packages for a suite. ``purge`` = 1 first removes all that are there."""

    suite: U16
    purge: U8
    packages: Annotated[tuple[Annotated[bytes, opaque(1 << 16)], ...], vec(MAX_FRAMES, MOST_PACKAGES)]
    last_resort: Annotated[bytes, opaque(1 << 16)] | None


class TakeKeyPackage(Struct):
    """Take one key package of a device; each is handed out once, the last-resort one as often as need be."""

    device: DeviceName
    suite: U16


class CountKeyPackages(Struct):
    """How many of the caller's own key packages are left for a suite."""

    suite: U16


class CreateBox(Struct):
    """Open an enrolment box (administrators only). A guest proves itself with ``mac_key``; ``not_after`` is Unix
    seconds; the box takes one request of a guest."""

    box: TopicId
    mac_key: Hash32
    not_after: U64


class GetHeads(Struct):
    """Ask for signed heads of topics that this session may read."""

    topics: Annotated[tuple[TopicId, ...], vec(1 << 14)]


class Ping(Struct):
    """Keep the session alive; the answer is `Done`."""


class RequestKind(Enum8):
    CREATE_TOPIC = 1
    APPEND = 2
    SHOW = 3
    SUBSCRIBE = 4
    UNSUBSCRIBE = 5
    DELIVER = 6
    TRIM = 7
    PUBLISH = 8
    PUT_BLOB = 9
    GET_BLOB = 10
    PUT_KEY_PACKAGES = 11
    TAKE_KEY_PACKAGE = 12
    COUNT_KEY_PACKAGES = 13
    CREATE_BOX = 14
    GET_HEADS = 15
    PING = 16


RequestBody = (
    CreateTopic
    | Append
    | Show
    | Subscribe
    | Unsubscribe
    | Deliver
    | Trim
    | Publish
    | PutBlob
    | GetBlob
    | PutKeyPackages
    | TakeKeyPackage
    | CountKeyPackages
    | CreateBox
    | GetHeads
    | Ping
)

REQUESTS: Final[dict[RequestKind, type[RequestBody]]] = {
    RequestKind.CREATE_TOPIC: CreateTopic,
    RequestKind.APPEND: Append,
    RequestKind.SHOW: Show,
    RequestKind.SUBSCRIBE: Subscribe,
    RequestKind.UNSUBSCRIBE: Unsubscribe,
    RequestKind.DELIVER: Deliver,
    RequestKind.TRIM: Trim,
    RequestKind.PUBLISH: Publish,
    RequestKind.PUT_BLOB: PutBlob,
    RequestKind.GET_BLOB: GetBlob,
    RequestKind.PUT_KEY_PACKAGES: PutKeyPackages,
    RequestKind.TAKE_KEY_PACKAGE: TakeKeyPackage,
    RequestKind.COUNT_KEY_PACKAGES: CountKeyPackages,
    RequestKind.CREATE_BOX: CreateBox,
    RequestKind.GET_HEADS: GetHeads,
    RequestKind.PING: Ping,
}
_REQUEST_KIND: Final = {body: kind for kind, body in REQUESTS.items()}


class Request(Struct):
    """A question with a number of the client's choice."""

    number: U32
    kind: RequestKind
    body: Annotated[RequestBody, select("kind", REQUESTS)]

    @classmethod
    def of(cls, number: int, body: RequestBody) -> Request:
        return cls(number, _REQUEST_KIND[type(body)], body)


# ------------------------------------------------------------------------------------------------- relay → client


class Done(Struct):
    """It is so."""


class Appended(Struct):
    """Durable at ``sequence``. Says nothing of who won an epoch: read the log."""

    sequence: U64


class Error(Struct):
    """Refused. ``retry_after`` is in milliseconds, 0 where waiting does not help; ``sequence`` and ``entry_id`` name
    the commit entry that won (STALE) or the trust entry to read first."""

    code: Code
    retry_after: U32
    message: Annotated[str, text(512)]
    sequence: U64
    entry_id: EntryId


class Piece(Struct):
    """At most `MAX_CHUNK` bytes of a blob of ``total`` bytes."""

    total: U32
    offset: U32
    piece: Annotated[bytes, opaque(MAX_CHUNK)]


class KeyPackageTaken(Struct):
    package: Annotated[bytes, opaque(1 << 16)]
    last_resort: U8


class Count(Struct):
    count: U32


class AnswerKind(Enum8):
    DONE = 0
    APPENDED = 1
    ERROR = 2
    PIECE = 3
    KEY_PACKAGE = 4
    COUNT = 5


AnswerBody = Done | Appended | Error | Piece | KeyPackageTaken | Count

ANSWERS: Final[dict[AnswerKind, type[AnswerBody]]] = {
    AnswerKind.DONE: Done,
    AnswerKind.APPENDED: Appended,
    AnswerKind.ERROR: Error,
    AnswerKind.PIECE: Piece,
    AnswerKind.KEY_PACKAGE: KeyPackageTaken,
    AnswerKind.COUNT: Count,
}
_ANSWER_KIND: Final = {body: kind for kind, body in ANSWERS.items()}


class Answer(Struct):
    """The one answer to the request of that number."""

    number: U32
    kind: AnswerKind
    body: Annotated[AnswerBody, select("kind", ANSWERS)]

    @classmethod
    def of(cls, number: int, body: AnswerBody) -> Answer:
        return cls(number, _ANSWER_KIND[type(body)], body)


class Entry(Struct):
    """One entry of a topic as it is stored and chained. ``time`` is the relay's, in Unix milliseconds: a claim.
    ``next_access`` repeats a commit entry's claim, so that readers know which secret the relay awaits."""

    sequence: U64
    kind: EntryKind
    entry_id: EntryId
    time: U64
    body: Annotated[bytes, opaque(4 << 20)]
    commit: CommitClaim | None


class Halt(Enum8):
    """Why a run of entries ends here."""

    MORE = 0  # more follows
    TAIL = 1  # everything the topic holds has been sent; new entries follow as they come
    SHOW = 2  # the last entry is a commit: show the secret of the epoch it opens (or another live one) to go on
    END = 3  # this session's secrets open nothing further


class Entries(Struct):
    """A run of entries of one topic, in order."""

    topic: TopicId
    entries: tuple[Entry, ...]
    halt: Halt


class HeadLeaf(Struct):
    """One topic's head within a signed batch: proof is the path of sibling hashes, leaf upwards."""

    topic: TopicId
    sequence: U64
    chain: ChainValue
    index: U32
    path: tuple[ChainValue, ...]


class Heads(Struct):
    """Signed heads: one signature by the relay's online key over (relay name, time, Merkle root) of a whole batch."""

    relay: Annotated[str, text(128)]
    time: U64  # Unix milliseconds
    count: U32  # leaves in the batch
    root: ChainValue
    signature: Annotated[bytes, opaque(1 << 14)]
    leaves: tuple[HeadLeaf, ...]


class Reason(Enum8):
    """Why a session ends."""

    DONE = 0
    SHUTDOWN = 1
    REPLACED = 2  # the same device opened another session
    REVOKED = 3
    SLOW = 4
    PROTOCOL = 5
    IDLE = 6
    EXPIRED = 7  # 24 h: shake hands again


class Bye(Struct):
    """The last frame of a session, either way: without it a closed connection is a truncation."""

    reason: Reason


class FrameKind(Enum8):
    REQUEST = 1
    ANSWER = 2
    ENTRIES = 3
    HEADS = 4
    BYE = 5


FrameBody = Request | Answer | Entries | Heads | Bye

FRAMES: Final[dict[FrameKind, type[FrameBody]]] = {
    FrameKind.REQUEST: Request,
    FrameKind.ANSWER: Answer,
    FrameKind.ENTRIES: Entries,
    FrameKind.HEADS: Heads,
    FrameKind.BYE: Bye,
}
_FRAME_KIND: Final = {body: kind for kind, body in FRAMES.items()}


_APPEND: Final = struct.Struct(">BIB32s32s")  # an append up to its body
_UP_TO_BODY: Final = _APPEND.size
_REQUEST_FRAME: Final = FrameKind.REQUEST
_APPEND_KIND: Final = RequestKind.APPEND
_BY_HAND: Final = (int(_REQUEST_FRAME), int(_APPEND_KIND))  # enumerations are slow to name and to compare


class Frame(Struct):
    kind: FrameKind
    body: Annotated[FrameBody, select("kind", FRAMES)]

    @classmethod
    def of(cls, body: FrameBody) -> Frame:
        return cls(_FRAME_KIND[type(body)], body)

    @classmethod
    def read_from(cls, r: Reader) -> Self:
        """As declared. What a relay reads by the ten thousand, an append that is no commit, is read in one go; all
        else, and whatever is wrong with anything, goes the declared way. The tests hold the two to each other."""
        data, pos = r.data, r.pos
        at = pos + _UP_TO_BODY
        if at + 2 < r.end and data[pos] == _BY_HAND[0] and data[pos + 5] == _BY_HAND[1]:
            length = data[at]
            if length < 1 << 6:
                at += 1
            else:
                length = (length ^ 0x40) << 8 | data[at + 1]  # the form of two bytes; of others, a number beyond it
                at += 2
            stop = at + length
            short = length < 1 << 6
            if stop < r.end and data[stop] == 0 and length < 1 << 14 and short == (at == pos + _UP_TO_BODY + 1):
                _, number, _, topic, entry_id = _APPEND.unpack_from(data, pos)
                r.pos = stop + 1
                body, request, made = Append.__new__(Append), Request.__new__(Request), cls.__new__(cls)
                body.__dict__.update({"topic": topic, "entry_id": entry_id, "body": data[at:stop], "commit": None})
                request.__dict__.update({"number": number, "kind": _APPEND_KIND, "body": body})
                made.__dict__.update({"kind": _REQUEST_FRAME, "body": request})
                return made
        return super().read_from(r)
