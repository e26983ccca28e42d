"""The log is laid out ahead of what is written, and SQLite reads no more of it than was."""

from __future__ import annotations

import itertools
import shutil
import sqlite3
from pathlib import Path

import pytest

from relay.store.wal import FULL, LEAST, MOST, PIECE, lay_ahead, lay_out


def test_it_grows_by_as_much_again_and_not_beyond_its_full_length(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_bytes(b"x" * 10)
    laid = lay_out(log, 0)
    assert laid == log.stat().st_size == 10 + LEAST
    assert lay_out(log, laid) == laid  # nothing was written beyond it
    sizes = [laid]
    while sizes[-1] < FULL:
        with log.open("ab") as file:
            file.write(b"x")
        sizes.append(lay_out(log, sizes[-1]))
        assert sizes[-1] == log.stat().st_size
    steps = [after - before for before, after in itertools.pairwise(sizes)]
    assert max(steps) == MOST + 1
    assert len(steps) <= 3 + FULL // MOST
    assert sizes[-1] == FULL
    with log.open("ab") as file:
        file.write(b"x")
    assert lay_out(log, FULL) == log.stat().st_size == FULL + 1


def test_a_disk_without_room_is_no_matter_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log = tmp_path / "log"
    log.write_bytes(b"x" * 10)

    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "open", full)
    assert lay_out(log, 0) == 10
    assert lay_ahead(log) == 10


def test_ahead_it_is_laid_out_in_pieces_to_its_full_length(tmp_path: Path) -> None:
    log = tmp_path / "log"
    assert lay_ahead(log) == 0  # SQLite makes it, nobody else
    assert not log.exists()
    log.write_bytes(b"x" * (FULL - PIECE - 10))
    sizes = [lay_ahead(log) for _ in range(3)]
    assert sizes == [FULL - 10, FULL, FULL]
    assert log.stat().st_size == FULL
    assert log.read_bytes() == b"x" * (FULL - PIECE - 10) + bytes(PIECE + 10)
    assert lay_out(log, FULL - 10) == FULL


def test_what_was_committed_is_read_from_it_and_no_more(tmp_path: Path) -> None:
    """Also from a copy, as after a crash: the zeros are no frames."""
    path = tmp_path / "a.db"
    db = sqlite3.connect(path, isolation_level=None)
    db.execute("pragma journal_mode = wal")
    db.execute("create table t (n integer)")
    laid = 0
    for n in range(100):
        db.execute("insert into t values (?)", (n,))
        laid = lay_out(tmp_path / "a.db-wal", laid)
        if n % 20 == 0:
            for end in ("", "-wal"):
                shutil.copy(f"{path}{end}", f"{tmp_path}/copy.db{end}")
            copy = sqlite3.connect(tmp_path / "copy.db")
            assert [row[0] for row in copy.execute("select n from t")] == list(range(n + 1))
            assert copy.execute("pragma integrity_check").fetchone() == ("ok",)
            copy.close()
    db.close()
