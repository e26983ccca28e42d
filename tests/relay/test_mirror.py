"""The second disk: whatever the first one has acknowledged is there, and nothing else."""

from __future__ import annotations

import asyncio
import errno
import hashlib
import os
import secrets
import sqlite3
from collections.abc import Sequence
from pathlib import Path
from typing import get_args

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from relay import backup, keys, mirror
from relay.mirror import Mirror, batches
from relay.store import base
from relay.store.base import (
    Append,
    Box,
    Charge,
    Confirm,
    DropTopic,
    DropUpload,
    NewBox,
    NewTopic,
    PutPackages,
    PutPart,
    StoreFailed,
    StoreFull,
    Sweep,
    TakePackage,
    TopicKind,
    TrimTo,
    Write,
    tail_of,
)
from relay.store.sqlite import SqliteStore
from securechan.errors import Conflict, NotReady, Unfit
from securechan.wire.frames import CommitClaim, EntryKind

AT = 1_760_000_000
GROUP, INBOX = secrets.token_bytes(32), secrets.token_bytes(32)
OWNER, BLOB = secrets.token_bytes(32), hashlib.sha256(b"xy").digest()


def entry(body: bytes, commit: CommitClaim | None = None, topic: bytes = GROUP) -> Append:
    kind = EntryKind.INBOX if topic == INBOX else EntryKind.APPLICATION if commit is None else EntryKind.COMMIT
    name = hashlib.sha256(topic + body).digest()
    creates = TopicKind.INBOX if topic == INBOX else None
    committer = b"c" * 16 if commit else b""
    return Append(topic, kind, name, body, tail_of(body, commit), AT * 1000, commit, committer, creates)


EVERYTHING: tuple[Sequence[Write], ...] = (
    (NewTopic(GROUP, bytes(32), b"f" * 16, AT), NewBox(secrets.token_bytes(32), Box(b"k" * 32, "cert-hr", AT + 60))),
    (entry(b"one"), entry(b"two"), entry(b"letter", topic=INBOX)),
    (entry(b"commit", CommitClaim(0, b"n" * 32)), Confirm(GROUP, 3, 3), TrimTo(GROUP, 1)),
    (PutPackages("cert-hr/a", 1, (b"p1", b"p2"), b"last", purge=False, room=9), TakePackage("cert-hr/a", 1, AT)),
    (
        PutPart(OWNER, BLOB, 2, 0, b"xy", done=True, expires=AT),
        PutPart(OWNER, OWNER, 9, 0, b"z", done=False, expires=AT),
    ),
    (DropUpload(OWNER, OWNER), DropTopic(secrets.token_bytes(32)), Charge("cert-hr", 20_000, 7), Sweep(AT + 120)),
    (entry(b"three"), entry(b"one")),  # the last is there already
)


def held(home: Path) -> list[object]:
    """All rows of all tables."""
    db = sqlite3.connect(home / keys.DATABASE)
    try:
        return list(db.iterdump())
    finally:
        db.close()


async def opened(home: Path, folder: Path) -> SqliteStore:
    store = await SqliteStore.open(home / keys.DATABASE)
    store.journal = Mirror.begin(home, folder, "relay-1")
    return store


@pytest.fixture
def home(tmp_path: Path) -> Path:
    keys.make(tmp_path / "home", AT)
    return tmp_path / "home"


def test_every_write_that_there_is_is_tried() -> None:
    assert {type(write) for batch in EVERYTHING for write in batch} == set(get_args(base.Write))


async def test_it_holds_what_the_store_holds_over_restarts(home: Path, tmp_path: Path) -> None:
    folder = tmp_path / "second"
    for some in (EVERYTHING[:3], EVERYTHING[3:]):
        store = await opened(home, folder)
        for batch in some:
            await store.commit(batch)
        await store.close()
    assert sorted(path.name for path in folder.iterdir()) == ["base-00000002.tar", "lock", "log-00000002"]
    assert list(batches(folder / "log-00000002")) == [list(batch) for batch in EVERYTHING[3:]]
    done = await asyncio.to_thread(mirror.restore, folder, tmp_path / "other")
    assert (done["commits"], done["lost"]) == (4, False)
    assert held(tmp_path / "other") == held(home)
    assert backup.note(tmp_path / "other") is None
    assert keys.load(tmp_path / "other").online.public == keys.load(home).online.public


async def test_what_the_store_refuses_is_not_there(home: Path, tmp_path: Path) -> None:
    store = await opened(home, tmp_path / "second")
    await store.commit(EVERYTHING[0])
    db = store._writing._db
    await store._writer.run(lambda: db.execute("pragma max_page_count = 1"))
    await store._writer.run(
        lambda: db.execute(f"pragma max_page_count = {db.execute('pragma page_count').fetchone()[0]}")
    )
    with pytest.raises(StoreFull):
        await store.commit([entry(bytes(1 << 20))])
    await store._writer.run(lambda: db.execute("pragma max_page_count = 100000"))
    await store.commit(EVERYTHING[1])
    await store.close()
    await asyncio.to_thread(mirror.restore, tmp_path / "second", tmp_path / "other")
    assert held(tmp_path / "other") == held(home)


