"""RFC 9420 §5.1, §5.2, §8, §9: every use of a key has a label, so that no value of one use passes for another's.

These functions are the only way in which MLS touches a primitive other than a plain hash, MAC or AEAD.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Annotated

from securechan.codec import DEFAULT_BOUND, U16, Opaque, OpaqueCodec, Reader, Struct, write_varint
from securechan.crypto.kem import KemKey
from securechan.crypto.secret import Secret
from securechan.crypto.signature import SigningKey
from securechan.crypto.suite import Suite

PREFIX = b"MLS 1.0 "


class SecretCodec(OpaqueCodec):
    """``opaque<V>`` that is read as a `Secret`, so that no repr of a state shows it."""

    __slots__ = ()

    def read(self, r: Reader) -> Secret:
        return Secret(r.vector(self.bound, "secret"))


SecretBytes = Annotated[Secret, SecretCodec(DEFAULT_BOUND)]


class SignContent(Struct):
    """§5.1.2."""

    label: Opaque
    content: Opaque


class EncryptContext(Struct):
    """§5.1.3."""

    label: Opaque
    context: Opaque


class HPKECiphertext(Struct):
    """§5.1.3."""

    kem_output: Opaque
    ciphertext: Opaque


class RefHashInput(Struct):
    """§5.2."""

    label: Opaque
    value: Opaque


class KDFLabel(Struct):
    """§8."""

    length: U16
    label: Opaque
    context: Opaque


def _labelled(label: str, content: bytes) -> bytes:
    """An encoded `SignContent`, or `EncryptContext`, which has the same form."""
    return _label(label, len(content)) + content


@lru_cache(maxsize=256)
def _label(label: str, size: int) -> bytes:
    """The same up to its content of ``size`` bytes."""
    out = bytearray(SignContent(PREFIX + label.encode(), b"").encode()[:-1])
    write_varint(out, size)
    return bytes(out)


def sign_with_label(suite: Suite, key: bytes | SigningKey, label: str, content: bytes) -> bytes:
    """§5.1.2: ``SignWithLabel``."""
    return suite.signature.sign(key, b"", _labelled(label, content))


def verify_with_label(suite: Suite, public: bytes, label: str, content: bytes, signature: bytes) -> None:
    """§5.1.2: ``VerifyWithLabel``. Raises `BadSignature`; `Malformed` or `Invalid` where the key itself is no key."""
    suite.signature.verify(public, b"", _labelled(label, content), signature)


def encrypt_with_label(suite: Suite, public: bytes, label: str, context: bytes, plaintext: bytes) -> HPKECiphertext:
    """§5.1.3: ``EncryptWithLabel``. Raises `Malformed` or `Invalid` where the public key is none."""
    return encryptor(suite, label, context)(public, plaintext)


def encryptor(suite: Suite, label: str, context: bytes) -> Callable[[bytes, bytes], HPKECiphertext]:
    """§5.1.3: ``EncryptWithLabel`` of (public key, plaintext) for many recipients: what is hashed is hashed once."""
    seal = suite.hpke.sealer(_labelled(label, context))
    return lambda public, plaintext: HPKECiphertext(*seal(public, b"", plaintext))


def decrypt_with_label(
    suite: Suite, private: bytes | KemKey, label: str, context: bytes, sealed: HPKECiphertext
) -> bytes:
    """§5.1.3: ``DecryptWithLabel``. Raises `CannotOpen`; `Malformed` or `Invalid` for an impossible ``kem_output``."""
    info = _labelled(label, context)
    return suite.hpke.open(private, sealed.kem_output, info, b"", sealed.ciphertext)


def ref_hash(suite: Suite, label: str, value: bytes) -> bytes:
    """§5.2: ``RefHash``; the label is the whole one, prefix included."""
    return suite.hash(RefHashInput(label.encode(), value).encode())


def expand_with_label(suite: Suite, secret: bytes, label: str, context: bytes, length: int) -> Secret:
    """§8: ``ExpandWithLabel``, ``length`` bytes."""
    return suite.kdf.expand(secret, _kdf_label(length, label, len(context)) + context, length)


@lru_cache(maxsize=1024)
def _kdf_label(length: int, label: str, size: int) -> bytes:
    """An encoded `KDFLabel` up to its context of ``size`` bytes; the key schedule asks for the same few by the
    thousand."""
    out = bytearray(KDFLabel(length, PREFIX + label.encode(), b"").encode()[:-1])
    write_varint(out, size)
    return bytes(out)


def derive_secret(suite: Suite, secret: bytes, label: str) -> Secret:
    """§8: ``DeriveSecret``, Nh bytes."""
    return expand_with_label(suite, secret, label, b"", suite.hash_length)


def derive_tree_secret(suite: Suite, secret: bytes, label: str, generation: int, length: int) -> Secret:
    """§9.1: ``DeriveTreeSecret``, ``length`` bytes of that generation."""
    return expand_with_label(suite, secret, label, generation.to_bytes(4, "big"), length)
