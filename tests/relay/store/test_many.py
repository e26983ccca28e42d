"""All rows come in, in their order, however many there are."""

from __future__ import annotations

import sqlite3

import pytest

from relay.store.many import ROWS, insert


@pytest.mark.parametrize("count", [0, 1, ROWS - 1, ROWS, ROWS + 1, 3 * ROWS, 3 * ROWS + 5])
def test_all_rows_come_in(count: int) -> None:
    db = sqlite3.connect(":memory:", isolation_level=None)
    db.execute("create table t (n integer, text blob)")
    rows = [(n, b"%d" % n) for n in range(count)]
    insert(db, "insert into t", rows)
    assert db.execute("select n, text from t order by rowid").fetchall() == rows
    db.close()


def test_a_row_that_is_there_is_refused_or_ignored() -> None:
    db = sqlite3.connect(":memory:", isolation_level=None)
    db.execute("create table t (n integer primary key)")
    insert(db, "insert into t", [(7,)])
    rows = [(n,) for n in range(ROWS + 3)]
    with pytest.raises(sqlite3.IntegrityError):
        insert(db, "insert into t", rows)
    insert(db, "insert or ignore into t", rows)
    assert db.execute("select count(*) from t").fetchone() == (ROWS + 3,)
    db.close()
