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

ROWS: Final = 32  # of one statement; what is left goes in by one more


@lru_cache(256)
def _insertion(into: str, columns: int, rows: int) -> str:
    marks = ", ".join("?" * columns)
    return f"{into} values " + ", ".join([f"({marks})"] * rows)


def insert(db: sqlite3.Connection, into: str, rows: Sequence[tuple[Any, ...]]) -> None:
    """``into`` (``insert into entry``) all these rows, in their order."""
    for first in range(0, len(rows), ROWS):
        some = rows[first : first + ROWS]
        db.execute(_insertion(into, len(some[0]), len(some)), tuple(chain.from_iterable(some)))
