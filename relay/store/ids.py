"""Which entry has which id: asked about every append, and answered from memory for all that is new.

    near    the ids of the newest entries: in memory, and in the file as one row a batch, written one after the other
    far     table ``id``, in the order of the ids: one descent to look one up

Ids are random, so that each one that is put into the table in its place makes another page of it change: written one
by one they would be half of what a small append costs. They go there by the thousand instead, in order, so that a page
is written once for many. That is done in *turns* of a sixteenth, told by the first half byte of the id, each in the
transaction of some batch, so that no batch waits long. Rows of near ids that have all had their turn are deleted.

An id that is found says only where to look: whether an entry is there and has that id, the entry says itself. So it is
no matter if ids of entries that were forgotten are still near after a crash.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from typing import Final

from relay.store.many import insert

_ID: Final = 32  # bytes of an id
_ITEM: Final = _ID + 8  # and of the key behind it
_PARTS: Final = 16
NEAR: Final = 16_384  # ids in memory above which a batch takes a turn
_MOST: Final = 64  # ids that one statement asks for


def _asking(count: int) -> str:
    # not ``in (…)``, of which SQLite would make a table of its own
    marks = ", ".join(["(?)"] * count)
    return f"with asked (id) as (values {marks}) select entry_id from asked cross join id on entry_id = asked.id"  # noqa: S608 - marks alone


_ASKING: Final = [_asking(1 << bits) for bits in range(_MOST.bit_length())]  # few statements, each prepared once


class Ids:
    """The ids of one file. All but `near` is for the thread that writes it."""

    def __init__(self, db: sqlite3.Connection) -> None:
        """As the file has them. ``db`` is in no transaction."""
        self._db = db
        self._parts: list[dict[bytes, tuple[int, ...]]] = [{} for _ in range(_PARTS)]
        self._count = 0
        self._turn = 0  # the part whose turn is next
        self._newest = 0  # row of near ids
        self._before = 0  # rows up to this one were there when the round of turns began
        self._moved: int | None = None  # the part that had its turn in this transaction
        there = "select 1 from entry where key = ? and entry_id = ?"
        for number, items in db.execute("select number, items from near order by number").fetchall():
            for at in range(0, len(items), _ITEM):
                entry_id, key = items[at : at + _ID], int.from_bytes(items[at + _ID : at + _ITEM], "big")
                if db.execute(there, (key, entry_id)).fetchone():
                    self._remember(entry_id, key)
            self._newest = self._before = number

    def _remember(self, entry_id: bytes, key: int) -> None:
        part = self._parts[entry_id[0] >> 4]
        part[entry_id] = (*part[entry_id], key) if entry_id in part else (key,)
        self._count += 1

    # ---------------------------------------------------------------------------------------------- asking

    def near(self, entry_id: bytes) -> tuple[int, ...]:
        """Keys that new entries of this id have, or had. From any thread; to be asked before the table is."""
        return self._parts[entry_id[0] >> 4].get(entry_id, ())

    def keys(self, entry_id: bytes) -> Iterator[int]:
        """Keys that entries of this id have, or had."""
        yield from self.near(entry_id)
        yield from far(self._db, entry_id)

    def unused(self, wanted: list[bytes]) -> set[bytes]:
        """Those of the ids that no entry has: nearly all."""
        parts = self._parts
        found = {entry_id for entry_id in wanted if entry_id not in parts[entry_id[0] >> 4]}
        for first in range(0, len(wanted), _MOST):
            some = wanted[first : first + _MOST]
            bits = (len(some) - 1).bit_length()
            some += some[:1] * ((1 << bits) - len(some))
            found.difference_update(row[0] for row in self._db.execute(_ASKING[bits], some))
        return found

    # ---------------------------------------------------------------------------------------------- in a transaction

    def add(self, new: Sequence[tuple[bytes, int]]) -> None:
        """Entries were added, each with its id and key."""
        for entry_id, key in new:
            self._remember(entry_id, key)
        items = b"".join([entry_id + key.to_bytes(8, "big") for entry_id, key in new])
        self._newest += 1
        self._db.execute("insert into near values (?, ?)", (self._newest, items))

    def drop(self, first: int, last: int) -> None:
        """The entries with keys from ``first`` to ``last`` are about to be deleted."""
        between = "select entry_id, key from entry where key between ? and ?"
        for entry_id, key in self._db.execute(between, (first, last)):
            part = self._parts[entry_id[0] >> 4]
            keys = part.pop(entry_id, ())
            left = tuple(each for each in keys if each != key)
            self._count -= len(keys) - len(left)
            if left:
                part[entry_id] = left
        self._db.execute(f"delete from id where (entry_id, key) in ({between})", (first, last))  # noqa: S608 - ours

    def take_turn(self) -> None:
        """Once in a transaction: put a part of the near ids in their places, if there are many."""
        if self._count < NEAR:
            return
        part = self._parts[self._turn]
        insert(self._db, "insert or ignore into id", [(each, key) for each in sorted(part) for key in part[each]])
        self._moved = self._turn
        self._turn = (self._turn + 1) % _PARTS
        if self._turn == 0:
            self._db.execute("delete from near where number <= ?", (self._before,))
            self._before = self._newest

    def settle(self) -> None:
        """The transaction is durable. Only now is the table enough for those who read beside."""
        if self._moved is not None:
            part, self._parts[self._moved] = self._parts[self._moved], {}
            self._count -= sum(map(len, part.values()))
            self._moved = None


def far(db: sqlite3.Connection, entry_id: bytes) -> Iterator[int]:
    """Keys that entries of this id have, or had, as far as the table knows."""
    for row in db.execute("select key from id where entry_id = ?", (entry_id,)).fetchall():
        yield row[0]
