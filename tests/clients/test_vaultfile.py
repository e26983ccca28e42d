"""clients/vaultfile.py: no file but a vault is taken for one, and every fault of the disk has its hint."""

from __future__ import annotations

import os
import random
from pathlib import Path

import pytest

from clients.sealing import SCHEMA
from clients.vault import Put, Vault
from securechan.errors import CannotOpen, Conflict, Misuse, NotReady
from tests.clients.vaults import CHEAP, PASS, fill, raw, reopened


def test_a_wrong_passphrase(vault: Vault, path: Path) -> None:
    with pytest.raises(NotReady, match="passphrase") as e:
        Vault.open(path, PASS + "!")
    assert e.value.code == "wrong-passphrase"


def test_a_missing_vault_says_how_to_get_one(path: Path) -> None:
    with pytest.raises(NotReady) as e:
        Vault.open(path, PASS)
    assert e.value.code == "not-enrolled"
    assert "enrol" in e.value.hint
    assert not path.exists()


def test_a_second_vault_never_replaces_the_first(vault: Vault, path: Path) -> None:
    fill(vault)
    with pytest.raises(Conflict):
        Vault.create(path, "another", cost=CHEAP)
    assert vault.all("u") == {"a": b"third"}


def test_a_place_where_no_vault_can_be(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(NotReady) as e:
        Vault.create(tmp_path / "file" / "vault.db", PASS, cost=CHEAP)
    assert e.value.code == "vault-unreachable"
    with pytest.raises(NotReady):
        Vault.open(tmp_path / "file" / "vault.db", PASS)


def test_a_newer_format_is_left_alone(vault: Vault, path: Path) -> None:
    vault.close()
    raw(path, f"PRAGMA user_version = {SCHEMA + 1}")
    before = path.read_bytes()
    with pytest.raises(NotReady, match="format") as e:
        Vault.open(path, PASS)
    assert e.value.code == "vault-newer"
    assert path.read_bytes() == before


@pytest.mark.parametrize("content", [b"", b"hello", b"SQLite format 3\0", b"SQLite format 3\0" + bytes(5000)])
def test_another_kind_of_file_is_no_vault(path: Path, content: bytes) -> None:
    path.parent.mkdir()
    path.write_bytes(content)
    path.chmod(0o600)
    with pytest.raises(CannotOpen) as e:
        Vault.open(path, PASS)
    assert e.value.code == "vault-corrupt"


def test_a_database_of_somebody_else_is_no_vault(path: Path) -> None:
    path.parent.mkdir()
    raw(path, "CREATE TABLE header (one, value)")
    path.chmod(0o600)
    with pytest.raises(CannotOpen, match="not a vault"):
        Vault.open(path, PASS)


def test_a_truncated_file_is_noticed(vault: Vault, path: Path) -> None:
    vault.adopt([Put("t", str(n), os.urandom(900)) for n in range(200)])
    vault.close()
    whole = path.read_bytes()
    for size in (len(whole) // 2, len(whole) - 4096, 4096, 100):
        path.write_bytes(whole[:size])
        with pytest.raises(CannotOpen) as e, reopened(path) as again:
            again.all("t")
        assert e.value.code == "vault-corrupt", size


def test_flipped_bytes_never_give_other_content(vault: Vault, path: Path) -> None:
    content = {str(n): os.urandom(300) for n in range(30)}
    vault.adopt([Put("t", i, v) for i, v in content.items()])
    vault.close()
    whole = path.read_bytes()
    chance = random.Random(7)
    for _ in range(60):
        at = chance.randrange(len(whole))
        path.write_bytes(whole[:at] + bytes([whole[at] ^ (1 << chance.randrange(8))]) + whole[at + 1 :])
        try:
            with reopened(path) as again:
                found = again.all("t")
        except (CannotOpen, NotReady, Conflict):
            continue
        assert found == content


def test_a_vault_that_others_may_read_is_not_opened(vault: Vault, path: Path) -> None:
    path.chmod(0o640)
    with pytest.raises(NotReady) as e:
        Vault.open(path, PASS)
    assert e.value.hint == f"chmod 600 {path}"


def test_two_writers_of_one_file_notice_each_other(vault: Vault, path: Path) -> None:
    with reopened(path) as second:
        second.adopt([Put("t", "a", b"second")])
        with pytest.raises(Conflict) as e:
            vault.adopt([Put("t", "a", b"first")])
    assert e.value.code == "vault-shared"
    with reopened(path) as again:
        assert again.all("t") == {"a": b"second"}


def test_a_full_disk_changes_nothing_and_says_what_to_do(vault: Vault) -> None:
    fill(vault)
    (pages,) = vault._db.execute("PRAGMA page_count").fetchone()
    vault._db.execute(f"PRAGMA max_page_count = {pages + 4}")
    with pytest.raises(NotReady) as e:
        vault.adopt([Put("t", "a", b"lost"), Put("t", "big", bytes(1 << 20))])
    assert e.value.code == "disk-full"
    assert "free some space" in e.value.hint
    assert vault.all("t") == {"a": b"first", "b": b"second"}
    vault._db.execute("PRAGMA max_page_count = 100000")
    assert vault.adopt([Put("t", "a", b"kept")]) == 2
    vault.check()


def test_a_closed_vault_is_not_used(vault: Vault) -> None:
    vault.close()
    with pytest.raises(Misuse):
        vault.get("t", "a")
