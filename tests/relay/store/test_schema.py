"""A file of every version that was ever released is opened and goes on; ``schema-N.sql`` keeps one of each."""

from __future__ import annotations

import hashlib
import sqlite3
from pathlib import Path

import pytest

from relay.store import schema
from relay.store.base import Append, Box, Placed, Taken, TakePackage, Upload, tail_of
from relay.store.sqlite import SqliteStore
from securechan.errors import NotReady
from securechan.wire.chain import advance
from securechan.wire.frames import EntryKind

HERE = Path(__file__).parent
AT = 1_760_000_000
GROUP, INBOX, BOX = (hashlib.sha256(name).digest() for name in (b"group", b"inbox", b"box"))


def kept(number: int, path: Path) -> Path:
    """The file that version ``number`` left."""
    db = sqlite3.connect(path)
    db.executescript((HERE / f"schema-{number}.sql").read_text())
    db.close()
    return path


def laid_out(path: Path) -> list[tuple[str, str]]:
    """Tables and indices, as they are defined."""
    db = sqlite3.connect(path)
    found = db.execute(
        "select name, sql from sqlite_master where sql is not null and name not like 'sqlite_%'"
    ).fetchall()
    db.close()
    return sorted((name, " ".join(sql.lower().replace('"', "").split())) for name, sql in found)


def test_there_is_one_of_every_version() -> None:
    for number in range(1, schema.VERSION + 1):
        assert (HERE / f"schema-{number}.sql").exists()
    assert sorted(schema.STEPS) == list(range(1, schema.VERSION))


@pytest.mark.parametrize("number", range(1, schema.VERSION + 1))
async def test_everything_in_it_is_there_and_it_goes_on(number: int, tmp_path: Path) -> None:
    store = await SqliteStore.open(kept(number, tmp_path / "relay.db"))
    try:
        head = await store.topic(GROUP)
        assert head is not None
        assert (head.last.sequence, head.commit, head.trimmed.sequence, head.count) == (4, 3, 1, 3)
        run = await store.read(GROUP, 1, None, 1 << 20)
        entries = [stored.entry() for stored in run.entries]
        assert [entry.body for entry in entries] == [b"two", b"commit one", b"three"]
        position = head.trimmed
        for entry in entries:
            position = advance(position, entry.kind, entry.entry_id, entry.sequence, entry.body)
        assert position == head.last
        known = await store.known(GROUP, hashlib.sha256(b"access 1").digest())
        assert known is not None
        assert known.row.sequence == 3
        letters = await store.read(INBOX, 0, None, 1 << 20)
        assert [stored.entry().body for stored in letters.entries] == [b"letter"]
        assert await store.box(BOX) == Box(b"k" * 32, "cert-hr", AT + 86_400)
        assert await store.packages("cert-hr/a", 1) == 2
        assert await store.piece(hashlib.sha256(b"xy").digest(), 0, 9) == b"xy"
        assert await store.upload(hashlib.sha256(b"owner").digest(), hashlib.sha256(b"half").digest()) == Upload(4, 2)
        assert await store.charges(AT // 86_400) == {"cert-hr": 4711}
        for topic, last in ((GROUP, run.entries[-1]), (INBOX, letters.entries[-1])):  # whatever was said twice, is once
            assert await store.entry(topic, last.entry_id) == last
        again = run.entries[1].entry()
        said = Append(GROUP, EntryKind.COMMIT, again.entry_id, again.body, tail_of(again.body, again.commit), AT * 1000)
        (before,) = await store.commit([said])
        assert before == Placed(run.entries[1], None)

        entry_id, body = hashlib.sha256(b"new").digest(), b"four"
        tail = tail_of(body, None)
        placed, taken = await store.commit(
            [Append(GROUP, EntryKind.APPLICATION, entry_id, body, tail, AT * 1000), TakePackage("cert-hr/a", 1, AT)]
        )
        assert isinstance(placed, Placed)
        assert placed.stored.sequence == 5
        assert taken == Taken(b"package 2", last_resort=False)
    finally:
        await store.close()


async def test_an_old_file_is_laid_out_like_a_new_one(tmp_path: Path) -> None:
    for path in (kept(1, tmp_path / "old.db"), tmp_path / "new.db"):
        await (await SqliteStore.open(path)).close()
    assert laid_out(tmp_path / "old.db") == laid_out(tmp_path / "new.db")


# ------------------------------------------------------------------------------------------------------- the mechanism

STEPS = {1: "alter table charge add column note text;", 2: "create table later (one integer);"}


def test_steps_are_walked_in_order_and_once(tmp_path: Path) -> None:
    db = sqlite3.connect(kept(1, tmp_path / "relay.db"), isolation_level=None)
    assert schema.bring_up(db, tmp_path, version=3, steps=STEPS) == 1
    assert db.execute("select agency, size, note from charge").fetchall() == [("cert-hr", 4711, None)]
    assert db.execute("select count(*) from later").fetchone() == (0,)
    assert schema.bring_up(db, tmp_path, version=3, steps=STEPS) == 3
    db.close()


def test_a_step_that_fails_leaves_the_version_before_it(tmp_path: Path) -> None:
    db = sqlite3.connect(kept(1, tmp_path / "relay.db"), isolation_level=None)
    broken = {1: STEPS[1], 2: "create table later (one integer); insert into nowhere values (1);"}
    with pytest.raises(sqlite3.OperationalError):
        schema.bring_up(db, tmp_path, version=3, steps=broken)
    assert db.execute("pragma user_version").fetchone() == (2,)
    assert db.execute("select count(*) from sqlite_master where name = 'later'").fetchone() == (0,)
    assert schema.bring_up(db, tmp_path, version=3, steps=STEPS) == 2
    db.close()


def test_a_file_of_a_later_version_is_left_alone(tmp_path: Path) -> None:
    db = sqlite3.connect(kept(1, tmp_path / "relay.db"), isolation_level=None)
    db.execute("pragma user_version = 9")
    with pytest.raises(NotReady, match="format 9") as caught:
        schema.bring_up(db, tmp_path)
    assert caught.value.hint
    assert db.execute("pragma user_version").fetchone() == (9,)
    db.close()
