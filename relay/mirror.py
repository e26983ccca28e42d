"""A second disk that knows all that was acknowledged: if the first one dies, nothing is lost.

    mirror = "/mnt/second/relay"         in relay.toml: a folder on another disk, or another machine's

    base-00000007.tar                    the relay as it was when this generation began (a `relay.backup`)
    log-00000007                         every group commit since: length u32 ‖ SHA-256 [16] ‖ its writes in JSON

A group commit is written to the log and synced there before it is committed to the database, and nothing is
acknowledged or shown before both: what a member has seen stands on both disks. A commit that the database then refuses
is taken out of the log again; one that the power took between the two was seen by nobody. A store that has done the
same writes in the same order holds the same bytes, so `restore` is the base and the log, once more. If the mirror can't
be written, the commit fails and clients are told to come back: with a mirror configured, one disk is not enough.

A new generation begins at every start, when keys come or go, and when the log is longer than what it adds to; the one
before is deleted once the new one is whole. A folder is one relay's, while it runs and after: who comes with other
keys, on the empty folder of a disk that died, say, is refused, for it would delete what is to be restored.
"""

from __future__ import annotations

import asyncio
import base64
import dataclasses
import fcntl
import hashlib
import json
import logging
import os
import re
import struct
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final, Self, get_args

from relay import backup
from relay import keys as keyring
from relay.logs import event
from relay.store.base import Append, Box, TopicKind, Write, tail_of
from relay.store.sqlite import SqliteStore
from securechan.errors import Conflict, NotFound, NotReady, SecurechanError, Unfit
from securechan.wire.frames import CommitClaim, EntryKind

log = logging.getLogger("relay.mirror")

LOCK: Final = "lock"  # in the folder: held by the relay that writes there
LEAST: Final = 256 << 20  # bytes of a log that is not yet too long
_HEAD: Final = struct.Struct(">I16s")
_NAMES: Final = re.compile(r"(base|log)-(\d{8})(\.tar)?")
_KINDS: Final[dict[str, Any]] = {kind.__name__: kind for kind in (*get_args(Write), Box)}
_ENUMS: Final[dict[str, Any]] = {kind.__name__: kind for kind in (EntryKind, TopicKind)}


# ------------------------------------------------------------------------------------------------------------- writing


