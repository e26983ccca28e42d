"""clients/files.py: nothing endless comes in, nothing half written stays, and nobody else reads it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from clients.files import read, write, write_private
from securechan.errors import Conflict, Malformed, NotFound, NotReady


def test_a_file_is_read_up_to_its_limit(tmp_path: Path) -> None:
    (tmp_path / "big").write_bytes(bytes(20))
    assert read(tmp_path / "big", 20) == bytes(20)
    with pytest.raises(Malformed):
        read(tmp_path / "big", 19)


def test_what_cannot_be_read_is_told(tmp_path: Path) -> None:
    with pytest.raises(NotFound):
        read(tmp_path / "none", 10)
    with pytest.raises(NotReady, match="is a folder"):
        read(tmp_path, 10)


def test_a_private_file_is_private_and_never_replaced_unasked(tmp_path: Path) -> None:
    path = tmp_path / "keys" / "one"
    write_private(path, b"first")
    assert path.stat().st_mode & 0o777 == 0o600
    with pytest.raises(Conflict):
        write_private(path, b"second")
    assert path.read_bytes() == b"first"
    write_private(path, b"third", replace=True)
    assert path.read_bytes() == b"third"
    assert [p.name for p in path.parent.iterdir()] == ["one"]


def test_a_place_that_cannot_be_written_says_so(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(NotReady, match="can't be written"):
        write_private(tmp_path / "file" / "x", b"")


def test_files_are_written_whole(tmp_path: Path) -> None:
    write(tmp_path / "x", b"one")
    write(tmp_path / "x", b"two")
    assert (tmp_path / "x").read_bytes() == b"two"
    with pytest.raises(NotReady) as e:
        write(tmp_path / "none" / "x", b"")
    assert e.value.code == "file-unwritable"
    assert [path.name for path in tmp_path.iterdir()] == ["x"]


def test_what_is_written_is_its_owners_and_follows_nobodys_link(tmp_path: Path) -> None:
    """Before, the draft had a name that could be guessed, and was opened through whatever link lay there."""
    (tmp_path / "theirs").write_bytes(b"precious")
    (tmp_path / f".x.{os.getpid()}").symlink_to(tmp_path / "theirs")
    before = os.umask(0)
    try:
        write(tmp_path / "x", b"tlp:red")
    finally:
        os.umask(before)
    assert (tmp_path / "theirs").read_bytes() == b"precious"
    assert (tmp_path / "x").stat().st_mode & 0o777 == 0o600
