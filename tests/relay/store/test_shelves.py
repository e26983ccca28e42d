"""What the conformance suite can't see of what is no topic: the rows of the file."""

from __future__ import annotations

from pathlib import Path

from relay.store.base import (
    CHARGED_FOR,
    SPENT_FOR,
    Charge,
    Counted,
    DropUpload,
    PutPackages,
    PutPart,
    Sweep,
    TakePackage,
)
from relay.store.schema import connect
from relay.store.writing import Writing

DAY = 86400
NOW = 20_000 * DAY
TABLES = ("package", "last_resort", "spent", "blob", "part", "charge")


def rows(path: Path) -> dict[str, int]:
    db = connect(path, ("query_only=on",))
    count = {table: db.execute(f"select count(*) from {table}").fetchone()[0] for table in TABLES}
    db.close()
    return count


def part(owner: bytes, offset: int) -> PutPart:
    return PutPart(owner, b"b" * 32, 6, offset, b"xy", done=offset == 4, expires=NOW + DAY)


def test_what_is_given_up_or_too_old_leaves_no_row(tmp_path: Path) -> None:
    path = tmp_path / "relay.db"
    file = Writing(path)
    file.transact([part(b"1" * 16, at) for at in (0, 2)], None)
    file.transact([part(b"2" * 16, at) for at in (0, 2)], None)
    file.transact([part(b"3" * 16, at) for at in (0, 2, 4)], None)
    file.transact([PutPackages("d", 1, (b"k1", b"k2"), b"l", purge=False, room=9), TakePackage("d", 1, NOW)], None)
    file.transact([Charge("cert-hr", NOW // DAY, 5), Charge("cert-hr", NOW // DAY, 5)], None)
    assert rows(path) == {"package": 1, "last_resort": 1, "spent": 1, "blob": 3, "part": 7, "charge": 1}
    file.transact([DropUpload(b"1" * 16, b"b" * 32)], None)
    assert file.transact([Sweep(NOW + DAY - 1)], None) == [Counted(0)]
    late = NOW + max(SPENT_FOR, CHARGED_FOR + DAY)
    assert file.transact([Sweep(late)], None) == [Counted(4)]
    assert rows(path) == {"package": 1, "last_resort": 1, "spent": 0, "blob": 0, "part": 0, "charge": 0}
    file.transact([PutPackages("d", 1, (), None, purge=True, room=9)], None)
    assert set(rows(path).values()) == {0}
    file.close()


def test_a_sweep_takes_no_more_than_its_limit(tmp_path: Path) -> None:
    path = tmp_path / "relay.db"
    file = Writing(path)
    file.transact([PutPart(bytes([n]) * 16, b"b" * 32, 4, 0, b"xy", done=False, expires=NOW) for n in range(5)], None)
    for left in (3, 1, 0):
        file.transact([Sweep(NOW, limit=2)], None)
        assert rows(path)["part"] == left
    file.close()
