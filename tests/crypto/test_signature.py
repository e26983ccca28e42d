"""Signatures: known answers, the second implementation, and everything that must not verify."""

from __future__ import annotations

import base64
from typing import Any, NoReturn

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from securechan.crypto import contexts, second, signature
from securechan.crypto.secret import Secret
from securechan.crypto.signature import COMPOSITE, ED25519, MLDSA44, MLDSA65, MLDSA87, Ecdsa, MlDsa, Scheme
from securechan.errors import BadSignature, Invalid, Malformed, Misuse
from tests.support import corpus

SCHEMES: dict[str, Scheme] = {
    scheme.name: scheme
    for scheme in (
        ED25519, signature.ED448, signature.ECDSA_P256, signature.ECDSA_P384, signature.ECDSA_P521,
        MLDSA44, MLDSA65, MLDSA87, COMPOSITE,
    )
}  # fmt: skip
every = pytest.mark.parametrize("scheme", SCHEMES.values(), ids=SCHEMES)


def _context(scheme: Scheme) -> bytes:
    return contexts.BULLETIN if scheme.has_context else contexts.MLS


@pytest.fixture(scope="module", params=[*SCHEMES.values()], ids=[*SCHEMES])
def signed(request: pytest.FixtureRequest) -> tuple[Scheme, Secret, bytes, bytes]:
    """(scheme, private, public, signature over b"message")."""
    scheme: Scheme = request.param
    private, public = scheme.generate()
    return scheme, private, public, scheme.sign(private, _context(scheme), b"message")


Signed = tuple[Scheme, Secret, bytes, bytes]


def test_composite_draft() -> None:
    vectors = corpus.load("primitives/composite-sigs-test-vectors.json")
    message, context = (base64.b64decode(vectors[key]) for key in ("m", "ctx"))
    schemes = {
        "id-MLDSA65-Ed25519-SHA512": COMPOSITE,
        "id-ML-DSA-44": MLDSA44,
        "id-ML-DSA-65": MLDSA65,
        "id-ML-DSA-87": MLDSA87,
    }
    cases = {case["tcId"]: case for case in vectors["tests"]}
    for name, scheme in schemes.items():
        case = {key: base64.b64decode(cases[name][key]) for key in ("pk", "sk", "s", "sWithContext")}
        assert scheme.public(case["sk"]) == case["pk"]
        scheme.verify(case["pk"], b"", message, case["s"])
        scheme.verify(case["pk"], context, message, case["sWithContext"])
        for wrong in ((b"", case["sWithContext"]), (context, case["s"]), (context[:-1], case["sWithContext"])):
            with pytest.raises(BadSignature):
                scheme.verify(case["pk"], wrong[0], message, wrong[1])


@pytest.mark.parametrize("scheme", [MLDSA44, MLDSA65, MLDSA87], ids=lambda scheme: scheme.name)
def test_nist_style_known_answers(scheme: MlDsa) -> None:
    number = scheme.name[-2:]
    other = second.signature(f"ml_dsa_{number}")
    count = 0
    for count, case in enumerate(corpus.records(f"asymmetric/MLDSA/kat_MLDSA_{number}_det_pure.rsp"), 1):
        public, message, both, context = (bytes.fromhex(case[key]) for key in ("pk", "msg", "sm", "ctx"))
        signed = both[: scheme.signature_length]
        assert scheme.public(bytes.fromhex(case["xi"])) == public
        scheme.verify(public, context, message, signed)
        if count % 10 == 0:
            other.verify(public, message, signed, context)
            theirs = other.sign(bytes.fromhex(case["sk"]), message, context)
            scheme.verify(public, context, message, theirs)
    assert count == 100


@pytest.mark.parametrize("scheme", [MLDSA44, MLDSA65, MLDSA87], ids=lambda scheme: scheme.name)
def test_openssl_and_pqcrypto_agree_both_ways(scheme: MlDsa) -> None:
    other = second.signature(f"ml_dsa_{scheme.name[-2:]}")
    private, public = scheme.generate()
    other.verify(public, b"message", scheme.sign(private, b"context", b"message"), b"context")
    theirs, expanded = other.keygen()
    scheme.verify(theirs, b"context", b"message", other.sign(expanded, b"message", b"context"))
    with pytest.raises(ValueError, match="verification"):
        other.verify(public, b"message", scheme.sign(private, b"context", b"message"), b"")


def test_rfc_8032() -> None:
    private = bytes.fromhex("c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7")
    public = bytes.fromhex("fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025")
    expected = bytes.fromhex(
        "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac"
        "18ff9b538d16f290ae67f760984dc6594a7c15e9716ed28dc027beceea1ec40a"
    )
    assert ED25519.public(private) == public
    assert ED25519.sign(private, b"", bytes.fromhex("af82")) == expected


