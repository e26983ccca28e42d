"""The identities on this machine: which there are, which is used, who holds one. Opens no vault, asks no passphrase."""

from __future__ import annotations

from typing import Any

from clients.profile import Home, Profile
from clients.render import when


def ls(home: Home, current: str) -> list[dict[str, Any]]:
    """All profiles, in order."""
    return [show(profile, current) for profile in home.profiles()]


def show(profile: Profile, current: str) -> dict[str, Any]:
    """One profile, from outside."""
    holder = profile.holder() if profile.folder.exists() else None
    return {
        "profile": profile.name,
        "folder": str(profile.folder),
        "enrolled": profile.enrolled,
        "current": profile.name == current,
        "held_by": None
        if holder is None
        else {"pid": holder.pid, "command": holder.command, "since": when(holder.since)},
    }
