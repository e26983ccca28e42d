"""Rows and letters: every format reads what it wrote, and only that."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from securechan.agent import letters, state
from securechan.agent.claims import Claim
from securechan.agent.founding import Founding
from securechan.agent.policy import Officer, Policy
from securechan.agent.session import Session
from securechan.agent.tables import Rows, Write, table
from securechan.bulletin.payload import Payload
from securechan.codec import Struct
from securechan.errors import Malformed, NotFound
from tests.support.strategies import strategies

STRUCTS: list[type[Struct]] = [
    *(
        each
        for each in vars(state).values()
        if isinstance(each, type) and issubclass(each, Struct) and each is not Struct
    ),
    letters.Letter,
    letters.SignedLetter,
    letters.SealedLetter,
    Claim,
    Founding,
    Officer,
    Policy,
    Payload,
]


@pytest.mark.parametrize("struct", STRUCTS, ids=lambda struct: struct.__name__)
@given(data=st.data())
@settings(max_examples=15, deadline=None)
def test_every_row_reads_what_it_wrote(struct: type[Struct], data: st.DataObject) -> None:
    value = data.draw(strategies(struct))
    assert struct.decode(value.encode()) == value


@pytest.mark.parametrize("struct", STRUCTS, ids=lambda struct: struct.__name__)
@given(data=st.binary(max_size=200))
@settings(max_examples=30, deadline=None)
def test_bytes_that_are_no_row_are_malformed_and_nothing_else(struct: type[Struct], data: bytes) -> None:
    try:
        value = struct.decode(data)
    except Malformed:
        return
    assert value.encode() == data


WORDS = table("words", str.encode, bytes.decode)


def test_writes_are_the_difference_and_nothing_is_written_twice() -> None:
    rows, writes = _edited(Rows(), a="one", b="two")
    assert writes == (Write("words", "a", b"one"), Write("words", "b", b"two"))
    again, writes = _edited(rows, a="one", b="three")
    assert writes == (Write("words", "b", b"three"),)
    draft = again.edit()
    draft.drop(WORDS, "a")
    draft.drop(WORDS, "never")
    draft.put(WORDS, "c", "fleeting")
    draft.drop(WORDS, "c")
    last, writes = draft.seal()
    assert writes == (Write("words", "a", None),)
    assert dict(rows.all(WORDS)) == {"a": "one", "b": "two"}  # the values of before are still what they were
    assert dict(last.all(WORDS)) == {"b": "three"}
    with pytest.raises(NotFound):
        last.edit().need(WORDS, "a")


def _edited(rows: Rows, **words: str) -> tuple[Rows, tuple[Write, ...]]:
    draft = rows.edit()
    for name, word in words.items():
        draft.put(WORDS, name, word)
    return draft.seal()


def test_a_row_that_lacks_a_part_is_malformed() -> None:
    with pytest.raises(Malformed):
        Rows.load(state.KINDS, {"epochs": {"00": b""}})


def test_a_session_begins_with_nothing() -> None:
    assert not Session().connected
    assert Session() == Session()
