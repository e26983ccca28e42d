"""A relay in one file: taken while it runs, whole or not at all, and put back only knowingly."""

from __future__ import annotations

import io
import json
import shutil
import sqlite3
import stat
import tarfile
from pathlib import Path

import pytest

from relay import backup, keys, mirror, process, running, setup
from relay.backup import MANIFEST, Manifest
from relay.config import Settings, load
from relay.store.base import Store
from relay.store.sqlite import SqliteStore
from securechan.errors import Conflict, Denied, NotFound, NotReady, SecurechanError, Unfit


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("made") / "relay"
    setup.init(home, name="relay-1", url="ws://127.0.0.1:1", host="127.0.0.1", port=1)
    db = sqlite3.connect(home / keys.DATABASE)
    db.executescript((Path(__file__).parent / "store" / "schema-1.sql").read_text())
    db.close()
    return home


@pytest.fixture
def home(made: Path, tmp_path: Path) -> Path:
    """A relay that rests, with something in its store."""
    return shutil.copytree(made, tmp_path / "home")


def packages(home: Path) -> int:
    db = sqlite3.connect(home / keys.DATABASE)
    try:
        return int(db.execute("select count(*) from package").fetchone()[0])
    finally:
        db.close()


async def test_it_is_taken_while_the_store_is_in_use_and_put_back_knowingly(home: Path, tmp_path: Path) -> None:
    store = await SqliteStore.open(home / keys.DATABASE)
    try:
        done = backup.backup(home, tmp_path / "b.tar")
        with pytest.raises(Conflict, match="runs"):
            backup.backup(home, tmp_path / "m.tar", move=True)
    finally:
        await store.close()
    assert stat.S_IMODE((tmp_path / "b.tar").stat().st_mode) == 0o600
    assert done["size"] == (tmp_path / "b.tar").stat().st_size
    other = tmp_path / "other"
    with pytest.raises(Denied, match="forgotten") as caught:
        backup.restore(tmp_path / "b.tar", other)
    assert "--accept-loss" in caught.value.hint
    assert not other.exists()
    assert backup.restore(tmp_path / "b.tar", other, accept_loss=True)["lost"]
    assert keys.load(other).online.public == keys.load(home).online.public
    assert (other / "relay.toml").read_bytes() == (home / "relay.toml").read_bytes()
    assert stat.S_IMODE(other.stat().st_mode) == 0o700
    assert (packages(home), packages(other)) == (2, 0)  # which were handed out since, nobody knows
    told = running.status(other)
    assert "restored from a backup" in running.words(told)
    again = backup.backup(other, tmp_path / "again.tar")
    backup.restore(tmp_path / "again.tar", tmp_path / "third", accept_loss=True)
    assert backup.note(tmp_path / "third") is not None
    assert not again["moved"]


def test_who_moves_takes_everything_and_leaves_a_folder_that_starts_nothing(home: Path, tmp_path: Path) -> None:
    backup.backup(home, tmp_path / "b.tar", move=True)
    with pytest.raises(Conflict, match="moved away"):
        backup.stay(home)
    with pytest.raises(Conflict, match="moved away"):
        backup.backup(home, tmp_path / "c.tar")
    done = backup.restore(tmp_path / "b.tar", tmp_path / "other")
    assert not done["lost"]
    backup.stay(tmp_path / "other")
    assert backup.note(tmp_path / "other") is None
    assert packages(tmp_path / "other") == 2


