"""What an agent tells people: a closed union of plain values, each of which has a JSON form (`archive`).

What is worth keeping stands in the archive, written in the same transaction as the state that caused it. Times are Unix
seconds.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from securechan.bulletin.tlp import Tlp


class AlarmKind(StrEnum):
    """What is wrong, in a word that scripts match on."""

    TRUST_REFUSED = "trust-refused"  # a publication that the rules refuse
    CHAIN_CLAIM = "chain-claim"  # a sender claims another history than ours
    FORK = "fork"  # the relay signed another history than ours
    VOID = "void"  # a member sent what counts for nobody
    CANNOT_FOLLOW = "cannot-follow"
    ROLLBACK = "rollback"
    CLONE = "clone"  # another session, or a message from our leaf that can't be proved
    QUARANTINE = "quarantine"  # a leaf that trust doesn't admit
    BAD_LETTER = "bad-letter"
    BAD_PACKAGE = "bad-package"
    BAD_BULLETIN = "bad-bulletin"
    NOT_FOLLOWED = "not-followed"  # a revision may not follow a forward
    BAD_ROSTER = "bad-roster"
    REVOKED = "revoked"
    REFUSED = "refused"  # the relay refuses what must be
    WRONG_ACCESS = "wrong-access"  # a valid commit whose access hash nobody can show
    FULL = "full"  # a queue of ours is full


@dataclass(frozen=True, slots=True)
class MessageReceived:
    """Text or an attachment, ours included once it stands in the log. ``marked`` when its sender's history differs."""

    conversation: bytes
    name: str
    sequence: int
    payload: bytes
    device: str
    officer: str
    time: int
    tlp: Tlp
    body: str
    attachment: str = ""
    media_type: str = ""
    size: int = 0
    own: bool = False
    marked: bool = False
    sent: int = 0  # the sender's claim, Unix milliseconds


@dataclass(frozen=True, slots=True)
class MessageSent:
    """A payload of ours stands in the log: every member reads it."""

    conversation: bytes
    payload: bytes
    sequence: int
    epoch: int


@dataclass(frozen=True, slots=True)
class MessageDropped:
    """A payload of ours can't be sent any more, and why. Its content stays in the archive."""

    conversation: bytes
    payload: bytes
    reason: str
    body: str


@dataclass(frozen=True, slots=True)
class MessageReached:
    """A message of ours has come to another officer's device (``kind`` is ``delivered``), or a person there has seen it
    (``read``), as that device says. ``time`` is its own, Unix seconds. It may be said more than once."""

    conversation: bytes
    payload: bytes
    kind: str
    device: str
    officer: str
    time: int


@dataclass(frozen=True, slots=True)
class AttachmentFetched:
    conversation: bytes
    payload: bytes
    attachment: str
    media_type: str
    content: bytes


@dataclass(frozen=True, slots=True)
class BulletinReceived:
    """A bulletin whose signature, issuer and audience hold. Header, signature and content are exactly as signed."""

    conversation: bytes
    name: str
    sequence: int
    payload: bytes
    bulletin: str
    revision: int
    issuer: str
    device: str
    title: str
    tlp: Tlp
    media_type: str
    status: str
    exercise: bool
    ack_by: int
    time: int
    valid_until: int
    header: bytes
    signature: bytes
    content: bytes
    own: bool = False
    forwarded_by: str = ""  # the device that brought it here from another conversation
    consent_by: str = ""  # the officer who consented for its issuer, where the label alone would not allow it


@dataclass(frozen=True, slots=True)
class BulletinRefused:
    """A bulletin that must not be believed, and why."""

    conversation: bytes
    sequence: int
    device: str
    bulletin: str
    reason: str


@dataclass(frozen=True, slots=True)
class ConsentAsked:
    """Another agency asks a person here whether a bulletin of ours may be read in a conversation of theirs."""

    bulletin: str
    revision: int
    conversation: bytes
    name: str
    agencies: tuple[str, ...]
    device: str
    officer: str
    reason: str


@dataclass(frozen=True, slots=True)
class ConsentAnswered:
    """The desk that issued a bulletin has answered us."""

    bulletin: str
    conversation: bytes
    granted: bool
    officer: str
    until: int


@dataclass(frozen=True, slots=True)
class ReceiptReceived:
    """Somebody has received or acknowledged a bulletin of ours."""

    conversation: bytes
    bulletin: str
    revision: int
    kind: str
    device: str
    officer: str
    time: int


@dataclass(frozen=True, slots=True)
class MemberAdded:
    conversation: bytes
    device: str
    officer: str
    by: str
    epoch: int


