"""RFC 9420 §6.1–§6.3: signing content, sealing it, and the way back, one proof at a time.

    sign ─► AuthenticatedContent ─► seal ─► PrivateMessage        PrivateMessage ─► open ─► Unverified ─► Verified
                                 └► show ─► PublicMessage         PublicMessage  ─► read ─► Unverified ─► Verified

What came out of an envelope is `Unverified`: members who hold the keys of an epoch could all have sealed it. Only a
signature makes it `Verified`, and only `Verified` shows its content.
"""

from __future__ import annotations

from dataclasses import dataclass

from securechan.crypto.secret import Secret
from securechan.crypto.signature import SigningKey
from securechan.crypto.suite import Suite
from securechan.errors import CannotOpen, Misuse
from securechan.mls.framing import (
    AuthenticatedContent,
    FramedContent,
    FramedContentAuthData,
    PrivateContentAAD,
    PrivateMessage,
    PublicMessage,
    Sender,
    SenderData,
    SenderDataAAD,
    pack_private,
    to_be_signed,
    unpack_private,
)
from securechan.mls.labels import expand_with_label, sign_with_label, verify_with_label
from securechan.mls.proposals import Commit, Proposal
from securechan.mls.ratchets import MessageKey, Ratchets
from securechan.mls.registry import ContentType, SenderType, WireFormat
from securechan.mls.rules import Rule, held_to
from securechan.mls.treemath import LeafIndex

_SIGNED, _SENDER_OPENS = held_to(Rule.SIGNED), held_to(Rule.SENDER_OPENS)
_CONTENT_OPENS, _CONTENT_PARSES = held_to(Rule.CONTENT_OPENS), held_to(Rule.CONTENT_PARSES)


@dataclass(frozen=True, slots=True)
class Verified:
    """A message that its sender signed for this epoch of this group."""

    message: AuthenticatedContent
    generation: int | None  # of the sender's ratchet; None for a PublicMessage

    @property
    def content(self) -> FramedContent:
        return self.message.content


@dataclass(frozen=True, slots=True)
class Unverified:
    """A message that some holder of the epoch's keys made, whoever that was."""

    _message: AuthenticatedContent
    generation: int | None

    @property
    def claim(self) -> AuthenticatedContent:
        """What the message says of itself, for finding the key to verify it with; believe none of it yet."""
        return self._message

    def verify(self, suite: Suite, public: bytes, context: bytes) -> Verified:
        """§6.1: the signature over content and, for members, the encoded GroupContext. Raises `BadSignature`."""
        message = self._message
        signed = to_be_signed(message.wire_format, message.content, context)
        with _SIGNED:
            verify_with_label(suite, public, "FramedContentTBS", signed, message.auth.signature)
        return Verified(message, self.generation)


def sign(
    suite: Suite, key: bytes | SigningKey, wire_format: WireFormat, content: FramedContent, context: bytes
) -> bytes:
    """§6.1: the signature of ``FramedContentTBS``."""
    return sign_with_label(suite, key, "FramedContentTBS", to_be_signed(wire_format, content, context))


# ------------------------------------------------------------------------------------------------------ PublicMessage


def membership_tag(suite: Suite, membership_key: bytes, message: AuthenticatedContent, context: bytes) -> bytes:
    """§6.2: ``MAC(membership_key, AuthenticatedContentTBM)``."""
    return suite.mac(membership_key, _to_be_maced(message, context))


def _to_be_maced(message: AuthenticatedContent, context: bytes) -> bytes:
    out = bytearray(to_be_signed(message.wire_format, message.content, context))
    message.auth.write_to(out, message.content.content_type)
    return bytes(out)


def show(suite: Suite, membership_key: bytes, message: AuthenticatedContent, context: bytes) -> PublicMessage:
    """§6.2: signed content in the clear, with a member's tag. Raises `Misuse` for application data."""
    if message.content.content_type is ContentType.APPLICATION:
        raise Misuse("application data never travels in the clear (RFC 9420 §6)")
    is_member = message.content.sender.kind is SenderType.MEMBER
    tag = membership_tag(suite, membership_key, message, context) if is_member else None
    return PublicMessage(message.content, message.auth, tag)


