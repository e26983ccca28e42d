"""HPKE: RFC 9180's vectors, those of draft-ietf-hpke-pq, and what must not open."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from securechan.crypto import aead, kdf, kem
from securechan.crypto.hpke import Context, Hpke
from securechan.crypto.kem import DhKem, Kem, MlKem
from securechan.crypto.secret import Secret
from securechan.crypto.suite import SUITES, Suite
from securechan.errors import CannotOpen, Invalid, Malformed, Misuse
from tests.crypto import reference
from tests.crypto.reference import ReferenceHybrid, ReferenceMlKem
from tests.support import corpus

KEMS = {
    row.id: row
    for row in (
        kem.P256, kem.P384, kem.P521, kem.X25519, kem.X448, kem.MLKEM768, kem.MLKEM1024, kem.MLKEM768_X25519,
        reference.MLKEM512, reference.MLKEM768_P256, reference.MLKEM1024_P384,
    )
}  # fmt: skip
KDFS = {
    row.id: row
    for row in (
        kdf.SHA256, kdf.SHA384, kdf.SHA512, kdf.SHAKE128, kdf.SHAKE256,
        reference.TurboShake(128), reference.TurboShake(256),
    )
}  # fmt: skip
AEADS = {row.id: row for row in (aead.AES128GCM, aead.AES256GCM, aead.CHACHA20POLY1305, aead.EXPORT_ONLY)}


def _hex(text: str) -> bytes:
    return bytes.fromhex(text)


def _suite(case: dict[str, Any]) -> Hpke:
    return Hpke(KEMS[case["kem_id"]], KDFS[case["kdf_id"]], AEADS[case["aead_id"]])


def _follow(case: dict[str, Any], sender: Context | None, receiver: Context) -> None:
    """Both ends walk through the vector's messages and exports."""
    for message in case["encryptions"]:
        plaintext, ciphertext, aad = (_hex(message[key]) for key in ("pt", "ct", "aad"))
        assert receiver.open(aad, ciphertext) == plaintext
        if sender is not None:
            assert sender.seal(aad, plaintext) == ciphertext
    for export in case["exports"]:
        value = _hex(export["exported_value"])
        assert receiver.export(_hex(export["exporter_context"]), export["L"]) == value
        if sender is not None:
            assert sender.export(_hex(export["exporter_context"]), export["L"]) == value


def test_rfc_9180() -> None:
    cases = [c for c in json.loads(corpus.published("HPKE/test-vectors.json").read_bytes()) if c["mode"] == 0]
    assert len(cases) == 32
    for case in cases:
        hpke, info = _suite(case), _hex(case["info"])
        assert isinstance(hpke.kem, DhKem)
        private, public = hpke.kem.derive_key_pair(_hex(case["ikmR"]))
        assert (private, public) == (_hex(case["skRm"]), _hex(case["pkRm"]))
        ephemeral = hpke.kem.derive_key(_hex(case["ikmE"]))
        shared, enc = hpke.kem.encap_with(ephemeral, public)
        assert (shared, enc) == (_hex(case["shared_secret"]), _hex(case["enc"]))
        receiver = hpke.setup_receiver(private, enc, info)
        assert receiver._key == _hex(case["key"])
        assert receiver._exporter == _hex(case["exporter_secret"])
        _follow(case, hpke.schedule(shared, info), receiver)


@pytest.mark.parametrize("index", range(13))
def test_draft_ietf_hpke_pq(index: int) -> None:
    cases = json.loads(corpus.published("HPKE/hpke-pq-test-vectors.json").read_bytes())
    assert len(cases) == 13
    case = cases[index]
    hpke, info, enc = _suite(case), _hex(case["info"]), _hex(case["enc"])
    assert hpke.suite_id == _hex(case["suite_id"])
    key = hpke.kem.derive_key(_hex(case["ikmR"]))
    assert key.public == _hex(case["pkRm"])
    assert hpke.kem.public(_hex(case["skRm"])) == _hex(case["pkRm"])
    if hpke.kem.id != 0x0021:  # there the vector shows the key clamped (RFC 7748 §5)
        assert key.private == _hex(case["skRm"])
    assert hpke.kem.decap(key, enc) == _hex(case["shared_secret"])
    assert _encap_from(hpke.kem, key.public, _hex(case["ikmE"])) == (_hex(case["shared_secret"]), enc)
    _follow(case, hpke.schedule(_hex(case["shared_secret"]), info), hpke.setup_receiver(key, enc, info))


def _encap_from(row: Kem, public: bytes, seed: bytes) -> tuple[bytes, bytes]:
    """What Encap gives with the vector's randomness."""
    match row:
        case DhKem():
            return row.encap_with(row.derive_key(seed), public)
        case ReferenceMlKem() | ReferenceHybrid():
            return row.encap_from(public, seed)
        case MlKem():
            return ReferenceMlKem(row.bits).encap_from(public, seed)
        case _:
            return reference.xwing_encap(public, seed)


PLAIN = st.binary(max_size=200)


