"""One JSON form, and nothing else is read."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from securechan.errors import Malformed
from securechan.trust import strict

JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53) + 1, 2**53 - 1)
    | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text("abc\u00e9"), inner, max_size=4),
    max_leaves=8,
)


@given(st.dictionaries(st.text("xyz"), JSON, max_size=4))
def test_what_is_written_reads_the_same(value: dict[str, object]) -> None:
    assert strict.load(strict.dump(value)) == value


@pytest.mark.parametrize(
    "text",
    [
        b'{"a":1,"a":1}',
        b'{"a":1,"a":2}',
        b'{"b":1,"a":2}',
        b'{"a": 1}',
        b' {"a":1}',
        b'{"a":1}\n',
        b'{"a":1.0}',
        b'{"a":1e3}',
        b'{"a":NaN}',
        b'{"a":Infinity}',
        b'{"a":-0}',
        b'{"a":01}',
        b'{"a":9007199254740992}',
        b'{"a":' + b"9" * 5000 + b"}",
        b'{"a":"\\u0041"}',
        b'{"a":"\\ud800"}',
        b'{"a":"\\/"}',
        '{"a":"é"}'.encode(),
        '{"a":"é"}'.encode("latin-1"),
        b"\xef\xbb\xbf{}",
        b"[1]",
        b'"a"',
        b"1",
        b"null",
        b"",
        b"{",
        b'{"a":1}{}',
        b'{"a":' + b"[" * 100_000,
        b'{"a":' + b"[" * 20 + b"]" * 20 + b"}",
        b'{"a":' * 50_000 + b"1" + b"}" * 50_000,
    ],
    ids=lambda text: ascii(text[:24]),
)
def test_every_other_form_is_malformed(text: bytes) -> None:
    with pytest.raises(Malformed):
        strict.load(text)


def test_size_is_held_against_its_bound_first() -> None:
    with pytest.raises(Malformed, match="at most 10"):
        strict.load(b'{"a":"0123456789"}', bound=10)


@given(st.binary(max_size=200))
def test_bytes_are_never_a_foreign_error(data: bytes) -> None:
    with contextlib.suppress(Malformed):
        assert strict.dump(strict.load(data)) == data
