"""A vault for tests: cheap to open, with something in it, and a disk that an attacker has a hand on."""

from __future__ import annotations

import sqlite3
from pathlib import Path

from clients.locked import Cost
from clients.vault import Put, Vault

CHEAP = Cost(64, 1, 1)
PASS = "a long enough phrase"


def raw(path: Path, sql: str, *args: object) -> list[tuple[object, ...]]:
    """Do to the file what an attacker with the disk can do."""
    db = sqlite3.connect(path, isolation_level=None)
    try:
        return db.execute(sql, args).fetchall()
    finally:
        db.close()


def fill(vault: Vault) -> None:
    vault.adopt([Put("t", "a", b"first"), Put("t", "b", b"second"), Put("u", "a", b"third")])


def reopened(path: Path) -> Vault:
    return Vault.open(path, PASS)