async def test_a_commit_that_fails_at_the_end_is_taken_out_again(home: Path, tmp_path: Path) -> None:
    store = await opened(home, tmp_path / "second")
    await store.commit(EVERYTHING[0])
    journal = store.journal
    assert isinstance(journal, Mirror)

    class Failing(Mirror):
        def write(self, batch: Sequence[Write]) -> None:
            super().write(batch)
            raise OSError(errno.EIO, "the disk that breaks after it")

    journal.__class__ = Failing
    with pytest.raises(StoreFailed):
        await store.commit([entry(b"never was")])
    journal.__class__ = Mirror
    await store.commit(EVERYTHING[1])
    await store.close()
    assert list(batches(tmp_path / "second" / "log-00000001")) == [list(EVERYTHING[0]), list(EVERYTHING[1])]


async def test_without_it_nothing_is_acknowledged(home: Path, tmp_path: Path) -> None:
    store = await opened(home, tmp_path / "second")
    await store.commit(EVERYTHING[0])
    before = held(home)
    assert isinstance(store.journal, Mirror)
    kept, store.journal._file = store.journal._file, os.open(os.devnull, os.O_RDONLY)
    with pytest.raises(StoreFailed):
        await store.commit(EVERYTHING[1])
    assert held(home) == before
    assert store.journal._broken
    with pytest.raises(StoreFailed, match="mirror"):
        await store.commit(EVERYTHING[1])
    os.close(kept)
    await store.close()
    (tmp_path / "file").touch()
    with pytest.raises(NotReady, match="mirror"):
        Mirror.begin(home, tmp_path / "file", "relay-1")


async def test_a_new_key_begins_a_new_generation(home: Path, tmp_path: Path) -> None:
    store = await opened(home, tmp_path / "second")
    await store.commit(EVERYTHING[0])
    keys.make_kem(home, AT + 1)
    await store.commit(EVERYTHING[1])
    await store.close()
    await asyncio.to_thread(mirror.restore, tmp_path / "second", tmp_path / "other")
    assert keys.kem_names(tmp_path / "other") == keys.kem_names(home)
    assert held(tmp_path / "other") == held(home)


async def test_a_log_that_grew_too_long_begins_one_too(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mirror, "LEAST", 100)
    store = await opened(home, tmp_path / "second")
    assert isinstance(store.journal, Mirror)
    store.journal._most = 100
    for batch in EVERYTHING:
        await store.commit(batch)
        store.journal._most = 100
    await store.close()
    assert len(list((tmp_path / "second").glob("*-*"))) == 2
    assert not (tmp_path / "second" / "log-00000001").exists()
    await asyncio.to_thread(mirror.restore, tmp_path / "second", tmp_path / "other")
    assert held(tmp_path / "other") == held(home)


def logged(path: Path) -> bytes:
    """A log of two commits."""
    journal = Mirror(path.parent, path.parent, "relay-1")
    journal._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    for batch in EVERYTHING[:2]:
        journal.write(batch)
        journal.settle()
    journal.close()
    return path.read_bytes()


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_a_log_that_the_power_cut_off_is_read_up_to_there(tmp_path: Path, data: st.DataObject) -> None:
    (tmp_path / keys.FOLDER).mkdir(exist_ok=True)
    path = tmp_path / "log"
    whole = logged(path)
    cut = data.draw(st.integers(0, len(whole)))
    zeros = data.draw(st.integers(0, 3000))
    path.write_bytes(whole[:cut] + bytes(zeros))
    found = list(batches(path))
    expected = [list(batch) for batch in EVERYTHING[:2]]
    assert found == expected[: len(found)]
    if cut == len(whole):
        assert found == expected


def test_a_log_that_is_damaged_inside_is_refused(tmp_path: Path) -> None:
    (tmp_path / keys.FOLDER).mkdir()
    path = tmp_path / "log"
    content = bytearray(logged(path))
    content[40] ^= 1
    path.write_bytes(content)
    with pytest.raises(Unfit, match="damaged before"):
        list(batches(path))
    assert list(batches(tmp_path / "none")) == []
    with pytest.raises(Unfit):
        mirror._take_up(["x"])


async def test_a_mirror_is_one_relays_while_it_runs_and_after(tmp_path: Path, home: Path) -> None:
    folder, other = tmp_path / "mirror", tmp_path / "other"
    store = await opened(home, folder)
    await store.commit(EVERYTHING[0])
    with pytest.raises(Conflict, match="another process"):
        Mirror.begin(home, folder, "relay-1")
    await store.close()
    keys.make(
        other, AT
    )  # an empty folder after the first disk died: it must not take the place of what is to be restored
    with pytest.raises(Conflict, match="other keys") as caught:
        Mirror.begin(other, folder, "relay-1")
    assert "restore" in caught.value.hint
    kept = tmp_path / "kept"
    await asyncio.to_thread(mirror.restore, folder, kept)
    assert held(kept) == held(home)
    again = await opened(kept, folder)  # who was restored from it goes on with it
    await again.close()


async def test_what_no_relay_wrote_is_not_written_over(tmp_path: Path, home: Path) -> None:
    folder = tmp_path / "mirror"
    folder.mkdir()
    (folder / "base-00000003.tar").write_bytes(b"something")
    for _ in range(2):  # and the folder is nobody's after the first
        with pytest.raises(Unfit, match="no backup"):
            Mirror.begin(home, folder, "relay-1")
    assert (folder / "base-00000003.tar").read_bytes() == b"something"
