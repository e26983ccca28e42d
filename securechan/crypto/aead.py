"""Authenticated encryption as RFC 5116 has it: AES-128-GCM, AES-256-GCM, ChaCha20-Poly1305.

Each call takes its key: making the cipher object costs about a microsecond, and nothing of a key outlives the call.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM, ChaCha20Poly1305

from securechan.errors import CannotOpen, Misuse

# OpenSSL counts bytes in a C int.
_MOST: Final = 2**31 - 1


@dataclass(frozen=True, slots=True)
class Aead:
    """One AEAD. ``id`` is HPKE's number (RFC 9180 §7.3); Nk, Nn and Nt are in bytes."""

    id: int
    name: str
    key_length: int
    nonce_length: int
    tag_length: int
    cipher: type[AESGCM | ChaCha20Poly1305] | None

    def seal(self, key: bytes, nonce: bytes, aad: bytes, plaintext: bytes) -> bytes:
        """Ciphertext with its tag. Raises Misuse for a key, nonce or text of the wrong size."""
        if len(plaintext) > _MOST - self.tag_length or len(aad) > _MOST:
            raise Misuse("an AEAD takes less than 2 GiB at once", hint="seal it in chunks")
        return self._with(key, nonce).encrypt(nonce, plaintext, aad)

    def open(self, key: bytes, nonce: bytes, aad: bytes, ciphertext: bytes) -> bytes:
        """The plaintext. Raises CannotOpen where the tag doesn't fit, Misuse for a key or nonce of the wrong size."""
        cipher = self._with(key, nonce)
        if not self.tag_length <= len(ciphertext) <= _MOST or len(aad) > _MOST:
            raise CannotOpen(f"{self.name}: {len(ciphertext)} bytes are no ciphertext")
        try:
            return cipher.decrypt(nonce, ciphertext, aad)
        except InvalidTag:
            raise CannotOpen(f"{self.name}: the tag does not fit: wrong key, or altered on the way") from None

    def _with(self, key: bytes, nonce: bytes) -> AESGCM | ChaCha20Poly1305:
        if self.cipher is None:
            raise Misuse("an export-only HPKE suite neither seals nor opens (RFC 9180 §5.3)")
        if len(key) != self.key_length or len(nonce) != self.nonce_length:
            raise Misuse(
                f"{self.name} takes a key of {self.key_length} and a nonce of {self.nonce_length} bytes,"
                f" not {len(key)} and {len(nonce)}"
            )
        return self.cipher(key)


AES128GCM: Final = Aead(0x0001, "AES-128-GCM", 16, 12, 16, AESGCM)
AES256GCM: Final = Aead(0x0002, "AES-256-GCM", 32, 12, 16, AESGCM)
CHACHA20POLY1305: Final = Aead(0x0003, "ChaCha20-Poly1305", 32, 12, 16, ChaCha20Poly1305)
EXPORT_ONLY: Final = Aead(0xFFFF, "export-only", 0, 0, 0, None)
