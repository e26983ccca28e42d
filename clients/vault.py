"""Everything a device knows, on disk: records sealed one by one, adopted many at once.

    passphrase ─ Argon2id ─► lid ─ opens ─► vault key ─► Seals: how a record looks at rest     clients/sealing.py
                    clients/locked.py                    the file, and what its faults mean    clients/vaultfile.py

``adopt(writes)`` is the only way in and is one SQLite transaction (WAL, full sync): a crash leaves the old state or the
new one. Each transaction is a *generation*; a record's version is the generation that wrote it, so that no two writings
of a record share a version. Whoever finds another generation on disk than the one it left has a rival, and stops.

**What an attacker with the file can do.** Read sizes, counts and which rows changed between two copies; not names, not
content. What is altered, moved, removed or put back is noticed: by the record's tag, or where `all` and `check` compare
with the sealed manifest. Putting the whole file back is a rollback; the log at the relay tells that.

**What is erased.** ``secure_delete`` overwrites what a page frees; the log is folded back and truncated every 256 pages
and on closing. What a flash drive keeps of overwritten blocks is beyond any program: encrypt the disk as well.

Records of one table may stand on a *shelf*: what precedes the last ``/`` of an id. ``range`` reads one shelf in the
order of first writing, forwards or from its end, which is how an archive of any length is read in pieces.
"""

from __future__ import annotations

import contextlib
import secrets
import sqlite3
import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol, Self

from clients.locked import COST, Cost, Locked
from clients.sealing import SUM_MODULUS, Manifest, Record, Row, Seals, Total
from clients.vaultfile import (
    Header,
    checked,
    connect,
    corrupt,
    draft_of,
    either_opens,
    faults,
    lay_out,
    lid_left,
    parse_header,
    read_header,
)
from securechan.crypto.secret import Secret
from securechan.errors import CannotOpen, Conflict, Malformed, Misuse, NotFound, SecurechanError

_MOST_PLACES: Final = 1 << 14  # records whose places are remembered

_PURPOSE: Final = b"vault"


class Writable(Protocol):
    """One change: ``value`` None removes the record. The agent's ``Write`` is one."""

    @property
    def table(self) -> str: ...
    @property
    def id(self) -> str: ...
    @property
    def value(self) -> bytes | None: ...


@dataclass(frozen=True, slots=True)
class Put:
    """A change of the clients' own, beside those of the agent."""

    table: str
    id: str
    value: bytes | None


_RECORDS: Final = "SELECT place, row, version, nonce, sealed FROM record WHERE tbl = ?"


