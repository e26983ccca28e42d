"""The relay's keys: made once, read back, hidden from others, and told when damaged."""

from __future__ import annotations

import base64
import errno
import json
import os
from pathlib import Path

import pytest

from relay import keys
from securechan.errors import Conflict, NotReady
from securechan.wire.handshake import key_id


def test_keys_are_read_back_and_nobody_else_can(tmp_path: Path) -> None:
    made = keys.make(tmp_path / "home", 1000)
    read = keys.load(tmp_path / "home")
    assert read.newest.public == made.newest.public
    assert read.online.public == made.online.public
    folder = tmp_path / "home" / "keys"
    assert folder.stat().st_mode & 0o777 == 0o700
    assert {path.stat().st_mode & 0o777 for path in folder.iterdir()} == {0o600}


def test_the_card_says_what_others_may_know(tmp_path: Path) -> None:
    made = keys.make(tmp_path, 1000)
    card = made.card("relay-1", "wss://relay.example.int")
    assert base64.b64decode(card["kem"]) == made.newest.public
    assert base64.b64decode(card["online"]) == made.online.public
    assert card["key_id"] == key_id(made.newest.public).hex()
    assert made.newest.private.hex() not in json.dumps(card)


def test_a_second_kem_key_is_the_newest_and_the_first_still_opens(tmp_path: Path) -> None:
    first = keys.make(tmp_path, 1000).newest
    second = keys.make_kem(tmp_path, 900)  # the clock went back meanwhile
    held = keys.load(tmp_path)
    assert held.newest.public == second.public
    assert set(held.kem) == {key_id(first.public), key_id(second.public)}


def test_dropping_leaves_the_newest(tmp_path: Path) -> None:
    first = keys.make(tmp_path, 1000).newest
    second = keys.make_kem(tmp_path, 1000)
    assert len(keys.kem_names(tmp_path)) == 2
    assert keys.drop_kem(tmp_path) == (key_id(first.public).hex(),)
    assert set(keys.load(tmp_path).kem) == {key_id(second.public)}
    assert keys.drop_kem(tmp_path) == ()


def test_a_relay_keeps_its_keys(tmp_path: Path) -> None:
    keys.make(tmp_path, 1000)
    with pytest.raises(Conflict):
        keys.make(tmp_path, 2000)


def test_keys_that_others_can_read_are_refused(tmp_path: Path) -> None:
    keys.make(tmp_path, 1000)
    (tmp_path / "keys" / "online.json").chmod(0o640)
    with pytest.raises(NotReady, match="read by others"):
        keys.load(tmp_path)


@pytest.mark.parametrize("content", [b"", b"{}", b'{"private":"00","created":1}', b'{"private":"zz","created":1}'])
def test_damaged_keys_are_told(tmp_path: Path, content: bytes) -> None:
    keys.make(tmp_path, 1000)
    (tmp_path / "keys" / "online.json").write_bytes(content)
    with pytest.raises(NotReady, match=r"damaged|bytes where"):
        keys.load(tmp_path)


def test_missing_keys_are_told(tmp_path: Path) -> None:
    with pytest.raises(NotReady, match="no keys"):
        keys.load(tmp_path)
    keys.make(tmp_path, 1000)
    for path in (tmp_path / "keys").glob("kem-*"):
        path.unlink()
    with pytest.raises(NotReady, match="no KEM key"):
        keys.load(tmp_path)


def test_a_file_is_replaced_whole(tmp_path: Path) -> None:
    path = tmp_path / "card.json"
    for content in (b"one", b"two"):
        keys.replace(path, content)
        assert path.read_bytes() == content
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
def test_what_root_lays_down_belongs_to_whose_folder_it_is(tmp_path: Path) -> None:
    os.chown(tmp_path, 12_345, 12_346)
    keys.replace(tmp_path / "a", b"adopted")
    keys.write_private(tmp_path / "b", b"rotated")
    for name in ("a", "b"):
        status = (tmp_path / name).stat()
        assert (status.st_uid, status.st_gid, status.st_mode & 0o777) == (12_345, 12_346, 0o600)


def test_on_a_full_disk_what_is_there_already_is_no_trouble(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "card.json"
    keys.replace(path, b"as it was")

    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    keys.replace(path, b"as it was")
    with pytest.raises(NotReady, match="no room left"):
        keys.replace(path, b"another")
    assert [each.name for each in tmp_path.iterdir()] == ["card.json"]
    assert path.read_bytes() == b"as it was"
