"""The presentation language: the official lengths, each word of the declarations, and every way to be malformed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any, NewType

import pytest
from hypothesis import given
from hypothesis import strategies as st

from securechan.codec import (
    U8,
    U16,
    U32,
    U64,
    VECTOR_MAX,
    Enum8,
    Enum16,
    Kept,
    Nothing,
    Opaque,
    OpaqueCodec,
    Reader,
    Struct,
    Text,
    Varint,
    decode,
    encode,
    fixed,
    opaque,
    select,
    text,
    vec,
    write_varint,
)
from securechan.errors import Malformed, Misuse
from tests.support.corpus import load
from tests.support.strategies import strategies


class Kind(Enum8):
    POINT = 1
    NAME = 2
    NONE = 3


class Wide(Enum16):
    FAR = 0x1234


class Point(Struct):
    x: U16
    y: U16


Index = NewType("Index", U32)


class Everything(Struct):
    small: U8
    large: U64
    index: Index
    number: Varint
    wide: Wide
    digest: Annotated[bytes, fixed(4)]
    note: Annotated[bytes, opaque(max=100)]
    title: Annotated[str, text(max=40)]
    words: Text
    rest: Opaque
    bare: bytes
    label: str
    points: tuple[Point, ...]
    few: Annotated[tuple[U16, ...], vec(max=6)]
    maybe: Point | None
    kind: Kind
    body: Annotated[Point | str | None, select("kind", {Kind.POINT: Point, Kind.NAME: Text, Kind.NONE: Nothing})]


class Remembered(Kept):
    point: Point
    data: Opaque


def test_official_lengths() -> None:
    for case in load("mls/deserialization.json"):
        header = bytes.fromhex(case["vlbytes_header"])
        assert Reader(header).varint() == case["length"]
        out = bytearray()
        write_varint(out, case["length"])
        assert out == header


@given(strategies(Everything))
def test_a_struct_is_what_its_annotations_say(value: Everything) -> None:
    wire = value.encode()
    assert Everything.decode(wire) == value
    for cut in range(len(wire)):
        with pytest.raises(Malformed):
            Everything.decode(wire[:cut])
    with pytest.raises(Malformed, match="trail"):
        Everything.decode(wire + b"\0")


@given(strategies(Remembered))
def test_a_kept_struct_encodes_as_any_other_and_remembers(value: Remembered) -> None:
    read = Remembered.decode(value.encode())
    assert read == value
    assert hash(read) == hash(value)
    assert read.encode() is read.encode()
    out = bytearray(b"before")
    read.write_to(out)
    assert bytes(out) == b"before" + value.encode()
    read.settle()
    assert read.encode() == value.encode()
    assert read.encode() is not read.encode()
    assert read == value


def test_the_bytes_of_a_struct() -> None:
    assert Point(1, 0x0203).encode() == bytes.fromhex("00010203")
    assert encode(tuple[Point, ...], (Point(1, 2), Point(3, 4))) == bytes.fromhex("08 0001 0002 0003 0004")
    assert encode(Point | None, None) == b"\0"
    assert encode(Point | None, Point(5, 6)) == bytes.fromhex("01 0005 0006")
    assert encode(Text, "é") == bytes.fromhex("02 c3a9")
    assert decode(U16, b"\x12\x34") == 0x1234


@pytest.mark.parametrize(
    ("tp", "wire", "reason"),
    [
        (Opaque, "4001ff", "shortest"),
        (Opaque, "80000040" + "00" * 64, "shortest"),
        (Opaque, "c000000000000001ff", "8-byte"),
        (Opaque, "", "nothing left"),
        (Opaque, "40", "wanted"),
        (Opaque, "03aabb", "wanted"),
        (Annotated[bytes, opaque(max=2)], "03aabbcc", "at most 2"),
        (Annotated[tuple[U16, ...], vec(max=2)], "0400010002", "at most 2"),
        (tuple[U16, ...], "03000100", "wanted"),
        (tuple[U16, ...], "0200", "wanted"),
        (Point | None, "02", "neither 0 nor 1"),
        (Kind, "09", "unknown value 9"),
        (Wide, "0001", "unknown value 1"),
        (Text, "01ff", "UTF-8"),
        (Annotated[bytes, fixed(4)], "aabbcc", "wanted"),
        (U32, "0000000000", "trail"),
        (tuple[Nothing, ...], "01aa", "no bytes"),
    ],
)
def test_malformed(tp: Any, wire: str, reason: str) -> None:
    with pytest.raises(Malformed, match=reason):
        decode(tp, bytes.fromhex(wire))


def test_a_length_is_held_against_what_is_there_before_anything_is_read() -> None:
    with pytest.raises(Malformed, match="at most"):
        decode(Opaque, bytes.fromhex("bfffffff"))
    with pytest.raises(Malformed, match="wanted"):
        decode(tuple[Point, ...], bytes.fromhex("80ffffff"))


class Choice(Struct):
    kind: U8
    body: Annotated[Point | None, select("kind", {1: Point, 2: Nothing})]


def test_a_kind_without_a_case_is_malformed() -> None:
    with pytest.raises(Malformed, match="no case"):
        Choice.decode(b"\x07")


@pytest.mark.parametrize(
    ("tp", "value"),
    [
        (U8, 256),
        (U8, -1),
        (Varint, -1),
        (Varint, VECTOR_MAX + 1),
        (Annotated[bytes, fixed(4)], b"abc"),
        (Annotated[bytes, opaque(max=2)], b"abc"),
        (Annotated[str, text(max=2)], "abc"),
        (Text, "\ud800"),
        (Annotated[tuple[U16, ...], vec(max=2)], (1, 2)),
        (Point, Choice(2, None)),
        (Nothing, 1),
    ],
)
def test_a_value_that_does_not_fit_its_declaration_is_our_fault(tp: Any, value: Any) -> None:
    with pytest.raises(Misuse):
        encode(tp, value)


@pytest.mark.parametrize("tp", [float, list[int], dict[str, int], int | str, tuple[int, int]])
def test_an_annotation_that_says_too_little_is_refused(tp: Any) -> None:
    with pytest.raises(Misuse, match="no wire format"):
        encode(tp, None)


def test_a_select_needs_the_struct_around_it() -> None:
    alone = Annotated[Point | None, select("kind", {1: Point, 2: Nothing})]
    with pytest.raises(Misuse, match="outside a struct"):
        encode(alone, None)
    with pytest.raises(Misuse, match="outside a struct"):
        decode(alone, b"")


def test_a_note_for_people_changes_nothing() -> None:
    assert encode(Annotated[bytes, "what it is for"], b"x") == b"\x01x"


def test_a_reader_stays_within_its_vector() -> None:
    r = Reader(bytes.fromhex("02aabb cc"))
    inside = r.sub()
    assert inside.left == 2
    with pytest.raises(Malformed, match="wanted"):
        inside.take(3)
    with pytest.raises(Malformed, match="trail"):
        inside.done()
    assert (inside.u16(), r.u8(), r.left) == (0xAABB, 0xCC, 0)
    r.done()
    wide = Reader(bytes(12))
    assert (wide.u32(), wide.u64()) == (0, 0)


@given(st.binary(max_size=6), st.integers(0, 300), st.sampled_from((0, 5, 63, 64, 200, 1 << 20)), st.integers(0, 3))
def test_a_vector_is_read_the_same_way_whoever_reads_it(head: bytes, more: int, bound: int, cut: int) -> None:
    data = b"?" + head + bytes(more)

    def outcome(read: Callable[[Reader], bytes]) -> tuple[object, int]:
        r = Reader(data, 1, max(1, len(data) - cut))
        try:
            return read(r), r.pos
        except Malformed as fault:
            return fault.message, 0

    assert outcome(OpaqueCodec(bound).read) == outcome(lambda r: r.vector(bound))
