"""KEMs: known answers, two other implementations, and keys that are none."""

from __future__ import annotations

import hashlib
from contextlib import AbstractContextManager, suppress
from typing import Literal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from securechan.crypto import curves, kdf, kem, second
from securechan.crypto.curves import Curve
from securechan.crypto.kem import Kem, MlKem, NistKem
from securechan.crypto.secret import Secret
from securechan.errors import Invalid, Malformed, Misuse
from tests.crypto import reference
from tests.support import corpus

ROWS: dict[str, Kem] = {
    f"{row.name} {row.rule} {row.id:04x}": row
    for row in (
        kem.P256, kem.P384, kem.P521, kem.X25519, kem.X448, kem.MLKEM768, kem.MLKEM1024, kem.MLKEM1024_RAW,
        kem.MLKEM768_X25519, kem.MLKEM768_X25519_CFRG, kem.MLKEM768_X25519_F057,
    )
}  # fmt: skip
every = pytest.mark.parametrize("row", ROWS.values(), ids=ROWS)


def test_derive_key_pair_by_every_rule() -> None:
    rules = {
        "cfrg-xwing (ts-mls 0xf00d/e, 0xf011/2)": kem.MLKEM768_X25519_CFRG,
        "hpke-pq MLKEM768-X25519": kem.MLKEM768_X25519,
        "rine-mls 0xf057": kem.MLKEM768_X25519_F057,
        "hpke-pq ML-KEM-768": kem.MLKEM768,
        "hpke-pq ML-KEM-1024": kem.MLKEM1024,
        "ts-mls ML-KEM-1024 (ikm is d||z)": kem.MLKEM1024_RAW,
    }
    cases = corpus.load("primitives/derive-key-pair-kats.json")
    assert {case["rule"] for case in cases} == set(rules)
    for case in cases:
        private, public = rules[case["rule"]].derive_key_pair(bytes.fromhex(case["ikm"]))
        assert private == bytes.fromhex(case["sk"])
        assert hashlib.sha256(public).hexdigest() == case["pk_sha256"]


def test_xwing_draft() -> None:
    cases = corpus.load("primitives/xwing-test-vectors.json")
    assert len(cases) == 3
    row = kem.MLKEM768_X25519
    for case in cases:
        seed, public, enc, shared = (bytes.fromhex(case[key]) for key in ("seed", "pk", "ct", "ss"))
        assert row.public(seed) == public
        assert row.decap(seed, enc) == shared
        assert reference.xwing_encap(public, bytes.fromhex(case["eseed"])) == (shared, enc)


@pytest.mark.parametrize("row", [kem.MLKEM768, kem.MLKEM1024], ids=lambda row: row.name)
def test_nist_style_known_answers(row: MlKem) -> None:
    other = second.kem(f"ml_kem_{row.bits}")
    count = 0
    for count, case in enumerate(corpus.records(f"asymmetric/MLKEM/kat_MLKEM_{row.bits}.rsp"), 1):
        seed = bytes.fromhex(case["d"] + case["z"])
        enc, shared, stray, rejected = (bytes.fromhex(case[key]) for key in ("ct", "ss", "ct_n", "ss_n"))
        key = row.load(seed)
        assert key.public == bytes.fromhex(case["pk"])
        assert row.decap(key, enc) == shared
        assert row.decap(key, stray) == rejected
        if count % 20 == 0:  # the second implementation, with the expanded private key
            expanded = bytes.fromhex(case["sk"])
            assert other.decaps(expanded, enc) == shared
            assert other.decaps(expanded, stray) == rejected
        if count % 200 == 0:  # the third: slow
            slow = reference.MlKemReference(row.bits)
            assert slow.encap(key.public, bytes.fromhex(case["msg"])) == (shared, enc)
            assert slow.decap(seed, stray) == rejected
    assert count == 1000


@pytest.mark.parametrize("row", [kem.MLKEM768, kem.MLKEM1024], ids=lambda row: row.name)
def test_openssl_and_pqcrypto_agree_both_ways(row: MlKem) -> None:
    other = second.kem(f"ml_kem_{row.bits}")
    for _ in range(20):
        private, public = row.generate()
        enc, shared = other.encaps(public)
        assert row.decap(private, enc) == shared
        theirs, expanded = other.keygen()
        ours, enc = row.encap(theirs)
        assert other.decaps(expanded, enc) == ours


