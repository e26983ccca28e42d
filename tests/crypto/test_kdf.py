"""HKDF by RFC 5869's test cases and against OpenSSL; the XOFs against their standard."""

from __future__ import annotations

import hashlib

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.kdf.hkdf import HKDF, HKDFExpand
from hypothesis import given
from hypothesis import strategies as st

from securechan.crypto import kdf
from securechan.crypto.kdf import Hkdf, Shake
from securechan.crypto.secret import Secret
from securechan.errors import Misuse

ROWS = (kdf.SHA256, kdf.SHA384, kdf.SHA512)
OPENSSL: dict[str, hashes.HashAlgorithm] = {
    "sha256": hashes.SHA256(),
    "sha384": hashes.SHA384(),
    "sha512": hashes.SHA512(),
}


def test_rfc_5869_case_1() -> None:
    prk = kdf.SHA256.extract(bytes(range(13)), b"\x0b" * 22)
    assert prk.hex() == "077709362c2e32df0ddc3f0dc47bba6390b6c73bb50f9c3122ec844ad7c2b3e5"
    okm = kdf.SHA256.expand(prk, bytes(range(0xF0, 0xFA)), 42)
    assert okm.hex() == "3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf34007208d5b887185865"


def test_rfc_5869_case_3_with_nothing_given() -> None:
    prk = kdf.SHA256.extract(b"", b"\x0b" * 22)
    assert prk.hex() == "19ef24a32c717b167f33a91d6f648bdf96596776afdb6377ac434c1c293ccb04"
    okm = kdf.SHA256.expand(prk, b"", 42)
    assert okm.hex() == "8da4e775a563c18f715f802a063c5a31b8a11f5c5ee1879ec3454e5f3c738d2d9d201395faa4b61a96c8"


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.hash_name)
@given(
    salt=st.binary(max_size=200), ikm=st.binary(max_size=200), info=st.binary(max_size=99), length=st.integers(1, 300)
)
def test_openssl_says_the_same(row: Hkdf, salt: bytes, ikm: bytes, info: bytes, length: int) -> None:
    algorithm = OPENSSL[row.hash_name]
    prk = row.extract(salt, ikm)
    assert isinstance(prk, Secret)
    assert prk == HKDF.extract(algorithm, salt, ikm)
    assert row.expand(prk, info, length) == HKDFExpand(algorithm, length, info).derive(prk)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.hash_name)
def test_lengths(row: Hkdf) -> None:
    prk = row.extract(b"", b"")
    assert row.expand(prk, b"", 0) == b""
    for length in (1, row.length - 1, row.length, row.length + 1, 255 * row.length):
        assert len(row.expand(prk, b"", length)) == length
    for length in (-1, 255 * row.length + 1):
        with pytest.raises(Misuse):
            row.expand(prk, b"", length)


@pytest.mark.parametrize(("row", "number", "size"), [(kdf.SHAKE128, 16, 32), (kdf.SHAKE256, 17, 64)])
def test_one_stage(row: Shake, number: int, size: int) -> None:
    assert (row.id, row.length) == (number, size)
    xof = hashlib.shake_128 if row.bits == 128 else hashlib.shake_256
    assert row.derive(b"ikm", 40) == xof(b"ikm").digest(40)
    with pytest.raises(Misuse):
        row.derive(b"", -1)
