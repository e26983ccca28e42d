"""The rows that an agent's mind is made of, each in the form in which the vault keeps it.

me             who this device is; one row             counters: the numbers of its next rows
keys           its signature keys, by hash (two while one replaces the other)
trust          the trust view; trust_log: the chain value of every publication, by sequence
buried         keys that a roster told in a conversation revokes, and the trust log not yet
conversations  what is known of each, by topic        groups   its MLS state, in pieces (`mls.rest`)
pasts          what each remembers of its log, but for the newest (`agent.past`)
pending        a commit that is sealed and not yet in the log
sent           hashes of what we sealed, and of what we said in it, in the current epoch: an own entry that isn't among
               them is a clone's
outbox         payloads that don't stand in the log yet, in order
letters        sealed messages to other devices' inboxes
inbox          how far our own inbox is read
offers         Welcomes that a person, or a blob, is awaited for
successions    the groups in which conversations go on, by the topic that they succeed
packages       private halves of our key packages
uploads, downloads   blobs on their way
bulletins      what is known of each; tallies: who has one of our agency's; receipts: receipts to be sent
attachments    where their contents are
consents       to forward what another agency issued: asked for, answered, given
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated, Any, Final

from securechan.agent.tables import Scattered, Table, table
from securechan.bulletin.bulletin import Receipt
from securechan.bulletin.payload import BlobRef, PayloadId
from securechan.codec import U8, U16, U32, U64, Enum8, Opaque, Struct, fixed, opaque, text, vec
from securechan.mls import rest
from securechan.mls.group import Group
from securechan.trust.view import View
from securechan.wire.chain import Position

Hash32 = Annotated[bytes, fixed(32)]
Hash48 = Annotated[bytes, fixed(48)]
Name = Annotated[str, text(255)]

HISTORY: Final = 128  # chain values kept per conversation, to hold senders' claims against
ACCESSES: Final = 7  # access secrets kept beside the current one; they open the log's door, and no message
SEEN: Final = 2048  # payloads remembered per conversation, 16 bytes each
LETTERS_KEPT: Final = 256  # letters that are known again


class Me(Struct):
    """This device. ``inbox_private`` and ``inbox_public`` are its X-Wing pair."""

    device: Name
    officer: Name
    suite: U16
    inbox_private: Opaque = field(repr=False)
    inbox_public: Opaque
    relay: Name  # our relay, and how it is reached before trust says so
    url: Name
    relay_key: Opaque
    purge: U8  # 1: key packages must be purged at the relay first


class Counters(Struct):
    """What changes at every step, apart from what hardly ever does."""

    archived: U64  # events in the archive; the next one's number
    queued: U64  # rows ever queued; the next one's number


class KeyState(Enum8):
    CURRENT = 1
    PROPOSED = 2  # made, asked for, not in the roster yet
    ADOPTING = 3  # in the roster: leaves are being updated to it
    RETIRING = 4  # replaced everywhere; still in the roster


class DeviceKey(Struct):
    """A signature key of this device; its row is named by the SHA-384 of the public half, in hexadecimal."""

    private: Opaque = field(repr=False)
    public: Opaque
    state: KeyState
    made: U64


@dataclass(frozen=True, slots=True)
class Trust:
    """The trust view, whole; its position is the last publication read."""

    view: View

    def encode(self) -> bytes:
        return self.view.encode()

    @classmethod
    def decode(cls, data: bytes) -> Trust:
        return cls(View.decode(data))


class Standing(Enum8):
    """How we stand to a conversation."""

    FOUNDING = 1  # its topic isn't made yet
    MEMBER = 2
    FROZEN = 3  # can't go on until added again
    GONE = 4  # removed


class Hold(Enum8):
    """Why nothing is sent though we are a member."""

    NO = 0
    FORK = 1  # the relay signed two histories
    CLAIMS = 2  # members of two agencies claim another history


class Confirmed(Struct):
    """Somebody entitled vouched for a device with this key, in the log."""

    device: Name
    key_hash: Hash48


class Owed(Struct):
    """Welcomes that a committer has to release. Until it speaks again nobody knows whether it has."""

    by: Name  # a device
    newcomers: Annotated[tuple[Name, ...], vec(1 << 16)]
    since: U64  # Unix seconds


class Heeded(Struct):
    """When the newest letter was written in which a device asked to be added again: older ones have done their work."""

    device: Name
    time: U64  # Unix seconds, by its clock


class Conversation(Struct):
    topic: Hash32
    name: Name
    standing: Standing
    cursor: Position  # the last entry read
    last_commit: U64  # sequence of the last commit *entry*, void or not: what the relay expects next
    commit_trust: Position  # trust position of the last commit that counted
    history: Opaque  # the newest positions, encoded one after the other, up to and including cursor
    accesses: Annotated[tuple[Hash32, ...], vec(ACCESSES * 32)] = field(repr=False)  # secrets of past epochs, in order
    mend: U8  # 1: the last commit came with a false access hash; the next one mends it
    renewed: U64  # when our own leaf was last renewed, Unix seconds
    committed: U64  # when the last commit was applied
    heard: U64  # when another member was last heard
    spoke: U64  # when anything was last in the log
    confirmed: Annotated[tuple[Confirmed, ...], vec(1 << 20)]
    officers: Annotated[tuple[Name, ...], vec(1 << 19)]  # officers that ever had a leaf (where membership goes by them)
    leaving: Annotated[tuple[Name, ...], vec(1 << 19)]  # devices that asked to leave
    returning: Annotated[tuple[Name, ...], vec(1 << 16)]  # devices that asked to be added again, of us
    heeded: Annotated[tuple[Heeded, ...], vec(1 << 16)]
    intruders: Annotated[tuple[Name, ...], vec(1 << 18)]  # devices brought in though nobody had vouched for them
    asked: Annotated[tuple[Name, ...], vec(1 << 15)]  # whom we asked to add us again
    owed: Annotated[tuple[Owed, ...], vec(1 << 18)]  # newcomers that may never have been welcomed
    wanted: Opaque  # the policy that we, a steward, want; empty if it is as it should be
    rotate: U8  # 1: renew our leaf as soon as possible
    hold: Hold
    claims: Annotated[tuple[Name, ...], vec(1 << 12)]  # agencies whose members claim another history
    seen: Annotated[bytes, opaque(SEEN * 16)]  # marks of the newest payloads (`past.mark`), the newest last
    unread: U32
    read: U64
    announced: Annotated[tuple[Confirmed, ...], vec(1 << 18)]  # waiting devices that people have been told of
    alarmed: Annotated[tuple[Confirmed, ...], vec(1 << 18)]  # quarantined leaves that people have been told of


class Past(Struct):
    """What is older than `Conversation.history` and `Conversation.seen`."""

    history: Opaque
    seen: Annotated[bytes, opaque(SEEN * 16)]


class Joiner(Struct):
    device: Name
    welcome: Opaque
    again: U8


class Pending(Struct):
    """A commit of ours: adopted when its bytes close ``epoch`` in the log, erased when others' do."""

    epoch: U64
    entry_id: Hash32
    commit: Opaque
    next_access: Hash32
    advance: Annotated[bytes, opaque(1 << 28)] = field(repr=False)  # from this epoch to the next (`mls.rest`)
    joiners: Annotated[tuple[Joiner, ...], vec(1 << 28)]
    tree: Annotated[bytes, opaque(1 << 28)]  # the next ratchet tree, for joiners; empty when `blob` names it
    blob: BlobRef | None
    trust: Position
    refused: U32  # how often the relay refused it for other reasons than order
    retry: U64  # not before, Unix seconds


