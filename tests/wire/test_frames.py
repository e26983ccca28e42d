"""Frames: every kind has a case, everything round-trips, and nothing else parses."""

from __future__ import annotations

from typing import get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from securechan.codec import Reader, write_varint
from securechan.errors import Malformed, Misuse
from securechan.wire.frames import (
    ANSWERS,
    FRAMES,
    MAX_ENTRY,
    MOST_DOCUMENTS,
    MOST_PACKAGES,
    REQUESTS,
    TRUST_TOPIC,
    Answer,
    AnswerBody,
    AnswerKind,
    Append,
    Bye,
    Code,
    CommitClaim,
    CountKeyPackages,
    Done,
    Entries,
    Entry,
    EntryKind,
    Error,
    Frame,
    FrameBody,
    FrameKind,
    Halt,
    Ping,
    Publish,
    PutKeyPackages,
    Reason,
    Request,
    RequestBody,
    RequestKind,
    TrustDocument,
    inbox_topic,
)
from securechan.wire.padding import unfill
from securechan.wire.plaintext import RecordBody, Then, lone_append

SAMPLES = [
    Request.of(1, Ping()),
    Request.of(2**32 - 1, Append(bytes(32), b"i" * 32, b"body", CommitClaim(7, b"a" * 32))),
    Request.of(3, Append(bytes(32), b"i" * 32, b"", None)),
    Request.of(4, PutKeyPackages(0xF5C1, 1, (b"one", b"two"), None)),
    Request.of(5, CountKeyPackages(1)),
    Answer.of(1, Done()),
    Answer.of(2, Error(Code.STALE, 0, "another commit won", 12, b"w" * 32)),
    Entries(TRUST_TOPIC, (Entry(1, EntryKind.TRUST, b"i" * 32, 5, b"x", None),), Halt.TAIL),
    Bye(Reason.SLOW),
]


@pytest.mark.parametrize("body", SAMPLES, ids=lambda body: type(body).__name__)
def test_frames_round_trip(body: FrameBody) -> None:
    frame = Frame.of(body)
    assert Frame.decode(frame.encode()) == frame


def test_every_kind_has_its_case_and_every_case_its_kind() -> None:
    for kinds, cases, union in (
        (RequestKind, REQUESTS, RequestBody),
        (AnswerKind, ANSWERS, AnswerBody),
        (FrameKind, FRAMES, FrameBody),
    ):
        assert set(kinds) == set(cases)
        assert set(get_args(union)) == set(cases.values())


def test_unknown_kinds_are_malformed() -> None:
    good = Frame.of(Request.of(1, Ping())).encode()
    for bad in (b"\x00" + good[1:], b"\x09" + good[1:], good[:-1] + b"\xff", good + b"\x00"):
        with pytest.raises(Malformed):
            Frame.decode(bad)


def test_bodies_have_a_bound_when_written() -> None:
    with pytest.raises(Misuse):
        Append(bytes(32), bytes(32), bytes(MAX_ENTRY + 1), None).encode()


def test_inboxes_differ_by_device() -> None:
    names = ["cert-hr/a", "cert-hr/b", "cert-si/a"]
    assert len({inbox_topic(name) for name in names} | {TRUST_TOPIC}) == 4


@settings(max_examples=300)
@given(st.binary(max_size=300))
def test_any_bytes_parse_to_what_encodes_to_them_or_are_malformed(data: bytes) -> None:
    for kind in (Frame, RecordBody):
        try:
            value = kind.decode(data)
        except Malformed:
            continue
        assert value.encode() == data


@given(st.sampled_from(SAMPLES), st.data())
def test_no_prefix_of_a_frame_is_a_frame(body: FrameBody, data: st.DataObject) -> None:
    whole = Frame.of(body).encode()
    cut = data.draw(st.integers(min_value=0, max_value=len(whole) - 1))
    with pytest.raises(Malformed):
        Frame.decode(whole[:cut])


def test_a_record_body_says_what_comes_next() -> None:
    body = RecordBody(Then.REKEY, (Frame.of(Bye(Reason.DONE)),))
    assert body.encode()[0] == 1
    assert RecordBody.decode(body.encode()) == body


