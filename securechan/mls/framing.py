"""RFC 9420 §6: what travels: content, framed with its sender, signed, and put into one of two envelopes.

    FramedContent ──sign──► AuthenticatedContent ──┬─► PublicMessage    readable by all, a MAC shows membership
                                                   └─► PrivateMessage   sealed with the sender's next ratchet key

The authentication data of a message depends on the content before it, which the presentation language can't say in one
struct; so those three structs override, and nothing else here does.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Final, Self

from securechan.codec import U32, U64, Kept, Nothing, Opaque, Reader, Struct, select, write_vector
from securechan.crypto.secret import Secret
from securechan.errors import Malformed, Misuse
from securechan.mls.proposals import Commit, Proposal
from securechan.mls.registry import ContentType, ProtocolVersion, SenderType, WireFormat
from securechan.mls.rules import Rule
from securechan.mls.treemath import LeafIndex


class Sender(Struct):
    """§6: a member by leaf index, an external sender by its place in ``external_senders``, or a joiner."""

    kind: SenderType
    index: Annotated[
        int | None,
        select(
            "kind",
            {
                SenderType.MEMBER: U32,
                SenderType.EXTERNAL: U32,
                SenderType.NEW_MEMBER_PROPOSAL: Nothing,
                SenderType.NEW_MEMBER_COMMIT: Nothing,
            },
        ),
    ]

    @classmethod
    def member(cls, leaf: LeafIndex) -> Sender:
        return cls(SenderType.MEMBER, leaf)

    @property
    def leaf(self) -> LeafIndex | None:
        """The member's leaf; None for all others."""
        return LeafIndex(self.index) if self.kind is SenderType.MEMBER and self.index is not None else None


class FramedContent(Kept):
    """§6."""

    group_id: Opaque
    epoch: U64
    sender: Sender
    authenticated_data: Opaque
    content_type: ContentType
    content: Annotated[
        bytes | Proposal | Commit,
        select(
            "content_type",
            {ContentType.APPLICATION: Opaque, ContentType.PROPOSAL: Proposal, ContentType.COMMIT: Commit},
        ),
    ]


@dataclass(frozen=True, slots=True)
class FramedContentAuthData:
    """§6.1: the signature, and for a commit the tag that shows its sender reached the new epoch."""

    signature: bytes
    confirmation_tag: bytes | None = None

    def write_to(self, out: bytearray, kind: ContentType) -> None:
        write_vector(out, self.signature)
        if kind is ContentType.COMMIT:
            if self.confirmation_tag is None:
                raise Misuse("a commit without its confirmation tag")
            write_vector(out, self.confirmation_tag)

    @classmethod
    def read_from(cls, r: Reader, kind: ContentType) -> Self:
        signature = r.vector(what="signature")
        return cls(signature, r.vector(what="confirmation tag") if kind is ContentType.COMMIT else None)


def to_be_signed(wire_format: WireFormat, content: FramedContent, context: bytes) -> bytes:
    """§6.1: ``FramedContentTBS``; ``context`` is the encoded GroupContext, which senders outside don't sign."""
    from_inside = content.sender.kind in (SenderType.MEMBER, SenderType.NEW_MEMBER_COMMIT)
    return b"".join((_HEADS[wire_format], content.encode(), context if from_inside else b""))


_HEADS: Final = {form: ProtocolVersion.MLS10.to_bytes(2, "big") + form.to_bytes(2, "big") for form in WireFormat}


class AuthenticatedContent(Struct):
    """§6.1: content with its proof of origin, whatever envelope it came in."""

    wire_format: WireFormat
    content: FramedContent
    auth: FramedContentAuthData  # depends on content.content_type

    def write_to(self, out: bytearray) -> None:
        out += self.wire_format.to_bytes(2, "big")
        self.content.write_to(out)
        self.auth.write_to(out, self.content.content_type)

    @classmethod
    def read_from(cls, r: Reader) -> Self:
        start = r.pos
        try:
            wire_format = WireFormat(r.u16())
        except ValueError:
            raise Malformed(f"unknown wire format at offset {start}") from None
        content = FramedContent.read_from(r)
        return cls(wire_format, content, FramedContentAuthData.read_from(r, content.content_type))


