"""RFC 9420 §12.4.3: what a newcomer gets: the group's public state, signed, and the secrets of the epoch, sealed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Annotated

from securechan.codec import U16, U32, Kept, Opaque, Struct, opaque, vec, write_vector
from securechan.crypto.kem import KemKey
from securechan.crypto.secret import Secret
from securechan.crypto.signature import SigningKey
from securechan.crypto.suite import Suite
from securechan.errors import CannotOpen
from securechan.mls.context import GroupContext
from securechan.mls.extensions import TREE_BOUND, Extension, Extensions
from securechan.mls.labels import (
    HPKECiphertext,
    SecretBytes,
    decrypt_with_label,
    encryptor,
    expand_with_label,
    sign_with_label,
    verify_with_label,
)
from securechan.mls.psk import PreSharedKeyID


class GroupInfo(Kept):
    """§12.4.3."""

    group_context: GroupContext
    extensions: Extensions
    confirmation_tag: Opaque
    signer: U32
    signature: Opaque

    def to_be_signed(self) -> bytes:
        """§12.4.3: ``GroupInfoTBS``: all but the signature."""
        signature = bytearray()
        write_vector(signature, self.signature)
        return self.encode()[: -len(signature)]

    def verify(self, suite: Suite, public: bytes) -> None:
        """Raises `BadSignature`."""
        verify_with_label(suite, public, "GroupInfoTBS", self.to_be_signed(), self.signature)

    @classmethod
    def signed(
        cls,
        suite: Suite,
        key: bytes | SigningKey,
        context: GroupContext,
        extensions: tuple[Extension, ...],
        confirmation_tag: bytes,
        signer: int,
    ) -> GroupInfo:
        unsigned = cls(context, extensions, confirmation_tag, signer, b"")
        signature = sign_with_label(suite, key, "GroupInfoTBS", unsigned.to_be_signed())
        return cls(context, extensions, confirmation_tag, signer, signature)


class PathSecret(Struct):
    """§12.4.3.1."""

    path_secret: SecretBytes


class GroupSecrets(Struct):
    """§12.4.3.1."""

    joiner_secret: SecretBytes
    path_secret: PathSecret | None
    psks: tuple[PreSharedKeyID, ...]


class EncryptedGroupSecrets(Struct):
    """§12.4.3.1."""

    new_member: Opaque
    encrypted_group_secrets: HPKECiphertext


class Welcome(Struct):
    """§12.4.3.1."""

    cipher_suite: U16
    secrets: Annotated[tuple[EncryptedGroupSecrets, ...], vec(max=1 << 26)]
    encrypted_group_info: Annotated[bytes, opaque(max=TREE_BOUND + (1 << 20))]

    def secrets_for(self, reference: bytes) -> HPKECiphertext:
        """What is sealed to the key package of that reference. Raises `CannotOpen` where nothing is."""
        for entry in self.secrets:
            if entry.new_member == reference:
                return entry.encrypted_group_secrets
        raise CannotOpen("this welcome is for other key packages", hint="it may be for one already used")


def welcome_key(suite: Suite, welcome_secret: bytes) -> tuple[Secret, Secret]:
    """§12.4.3.1: (key, nonce) of the encrypted group info."""
    return (
        expand_with_label(suite, welcome_secret, "key", b"", suite.aead_key_length),
        expand_with_label(suite, welcome_secret, "nonce", b"", suite.aead_nonce_length),
    )


def seal_group_info(suite: Suite, welcome_secret: bytes, info: GroupInfo) -> bytes:
    """§12.4.3.1."""
    key, nonce = welcome_key(suite, welcome_secret)
    return suite.aead_seal(key, nonce, b"", info.encode())


def open_group_info(suite: Suite, welcome_secret: bytes, sealed: bytes) -> GroupInfo:
    """§12.4.3.1. Raises `CannotOpen`, `Malformed`."""
    key, nonce = welcome_key(suite, welcome_secret)
    return GroupInfo.decode(suite.aead_open(key, nonce, b"", sealed))


def seal_secrets(
    suite: Suite, reference: bytes, init_key: bytes, secrets: GroupSecrets, sealed_info: bytes
) -> EncryptedGroupSecrets:
    """§12.4.3.1: for one newcomer; bound to the group info beside it."""
    return secrets_sealer(suite, sealed_info)(reference, init_key, secrets)


def secrets_sealer(suite: Suite, sealed_info: bytes) -> Callable[[bytes, bytes, GroupSecrets], EncryptedGroupSecrets]:
    """`seal_secrets` of (reference, init key, secrets) for many newcomers, whose group info is hashed once."""
    encrypt = encryptor(suite, "Welcome", sealed_info)
    return lambda reference, init_key, secrets: EncryptedGroupSecrets(reference, encrypt(init_key, secrets.encode()))


def open_secrets(
    suite: Suite, init_private: bytes | KemKey, sealed: HPKECiphertext, sealed_info: bytes
) -> GroupSecrets:
    """§12.4.3.1. Raises `CannotOpen`, `Malformed`."""
    return GroupSecrets.decode(decrypt_with_label(suite, init_private, "Welcome", sealed_info, sealed))


def gathered(suite: Suite, secrets: Sequence[EncryptedGroupSecrets], sealed_info: bytes) -> Welcome:
    """One Welcome for several newcomers; we send each their own."""
    return Welcome(suite.number, tuple(secrets), sealed_info)