def test_sizes_and_types(signed: Signed) -> None:
    scheme, private, public, made = signed
    assert isinstance(private, Secret)
    assert (len(private), len(public)) == (scheme.private_length, scheme.public_length)
    assert len(made) <= scheme.signature_length if isinstance(scheme, Ecdsa) else len(made) == scheme.signature_length
    scheme.check_public(public)
    key = scheme.load(private)
    assert scheme.public(private) == scheme.public(key) == key.public == public


def test_it_verifies_from_bytes_and_from_a_kept_key(signed: Signed) -> None:
    scheme, private, public, made = signed
    scheme.verify(public, _context(scheme), b"message", made)
    key = scheme.load(private)
    scheme.verify(public, _context(scheme), b"", scheme.sign(key, _context(scheme), b""))


def test_altered_message_key_and_signature(signed: Signed) -> None:
    scheme, _, public, made = signed
    context = _context(scheme)
    _, stranger = scheme.generate()
    flips = [made[:i] + bytes([made[i] ^ 1]) + made[i + 1 :] for i in (0, len(made) // 2, len(made) - 1)]
    for key, message, wrong in (
        (public, b"messagf", made),
        (public, b"message\0", made),
        (public, b"", made),
        (stranger, b"message", made),
        (public, b"message", b""),
        (public, b"message", made[:-1]),
        (public, b"message", made + b"\0"),
        (public, b"message", bytes(len(made))),
        *((public, b"message", flip) for flip in flips),
    ):
        with pytest.raises(BadSignature):
            scheme.verify(key, context, message, wrong)


def test_another_context(signed: Signed) -> None:
    scheme, private, public, made = signed
    if scheme.has_context:
        for wrong in (b"", contexts.RECEIPT, contexts.BULLETIN + b"\0", contexts.BULLETIN[:-1]):
            with pytest.raises(BadSignature):
                scheme.verify(public, wrong, b"message", made)
        with pytest.raises(BadSignature):  # the boundary between context and message is part of what is signed
            scheme.verify(public, contexts.BULLETIN + b"m", b"essage", made)
        scheme.verify(public, bytes(255), b"m", scheme.sign(private, bytes(255), b"m"))
    wrong = bytes(256) if scheme.has_context else contexts.BULLETIN
    with pytest.raises(Misuse):
        scheme.sign(private, wrong, b"message")
    with pytest.raises(Misuse):
        scheme.verify(public, wrong, b"message", made)


def test_wrong_lengths(signed: Signed) -> None:
    scheme, private, public, made = signed
    for wrong in (b"", public[:-1], public + b"\0"):
        with pytest.raises(Malformed):
            scheme.verify(wrong, _context(scheme), b"message", made)
        with pytest.raises(Malformed):
            scheme.check_public(wrong)
    for wrong in (b"", private[:-1], private + b"\0"):
        with pytest.raises(Misuse):
            scheme.sign(wrong, _context(scheme), b"message")


def test_each_half_of_the_composite_is_needed() -> None:
    private, public = COMPOSITE.generate()
    other, stranger = COMPOSITE.generate()
    made = COMPOSITE.sign(private, b"", b"message")
    others = COMPOSITE.sign(other, b"", b"message")
    for wrong in (
        bytes(3309) + made[3309:],
        made[:3309] + bytes(64),
        others[:3309] + made[3309:],
        made[:3309] + others[3309:],
        made[:3309],
        made[3309:],
    ):
        with pytest.raises(BadSignature):
            COMPOSITE.verify(public, b"", b"message", wrong)
    for key in (stranger[:1952] + public[1952:], public[:1952] + stranger[1952:]):
        with pytest.raises(BadSignature):
            COMPOSITE.verify(key, b"", b"message", made)


def test_the_halves_can_not_be_lifted_out() -> None:
    private, public = COMPOSITE.generate()
    made = COMPOSITE.sign(private, b"", b"message")
    with pytest.raises(BadSignature):
        MLDSA65.verify(public[:1952], b"", b"message", made[:3309])
    with pytest.raises(BadSignature):
        ED25519.verify(public[1952:], b"", b"message", made[3309:])
    # and what the halves sign alone is no half of a composite
    alone = MLDSA65.sign(private[:32], b"", b"message") + ED25519.sign(private[32:], b"", b"message")
    with pytest.raises(BadSignature):
        COMPOSITE.verify(public, b"", b"message", alone)


def test_lattice_signatures_are_hedged() -> None:
    key = COMPOSITE.load(COMPOSITE.generate()[0])
    one, two = (COMPOSITE.sign(key, b"", b"message") for _ in range(2))
    assert one[:3309] != two[:3309]
    assert one[3309:] == two[3309:]  # Ed25519 isn't, and M' is the same


def test_a_key_of_another_scheme_is_misuse() -> None:
    with pytest.raises(Misuse, match="does not sign by"):
        COMPOSITE.sign(MLDSA65.load(bytes(32)), b"", b"message")


@pytest.mark.parametrize("scheme", [s for s in SCHEMES.values() if isinstance(s, Ecdsa)], ids=lambda s: s.name)
def test_points_and_scalars_that_are_none(scheme: Ecdsa) -> None:
    private, public = scheme.generate()
    made = scheme.sign(private, b"", b"message")
    for wrong in (bytes(len(public)), b"\x06" + public[1:], public[:-1] + bytes([public[-1] ^ 1])):
        with pytest.raises(Invalid):
            scheme.verify(wrong, b"", b"message", made)
        with pytest.raises(Invalid):
            scheme.check_public(wrong)
    for scalar in (bytes(scheme.private_length), b"\xff" * scheme.private_length):
        with pytest.raises(Misuse):
            scheme.load(scalar)


P25519 = 2**255 - 19
P448 = 2**448 - 2**224 - 1
# y of the points of order 8: those whose double has y = 0, so d·y⁴ + 2·y² = 1.
ORDER8 = [
    int.from_bytes(bytes.fromhex(text), "little")
    for text in (
        "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
        "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
    )
]


@pytest.mark.parametrize("y", ORDER8)
def test_the_points_of_order_eight_are_what_they_are_said_to_be(y: int) -> None:
    d = -121665 * pow(121666, -1, P25519)
    assert (d * y**4 + 2 * y**2 - 1) % P25519 == 0


@pytest.mark.parametrize("sign", [0, 1])
@pytest.mark.parametrize("y", [0, 1, P25519 - 1, *ORDER8, P25519, P25519 + 1])
def test_ed25519_keys_of_small_order_are_refused(y: int, sign: int) -> None:
    """Whoever publishes such a key has "signed" everything: a signature must name one signer and one message."""
    public = (y | sign << 255).to_bytes(32, "little")
    with pytest.raises(Invalid, match=r"small order|below"):
        ED25519.verify(public, b"", b"message", public + bytes(32))
    with pytest.raises(Invalid):
        ED25519.check_public(public)
    with pytest.raises(Invalid):
        COMPOSITE.check_public(COMPOSITE.public(bytes(64))[:1952] + public)


@pytest.mark.parametrize("sign", [0, 0x80])
@pytest.mark.parametrize("y", [0, 1, P448 - 1, P448, P448 + 1])
def test_ed448_keys_of_small_order_are_refused(y: int, sign: int) -> None:
    public = y.to_bytes(56, "little") + bytes([sign])
    with pytest.raises(Invalid):
        signature.ED448.verify(public, b"", b"message", public + bytes(57))


@every
@given(data=st.data())
@settings(max_examples=25, deadline=None)
def test_random_bytes_end_in_a_documented_error(scheme: Scheme, data: st.DataObject) -> None:
    def sized(length: int) -> st.SearchStrategy[bytes]:
        return st.binary(max_size=80) | st.binary(min_size=length, max_size=length)

    public = data.draw(sized(scheme.public_length))
    made = data.draw(sized(scheme.signature_length))
    with pytest.raises((BadSignature, Invalid, Malformed)):
        scheme.verify(public, b"", b"message", made)


@given(flip=st.integers(0, 3373 * 8 - 1))
@settings(max_examples=60, deadline=None)
def test_every_bit_of_a_composite_counts(flip: int) -> None:
    public, made = _once()
    altered = bytearray(made)
    altered[flip // 8] ^= 1 << flip % 8
    with pytest.raises(BadSignature):
        COMPOSITE.verify(public, b"", b"message", bytes(altered))


_MADE: list[Any] = []


def _once() -> tuple[bytes, bytes]:
    if not _MADE:
        private, public = COMPOSITE.generate()
        _MADE.extend((public, COMPOSITE.sign(private, b"", b"message")))
    return _MADE[0], _MADE[1]


def test_a_key_that_the_library_refuses_is_invalid(monkeypatch: pytest.MonkeyPatch) -> None:
    class Picky:
        @staticmethod
        def from_public_bytes(public: bytes) -> NoReturn:
            raise ValueError("no")

    signature._kept.cache_clear()  # it may know the keys below
    monkeypatch.setattr(MLDSA44, "_public_type", Picky)
    monkeypatch.setattr("securechan.crypto.signature.ed25519.Ed25519PublicKey", Picky)
    with pytest.raises(Invalid, match="FIPS 204"):
        MLDSA44.verify(bytes(1312), b"", b"", bytes(2420))
    with pytest.raises(Invalid, match="RFC 8032"):
        ED25519.check_public(b"\2" * 32)


def test_nothing_secret_shows() -> None:
    for scheme in SCHEMES.values():
        key = scheme.load(scheme.generate()[0])
        assert key.private.hex() not in repr(key) + str(key) + repr(scheme)
