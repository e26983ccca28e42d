"""The table of suites: what its rows say, and that a number alone identifies nothing."""

from __future__ import annotations

import hashlib
import hmac

import pytest

from securechan.crypto.secret import Secret
from securechan.crypto.suite import HYBRID, PROFILES, SUITES, Suite, by_number
from securechan.errors import CannotOpen, NotFound

every = pytest.mark.parametrize("suite", SUITES.values(), ids=SUITES)

# number: (kem, kdf, aead, hash, signature, DeriveKeyPair), as the documents named in suite.py have them
TABLE = {
    0x0001: (0x0020, 1, 1, "sha256", "Ed25519", "rfc9180"),
    0x0002: (0x0010, 1, 1, "sha256", "ECDSA P-256", "rfc9180"),
    0x0003: (0x0020, 1, 3, "sha256", "Ed25519", "rfc9180"),
    0x0004: (0x0021, 3, 2, "sha512", "Ed448", "rfc9180"),
    0x0005: (0x0012, 3, 2, "sha512", "ECDSA P-521", "rfc9180"),
    0x0006: (0x0021, 3, 3, "sha512", "Ed448", "rfc9180"),
    0x0007: (0x0011, 2, 2, "sha384", "ECDSA P-384", "rfc9180"),
    0x004F: (0x647A, 1, 1, "sha256", "Ed25519", "hpke-pq"),
    0x004E: (0x647A, 2, 2, "sha384", "Ed25519", "hpke-pq"),
    0xF042: (0x0041, 2, 2, "sha384", "Ed25519", "hpke-pq"),
    0x0052: (0x647A, 2, 3, "sha384", "ML-DSA-44", "hpke-pq"),
    0x0051: (0x0041, 2, 2, "sha384", "ML-DSA-65", "hpke-pq"),
    0x0907: (0x0042, 2, 2, "sha384", "ML-DSA-87", "hpke-pq"),
    0xF00D: (0x647A, 3, 2, "sha512", "Ed25519", "cfrg"),
    0xF00E: (0x647A, 3, 3, "sha512", "Ed25519", "cfrg"),
    0xF011: (0x647A, 3, 2, "sha512", "ML-DSA-87", "cfrg"),
    0xF00F: (0x0042, 3, 2, "sha512", "ML-DSA-87", "raw"),
    0xF057: (0xF057, 1, 3, "sha256", "Ed25519", "f057"),
    0xF5C1: (0x647A, 2, 2, "sha384", "ML-DSA-65+Ed25519", "hpke-pq"),
    0xF5C2: (0x0042, 2, 2, "sha384", "ML-DSA-87", "hpke-pq"),
    0xF5C3: (0x647A, 2, 3, "sha384", "ML-DSA-44", "hpke-pq"),
}


def test_the_rows() -> None:
    assert {
        s.number: (s.hpke.kem.id, s.hpke.kdf.id, s.hpke.aead.id, s.hash_name, s.signature.name, s.hpke.kem.rule)
        for s in SUITES.values()
    } == TABLE


def test_names_and_numbers_are_unique_and_ours_are_private_use() -> None:
    assert len(SUITES) == len(TABLE)
    assert all(name == suite.name for name, suite in SUITES.items())
    for name in ("hybrid", "cnsa", "standard"):
        assert 0xF000 <= SUITES[name].number <= 0xFFFF  # RFC 9420 §17.1
    assert SUITES["hybrid"] is HYBRID
    assert PROFILES[0] is HYBRID


def test_by_number_looks_only_where_it_is_told() -> None:
    for suite in SUITES.values():
        assert by_number(suite.number) is suite
    assert by_number(0xF5C1, among=PROFILES) is HYBRID
    with pytest.raises(NotFound, match="0x0001"):
        by_number(0x0001, among=PROFILES)
    with pytest.raises(NotFound):
        by_number(0x0A0A)


def test_the_table_can_not_be_changed() -> None:
    with pytest.raises(TypeError):
        SUITES["hybrid"] = SUITES["standard"]  # it must not work
    with pytest.raises(AttributeError):
        HYBRID.number = 1  # it must not work


def test_it_shows_its_name_and_number() -> None:
    assert repr(HYBRID) == "<suite hybrid, 0xf5c1>"


@every
def test_its_functions(suite: Suite) -> None:
    assert suite.aead is suite.hpke.aead
    assert suite.hash(b"abc") == hashlib.new(suite.hash_name, b"abc").digest()
    assert len(suite.hash(b"")) == suite.hash_length
    prk = suite.extract(b"salt", b"ikm")
    assert isinstance(prk, Secret)
    assert prk == hmac.digest(b"salt", b"ikm", suite.hash_name)
    assert len(suite.expand(prk, b"info", 100)) == 100
    tag = suite.mac(prk, b"data")
    suite.verify_mac(prk, b"data", tag)
    for key, data, wrong in (
        (prk, b"datb", tag),
        (bytes(32), b"data", tag),
        (prk, b"data", tag[:-1]),
        (prk, b"data", b""),
    ):
        with pytest.raises(CannotOpen):
            suite.verify_mac(key, data, wrong)
    key, nonce = suite.random(suite.aead_key_length), suite.random(suite.aead_nonce_length)
    sealed = suite.aead_seal(key, nonce, b"aad", b"text")
    assert suite.aead_open(key, nonce, b"aad", sealed) == b"text"
    with pytest.raises(CannotOpen):
        suite.aead_open(key, nonce, b"", sealed)
