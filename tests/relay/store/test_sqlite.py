"""What only a store on a disk has to do: survive kill -9, a full disk, a second process, a file that is no store."""

from __future__ import annotations

import asyncio
import json
import shutil
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from relay.store import sqlite
from relay.store.base import (
    Append,
    Confirm,
    Counted,
    NewTopic,
    Placed,
    PutPackages,
    Taken,
    TakePackage,
    TopicKind,
    tail_of,
)
from relay.store.sqlite import SqliteStore
from relay.store.wal import FULL
from securechan.errors import Conflict, NotReady
from securechan.wire.chain import advance, start
from securechan.wire.frames import EntryKind

ROOT = Path(__file__).resolve().parents[3]
TOPIC = b"t" * 32

# Eight publishers append, and one takes key packages; each tells what was acknowledged, on a line of its own.
LOADED = """
import asyncio, hashlib, json, sys
from pathlib import Path
from relay.bounds import Bounds
from relay.heartbeat import Heartbeat
from relay.store.base import *
from relay.store import sqlite
from relay.store.sqlite import SqliteStore
from relay.store.wal import FULL
from securechan.wire.frames import EntryKind

def tell(**what):
    sys.stdout.write(json.dumps(what) + chr(10))
    sys.stdout.flush()

async def main():
    store = await SqliteStore.open(Path(sys.argv[1]))
    heart = Heartbeat(store, Bounds(), lambda: None)
    running = asyncio.create_task(heart.run())
    loop = asyncio.get_running_loop()
    packages = tuple(b"package %d" % n for n in range(2000))
    await store.commit([PutPackages("cert-hr/a", 1, packages, None, purge=False, room=9999)])

    def ask(write):
        answered = loop.create_future()
        heart.offer(write, answered.set_result)
        return answered

    async def publish(who):
        n = 0
        while True:
            body = b"%d says %d" % (who, n) + bytes(800)
            entry_id = hashlib.sha256(body).digest()
            write = Append(b"t" * 32, EntryKind.INBOX, entry_id, body, tail_of(body, None), 0, creates=TopicKind.INBOX)
            placed = await ask(write)
            tell(sequence=placed.stored.sequence, id=entry_id.hex(), who=who, n=n)
            n += 1

    async def take():
        while True:
            taken = await ask(TakePackage("cert-hr/a", 1, 0))
            tell(taken=taken.package.decode())

    await asyncio.gather(*(publish(who) for who in range(8)), take())

asyncio.run(main())
"""


@pytest.mark.parametrize("after", [3, 400, 1500])
def test_killed_at_any_moment_it_has_what_it_acknowledged(tmp_path: Path, after: int) -> None:
    path = tmp_path / "relay.db"
    child = subprocess.Popen([sys.executable, "-c", LOADED, str(path)], stdout=subprocess.PIPE, cwd=ROOT)
    assert child.stdout is not None
    lines = [child.stdout.readline() for _ in range(after)]
    child.kill()
    lines += child.stdout.read().splitlines(keepends=True)  # what it had told by then
    child.wait()
    child.stdout.close()
    told = [json.loads(line) for line in lines if line.endswith(b"\n")]
    assert len(told) >= after
    taken = {what["taken"] for what in told if "taken" in what}
    assert len(taken) == sum("taken" in what for what in told)

    async def look() -> None:
        store = await SqliteStore.open(path)
        entries = [stored.entry() for stored in (await store.read(TOPIC, 0, None, 1 << 30)).entries]
        kept = {entry.sequence: entry for entry in entries}
        for what in told:
            if "sequence" in what:
                entry = kept[what["sequence"]]
                assert entry.entry_id.hex() == what["id"]
                assert entry.body == b"%d says %d" % (what["who"], what["n"]) + bytes(800)
        position = start(TOPIC)
        for entry in entries:
            position = advance(position, entry.kind, entry.entry_id, entry.sequence, entry.body)
        head = await store.topic(TOPIC)
        assert head is not None
        assert (head.last, head.count) == (position, len(entries))
        left = set()
        while isinstance(result := (await store.commit([TakePackage("cert-hr/a", 1, 0)]))[0], Taken):
            left.add(result.package.decode())
            if len(left) == 50:
                break
        assert not left & taken
        await store.close()

    asyncio.run(look())


