"""The floor of an MLS operation: the cryptography that RFC 9420 makes unavoidable, done by bare library calls.

A `Floor` counts primitives as an operation is described to it (so many signatures over so many bytes, so many key
pairs, hashes of so many bytes) and then does exactly those, on key objects that are kept: no parsing, no checks, no
encoding. What may be done once for many, such as the hash of an HPKE info that all recipients share, is counted once.
"""

from __future__ import annotations

import hashlib
import hmac
import os
from collections.abc import Callable
from typing import Final

from cryptography.hazmat.primitives.asymmetric import ed25519, mldsa, mlkem, x25519

from securechan.crypto.kem import MontgomeryKem, XWing
from securechan.crypto.signature import COMPOSITE, ED25519
from securechan.crypto.suite import Suite
from securechan.errors import NotFound

Raw = Callable[[], object]

_LABEL: Final = b"COMPSIG-MLDSA65-Ed25519-SHA512"
_PREFIX: Final = b"CompositeAlgorithmSignatures2025" + _LABEL + b"\0"
SCHEDULE: Final = 14  # joiner (2), psk, epoch, nine secrets, confirmation tag (§8)
SEALED: Final = 3  # of each HPKE message: secret, key, nonce (RFC 9180 §5.1)
KEYED: Final = 5  # of each private message: key, nonce, next secret; sender data's key and nonce (§9.1, §6.3.2)


def unknown(what: str) -> NotFound:
    """A suite of which the floor can't be told, as no bare calls for a part of it stand here."""
    return NotFound(f"the floor knows no bare calls for {what}", hint="write them in tests/bench/floor.py")


class Floor:
    """What one operation can't do without. Call the result to do it."""

    def __init__(self, suite: Suite) -> None:
        self._suite = suite
        self._work: list[tuple[int, Raw]] = []

    def __call__(self) -> None:
        for count, raw in self._work:
            for _ in range(count):
                raw()

    def signs(self, count: int, size: int) -> Floor:
        """Signatures over ``size`` bytes each."""
        data = bytes(size)
        if self._suite.signature is ED25519:
            return self._add(count, lambda: _ED.sign(data))
        if self._suite.signature is not COMPOSITE:
            raise unknown(f"signatures by {self._suite.signature.name}")

        def both() -> object:
            framed = _PREFIX + hashlib.sha512(data).digest()
            return _DSA.sign(framed, _LABEL), _ED.sign(framed)

        return self._add(count, both)

    def verifies(self, count: int, size: int) -> Floor:
        """Verifications over ``size`` bytes each."""
        data = bytes(size)
        if self._suite.signature is ED25519:
            plain = _ED.sign(data)
            return self._add(count, lambda: _ED_PUBLIC.verify(plain, data))
        if self._suite.signature is not COMPOSITE:
            raise unknown(f"signatures by {self._suite.signature.name}")
        framed = _PREFIX + hashlib.sha512(data).digest()
        lattice, curve = _DSA.sign(framed, _LABEL), _ED.sign(framed)

        def both() -> None:
            digest = _PREFIX + hashlib.sha512(data).digest()
            _DSA_PUBLIC.verify(lattice, digest, _LABEL)
            _ED_PUBLIC.verify(curve, digest)

        return self._add(count, both)

    def pairs(self, count: int) -> Floor:
        """Key pairs made from secrets, public halves included."""
        return self._add(count, _curve_pair if self._is_curve() else _xwing_pair)

    def seals(self, count: int, size: int) -> Floor:
        """HPKE messages of ``size`` bytes each, to so many recipients."""
        self._add(count, _curve_encap if self._is_curve() else _xwing_encap)
        return self.macs(count * SEALED + 1).boxes(count, size)

    def opens(self, count: int, size: int) -> Floor:
        """HPKE messages of ``size`` bytes each, opened with kept keys."""
        self._add(count, _curve_decap if self._is_curve() else _xwing_decap)
        return self.macs(count * (SEALED + 1)).boxes(count, size)

    def boxes(self, count: int, size: int) -> Floor:
        """AEAD seals or opens of ``size`` bytes each."""
        cipher = self._suite.aead.cipher
        if cipher is None:
            raise unknown(f"the AEAD of {self._suite.name}, which only exports")
        key, nonce, data = bytes(self._suite.aead_key_length), bytes(12), bytes(size)
        return self._add(count, lambda: cipher(key).encrypt(nonce, data, b""))

    def hashes(self, count: int, size: int) -> Floor:
        """Hashes of ``size`` bytes each."""
        data, function = bytes(size), getattr(hashlib, self._suite.hash_name)
        return self._add(count, lambda: function(data).digest())

    def macs(self, count: int) -> Floor:
        """Steps of HKDF, and MACs of short values."""
        key, data, name = bytes(self._suite.hash_length), bytes(64), self._suite.hash_name
        return self._add(count, lambda: hmac.digest(key, data, name))

    def _is_curve(self) -> bool:
        match self._suite.hpke.kem:
            case MontgomeryKem():
                return True
            case XWing():
                return False
            case other:
                raise unknown(f"the KEM {other.name}")

    def _add(self, count: int, raw: Raw) -> Floor:
        self._work.append((count, raw))
        return self


_ED: Final = ed25519.Ed25519PrivateKey.generate()
_ED_PUBLIC: Final = _ED.public_key()
_DSA: Final = mldsa.MLDSA65PrivateKey.generate()
_DSA_PUBLIC: Final = _DSA.public_key()
_X: Final = x25519.X25519PrivateKey.generate()
_X_PUBLIC: Final = _X.public_key()
_LATTICE: Final = mlkem.MLKEM768PrivateKey.generate()
_LATTICE_PUBLIC: Final = _LATTICE.public_key()
_LATTICE_ENC: Final = _LATTICE_PUBLIC.encapsulate()[1]
_SEED: Final = os.urandom(32)


def _two_macs() -> None:
    """DHKEM extracts and expands (RFC 9180 §4.1)."""
    hmac.digest(_SEED, _SEED, "sha256")
    hmac.digest(_SEED, _SEED, "sha256")


def _curve_pair() -> object:
    _two_macs()
    return x25519.X25519PrivateKey.from_private_bytes(_SEED).public_key().public_bytes_raw()


def _curve_encap() -> None:
    mine = x25519.X25519PrivateKey.generate()
    mine.public_key().public_bytes_raw()
    mine.exchange(_X_PUBLIC)
    _two_macs()


def _curve_decap() -> None:
    _X.exchange(_X_PUBLIC)
    _two_macs()


def _xwing_pair() -> object:
    expanded = hashlib.shake_256(_SEED).digest(96)
    lattice = mlkem.MLKEM768PrivateKey.from_seed_bytes(expanded[:64])
    curve = x25519.X25519PrivateKey.from_private_bytes(expanded[64:])
    return lattice.public_key().public_bytes_raw(), curve.public_key().public_bytes_raw()


def _xwing_encap() -> None:
    _LATTICE_PUBLIC.encapsulate()
    mine = x25519.X25519PrivateKey.generate()
    mine.public_key().public_bytes_raw()
    mine.exchange(_X_PUBLIC)
    hashlib.sha3_256(bytes(134)).digest()


def _xwing_decap() -> None:
    _LATTICE.decapsulate(_LATTICE_ENC)
    _X.exchange(_X_PUBLIC)
    hashlib.sha3_256(bytes(134)).digest()