class Sealed(Struct):
    """A payload as it was sealed in one epoch."""

    epoch: U64
    entry_id: Hash32
    message: Opaque


class Outgoing(Struct):
    """A payload on its way into the log of one conversation. ``label`` is its TLP label, 0 for none."""

    topic: Hash32
    payload: Opaque
    id: PayloadId
    label: U8
    needs: Annotated[tuple[Hash32, ...], vec(1 << 12)]  # blobs that must be stored before
    sealed: Sealed | None
    queued: U64


class LetterCopy(Struct):
    """A letter, sealed to one device's inbox."""

    device: Name
    body: Opaque


class LetterOut(Struct):
    """A signed letter, sealed to each of its readers. It stays until the relay has every copy."""

    kind: U8
    copies: tuple[LetterCopy, ...]
    needs: Annotated[tuple[Hash32, ...], vec(1 << 12)]
    queued: U64


class InboxState(Struct):
    cursor: U64  # the last entry processed
    done: Annotated[tuple[Hash32, ...], vec(LETTERS_KEPT * 32)]  # SHA-256 of the newest letters read, oldest first


class Offer(Struct):
    """A Welcome with what came beside it. ``accepted`` once a person or a rule said so."""

    topic: Hash32
    by: Name
    base: Position
    trust: Position
    welcome: Opaque
    tree: Annotated[bytes, opaque(1 << 28)]
    blob: BlobRef | None
    accepted: U8
    name: Name
    received: U64
    officers: Annotated[tuple[Name, ...], vec(1 << 18)]
    leaving: Annotated[tuple[Name, ...], vec(1 << 18)]
    intruders: Annotated[tuple[Name, ...], vec(1 << 18)]
    policy: Opaque  # of the group that it leads to, as was read when it was opened and people were told; empty before


