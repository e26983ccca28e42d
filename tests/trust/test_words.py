"""Words that are spelt as they sound."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from securechan.errors import Malformed, Misuse
from securechan.trust import words


@pytest.mark.parametrize(
    ("address", "spoken"),
    [
        ((127, 0, 0, 1), ("lusab", "babad")),
        ((63, 84, 220, 193), ("gutih", "tugad")),
        ((12, 110, 110, 204), ("budov", "kuras")),
        ((0, 0, 255, 255), ("babab", "zuzuz")),
    ],
)
def test_the_published_examples(address: tuple[int, ...], spoken: tuple[str, ...]) -> None:
    assert words.words(bytes(address), 2) == spoken


@given(st.binary(min_size=12, max_size=12), st.binary(min_size=12, max_size=12))
def test_different_bytes_have_different_words(one: bytes, other: bytes) -> None:
    assert (words.words(one, 6) == words.words(other, 6)) is (one == other)


def test_there_must_be_enough_bytes() -> None:
    with pytest.raises(Misuse):
        words.words(bytes(11), 6)


def test_what_a_person_types() -> None:
    expected = ("lusab", "babad")
    for said in ("lusab babad", "LUSAB-BABAD", "  lusab,\tbabad. ", "lusab\nbabad"):
        assert words.same(said, expected)
    for said in ("lusab", "babad lusab", "lusab babad babad", "lusabbabad", ""):
        assert not words.same(said, expected)


def test_a_slip_is_told_from_other_words() -> None:
    words.check("LUSAB-babad", 2)
    words.check("lusab babat", 2)  # spelt as one: whether it is theirs, the comparison says
    for said, told in (
        ("lusab", "2 words are needed, and these are 1"),
        ("lusab babad gutih", "2 words are needed, and these are 3"),
        ("lusab cafe", "cafe can't be among them"),
        ("cafe", "2 words are needed, and these are 1; cafe can't be among them"),
    ):
        with pytest.raises(Malformed, match=told) as caught:
            words.check(said, 2)
        assert caught.value.code == "words-form"