class Vault:
    """An open vault. All methods may be called from any thread, one at a time; none waits for anything but the disk.

    Errors: NotReady for a missing vault, a wrong passphrase or a newer format; CannotOpen (``vault-corrupt``) where
    bytes are not what was written; NotReady (``disk-full``) where nothing more fits; Conflict where another process
    writes to the same file. An ``adopt`` that raises has changed nothing.
    """

    def __init__(self, path: Path, db: sqlite3.Connection, header: Header, key: Secret) -> None:
        self.path = path
        self._db = db
        self._header = header
        self._seals = Seals(header.vault, key)
        self._key = key
        self._lock = threading.RLock()
        self._stored = b""
        self._generation = 0
        self._totals: dict[str, tuple[int, int]] = {}
        self._places: dict[bytes, tuple[int, int]] = {}  # row → (place, hash) of records read or written here
        self._last = 0  # the highest place

    def __repr__(self) -> str:
        return f"Vault({str(self.path)!r}, generation {self._generation})"

    # ------------------------------------------------------------------------------------------- making and opening

    @classmethod
    def create(cls, path: Path, passphrase: str, *, writes: Sequence[Writable] = (), cost: Cost = COST) -> Self:
        """A new vault at ``path`` with ``writes`` in it. Raises Conflict where there is a file already.

        It is built beside its place and moved there whole: an interrupted ``create`` leaves no half vault.
        """
        if path.exists():
            raise Conflict(
                f"there is a vault at {path} already", hint="use another profile (--profile), or move the old one away"
            )
        draft = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
        key = Secret.random(32)
        identity = secrets.token_bytes(16)
        header = Header(identity, Locked.lock(key, passphrase, purpose=_PURPOSE + identity, cost=cost))
        with draft_of(path, draft), faults(draft), contextlib.closing(connect(draft)) as db:
            db.execute("BEGIN IMMEDIATE")
            lay_out(db, header)
            vault = cls(draft, db, header, key)
            vault._stored = vault._store_manifest(0, {})
            db.execute("COMMIT")
            if writes:
                vault.adopt(writes)
            db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        return cls._load(path, header, key)

    @classmethod
    def open(cls, path: Path, passphrase: str) -> Self:
        """The vault at ``path``. Takes about 0.3 s, for the passphrase."""
        header = read_header(path)
        key = header.lid.unlock(passphrase, purpose=_PURPOSE + header.vault)
        return cls._load(path, header, key)

    @classmethod
    def _load(cls, path: Path, header: Header, key: Secret) -> Self:
        with faults(path):
            db = connect(path)
            try:
                vault = cls(path, db, header, key)
                vault._read_manifest()
            except BaseException:
                db.close()
                raise
            return vault

    def close(self) -> None:
        """Fold the log back into the file and let go of it. A vault that was killed instead opens just as well."""
        with self._lock, contextlib.suppress(sqlite3.Error):
            # Whatever this meets is met again, and told, by the next ``open``: what was adopted is durable already.
            self._db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        self._db.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # ------------------------------------------------------------------------------------------------------ reading

    @property
    def identity(self) -> bytes:
        """16 random bytes that tell this vault from every other."""
        return self._header.vault

    @property
    def generation(self) -> int:
        """How many transactions were adopted."""
        return self._generation

    def tables(self) -> dict[str, int]:
        """The tables that hold anything, and how many records each."""
        return {table: count for table, (count, _) in sorted(self._totals.items()) if count}

    def get(self, table: str, id: str) -> bytes | None:
        """One record's value, or None."""
        tbl = self._seals.table(table)
        with self._lock, faults(self.path):
            found = self._db.execute(_RECORDS + " AND row = ?", (tbl, self._seals.row(tbl, id))).fetchone()
        return None if found is None else self._open(table, tbl, self._row(found)).value

    def all(self, table: str) -> dict[str, bytes]:
        """All records of a table in the order of first writing, held against the manifest: none misses, none is old."""
        tbl = self._seals.table(table)
        found: dict[str, bytes] = {}
        total = 0
        with self._lock, faults(self.path):
            expected = self._totals.get(table, (0, 0))
            for line in self._db.execute(_RECORDS + " ORDER BY place", (tbl,)):
                row = self._row(line)
                record = self._open(table, tbl, row)
                found[record.id] = record.value
                digest = self._seals.hash(tbl, row)
                total = (total + digest) % SUM_MODULUS
                if "/" not in record.id and len(self._places) < _MOST_PLACES:
                    self._places[row.row] = row.place, digest
        if (len(found), total) != expected:
            raise self._incomplete(table, expected[0], len(found))
        return found

    def range(
        self, table: str, shelf: str = "", *, after: str | None = None, limit: int = 100, newest: bool = False
    ) -> list[tuple[str, bytes]]:
        """At most ``limit`` (id, value) of one shelf, in the order of first writing; with ``newest`` from its end
        backwards. ``after`` is the id of the last record seen (NotFound where there is none such).

        Each record is authentic; whether one misses between them only `check` tells.
        """
        if limit < 1:
            raise Misuse(f"a range of {limit} records")
        tbl = self._seals.table(table)
        with self._lock, faults(self.path):
            edge = (1 << 62) if newest else -1
            if after is not None:
                at = self._db.execute(
                    "SELECT place FROM record WHERE tbl = ? AND row = ?", (tbl, self._seals.row(tbl, after))
                ).fetchone()
                if at is None:
                    raise NotFound(f"no record {after!r} in {table}")
                edge = at[0]
            compare, order = ("<", "DESC") if newest else (">", "ASC")
            lines = self._db.execute(
                f"{_RECORDS} AND shelf = ? AND place {compare} ? ORDER BY place {order} LIMIT ?",
                (tbl, self._seals.shelf(tbl, shelf), edge, limit),
            ).fetchall()
        opened = [self._open(table, tbl, self._row(line)) for line in lines]
        return [(record.id, record.value) for record in opened]

    # ------------------------------------------------------------------------------------------------------ writing

    def adopt(self, writes: Sequence[Writable]) -> int:
        """Make all changes in one durable transaction, or none; the generation after it. Of several changes to one
        record the last holds. Raises Conflict where someone else has written to the file."""
        changes = {(write.table, write.id): write.value for write in writes}
        if not changes:
            return self._generation
        with self._lock, faults(self.path), self._transaction():
            generation = self._generation + 1
            totals, places, last = dict(self._totals), dict[bytes, tuple[int, int] | None](), self._last
            for (table, id_), value in changes.items():
                tbl = self._seals.table(table)
                row = self._seals.row(tbl, id_)
                count, total = totals.get(table, (0, 0))
                old = self._places.get(row) or self._find(tbl, row)
                places[row] = None
                if old is not None:
                    count, total = count - 1, total - old[1]
                if value is None:
                    if old is not None:
                        self._touch(table, "DELETE FROM record WHERE place = ?", (old[0],))
                else:
                    if old is None:
                        last += 1
                    fresh = self._seals.seal(tbl, row, old[0] if old else last, generation, Record(id_, bytes(value)))
                    digest = self._seals.hash(tbl, fresh)
                    count, total = count + 1, total + digest
                    if "/" not in id_:  # what stands on shelves is written once
                        places[row] = fresh.place, digest
                    if old is not None:
                        self._touch(
                            table,
                            "UPDATE record SET version = ?, nonce = ?, sealed = ? WHERE place = ?",
                            (generation, fresh.nonce, fresh.sealed, fresh.place),
                        )
                    else:
                        shelf = self._seals.shelf(tbl, id_.rpartition("/")[0])
                        self._db.execute(
                            "INSERT INTO record (place, tbl, row, shelf, version, nonce, sealed)"
                            " VALUES (?, ?, ?, ?, ?, ?, ?)",
                            (fresh.place, tbl, row, shelf, generation, fresh.nonce, fresh.sealed),
                        )
                totals[table] = (count, total % SUM_MODULUS)
            stored = self._store_manifest(generation, totals)
        self._stored, self._generation, self._totals, self._last = stored, generation, totals, last
        for row, where in places.items():
            if where is None:
                self._places.pop(row, None)
            elif row in self._places or len(self._places) < _MOST_PLACES:
                self._places[row] = where
        return generation

    def _touch(self, table: str, sql: str, values: tuple[object, ...]) -> None:
        """Change one record that is there."""
        if self._db.execute(sql, values).rowcount != 1:
            raise corrupt(self.path, f"a record of {table} is not where it was written")

    def _find(self, tbl: bytes, row: bytes) -> tuple[int, int] | None:
        """Where a record lies, and its hash."""
        line = self._db.execute(
            "SELECT place, row, version, nonce, substr(sealed, -16) FROM record WHERE tbl = ? AND row = ?", (tbl, row)
        ).fetchone()
        return None if line is None else (line[0], self._seals.hash(tbl, self._row(line)))

    def change_passphrase(self, passphrase: str, *, cost: Cost = COST) -> None:
        """Lock the vault key under another passphrase, and overwrite what the old one opened. The key stays: a copy of
        the file made before still opens with the old passphrase, and its key then opens this file as well.

        Killed at any moment: one of the two opens it. Raises NotReady: ``old-passphrase-left`` where the new one holds
        and the old lid is not overwritten yet, with other codes where nothing was changed."""
        lid = Locked.lock(self._key, passphrase, purpose=_PURPOSE + self._header.vault, cost=cost)
        header = Header(self._header.vault, lid)
        with self._lock:
            with either_opens(), faults(self.path), self._transaction():
                self._db.execute("UPDATE header SET value = ? WHERE one = 1", (checked(header.encode()),))
            self._header = header
            try:  # until it is folded back the file has the old lid, and its log the new one
                with faults(self.path):
                    busy = self._db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0]
            except SecurechanError as e:
                raise lid_left(self.path, e.message) from e
            if busy:
                raise lid_left(self.path, "another process reads it")

    # ----------------------------------------------------------------------------------------------------- checking

    def check(self) -> dict[str, int]:
        """Read everything and hold it against the manifest; the tables and their counts. For ``doctor``.

        Raises CannotOpen (``vault-corrupt``), naming what is wrong.
        """
        with self._lock, faults(self.path):
            problems = [line[0] for line in self._db.execute("PRAGMA integrity_check(3)")]
            if problems != ["ok"]:
                raise corrupt(self.path, "; ".join(problems))
            header = self._db.execute("SELECT value FROM header WHERE one = 1").fetchone()
            if header is None or parse_header(self.path, header[0]) != self._header:
                raise corrupt(self.path, "its header was exchanged")
            self._read_manifest()
            known = {self._seals.table(table): table for table in self._totals}
            found = dict.fromkeys(self._totals, (0, 0))
            for tbl, shelf, *line in self._db.execute(
                "SELECT tbl, shelf, place, row, version, nonce, sealed FROM record"
            ):
                if tbl not in known:
                    raise corrupt(self.path, "it holds records of a table it does not know")
                table, row = known[tbl], self._row(line)
                record = self._open(table, tbl, row)
                if shelf != self._seals.shelf(tbl, record.id.rpartition("/")[0]):
                    raise corrupt(self.path, f"a record of {table} stands on the wrong shelf")
                count, total = found[table]
                found[table] = (count + 1, (total + self._seals.hash(tbl, row)) % SUM_MODULUS)
            for table, expected in self._totals.items():
                if found[table] != expected:
                    raise self._incomplete(table, expected[0], found[table][0])
            return self.tables()

    # ------------------------------------------------------------------------------------------------------- inside

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[None]:
        self._db.execute("BEGIN IMMEDIATE")
        try:
            stored = self._db.execute("SELECT value FROM manifest WHERE one = 1").fetchone()
            if stored is None or stored[0] != self._stored:
                raise Conflict(
                    "another process has written to this vault",
                    hint="nothing was changed; end the other process and try again",
                    code="vault-shared",
                )
            yield
            self._db.execute("COMMIT")
        except BaseException:
            if self._db.in_transaction:
                self._db.execute("ROLLBACK")
            raise

    def _store_manifest(self, generation: int, totals: Mapping[str, tuple[int, int]]) -> bytes:
        lines = tuple(
            Total(table, count, total.to_bytes(32, "big")) for table, (count, total) in sorted(totals.items()) if count
        )
        stored = self._seals.seal_manifest(Manifest(generation, lines))
        self._db.execute("INSERT OR REPLACE INTO manifest VALUES (1, ?)", (stored,))
        return stored

    def _read_manifest(self) -> None:
        line = self._db.execute("SELECT value FROM manifest WHERE one = 1").fetchone()
        if line is None or not isinstance(line[0], bytes):
            raise corrupt(self.path, "its manifest is missing")
        try:
            manifest = self._seals.open_manifest(line[0])
        except (Malformed, CannotOpen) as e:
            raise corrupt(self.path, "its manifest does not open") from e
        self._stored = line[0]
        self._generation = manifest.generation
        self._totals = {t.table: (t.count, int.from_bytes(t.sum, "big")) for t in manifest.totals}
        self._places.clear()
        (self._last,) = self._db.execute("SELECT coalesce(max(place), 0) FROM record").fetchone()

    def _row(self, line: Sequence[object]) -> Row:
        match line:
            case [int(place), bytes(row), int(version), bytes(nonce), bytes(sealed)] if (
                version >= 0 and place >= 0 and len(row) == 16 and len(nonce) == 12
            ):
                return Row(place, row, version, nonce, sealed)
        raise corrupt(self.path, "a record has fields of the wrong kind")

    def _open(self, table: str, tbl: bytes, row: Row) -> Record:
        try:
            return self._seals.open(tbl, row)
        except CannotOpen as e:
            raise corrupt(self.path, f"a record of {table} {e.message}") from e

    def _incomplete(self, table: str, expected: int, found: int) -> SecurechanError:
        if found != expected:
            return corrupt(self.path, f"{table} holds {found} records where {expected} were written")
        return corrupt(self.path, f"{table} holds a record in an older form than the one written last")
