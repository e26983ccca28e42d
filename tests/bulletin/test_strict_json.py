"""JSON that two readers could read differently, or that costs more than it says, is refused with its place."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from securechan.bulletin import strict_json
from securechan.errors import Unfit
from tests.bulletin.files import refusal

DEEP = strict_json.MAX_DEPTH

TEXT = st.text(st.characters(codec="utf-8"))
NUMBERS = st.integers(-(2**53) + 1, 2**53 - 1) | st.floats(allow_nan=False, allow_infinity=False)
VALUES = st.recursive(
    st.none() | st.booleans() | NUMBERS | TEXT,
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(TEXT, inner, max_size=5),
    max_leaves=30,
)


@given(VALUES)
def test_ordinary_json_is_read_as_it_is(value: object) -> None:
    assert strict_json.parse(json.dumps(value, ensure_ascii=False).encode()) == value
    assert strict_json.parse(json.dumps(value).encode()) == value


@pytest.mark.parametrize(
    ("content", "where", "what"),
    [
        (b'{"a":1,"b":{"c":1,"c":2}}', "/b", "'c' stands twice"),
        (b'[{"a":1,"a":1}]', "/0", "'a' stands twice"),
        (b'{"a":{"x":1,"x":2},"a":3}', "/", "'a' stands twice"),
        (b"NaN", "line 1 column 1", "NaN"),
        (b'["NaN",\n {"a": -Infinity}]', "line 2 column 8", "-Infinity"),
        (b'{"1e999": 1e999}', "line 1 column 11", "too large"),
        (b"[1e999x", "line 1 column 2", "too large"),
        (b"[NaN7]", "line 1 column 2", "NaN"),
        (b"9007199254740992", "line 1 column 1", "2^53-1"),
        (b"[-9007199254740992]", "line 1 column 2", "2^53-1"),
        (b"7" * 100_000, "line 1 column 1", "2^53-1"),
        (b'"\\ud800"', "/", "surrogate"),
        (b'{"x":["\\udfff"]}', "/x/0", "surrogate"),
        (b'{"\\ud83d":1}', "/", "surrogate"),
        (b"\xff\xfe", "byte 0", "not UTF-8"),
        (b'"\xed\xa0\x80"', "byte 1", "not UTF-8"),
        (b"\xef\xbb\xbf{}", "byte 0", "byte-order mark"),
        (b"", "line 1 column 1", "expecting value"),
        (b'{"a":1} x', "line 1 column 9", "extra data"),
        (b'{"a":\n"\x01"}', "line 2 column 2", "control character"),
        (b"[" * (DEEP + 1) + b"]" * (DEEP + 1), "/" + "/".join(["0"] * DEEP), f"more than {DEEP} deep"),
        (b"[" * 1_000_000, "/", f"more than {DEEP} deep"),
        (b'{"a":' * 1_000_00, "/", f"more than {DEEP} deep"),
    ],
)
def test_what_readers_could_read_differently_is_refused(content: bytes, where: str, what: str) -> None:
    with pytest.raises(Unfit) as caught:
        strict_json.parse(content)
    (finding,) = caught.value.findings
    assert finding.where == where[: len(finding.where)]
    assert what in finding.what
    assert len(caught.value.message) < 700


def test_whole_surrogate_pairs_and_the_deepest_nesting_are_fine() -> None:
    assert strict_json.parse(b'"\\ud83d\\ude00"') == "\U0001f600"
    assert strict_json.parse(b"[" * DEEP + b"]" * DEEP) is not None
    assert strict_json.parse(b"9007199254740991") == 2**53 - 1


def test_the_walk_that_tells_places_finds_nothing_in_a_sound_value() -> None:
    assert list(strict_json._faults([["x", {"y": 1}]])) == []


def test_content_has_a_bound() -> None:
    with pytest.raises(Unfit, match="at most 4,194,304"):
        strict_json.parse(b" " * (strict_json.MAX_SIZE + 1))


@given(st.binary(max_size=200))
def test_any_bytes_end_in_a_value_or_in_unfit(content: bytes) -> None:
    error = refusal(strict_json.parse, content)
    assert error is None or error.findings


@given(st.text(alphabet='[]{}",:\\u0d8 \n1-e+.tfnNaInfinity9', max_size=80))
def test_nearly_json_ends_in_a_value_or_in_unfit(text: str) -> None:
    error = refusal(strict_json.parse, text.encode())
    assert error is None or error.findings
