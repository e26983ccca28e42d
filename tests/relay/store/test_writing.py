"""A batch that fails leaves nothing: neither in the file nor in what the writer remembers of it."""

from __future__ import annotations

import sqlite3
from dataclasses import replace
from pathlib import Path

import pytest

from relay.store import writing
from relay.store.base import Append, Placed, StoreFailed, StoreFull, TopicKind, tail_of
from relay.store.news import Added
from relay.store.sqlite import SqliteStore
from relay.store.writing import Writing
from securechan.wire.chain import advance, start
from securechan.wire.frames import EntryKind

TOPIC = b"t" * 32


def append(n: int, size: int = 4000) -> Append:
    body = b"%d" % n + bytes(size)
    return Append(TOPIC, EntryKind.INBOX, n.to_bytes(32, "big"), body, tail_of(body, None), 0, creates=TopicKind.INBOX)


async def test_a_full_disk_refuses_a_batch_and_nothing_else(tmp_path: Path) -> None:
    store = await SqliteStore.open(tmp_path / "relay.db")
    await store.commit([append(0)])
    pages = store._writing._db.execute("pragma page_count").fetchone()[0]
    store._writing._db.execute(f"pragma max_page_count = {pages + 20}")
    acknowledged = 1
    full = False
    while not full:
        try:
            await store.commit([append(acknowledged)])
            acknowledged += 1
        except StoreFull:
            full = True
    assert 3 < acknowledged < 30
    store._writing._db.execute("pragma max_page_count = 1000000")
    (result,) = await store.commit([append(acknowledged)])
    assert isinstance(result, Placed)
    assert result.stored.sequence == acknowledged + 1
    run = await store.read(TOPIC, 0, None, 1 << 30)
    assert [stored.sequence for stored in run.entries] == list(range(1, acknowledged + 2))
    position = start(TOPIC)
    for stored in run.entries:
        entry = stored.entry()
        position = advance(position, entry.kind, entry.entry_id, entry.sequence, entry.body)
    assert result.position == position
    await store.close()


class Broken:
    """A connection on which everything fails."""

    in_transaction = True

    def execute(self, *_: object) -> None:
        raise sqlite3.OperationalError("disk I/O error")

    def close(self) -> None:
        """As a real one."""


async def test_a_connection_that_breaks_is_replaced_as_soon_as_there_is_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = await SqliteStore.open(tmp_path / "relay.db")
    await store.commit([append(0)])
    store._writing._db.close()
    store._writing._db = Broken()  # stands for a connection in trouble
    with monkeypatch.context() as patch:
        patch.setattr(writing, "connect", Broken().execute)  # and the disk is, too
        for _ in range(3):
            with pytest.raises(StoreFailed, match="I/O error"):
                await store.commit([append(1)])
    (result,) = await store.commit([append(1)])
    assert isinstance(result, Placed)
    assert result.stored.sequence == 2
    await store.close()


def test_heads_that_were_forgotten_come_from_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writing, "_HEADS", 1)
    file = Writing(tmp_path / "relay.db")
    topics = [bytes([n]) * 32 for n in range(4)]
    for round_ in range(3):
        for topic in topics:
            (placed,) = file.transact([replace(append(round_), topic=topic)], None)
            assert isinstance(placed, Placed)
            assert placed.stored.sequence == round_ + 1
    assert len(file._heads) == 1
    assert [type(news) for news in file.told()] == [Added] * 12
    assert file.told() == []
    file.close()
