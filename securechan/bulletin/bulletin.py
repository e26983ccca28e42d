"""A bulletin: what an agency says, signed so that it can be held to it for decades.

    draft ──describe──▶ BulletinHeader ──sign──▶ SignedBulletin ──▶ payload ··· log ··· payload
                                                                                      │ verify, check_content
    a file, years later ◀──pack── Export ◀──── with evidence ──── VerifiedBulletin ◀──┘

The header is in presentation language and names everything that matters: issuer and device, the conversation it is for,
label, times, the revision it follows, and size and hash of the content. What is signed are its exact bytes, under the
context BULLETIN with the device's composite key; the content goes along as it is and is never written anew. So a
bulletin can't be moved into a look-alike conversation, passed off as a later revision, or trimmed, and it can be
verified without a channel, from evidence that the agency had listed that key.

A revision names the hash of the header before it: the hash of what was said, not of a signature, of which the same
words may have several. Withdrawal is a revision that ends the line.

A receipt says that a device has a bulletin, or that a person has read it; it goes to the issuer alone, in a letter that
is signed under a context of its own.
"""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Iterable
from dataclasses import dataclass
from time import gmtime
from typing import Annotated, Final

from securechan.bulletin.document import MAX_TITLE, MEDIA_TYPES
from securechan.bulletin.findings import printable
from securechan.bulletin.payload import CONTENT_MAX, DeviceName, OfficerName
from securechan.bulletin.tlp import Tlp
from securechan.codec import U8, U32, U64, Enum8, Struct, fixed, opaque, text, vec
from securechan.crypto import contexts
from securechan.crypto.signature import COMPOSITE, SigningKey
from securechan.errors import BadSignature, Conflict, Invalid, Malformed, Misuse, NotFound

HEADER_MAX: Final = 4096  # bytes, encoded
SIGNATURE_MAX: Final = 8192
EVIDENCE_MAX: Final = 64 << 20
EXPORT_MAX: Final = EVIDENCE_MAX + CONTENT_MAX + (1 << 16)
FIRST: Final = bytes(48)  # what the first revision follows

Hash48 = Annotated[bytes, fixed(48)]


class Status(Enum8):
    """Whether a bulletin stands. WITHDRAWN is final; its content says why."""

    ACTIVE = 1
    WITHDRAWN = 2


# -------------------------------------------------------------------------------------------------------- identifiers

_ID: Final = re.compile(r"SC-([0-9]{4})-([0-9]{4,9})-([a-z2-7]{6})")


def new_id(now: int, number: int, random: bytes) -> str:
    """``SC-2026-0117-k3vq7a``: year of ``now`` (Unix seconds, UTC), the agency's count, and 30 bits of chance.

    The random part is what makes it unique among agencies and devices that count alone; ``random`` has 4 bytes or more.
    """
    if len(random) < 4 or not 0 < number < 10**9:
        raise Misuse("an id needs four random bytes and a number from 1 to 999999999")
    year = gmtime(now).tm_year
    return f"SC-{year:04d}-{number:04d}-{base64.b32encode(random).decode('ascii').lower()[:6]}"


def resolve(typed: str, ids: Iterable[str]) -> str:
    """The one id that a person means, who may leave the random part out. Raises NotFound, Conflict if many fit."""
    wanted = typed.strip().lower()
    fitting = sorted(one for one in set(ids) if wanted in (one.lower(), one.lower().rpartition("-")[0]))
    if not fitting:
        raise NotFound(
            f"there is no bulletin {printable(typed[:40])}", hint="list what there is with: securechan bulletin ls"
        )
    if len(fitting) > 1:
        raise Conflict(
            f"{printable(typed[:40])} fits {len(fitting)} bulletins", hint="say one of " + ", ".join(fitting)
        )
    return fitting[0]


# -------------------------------------------------------------------------------------------------------- the header