class Mirror:
    """The generation that is being written. Used by the thread that writes the store, and by no other."""

    def __init__(self, home: Path, folder: Path, name: str) -> None:
        self._home = home
        self._folder = folder
        self._name = name
        self._lock = -1
        self._file = -1
        self._size = 0
        self._most = LEAST
        self._keys: frozenset[str] = frozenset()
        self._before: int | None = None  # how long the log was before a commit that is not decided yet
        self._broken = ""

    @classmethod
    def begin(cls, home: Path, folder: Path, name: str) -> Self:
        """A new generation of the store in ``home``, before anything is written to it. Raises `NotReady` where the
        folder can't be written, `Conflict` where it is another relay's."""
        mirror = cls(home, folder, name)
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            mirror._hold()
            mirror._renew()
        except SecurechanError:
            mirror.close()
            raise
        except OSError as error:
            mirror.close()
            raise NotReady(
                f"the mirror {folder} can't be written: {error.strerror or error}",
                hint="mount its disk and let the relay write there, or take mirror out of the configuration",
            ) from None
        return mirror

    def _hold(self) -> None:
        """Have the folder for ourselves. Raises `Conflict`, OSError."""
        self._lock = os.open(self._folder / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise Conflict(
                f"another process writes the mirror {self._folder}", hint="each relay has a folder of its own"
            ) from None
        for _, start in _generations(self._folder)[-1:]:
            if not backup.same_relay(start, self._home):
                raise Conflict(
                    f"the mirror {self._folder} is of a relay with other keys, and would be lost",
                    hint=f"securechan-relay restore {self._folder} --home NEW takes it up; or name another folder",
                )

    def write(self, batch: Sequence[Write]) -> None:
        """A group commit, durable here. Raises OSError: then it is not."""
        if self._broken:
            raise OSError(self._broken)
        if self._size > self._most or keyring.kem_names(self._home) != self._keys:
            self._renew()
        payload = json.dumps([_lay_down(write) for write in batch], separators=(",", ":")).encode()
        self._before = self._size
        frame = memoryview(_HEAD.pack(len(payload), hashlib.sha256(payload).digest()[:16]) + payload)
        while frame:
            written = os.write(self._file, frame)
            self._size += written
            frame = frame[written:]
        os.fdatasync(self._file)

    def settle(self) -> None:
        """The store has committed it too."""
        self._before = None

    def undo(self) -> None:
        """The store has not: take it out again. Nothing happens where there is nothing undecided."""
        if self._before is None:
            return
        try:
            os.ftruncate(self._file, self._before)
            os.lseek(self._file, 0, os.SEEK_END)
            os.fdatasync(self._file)
        except OSError as error:
            self._broken = f"the mirror holds what the store does not: {error.strerror}"
            event(log, "mirror broken", level=logging.CRITICAL, why=self._broken)
        self._size, self._before = self._before, None

    def close(self) -> None:
        """Write no more."""
        if self._file >= 0:
            os.close(self._file)
            self._file = -1
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1

    def _renew(self) -> None:
        number = max((number for number, _ in _generations(self._folder)), default=0) + 1
        for left_over in self._folder.glob(f"*-{number:08d}*"):
            left_over.unlink()
        start = self._folder / f"base-{number:08d}.tar"
        self._keys = keyring.kem_names(self._home)
        backup.pack(self._home, start, self._name)
        file = os.open(self._folder / f"log-{number:08d}", os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        folder = os.open(self._folder, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
        if self._file >= 0:
            os.close(self._file)
        self._file, self._size, self._most = file, 0, max(LEAST, start.stat().st_size)
        for path in self._folder.iterdir():
            named = _NAMES.fullmatch(path.name)
            if named is not None and int(named[2]) < number:
                path.unlink()
        event(log, "mirror begun", generation=number, bytes=start.stat().st_size)


def _generations(folder: Path) -> list[tuple[int, Path]]:
    """Those whose base is whole, in order."""
    found = []
    for path in folder.glob("base-*.tar"):
        named = _NAMES.fullmatch(path.name)
        if named is not None:
            found.append((int(named[2]), path))
    return sorted(found)


def _lay_down(value: Any) -> Any:
    match value:
        case bool() | None | str():
            return value
        case bytes():
            return ["b", base64.b64encode(value).decode()]
        case EntryKind() | TopicKind():
            return ["e", type(value).__name__, int(value)]
        case int():
            return value
        case tuple():
            return ["t", [_lay_down(each) for each in value]]
        case CommitClaim():
            return ["c", base64.b64encode(value.encode()).decode()]
        case _:
            fields = {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
            if isinstance(value, Append):
                del fields["tail"]  # which its body and commit say
            return ["d", type(value).__name__, {name: _lay_down(each) for name, each in fields.items()}]


# ------------------------------------------------------------------------------------------------------------- reading


def restore(folder: Path, home: Path) -> dict[str, Any]:
    """Put the newest generation in ``folder`` back into ``home``, which holds no relay yet: all that was acknowledged.

    Raises `NotFound` where there is no generation, `Unfit` for one that is damaged, `Conflict` where there is a
    relay."""
    generations = _generations(folder)
    if not generations:
        raise NotFound(f"{folder} holds no mirror", hint="name the folder that mirror names in relay.toml")
    number, start = generations[-1]
    with backup.into(home) as aside:
        manifest = backup.unpack(start, aside)
        count = asyncio.run(_replay(aside / keyring.DATABASE, folder / f"log-{number:08d}"))
    return {"home": str(home), "relay": manifest.relay, "made": manifest.made, "commits": count, "lost": False}


async def _replay(database: Path, path: Path) -> int:
    store = await SqliteStore.open(database)
    count = 0
    try:
        for batch in batches(path):
            await store.commit(batch)
            count += 1
    finally:
        await store.close()
    return count


def batches(path: Path) -> Iterator[list[Write]]:
    """The group commits in a log, in order. One that is cut off at the end was never acknowledged, and is left out.
    Raises `Unfit` where one is damaged and others follow it."""
    if not path.exists():  # the power went between base and log: nothing was written since
        return
    end = path.stat().st_size
    with path.open("rb") as file:
        while len(head := file.read(_HEAD.size)) == _HEAD.size:
            length, wanted = _HEAD.unpack(head)
            if file.tell() + length > end:
                return
            payload = file.read(length)
            if hashlib.sha256(payload).digest()[:16] != wanted:
                if not any(file.read()):  # the last one: it was being written; a file may grow before its bytes arrive
                    return
                raise Unfit(f"{path} is damaged before its end", hint="use the first disk, or a backup")
            yield [_take_up(each) for each in json.loads(payload)]


def _take_up(said: Any) -> Any:
    if not isinstance(said, list):
        return said
    match said:
        case ["b", text]:
            return base64.b64decode(text)
        case ["e", name, number]:
            return _ENUMS[name](number)
        case ["t", values]:
            return tuple(_take_up(each) for each in values)
        case ["c", text]:
            return CommitClaim.decode(base64.b64decode(text))
        case ["d", name, fields]:
            known = {key: _take_up(each) for key, each in fields.items()}
            if name == Append.__name__:
                known["tail"] = tail_of(known["body"], known["commit"])
            return _KINDS[name](**known)
        case _:
            raise Unfit("a mirror holds what no store is asked for", hint="it was written by a later relay")
