"""Ids are found wherever they are, near or far, and whatever happens between."""

from __future__ import annotations

import asyncio
import hashlib
from pathlib import Path

import pytest

from relay.store import ids
from relay.store.base import Append, DropTopic, NewTopic, Placed, Result, StoreFailed, TopicKind, TrimTo, tail_of
from relay.store.sqlite import SqliteStore
from securechan.wire.frames import EntryKind

ONE, OTHER = b"1" * 32, b"2" * 32


def named(n: int) -> bytes:
    return hashlib.sha256(b"%d" % n).digest()


def append(n: int, topic: bytes = ONE) -> Append:
    body = b"entry %d" % n
    return Append(topic, EntryKind.INBOX, named(n), body, tail_of(body, None), 0, creates=TopicKind.INBOX)


def places(results: list[Result]) -> list[tuple[int, bool]]:
    placed = [result for result in results if isinstance(result, Placed)]
    assert len(placed) == len(results)
    return [(result.stored.sequence, result.fresh) for result in placed]


async def say(store: SqliteStore, *numbers: int, topic: bytes = ONE) -> list[tuple[int, bool]]:
    return places(list(await store.commit([append(n, topic) for n in numbers])))


async def rows(store: SqliteStore) -> tuple[int, int]:
    """How many ids are far, and how many rows of near ones there are."""
    return await store._writer.run(
        lambda: (
            store._writing._db.execute("select count(*) from id").fetchone()[0],
            store._writing._db.execute("select count(*) from near").fetchone()[0],
        )
    )


@pytest.fixture
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    """Turns come early."""
    monkeypatch.setattr(ids, "NEAR", 48)


@pytest.mark.usefixtures("few")
async def test_every_id_is_known_near_and_far_and_after_a_restart(tmp_path: Path) -> None:
    store = await SqliteStore.open(tmp_path / "relay.db")
    said = 0
    for count in (1, 30, 70, 8, 64, 1, *[5] * 60):
        assert await say(store, *range(said, said + count)) == [(n + 1, True) for n in range(said, said + count)]
        said += count
    far, batches = await rows(store)
    assert said - 48 - 16 < far < said  # what is near is bounded …
    assert batches < 40  # … in the file too
    for _ in range(2):
        for n in range(0, said, 7):
            assert await say(store, n) == [(n + 1, False)]
            found = await store.entry(ONE, named(n))
            assert found is not None
            assert found.sequence == n + 1
        assert await store.entry(OTHER, named(1)) is None
        assert await store.entry(ONE, named(said)) is None
        await store.close()
        store = await SqliteStore.open(tmp_path / "relay.db")
    await store.close()


@pytest.mark.usefixtures("few")
async def test_one_id_may_stand_in_many_topics(tmp_path: Path) -> None:
    store = await SqliteStore.open(tmp_path / "relay.db")
    await say(store, *range(3))
    assert await say(store, 9, 2, topic=OTHER) == [(1, True), (2, True)]
    for n in range(100, 160):  # all have their turn
        await say(store, n)
    assert await say(store, 2) == [(3, False)]
    assert await say(store, 2, topic=OTHER) == [(2, False)]
    found = await store.entry(OTHER, named(2))
    assert found is not None
    assert found.sequence == 2
    await store.close()


@pytest.mark.parametrize("turns", [0, 60])
@pytest.mark.usefixtures("few")
async def test_what_is_forgotten_may_be_said_anew(tmp_path: Path, turns: int) -> None:
    """Trimmed or dropped, near or far; also where the power fails before the rows of near ids are gone."""
    store = await SqliteStore.open(tmp_path / "relay.db")
    await say(store, *range(10))
    await store.commit([NewTopic(OTHER, b"a" * 32, b"f" * 16, 0)])
    body = b"entry 3"
    theirs = Append(OTHER, EntryKind.APPLICATION, named(3), body, tail_of(body, None), 0)
    assert places(list(await store.commit([theirs]))) == [(1, True)]
    for n in range(100, 100 + turns):
        await say(store, n)
    await store.commit([TrimTo(ONE, 5), DropTopic(OTHER)])
    gone = "select count(*) from id where entry_id in (?, ?)"
    for _ in range(2):
        assert await store.entry(ONE, named(4)) is None
        assert await store.entry(OTHER, named(3)) is None
        assert await say(store, 5) == [(6, False)]
        await store.close()
        store = await SqliteStore.open(tmp_path / "relay.db")
        db = store._writing._db
        assert await store._writer.run(lambda db=db: db.execute(gone, (named(3), named(4))).fetchone()) == (0,)
    assert await say(store, 4) == [(11 + turns, True)]
    await store.close()


@pytest.mark.usefixtures("few")
async def test_a_batch_that_fails_leaves_no_trace(tmp_path: Path) -> None:
    store = await SqliteStore.open(tmp_path / "relay.db")
    await say(store, *range(40))
    before = await rows(store)
    pages = await store._writer.run(lambda: store._writing._db.execute("pragma page_count").fetchone()[0])
    await store._writer.run(lambda: store._writing._db.execute(f"pragma max_page_count = {pages}"))
    big = bytes(200_000)
    lost = Append(ONE, EntryKind.INBOX, named(40), big, tail_of(big, None), 0)
    with pytest.raises(Exception, match="disk is full"):
        await store.commit([TrimTo(ONE, 3), *[append(n) for n in range(50, 60)], lost])
    assert await rows(store) == before
    for n in (1, 39):
        assert await say(store, n) == [(n + 1, False)]
    await store._writer.run(lambda: store._writing._db.execute("pragma max_page_count = 100000"))
    assert await say(store, 50, 40) == [(41, True), (42, True)]
    await store.close()


@pytest.mark.usefixtures("few")
async def test_whoever_reads_beside_the_writer_finds_what_was_acknowledged(tmp_path: Path) -> None:
    store = await SqliteStore.open(tmp_path / "relay.db")
    said = 0

    async def write() -> None:
        nonlocal said
        for _ in range(60):
            await say(store, *range(said, said + 9))
            said += 9

    async def look() -> int:
        looked = 0
        while not writing.done():
            for n in {0, said // 2, said - 1} if said else ():
                assert await store.entry(ONE, named(n)) is not None
                looked += 1
            await asyncio.sleep(0)
        return looked

    writing = asyncio.create_task(write())
    assert await look() > 0
    await writing
    await store.close()


async def test_ids_of_one_kind_make_no_batch_fail(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever chooses ids that all begin alike slows down a turn, and nothing else."""
    monkeypatch.setattr(ids, "NEAR", 8)
    store = await SqliteStore.open(tmp_path / "relay.db")
    for n in range(40):
        body = b"%d" % n
        entry_id = n.to_bytes(32, "big")
        alike = Append(ONE, EntryKind.INBOX, entry_id, body, tail_of(body, None), 0, creates=TopicKind.INBOX)
        assert places(list(await store.commit([alike]))) == [(n + 1, True)]
    assert (await rows(store))[0] >= 16
    await store.close()
    store = await SqliteStore.open(tmp_path / "relay.db")
    assert (await store.entry(ONE, (7).to_bytes(32, "big"))) is not None
    with pytest.raises(StoreFailed):
        await store.commit([append(1), None])  # no write at all
    assert (await store.entry(ONE, named(1))) is None
    await store.close()