class BulletinHeader(Struct):
    """What is signed. Times are Unix seconds; 0 stands for "none" in ``valid_until`` and ``ack_by``."""

    issuer: Annotated[str, text(64)]  # the agency
    id: Annotated[str, text(32)]
    revision: U32  # from 1
    previous: Hash48  # `digest` of the revision before, zeros in the first
    status: Status
    tlp: Tlp
    media_type: Annotated[str, text(64)]
    audience: Annotated[bytes, fixed(32)]  # the conversation
    time: U64
    valid_until: U64
    ack_by: U64
    exercise: U8  # 1: an exercise, nothing in it is real
    roster_version: U32  # of the issuer, as the signer knew it
    roster_hash: Hash48
    device: DeviceName  # that signed
    signer: Hash48  # SHA-384 of its signature public key
    title: Annotated[str, text(MAX_TITLE)]
    content_size: U32
    content_hash: Hash48  # SHA-384

    def check(self) -> None:
        """The rules that the format alone doesn't say. Raises `Invalid`."""
        for holds, what in (
            (_ID.fullmatch(self.id) is not None, "the id isn't of the form SC-YYYY-NNNN-xxxxxx"),
            (self.device.partition("/")[0] == self.issuer, "the device isn't of the issuing agency"),
            (self.issuer != "" and self.device.partition("/")[2] != "", "issuer or device is empty"),
            (self.revision >= 1, "revisions are counted from 1"),
            ((self.previous == FIRST) == (self.revision == 1), "only the first revision follows nothing"),
            (self.media_type in MEDIA_TYPES, "the media type isn't one that bulletins have"),
            (self.exercise in (0, 1), "the exercise flag is 0 or 1"),
            (self.valid_until == 0 or self.valid_until > self.time, "it would end before it begins"),
            (self.ack_by == 0 or self.ack_by > self.time, "it would have to be acknowledged before it is sent"),
            (self.content_size <= CONTENT_MAX, "the content is too large"),
            (len(self.title.encode()) <= MAX_TITLE, "the title is too long"),
            (self.title.strip() != "" and self.title.isprintable(), "the title is empty or not one printable line"),
        ):
            if not holds:
                raise Invalid(f"bulletin {printable(self.id[:40])}: {what}", rule="SPEC bulletin header")

    @property
    def withdrawn(self) -> bool:
        """Whether this revision ends the line."""
        return self.status is Status.WITHDRAWN


def digest(header: bytes) -> bytes:
    """What a bulletin's revision is named by: SHA-384 of its encoded header. 48 bytes."""
    return hashlib.sha384(header).digest()


def describe(
    content: bytes,
    *,
    issuer: str,
    id: str,
    tlp: Tlp,
    media_type: str,
    audience: bytes,
    time: int,
    device: str,
    signer: bytes,
    roster_version: int,
    roster_hash: bytes,
    title: str,
    revision: int = 1,
    previous: bytes = FIRST,
    status: Status = Status.ACTIVE,
    valid_until: int = 0,
    ack_by: int = 0,
    exercise: bool = False,
) -> BulletinHeader:
    """The header of a document about to be signed. Raises `Invalid` where it breaks a rule."""
    header = BulletinHeader(
        issuer,
        id,
        revision,
        previous,
        status,
        tlp,
        media_type,
        audience,
        time,
        valid_until,
        ack_by,
        int(exercise),
        roster_version,
        roster_hash,
        device,
        signer,
        title,
        len(content),
        hashlib.sha384(content).digest(),
    )
    header.check()
    return header


def check_content(header: BulletinHeader, content: bytes) -> None:
    """Whether this content is what the header was signed for. Raises `Invalid`."""
    if len(content) != header.content_size or hashlib.sha384(content).digest() != header.content_hash:
        raise Invalid(f"bulletin {header.id}: the content isn't what was signed", rule="SPEC bulletin content")


def succeeds(previous: bytes, header: BulletinHeader) -> None:
    """Whether ``header`` is the next revision after the one with the encoded header ``previous``. Raises `Invalid`.

    That the signer may revise (same agency, role desk) is for the trust view to say; the first in the log wins.
    """
    before = BulletinHeader.decode(previous)
    for holds, what in (
        (header.id == before.id and header.issuer == before.issuer, "it is another bulletin"),
        (header.audience == before.audience, "it is for another conversation"),
        (not before.withdrawn, "the bulletin was withdrawn, which is final"),
        (header.revision == before.revision + 1, f"revision {header.revision} can't follow revision {before.revision}"),
        (header.previous == digest(previous), "it follows another text of that revision"),
        (header.exercise == before.exercise, "an exercise stays one, and the real thing real"),
    ):
        if not holds:
            raise Invalid(f"bulletin {printable(header.id[:40])}: {what}", rule="SPEC bulletin revision")


# ------------------------------------------------------------------------------------------------- signing, verifying


