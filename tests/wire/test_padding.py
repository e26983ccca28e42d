"""Sizes tell little, and padding hides nothing."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from securechan.errors import Malformed, Misuse
from securechan.wire.frames import MAX_FRAMES, Count
from securechan.wire.padding import bucket, fill, unfill
from securechan.wire.session import MAX_PLAINTEXT


@given(st.integers(min_value=0, max_value=MAX_FRAMES + 5))
def test_a_bucket_holds_its_content_and_at_most_an_eighth_more(size: int) -> None:
    held = bucket(size)
    assert size <= held <= MAX_PLAINTEXT
    if size > 4096:
        assert held - size < size / 8 + 1
    assert bucket(held) == held


@pytest.mark.parametrize(
    ("size", "held"),
    [(0, 256), (256, 256), (257, 512), (4096, 4096), (4097, 4608), (8193, 9216), (MAX_FRAMES + 5, MAX_PLAINTEXT)],
)
def test_buckets_by_example(size: int, held: int) -> None:
    assert bucket(size) == held


def test_few_sizes_are_ever_seen() -> None:
    assert len({bucket(size) for size in range(0, MAX_PLAINTEXT, 97)}) < 100


def test_padding_is_zero_or_malformed() -> None:
    data = fill(Count(7).encode(), 64)
    assert unfill(Count, data) == Count(7)
    with pytest.raises(Malformed, match="padding"):
        unfill(Count, data[:-1] + b"\x01")


def test_what_does_not_fit_is_our_own_mistake() -> None:
    with pytest.raises(Misuse):
        fill(b"12345", 4)
