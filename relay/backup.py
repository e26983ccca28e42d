"""A relay in one file, taken while it runs or rests, and put back.

    securechan-relay backup FILE           database, keys, card, federation, configuration; 0600, for it holds the keys
    securechan-relay backup --move FILE    the same, of a relay at rest that will go on elsewhere, and here no more
    securechan-relay restore FILE          into an empty folder

    relay-backup.tar    manifest.json {"v":1,"made","relay","moved","files":{name: SHA-256}}, then the files

The copy of the database is taken by SQLite in one read transaction: it is the store as it stood between two group
commits, whatever is written meanwhile. Only of a relay that was moved is it known that nothing was acknowledged after
it: the folder it was taken from starts no relay again.

What an older copy costs. Members keep the history chain of all they have read. A relay that goes on from an older
state has forgotten entries that it acknowledged: every member that is ahead of it says so at once (an alarm, and its
sending is held), key packages would go out twice, and a trust log that has lost an entry stops every client. So
`restore` takes a copy of a relay that was not moved only when it is told to, takes out the key packages, and leaves a
note that `status` repeats. What loses nothing is a mirror (`relay.mirror`), which `restore` takes as well.
"""

from __future__ import annotations

import fcntl
import hashlib
import io
import json
import os
import re
import shutil
import sqlite3
import tarfile
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from relay import keys as keyring
from relay.config import FILE, load
from securechan.errors import Conflict, Denied, NotFound, NotReady, Unfit

MANIFEST: Final = "manifest.json"
MOVED: Final = "moved.json"  # in a folder whose relay goes on elsewhere
NOTE: Final = "restored.json"  # in the folder of a relay that has forgotten something
_NAMES: Final = re.compile(r"relay\.db|relay\.toml|card\.json|federation\.json|restored\.json|keys/[a-z0-9-]+\.json")
_CHUNK: Final = 1 << 20


@dataclass(frozen=True, slots=True)
class Manifest:
    """What a backup says of itself. ``made`` in Unix seconds; ``files``: name → SHA-256 in hex."""

    relay: str
    made: int
    moved: bool
    files: dict[str, str]

    def encode(self) -> bytes:
        said = {"v": 1, "relay": self.relay, "made": self.made, "moved": self.moved, "files": self.files}
        return json.dumps(said, indent=2).encode() + b"\n"

    @classmethod
    def decode(cls, content: bytes) -> Manifest:
        """Raises `Unfit`."""
        try:
            said = json.loads(content)
            if said["v"] != 1 or not all(_NAMES.fullmatch(name) for name in said["files"]):
                raise ValueError("of another version")
            return cls(str(said["relay"]), int(said["made"]), said["moved"] is True, dict(said["files"]))
        except (ValueError, KeyError, TypeError) as error:
            raise Unfit(f"that is no backup of a relay: {error}", hint="name a file that backup wrote") from None


# ---------------------------------------------------------------------------------------------------------------- out


def backup(home: Path, target: Path, *, move: bool = False) -> dict[str, Any]:
    """Write the relay in ``home`` to ``target``, whole or not at all; what stands in the manifest. ``move``: it goes on
    elsewhere, and never again here.

    Raises `NotReady` where there is no relay or its database can't be read, `Conflict` where ``target`` exists, or a
    relay that is to be moved runs or was moved before."""
    stay(home)
    settings = load(home)
    if not keyring.exist(home):
        raise NotReady(f"there is no relay in {home}", hint="make one with: securechan-relay init")
    if target.exists():
        raise Conflict(f"{target} exists already", hint="name another file")
    with _told(home), _resting(home) as rests, _told(target):
        if move and not rests:
            raise Conflict(f"a relay runs on {home}", hint="securechan-relay drain, then move it")
        manifest = _moved(home, target, settings.name) if move else pack(home, target, settings.name)
    size = target.stat().st_size
    return {"file": str(target), "relay": settings.name, "made": manifest.made, "moved": move, "size": size}


