"""What the primitives and HPKE cost, beside the raw calls they stand on: ``python -m tests.bench.bench_crypto``.

The floor of an HPKE row is cryptography's own HPKE in Rust (single-shot, no exporter, no DeriveKeyPair); of a KEM or
signature row the bare OpenSSL calls on kept key objects.
"""

from __future__ import annotations

import hashlib
import hmac
import os
from collections.abc import Callable, Iterator
from functools import partial

from cryptography.hazmat.primitives import hpke as raw
from cryptography.hazmat.primitives.asymmetric import ed25519, mldsa, mlkem, x25519
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from securechan.crypto.hpke import Hpke
from securechan.crypto.kem import MLKEM768_X25519
from securechan.crypto.root import ROOT
from securechan.crypto.signature import COMPOSITE, ED25519, MLDSA44, MLDSA65, MLDSA87
from securechan.crypto.suite import HYBRID, SUITES
from tests.bench.harness import Table, run

SEED = bytes(range(64))
TEXT = os.urandom(1024)


def tables() -> Iterator[Table]:
    yield symmetric()
    yield kems()
    yield signatures()
    yield hpke()
    yield root()


def symmetric() -> Table:
    table = Table("hybrid: hash, KDF, AEAD")
    key, nonce = bytes(32), bytes(12)
    kept = AESGCM(key)
    table.row("hash, 1 KiB", lambda: HYBRID.hash(TEXT), floor=lambda: hashlib.sha384(TEXT).digest())
    table.row("extract", lambda: HYBRID.extract(key, key), floor=lambda: hmac.digest(key, key, "sha384"))
    table.row(
        "expand, 48 bytes", lambda: HYBRID.expand(key, b"info", 48), floor=lambda: hmac.digest(key, b"info", "sha384")
    )
    table.row(
        "seal, 1 KiB",
        lambda: HYBRID.aead_seal(key, nonce, b"aad", TEXT),
        floor=lambda: kept.encrypt(nonce, TEXT, b"aad"),
        note="floor keeps the cipher object",
    )
    return table


def kems() -> Table:
    table = Table("X-Wing")
    key = MLKEM768_X25519.load(SEED[:32])
    _, enc = MLKEM768_X25519.encap(key.public)
    lattice = mlkem.MLKEM768PrivateKey.from_seed_bytes(SEED)
    curve = x25519.X25519PrivateKey.from_private_bytes(SEED[:32])
    lattice_public, curve_public = lattice.public_key(), curve.public_key()
    _, lattice_enc = lattice_public.encapsulate()

    def encapsulate() -> None:
        lattice_public.encapsulate()
        x25519.X25519PrivateKey.generate().exchange(curve_public)

    def decapsulate() -> None:
        lattice.decapsulate(lattice_enc)
        curve.exchange(curve_public)

    def load() -> None:
        mlkem.MLKEM768PrivateKey.from_seed_bytes(SEED)
        x25519.X25519PrivateKey.from_private_bytes(SEED[:32])

    table.row("encap", lambda: MLKEM768_X25519.encap(key.public), floor=encapsulate)
    table.row("decap, kept key", lambda: MLKEM768_X25519.decap(key, enc), floor=decapsulate)
    table.row("decap, from the seed", lambda: MLKEM768_X25519.decap(SEED[:32], enc), floor=decapsulate)
    table.row("DeriveKeyPair", lambda: MLKEM768_X25519.derive_key_pair(SEED), floor=load)
    return table


