"""Where a profile lies, and who holds it.

    SECURECHAN_HOME/            or  $XDG_STATE_HOME/securechan/  (~/.local/state/securechan/)
      config.json                   which profile is used when none is named
      profiles/NAME/                0700
        vault.db                    clients/vault.py
        keys/                       trust keys that wait for their ceremony, each under its own passphrase
        lock                        held with flock by the one process that may write; says who that is
        control                     socket of that process, while it takes errands: clients/control.py

A flag stands over the environment, the environment over ``config.json``.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import json
import os
import re
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from securechan.errors import Malformed, NotFound, NotReady

_NAME: Final = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")


# -------------------------------------------------------------------------------------------------------------- places


@dataclass(frozen=True, slots=True)
class Holder:
    """Who holds a profile: a process, what it was started as, and when (Unix seconds)."""

    pid: int
    command: str
    since: int


@dataclass(frozen=True, slots=True)
class Profile:
    """A profile by name, whether or not there is anything in it yet."""

    name: str
    folder: Path

    @property
    def vault(self) -> Path:
        return self.folder / "vault.db"

    @property
    def keys(self) -> Path:
        return self.folder / "keys"

    @property
    def control(self) -> Path:
        return self.folder / "control"

    @property
    def enrolled(self) -> bool:
        """Whether there is a vault."""
        return self.vault.exists()

    def make(self) -> None:
        """The folder, readable by its owner alone. Raises NotReady where it can't be made or others may read it."""
        try:
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            mode = self.folder.stat().st_mode
        except OSError as e:
            raise NotReady(
                f"no folder for the profile at {self.folder}: {e.strerror or e}",
                hint="set SECURECHAN_HOME to a folder that you may write to",
                code="no-profile",
            ) from e
        if mode & 0o077:
            raise NotReady(
                f"others may look into the profile at {self.folder}", hint=f"chmod 700 {self.folder}", code="exposed"
            )

    @contextlib.contextmanager
    def hold(self, command: str) -> Iterator[None]:
        """Be the one process that uses this profile. The lock goes with the process, however it ends.

        Raises NotReady (``profile-locked``), naming the holder, where there is one.
        """
        self.make()
        handle = os.open(self.folder / "lock", os.O_CREAT | os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        try:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError as e:
                if e.errno not in (errno.EAGAIN, errno.EACCES):
                    raise
                raise _locked(self, _read_holder(handle)) from None
            line = json.dumps({"pid": os.getpid(), "command": command, "since": int(time.time())})
            os.ftruncate(handle, 0)
            os.pwrite(handle, line.encode(), 0)
            yield
            os.ftruncate(handle, 0)
        finally:
            os.close(handle)

    def holder(self) -> Holder | None:
        """Who holds this profile now, or None."""
        try:
            handle = os.open(self.folder / "lock", os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)
        except FileNotFoundError:
            return None
        try:
            fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return _read_holder(handle) or Holder(0, "another process", 0)
        else:
            return None
        finally:
            os.close(handle)


def _read_holder(handle: int) -> Holder | None:
    try:
        read = json.loads(os.pread(handle, 4096, 0))
        return Holder(int(read["pid"]), str(read["command"]), int(read["since"]))
    except (ValueError, KeyError, TypeError):
        return None  # it holds the lock and hasn't written its name yet


def _locked(profile: Profile, holder: Holder | None) -> NotReady:
    if holder is None:
        who, hint = "another process", "wait until it is done, then try again"
    else:
        since = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(holder.since))
        who = f"{holder.command} (process {holder.pid}, since {since})"
        hint = (
            "wait until it is done, or end it where it runs with Ctrl-C; beside securechan watch commands needn't wait"
            f" (kill {holder.pid} where its terminal is gone)"
        )
    return NotReady(f"profile {profile.name} is in use by {who}", hint=hint, code="profile-locked")


@dataclass(frozen=True, slots=True)
class Home:
    """The folder of all profiles."""

    folder: Path

    @classmethod
    def find(cls, environment: Mapping[str, str] = os.environ) -> Home:
        """As ``SECURECHAN_HOME`` or the XDG base directories say."""
        own = environment.get("SECURECHAN_HOME")
        if own:
            return cls(Path(own).expanduser().absolute())
        state = environment.get("XDG_STATE_HOME", "")
        base = (
            Path(state) if state.startswith("/") else Path("~/.local/state").expanduser()
        )  # relative ones don't count
        return cls(base / "securechan")

    def profile(self, name: str) -> Profile:
        """The profile of that name. Raises Malformed for what can't be one."""
        if not _NAME.fullmatch(name):
            raise Malformed(
                f"{name[:64]!r} can't be the name of a profile",
                hint="use lower-case letters, digits, dots, dashes and underscores",
                code="usage",
            )
        return Profile(name, self.folder / "profiles" / name)

    def profiles(self) -> tuple[Profile, ...]:
        """Those that have a folder, by name."""
        try:
            names = sorted(entry.name for entry in (self.folder / "profiles").iterdir() if entry.is_dir())
        except FileNotFoundError:
            return ()
        return tuple(self.profile(name) for name in names if _NAME.fullmatch(name))

    def current(self, named: str | None = None, environment: Mapping[str, str] = os.environ) -> Profile:
        """The profile to use: ``named``, else ``SECURECHAN_PROFILE``, else the one chosen with `use`, else the only
        one there is, else ``default``."""
        name = named or environment.get("SECURECHAN_PROFILE") or self._chosen()
        if name is None:
            there = self.profiles()
            name = there[0].name if len(there) == 1 else "default"
        return self.profile(name)

    def use(self, name: str) -> Profile:
        """Choose the profile that is used when none is named. Raises NotFound where there is none such."""
        profile = self.profile(name)
        if profile not in self.profiles():
            raise NotFound(f"no profile {name}", hint="securechan profile ls")
        draft = self.folder / f".config.json.{os.getpid()}"
        draft.write_text(json.dumps({"profile": name}) + "\n")
        draft.chmod(0o600)
        draft.replace(self.folder / "config.json")
        return profile

    def _chosen(self) -> str | None:
        path = self.folder / "config.json"
        try:
            chosen = json.loads(path.read_text())["profile"]
        except FileNotFoundError:
            return None
        except (OSError, ValueError, KeyError, TypeError) as e:
            raise Malformed(f"{path} can't be read: {e}", hint="securechan profile use NAME", code="bad-config") from e
        return str(chosen)
