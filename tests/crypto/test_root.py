"""The root pair: both halves verify the same bytes, or it doesn't verify."""

from __future__ import annotations

import pytest

from securechan.crypto import contexts, second
from securechan.crypto.root import ROOT
from securechan.crypto.secret import Secret
from securechan.crypto.signature import ED25519
from securechan.errors import BadSignature, Malformed, Misuse
from tests.crypto import reference

MESSAGE = b'{"_type": "root", "version": 1}'
LABEL = b"securechan/1 root pair SLH-DSA-SHA2-192s Ed25519"


@pytest.fixture(scope="module")
def pair() -> tuple[Secret, bytes, bytes]:
    """(private, public, signature over MESSAGE): made once, since signing takes half a second."""
    private, public = ROOT.generate()
    return private, public, ROOT.sign(private, contexts.TUF, MESSAGE)


def test_sizes(pair: tuple[Secret, bytes, bytes]) -> None:
    private, public, signature = pair
    assert isinstance(private, Secret)
    assert (len(private), len(public), len(signature)) == (128, 80, 16288)
    assert ROOT.public(private) == public
    ROOT.check_public(public)


def test_it_verifies(pair: tuple[Secret, bytes, bytes]) -> None:
    _, public, signature = pair
    ROOT.verify(public, contexts.TUF, MESSAGE, signature)


def test_a_plain_reading_of_fips_205_verifies_the_hash_based_half(pair: tuple[Secret, bytes, bytes]) -> None:
    _, public, signature = pair
    framed = LABEL + bytes([len(contexts.TUF)]) + contexts.TUF + MESSAGE
    slow = signature[:16224]
    assert reference.slhdsa_verifies(public[:48], framed, slow, LABEL)
    assert not reference.slhdsa_verifies(public[:48], framed + b"\0", slow, LABEL)
    assert not reference.slhdsa_verifies(public[:48], framed, slow, b"")
    assert not reference.slhdsa_verifies(public[:48], framed, slow[:9000] + bytes(24) + slow[9024:], LABEL)
    ED25519.verify(public[48:], b"", framed, signature[16224:])


def test_altered_message_context_and_key(pair: tuple[Secret, bytes, bytes]) -> None:
    _, public, signature = pair
    _, stranger = ROOT.generate()
    for key, context, message in (
        (public, contexts.TUF, MESSAGE + b" "),
        (public, contexts.BULLETIN, MESSAGE),
        (public, b"", contexts.TUF + MESSAGE),
        (stranger, contexts.TUF, MESSAGE),
        (stranger[:48] + public[48:], contexts.TUF, MESSAGE),
        (public[:48] + stranger[48:], contexts.TUF, MESSAGE),
    ):
        with pytest.raises(BadSignature):
            ROOT.verify(key, context, message, signature)


@pytest.mark.parametrize("position", [0, 24, 8000, 16223, 16224, 16287])
def test_each_half_is_needed(pair: tuple[Secret, bytes, bytes], position: int) -> None:
    _, public, signature = pair
    altered = bytearray(signature)
    altered[position] ^= 1
    with pytest.raises(BadSignature):
        ROOT.verify(public, contexts.TUF, MESSAGE, bytes(altered))


def test_neither_half_means_anything_alone(pair: tuple[Secret, bytes, bytes]) -> None:
    _, public, signature = pair
    with pytest.raises(BadSignature):
        ED25519.verify(public[48:], b"", MESSAGE, signature[16224:])
    with pytest.raises(ValueError, match="verification failed"):
        second.signature("slh_dsa_sha2_192s").verify(public[:48], MESSAGE, signature[:16224], contexts.TUF)
    for half in (signature[:16224], signature[16224:], signature[:16224] + bytes(64), bytes(16224) + signature[16224:]):
        with pytest.raises(BadSignature):
            ROOT.verify(public, contexts.TUF, MESSAGE, half)


def test_a_private_key_whose_halves_differ_makes_no_signature(pair: tuple[Secret, bytes, bytes]) -> None:
    private, *_ = pair
    mixed = private[:95] + bytes([private[95] ^ 1]) + private[96:]
    with pytest.raises(BadSignature):
        ROOT.sign(mixed, contexts.TUF, MESSAGE)


def test_sizes_that_are_wrong(pair: tuple[Secret, bytes, bytes]) -> None:
    private, public, signature = pair
    with pytest.raises(Malformed):
        ROOT.verify(public[:-1], contexts.TUF, MESSAGE, signature)
    with pytest.raises(Misuse):
        ROOT.load(private[:-1])
    with pytest.raises(Misuse):
        ROOT.sign(private, bytes(256), MESSAGE)
