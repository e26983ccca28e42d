"""Everything a device knows, on disk: records sealed one by one, adopted many at once.

    passphrase ─ Argon2id ─► lid ─ opens ─► vault key ─┬─ names       row = HMAC(table, id): the file shows no names
                                                       ├─ records     one key for each (row, version)
                                                       ├─ sums        what notices a row that was taken or put back
                                                       └─ manifest    one key for each generation

``adopt(writes)`` is the only way in and is one SQLite transaction (WAL, full sync): a crash leaves the old state or the
new one. Each transaction is a *generation*; a record's version is the generation that wrote it, so that no two writings
of a record share a version. Whoever finds another generation on disk than the one it left has a rival, and stops.

**What an attacker with the file can do.** Read sizes, counts and which rows changed between two copies; not names, not
content. Altering a record, moving it to another row, table or place in the order, or relabelling its version fails its
tag. Deleting a record or putting an older one back leaves every tag right, so the sealed manifest holds for each table
the number of its records and the sum, modulo 2^256, of a keyed hash over each (row, version, place, nonce, tag):
`all` and `check` compare. (Keyed, additive multiset hash: without the key, whose outputs are never stored, no other set
of rows with the same sum can be found.) Putting the whole file back is a rollback; the log at the relay tells that.

**Nonces.** A record's key is HKDF-Expand(vault key, row ‖ version), so within one history a key seals once. A restored
copy of the file could come to the same version again with other content; the nonce is 96 random bits besides, so that
even then two sealings collide with probability 2^-96 for each restored copy. The same holds for the manifest, by
generation. No key ever comes near the 2^32 sealings that random nonces allow (NIST SP 800-38D §8.3).

**What is erased.** ``secure_delete`` overwrites what a page frees; the log is folded back and truncated every 256 pages
and on closing. What a flash drive keeps of overwritten blocks is beyond any program: encrypt the disk as well.

Records of one table may stand on a *shelf*: what precedes the last ``/`` of an id. ``range`` reads one shelf in the
order of first writing, forwards or from its end, which is how an archive of any length is read in pieces.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import hmac
import os
import secrets
import sqlite3
import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Final, Protocol, Self

from clients.locked import COST, Cost, Locked
from securechan.codec import U32, U64, Struct, fixed, opaque, text
from securechan.crypto.aead import AES256GCM
from securechan.crypto.kdf import SHA256
from securechan.crypto.secret import Secret
from securechan.errors import CannotOpen, Conflict, Malformed, Misuse, NotFound, NotReady, SecurechanError

APPLICATION_ID: Final = 0x53435631  # "SCV1", in the header of the SQLite file
SCHEMA: Final = 1
MAX_RECORD: Final = 64 << 20  # bytes of one value

_MOST_PLACES: Final = 1 << 14  # records whose places are remembered

_PURPOSE: Final = b"vault"
_SUM_MODULUS: Final = 1 << 256
_TABLES: Final = (
    "CREATE TABLE header (one INTEGER PRIMARY KEY CHECK (one = 1), value BLOB NOT NULL)",
    "CREATE TABLE manifest (one INTEGER PRIMARY KEY CHECK (one = 1), value BLOB NOT NULL)",
    """CREATE TABLE record (
        place INTEGER PRIMARY KEY, tbl BLOB NOT NULL, row BLOB NOT NULL, shelf BLOB NOT NULL,
        version INTEGER NOT NULL, nonce BLOB NOT NULL, sealed BLOB NOT NULL)""",
    "CREATE UNIQUE INDEX record_row ON record (tbl, row)",
    "CREATE INDEX record_shelf ON record (tbl, shelf, place)",
)


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


class _Header(Struct):
    vault: Annotated[bytes, fixed(16)]
    lid: Locked


class _Total(Struct):
    """What one table holds: how many records, and the sum of their hashes."""

    table: Annotated[str, text(64)]
    count: U64
    sum: Annotated[bytes, fixed(32)]


class _Manifest(Struct):
    generation: U64
    totals: tuple[_Total, ...]


class _SealedManifest(Struct):
    schema: U32
    generation: U64
    nonce: Annotated[bytes, fixed(12)]
    sealed: Annotated[bytes, opaque(1 << 20)]


class _Record(Struct):
    id: Annotated[str, text(1024)]
    value: Annotated[bytes, opaque(MAX_RECORD)]


@dataclass(frozen=True, slots=True)
class _Row:
    """A record as it lies there."""

    place: int
    row: bytes
    version: int
    nonce: bytes
    sealed: bytes


_COLUMNS: Final = "place, row, version, nonce, sealed"


class Vault:
    """An open vault. All methods may be called from any thread, one at a time; none waits for anything but the disk.

    Errors: NotReady for a missing vault, a wrong passphrase or a newer format; CannotOpen (``vault-corrupt``) where
    bytes are not what was written; NotReady (``disk-full``) where nothing more fits; Conflict where another process
    writes to the same file. An ``adopt`` that raises has changed nothing.
    """

    def __init__(self, path: Path, db: sqlite3.Connection, header: _Header, key: Secret) -> None:
        self.path = path
        self._db = db
        self._header = header
        self._names = _subkey(key, b"names")
        self._records = _subkey(key, b"records")
        self._sums = _subkey(key, b"sums")
        self._manifests = _subkey(key, b"manifest")
        self._key = key
        self._lock = threading.RLock()
        self._stored = b""
        self._generation = 0
        self._totals: dict[str, tuple[int, int]] = {}
        self._tables: dict[str, bytes] = {}  # their names in the file
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
        header = _Header(identity, Locked.lock(key, passphrase, purpose=_PURPOSE + identity, cost=cost))
        try:
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            os.close(os.open(draft, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))
            with _faults(draft), contextlib.closing(_connect(draft)) as db:
                db.execute("BEGIN IMMEDIATE")
                for statement in _TABLES:
                    db.execute(statement)
                db.execute(f"PRAGMA application_id = {APPLICATION_ID}")
                db.execute(f"PRAGMA user_version = {SCHEMA}")
                db.execute("INSERT INTO header VALUES (1, ?)", (_checked(header.encode()),))
                vault = cls(draft, db, header, key)
                vault._stored = vault._store_manifest(0, {})
                db.execute("COMMIT")
                if writes:
                    vault.adopt(writes)
                db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            os.link(draft, path)  # unlike a rename it never replaces what came there meanwhile
            _sync_folder(path.parent)
        except OSError as e:
            if isinstance(e, FileExistsError) and path.exists():
                raise Conflict(f"there is a vault at {path} already", hint="use another profile (--profile)") from None
            raise _from_os(e, path) from e
        finally:
            for leftover in (draft, _beside(draft, "-wal"), _beside(draft, "-shm")):
                with contextlib.suppress(OSError):  # what went wrong above is what is told
                    leftover.unlink(missing_ok=True)
        return cls._load(path, header, key)

    @classmethod
    def open(cls, path: Path, passphrase: str) -> Self:
        """The vault at ``path``. Takes about 0.3 s, for the passphrase."""
        header = cls._read_header(path)
        key = header.lid.unlock(passphrase, purpose=_PURPOSE + header.vault)
        return cls._load(path, header, key)

    @classmethod
    def _read_header(cls, path: Path) -> _Header:
        try:
            mode = path.stat().st_mode
            with path.open("rb") as file:
                head = file.read(16)
        except FileNotFoundError:
            raise NotReady(
                f"there is no vault at {path}", hint="enrol this device: securechan enrol -", code="not-enrolled"
            ) from None
        except OSError as e:
            raise _from_os(e, path) from e
        if mode & 0o077:
            raise NotReady(f"others may read the vault at {path}", hint=f"chmod 600 {path}", code="exposed")
        if not head.startswith(b"SQLite format 3\0"):
            raise _corrupt(path, "it is not a vault")
        with _faults(path), contextlib.closing(_connect(path)) as db:
            (application,) = db.execute("PRAGMA application_id").fetchone()
            (schema,) = db.execute("PRAGMA user_version").fetchone()
            if application != APPLICATION_ID:
                raise _corrupt(path, "it is not a vault")
            if schema > SCHEMA:
                raise NotReady(
                    f"the vault at {path} has format {schema}, this program knows {SCHEMA}",
                    hint="update securechan; nothing was changed",
                    code="vault-newer",
                )
            stored = db.execute("SELECT value FROM header WHERE one = 1").fetchone()
            if stored is None:
                raise _corrupt(path, "its header is missing")
            return _parse_header(path, stored[0])

    @classmethod
    def _load(cls, path: Path, header: _Header, key: Secret) -> Self:
        with _faults(path):
            db = _connect(path)
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
        tbl = self._table_name(table)
        with self._lock, _faults(self.path):
            found = self._db.execute(
                f"SELECT {_COLUMNS} FROM record WHERE tbl = ? AND row = ?",  # noqa: S608 - a constant of this file
                (tbl, self._row_name(tbl, id)),
            ).fetchone()
        return None if found is None else self._open(table, tbl, self._row(found)).value

    def all(self, table: str) -> dict[str, bytes]:
        """All records of a table in the order of first writing, held against the manifest: none misses, none is old."""
        tbl = self._table_name(table)
        found: dict[str, bytes] = {}
        total = 0
        with self._lock, _faults(self.path):
            expected = self._totals.get(table, (0, 0))
            for line in self._db.execute(
                f"SELECT {_COLUMNS} FROM record WHERE tbl = ? ORDER BY place",  # noqa: S608 - likewise
                (tbl,),
            ):
                row = self._row(line)
                record = self._open(table, tbl, row)
                found[record.id] = record.value
                digest = self._hash(tbl, row)
                total = (total + digest) % _SUM_MODULUS
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
        tbl = self._table_name(table)
        with self._lock, _faults(self.path):
            edge = (1 << 62) if newest else -1
            if after is not None:
                at = self._db.execute(
                    "SELECT place FROM record WHERE tbl = ? AND row = ?", (tbl, self._row_name(tbl, after))
                ).fetchone()
                if at is None:
                    raise NotFound(f"no record {after!r} in {table}")
                edge = at[0]
            compare, order = ("<", "DESC") if newest else (">", "ASC")
            lines = self._db.execute(
                f"SELECT {_COLUMNS} FROM record WHERE tbl = ? AND shelf = ?"  # noqa: S608 - constants of this file
                f" AND place {compare} ? ORDER BY place {order} LIMIT ?",
                (tbl, self._shelf_name(tbl, shelf), edge, limit),
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
        with self._lock, _faults(self.path), self._transaction():
            generation = self._generation + 1
            totals, places, last = dict(self._totals), dict[bytes, tuple[int, int] | None](), self._last
            for (table, id_), value in changes.items():
                tbl = self._table_name(table)
                row = self._row_name(tbl, id_)
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
                    fresh = self._seal(tbl, row, old[0] if old else last, generation, _Record(id_, bytes(value)))
                    digest = self._hash(tbl, fresh)
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
                        shelf = self._shelf_name(tbl, id_.rpartition("/")[0])
                        self._db.execute(
                            "INSERT INTO record (place, tbl, row, shelf, version, nonce, sealed)"
                            " VALUES (?, ?, ?, ?, ?, ?, ?)",
                            (fresh.place, tbl, row, shelf, generation, fresh.nonce, fresh.sealed),
                        )
                totals[table] = (count, total % _SUM_MODULUS)
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
            raise _corrupt(self.path, f"a record of {table} is not where it was written")

    def _find(self, tbl: bytes, row: bytes) -> tuple[int, int] | None:
        """Where a record lies, and its hash."""
        line = self._db.execute(
            "SELECT place, row, version, nonce, substr(sealed, -16) FROM record WHERE tbl = ? AND row = ?", (tbl, row)
        ).fetchone()
        return None if line is None else (line[0], self._hash(tbl, self._row(line)))

    def change_passphrase(self, passphrase: str, *, cost: Cost = COST) -> None:
        """Lock the vault key under another passphrase. A copy of the file made before still opens with the old one."""
        lid = Locked.lock(self._key, passphrase, purpose=_PURPOSE + self._header.vault, cost=cost)
        header = _Header(self._header.vault, lid)
        with self._lock, _faults(self.path):
            with self._transaction():
                self._db.execute("UPDATE header SET value = ? WHERE one = 1", (_checked(header.encode()),))
            self._header = header
            self._db.execute("PRAGMA wal_checkpoint(TRUNCATE)")  # the old lid must not stay in the log

    # ----------------------------------------------------------------------------------------------------- checking

    def check(self) -> dict[str, int]:
        """Read everything and hold it against the manifest; the tables and their counts. For ``doctor``.

        Raises CannotOpen (``vault-corrupt``), naming what is wrong.
        """
        with self._lock, _faults(self.path):
            problems = [line[0] for line in self._db.execute("PRAGMA integrity_check(3)")]
            if problems != ["ok"]:
                raise _corrupt(self.path, "; ".join(problems))
            header = self._db.execute("SELECT value FROM header WHERE one = 1").fetchone()
            if header is None or _parse_header(self.path, header[0]) != self._header:
                raise _corrupt(self.path, "its header was exchanged")
            self._read_manifest()
            known = {self._table_name(table): table for table in self._totals}
            found = dict.fromkeys(self._totals, (0, 0))
            for tbl, shelf, *line in self._db.execute(f"SELECT tbl, shelf, {_COLUMNS} FROM record"):  # noqa: S608 - likewise
                if tbl not in known:
                    raise _corrupt(self.path, "it holds records of a table it does not know")
                table, row = known[tbl], self._row(line)
                record = self._open(table, tbl, row)
                if shelf != self._shelf_name(tbl, record.id.rpartition("/")[0]):
                    raise _corrupt(self.path, f"a record of {table} stands on the wrong shelf")
                count, total = found[table]
                found[table] = (count + 1, (total + self._hash(tbl, row)) % _SUM_MODULUS)
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
            _Total(table, count, total.to_bytes(32, "big")) for table, (count, total) in sorted(totals.items()) if count
        )
        nonce = secrets.token_bytes(12)
        sealed = AES256GCM.seal(
            self._manifest_key(generation), nonce, self._header.vault, _Manifest(generation, lines).encode()
        )
        stored = _SealedManifest(SCHEMA, generation, nonce, sealed).encode()
        self._db.execute("INSERT OR REPLACE INTO manifest VALUES (1, ?)", (stored,))
        return stored

    def _read_manifest(self) -> None:
        line = self._db.execute("SELECT value FROM manifest WHERE one = 1").fetchone()
        if line is None or not isinstance(line[0], bytes):
            raise _corrupt(self.path, "its manifest is missing")
        try:
            outer = _SealedManifest.decode(line[0])
            opened = AES256GCM.open(self._manifest_key(outer.generation), outer.nonce, self._header.vault, outer.sealed)
            manifest = _Manifest.decode(opened)
        except (Malformed, CannotOpen) as e:
            raise _corrupt(self.path, "its manifest does not open") from e
        self._stored = line[0]
        self._generation = manifest.generation
        self._totals = {t.table: (t.count, int.from_bytes(t.sum, "big")) for t in manifest.totals}
        self._places.clear()
        (self._last,) = self._db.execute("SELECT coalesce(max(place), 0) FROM record").fetchone()

    def _row(self, line: Sequence[object]) -> _Row:
        match line:
            case [int(place), bytes(row), int(version), bytes(nonce), bytes(sealed)] if (
                version >= 0 and place >= 0 and len(row) == 16 and len(nonce) == 12
            ):
                return _Row(place, row, version, nonce, sealed)
        raise _corrupt(self.path, "a record has fields of the wrong kind")

    def _seal(self, tbl: bytes, row: bytes, place: int, version: int, record: _Record) -> _Row:
        nonce = secrets.token_bytes(12)
        sealed = AES256GCM.seal(
            self._record_key(tbl, row, version), nonce, self._aad(tbl, row, place, version), record.encode()
        )
        return _Row(place, row, version, nonce, sealed)

    def _open(self, table: str, tbl: bytes, row: _Row) -> _Record:
        try:
            record = _Record.decode(
                AES256GCM.open(
                    self._record_key(tbl, row.row, row.version),
                    row.nonce,
                    self._aad(tbl, row.row, row.place, row.version),
                    row.sealed,
                )
            )
        except (Malformed, CannotOpen) as e:
            raise _corrupt(self.path, f"a record of {table} was altered") from e
        if self._row_name(tbl, record.id) != row.row:
            raise _corrupt(self.path, f"a record of {table} lies in another's place")
        return record

    def _hash(self, tbl: bytes, row: _Row) -> int:
        """What a record adds to the sum of its table: a keyed hash of what identifies this very sealing of it."""
        numbers = row.version.to_bytes(8, "big") + row.place.to_bytes(8, "big")
        digest = hmac.digest(self._sums, tbl + row.row + numbers + row.nonce + row.sealed[-16:], "sha256")
        return int.from_bytes(digest, "big")

    def _table_name(self, table: str) -> bytes:
        name = self._tables.get(table)
        if name is None:
            name = self._tables[table] = hmac.digest(self._names, b"table" + table.encode(), "sha256")[:16]
        return name

    def _row_name(self, tbl: bytes, id_: str) -> bytes:
        return hmac.digest(self._names, b"row" + tbl + id_.encode(), "sha256")[:16]

    def _shelf_name(self, tbl: bytes, shelf: str) -> bytes:
        return hmac.digest(self._names, b"shelf" + tbl + shelf.encode(), "sha256")[:16]

    def _record_key(self, tbl: bytes, row: bytes, version: int) -> Secret:
        return SHA256.expand(self._records, tbl + row + version.to_bytes(8, "big"), 32)

    def _manifest_key(self, generation: int) -> Secret:
        return SHA256.expand(self._manifests, generation.to_bytes(8, "big"), 32)

    def _aad(self, tbl: bytes, row: bytes, place: int, version: int) -> bytes:
        return self._header.vault + tbl + row + place.to_bytes(8, "big") + version.to_bytes(8, "big")

    def _incomplete(self, table: str, expected: int, found: int) -> SecurechanError:
        if found != expected:
            return _corrupt(self.path, f"{table} holds {found} records where {expected} were written")
        return _corrupt(self.path, f"{table} holds a record in an older form than the one written last")


# ------------------------------------------------------------------------------------------------------------- helpers


def _connect(path: Path) -> sqlite3.Connection:
    db = sqlite3.connect(path, timeout=2.0, isolation_level=None, check_same_thread=False)
    try:
        db.execute("PRAGMA journal_mode = WAL").fetchone()
        db.execute("PRAGMA synchronous = FULL")
        db.execute("PRAGMA secure_delete = ON").fetchone()
        db.execute("PRAGMA wal_autocheckpoint = 256").fetchone()
        db.execute("PRAGMA journal_size_limit = 0").fetchone()
        db.execute("PRAGMA trusted_schema = OFF")
        db.execute("PRAGMA cell_size_check = ON")
    except BaseException:
        db.close()
        raise
    return db


def _subkey(key: Secret, label: bytes) -> Secret:
    return SHA256.expand(key, b"securechan/1 vault " + label, 32)


def _checked(header: bytes) -> bytes:
    """A header with a checksum before it, so that a damaged lid isn't taken for a wrong passphrase."""
    return hashlib.sha256(header).digest() + header


