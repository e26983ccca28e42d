"""The tables of the embedded store, and how a file of an earlier version becomes one of this.

A file says its version in ``user_version``. Each step is one transaction that ends with the next version's number: a
crash between two steps, or in one, leaves a file of an earlier version, and the next start goes on from there. Version
1 is that of the first release; a copy of it is kept with the tests, and opened by them for ever.

To change a table: write the step from the version before, raise `VERSION`, and let `SCHEMA` say what a new file has.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from securechan.errors import NotReady

VERSION: Final = 2
_IDS: Final = """
create table id (entry_id blob not null, key integer not null, primary key (entry_id, key)) without rowid;
create table near (number integer primary key, items blob not null);
"""
_FROM_INDEX: Final = "insert into id select entry_id, key from entry order by entry_id, key; drop index entry_by_id;"
STEPS: Final[Mapping[int, str]] = {1: _IDS + _FROM_INDEX}
"""Version → the statements that make a file of it one of the next."""

SCHEMA: Final = f"""
create table topic (number integer primary key, topic blob not null unique, kind integer not null,
    last integer not null, chain blob not null, commit_at integer not null, commit_id blob not null,
    trimmed integer not null, trimmed_chain blob not null, count integer not null);
create table entry (key integer primary key, entry_id blob not null, chain blob not null, wire blob not null);
{_IDS}
create table claim (key integer primary key, topic integer not null, access blob not null, committer blob not null,
    at integer not null, closes integer);
create unique index claim_by_access on claim (topic, access);
create table box (topic blob primary key, mac_key blob not null, agency text not null, not_after integer not null)
    without rowid;
create table package (number integer primary key autoincrement, device text not null, suite integer not null,
    body blob not null);
create index package_by_device on package (device, suite, number);
create table last_resort (device text not null, suite integer not null, body blob not null,
    primary key (device, suite));
create table spent (hash blob primary key, at integer not null) without rowid;
create table blob (number integer primary key, owner blob not null, blob blob not null, total integer not null,
    have integer not null, done integer not null, expires integer not null);
create unique index blob_by_name on blob (blob, owner);
create index blob_by_expiry on blob (expires);
create table charge (day integer not null, agency text not null, size integer not null, primary key (day, agency))
    without rowid;
create table part (number integer not null, at integer not null, piece blob not null, primary key (number, at));
"""


SHIFT: Final = 40  # an entry's key is its topic's number << 40 | its sequence: numbers are below 2^23
LAST: Final = (1 << SHIFT) - 1

sqlite3.register_adapter(bytes, bytes)  # else each one that is bound is asked for an adapter it lacks: 0.2 to 0.3 µs


def connect(path: Path, pragmas: Sequence[str]) -> sqlite3.Connection:
    """A connection in which a transaction begins when it is said, for whichever thread."""
    db = sqlite3.connect(path, isolation_level=None, check_same_thread=False, cached_statements=256)
    try:
        for pragma in pragmas:
            db.execute(f"pragma {pragma}")
    except sqlite3.Error:
        db.close()
        raise
    return db


def bring_up(
    db: sqlite3.Connection,
    path: Path,
    *,
    schema: str = SCHEMA,
    version: int = VERSION,
    steps: Mapping[int, str] = STEPS,
) -> int:
    """Make the tables of a new file, or bring an older one up to ``version``; the version that it had.

    Raises `NotReady` for a file of a later version, sqlite3.Error (nothing of the step was done) where a step fails.
    """
    found: int = db.execute("pragma user_version").fetchone()[0]
    if found > version or (0 < found < version and found not in steps):
        raise NotReady(
            f"{path} has the format {found}, this relay writes {version}",
            hint="run the relay that made it, or a later one",
        )
    if found == 0:
        _step(db, schema, version)
    else:
        for each in range(found, version):
            _step(db, steps[each], each + 1)
    return found


def _step(db: sqlite3.Connection, statements: str, version: int) -> None:
    try:
        db.executescript(f"begin immediate; {statements} pragma user_version = {version}; commit;")
    except sqlite3.Error:
        if db.in_transaction:
            db.execute("rollback")
        raise
