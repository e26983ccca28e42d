"""Payloads: every case crosses the wire, and nothing else does."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from securechan.bulletin import payload
from securechan.bulletin.payload import (
    CASES,
    Announcement,
    Attachment,
    BlobRef,
    Bulletin,
    BulletinByReference,
    Control,
    ControlKind,
    DeviceConfirmation,
    Entered,
    Forward,
    Heartbeat,
    Leave,
    Payload,
    PayloadKind,
    RosterDocument,
    RosterNotice,
    Text,
)
from securechan.bulletin.tlp import Tlp
from securechan.errors import Malformed, Misuse
from tests.support.strategies import strategies

ID, BLOB = b"i" * 16, BlobRef(b"b" * 32, b"k" * 32, 5)
BODIES: list[Any] = [
    Text(Tlp.GREEN, "Grüße 👋"),
    Bulletin(b"header", b"signature", b"content"),
    BulletinByReference(b"header", b"signature", BLOB),
    Forward(b"header", b"signature", b"content", None, b"consent"),
    Attachment(Tlp.CLEAR, "a.pdf", "application/pdf", "", BLOB),
    Leave(),
    Announcement("cert-hr/desk-1", "ana@cert-hr", ("ivo@cert-hr", "eva@cert-hr"), 7, Entered.DECLARED),
    Control(ControlKind.HEARTBEAT, Heartbeat()),
    Control(ControlKind.ROSTER, RosterNotice((RosterDocument("cert-hr-roster", b"{}"),))),
    Control(ControlKind.CONFIRM, DeviceConfirmation("cert-hr/desk-1", b"h" * 48)),
]


@pytest.mark.parametrize("body", BODIES, ids=lambda body: type(body).__name__)
def test_every_case_crosses_the_wire_under_its_kind(body: Any) -> None:
    made = Payload.of(ID, 1_790_000_000_000, body)
    found = Payload.decode(made.encode())
    assert found == made
    assert CASES[found.kind] is type(found.body)


def test_every_kind_is_tested_and_has_one_case() -> None:
    assert {type(body) for body in BODIES} == set(CASES.values())
    assert set(CASES) == set(PayloadKind)


@given(strategies(Payload))
def test_any_payload_is_written_and_read_alike(value: Payload) -> None:
    assert Payload.decode(value.encode()) == value


@given(st.binary(max_size=200))
def test_any_bytes_are_a_payload_or_malformed(data: bytes) -> None:
    for raw in (data, ID + bytes(8) + data):
        try:
            found = Payload.decode(raw)
        except Malformed:
            continue
        assert found.encode() == raw


@pytest.mark.parametrize("kind", [0, 8, 255])
def test_an_unknown_kind_is_malformed(kind: int) -> None:
    with pytest.raises(Malformed):
        Payload.decode(ID + bytes(8) + bytes([kind]))


def test_a_label_is_never_an_unknown_one() -> None:
    raw = bytearray(Payload.of(ID, 0, Text(Tlp.RED, "x")).encode())
    assert raw[25] == Tlp.RED
    for label in (0, 6, 255):
        raw[25] = label
        with pytest.raises(Malformed):
            Payload.decode(bytes(raw))


def test_what_is_too_large_is_not_sent_whole() -> None:
    with pytest.raises(Misuse):
        Payload.of(ID, 0, Bulletin(b"", b"", bytes(payload.INLINE_MAX + 1))).encode()
    with pytest.raises(Misuse):
        Payload.of(ID, 0, Text(Tlp.CLEAR, "x" * (payload.TEXT_MAX + 1))).encode()