def _parse_header(path: Path, stored: bytes) -> _Header:
    try:
        if not hmac.compare_digest(stored, _checked(stored[32:])):
            raise _corrupt(path, "its header was damaged")
        return _Header.decode(stored[32:])
    except (Malformed, TypeError) as e:
        raise _corrupt(path, "its header was damaged") from e


def _beside(path: Path, suffix: str) -> Path:
    return path.with_name(path.name + suffix)


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _corrupt(path: Path, what: str) -> CannotOpen:
    return CannotOpen(
        f"the vault at {path} is damaged: {what}",
        hint="don't write to it again; restore the archive from a backup and enrol this device anew",
        code="vault-corrupt",
    )


def _from_os(e: OSError, path: Path) -> SecurechanError:
    if e.errno in (errno.ENOSPC, errno.EDQUOT):
        return _full(path)
    return NotReady(f"{path}: {e.strerror or e}", hint="check the folder and its permissions", code="vault-unreachable")


def _full(path: Path) -> NotReady:
    return NotReady(
        f"no room left on the disk for the vault at {path}",
        hint="free some space and run the command again: what was stored is intact, nothing was half done",
        code="disk-full",
    )


@contextlib.contextmanager
def _faults(path: Path) -> Iterator[None]:
    """Turn what SQLite raises into what the reader should do."""
    try:
        yield
    except sqlite3.ProgrammingError as e:
        raise Misuse(f"the vault at {path} is closed") from e
    except UnicodeDecodeError as e:  # SQLite quotes what it can't read, and Python can't read that
        raise _corrupt(path, "its tables are unreadable") from e
    except sqlite3.Error as e:
        code = getattr(e, "sqlite_errorcode", None)
        match None if code is None else code & 0xFF:
            case sqlite3.SQLITE_FULL:
                raise _full(path) from e
            case sqlite3.SQLITE_BUSY | sqlite3.SQLITE_LOCKED:
                raise Conflict(
                    f"another process holds the vault at {path}", hint="wait for it or end it", code="vault-shared"
                ) from e
            case sqlite3.SQLITE_CANTOPEN | sqlite3.SQLITE_PERM | sqlite3.SQLITE_READONLY | sqlite3.SQLITE_AUTH:
                raise NotReady(
                    f"the vault at {path} can't be written: {e}",
                    hint="check the folder and its permissions",
                    code="vault-unreachable",
                ) from e
            case sqlite3.SQLITE_IOERR:
                raise NotReady(
                    f"the disk fails under the vault at {path}: {e}",
                    hint="free some space or check the disk, then try again: nothing was half done",
                    code="disk-fault",
                ) from e
            case _:
                raise _corrupt(path, str(e)) from e