@dataclass(frozen=True, slots=True)
class MemberRemoved:
    conversation: bytes
    device: str
    officer: str
    by: str
    epoch: int


@dataclass(frozen=True, slots=True)
class MemberRevoked:
    """A member is one no longer, as its own agency or the federation says: nothing is sent until its leaf is out, which
    goes by itself. ``reason``: ``revoked``, ``lost``, ``left``, ``rotated`` (it goes on with another key), ``expired``,
    ``agency-left``."""

    conversation: bytes
    device: str
    officer: str
    reason: str


@dataclass(frozen=True, slots=True)
class DeviceAnnounced:
    """A device has entered: for whom, approved by whom, when. ``by`` says so; ``agrees`` is whether trust does."""

    conversation: bytes
    device: str
    officer: str
    approvers: tuple[str, ...]
    time: int
    by: str
    agrees: bool


@dataclass(frozen=True, slots=True)
class DeviceWaiting:
    """Another device of an officer would belong here, but nobody who may has vouched for it (`ConfirmDevice`)."""

    conversation: bytes
    device: str
    officer: str
    key_hash: bytes


@dataclass(frozen=True, slots=True)
class DeviceConfirmed:
    conversation: bytes
    device: str
    by: str


@dataclass(frozen=True, slots=True)
class EpochChanged:
    conversation: bytes
    epoch: int
    by: str
    members: int
    sequence: int


@dataclass(frozen=True, slots=True)
class PolicyChanged:
    conversation: bytes
    by: str
    epoch: int


@dataclass(frozen=True, slots=True)
class Alarm:
    """Something is not as it should be: who is to be asked about which entry."""

    kind: AlarmKind
    conversation: bytes
    who: str
    entry: int
    text: str


@dataclass(frozen=True, slots=True)
class TrustChanged:
    """The trust view moved on. ``version`` counts publications."""

    version: int
    sequence: int
    revoked: tuple[str, ...] = ()
    admitted: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ConversationOffered:
    """Somebody added us to a conversation that nothing here vouches for: accept or decline."""

    conversation: bytes
    name: str
    by: str
    members: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ConversationJoined:
    conversation: bytes
    name: str
    by: str
    epoch: int
    sequence: int
    again: bool = False


@dataclass(frozen=True, slots=True)
class ConversationSucceeded:
    """A conversation goes on in another group, under its name, and without the devices named."""

    conversation: bytes
    succeeds: bytes
    name: str
    by: str
    reason: str
    without: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ConversationLeft:
    """We were removed; what was received stays readable here."""

    conversation: bytes
    by: str
    sequence: int


@dataclass(frozen=True, slots=True)
class Frozen:
    """A conversation can't go on here until a member adds us again, which was asked for."""

    conversation: bytes
    reason: str
    asked: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Held:
    """Nothing is sent here until a person decides (`Resume`) or, for a quarantined leaf, until it is out."""

    conversation: bytes
    reason: str


@dataclass(frozen=True, slots=True)
class Synced:
    """Everything that the relay holds of this conversation has been read."""

    conversation: bytes
    sequence: int


@dataclass(frozen=True, slots=True)
class RotationStep:
    """Where the change of our signature key stands."""

    step: str
    key_hash: bytes
    conversations_left: int


@dataclass(frozen=True, slots=True)
class OpaqueReceived:
    """Something for the user level, from another device's user level."""

    device: str
    officer: str
    kind: str
    content: bytes


@dataclass(frozen=True, slots=True)
class BoxRead:
    """An entry of an enrolment box; sequence 0 with no body says that this was all it holds so far."""

    box: bytes
    sequence: int
    body: bytes


@dataclass(frozen=True, slots=True)
class RequestFailed:
    """The relay refused something that a person asked for."""

    what: str
    code: str
    text: str
    retry_after: int  # milliseconds


@dataclass(frozen=True, slots=True)
class RequestDone:
    what: str
    sequence: int


Event = (
    MessageReceived
    | MessageSent
    | MessageDropped
    | MessageReached
    | AttachmentFetched
    | BulletinReceived
    | BulletinRefused
    | ConsentAsked
    | ConsentAnswered
    | ReceiptReceived
    | MemberAdded
    | MemberRevoked
    | MemberRemoved
    | DeviceAnnounced
    | DeviceWaiting
    | DeviceConfirmed
    | EpochChanged
    | PolicyChanged
    | Alarm
    | TrustChanged
    | ConversationOffered
    | ConversationJoined
    | ConversationSucceeded
    | ConversationLeft
    | Frozen
    | Held
    | Synced
    | RotationStep
    | OpaqueReceived
    | BoxRead
    | RequestFailed
    | RequestDone
)
