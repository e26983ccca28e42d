"""What one application message of a conversation carries: a tagged union, sealed by MLS and read by members alone.

    Payload = id[16] ‖ time (Unix ms, the sender's claim) ‖ kind ‖ one of
        TEXT          words with a label
        BULLETIN      a signed bulletin, whole (content up to `INLINE_MAX`)
        BULLETIN_REF  a signed bulletin whose content waits as an encrypted blob
        ATTACHMENT    a named file, always as a blob
        LEAVE         "remove me": any permitted member commits the Remove
        ANNOUNCEMENT  a device has entered: who, for whom, approved by whom, when
        CONTROL       what clients tell each other: a roster, a confirmation of a device, a sign of life
        FORWARD       a bulletin that was signed for another conversation, as it was signed

The id is what "shown exactly once" is counted by. A blob is AES-256-GCM under a key that is used for it alone, stored
at the relay under the SHA-256 of its ciphertext.
"""

from __future__ import annotations

from dataclasses import field
from typing import Annotated, Final

from securechan.bulletin.tlp import Tlp
from securechan.codec import U32, U64, Enum8, Struct, fixed, opaque, select, text, vec

INLINE_MAX: Final = 200 << 10  # bytes of a bulletin's content that travel in the message itself
CONTENT_MAX: Final = 4 << 20  # bytes of a bulletin or an attachment
TEXT_MAX: Final = 256 << 10

DeviceName = Annotated[str, text(160)]
OfficerName = Annotated[str, text(160)]


class PayloadKind(Enum8):
    TEXT = 1
    BULLETIN = 2
    BULLETIN_REF = 3
    ATTACHMENT = 4
    LEAVE = 5
    ANNOUNCEMENT = 6
    CONTROL = 7
    FORWARD = 8


class Text(Struct):
    """Words, at most 256 KiB of UTF-8."""

    tlp: Tlp
    body: Annotated[str, text(TEXT_MAX)]


class BlobRef(Struct):
    """Where a blob is and how it opens: SHA-256 of the ciphertext, the key, and the plaintext's size in bytes."""

    blob: Annotated[bytes, fixed(32)]
    key: Annotated[bytes, fixed(32)] = field(repr=False)
    size: U32


class Bulletin(Struct):
    """A bulletin as it was signed: the exact header, its signature, the exact content."""

    header: Annotated[bytes, opaque(4096)]
    signature: Annotated[bytes, opaque(8192)]
    content: Annotated[bytes, opaque(INLINE_MAX)]


class BulletinByReference(Struct):
    """A bulletin too large for one message."""

    header: Annotated[bytes, opaque(4096)]
    signature: Annotated[bytes, opaque(8192)]
    content: BlobRef


class Forward(Struct):
    """A bulletin as it was signed for another conversation. Its content is here, or where ``blob`` says, or withheld:
    a withdrawal always follows, its words only where their label lets them. ``consent``: the issuer's `SignedConsent`
    where the label alone doesn't allow the forward, else empty."""

    header: Annotated[bytes, opaque(4096)]
    signature: Annotated[bytes, opaque(8192)]
    content: Annotated[bytes, opaque(INLINE_MAX)]
    blob: BlobRef | None
    consent: Annotated[bytes, opaque(32 << 10)]


class Attachment(Struct):
    """A file. ``name`` is a bare file name; receivers still treat it as a stranger's text."""

    tlp: Tlp
    name: Annotated[str, text(255)]
    media_type: Annotated[str, text(127)]
    caption: Annotated[str, text(4096)]
    content: BlobRef


class Leave(Struct):
    """The sender's device asks to be removed."""


class Entered(Enum8):
    """Why a device is in the tree now."""

    FOUNDING = 0
    DECLARED = 1
    READDED = 2


class Announcement(Struct):
    """A device entered. ``time`` is when, in Unix seconds; ``approvers`` are the administrators who signed it in."""

    device: DeviceName
    officer: OfficerName
    approvers: Annotated[tuple[OfficerName, ...], vec(1 << 12)]
    time: U64
    what: Entered


class ControlKind(Enum8):
    HEARTBEAT = 1
    ROSTER = 2
    CONFIRM = 3


class Heartbeat(Struct):
    """Nothing but the authenticated data of the message around it: "this is the log I read"."""


class RosterDocument(Struct):
    """One signed metadata file, byte for byte, as in `securechan.wire.frames.TrustDocument`."""

    role: Annotated[str, text(128)]
    content: Annotated[bytes, opaque(1 << 20)]


class RosterNotice(Struct):
    """The signed roster that revokes somebody, told inside the conversation so that no relay can hold it back."""

    documents: Annotated[tuple[RosterDocument, ...], vec(1 << 20)]


class DeviceConfirmation(Struct):
    """A person (or a device of the same officer) vouches that this device, with this signature key (SHA-384 of the
    public key), is that officer's."""

    device: DeviceName
    key_hash: Annotated[bytes, fixed(48)]


class Control(Struct):
    kind: ControlKind
    body: Annotated[
        Heartbeat | RosterNotice | DeviceConfirmation,
        select(
            "kind",
            {
                ControlKind.HEARTBEAT: Heartbeat,
                ControlKind.ROSTER: RosterNotice,
                ControlKind.CONFIRM: DeviceConfirmation,
            },
        ),
    ]


PayloadBody = Text | Bulletin | BulletinByReference | Attachment | Leave | Announcement | Control | Forward

CASES: Final[dict[PayloadKind, type[PayloadBody]]] = {
    PayloadKind.TEXT: Text,
    PayloadKind.BULLETIN: Bulletin,
    PayloadKind.BULLETIN_REF: BulletinByReference,
    PayloadKind.ATTACHMENT: Attachment,
    PayloadKind.LEAVE: Leave,
    PayloadKind.ANNOUNCEMENT: Announcement,
    PayloadKind.CONTROL: Control,
    PayloadKind.FORWARD: Forward,
}
_KIND: Final = {case: kind for kind, case in CASES.items()}

PayloadId = Annotated[bytes, fixed(16)]


class Payload(Struct):
    """One application message."""

    id: PayloadId
    time: U64
    kind: PayloadKind
    body: Annotated[PayloadBody, select("kind", CASES)]

    @classmethod
    def of(cls, identity: bytes, time: int, body: PayloadBody) -> Payload:
        return cls(identity, time, _KIND[type(body)], body)
