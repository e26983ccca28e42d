"""The file that a vault lies in: SQLite in WAL with full sync, a header before all, and a hint for every fault.

A header stands in it with a checksum, so that a damaged lid isn't taken for a wrong passphrase. What SQLite raises is
turned into what its reader should do. `securechan.errors` says what the kinds mean.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import hmac
import os
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Final

from clients.locked import Locked
from clients.sealing import SCHEMA
from securechan.codec import Struct, fixed
from securechan.errors import CannotOpen, Conflict, Malformed, Misuse, NotReady, SecurechanError

APPLICATION_ID: Final = 0x53435631  # "SCV1", in the header of the SQLite file

_TABLES: Final = (
    "CREATE TABLE header (one INTEGER PRIMARY KEY CHECK (one = 1), value BLOB NOT NULL)",
    "CREATE TABLE manifest (one INTEGER PRIMARY KEY CHECK (one = 1), value BLOB NOT NULL)",
    """CREATE TABLE record (
        place INTEGER PRIMARY KEY, tbl BLOB NOT NULL, row BLOB NOT NULL, shelf BLOB NOT NULL,
        version INTEGER NOT NULL, nonce BLOB NOT NULL, sealed BLOB NOT NULL)""",
    "CREATE UNIQUE INDEX record_row ON record (tbl, row)",
    "CREATE INDEX record_shelf ON record (tbl, shelf, place)",
)


class Header(Struct):
    vault: Annotated[bytes, fixed(16)]
    lid: Locked


def checked(header: bytes) -> bytes:
    """A header with its checksum before it."""
    return hashlib.sha256(header).digest() + header


def parse_header(path: Path, stored: bytes) -> Header:
    """Raises CannotOpen."""
    try:
        if not hmac.compare_digest(stored, checked(stored[32:])):
            raise corrupt(path, "its header was damaged")
        return Header.decode(stored[32:])
    except (Malformed, TypeError) as e:
        raise corrupt(path, "its header was damaged") from e


def read_header(path: Path) -> Header:
    """The header of the vault at ``path``. Raises NotReady, CannotOpen, Conflict."""
    try:
        mode = path.stat().st_mode
        with path.open("rb") as file:
            head = file.read(16)
    except FileNotFoundError:
        raise NotReady(
            f"there is no vault at {path}", hint="enrol this device: securechan enrol -", code="not-enrolled"
        ) from None
    except OSError as e:
        raise from_os(e, path) from e
    if mode & 0o077:
        raise NotReady(f"others may read the vault at {path}", hint=f"chmod 600 {path}", code="exposed")
    if not head.startswith(b"SQLite format 3\0"):
        raise corrupt(path, "it is not a vault")
    with faults(path), contextlib.closing(connect(path)) as db:
        (application,) = db.execute("PRAGMA application_id").fetchone()
        (schema,) = db.execute("PRAGMA user_version").fetchone()
        if application != APPLICATION_ID:
            raise corrupt(path, "it is not a vault")
        if schema > SCHEMA:
            raise NotReady(
                f"the vault at {path} has format {schema}, this program knows {SCHEMA}",
                hint="update securechan; nothing was changed",
                code="vault-newer",
            )
        stored = db.execute("SELECT value FROM header WHERE one = 1").fetchone()
        if stored is None:
            raise corrupt(path, "its header is missing")
        return parse_header(path, stored[0])


def lay_out(db: sqlite3.Connection, header: Header) -> None:
    """Make the tables of a new vault, within the transaction that is open."""
    for statement in _TABLES:
        db.execute(statement)
    db.execute(f"PRAGMA application_id = {APPLICATION_ID}")
    db.execute(f"PRAGMA user_version = {SCHEMA}")
    db.execute("INSERT INTO header VALUES (1, ?)", (checked(header.encode()),))


def connect(path: Path) -> sqlite3.Connection:
    """The file, opened so that what is committed is durable and what is freed is overwritten."""
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


@contextlib.contextmanager
def draft_of(path: Path, draft: Path) -> Iterator[None]:
    """``draft`` is a new file; it goes to ``path`` whole, unless what is done here fails: then nothing is left of it.

    Raises Conflict where something came to ``path`` meanwhile, NotReady.
    """
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        os.close(os.open(draft, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))
        yield
        os.link(draft, path)  # unlike a rename it never replaces what came there meanwhile
        _sync_folder(path.parent)
    except OSError as e:
        if isinstance(e, FileExistsError) and path.exists():
            raise Conflict(f"there is a vault at {path} already", hint="use another profile (--profile)") from None
        raise from_os(e, path) from e
    finally:
        for leftover in (draft, draft.with_name(f"{draft.name}-wal"), draft.with_name(f"{draft.name}-shm")):
            with contextlib.suppress(OSError):  # what went wrong above is what is told
                leftover.unlink(missing_ok=True)


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


# -------------------------------------------------------------------------------------------------------------- faults


def corrupt(path: Path, what: str) -> CannotOpen:
    """Bytes are not what was written."""
    return CannotOpen(
        f"the vault at {path} is damaged: {what}",
        hint="don't write to it again; restore the archive from a backup and enrol this device anew",
        code="vault-corrupt",
    )


def from_os(e: OSError, path: Path) -> SecurechanError:
    """What the system says about the file, as its reader should hear it."""
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
def faults(path: Path) -> Iterator[None]:
    """Turn what SQLite raises into what the reader should do."""
    try:
        yield
    except sqlite3.ProgrammingError as e:
        raise Misuse(f"the vault at {path} is closed") from e
    except UnicodeDecodeError as e:  # SQLite quotes what it can't read, and Python can't read that
        raise corrupt(path, "its tables are unreadable") from e
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
                raise corrupt(path, str(e)) from e


def lid_left(path: Path, why: str) -> NotReady:
    """The passphrase was changed, and what the old one opens is still on the disk."""
    return NotReady(
        f"the new passphrase holds, but what the old one opens is not overwritten yet: {why}",
        hint="don't change it again: mend that, then run securechan doctor, which overwrites it on its way out;"
        f" once there is no {path.name}-wal in {path.parent} any more, it is done",
        code="old-passphrase-left",
    )


@contextlib.contextmanager
def either_opens() -> Iterator[None]:
    """Where the disk fails a change of the passphrase it may have kept it all the same."""
    try:
        yield
    except NotReady as e:
        raise NotReady(
            e.message,
            hint="free some space or check the disk, then try again: the old passphrase opens the profile; should it"
            " not, the new one does",
            code=e.code,
        ) from e
