"""The suites: one table row each, looked up by name.

A suite is a profile of a conversation, fixed for its life: an HPKE suite (with the DeriveKeyPair rule that its KEM
follows here), the hash and KDF of MLS, an AEAD and a signature scheme. An MLS message carries a 16-bit number for it
(RFC 9420 §17.1); the numbers of the post-quantum drafts are provisional and IANA has assigned none, so a number alone
identifies nothing and a row is known by its name.

Users are offered ``hybrid``. ``cnsa`` and ``standard`` are defined for later; the other rows are RFC 9420's own,
those of draft-ietf-mls-pq-ciphersuites-06, and two other implementations' for whose groups we hold vectors.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final

from securechan.crypto import aead, kdf
from securechan.crypto.aead import Aead
from securechan.crypto.hpke import Hpke
from securechan.crypto.kdf import HashName, Hkdf
from securechan.crypto.kem import (
    MLKEM768,
    MLKEM768_X25519,
    MLKEM768_X25519_CFRG,
    MLKEM768_X25519_F057,
    MLKEM1024,
    MLKEM1024_RAW,
    P256,
    P384,
    P521,
    X448,
    X25519,
    Kem,
)
from securechan.crypto.secret import Secret
from securechan.crypto.signature import (
    COMPOSITE,
    ECDSA_P256,
    ECDSA_P384,
    ECDSA_P521,
    ED448,
    ED25519,
    MLDSA44,
    MLDSA65,
    MLDSA87,
    Scheme,
)
from securechan.errors import CannotOpen, NotFound

_HASHES: Final = {"sha256": hashlib.sha256, "sha384": hashlib.sha384, "sha512": hashlib.sha512}


@dataclass(frozen=True, slots=True)
class Suite:
    """One row. Lengths are in bytes; Nh, Nk and Nn are RFC 9420's names for them (§5.1)."""

    name: str
    number: int
    hpke: Hpke
    kdf: Hkdf
    signature: Scheme
    hash_length: int = field(init=False)  # Nh
    aead_key_length: int = field(init=False)  # Nk
    aead_nonce_length: int = field(init=False)  # Nn

    def __post_init__(self) -> None:
        object.__setattr__(self, "hash_length", self.kdf.length)
        object.__setattr__(self, "aead_key_length", self.hpke.aead.key_length)
        object.__setattr__(self, "aead_nonce_length", self.hpke.aead.nonce_length)

    def __repr__(self) -> str:
        return f"<suite {self.name}, 0x{self.number:04x}>"

    @property
    def aead(self) -> Aead:
        """The AEAD of MLS, which is HPKE's."""
        return self.hpke.aead

    @property
    def hash_name(self) -> HashName:
        return self.kdf.hash_name

    def hash(self, data: bytes | bytearray) -> bytes:
        """Hash: Nh bytes."""
        return _HASHES[self.kdf.hash_name](data).digest()

    def extract(self, salt: bytes, ikm: bytes) -> Secret:
        """KDF.Extract: Nh bytes."""
        return self.kdf.extract(salt, ikm)

    def expand(self, prk: bytes, info: bytes, length: int) -> Secret:
        """KDF.Expand: ``length`` ≤ 255 × Nh bytes."""
        return self.kdf.expand(prk, info, length)

    def mac(self, key: bytes, data: bytes) -> bytes:
        """HMAC with the suite's hash (RFC 9420 §5.1.1): Nh bytes."""
        return hmac.digest(key, data, self.kdf.hash_name)

    def verify_mac(self, key: bytes, data: bytes, tag: bytes) -> None:
        """Raises CannotOpen where ``tag`` isn't the MAC of ``data``; takes the same time wherever they differ."""
        if not hmac.compare_digest(self.mac(key, data), tag):
            raise CannotOpen("a MAC does not fit: wrong key, or altered on the way")

    def aead_seal(self, key: bytes, nonce: bytes, aad: bytes, plaintext: bytes) -> bytes:
        """The ciphertext with its tag."""
        return self.hpke.aead.seal(key, nonce, aad, plaintext)

    def aead_open(self, key: bytes, nonce: bytes, aad: bytes, ciphertext: bytes) -> bytes:
        """The plaintext, or CannotOpen."""
        return self.hpke.aead.open(key, nonce, aad, ciphertext)

    def random(self, length: int) -> Secret:
        """``length`` fresh random bytes."""
        return Secret.random(length)


def _row(name: str, number: int, parts: tuple[Kem, Hkdf, Aead], scheme: Scheme) -> Suite:
    return Suite(name, number, Hpke(*parts), parts[1], scheme)


