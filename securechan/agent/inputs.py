"""What happens to an agent: what the relay says, that time passes, and what its user wants. A closed set.

Commands raise the errors of `securechan.errors` when they can't be done, and then nothing has changed. Nothing else
raises: what comes from outside ends in a verdict, an event or silence. Conversations are named by their topic (32
bytes); names are local and looked up by the caller.
"""

from __future__ import annotations

from dataclasses import dataclass

from securechan.agent.asks import Ask
from securechan.agent.policy import Policy
from securechan.bulletin.tlp import Tlp
from securechan.wire.frames import AnswerBody, Entries, Heads, TrustDocument

# ------------------------------------------------------------------------------------------- from the relay, from time


@dataclass(frozen=True, slots=True)
class Connected:
    """A session stands. ``relay_time`` is the relay's clock in Unix milliseconds, a claim."""

    relay: str
    relay_time: int


@dataclass(frozen=True, slots=True)
class Disconnected:
    """The session is over; every unanswered request is forgotten."""

    reason: str = ""


@dataclass(frozen=True, slots=True)
class Received:
    """The relay pushed this."""

    frame: Entries | Heads


@dataclass(frozen=True, slots=True)
class Answered:
    """The relay's answer to the request that went out with ``ref``."""

    ref: Ask
    body: AnswerBody


@dataclass(frozen=True, slots=True)
class Tick:
    """Time has passed."""


# -------------------------------------------------------------------------------------------------------- from the user


@dataclass(frozen=True, slots=True)
class CreateConversation:
    """Found a conversation. Answer: its topic."""

    policy: Policy


@dataclass(frozen=True, slots=True)
class SucceedConversation:
    """Stewards only, and the last resort: found the group in which a conversation goes on that can't go on where it is,
    without the devices named. Answer: its topic."""

    conversation: bytes
    reason: str
    without: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class AcceptConversation:
    """Join a conversation that was offered. ``name`` is what it is called here, ``by`` the device whose offer it is:
    needed where several offer it. ``judged``, 32 bytes, is the `digest` of the offer that was looked at: another that
    has come in its place is not joined. Empty where nobody has looked: then whatever is there."""

    conversation: bytes
    name: str = ""
    by: str = ""
    judged: bytes = b""


@dataclass(frozen=True, slots=True)
class DeclineConversation:
    """Forget an offer; of one device, or with ``by`` empty whoever made it."""

    conversation: bytes
    by: str = ""


@dataclass(frozen=True, slots=True)
class RenameConversation:
    """Call a conversation by another name, here alone."""

    conversation: bytes
    name: str


@dataclass(frozen=True, slots=True)
class SendText:
    """Say something. ``id`` (16 bytes) makes a repetition the same message. Answer: the payload id."""

    conversation: bytes
    body: str
    tlp: Tlp
    id: bytes = b""

    @property
    def called(self) -> str:
        return "the text"


@dataclass(frozen=True, slots=True)
class SendAttachment:
    """Send a file, at most 4 MiB. Answer: the payload id."""

    conversation: bytes
    name: str
    media_type: str
    content: bytes
    tlp: Tlp
    caption: str = ""
    id: bytes = b""

    @property
    def called(self) -> str:
        return self.name


@dataclass(frozen=True, slots=True)
class SendTogether:
    """Send texts and files: all are queued, or none is, and then the error names which it is about. Answer: their
    payload ids, in order."""

    parts: tuple[SendText | SendAttachment, ...]


@dataclass(frozen=True, slots=True)
class FetchAttachment:
    """Get the content of an attachment; it comes as `AttachmentFetched`."""

    conversation: bytes
    payload: bytes


@dataclass(frozen=True, slots=True)
class PublishBulletin:
    """Sign a document and send it. Times are Unix seconds, 0 for none. ``floor`` is the strictest label found in the
    content. Answer: `Published`."""

    conversation: bytes
    content: bytes
    media_type: str
    tlp: Tlp
    title: str
    floor: Tlp | None = None
    ack_by: int = 0
    valid_until: int = 0
    exercise: bool = False
    id: bytes = b""


@dataclass(frozen=True, slots=True)
class ReviseBulletin:
    """Replace a bulletin of my agency by the next revision. Answer: `Published`."""

    conversation: bytes
    bulletin: str
    content: bytes
    media_type: str
    tlp: Tlp
    title: str
    floor: Tlp | None = None
    ack_by: int = 0
    valid_until: int = 0


