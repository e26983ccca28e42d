"""Do the two implementations agree, and with the standard? ``doctor`` asks.

Each check compares OpenSSL (through cryptography) with pqcrypto and with a known answer: a bad build, a wrong version
or a broken processor shows here, before a key is made with it. All checks together take about a second.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from securechan.crypto import second
from securechan.crypto.kem import MLKEM768, MLKEM768_X25519, MLKEM1024, Kem
from securechan.crypto.root import ROOT
from securechan.crypto.signature import COMPOSITE, MLDSA44, MLDSA65, MLDSA87, Scheme
from securechan.crypto.suite import HYBRID
from securechan.errors import BadSignature, CannotOpen, SecurechanError


@dataclass(frozen=True, slots=True)
class Check:
    """One line of the report: what was compared, whether it agrees, and what was found."""

    name: str
    ok: bool
    detail: str


class _Differs(Exception):
    """Two things that should be equal are not."""


_SEED: Final = bytes(range(64))

# SHA-256 of the public key that the seed 000102… gives.
_KNOWN: Final = {
    "ML-KEM-768": "0b7934c83125c788995e2ba6bd761e33046b3e40571be53e023309a29f398cc9",
    "ML-KEM-1024": "c7b8fa0aa471d5ae18922d6ccad5b31e1d84f92ae723abfd13747018740a8530",
    "MLKEM768-X25519": "c9a3565ffde4f72b51661be391ee13e46378d7f06dd5c8bf5af9d2cfb5b8336b",
    "ML-DSA-44": "9f107644c1084526af3bc8098680b05499a2325a644e388fb4f970e058d19d46",
    "ML-DSA-65": "d666806e11cee19a7c989f7445f90dd419cf4d2d51db8c0fdb4c0f0a542238c9",
    "ML-DSA-87": "91dc389cfaa01470b7f66eee45a4ae9026d154817c754dfe22298b3fa241ffcd",
    "ML-DSA-65+Ed25519": "f5c64072749870718394df9a06a384e58e3adf6e6ae897fb1cc5da9c4d3867a0",
}


def selftest() -> tuple[Check, ...]:
    """Every check, run now; never raises for a check that fails."""
    checks: list[tuple[str, Callable[[], str]]] = [
        ("ML-KEM-768", lambda: _kem(MLKEM768, "ml_kem_768")),
        ("ML-KEM-1024", lambda: _kem(MLKEM1024, "ml_kem_1024")),
        ("MLKEM768-X25519", lambda: _xwing(MLKEM768_X25519)),
        ("ML-DSA-44", lambda: _signature(MLDSA44, "ml_dsa_44")),
        ("ML-DSA-65", lambda: _signature(MLDSA65, "ml_dsa_65")),
        ("ML-DSA-87", lambda: _signature(MLDSA87, "ml_dsa_87")),
        ("ML-DSA-65+Ed25519", lambda: _pair(COMPOSITE)),
        ("SLH-DSA-SHA2-192s+Ed25519", lambda: _pair(ROOT)),
        ("HPKE hybrid", _hpke),
    ]
    return tuple(_run(name, check) for name, check in checks)


def _run(name: str, check: Callable[[], str]) -> Check:
    try:
        return Check(name, True, check())
    except (_Differs, SecurechanError) as problem:
        return Check(name, False, str(problem))
    except Exception as problem:  # a broken installation fails in any way it likes; doctor reports it
        return Check(name, False, f"{type(problem).__name__}: {problem}")


def _same(what: str, one: bytes, other: bytes) -> None:
    if one != other:
        raise _Differs(what)


def _known(scheme: Kem | Scheme) -> None:
    public = scheme.public(_SEED[: scheme.private_length])
    _same("the known public key differs", hashlib.sha256(public).digest(), bytes.fromhex(_KNOWN[scheme.name]))


def _kem(kem: Kem, name: str) -> str:
    other = second.kem(name)
    _known(kem)
    key = kem.load(_SEED)
    enc, shared = other.encaps(key.public)
    _same("pqcrypto encapsulates otherwise than OpenSSL decapsulates", kem.decap(key, enc), shared)
    public, private = other.keygen()
    ours, enc = kem.encap(public)
    _same("OpenSSL encapsulates otherwise than pqcrypto decapsulates", ours, other.decaps(private, enc))
    # What wasn't made for a key gives J(z ‖ c), which hashlib knows without either (FIPS 203 §6.3).
    stray = hashlib.shake_256(b"stray").digest(kem.enc_length)
    _same("OpenSSL rejects otherwise", kem.decap(key, stray), hashlib.shake_256(_SEED[32:] + stray).digest(32))
    _same(
        "pqcrypto rejects otherwise", other.decaps(private, stray), hashlib.shake_256(private[-32:] + stray).digest(32)
    )
    return "OpenSSL and pqcrypto agree on known answers"


def _xwing(kem: Kem) -> str:
    _known(kem)
    key = kem.load(_SEED[: kem.private_length])
    shared, enc = kem.encap(key.public)
    _same("what was encapsulated is not what comes out", kem.decap(key, enc), shared)
    return "known answer and round trip"


def _signature(scheme: Scheme, name: str) -> str:
    other = second.signature(name)
    _known(scheme)
    key = scheme.load(_SEED[:32])
    other.verify(key.public, b"message", scheme.sign(key, b"context", b"message"), b"context")
    public, private = other.keygen()
    signed = other.sign(private, b"message", b"context")
    scheme.verify(public, b"context", b"message", signed)
    _refused(scheme, public, signed, b"altered")
    try:
        other.verify(public, b"altered", signed, b"context")
    except ValueError:
        return "OpenSSL and pqcrypto agree on known answers"
    raise _Differs("pqcrypto takes an altered message")


def _pair(scheme: Scheme) -> str:
    if scheme.name in _KNOWN:
        _known(scheme)
    private, public = scheme.generate()
    signed = scheme.sign(private, b"context", b"message")
    scheme.verify(public, b"context", b"message", signed)
    _refused(scheme, public, signed, b"altered")
    for position in (0, len(signed) - 1):  # one byte of either half
        altered = bytearray(signed)
        altered[position] ^= 1
        _refused(scheme, public, bytes(altered), b"message")
    return "signs, verifies, and refuses when either half is altered"


def _refused(scheme: Scheme, public: bytes, signed: bytes, message: bytes) -> None:
    try:
        scheme.verify(public, b"context", message, signed)
    except BadSignature:
        return
    raise _Differs(f"{scheme.name} takes what was altered")


def _hpke() -> str:
    hpke = HYBRID.hpke
    private, public = hpke.kem.generate()
    enc, ciphertext = hpke.seal(public, b"info", b"aad", b"plaintext")
    _same("what was sealed is not what opens", hpke.open(private, enc, b"info", b"aad", ciphertext), b"plaintext")
    try:
        hpke.open(private, enc, b"info", b"altered", ciphertext)
    except CannotOpen:
        return "seals, opens, and refuses what was altered"
    raise _Differs("what was altered opens")