_A128: Final = aead.AES128GCM
_A256: Final = aead.AES256GCM
_CHA: Final = aead.CHACHA20POLY1305
_S256: Final = kdf.SHA256
_S384: Final = kdf.SHA384
_S512: Final = kdf.SHA512

# fmt: off
_ROWS: Final = (
    # our profiles: private-use numbers, apart from those of every other row
    _row("hybrid", 0xF5C1, (MLKEM768_X25519, _S384, _A256), COMPOSITE),
    _row("cnsa", 0xF5C2, (MLKEM1024, _S384, _A256), MLDSA87),
    _row("standard", 0xF5C3, (MLKEM768_X25519, _S384, _CHA), MLDSA44),
    # RFC 9420 §17.1
    _row("MLS_128_DHKEMX25519_AES128GCM_SHA256_Ed25519", 0x0001, (X25519, _S256, _A128), ED25519),
    _row("MLS_128_DHKEMP256_AES128GCM_SHA256_P256", 0x0002, (P256, _S256, _A128), ECDSA_P256),
    _row("MLS_128_DHKEMX25519_CHACHA20POLY1305_SHA256_Ed25519", 0x0003, (X25519, _S256, _CHA), ED25519),
    _row("MLS_256_DHKEMX448_AES256GCM_SHA512_Ed448", 0x0004, (X448, _S512, _A256), ED448),
    _row("MLS_256_DHKEMP521_AES256GCM_SHA512_P521", 0x0005, (P521, _S512, _A256), ECDSA_P521),
    _row("MLS_256_DHKEMX448_CHACHA20POLY1305_SHA512_Ed448", 0x0006, (X448, _S512, _CHA), ED448),
    _row("MLS_256_DHKEMP384_AES256GCM_SHA384_P384", 0x0007, (P384, _S384, _A256), ECDSA_P384),
    # draft-ietf-mls-pq-ciphersuites-06; the numbers are provisional
    _row("MLS_128_MLKEM768X25519_AES128GCM_SHA256_Ed25519", 0x004F, (MLKEM768_X25519, _S256, _A128), ED25519),
    _row("MLS_128_MLKEM768X25519_AES256GCM_SHA384_Ed25519", 0x004E, (MLKEM768_X25519, _S384, _A256), ED25519),
    _row("MLS_128_MLKEM768_AES256GCM_SHA384_Ed25519", 0xF042, (MLKEM768, _S384, _A256), ED25519),
    _row("MLS_128_MLKEM768X25519_CHACHA20POLY1305_SHA384_MLDSA44", 0x0052, (MLKEM768_X25519, _S384, _CHA), MLDSA44),
    _row("MLS_192_MLKEM768_AES256GCM_SHA384_MLDSA65", 0x0051, (MLKEM768, _S384, _A256), MLDSA65),
    _row("MLS_256_MLKEM1024_AES256GCM_SHA384_MLDSA87", 0x0907, (MLKEM1024, _S384, _A256), MLDSA87),
    # ts-mls, as its code has them
    _row("XWING_AES256GCM_SHA512_Ed25519", 0xF00D, (MLKEM768_X25519_CFRG, _S512, _A256), ED25519),
    _row("XWING_CHACHA20POLY1305_SHA512_Ed25519", 0xF00E, (MLKEM768_X25519_CFRG, _S512, _CHA), ED25519),
    _row("XWING_AES256GCM_SHA512_MLDSA87", 0xF011, (MLKEM768_X25519_CFRG, _S512, _A256), MLDSA87),
    _row("MLKEM1024_AES256GCM_SHA512_MLDSA87", 0xF00F, (MLKEM1024_RAW, _S512, _A256), MLDSA87),
    # rine-mls
    _row("RINE_F057_CHACHA20POLY1305_SHA256_Ed25519", 0xF057, (MLKEM768_X25519_F057, _S256, _CHA), ED25519),
)
# fmt: on

SUITES: Final[Mapping[str, Suite]] = MappingProxyType({row.name: row for row in _ROWS})
HYBRID: Final = SUITES["hybrid"]
PROFILES: Final = (HYBRID,)
"""What users are offered, the first choice first."""


def by_number(number: int, among: Iterable[Suite] = _ROWS) -> Suite:
    """The row of ``among`` with this number. Raises NotFound; pass the rows you would accept."""
    for row in among:
        if row.number == number:
            return row
    raise NotFound(f"no cipher suite here has the number 0x{number:04x}", hint="the sender uses a suite we don't")
