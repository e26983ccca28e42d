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

ROWS: Final = 32  # of one statement


@lru_cache(16)
def _values(columns: int, rows: int) -> str:
    marks = ", ".join("?" * columns)
    return " values " + ", ".join([f"({marks})"] * rows)


def insert(db: sqlite3.Connection, into: str, rows: Sequence[tuple[Any, ...]]) -> None:
    """``into`` (``insert into entry``) all these rows, in their order."""
    if not rows:
        return
    columns, whole = len(rows[0]), len(rows) - len(rows) % ROWS
    for first in range(0, whole, ROWS):
        db.execute(into + _values(columns, ROWS), tuple(chain.from_iterable(rows[first : first + ROWS])))
    db.executemany(into + _values(columns, 1), rows[whole:])
