"""Trust keys: their ids are their hashes, their signatures carry a context, python-tuf counts them."""

from __future__ import annotations

import copy

import pytest
from securesystemslib.exceptions import UnverifiedSignatureError
from securesystemslib.signer import Key, Signature, Signer

from securechan.crypto import contexts
from securechan.crypto.signature import COMPOSITE
from securechan.errors import Invalid, Malformed, Misuse
from securechan.trust.keys import Kind, TrustKey, TrustSigner, generate, key_id
from securechan.trust.records import key_hash
from tests.support.federation import root_signer


@pytest.fixture(scope="module")
def signer() -> TrustSigner:
    return TrustSigner.generate(Kind.COMPOSITE)


def test_a_signature_verifies_and_an_altered_one_does_not(signer: TrustSigner) -> None:
    signature = signer.sign(b"payload")
    signer.public_key.verify_signature(signature, b"payload")
    for wrong, data in (
        (signature, b"other"),
        (Signature(signer.keyid, "00" * 3373), b"payload"),
        (Signature(signer.keyid, signature.signature[:-2]), b"payload"),
        (Signature(signer.keyid, "not hex"), b"payload"),
        (Signature(signer.keyid, ""), b"payload"),
    ):
        with pytest.raises(UnverifiedSignatureError):
            signer.public_key.verify_signature(wrong, data)


def test_a_trust_signature_is_good_for_nothing_else() -> None:
    private, public = generate(Kind.COMPOSITE)
    signature = bytes.fromhex(TrustSigner(Kind.COMPOSITE, private).sign(b"m").signature)
    COMPOSITE.verify(public, contexts.TUF, b"m", signature)
    other = COMPOSITE.sign(private, contexts.BULLETIN, b"m")
    with pytest.raises(UnverifiedSignatureError):
        TrustKey(Kind.COMPOSITE, public).verify_signature(Signature(key_id(public), other.hex()), b"m")


def test_root_pairs_verify_too() -> None:
    signer = root_signer()
    signature = signer.sign(b"root")
    signer.public_key.verify_signature(signature, b"root")
    halves = bytes.fromhex(signature.signature)
    for broken in (bytes(16224) + halves[16224:], halves[:16224] + bytes(64)):
        with pytest.raises(UnverifiedSignatureError):
            signer.public_key.verify_signature(Signature(signer.keyid, broken.hex()), b"root")


def test_tuf_reads_the_key_that_it_writes(signer: TrustSigner) -> None:
    for key in (signer.public_key, root_signer().public_key):
        again = Key.from_dict(key.keyid, key.to_dict())
        assert again == key
        assert isinstance(again, TrustKey)
        assert again.kind is key.kind


def test_a_key_id_is_the_hash_of_the_key(signer: TrustSigner) -> None:
    assert bytes.fromhex(signer.keyid) == key_hash(signer.public)
    with pytest.raises(ValueError, match="not the hash"):
        Key.from_dict("ab" * 48, signer.public_key.to_dict())


@pytest.mark.parametrize(
    "change",
    [
        {"extra": 1},
        {"keyval": {"public": "AAAA"}},
        {"keyval": {"public": "?"}},
        {"keyval": {"public": "A", "private": "B"}},
        {"keyval": {}},
        {"scheme": "SLH-DSA-SHA2-192s+Ed25519"},
        {"keytype": "securechan-root-pair", "scheme": "SLH-DSA-SHA2-192s+Ed25519"},
    ],
)
def test_what_is_no_trust_key(signer: TrustSigner, change: dict[str, object]) -> None:
    fields = copy.deepcopy(signer.public_key.to_dict()) | change
    with pytest.raises((ValueError, TypeError)):
        Key.from_dict(signer.keyid, fields)


def test_the_length_of_a_private_key_tells_its_kind() -> None:
    private, public = generate(Kind.COMPOSITE)
    assert TrustSigner.from_private(private).public == public
    with pytest.raises(Malformed):
        TrustSigner.from_private(b"short")


def test_private_keys_have_no_address(signer: TrustSigner) -> None:
    with pytest.raises(Misuse):
        TrustSigner.from_priv_key_uri("file:key", signer.public_key)
    assert isinstance(signer, Signer)
    assert "Secret" not in repr(signer)


def test_a_public_key_is_checked_when_it_is_made() -> None:
    with pytest.raises((Malformed, Invalid)):
        TrustKey(Kind.COMPOSITE, b"short")