def read(suite: Suite, membership_key: bytes, message: PublicMessage, context: bytes) -> Unverified:
    """§6.2: out of the clear envelope. Raises `CannotOpen` where a member's tag is wrong, or for application data."""
    if message.content.content_type is ContentType.APPLICATION:
        raise CannotOpen("application data in the clear", rule=Rule.SEALED_DATA)
    authenticated = message.authenticated
    if message.membership_tag is not None:
        with held_to(Rule.MEMBERSHIP_TAG):
            suite.verify_mac(membership_key, _to_be_maced(authenticated, context), message.membership_tag)
    return Unverified(authenticated, None)


# ----------------------------------------------------------------------------------------------------- PrivateMessage


def sender_data_key(suite: Suite, sender_data_secret: bytes, ciphertext: bytes) -> tuple[Secret, Secret]:
    """§6.3.2: (key, nonce) for the sender data, from a sample of the ciphertext."""
    sample = ciphertext[: suite.hash_length]
    return (
        expand_with_label(suite, sender_data_secret, "key", sample, suite.aead_key_length),
        expand_with_label(suite, sender_data_secret, "nonce", sample, suite.aead_nonce_length),
    )


def _guarded(nonce: bytes, reuse_guard: int) -> bytes:
    """§6.3.1: the nonce with the guard xored in: a state restored by mistake still doesn't repeat one."""
    size = len(nonce)
    return (int.from_bytes(nonce, "big") ^ reuse_guard << 8 * (size - 4)).to_bytes(size, "big")


def seal(
    suite: Suite,
    sender_data_secret: bytes,
    ratchets: Ratchets,
    leaf: LeafIndex,
    message: AuthenticatedContent,
    padding: int,
) -> tuple[Ratchets, PrivateMessage]:
    """§6.3: signed content under the sender's next key, ``padding`` zero bytes after it."""
    content = message.content
    generation = ratchets.next_generation(leaf, content.content_type)
    after, key = ratchets.take(suite, leaf, content.content_type, generation)
    guard = int.from_bytes(suite.random(4), "big")
    aad = PrivateContentAAD(content.group_id, content.epoch, content.content_type, content.authenticated_data).encode()
    sealed = suite.aead_seal(key.key, _guarded(key.nonce, guard), aad, pack_private(message, padding))
    data_key, data_nonce = sender_data_key(suite, sender_data_secret, sealed)
    data_aad = SenderDataAAD(content.group_id, content.epoch, content.content_type).encode()
    data = suite.aead_seal(data_key, data_nonce, data_aad, SenderData(leaf, generation, guard).encode())
    return after, PrivateMessage(
        content.group_id, content.epoch, content.content_type, content.authenticated_data, data, sealed
    )


def open_sender(suite: Suite, sender_data_secret: bytes, message: PrivateMessage) -> SenderData:
    """§6.3.2: who says to have sent it, in which generation. Raises `CannotOpen`, `Malformed`."""
    key, nonce = sender_data_key(suite, sender_data_secret, message.ciphertext)
    aad = message.sender_aad
    with _SENDER_OPENS:
        return SenderData.decode(suite.aead_open(key, nonce, aad, message.encrypted_sender_data))


def open_content(suite: Suite, key: MessageKey, sender: SenderData, message: PrivateMessage) -> Unverified:
    """§6.3.1: the content. Raises `CannotOpen`, `Malformed`."""
    aad = message.content_aad
    with _CONTENT_OPENS:
        plaintext = suite.aead_open(key.key, _guarded(key.nonce, sender.reuse_guard), aad, message.ciphertext)
    with _CONTENT_PARSES:
        return Unverified(unpack_private(message, LeafIndex(sender.leaf_index), plaintext), sender.generation)


def framed(
    group_id: bytes, epoch: int, sender: Sender, authenticated_data: bytes, content: bytes | Proposal | Commit
) -> FramedContent:
    """Content in its frame, its type read from what it is."""
    match content:
        case bytes():
            return FramedContent(group_id, epoch, sender, authenticated_data, ContentType.APPLICATION, content)
        case Proposal():
            return FramedContent(group_id, epoch, sender, authenticated_data, ContentType.PROPOSAL, content)
        case Commit():
            return FramedContent(group_id, epoch, sender, authenticated_data, ContentType.COMMIT, content)


def authenticated(
    suite: Suite, key: bytes | SigningKey, wire_format: WireFormat, content: FramedContent, context: bytes
) -> AuthenticatedContent:
    """Signed content that isn't a commit (a commit's tag comes after its signature)."""
    signature = sign(suite, key, wire_format, content, context)
    return AuthenticatedContent(wire_format, content, FramedContentAuthData(signature))
