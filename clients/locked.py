"""A few secret bytes under a passphrase: the lid of the vault, and the files that trust keys are carried in.

    passphrase ─ NFC, UTF-8 ─► Argon2id (RFC 9106) ─► AES-256-GCM key ─► seals the secret

The cost of Argon2id stands beside the salt and is authenticated with it, so that nobody can make it cheaper after the
fact: other numbers give another key. It is held against bounds before any memory is taken for it, since a file may come
from anywhere. A salt is fresh for every lock, hence so is the key, and no (key, nonce) pair comes twice.
"""

from __future__ import annotations

import secrets
import unicodedata
from typing import Annotated, Final, Self

from cryptography.hazmat.primitives.kdf.argon2 import Argon2id

from securechan.codec import U8, U32, Struct, fixed, opaque
from securechan.crypto.aead import AES256GCM
from securechan.crypto.secret import Secret
from securechan.errors import CannotOpen, Misuse, NotReady

_LABEL: Final = b"securechan/1 locked"
_MAX_MEMORY: Final = 4 << 20  # KiB: what a hostile file may make us try to take
_MAX_ITERATIONS: Final = 64


class Cost(Struct):
    """The cost of Argon2id: KiB of memory, passes over it, lanes."""

    memory: U32
    iterations: U32
    lanes: U8


COST: Final = Cost(128 << 10, 3, 4)  # about 0.3 s and 128 MiB: twice RFC 9106's second recommended option


class Locked(Struct):
    """Secret bytes that a passphrase opens. About 80 bytes more than the secret."""

    cost: Cost
    salt: Annotated[bytes, fixed(16)]
    nonce: Annotated[bytes, fixed(12)]
    sealed: Annotated[bytes, opaque(1 << 16)]

    @classmethod
    def lock(cls, secret: bytes, passphrase: str, *, purpose: bytes, cost: Cost = COST) -> Self:
        """Seal ``secret`` under ``passphrase``. ``purpose`` is authenticated: it must be the same when unlocking."""
        salt, nonce = secrets.token_bytes(16), secrets.token_bytes(12)
        key = _derive(passphrase, salt, cost)
        return cls(cost, salt, nonce, AES256GCM.seal(key, nonce, _aad(purpose, cost, salt), secret))

    def unlock(self, passphrase: str, *, purpose: bytes) -> Secret:
        """The secret. Raises NotReady (``wrong-passphrase``) where it doesn't open, CannotOpen for an absurd cost."""
        if not (
            8 * self.cost.lanes <= self.cost.memory <= _MAX_MEMORY
            and 1 <= self.cost.iterations <= _MAX_ITERATIONS
            and self.cost.lanes >= 1
        ):
            raise CannotOpen(
                "the cost of its passphrase is out of all bounds: the file was altered",
                hint="restore it from a copy",
                code="corrupt",
            )
        key = _derive(passphrase, self.salt, self.cost)
        try:
            return Secret(AES256GCM.open(key, self.nonce, _aad(purpose, self.cost, self.salt), self.sealed))
        except CannotOpen:
            raise NotReady(
                "wrong passphrase",
                hint="try again; without the passphrase nothing can be read",
                code="wrong-passphrase",
            ) from None


def _derive(passphrase: str, salt: bytes, cost: Cost) -> Secret:
    if not passphrase:
        raise Misuse("an empty passphrase protects nothing")
    kdf = Argon2id(salt=salt, length=32, iterations=cost.iterations, lanes=cost.lanes, memory_cost=cost.memory)
    return Secret(kdf.derive(unicodedata.normalize("NFC", passphrase).encode()))


def _aad(purpose: bytes, cost: Cost, salt: bytes) -> bytes:
    return _LABEL + len(purpose).to_bytes(2, "big") + purpose + cost.encode() + salt
