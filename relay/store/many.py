"""Many rows in one statement.

SQLite runs without the interpreter's lock, and after each statement its thread has to ask for that again: row by row,
a writer waits hundreds of times in a batch for an event loop that is at work, and wakes it as often.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from functools import lru_cache
from itertools import chain
from typing import Any, Final

ROWS: Final = 32  # of one statement, and 16, 8, 4, 2, 1 for what is left: few statements, each prepared once


@lru_cache(16)
def _values(columns: int, rows: int) -> str:
    marks = ", ".join("?" * columns)
    return " values " + ", ".join([f"({marks})"] * rows)


def insert(db: sqlite3.Connection, into: str, rows: Sequence[tuple[Any, ...]]) -> None:
    """``into`` (``insert into entry``) all these rows, in their order."""
    first, count = 0, ROWS
    while first < len(rows):
        while count > len(rows) - first:
            count //= 2
        some = rows[first : first + count]
        db.execute(into + _values(len(some[0]), count), tuple(chain.from_iterable(some)))
        first += count
