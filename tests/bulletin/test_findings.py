"""Findings are few, short, printable, and say where."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from securechan.bulletin.findings import (
    MAX_FINDINGS,
    MAX_TEXT,
    Enough,
    Findings,
    kind_of,
    pointer,
    printable,
    quote,
)
from securechan.errors import Finding


def test_a_place_is_a_json_pointer() -> None:
    assert pointer(None) == "/"
    assert pointer((((None, "a/b"), 3), "c~d")) == "/a~1b/3/c~0d"


def test_the_list_ends() -> None:
    found = Findings()
    for index in range(MAX_FINDINGS - 1):
        found.add((None, index), "wrong")
    with pytest.raises(Enough):
        found.add((None, "last"), "wrong")
    assert len(found.items) == MAX_FINDINGS
    assert "50 or more findings" in found.unfit("thing").message


def test_the_same_finding_is_told_once() -> None:
    found = Findings()
    found.add((None, "x"), "wrong")
    found.add((None, "x"), "wrong")
    assert found.items == [Finding("/x", "wrong")]
    assert found.unfit("thing").message == "not a valid thing: wrong at /x"


def test_a_rule_stands_before_what_breaks_it_and_rules_may_nest() -> None:
    found = Findings()
    with found.rule("1.2"):
        found.add(None, "a")
        with found.rule("1.3"):
            found.add(None, "b")
        found.add(None, "c")
    found.add(None, "d")
    assert [item.what for item in found.items] == ["1.2: a", "1.3: b", "1.2: c", "d"]


@given(st.text())
def test_nothing_that_a_terminal_obeys_gets_through(text: str) -> None:
    for shown in (printable(text), quote(text), pointer((None, text))):
        assert all(sign.isprintable() for sign in shown)
    assert printable(text).isascii()
    found = Findings()
    found.add((None, text), quote(text) * 20)
    assert len(found.items[0].what) <= MAX_TEXT
    assert len(found.items[0].where) <= MAX_TEXT


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ({}, "an object"),
        ([], "a list"),
        ("x", "text"),
        (True, "true"),
        (False, "false"),
        (None, "null"),
        (1, "a number"),
    ],
)
def test_kinds_have_words(value: object, words: str) -> None:
    assert kind_of(value) == words


def test_containers_and_long_text_are_not_quoted_whole() -> None:
    assert quote({"a": 1}) == "an object"
    assert len(quote("x" * 10_000)) < 70
    assert quote(17) == "17"
    assert quote(None) == "null"
