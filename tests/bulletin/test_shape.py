"""Tables become shapes, and shapes judge values."""

from __future__ import annotations

import re
from typing import Any

import pytest

from securechan.bulletin.findings import Findings
from securechan.bulletin.shape import (
    LONGEST,
    Anything,
    Book,
    Boolean,
    Number,
    Shape,
    Text,
    canonical,
    one_of,
)
from securechan.errors import Misuse

BOOK = Book(
    {
        "person": "name! age:whole tags:{str} friends:[person] likes:[colour]",
        "pair": "&2 a b c",
        "open": "a ...",
    },
    {"whole": Number(0, 150, whole=True), "colour": one_of("red green")},
    closed=True,
)


def lines(shape: Shape, value: Any) -> list[str]:
    found = Findings()
    shape.check(value, None, found)
    return [f"{item.where} {item.what}" for item in found.items]


@pytest.mark.parametrize(
    "value",
    [
        {"name": "x"},
        {"name": "x", "age": 0, "tags": ["a", "b"], "likes": ["red", "red"]},
        {"name": "x", "friends": [{"name": "y", "friends": [{"name": "z"}]}]},
    ],
)
def test_what_the_table_says_is_taken(value: Any) -> None:
    assert lines(BOOK["person"], value) == []


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ([], ["/ must be an object, not a list"]),
        ({}, ["/ the required property name is missing"]),
        ({"name": ""}, ["/name must not be empty"]),
        ({"name": 3}, ["/name must be text, not a number"]),
        ({"name": "x", "nmae": 1}, ["/nmae there is no property 'nmae' here"]),
        ({"name": "x", "age": -1}, ["/age -1 is not between 0 and 150"]),
        ({"name": "x", "age": 1.5}, ["/age 1.5 is not a whole number"]),
        ({"name": "x", "age": False}, ["/age must be a number, not false"]),
        ({"name": "x", "tags": ["a", "a"]}, ["/tags/1 'a' stands twice in the list"]),
        ({"name": "x", "tags": []}, ["/tags must not be empty"]),
        ({"name": "x", "likes": ["blue"]}, ["/likes/0 'blue' is not one of green, red"]),
        ({"name": "x", "friends": [{"name": "y", "friends": [{}]}]},
         ["/friends/0/friends/0 the required property name is missing"]),
    ],
)  # fmt: skip
def test_what_it_does_not_say_is_told_with_its_place(value: Any, expected: list[str]) -> None:
    assert lines(BOOK["person"], value) == expected


def test_a_number_of_properties_can_be_demanded_and_others_allowed() -> None:
    assert lines(BOOK["pair"], {"a": "x"}) == ["/ must have at least 2 properties"]
    assert lines(BOOK["pair"], {"a": "x", "c": "y"}) == []
    assert lines(BOOK["open"], {"z": [None]}) == []


def test_text_may_have_a_pattern_and_a_judgement() -> None:
    shape = Text("an even word", re.compile("[a-z]*"), lambda text: len(text) % 2 == 0, least=0)
    assert lines(shape, "") == []
    assert lines(shape, "abc") == ["/ 'abc' is not an even word"]
    assert lines(shape, "ab\n") == ["/ 'ab\\n' is not an even word"]
    assert lines(Anything(), {"x": None}) == []


def test_text_with_a_pattern_has_a_bound() -> None:
    shape = Text("a word", re.compile("x*"))
    assert lines(shape, "x" * LONGEST) == []
    assert lines(shape, "x" * (LONGEST + 1)) == ["/ is longer than 65536 characters, which a word never is"]
    assert lines(Text(), "x" * (LONGEST + 1)) == []


def test_a_wrong_table_is_our_bug() -> None:
    with pytest.raises(Misuse, match="no kind named nothing"):
        Book({"a": "x:nothing"}, {})
    with pytest.raises(Misuse, match="unreadable word"):
        Book({"a": "x:[y"}, {"y": Anything()})


def test_a_book_knows_its_records_and_its_own_notation() -> None:
    book = Book({"a": "x:#"}, {}, resolve=lambda kind: Boolean() if kind == "#" else None)
    assert "a" in book
    assert "b" not in book
    assert list(book.names()) == ["a"]
    assert lines(book["a"], {"x": 1, "y": 2}) == ["/x must be true or false, not a number"]


def test_equal_values_have_one_canonical_text() -> None:
    assert canonical({"a": 1, "b": [True]}) == canonical({"b": [True], "a": 1})
    assert canonical([True]) != canonical([1])