class Succeeded(Struct):
    """The group in which a conversation goes on, since when here (Unix seconds), and the device that founded it."""

    topic: Hash32
    since: U64
    by: Name


class Package(Struct):
    bundle: Opaque = field(repr=False)
    last_resort: U8
    not_after: U64
    key_hash: Hash48
    stored: U8  # 1: the relay has it
    used: U64  # when a Welcome used it (last resort only)


class Upload(Struct):
    data: Annotated[bytes, opaque(64 << 20)]
    queued: U64


class Purpose(Enum8):
    TREE = 1
    BULLETIN = 2
    ATTACHMENT = 3


class Download(Struct):
    """A blob to be fetched and opened. ``context`` is the row of the offer or bulletin, or the payload's id in hex."""

    ref: BlobRef
    purpose: Purpose
    topic: Hash32
    context: Name
    name: Name
    media_type: Name
    queued: U64
    failures: U32


class ReceiptIn(Struct):
    device: Name
    officer: Name
    acknowledged: U8
    revision: U32
    time: U64


class BulletinRow(Struct):
    """The newest revision of one bulletin in one conversation."""

    topic: Hash32
    bulletin: Name
    revision: U32
    header: Opaque
    signature: Opaque
    digest: Hash48  # of the header: what the next revision names as its previous one
    device: Name
    payload: PayloadId
    sequence: U64  # 0 while ours isn't in the log
    sent: U64  # Unix ms, the sender's claim
    complete: U8  # 1: the content is here
    withdrawn: U8
    own: U8
    acknowledged: U8
    ack_by: U64
    title: Name
    tlp: U8
    media_type: Name
    time: U64
    forwarder: Name  # the device that brought it here from another conversation; empty where it was issued here
    consenter: Name  # the officer who consented to that, where the label did not allow it


class Tally(Struct):
    """Who has the newest revision of a bulletin of our agency in one conversation."""

    audience: Annotated[tuple[Name, ...], vec(1 << 18)]  # members when it entered the log
    receipts: Annotated[tuple[ReceiptIn, ...], vec(1 << 20)]


class AttachmentRow(Struct):
    """Where the content of an attachment is, so that it can be fetched when somebody wants it."""

    topic: Hash32
    payload: PayloadId
    ref: BlobRef
    name: Name
    media_type: Name


class ReceiptOut(Struct):
    """A receipt on its way to the issuer's desk; or one that came there, on its way to the rest of it."""

    agency: Name
    device: Name  # that signed the bulletin
    receipt: Receipt
    passed_on: U8  # 1: another device's
    after: U64  # not before, Unix seconds