def test_a_relay_that_is_moved_starts_nowhere_before_it_starts_elsewhere(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The power may go at any moment: there is never a file to go on from beside a folder that goes on too."""
    honest = backup.pack

    def cut(home: Path, target: Path, name: str, *, moved: bool = False) -> Manifest:
        assert (home / backup.MOVED).exists()
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(backup, "pack", cut)
    with pytest.raises(NotReady, match="No space"):
        backup.backup(home, tmp_path / "b.tar", move=True)
    backup.stay(home)  # there is no file: it goes on here
    monkeypatch.setattr(backup, "pack", honest)
    backup.backup(home, tmp_path / "b.tar", move=True)


async def test_a_relay_that_was_moved_while_it_started_does_not_serve(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    honest = process.open_store

    async def late(home: Path, settings: Settings) -> Store:
        backup.backup(home, tmp_path / "b.tar", move=True)
        return await honest(home, settings)

    monkeypatch.setattr(process, "open_store", late)
    with pytest.raises(Conflict, match="moved away"):
        await process.run(home, lambda: load(home), lambda _: None)
    store = await SqliteStore.open(home / keys.DATABASE)  # it has let go of it
    await store.close()


def test_nothing_is_written_over(home: Path, tmp_path: Path) -> None:
    (tmp_path / "b.tar").write_text("mine")
    with pytest.raises(Conflict):
        backup.backup(home, tmp_path / "b.tar")
    assert (tmp_path / "b.tar").read_text() == "mine"
    backup.backup(home, tmp_path / "c.tar", move=True)
    with pytest.raises(Conflict, match="not empty"):
        backup.restore(tmp_path / "c.tar", home)
    with pytest.raises(NotReady):
        backup.backup(tmp_path, tmp_path / "d.tar")
    with pytest.raises(NotFound):
        backup.restore(tmp_path / "none.tar", tmp_path / "x")
    with pytest.raises(NotFound):
        mirror.restore(tmp_path, tmp_path / "x")


def test_a_place_that_cannot_be_written_or_read_is_said(home: Path, tmp_path: Path) -> None:
    for target in (tmp_path / "none" / "b.tar", home / "relay.toml" / "b.tar"):
        with pytest.raises(NotReady, match="can't be used") as caught:
            backup.backup(home, target)
        assert "permissions" in caught.value.hint
    backup.backup(home, tmp_path / "b.tar", move=True)
    with pytest.raises(NotReady, match="can't be used"):
        backup.restore(tmp_path / "b.tar", tmp_path / "b.tar" / "home")
    with pytest.raises(NotReady, match="can't be used"):
        backup.restore(home, tmp_path / "other")  # a folder that is no mirror is no backup


def test_a_store_that_is_damaged_makes_no_backup(home: Path, tmp_path: Path) -> None:
    content = bytearray((home / keys.DATABASE).read_bytes())
    content[4096:] = bytes(len(content) - 4096)
    (home / keys.DATABASE).write_bytes(content)
    with pytest.raises(NotReady, match=r"is damaged|can't be copied"):
        backup.backup(home, tmp_path / "b.tar")
    assert [path.name for path in tmp_path.iterdir()] == ["home"]


def repacked(source: Path, target: Path, change: object) -> Path:
    """The same archive with its members changed: ``change`` takes and gives a list of (name, content, type)."""
    with tarfile.open(source) as tar:
        members = [(each.name, tar.extractfile(each).read(), each.type) for each in tar]
    with tarfile.open(target, "w") as tar:
        for name, content, kind in change(members):
            info = tarfile.TarInfo(name)
            info.size, info.type = len(content) if kind == tarfile.REGTYPE else 0, kind
            info.linkname = "/etc/passwd" if kind == tarfile.SYMTYPE else ""
            tar.addfile(info, io.BytesIO(content))
    return target


CHANGES = {
    "another byte": lambda m: [(n, c + b" " if n == "card.json" else c, k) for n, c, k in m],
    "one is missing": lambda m: m[:-1],
    "one is a link": lambda m: [(n, c, tarfile.SYMTYPE if n == "card.json" else k) for n, c, k in m],
    "one too many": lambda m: [*m, ("keys/more.json", b"{}", tarfile.REGTYPE)],
    "one outside": lambda m: [*m, ("../outside", b"x", tarfile.REGTYPE)],
    "one twice": lambda m: [*m, m[-1]],
    "no manifest": lambda m: m[1:],
    "a manifest that names a file outside": lambda m: [
        (MANIFEST, Manifest("relay-1", 1, True, {"../outside": "00"}).encode(), tarfile.REGTYPE),
        *m[1:],
    ],
    "another version": lambda m: [(MANIFEST, json.dumps({"v": 2, "files": {}}).encode(), tarfile.REGTYPE), *m[1:]],
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_what_is_no_sound_backup_leaves_nothing(change: object, home: Path, tmp_path: Path) -> None:
    backup.backup(home, tmp_path / "b.tar", move=True)
    bad = repacked(tmp_path / "b.tar", tmp_path / "bad.tar", change)
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(Unfit) as caught:
        backup.restore(bad, tmp_path / "other")
    assert caught.value.hint
    assert sorted(tmp_path.rglob("*")) == before


def test_what_is_no_archive_is_refused(tmp_path: Path) -> None:
    for content in (b"", b"garbage" * 1000, bytes(10240)):
        (tmp_path / "b.tar").write_bytes(content)
        with pytest.raises(SecurechanError):
            backup.restore(tmp_path / "b.tar", tmp_path / "x")