@every
def test_round_trip(row: Kem) -> None:
    private, public = row.generate()
    assert isinstance(private, Secret)
    assert (len(private), len(public)) == (row.private_length, row.public_length)
    row.check_public(public)
    shared, enc = row.encap(public)
    assert isinstance(shared, Secret)
    assert (len(shared), len(enc)) == (row.secret_length, row.enc_length)
    key = row.load(private)
    assert row.decap(private, enc) == row.decap(key, enc) == shared
    assert row.public(private) == row.public(key) == key.public == public
    again, other = row.encap(public)
    assert again != shared
    assert other != enc


@every
def test_a_fresh_key_is_a_pair_that_nobody_had(row: Kem) -> None:
    one, other = row.fresh(), row.fresh()
    assert one.public != other.public
    assert row.public(one.private) == one.public


@every
def test_another_key_gives_another_secret(row: Kem) -> None:
    _, public = row.generate()
    stranger, _ = row.generate()
    shared, enc = row.encap(public)
    assert row.decap(stranger, enc) != shared


@every
def test_derivation_is_a_function(row: Kem) -> None:
    ikm = bytes(range(64))
    assert row.derive_key_pair(ikm) == row.derive_key_pair(ikm)
    assert row.derive_key_pair(ikm) != row.derive_key_pair(bytes(64))
    key = row.derive_key(ikm)
    assert (key.private, key.public) == row.derive_key_pair(ikm)


@every
def test_wrong_lengths_are_malformed_and_of_private_keys_misuse(row: Kem) -> None:
    private, public = row.generate()
    _, enc = row.encap(public)
    for wrong in (b"", public[:-1], public + b"\0"):
        with pytest.raises(Malformed):
            row.encap(wrong)
        with pytest.raises(Malformed):
            row.check_public(wrong)
    for wrong in (b"", enc[:-1], enc + b"\0"):
        with pytest.raises(Malformed):
            row.decap(private, wrong)
    for wrong in (b"", private[:-1], private + b"\0"):
        with pytest.raises(Misuse):
            row.load(wrong)


def test_scalars_are_drawn_until_one_fits() -> None:
    narrow = Curve("P-256 with few scalars", 32, 1 << 250, curves.P256.curve)
    private, public = NistKem(0x0010, kdf.SHA256, narrow).derive_key_pair(b"ikm")
    assert private[0] < 4
    assert kem.P256.public(private) == public
    none = Curve("P-256 without scalars", 32, 1, curves.P256.curve)
    with pytest.raises(Invalid, match=r"RFC 9180 §7\.1\.3"):
        NistKem(0x0010, kdf.SHA256, none).derive_key_pair(b"ikm")


def test_only_curves_derive_as_rfc_9180_does() -> None:
    with pytest.raises(Misuse, match="no DeriveKeyPair"):
        MlKem(0x0041, 768, "rfc9180").derive_key_pair(bytes(32))


def test_a_key_of_another_kem_is_misuse() -> None:
    key = kem.X25519.load(bytes(range(32)))
    with pytest.raises(Misuse, match="no key of"):
        kem.MLKEM768_X25519.decap(key, bytes(1120))
    _, enc = kem.X25519.encap(key.public)
    assert len(kem.X25519.decap(key, enc)) == 32


# Points of small order on Curve25519 in both encodings below 2²⁵⁵ (RFC 7748 §6.1 asks to look for the zero they give).
SMALL = [
    bytes(32),
    (1).to_bytes(32, "little"),
    bytes.fromhex("e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800"),
    bytes.fromhex("5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157"),
    (2**255 - 20).to_bytes(32, "little"),
    (2**255 - 19).to_bytes(32, "little"),
    (2**255 - 18).to_bytes(32, "little"),
]


@pytest.mark.parametrize("point", SMALL, ids=lambda point: point.hex()[:8])
def test_small_order_points_are_refused(point: bytes) -> None:
    row = kem.X25519
    private, _ = row.generate()
    for act in (lambda: row.encap(point), lambda: row.decap(private, point), lambda: row.check_public(point)):
        with pytest.raises(Invalid, match=r"RFC 9180 §7\.1\.4"):
            act()
    hybrid = kem.MLKEM768_X25519
    key = hybrid.load(private)
    _, enc = hybrid.encap(key.public)
    for act in (
        lambda: hybrid.encap(key.public[:1184] + point),
        lambda: hybrid.check_public(key.public[:1184] + point),
        lambda: hybrid.decap(key, enc[:1088] + point),
    ):
        with pytest.raises(Invalid):
            act()


