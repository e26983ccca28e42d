"""What is asked of the embedded store's file, beside the thread that writes it.

A few threads, each with a connection of its own that can't write: in WAL mode they see what is committed, and wait for
nobody. A topic's run of entries lies together in the order of the keys (`relay.store.schema`), and is read in one go.
"""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Final, TypeVar

from relay.store.base import Aged, Box, CommitRow, Known, Run, Stored, StoreFailed, Topic, TopicKind, Upload
from relay.store.ids import far
from relay.store.schema import LAST, SHIFT, connect
from securechan.wire.chain import Position

T = TypeVar("T")

_READERS: Final = 2
_RUNGS: Final = 64  # commits that are loaded with a head


class Reading(ABC):
    """The part of a `Store` that reads its file."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self._path = path
        self._readers = ThreadPoolExecutor(_READERS, thread_name_prefix="store-read")
        self._local = threading.local()
        self._connections: list[sqlite3.Connection] = []

    @abstractmethod
    def _near(self, entry_id: bytes) -> tuple[int, ...]:
        """See `Ids.near`: the writer knows."""

    def _stop_reading(self) -> None:
        self._readers.shutdown(wait=True)
        for db in self._connections:
            db.close()
        self._connections.clear()

    async def _read(self, query: Callable[[sqlite3.Connection], T]) -> T:
        def work() -> T:
            db: sqlite3.Connection | None = getattr(self._local, "db", None)
            if db is None:
                db = self._local.db = connect(self._path, ("query_only=on", "busy_timeout=10000"))
                self._connections.append(db)
            return query(db)

        try:
            return await asyncio.get_running_loop().run_in_executor(self._readers, work)
        except sqlite3.Error as error:
            raise StoreFailed(f"reading failed: {error}", retry_after=1.0) from error

    async def topic(self, topic: bytes) -> Topic | None:
        def query(db: sqlite3.Connection) -> Topic | None:
            db.execute("begin")  # head and claims of one moment
            try:
                row = db.execute(
                    "select number, kind, last, chain, commit_at, commit_id, trimmed, trimmed_chain, count from topic"
                    " where topic = ?",
                    (topic,),
                ).fetchone()
                if row is None:
                    return None
                rungs = db.execute(
                    "select key, access, committer, at, closes from claim where topic = ? and key >="
                    " (select max(key) from claim where topic = ? and closes is not null) order by key desc limit ?",
                    (row[0], row[0], _RUNGS),
                ).fetchall()
                base = db.execute(
                    "select key, access, committer, at, closes from claim where topic = ? and closes is not null"
                    " order by key desc limit 1",
                    (row[0],),
                ).fetchall()
            finally:
                db.execute("commit")
            if len(rungs) == _RUNGS and rungs[-1][0] != base[0][0]:
                rungs += base
            return Topic(
                TopicKind(row[1]),
                Position(row[2], row[3]),
                row[4],
                row[5],
                Position(row[6], row[7]),
                row[8],
                tuple(CommitRow(r[0] & LAST, r[1], r[2], r[3], r[4]) for r in reversed(rungs)),
            )

        return await self._read(query)

    async def read(self, topic: bytes, after: int, upto: int | None, size: int) -> Run:
        def query(db: sqlite3.Connection) -> Run:
            row = db.execute("select number from topic where topic = ?", (topic,)).fetchone()
            if row is None:
                return Run((), more=False)
            low = row[0] << SHIFT
            taken: list[Stored] = []
            held, more = 0, False
            rows = db.execute(
                "select key, wire from entry where key between ? and ? order by key",
                (low + min(after, LAST) + 1, low | (LAST if upto is None else min(upto, LAST))),
            )
            try:
                for key, wire in rows:
                    held += len(wire)
                    if held > size and taken:
                        more = True
                        break
                    taken.append(Stored(key & LAST, wire))
            finally:
                rows.close()
            now = db.execute("select trimmed from topic where number = ?", row).fetchone()  # after the entries
            return Run(tuple(taken), more, now[0] if now else 0)

        return await self._read(query)

    async def entry(self, topic: bytes, entry_id: bytes) -> Stored | None:
        near = self._near(entry_id)  # before the table is asked: what moves there meanwhile is in both

        def query(db: sqlite3.Connection) -> Stored | None:
            row = db.execute("select number from topic where topic = ?", (topic,)).fetchone()
            for key in (*near, *far(db, entry_id)):
                if row is not None and key >> SHIFT == row[0]:
                    found = db.execute("select wire from entry where key = ? and entry_id = ?", (key, entry_id))
                    if (wire := found.fetchone()) is not None:
                        return Stored(key & LAST, wire[0])
            return None

        return await self._read(query)

    async def _fetch(self, sql: str, *values: object) -> Any:
        return await self._read(lambda db: db.execute(sql, values).fetchone())

    async def known(self, topic: bytes, access: bytes) -> Known | None:
        row = await self._fetch(
            "select c.key, c.access, c.committer, c.at, c.closes, (select l.closes from claim l where l.topic = c.topic"
            " and l.closes is not null and l.key > c.key order by l.key limit 1) from claim c"
            " join topic t on c.topic = t.number where t.topic = ? and c.access = ?",
            topic,
            access,
        )
        if row is None:
            return None
        return Known(CommitRow(row[0] & LAST, row[1], row[2], row[3], row[4]), row[5])

    async def box(self, topic: bytes) -> Box | None:
        row = await self._fetch("select mac_key, agency, not_after from box where topic = ?", topic)
        return Box(*row) if row else None

    async def packages(self, device: str, suite: int) -> int:
        row = await self._fetch("select count(*) from package where device = ? and suite = ?", device, suite)
        return int(row[0])

    async def blob(self, blob: bytes) -> int | None:
        row = await self._fetch("select total from blob where blob = ? and done = 1", blob)
        return row[0] if row else None

    async def piece(self, blob: bytes, offset: int, size: int) -> bytes:
        return await self._parts("select number from blob where blob = ? and done = 1", (blob,), offset, size)

    async def upload(self, owner: bytes, blob: bytes) -> Upload | None:
        row = await self._fetch("select total, have from blob where blob = ? and owner = ? and done = 0", blob, owner)
        return Upload(*row) if row else None

    async def upload_piece(self, owner: bytes, blob: bytes, offset: int, size: int) -> bytes:
        return await self._parts("select number from blob where blob = ? and owner = ?", (blob, owner), offset, size)

    async def _parts(self, which: str, values: tuple[bytes, ...], offset: int, size: int) -> bytes:
        def query(db: sqlite3.Connection) -> bytes:
            row = db.execute(which, values).fetchone()
            if row is None:
                return b""
            out = bytearray()
            first = db.execute("select max(at) from part where number = ? and at <= ?", (row[0], offset)).fetchone()[0]
            parts = db.execute(
                "select at, piece from part where number = ? and at >= ? and at < ? order by at",
                (row[0], first, offset + size),
            )
            for at, piece in parts:
                out += piece[max(offset - at, 0) : offset + size - at]
            return bytes(out)

        return await self._read(query)

    async def usage(self) -> int:
        def query(db: sqlite3.Connection) -> int:
            pages = db.execute("pragma page_count").fetchone()[0] - db.execute("pragma freelist_count").fetchone()[0]
            return int(pages * db.execute("pragma page_size").fetchone()[0])

        return await self._read(query)

    async def charges(self, since: int) -> dict[str, int]:
        rows = await self._read(
            lambda db: db.execute(
                "select agency, sum(size) from charge where day >= ? group by agency", (since,)
            ).fetchall()
        )
        return dict(rows)

    async def aged(self, cursor: bytes, limit: int, before: int) -> Aged:
        def query(db: sqlite3.Connection) -> Aged:
            found = []
            topics = db.execute(
                "select topic, number from topic where topic > ? order by topic limit ?", (cursor, limit)
            ).fetchall()
            for topic, number in topics:
                old = 0
                entries = db.execute(
                    "select key, substr(wire, 42, 8) from entry where key between ? and ? order by key",
                    (number << SHIFT, number << SHIFT | LAST),
                )
                for key, at in entries:
                    if int.from_bytes(at, "big") >= before:
                        break
                    old = key & LAST
                entries.close()
                found.append((topic, old))
            return Aged(tuple(found), found[-1][0] if len(found) == limit else b"")

        return await self._read(query)