def signatures() -> Table:
    table = Table("signatures, 1 KiB, kept keys")
    lattices: dict[str, mldsa.MLDSA44PrivateKey | mldsa.MLDSA65PrivateKey | mldsa.MLDSA87PrivateKey] = {
        "ML-DSA-44": mldsa.MLDSA44PrivateKey.from_seed_bytes(SEED[:32]),
        "ML-DSA-65": mldsa.MLDSA65PrivateKey.from_seed_bytes(SEED[:32]),
        "ML-DSA-87": mldsa.MLDSA87PrivateKey.from_seed_bytes(SEED[:32]),
    }
    curve = ed25519.Ed25519PrivateKey.from_private_bytes(SEED[:32])

    def floors(name: str) -> tuple[Callable[[], None], Callable[[], None]]:
        """Signing and verifying with the bare objects that the scheme of this name is made of."""
        lattice = lattices.get(name[:9])
        curved = "Ed25519" in name
        lattice_signature = lattice.sign(TEXT) if lattice else b""
        curve_signature = curve.sign(TEXT)
        lattice_public, curve_public = lattice.public_key() if lattice else None, curve.public_key()

        def sign() -> None:
            if lattice:
                lattice.sign(TEXT)
            if curved:
                curve.sign(TEXT)

        def verify() -> None:
            if lattice_public:
                lattice_public.verify(lattice_signature, TEXT)
            if curved:
                curve_public.verify(curve_signature, TEXT)

        return sign, verify

    for scheme in (ED25519, MLDSA44, MLDSA65, MLDSA87, COMPOSITE):
        key = scheme.load(SEED[: scheme.private_length])
        made = scheme.sign(key, b"", TEXT)
        sign, verify = floors(scheme.name)
        table.row(f"{scheme.name} sign", partial(scheme.sign, key, b"", TEXT), floor=sign)
        table.row(f"{scheme.name} verify", partial(scheme.verify, key.public, b"", TEXT, made), floor=verify)
    return table


def hpke() -> Table:
    table = Table("HPKE, 64 bytes to one key, kept keys")
    info, text = b"info", TEXT[:64]
    for suite in SUITES.values():
        row: Hpke = suite.hpke
        key = row.kem.load(row.kem.generate()[0])
        enc, ciphertext = row.seal(key.public, info, b"", text)
        seal, open_ = _raw(row, info, text)
        table.row(f"{suite.name} seal", partial(row.seal, key.public, info, b"", text), floor=seal)
        table.row(f"{suite.name} open", partial(row.open, key, enc, info, b"", ciphertext), floor=open_)
    return table


def _raw(row: Hpke, info: bytes, text: bytes) -> tuple[Callable[[], object] | None, Callable[[], object] | None]:
    """The same by cryptography's HPKE, where it has the KEM as the standards have it."""
    kdf = {1: raw.KDF.HKDF_SHA256, 2: raw.KDF.HKDF_SHA384, 3: raw.KDF.HKDF_SHA512}[row.kdf.id]
    aead = {1: raw.AEAD.AES_128_GCM, 2: raw.AEAD.AES_256_GCM, 3: raw.AEAD.CHACHA20_POLY1305}[row.aead.id]
    private: (
        x25519.X25519PrivateKey | mlkem.MLKEM768PrivateKey | mlkem.MLKEM1024PrivateKey | raw.MLKEM768X25519PrivateKey
    )
    match row.kem.id:
        case 0x0020:
            kem, private = raw.KEM.X25519, x25519.X25519PrivateKey.generate()
        case 0x0041:
            kem, private = raw.KEM.MLKEM768, mlkem.MLKEM768PrivateKey.generate()
        case 0x0042:
            kem, private = raw.KEM.MLKEM1024, mlkem.MLKEM1024PrivateKey.generate()
        case 0x647A:
            halves = mlkem.MLKEM768PrivateKey.generate(), x25519.X25519PrivateKey.generate()
            kem, private = raw.KEM.MLKEM768_X25519, raw.MLKEM768X25519PrivateKey(*halves)
        case _:
            return None, None
    suite = raw.Suite(kem, kdf, aead)
    public = private.public_key()
    sealed = suite.encrypt(text, public, info)
    return partial(suite.encrypt, text, public, info), partial(suite.decrypt, sealed, private, info)


def root() -> Table:
    table = Table("root pair", repeats=3)
    private, public = ROOT.generate()
    made = ROOT.sign(private, b"", TEXT)
    table.row("SLH-DSA-SHA2-192s+Ed25519 sign", lambda: ROOT.sign(private, b"", TEXT))
    table.row("SLH-DSA-SHA2-192s+Ed25519 verify", lambda: ROOT.verify(public, b"", TEXT, made))
    return table


if __name__ == "__main__":
    run(tables())
