"""AEADs: known answers, and nothing altered opens."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from securechan.crypto import aead
from securechan.crypto.aead import Aead
from securechan.errors import CannotOpen, Misuse

ROWS = (aead.AES128GCM, aead.AES256GCM, aead.CHACHA20POLY1305)
every = pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)


def test_rfc_8439() -> None:
    sealed = aead.CHACHA20POLY1305.seal(
        bytes(range(0x80, 0xA0)),
        bytes.fromhex("070000004041424344454647"),
        bytes.fromhex("50515253c0c1c2c3c4c5c6c7"),
        b"Ladies and Gentlemen of the class of '99: If I could offer you only one tip for the future, sunscreen would"
        b" be it.",
    )
    assert sealed[:16].hex() == "d31a8d34648e60db7b86afbc53ef7ec2"
    assert sealed[-16:].hex() == "1ae10b594f09e26a7e902ecbd0600691"


def test_gcm_specification_case_14() -> None:
    sealed = aead.AES256GCM.seal(bytes(32), bytes(12), b"", bytes(16))
    assert sealed.hex() == "cea7403d4d606b6e074ec5d3baf39d18d0d1c8a799996bf0265b98b5d48ab919"


@every
@given(plaintext=st.binary(max_size=100), aad=st.binary(max_size=100), data=st.data())
def test_what_is_sealed_opens_and_every_bit_counts(
    row: Aead, plaintext: bytes, aad: bytes, data: st.DataObject
) -> None:
    key, nonce = bytes(row.key_length), bytes(row.nonce_length)
    sealed = row.seal(key, nonce, aad, plaintext)
    assert len(sealed) == len(plaintext) + row.tag_length
    assert row.open(key, nonce, aad, sealed) == plaintext
    bit = data.draw(st.integers(0, 8 * len(sealed) - 1))
    altered = bytearray(sealed)
    altered[bit // 8] ^= 1 << bit % 8
    for wrong in (bytes(altered), sealed[:-1], sealed + b"\0", b""):
        with pytest.raises(CannotOpen):
            row.open(key, nonce, aad, wrong)
    with pytest.raises(CannotOpen):
        row.open(key, nonce, aad + b"\0", sealed)
    with pytest.raises(CannotOpen):
        row.open(key, b"\1" * row.nonce_length, aad, sealed)
    with pytest.raises(CannotOpen):
        row.open(b"\1" * row.key_length, nonce, aad, sealed)


@every
@given(sealed=st.binary(max_size=100))
def test_random_bytes_do_not_open(row: Aead, sealed: bytes) -> None:
    with pytest.raises(CannotOpen):
        row.open(bytes(row.key_length), bytes(row.nonce_length), b"", sealed)


@every
def test_keys_and_nonces_of_the_wrong_size_are_misuse(row: Aead) -> None:
    key, nonce = bytes(row.key_length), bytes(row.nonce_length)
    for wrong in (
        (b"", nonce),
        (key + b"\0", nonce),
        (key[:-1], nonce),
        (key, nonce[:-1]),
        (key, nonce + b"\0"),
        (key, b""),
    ):
        with pytest.raises(Misuse):
            row.seal(*wrong, b"", b"")
        with pytest.raises(Misuse):
            row.open(*wrong, b"", bytes(16))


class Enormous(bytes):
    """Claims a length that OpenSSL can't count, without the memory."""

    __slots__ = ()

    def __len__(self) -> int:
        return 2**31


@every
def test_texts_beyond_two_gibibytes_are_refused_before_they_reach_openssl(row: Aead) -> None:
    key, nonce = bytes(row.key_length), bytes(row.nonce_length)
    with pytest.raises(Misuse, match="2 GiB"):
        row.seal(key, nonce, b"", Enormous())
    with pytest.raises(Misuse, match="2 GiB"):
        row.seal(key, nonce, Enormous(), b"")
    with pytest.raises(CannotOpen):
        row.open(key, nonce, b"", Enormous())


def test_export_only_does_neither() -> None:
    with pytest.raises(Misuse):
        aead.EXPORT_ONLY.seal(b"", b"", b"", b"")
    with pytest.raises(Misuse):
        aead.EXPORT_ONLY.open(b"", b"", b"", b"")
