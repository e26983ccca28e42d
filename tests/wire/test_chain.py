"""The history chain: two readers of the same entries hold the same value, and of any others another."""

from __future__ import annotations

import hashlib

from hypothesis import given
from hypothesis import strategies as st

from securechan.wire.chain import Position, advance, start

ENTRIES = st.lists(
    st.tuples(
        st.integers(min_value=0, max_value=4),
        st.binary(min_size=32, max_size=32),
        st.integers(min_value=1, max_value=2**64 - 1),
        st.binary(max_size=64),
    ),
    max_size=5,
)


def walk(topic: bytes, entries: list[tuple[int, bytes, int, bytes]]) -> Position:
    position = start(topic)
    for kind, entry_id, sequence, body in entries:
        position = advance(position, kind, entry_id, sequence, body)
    return position


def test_the_chain_by_hand() -> None:
    label = b"securechan/1 chain"
    first = hashlib.sha384(label + b" start" + bytes(32)).digest()
    assert start(bytes(32)) == Position(0, first)
    body = b"hello"
    told = label + first + b"\x01" + b"i" * 32 + (9).to_bytes(8, "big") + (5).to_bytes(8, "big")
    second = hashlib.sha384(told + hashlib.sha384(body).digest()).digest()
    assert advance(start(bytes(32)), 1, b"i" * 32, 9, body) == Position(9, second)


@given(ENTRIES, ENTRIES)
def test_different_histories_have_different_chains(one: list, other: list) -> None:
    assert (walk(bytes(32), one).chain == walk(bytes(32), other).chain) == (one == other)
    assert walk(bytes(32), one) != walk(b"t" * 32, one)