class PublicMessage(Struct):
    """§6.2: in the clear; a member's has a MAC under the epoch's membership key."""

    content: FramedContent
    auth: FramedContentAuthData  # depends on content.content_type
    membership_tag: bytes | None  # a member's only

    def write_to(self, out: bytearray) -> None:
        self.content.write_to(out)
        self.auth.write_to(out, self.content.content_type)
        if self.content.sender.kind is SenderType.MEMBER:
            if self.membership_tag is None:
                raise Misuse("a member's message without its membership tag")
            write_vector(out, self.membership_tag)

    @classmethod
    def read_from(cls, r: Reader) -> Self:
        content = FramedContent.read_from(r)
        auth = FramedContentAuthData.read_from(r, content.content_type)
        is_member = content.sender.kind is SenderType.MEMBER
        return cls(content, auth, r.vector(what="membership tag") if is_member else None)

    @property
    def authenticated(self) -> AuthenticatedContent:
        return AuthenticatedContent(WireFormat.PUBLIC_MESSAGE, self.content, self.auth)


class PrivateMessage(Struct):
    """§6.3."""

    group_id: Opaque
    epoch: U64
    content_type: ContentType
    authenticated_data: Opaque
    encrypted_sender_data: Opaque
    ciphertext: Opaque

    @property
    def sender_aad(self) -> bytes:
        """§6.3.2: an encoded `SenderDataAAD`."""
        out = self._place()
        out.append(self.content_type)
        return bytes(out)

    @property
    def content_aad(self) -> bytes:
        """§6.3.1: an encoded `PrivateContentAAD`."""
        out = self._place()
        out.append(self.content_type)
        write_vector(out, self.authenticated_data)
        return bytes(out)

    def framed(self, leaf: LeafIndex, content: bytes | Proposal | Commit, encoded: memoryview) -> FramedContent:
        """§6.3: what was sealed, in its frame; ``encoded`` is the content as it was sealed, so that what was signed
        needn't be written anew."""
        out = self._place()
        out.append(SenderType.MEMBER)
        out += leaf.to_bytes(4, "big")
        write_vector(out, self.authenticated_data)
        out.append(self.content_type)
        sender, data = Sender(SenderType.MEMBER, leaf), self.authenticated_data
        framed = FramedContent(self.group_id, self.epoch, sender, data, self.content_type, content)
        return framed.known_as(b"".join((out, encoded)))

    def _place(self) -> bytearray:
        out = bytearray()
        write_vector(out, self.group_id)
        out += self.epoch.to_bytes(8, "big")
        return out


class PrivateContentAAD(Struct):
    """§6.3.1."""

    group_id: Opaque
    epoch: U64
    content_type: ContentType
    authenticated_data: Opaque


class SenderData(Struct):
    """§6.3.2."""

    leaf_index: U32
    generation: U32
    reuse_guard: U32


class SenderDataAAD(Struct):
    """§6.3.2."""

    group_id: Opaque
    epoch: U64
    content_type: ContentType


def pack_private(message: AuthenticatedContent, padding: int) -> Secret:
    """§6.3.1: ``PrivateMessageContent``: content, authentication data and ``padding`` zero bytes, to be sealed."""
    out = bytearray()
    match message.content.content:
        case bytes() as data:
            write_vector(out, data)
        case content:
            content.write_to(out)
    message.auth.write_to(out, message.content.content_type)
    out += bytes(padding)
    return Secret(out)


def unpack_private(message: PrivateMessage, leaf: LeafIndex, plaintext: bytes) -> AuthenticatedContent:
    """§6.3.1: the content that was sealed. Raises `Malformed`, also for padding that isn't all zero."""
    r = Reader(plaintext)
    content: bytes | Proposal | Commit
    match message.content_type:
        case ContentType.APPLICATION:
            content = r.vector(what="application data")
        case ContentType.PROPOSAL:
            content = Proposal.read_from(r)
        case ContentType.COMMIT:
            content = Commit.read_from(r)
    framed = message.framed(leaf, content, memoryview(plaintext)[: r.pos])
    auth = FramedContentAuthData.read_from(r, message.content_type)
    if any(r.take(r.left)):
        raise Malformed("padding that isn't zero", rule=Rule.PADDING)
    return AuthenticatedContent(WireFormat.PRIVATE_MESSAGE, framed, auth)