def _moved(home: Path, target: Path, name: str) -> Manifest:
    """Write what is in ``home``, which from before that on starts no relay: if the power goes between the two, there is
    a folder to be looked at, and never two that go on."""
    keyring.write_private(home / MOVED, json.dumps({"v": 1, "at": int(time.time())}).encode() + b"\n")
    try:
        folder = os.open(home, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
        return pack(home, target, name, moved=True)
    except BaseException:
        (home / MOVED).unlink()
        raise


@contextmanager
def _told(path: Path) -> Iterator[None]:
    """What the system refuses, with a hint."""
    try:
        yield
    except OSError as error:
        raise NotReady(
            f"{path} can't be used: {error.strerror or error}", hint="check the folder, its permissions and its room"
        ) from None


def pack(home: Path, target: Path, name: str, *, moved: bool = False) -> Manifest:
    """Write what is in ``home`` to ``target``, whole or not at all. What another store than the embedded one holds is
    its own operator's to keep. Raises `NotReady` where the database can't be read, `Conflict`, OSError."""
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=".backup-") as aside:
        copy = Path(aside) / keyring.DATABASE
        files = {name: home / name for name in (FILE, keyring.CARD, keyring.BUNDLE, NOTE) if (home / name).exists()}
        files |= {f"{keyring.FOLDER}/{path.name}": path for path in sorted((home / keyring.FOLDER).glob("*.json"))}
        if (home / keyring.DATABASE).exists():
            _copy(home / keyring.DATABASE, copy)
            files[keyring.DATABASE] = copy
        manifest = Manifest(name, int(time.time()), moved, {name: _sum(path) for name, path in files.items()})
        draft = Path(aside) / "tar"
        with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as out:
            with tarfile.open(fileobj=out, mode="w") as tar:
                _add(tar, MANIFEST, manifest.encode())
                for inside, path in files.items():
                    info = tar.gettarinfo(path, inside)
                    info.mode, info.uid, info.gid, info.uname, info.gname = 0o600, 0, 0, "", ""
                    with path.open("rb") as content:
                        tar.addfile(info, content)
            out.flush()
            os.fsync(out.fileno())
        try:
            os.link(draft, target)
        except FileExistsError:
            raise Conflict(f"{target} exists already", hint="name another file") from None
    return manifest


def stay(home: Path) -> None:
    """Raises `Conflict` where the relay of this folder was moved: two that go on from one state would fork every
    history."""
    if (home / MOVED).exists():
        raise Conflict(
            f"the relay in {home} was moved away: its backup says how it goes on",
            hint=f"restore that; only if it never ran elsewhere, delete {home / MOVED}",
            code="moved",
        )