class SignedBulletin(Struct):
    """A bulletin as it travels: the exact header, its signature, the exact content. Nothing in it is believed yet."""

    header: Annotated[bytes, opaque(HEADER_MAX)]
    signature: Annotated[bytes, opaque(SIGNATURE_MAX)]
    content: Annotated[bytes, opaque(CONTENT_MAX)]

    @classmethod
    def create(cls, header: BulletinHeader, content: bytes, key: bytes | SigningKey) -> SignedBulletin:
        """As `sign`."""
        return sign(header, content, key)

    @property
    def claim(self) -> BulletinHeader:
        """What the header says, unverified: to find the key that should have signed it. Raises `Malformed`."""
        return BulletinHeader.decode(self.header)

    def verify(self, public: bytes) -> VerifiedBulletin:
        """Raises Malformed, BadSignature, Invalid."""
        header = verify(self.header, self.signature, public)
        check_content(header, self.content)
        return VerifiedBulletin(header, self.content, self)


@dataclass(frozen=True, slots=True)
class VerifiedBulletin:
    """A bulletin of which header and content are what the holder of ``header.signer`` signed."""

    header: BulletinHeader
    content: bytes
    signed: SignedBulletin


def sign(header: BulletinHeader, content: bytes, key: bytes | SigningKey) -> SignedBulletin:
    """Sign with a device's composite key. Raises Invalid where the header breaks a rule, Misuse where the content or
    the key isn't the one that it names."""
    header.check()
    try:
        check_content(header, content)
    except Invalid as error:
        raise Misuse("a header is signed only with its own content") from error
    if hashlib.sha384(COMPOSITE.public(key)).digest() != header.signer:
        raise Misuse("the header names another signature key")
    encoded = header.encode()
    return SignedBulletin(encoded, COMPOSITE.sign(key, contexts.BULLETIN, encoded), content)


def verify(header: bytes, signature: bytes, public: bytes) -> BulletinHeader:
    """The header, if the holder of ``public`` (composite, 1,984 bytes) signed these very bytes.

    Raises Malformed, BadSignature, and Invalid for a header that was signed but breaks a rule: that one can be held
    against its signer.
    """
    if len(header) > HEADER_MAX:
        raise Malformed(f"a bulletin's header of {len(header)} bytes, at most {HEADER_MAX} are allowed")
    found = BulletinHeader.decode(header)
    if hashlib.sha384(public).digest() != found.signer:
        raise BadSignature("the bulletin names another signature key than that of its device")
    COMPOSITE.verify(public, contexts.BULLETIN, header, signature)
    found.check()
    return found


# ----------------------------------------------------------------------------------------------------------- receipts


class ReceiptKind(Enum8):
    """DELIVERED: a device has it. ACKNOWLEDGED: a person says so."""

    DELIVERED = 1
    ACKNOWLEDGED = 2


class Receipt(Struct):
    """One device's word that a bulletin came to it, by its id and by the hash of what was said; or a message, by its
    payload's id (revision 0). It is signed together with others, in the letter that brings it."""

    bulletin: Annotated[str, text(32)]
    revision: U32
    digest: Hash48  # of the header, as `digest` gives it
    conversation: Annotated[bytes, fixed(32)]
    kind: ReceiptKind
    officer: OfficerName
    device: DeviceName
    time: U64  # Unix seconds, the device's own


# ------------------------------------------------------------------------------------------------------------- export

MAGIC: Final = b"securechan/1 bulletin export\n"


class Export(Struct):
    """A bulletin with what proves it, for a file that outlives the channel.

    ``evidence``: each shows what an agency's roster said, with all documents up to the root of trust (made and verified
    by `securechan.trust`, opaque here). The first lists the signing key; later ones may show when it was revoked. Who
    verifies must know the federation's root id from elsewhere, and nothing else.
    """

    bulletin: SignedBulletin
    evidence: Annotated[tuple[Annotated[bytes, opaque(EVIDENCE_MAX)], ...], vec(EVIDENCE_MAX)]

    def pack(self) -> bytes:
        """The file's bytes: a line that says what it is, then the struct."""
        return MAGIC + self.encode()

    @classmethod
    def unpack(cls, data: bytes) -> Export:
        """Raises `Malformed`."""
        if len(data) > EXPORT_MAX:
            raise Malformed(f"an export of {len(data)} bytes, at most {EXPORT_MAX} are allowed")
        if not data.startswith(MAGIC):
            raise Malformed("this file is no exported bulletin", hint="make one with: securechan bulletin export ID")
        return cls.decode(data[len(MAGIC) :])

    @property
    def claim(self) -> BulletinHeader:
        """What the header says, unverified: device and key hash are what the evidence is asked for."""
        return self.bulletin.claim

    def verify(self, public: bytes) -> VerifiedBulletin:
        """With the public key that the evidence shows. Raises Malformed, BadSignature, Invalid."""
        return self.bulletin.verify(public)