def test_many_items_of_no_size_are_refused() -> None:
    """A record holds three million empty packages, or a million empty documents: to make them takes seconds."""
    packages = PutKeyPackages(1, 0, (b"",) * MOST_PACKAGES, None)
    documents = Publish(0, (TrustDocument("", b""),) * MOST_DOCUMENTS)
    assert PutKeyPackages.decode(packages.encode()) == packages
    assert Publish.decode(documents.encode()) == documents
    one_more = packages.encode().replace(b"\x41\x00" + bytes(256), b"\x41\x01" + bytes(257))
    with pytest.raises(Malformed, match="more than 256 items"):
        PutKeyPackages.decode(one_more)
    one_more = documents.encode().replace(b"\x42\x00" + bytes(512), b"\x42\x02" + bytes(514))
    with pytest.raises(Malformed, match="more than 256 items"):
        Publish.decode(one_more)


# ------------------------------------------------------------------------------------------- the way by hand


def declared(data: bytes, end: int) -> tuple[object, int] | str:
    """How a frame is read as it is declared: the frame and where it ends, or the fault."""
    r = Reader(data, 0, end)
    try:
        return super(Frame, Frame).read_from(r), r.pos
    except Malformed as error:
        return error.message


def by_hand(data: bytes, end: int) -> tuple[object, int] | str:
    r = Reader(data, 0, end)
    try:
        return Frame.read_from(r), r.pos
    except Malformed as error:
        return error.message


@st.composite
def appends(draw: st.DrawFn) -> bytes:
    """An append as it may come: any length's form, a commit or none, damaged or not, with anything behind it."""
    size = draw(st.sampled_from([0, 1, 62, 63, 64, 65, 255, 256, 1024, (1 << 14) - 1, 1 << 14]))
    commit = draw(st.none() | st.just(CommitClaim(1, bytes(32))))
    wire = bytearray(Frame.of(Request.of(draw(st.integers(0, 2**32 - 1)), Append(T, T, bytes(size), commit))).encode())
    for _ in range(draw(st.integers(0, 2))):
        place = draw(st.sampled_from([0, 5, 70, 71, 72, len(wire) - 1]) | st.integers(0, len(wire) - 1))
        wire[min(place, len(wire) - 1)] = draw(st.integers(0, 255))
    return bytes(wire) + draw(st.binary(max_size=4))


T = bytes(range(32))


@given(appends(), st.integers(0, 80))
def test_what_is_read_by_hand_is_read_as_declared(data: bytes, missing: int) -> None:
    for end in (len(data), max(len(data) - missing, 0)):
        assert by_hand(data, end) == declared(data, end)


@st.composite
def records(draw: st.DrawFn) -> bytes:
    """The plaintext of a record: one append most often, or some frames, damaged or not, and its padding."""
    frames = b"".join(draw(st.lists(appends(), min_size=1, max_size=2)))
    out = bytearray((draw(st.integers(0, 2)),))
    write_varint(out, max(len(frames) + draw(st.sampled_from([0, 0, 0, -1, 1])), 0))
    return bytes(out) + frames + bytes(draw(st.integers(0, 3)))


@given(records())
def test_a_lone_append_is_read_as_declared_or_left_to_it(data: bytes) -> None:
    lone = lone_append(data)
    if lone is not None:
        assert unfill(RecordBody, data) == RecordBody(Then.STAY, (Frame.of(Request.of(*lone)),))


@pytest.mark.parametrize("size", [64, 65, 1024, 16_000])
def test_an_append_alone_in_its_record_is_read_in_one_go(size: int) -> None:
    append = Append(T, bytes(reversed(T)), b"\7" * size, None)
    plain = RecordBody(Then.STAY, (Frame.of(Request.of(258, append)),)).encode()
    for padding in (0, 1, 500):
        assert lone_append(plain + bytes(padding)) == (258, append)
    for other in (plain[:-1], plain + b"\1", b"\1" + plain[1:], plain[: len(plain) // 2], b""):
        assert lone_append(other) is None
