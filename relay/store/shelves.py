"""What the embedded store keeps besides topics, as its writer changes it: key packages, blobs, charges.

    package, last_resort    of a device and a suite: each is handed out once; the last resort stays
    spent                   SHA-256 of a package that was handed out: it is never handed out again
    blob, part              an upload, in pieces; a blob once it is complete
    charge                  bytes that an agency brought in on a day

Nothing of these is remembered between two writes: a connection is enough.
"""

from __future__ import annotations

import hashlib
import sqlite3
from typing import Any

from relay.store import base
from relay.store.base import CHARGED_FOR, SPENT_FOR, Counted, Made, Missing, Overfull, Result, Taken
from relay.store.local import LocalWrites


class Shelves(LocalWrites):
    """The writes that are about no topic."""

    _db: sqlite3.Connection

    def _one(self, sql: str, *values: object) -> Any:
        return self._db.execute(sql, values).fetchone()

    def _put_packages(self, w: base.PutPackages) -> Result:
        db, key = self._db, (w.device, w.suite)
        there = (
            set()
            if w.purge
            else {row[0] for row in db.execute("select body from package where device = ? and suite = ?", key)}
        )
        new = []
        for package in w.packages:
            if package in there or self._one("select 1 from spent where hash = ?", hashlib.sha256(package).digest()):
                continue
            there.add(package)
            new.append(package)
        if len(there) > w.room:
            return Overfull()
        if w.purge:
            db.execute("delete from package where device = ? and suite = ?", key)
            db.execute("delete from last_resort where device = ? and suite = ?", key)
        db.executemany("insert into package (device, suite, body) values (?, ?, ?)", [(*key, body) for body in new])
        if w.last_resort is not None:
            db.execute("insert or replace into last_resort values (?, ?, ?)", (*key, w.last_resort))
        return Counted(len(there))

    def _take_package(self, w: base.TakePackage) -> Result:
        row = self._one(
            "select number, body from package where device = ? and suite = ? order by number limit 1", w.device, w.suite
        )
        if row is not None:
            self._db.execute("delete from package where number = ?", (row[0],))
            self._db.execute("insert or replace into spent values (?, ?)", (hashlib.sha256(row[1]).digest(), w.at))
            return Taken(row[1], last_resort=False)
        row = self._one("select body from last_resort where device = ? and suite = ?", w.device, w.suite)
        return Missing() if row is None else Taken(row[0], last_resort=True)

    def _put_part(self, w: base.PutPart) -> Result:
        done = self._one("select total from blob where blob = ? and done = 1", w.blob)
        if done is not None:
            return Counted(done[0])
        row = self._one("select number, total, have from blob where blob = ? and owner = ?", w.blob, w.owner)
        have = row[2] if row else 0
        if w.offset != have or (row is not None and row[1] != w.total):
            return Counted(have)
        now_have = have + len(w.piece)
        if row is None:
            number = self._db.execute(
                "insert into blob (owner, blob, total, have, done, expires) values (?, ?, ?, ?, ?, ?)",
                (w.owner, w.blob, w.total, now_have, w.done, w.expires),
            ).lastrowid
        else:
            number = row[0]
            self._db.execute(
                "update blob set have = ?, done = ?, expires = ? where number = ?",
                (now_have, w.done, w.expires, number),
            )
        self._db.execute("insert into part values (?, ?, ?)", (number, have, w.piece))
        return Counted(now_have)

    def _drop_upload(self, w: base.DropUpload) -> Result:
        self._drop_blobs("select number from blob where owner = ? and blob = ? and done = 0", (w.owner, w.blob))
        return Made()

    def _charge(self, w: base.Charge) -> Result:
        self._db.execute(
            "insert into charge values (?, ?, ?) on conflict (day, agency) do update set size = size + excluded.size",
            (w.day, w.agency, w.size),
        )
        return Made()

    def _drop_blobs(self, numbers: str, values: tuple[object, ...]) -> int:
        rows = self._db.execute(numbers, values).fetchall()
        self._db.executemany("delete from part where number = ?", rows)
        self._db.executemany("delete from blob where number = ?", rows)
        return len(rows)

    def _clear(self, w: base.Sweep) -> int:
        """Delete what is too old; how much that was."""
        gone = self._drop_blobs("select number from blob where expires <= ? limit ?", (w.now, w.limit))
        spent = self._db.execute(
            "delete from spent where hash in (select hash from spent where at <= ? limit ?)",
            (w.now - SPENT_FOR, w.limit),
        ).rowcount
        charges = self._db.execute("delete from charge where day < ?", ((w.now - CHARGED_FOR) // 86400,)).rowcount
        return gone + spent + charges