@dataclass(frozen=True, slots=True)
class WithdrawBulletin:
    """Say that a bulletin of my agency no longer stands. Final. Answer: `Published`."""

    conversation: bytes
    bulletin: str
    reason: str


@dataclass(frozen=True, slots=True)
class ForwardBulletin:
    """Bring a bulletin to another conversation, as it was signed. ``content`` is what was signed, ``floor`` the
    strictest label found in it. Answer: `Published`."""

    bulletin: str
    conversation: bytes
    content: bytes
    floor: Tlp | None = None
    id: bytes = b""


@dataclass(frozen=True, slots=True)
class AskConsent:
    """Ask the desk that issued a bulletin whether it may be read in another conversation."""

    bulletin: str
    conversation: bytes
    reason: str = ""


@dataclass(frozen=True, slots=True)
class AnswerConsent:
    """A person of the issuer's desk answers ``agency``: ``until`` (Unix seconds) is how long a consent holds, 0 says
    no. ``agencies``: who the person was shown to be there; a consent never goes to more."""

    bulletin: str
    conversation: bytes
    agency: str
    until: int
    agencies: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Acknowledge:
    """A person has read this bulletin: tell its issuer."""

    bulletin: str
    conversation: bytes | None = None


@dataclass(frozen=True, slots=True)
class MarkRead:
    """A person has seen everything up to this log sequence; ``messages`` are those of others among it that nobody had
    seen before: the device that said each, and its payload's id. Where messages are receipted, their senders learn of
    it."""

    conversation: bytes
    upto: int
    messages: tuple[tuple[str, bytes], ...] = ()


@dataclass(frozen=True, slots=True)
class Leave:
    """Ask to be removed from a conversation."""

    conversation: bytes


@dataclass(frozen=True, slots=True)
class ChangePolicy:
    """Stewards only: replace the policy."""

    conversation: bytes
    policy: Policy


@dataclass(frozen=True, slots=True)
class RotateEpochs:
    """Renew epoch keys now, in one conversation or in all. Answer: the topics concerned."""

    conversation: bytes | None = None


@dataclass(frozen=True, slots=True)
class RotateSignature:
    """Make a new signature key and ask the agency's administrators to list it. Answer: the new public key."""


@dataclass(frozen=True, slots=True)
class ConfirmDevice:
    """A person vouches that this device is its officer's, in one conversation or in all that wait for it."""

    device: str
    conversation: bytes | None = None


@dataclass(frozen=True, slots=True)
class Resume:
    """A person has decided that a held conversation goes on."""

    conversation: bytes


@dataclass(frozen=True, slots=True)
class SendOpaque:
    """Put something that only the user level understands into another device's inbox: a pending roster, an approval."""

    device: str
    kind: str
    content: bytes


@dataclass(frozen=True, slots=True)
class PublishTrust:
    """Ask the relay to publish signed documents; then they are told in the conversations shared, too."""

    documents: tuple[TrustDocument, ...]


@dataclass(frozen=True, slots=True)
class OpenBox:
    """Administrators: open an enrolment box. ``not_after`` is Unix seconds."""

    box: bytes
    mac_key: bytes
    not_after: int


@dataclass(frozen=True, slots=True)
class ReadBox:
    """Administrators: read an enrolment box; what it holds comes as `BoxRead`."""

    box: bytes


@dataclass(frozen=True, slots=True)
class WriteBox:
    """Administrators: put the verdict into an enrolment box."""

    box: bytes
    body: bytes


@dataclass(frozen=True, slots=True)
class TryRelay:
    """Have the relay keep a byte and forget it again. Then a `RequestDone` or `RequestFailed` about ``try``."""


Command = (
    CreateConversation
    | SucceedConversation
    | AcceptConversation
    | DeclineConversation
    | RenameConversation
    | SendText
    | SendAttachment
    | SendTogether
    | FetchAttachment
    | PublishBulletin
    | ReviseBulletin
    | WithdrawBulletin
    | ForwardBulletin
    | AskConsent
    | AnswerConsent
    | Acknowledge
    | MarkRead
    | Leave
    | ChangePolicy
    | RotateEpochs
    | RotateSignature
    | ConfirmDevice
    | Resume
    | SendOpaque
    | PublishTrust
    | OpenBox
    | ReadBox
    | WriteBox
    | TryRelay
)

Input = Connected | Disconnected | Received | Answered | Tick | Command


@dataclass(frozen=True, slots=True)
class Published:
    """The answer to publishing: what the bulletin is called, and the message that carries it."""

    bulletin: str
    revision: int
    payload: bytes
