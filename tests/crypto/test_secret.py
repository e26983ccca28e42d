"""Secrets don't show themselves."""

from __future__ import annotations

import copy
import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st

from securechan.crypto.secret import Secret
from securechan.errors import Misuse

SECRET = Secret(b"a secret that must not show")


def test_it_is_hidden_in_print() -> None:
    shown = (repr(SECRET), str(SECRET), f"{SECRET}", f"{SECRET!r:>40}", format(SECRET, ">40"))
    for text in (*shown, repr([SECRET]), repr({"key": SECRET}), repr(ValueError(SECRET))):
        assert "secret that" not in text
        assert "Secret(27 bytes)" in text


def test_what_is_cut_from_it_or_joined_to_it_is_secret_too() -> None:
    for part in (SECRET[:8], SECRET[8:], SECRET[::2], SECRET + b"more", b"more" + SECRET, SECRET + SECRET):
        assert isinstance(part, Secret)
    assert SECRET[:8] + SECRET[8:] == SECRET
    assert bytes(b"more" + SECRET) == b"more" + bytes(SECRET)
    assert SECRET[0] == ord("a")


def test_it_is_bytes_where_bytes_are_wanted() -> None:
    assert isinstance(SECRET, bytes)
    assert b"".join([SECRET]) == bytes(SECRET)
    assert bytearray(SECRET) == bytes(SECRET)
    assert type(bytes(SECRET)) is bytes
    assert {SECRET: 1}[Secret(bytes(SECRET))] == 1


@given(one=st.binary(max_size=40), other=st.binary(max_size=40))
def test_it_compares_by_value(one: bytes, other: bytes) -> None:
    assert (Secret(one) == other) == (one == other) == (other == Secret(one)) == (Secret(one) == Secret(other))
    assert (Secret(one) != other) == (one != other)
    assert hash(Secret(one)) == hash(one)


def test_a_buffer_that_takes_it_in_stays_the_same_buffer() -> None:
    out = alias = bytearray(b"out")
    out += SECRET
    assert out is alias
    assert alias == b"out" + bytes(SECRET)


@pytest.mark.parametrize("other", ["a secret that must not show", None, 1])
def test_it_is_unequal_to_what_is_not_bytes(other: object) -> None:
    assert other != SECRET
    assert Secret(b"\x01") != other


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_it_refuses_to_be_pickled(protocol: int) -> None:
    with pytest.raises(Misuse):
        pickle.dumps(SECRET, protocol)


def test_copies_are_itself() -> None:
    assert copy.copy(SECRET) is SECRET
    assert copy.deepcopy([SECRET])[0] is SECRET


def test_random_ones_differ() -> None:
    assert len(Secret.random(32)) == 32
    assert Secret.random(32) != Secret.random(32)
    assert Secret.random(0) == b""
