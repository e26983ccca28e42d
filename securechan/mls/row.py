"""A long sequence of which a changed copy shares nearly all: what a tree keeps its nodes and hashes in.

To copy a tuple of two thousand nodes means to touch two thousand objects that lie all over the memory, which costs a
commit more than its signatures' hashes do. A `Row` is cut into chunks; a copy with a dozen changes copies those chunks.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import chain
from typing import Final, Generic, TypeVar

T = TypeVar("T")

_BITS: Final = 5
_CHUNK: Final = 1 << _BITS
_WITHIN: Final = _CHUNK - 1


class Row(Generic[T]):
    """A value, but for `note`."""

    __slots__ = ("_chunks", "_length")

    def __init__(self, items: Iterable[T]) -> None:
        flat = list(items)
        self._length = len(flat)
        self._chunks = [flat[at : at + _CHUNK] for at in range(0, len(flat), _CHUNK)]

    def __len__(self) -> int:
        return self._length

    def __getitem__(self, index: int) -> T:
        """The item there. Raises IndexError, also for what a list would count from its end."""
        if not 0 <= index < self._length:
            raise IndexError(index)
        return self._chunks[index >> _BITS][index & _WITHIN]

    def __iter__(self) -> Iterator[T]:
        return chain.from_iterable(self._chunks)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Row) and self._chunks == other._chunks

    __hash__ = None  # type: ignore[assignment]  # as of a list

    def __repr__(self) -> str:
        return f"Row({list(self)!r})"

    def replaced(self, changes: Iterable[tuple[int, T]]) -> Row[T]:
        """The row with other items in some places."""
        chunks = list(self._chunks)
        for index, item in changes:
            if not 0 <= index < self._length:
                raise IndexError(index)
            at = index >> _BITS
            if chunks[at] is self._chunks[at]:
                chunks[at] = list(chunks[at])
            chunks[at][index & _WITHIN] = item
        made: Row[T] = Row(())
        made._chunks, made._length = chunks, self._length
        return made

    def note(self, index: int, item: T) -> None:
        """Put an item into this row *and into all that share the place with it*: for what is worked out once and is the
        same for all of them."""
        self._chunks[index >> _BITS][index & _WITHIN] = item