@contextmanager
def _resting(home: Path) -> Iterator[bool]:
    """Whether no relay runs on the folder; none can start meanwhile."""
    lock = os.open(home / f"{keyring.DATABASE}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
        else:
            yield True
    finally:
        os.close(lock)


def _copy(source: Path, target: Path) -> None:
    """The database as it stands between two transactions, checked."""
    try:
        held = sqlite3.connect(source, timeout=30)
        try:
            os.close(os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
            made = sqlite3.connect(target)
            try:
                held.backup(made)
                made.execute("pragma journal_mode=delete")  # one file, nothing beside it
                (said,) = made.execute("pragma quick_check(1)").fetchone()
            finally:
                made.close()
        finally:
            held.close()
    except sqlite3.Error as error:
        raise NotReady(f"{source} can't be copied: {error}", hint="is the disk sound, and has it room?") from None
    if said != "ok":
        raise NotReady(f"the copy of {source} is damaged: {said}", hint="is the disk sound?")


def _add(tar: tarfile.TarFile, name: str, content: bytes) -> None:
    info = tarfile.TarInfo(name)
    info.size, info.mode, info.mtime = len(content), 0o600, int(time.time())
    tar.addfile(info, io.BytesIO(content))


def _sum(path: Path) -> str:
    with path.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()


# ----------------------------------------------------------------------------------------------------------------- in


def restore(source: Path, home: Path, *, accept_loss: bool = False) -> dict[str, Any]:
    """Put a backup back into ``home``, which holds no relay yet, whole or not at all; what stands in its manifest.

    Raises `NotFound`, `Unfit` for what is no sound backup, `Conflict` where there is a relay, `Denied` where the backup
    is not of a relay that was moved and ``accept_loss`` was not said."""
    if not source.exists():
        raise NotFound(f"{source} does not exist", hint="name a file that backup wrote")
    with into(home) as aside, _told(source):
        manifest = unpack(source, aside)
        lost = not manifest.moved and keyring.DATABASE in manifest.files
        if lost and not accept_loss:
            raise Denied(
                f"{source} is {_ago(manifest.made)} old: what the relay acknowledged after that would be forgotten, "
                "and members that have read it raise alarms",
                hint="use the newest state there is; where this is it, say --accept-loss, and tell the agencies",
                code="not-newest",
            )
        if lost:
            _forget_packages(aside / keyring.DATABASE)
            note = {"v": 1, "made": manifest.made, "restored": int(time.time())}
            keyring.replace(aside / NOTE, json.dumps(note).encode() + b"\n")
    return {"home": str(home), "relay": manifest.relay, "made": manifest.made, "moved": manifest.moved, "lost": lost}


@contextmanager
def into(home: Path) -> Iterator[Path]:
    """A folder to put a relay's files into, which becomes ``home`` when all went well. Raises `Conflict` where that is
    not empty."""
    if home.exists() and any(home.iterdir()):
        raise Conflict(f"{home} is not empty", hint="restore into an empty folder")
    with _told(home):
        home.parent.mkdir(parents=True, exist_ok=True)
        aside = Path(tempfile.mkdtemp(dir=home.parent, prefix=f".{home.name}-"))
    try:
        yield aside
        keyring.load(aside)
        with suppress(FileNotFoundError):
            home.rmdir()
        aside.rename(home)
    except BaseException:
        shutil.rmtree(aside, ignore_errors=True)
        raise


def same_relay(source: Path, home: Path) -> bool:
    """Whether a backup is of the relay in ``home``: whether it has the same online key. Raises `Unfit`, OSError."""
    name = f"{keyring.FOLDER}/{keyring.ONLINE}"
    try:
        with tarfile.open(source, mode="r:") as tar:
            stream = tar.extractfile(MANIFEST)
            held = Manifest.decode(stream.read(_CHUNK) if stream else b"").files.get(name)
    except (tarfile.TarError, EOFError, KeyError) as error:
        raise Unfit(f"{source} is no backup of a relay: {error}", hint="take it away, if nothing needs it") from None
    return held == _sum(home / name)


def unpack(source: Path, folder: Path) -> Manifest:
    """The files of a backup, each compared with its sum. Nothing is taken from it but contents of names that are known.
    Raises `Unfit`."""
    folder.chmod(0o700)
    (folder / keyring.FOLDER).mkdir(mode=0o700)
    try:
        with tarfile.open(source, mode="r:") as tar:
            first = tar.next()
            stream = None if first is None or first.name != MANIFEST else tar.extractfile(first)
            if stream is None:
                raise Unfit(f"{source} is no backup of a relay", hint="name a file that backup wrote")
            manifest = Manifest.decode(stream.read(_CHUNK))
            missing = dict(manifest.files)
            while (member := tar.next()) is not None:
                wanted = missing.pop(member.name, None)
                content = tar.extractfile(member) if member.isreg() else None
                if wanted is None or content is None or _write(folder / member.name, content) != wanted:
                    raise Unfit(
                        f"{source}: {member.name[:80]!r} is not what the manifest says", hint="use another copy"
                    )
    except (tarfile.TarError, EOFError) as error:
        raise Unfit(f"{source} is damaged or no backup: {error}", hint="use another copy") from None
    if missing:
        raise Unfit(f"{source} lacks {', '.join(sorted(missing))}", hint="use another copy")
    return manifest


def _write(path: Path, content: Any) -> str:
    found = hashlib.sha256()
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as out:
        while chunk := content.read(_CHUNK):
            found.update(chunk)
            out.write(chunk)
        out.flush()
        os.fsync(out.fileno())
    return found.hexdigest()


def _forget_packages(database: Path) -> None:
    """Which key packages were handed out since then, nobody knows: devices put new ones, the last resort remains."""
    db = sqlite3.connect(database)
    try:
        with db:
            db.execute("delete from package")
    finally:
        db.close()


def note(home: Path) -> dict[str, Any] | None:
    """Of a relay that has forgotten something: from when its state is, and when it was put back (Unix seconds)."""
    try:
        found: dict[str, Any] = json.loads((home / NOTE).read_bytes())
    except FileNotFoundError:
        return None
    return found


def _ago(then: int) -> str:
    minutes = max(0, int(time.time()) - then) // 60
    return f"{minutes} min" if minutes < 120 else f"{minutes // 60} h" if minutes < 2880 else f"{minutes // 1440} d"
