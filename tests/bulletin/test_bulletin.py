"""Signing, verifying, revising, receipts and export of bulletins, and what an attacker might try with each."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from securechan.bulletin import bulletin
from securechan.bulletin.bulletin import (
    FIRST,
    MAGIC,
    BulletinHeader,
    Export,
    Receipt,
    ReceiptKind,
    SignedBulletin,
    Status,
    check_content,
    describe,
    digest,
    new_id,
    resolve,
    sign,
    succeeds,
    verify,
)
from securechan.bulletin.document import STIX, TEXT, one_line
from securechan.bulletin.tlp import Tlp
from securechan.crypto import contexts
from securechan.crypto.signature import COMPOSITE
from securechan.errors import BadSignature, Conflict, Invalid, Malformed, Misuse, NotFound
from tests.support.strategies import strategies

KEY = COMPOSITE.load(bytes(range(64)))
OTHER = COMPOSITE.load(bytes(64))
SIGNER = hashlib.sha384(KEY.public).digest()
CONTENT = b'{"exact":  "bytes"}\n'
NOW = 1_790_000_000


def header(content: bytes = CONTENT, **more: Any) -> BulletinHeader:
    fields: dict[str, Any] = {
        "issuer": "cert-hr",
        "id": "SC-2026-0117-k3vq7a",
        "tlp": Tlp.AMBER,
        "media_type": STIX,
        "audience": b"a" * 32,
        "time": NOW,
        "device": "cert-hr/desk-1",
        "signer": SIGNER,
        "roster_version": 7,
        "roster_hash": b"r" * 48,
        "title": "A wave",
    }
    return describe(content, **{**fields, **more})


SIGNED = sign(header(), CONTENT, KEY)


def test_what_was_signed_is_verified_and_comes_back_byte_for_byte() -> None:
    found = SIGNED.verify(KEY.public)
    assert found.header == header()
    assert found.content == CONTENT
    assert verify(SIGNED.header, SIGNED.signature, KEY.public) == header()
    assert SignedBulletin.decode(SIGNED.encode()) == SIGNED
    assert SignedBulletin.create(header(), CONTENT, KEY).claim == header()


@settings(max_examples=60)
@given(st.integers(0, 10**6), st.integers(1, 255))
def test_no_byte_of_header_signature_or_content_may_change(at: int, flip: int) -> None:
    whole = bytearray(SIGNED.encode())
    whole[at % len(whole)] ^= flip
    with pytest.raises((BadSignature, Invalid, Malformed)):
        SignedBulletin.decode(bytes(whole)).verify(KEY.public)


def test_another_key_does_not_verify() -> None:
    with pytest.raises(BadSignature, match="another signature key"):
        SIGNED.verify(OTHER.public)
    forged = replace(SIGNED, header=replace(header(), signer=hashlib.sha384(OTHER.public).digest()).encode())
    with pytest.raises(BadSignature):
        forged.verify(OTHER.public)


def test_a_signature_for_another_use_is_none_for_a_bulletin() -> None:
    for context in (contexts.RECEIPT, contexts.MLS, contexts.TUF):
        with pytest.raises(BadSignature):
            verify(SIGNED.header, COMPOSITE.sign(KEY, context, SIGNED.header), KEY.public)


def test_other_content_under_a_good_header_is_refused() -> None:
    for content in (CONTENT[:-1], CONTENT + b" ", b"x" * len(CONTENT), b""):
        with pytest.raises(Invalid, match="isn't what was signed"):
            check_content(header(), content)
        with pytest.raises(Invalid):
            replace(SIGNED, content=content).verify(KEY.public)


BROKEN: dict[str, dict[str, Any]] = {
    "form": {"id": "SC-2026-117-k3vq7a"},
    "issuing agency": {"device": "cert-si/desk-1"},
    "empty": {"device": "cert-hr/"},
    "counted from 1": {"revision": 0, "previous": b"p" * 48},
    "follows nothing": {"revision": 2},
    "media type": {"media_type": "text/html"},
    "exercise flag": {"exercise": 2},
    "end before it begins": {"valid_until": NOW},
    "acknowledged before": {"ack_by": NOW - 1},
    "too large": {"content_size": (4 << 20) + 1},
    "printable line": {"title": "two\nlines"},
    "title is empty": {"title": " "},
    "too long": {"title": "é" * 129},
}


@pytest.mark.parametrize("what", BROKEN)
def test_a_header_that_breaks_a_rule_is_not_signed_and_if_signed_not_accepted(what: str) -> None:
    wrong = replace(header(), **BROKEN[what])
    with pytest.raises(Invalid, match=what):
        sign(wrong, CONTENT, KEY)
    if what == "too long":
        return  # the format itself has no room for it
    signature = COMPOSITE.sign(KEY, contexts.BULLETIN, wrong.encode())
    with pytest.raises(Invalid, match=what):
        verify(wrong.encode(), signature, KEY.public)


def test_first_revisions_follow_nothing_and_others_something() -> None:
    with pytest.raises(Invalid, match="follows nothing"):
        header(previous=b"p" * 48)


def test_only_the_named_key_and_the_described_content_are_signed() -> None:
    with pytest.raises(Misuse, match="another signature key"):
        sign(header(), CONTENT, OTHER)
    with pytest.raises(Misuse, match="own content"):
        sign(header(), CONTENT + b"x", KEY)


def test_an_overlong_header_is_not_even_read() -> None:
    with pytest.raises(Malformed, match="at most 4096"):
        verify(b"\x00" * 5000, b"", KEY.public)


# ---------------------------------------------------------------------------------------------------------- revisions


def following(before: BulletinHeader, **more: Any) -> BulletinHeader:
    return header(**{"revision": before.revision + 1, "previous": digest(before.encode()), **more})


def test_a_line_of_revisions_ends_with_a_withdrawal() -> None:
    first = header()
    second = following(first, tlp=Tlp.GREEN, title="A wave, corrected")
    succeeds(first.encode(), second)
    last = following(second, status=Status.WITHDRAWN, media_type=TEXT, content=b"It was a false alarm.")
    succeeds(second.encode(), last)
    assert last.withdrawn
    with pytest.raises(Invalid, match="final"):
        succeeds(last.encode(), following(last))


@pytest.mark.parametrize(
    ("more", "what"),
    [
        ({"id": "SC-2026-0118-k3vq7a"}, "another bulletin"),
        ({"issuer": "cert-si", "device": "cert-si/desk-1"}, "another bulletin"),
        ({"audience": b"b" * 32}, "another conversation"),
        ({"revision": 3}, "can't follow"),
        ({"previous": b"p" * 48}, "another text"),
        ({"exercise": True}, "an exercise stays one"),
    ],
)
def test_what_does_not_follow_is_told_why(more: dict[str, Any], what: str) -> None:
    with pytest.raises(Invalid, match=what):
        succeeds(header().encode(), following(header(), **more))


def test_a_revision_is_named_by_what_it_says_not_by_its_signature() -> None:
    again = sign(header(), CONTENT, KEY)
    assert again.signature != SIGNED.signature  # ML-DSA is hedged
    assert digest(again.header) == digest(SIGNED.header) != FIRST
    assert len(digest(b"")) == 48


# -------------------------------------------------------------------------------------------------------- identifiers


def test_ids_carry_the_year_the_count_and_chance() -> None:
    assert new_id(NOW, 117, b"\x00" * 4) == "SC-2026-0117-aaaaaa"
    assert new_id(0, 123456, b"\xff" * 9) == "SC-1970-123456-777777"
    assert header(id=new_id(NOW, 1, b"abcdefgh")).id == "SC-2026-0001-mfrggz"


@pytest.mark.parametrize(("number", "random"), [(0, b"abcd"), (10**9, b"abcd"), (1, b"abc")])
def test_an_id_is_not_made_of_too_little(number: int, random: bytes) -> None:
    with pytest.raises(Misuse):
        new_id(NOW, number, random)


def test_people_may_leave_the_random_part_out_where_one_bulletin_fits() -> None:
    ids = ["SC-2026-0117-aaaaaa", "SC-2026-0117-bbbbbb", "SC-2026-0118-cccccc"]
    assert resolve("SC-2026-0118", ids) == "SC-2026-0118-cccccc"
    assert resolve(" sc-2026-0117-BBBBBB ", [*ids, ids[0]]) == "SC-2026-0117-bbbbbb"
    with pytest.raises(Conflict) as caught:
        resolve("SC-2026-0117", ids)
    assert "SC-2026-0117-aaaaaa, SC-2026-0117-bbbbbb" in caught.value.hint
    for typed in ("SC-2026", "SC-2026-011", "", "SC-2026-0119"):
        with pytest.raises(NotFound):
            resolve(typed, ids)


# ----------------------------------------------------------------------------------------------------------- receipts


def test_a_receipt_reads_what_it_wrote_and_says_nothing_of_who_signs_it() -> None:
    receipt = Receipt(
        "SC-2026-0117-k3vq7a",
        1,
        digest(SIGNED.header),
        b"a" * 32,
        ReceiptKind.ACKNOWLEDGED,
        "desk@cert-si",
        "cert-si/desk-1",
        NOW,
    )
    assert Receipt.decode(receipt.encode()) == receipt
    with pytest.raises(Malformed):
        Receipt.decode(receipt.encode() + b"\x00")


# ------------------------------------------------------------------------------------------------------------- export


def test_an_export_is_verified_without_anything_else() -> None:
    packed = Export(SIGNED, (b"evidence", b"later evidence")).pack()
    assert packed.startswith(b"securechan/1 bulletin export\n")
    found = Export.unpack(packed)
    assert found.evidence == (b"evidence", b"later evidence")
    assert (found.claim.device, found.claim.signer) == ("cert-hr/desk-1", SIGNER)
    assert found.verify(KEY.public).content == CONTENT
    with pytest.raises(BadSignature):
        found.verify(OTHER.public)


@pytest.mark.parametrize("data", [b"", MAGIC[:-1], b"PK" + bytes(50), MAGIC, MAGIC + b"\x00"])
def test_other_files_are_no_exports(data: bytes) -> None:
    with pytest.raises(Malformed):
        Export.unpack(data)


def test_an_export_has_a_bound() -> None:
    class Long(bytes):
        def __len__(self) -> int:
            return bulletin.EXPORT_MAX + 1

    with pytest.raises(Malformed, match="at most"):
        Export.unpack(Long())


@given(st.binary(max_size=300))
def test_any_bytes_are_an_export_or_malformed(data: bytes) -> None:
    for call in (Export.unpack, lambda raw: Export.unpack(MAGIC + raw), Receipt.decode, SignedBulletin.decode):
        try:
            call(data)
        except Malformed as error:
            told = error.message
            assert told


@given(strategies(BulletinHeader))
def test_any_header_is_written_and_read_alike_and_checked_without_surprise(value: BulletinHeader) -> None:
    assert BulletinHeader.decode(value.encode()) == value
    try:
        value.check()
    except Invalid as error:
        assert error.rule == "SPEC bulletin header"  # noqa: PT017 - both outcomes are right


@given(st.text())
def test_the_title_of_any_document_is_one_that_a_header_takes(text: str) -> None:
    title = one_line(text)
    if title:
        assert header(title=title).encode()


@given(strategies(Receipt))
def test_any_receipt_is_written_and_read_alike(value: Receipt) -> None:
    assert Receipt.decode(value.encode()) == value
