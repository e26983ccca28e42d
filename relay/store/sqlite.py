"""The embedded store: one SQLite file in WAL mode with full sync, written by one thread, read by a few others.

    commit ─▶ `relay.store.writing`: a batch is one transaction and one fsync of the log (`relay.store.wal`)
    read   ─▶ `relay.store.reading`: what is committed, beside the writer

Entries go into the table in the order of their key, ``topic number << 40 | sequence``, so a topic's run lies together
and is read without an index. One process owns the file: a lock beside it says so.
"""

from __future__ import annotations

import asyncio
import fcntl
import os
import sqlite3
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Self

from relay.store.base import Result, Write
from relay.store.local import LocalStore
from relay.store.reading import Reading
from relay.store.thread import Thread
from relay.store.wal import PAUSE, SOON
from relay.store.writing import Journal, Writing
from securechan.errors import Conflict, NotReady


def _nothing() -> None:
    """What is done when all before it is."""


class SqliteStore(Reading, LocalStore):
    """A `Store` in one file. Make it with `open`. ``journal``, set before the first commit, has every batch first."""

    journal: Journal | None = None

    def __init__(self, path: Path, lock: int, writer: Thread, writing: Writing) -> None:
        super().__init__(path)
        self._lock = lock
        self._writer = writer
        self._writing = writing
        self._turn = asyncio.Lock()
        self._laying = asyncio.create_task(self._lay_ahead())

    @classmethod
    async def open(cls, path: Path) -> Self:
        """Open or make the file. Raises `Conflict` when another process has it, `NotReady` for a file of a later
        version or one that is no store."""
        path.parent.mkdir(parents=True, exist_ok=True)
        lock = os.open(f"{path}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(lock)
            raise Conflict(f"another process has {path} open", hint="stop that relay first") from None
        writer = Thread("store-write")
        try:
            return cls(path, lock, writer, await writer.run(partial(Writing, path)))
        except Exception as error:
            writer.stop()
            os.close(lock)
            if isinstance(error, sqlite3.DatabaseError):
                hint = "restore a backup, or give another folder"
                raise NotReady(f"{path} is no store: {error}", hint=hint) from None
            raise

    async def _lay_ahead(self) -> None:
        """Lay out the log to its full length, in the pauses between batches."""
        pause = SOON
        while True:
            await asyncio.sleep(pause)
            if not await self._writer.run(self._writing.lay_ahead):
                return
            pause = PAUSE

    async def commit(self, batch: Sequence[Write]) -> Sequence[Result]:
        """See `Store.commit`."""
        async with self._turn:
            try:
                return await self._writer.run(partial(self._writing.transact, batch, self.journal))
            except asyncio.CancelledError:
                await self._writer.run(_nothing)  # which is done once the batch is: only then are its news complete
                raise
            finally:
                self._tell(self._writing.told())

    def _near(self, entry_id: bytes) -> tuple[int, ...]:
        return self._writing.near(entry_id)

    async def close(self) -> None:
        """See `Store.close`."""
        self._laying.cancel()
        await asyncio.wait([self._laying])
        async with self._turn:
            self._stop_reading()
            self._writer.stop()
            self._writing.close()
            if self.journal is not None:
                self.journal.close()
            if self._lock >= 0:
                os.close(self._lock)
                self._lock = -1