@pytest.mark.parametrize("suite", SUITES.values(), ids=SUITES)
def test_what_is_sealed_opens_and_nothing_else(suite: Suite) -> None:
    hpke = suite.hpke
    private, public = hpke.kem.generate()
    other, _ = hpke.kem.generate()
    enc, ciphertext = hpke.seal(public, b"info", b"aad", b"text")
    key = hpke.kem.load(private)
    assert hpke.open(private, enc, b"info", b"aad", ciphertext) == b"text"
    assert hpke.open(key, enc, b"info", b"aad", ciphertext) == b"text"
    for wrong in (
        (other, enc, b"info", b"aad", ciphertext),
        (key, enc, b"other", b"aad", ciphertext),
        (key, enc, b"info", b"other", ciphertext),
        (key, enc, b"info", b"aad", ciphertext[:-1] + bytes([ciphertext[-1] ^ 1])),
        (key, enc, b"info", b"aad", b"\0" + ciphertext),
        (key, enc, b"info", b"aad", ciphertext[:-1]),
        (key, enc, b"info", b"aad", b""),
    ):
        with pytest.raises(CannotOpen):
            hpke.open(*wrong)
    for length in (0, hpke.kem.enc_length - 1, hpke.kem.enc_length + 1):
        with pytest.raises(Malformed):
            hpke.open(key, bytes(length), b"info", b"aad", ciphertext)
    with pytest.raises(Malformed):
        hpke.seal(public[:-1], b"", b"", b"")


@pytest.mark.parametrize("suite", SUITES.values(), ids=repr)
def test_a_message_sealed_at_once_opens_in_a_context_and_the_other_way(suite: Suite) -> None:
    hpke, key = suite.hpke, suite.hpke.kem.fresh()
    enc, sealed = hpke.seal(key.public, b"info", b"aad", b"text")
    assert hpke.setup_receiver(key, enc, b"info").open(b"aad", sealed) == b"text"
    enc, context = hpke.setup_sender(key.public, b"info")
    assert hpke.open(key, enc, b"info", b"aad", context.seal(b"aad", b"text")) == b"text"


@pytest.mark.parametrize("suite", SUITES.values(), ids=SUITES)
def test_both_ends_export_the_same(suite: Suite) -> None:
    hpke = suite.hpke
    private, public = hpke.kem.generate()
    enc, secret = hpke.send_export(public, b"info", b"MLS 1.0 external init secret", suite.hash_length)
    assert len(secret) == suite.hash_length
    assert hpke.receive_export(private, enc, b"info", b"MLS 1.0 external init secret", suite.hash_length) == secret
    assert hpke.receive_export(private, enc, b"info", b"another", suite.hash_length) != secret


HYBRID = SUITES["hybrid"].hpke
PRIVATE = HYBRID.kem.load(bytes(range(32)))


@given(enc=st.binary(min_size=1120, max_size=1120), ciphertext=PLAIN)
@settings(max_examples=100, deadline=None)
def test_random_bytes_do_not_open(enc: bytes, ciphertext: bytes) -> None:
    with pytest.raises((CannotOpen, Invalid)):
        HYBRID.open(PRIVATE, enc, b"info", b"aad", ciphertext)


@given(enc=st.binary(max_size=1300), ciphertext=PLAIN)
@settings(max_examples=100, deadline=None)
def test_bytes_of_any_length_end_in_a_documented_error(enc: bytes, ciphertext: bytes) -> None:
    with pytest.raises((CannotOpen, Invalid, Malformed)):
        HYBRID.open(PRIVATE, enc, b"info", b"aad", ciphertext)


@given(plaintexts=st.lists(PLAIN, max_size=5), aad=PLAIN, info=PLAIN)
@settings(max_examples=30, deadline=None)
def test_a_context_carries_messages_in_order(plaintexts: list[bytes], aad: bytes, info: bytes) -> None:
    enc, sender = HYBRID.setup_sender(PRIVATE.public, info)
    receiver = HYBRID.setup_receiver(PRIVATE, enc, info)
    for plaintext in plaintexts:
        assert receiver.open(aad, sender.seal(aad, plaintext)) == plaintext


def test_a_message_that_fails_does_not_count() -> None:
    enc, sender = HYBRID.setup_sender(PRIVATE.public, b"")
    receiver = HYBRID.setup_receiver(PRIVATE, enc, b"")
    first, second = sender.seal(b"", b"one"), sender.seal(b"", b"two")
    with pytest.raises(CannotOpen):
        receiver.open(b"", second)
    assert receiver.open(b"", first) == b"one"
    assert receiver.open(b"", second) == b"two"
    with pytest.raises(CannotOpen):  # each opens once
        receiver.open(b"", second)


def test_the_counter_never_wraps() -> None:
    _, sender = HYBRID.setup_sender(PRIVATE.public, b"")
    sender._sequence = (1 << 96) - 2
    sender.seal(b"", b"the last")
    with pytest.raises(Misuse, match="all its messages"):
        sender.seal(b"", b"one too many")


def test_an_export_only_suite_neither_seals_nor_opens() -> None:
    hpke = Hpke(kem.X25519, kdf.SHA256, aead.EXPORT_ONLY)
    private, public = hpke.kem.generate()
    enc, secret = hpke.send_export(public, b"", b"", 32)
    assert hpke.receive_export(private, enc, b"", b"", 32) == secret
    with pytest.raises(Misuse, match="export-only"):
        hpke.seal(public, b"", b"", b"")


def test_lengths_beyond_the_kdf_are_refused() -> None:
    _, sender = HYBRID.setup_sender(PRIVATE.public, b"")
    for length in (-1, 255 * 48 + 1, 1 << 16):
        with pytest.raises(Misuse):
            sender.export(b"", length)


def test_a_one_stage_kdf_refuses_an_info_that_has_no_length() -> None:
    hpke = Hpke(kem.X25519, kdf.SHAKE256, aead.AES256GCM)
    _, public = hpke.kem.generate()
    with pytest.raises(Misuse):
        hpke.setup_sender(public, bytes(1 << 16))


def test_nothing_secret_shows() -> None:
    _, sender = HYBRID.setup_sender(PRIVATE.public, b"")
    assert isinstance(sender._key, Secret)
    assert repr(PRIVATE) == "KemKey(MLKEM768-X25519)"
    assert sender._key.hex() not in repr(sender) + repr(HYBRID)
