"""The identities on this machine: which there are, which is used, who holds one. Opens no vault, asks no passphrase."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from clients.line import NONE, Line, shown
from clients.profile import Home, Profile
from clients.render import when


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