class ConsentState(Enum8):
    ASKED = 1  # by us
    GRANTED = 2
    REFUSED = 3
    WAITING = 4  # for a person of ours to answer
    GIVEN = 5
    DENIED = 6


class ConsentRow(Struct):
    """A consent to forward one bulletin to one conversation, ours or another agency's."""

    state: ConsentState
    issuer: Name
    bulletin: Name
    revision: U32
    conversation: Hash32  # where it shall be read
    name: Name  # what the asking side calls it
    agencies: Annotated[tuple[Name, ...], vec(1 << 14)]  # who is there
    device: Name  # that asks
    officer: Name
    reason: Name
    time: U64
    consent: Annotated[bytes, opaque(32 << 10)]  # `SignedConsent`, empty before


def consent_row(topic: bytes, bulletin: str, agency: str) -> str:
    """The row of a consent that ``agency`` asks for."""
    return f"{topic.hex()}:{bulletin}:{agency}"


def bulletin_row(topic: bytes, bulletin: str) -> str:
    """The row of a bulletin in one conversation."""
    return f"{topic.hex()}:{bulletin}"


ME: Final = table("me", Me.encode, Me.decode)
COUNTERS: Final = table("counters", Counters.encode, Counters.decode)
KEYS: Final = table("keys", DeviceKey.encode, DeviceKey.decode)
TRUST: Final = table("trust", Trust.encode, Trust.decode)
TRUST_LOG: Final[Table[bytes]] = table("trust_log", bytes, bytes)
BURIED: Final[Table[bytes]] = table("buried", bytes, bytes)
CONVERSATIONS: Final = table("conversations", Conversation.encode, Conversation.decode)
GROUPS: Final = Scattered("groups", rest.changes, Group.of_pieces)
PASTS: Final = table("pasts", Past.encode, Past.decode)
PENDING: Final = table("pending", Pending.encode, Pending.decode)
SENT: Final[Table[bytes]] = table("sent", bytes, bytes)
OUTBOX: Final = table("outbox", Outgoing.encode, Outgoing.decode)
LETTERS: Final = table("letters", LetterOut.encode, LetterOut.decode)
INBOX: Final = table("inbox", InboxState.encode, InboxState.decode)
SUCCESSIONS: Final = table("successions", Succeeded.encode, Succeeded.decode)
OFFERS: Final = table("offers", Offer.encode, Offer.decode)
PACKAGES: Final = table("packages", Package.encode, Package.decode)
UPLOADS: Final = table("uploads", Upload.encode, Upload.decode)
DOWNLOADS: Final = table("downloads", Download.encode, Download.decode)
BULLETINS: Final = table("bulletins", BulletinRow.encode, BulletinRow.decode)
TALLIES: Final = table("tallies", Tally.encode, Tally.decode)
ATTACHMENTS: Final = table("attachments", AttachmentRow.encode, AttachmentRow.decode)
CONSENTS: Final = table("consents", ConsentRow.encode, ConsentRow.decode)
RECEIPTS: Final = table("receipts", ReceiptOut.encode, ReceiptOut.decode)

KINDS: Final[tuple[Table[Any], ...]] = (
    ME,
    COUNTERS,
    KEYS,
    TRUST,
    TRUST_LOG,
    BURIED,
    CONVERSATIONS,
    GROUPS,
    PASTS,
    PENDING,
    SENT,
    OUTBOX,
    LETTERS,
    INBOX,
    OFFERS,
    SUCCESSIONS,
    PACKAGES,
    UPLOADS,
    DOWNLOADS,
    BULLETINS,
    TALLIES,
    ATTACHMENTS,
    CONSENTS,
    RECEIPTS,
)
TABLES: Final = tuple(kind.name for kind in KINDS)
"""The vault tables to load an agent from."""
ARCHIVE: Final = "archive"
"""The vault table of what was shown: rows of JSON, named ``<topic in hex, or ->/<twelve digits in order>``. The agent
never reads it."""

ONLY: Final = "self"
"""The name of the row in tables that have one."""
