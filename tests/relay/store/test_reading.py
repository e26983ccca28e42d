"""Reading beside the writer: what is committed, and nothing that could change it."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from relay.store.base import Append, StoreFailed, TopicKind, tail_of
from relay.store.reading import Reading
from relay.store.sqlite import SqliteStore
from securechan.wire.frames import EntryKind

TOPIC = b"t" * 32


def append(n: int) -> Append:
    entry_id = n.to_bytes(32, "big")
    return Append(TOPIC, EntryKind.INBOX, entry_id, b"x", tail_of(b"x", None), 0, creates=TopicKind.INBOX)


async def test_what_is_not_committed_is_not_seen(tmp_path: Path) -> None:
    store = await SqliteStore.open(tmp_path / "relay.db")
    await store.commit([append(1)])
    seen = []

    class Journal:
        """Looks into the file while the batch is in it, and not yet committed."""

        def write(self, batch: object) -> None:
            db = sqlite3.connect(tmp_path / "relay.db")
            seen.append(db.execute("select count(*) from entry").fetchone()[0])
            db.close()

        def settle(self) -> None: ...
        def undo(self) -> None: ...
        def close(self) -> None: ...

    store.journal = Journal()
    await store.commit([append(2)])
    assert seen == [1]
    assert [stored.sequence for stored in (await store.read(TOPIC, 0, None, 1 << 20)).entries] == [1, 2]
    await store.close()


async def test_a_reader_can_not_write_and_says_so_as_a_store_does(tmp_path: Path) -> None:
    store = await SqliteStore.open(tmp_path / "relay.db")
    await store.commit([append(1)])
    assert isinstance(store, Reading)
    with pytest.raises(StoreFailed, match="readonly") as refused:
        await store._read(lambda db: db.execute("delete from entry"))
    assert refused.value.retry_after == 1.0
    assert (await store.read(TOPIC, 0, None, 1 << 20)).entries
    await store.close()
