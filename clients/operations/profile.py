"""The identities on this machine: which there are, which is used, who holds one, and what opens it.

Only `change_passphrase` opens a vault. It needs no agent and no relay, so it does its work on a profile that is still
being enrolled as well.
"""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Any

from clients.line import NONE, Line, shown
from clients.passphrase import Passphrases
from clients.profile import Home, Profile
from clients.render import when
from securechan.errors import NotReady


def ls(home: Home, current: str) -> list[dict[str, Any]]:
    """All profiles, in order."""
    return [show(profile, current) for profile in home.profiles()]


def show(profile: Profile, current: str) -> dict[str, Any]:
    """One profile, from outside."""
    holder = profile.holder() if profile.folder.exists() else None
    line = Line.load(profile.folder)
    return {
        "profile": profile.name,
        "folder": str(profile.folder),
        "enrolled": profile.enrolled,
        "current": profile.name == current,
        "proxy": shown(line.proxy),
        "ca": None if line.ca is None else str(line.ca),
        "held_by": None
        if holder is None
        else {"pid": holder.pid, "command": holder.command, "since": when(holder.since)},
    }


def set_line(profile: Profile, proxy: str | None, ca: str | None) -> None:
    """The way to the relay from now on; None leaves a part as it is, an empty text takes it out. Raises Malformed,
    NotReady."""
    before = Line.load(profile.folder)
    profile.make()
    chosen = before.ca if ca is None else Path(ca).expanduser().absolute() if ca and ca != NONE else None
    line = Line(before.proxy if proxy is None else proxy, chosen)
    line.context("wss://")
    line.save(profile.folder)


def change_passphrase(profile: Profile, old: Passphrases, new: Passphrases, command: str) -> dict[str, Any]:
    """Another passphrase for a profile, which is held all along. Raises NotReady where there is nothing to open, where
    another process has it open, for a wrong old one and what `Vault.change_passphrase` raises; Malformed for a new one
    that won't do. What opens the profile has changed only where it returns, or raises ``old-passphrase-left``."""
    from clients.vault import Vault  # it loads cryptography, and only this comes here
    from clients.vaultfile import read_header

    read_header(profile.vault)
    what = f"profile {profile.name}"
    with contextlib.ExitStack() as stack:
        try:
            stack.enter_context(profile.hold(command))
        except NotReady as e:
            if e.code != "profile-locked":
                raise
            raise NotReady(
                e.message,
                hint="end it, then try again: a passphrase is changed while nobody else has the profile open",
                code=e.code,
            ) from e
        before, opened = old.opening(what, lambda said: (said, Vault.open(profile.vault, said)))
        vault = stack.enter_context(opened)
        vault.change_passphrase(new.new(what, unlike=before))
    return {
        "profile": profile.name,
        "folder": str(profile.folder),
        "keys": [str(path) for path in sorted(profile.keys.glob("*.key"))],
    }