def append(n: int, size: int = 4000) -> Append:
    body = b"%d" % n + bytes(size)
    return Append(TOPIC, EntryKind.INBOX, n.to_bytes(32, "big"), body, tail_of(body, None), 0, creates=TopicKind.INBOX)


async def test_a_store_has_one_owner(tmp_path: Path) -> None:
    store = await SqliteStore.open(tmp_path / "new" / "relay.db")
    with pytest.raises(Conflict):
        await SqliteStore.open(tmp_path / "new" / "relay.db")
    await store.close()
    await store.close()
    again = await SqliteStore.open(tmp_path / "new" / "relay.db")
    await again.close()
    assert (tmp_path / "new" / "relay.db").stat().st_mode & 0o077 == 0


async def test_what_is_no_store_or_a_later_one_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "relay.db"
    path.write_bytes(b"this is no database at all, " * 100)
    with pytest.raises(NotReady):
        await SqliteStore.open(path)
    path.unlink()
    store = await SqliteStore.open(path)
    await store.close()
    with sqlite3.connect(path) as db:
        db.execute("pragma user_version = 99")
    db.close()
    with pytest.raises(NotReady, match="99"):
        await SqliteStore.open(path)


async def test_everything_is_there_after_a_restart(tmp_path: Path) -> None:
    path = tmp_path / "relay.db"
    store = await SqliteStore.open(path)
    group = b"g" * 32
    await store.commit([NewTopic(group, b"a" * 32, b"f" * 16, 7), *[append(n) for n in range(5)]])
    await store.commit([PutPackages("d", 1, (b"k1", b"k2"), b"l", purge=False, room=9), TakePackage("d", 1, 0)])
    before = [await store.topic(topic) for topic in (TOPIC, group)]
    entries = await store.read(TOPIC, 0, None, 1 << 30)
    known = await store.known(group, b"a" * 32)
    await store.close()
    store = await SqliteStore.open(path)
    assert [await store.topic(topic) for topic in (TOPIC, group)] == before
    assert await store.read(TOPIC, 0, None, 1 << 30) == entries
    assert await store.known(group, b"a" * 32) == known
    assert await store.packages("d", 1) == 1
    results = await store.commit(
        [PutPackages("d", 1, (b"k1", b"k2"), None, purge=False, room=9), append(2), Confirm(group, 0, 0)]
    )
    assert results[0] == Counted(1)  # what was handed out before the restart does not come back
    assert isinstance(results[1], Placed)
    assert not results[1].fresh
    assert (await store.usage()) > 0
    await store.close()


async def test_the_log_is_laid_out_while_it_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A copy of the files, as after a crash at that moment, has what was acknowledged, and nothing else."""
    monkeypatch.setattr(sqlite, "SOON", 0.0)
    monkeypatch.setattr(sqlite, "PAUSE", 0.0)
    path, log, copy = tmp_path / "relay.db", tmp_path / "relay.db-wal", tmp_path / "copy.db"
    store = await SqliteStore.open(path)
    await store.commit([NewTopic(TOPIC, bytes(32), bytes(16), 0)])
    written = 0
    while log.stat().st_size < FULL:
        written += 1
        entry_id = written.to_bytes(32, "big")
        await store.commit([Append(TOPIC, EntryKind.APPLICATION, entry_id, b"x", tail_of(b"x", None), 0)])
    for end in ("", "-wal"):
        shutil.copy(f"{path}{end}", f"{copy}{end}")
    await store.close()
    again = await SqliteStore.open(copy)
    found = (await again.read(TOPIC, 0, None, 1 << 20)).entries
    assert [stored.entry_id for stored in found] == [n.to_bytes(32, "big") for n in range(1, written + 1)]
    await again.close()


async def test_writers_wait_for_each_other_and_readers_for_nobody(tmp_path: Path) -> None:
    store = await SqliteStore.open(tmp_path / "relay.db")
    results = await asyncio.gather(
        *[store.commit([append(n)]) for n in range(20)], *[store.read(TOPIC, 0, None, 1 << 20) for _ in range(20)]
    )
    sequences = [r[0].stored.sequence for r in results[:20]]
    assert sequences == list(range(1, 21))
    cut = asyncio.create_task(store.commit([append(99)]))
    await asyncio.sleep(0)
    cut.cancel()
    await asyncio.gather(cut, return_exceptions=True)
    (again,) = await store.commit([append(99)])  # whoever was cut off asks again with the same id
    assert isinstance(again, Placed)
    assert again.stored.sequence == 21
    await store.close()