@pytest.mark.parametrize("point", [bytes(56), (1).to_bytes(56, "little")], ids=["0", "1"])
def test_small_order_points_of_x448_are_refused(point: bytes) -> None:
    private, _ = kem.X448.generate()
    for act in (lambda: kem.X448.encap(point), lambda: kem.X448.decap(private, point)):
        with pytest.raises(Invalid):
            act()


@pytest.mark.parametrize("row", [kem.MLKEM768, kem.MLKEM1024, kem.MLKEM768_X25519], ids=lambda row: row.name)
@given(st.data())
def test_our_look_at_the_coefficients_sees_what_openssl_sees(row: Kem, data: st.DataObject) -> None:
    public = row.generate()[1]
    count = 1024 if row is kem.MLKEM1024 else 768
    packed = int.from_bytes(public[: count * 3 // 2], "little")
    for _ in range(data.draw(st.integers(1, 3))):
        at = 12 * data.draw(st.integers(0, count - 1))
        value = data.draw(st.sampled_from((0, 3327, 3328, 3329, 3330, 4095)) | st.integers(0, 4095))
        packed = packed & ~(0xFFF << at) | value << at
    altered = packed.to_bytes(count * 3 // 2, "little") + public[count * 3 // 2 :]
    verdicts = []
    for look in (row.check_public, row.encap):
        try:
            look(altered)
            verdicts.append("good")
        except Invalid as fault:
            verdicts.append(fault.message)
    assert verdicts[0] == verdicts[1]


@pytest.mark.parametrize("row", [kem.MLKEM768, kem.MLKEM1024, kem.MLKEM768_X25519], ids=lambda row: row.name)
def test_coefficients_beyond_the_modulus_are_refused(row: Kem) -> None:
    _, public = row.generate()
    # the first two coefficients are the first three bytes: 3329 = 0xd01
    at_modulus = bytes([0x01, public[1] & 0xF0 | 0x0D]) + public[2:]
    for wrong in (at_modulus, b"\xff\xff" + public[2:]):
        with pytest.raises(Invalid, match="FIPS 203"):
            row.encap(wrong)
        with pytest.raises(Invalid):
            row.check_public(wrong)
    below = bytes([0x00, public[1] & 0xF0 | 0x0D]) + public[2:]
    row.check_public(below)


@pytest.mark.parametrize("row", [kem.P256, kem.P384, kem.P521], ids=lambda row: row.name)
def test_points_off_the_curve_and_other_forms_are_refused(row: Kem) -> None:
    private, public = row.generate()
    for wrong in (
        bytes(len(public)),
        b"\x04" + bytes(len(public) - 1),
        public[:-1] + bytes([public[-1] ^ 1]),
        b"\x06" + public[1:],
        b"\x04" + b"\xff" * (len(public) - 1),
    ):
        with pytest.raises(Invalid):
            row.encap(wrong)
        with pytest.raises(Invalid):
            row.decap(private, wrong)
    for scalar in (bytes(row.private_length), b"\xff" * row.private_length):
        with pytest.raises(Misuse):
            row.load(scalar)


@every
@given(data=st.data())
@settings(max_examples=25, deadline=None)
def test_random_bytes_end_in_a_secret_or_a_documented_error(row: Kem, data: st.DataObject) -> None:
    key = row.derive_key(bytes(64))
    public = data.draw(st.binary(min_size=row.public_length, max_size=row.public_length) | st.binary(max_size=64))
    enc = data.draw(st.binary(min_size=row.enc_length, max_size=row.enc_length) | st.binary(max_size=64))
    with expected(len(public) == row.public_length):
        row.encap(public)
    with expected(len(enc) == row.enc_length):
        assert len(row.decap(key, enc)) == row.secret_length


def expected(sized: bool) -> AbstractContextManager[object]:
    """What random bytes may end in: with the right length a result or Invalid, otherwise Malformed and nothing else."""
    return suppress(Invalid) if sized else pytest.raises(Malformed)


def test_raw_keying_material_is_the_key_itself() -> None:
    with pytest.raises(Misuse, match="64 bytes"):
        kem.MLKEM1024_RAW.derive_key_pair(bytes(48))


@pytest.mark.parametrize("bits", [512, 768, 1024])
def test_the_reference_agrees_with_itself(bits: Literal[512, 768, 1024]) -> None:
    slow = reference.MlKemReference(bits)
    seed = bytes(range(64))
    shared, enc = slow.encap(slow.public(seed), bytes(32))
    assert slow.decap(seed, enc) == shared


def test_nothing_secret_shows() -> None:
    for row in ROWS.values():
        key = row.load(row.generate()[0])
        assert key.private.hex() not in repr(key) + str(key) + repr(row)
