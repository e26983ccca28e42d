"""What somebody meant who typed an option or a command that there is not: by its meaning first, then by its spelling.

Letters alone mislead: ``--file`` looks like ``--id``, and what was meant is ``--attach``.
"""

from __future__ import annotations

import re
from difflib import get_close_matches
from typing import Any, Final

_ALIKE: Final = 0.75  # of 1: how much of a word must be the same to be a slip of the fingers

OPTIONS: Final[dict[str, tuple[str, ...]]] = {
    "--file": ("--attach", "--output"),
    "--qr": ("--scanned",),
    "--code": ("--scanned", "--qr"),
    "--attachment": ("--attach",),
    "--text": ("--message",),
    "--body": ("--message",),
    "--msg": ("--message",),
    "--out": ("--output",),
    "--output": ("--out",),
    "--label": ("--tlp",),
    "--marking": ("--tlp",),
    "--ceiling": ("--tlp",),
    "--deadline": ("--ack-by",),
    "--due": ("--ack-by",),
    "--ack": ("--ack-by",),
    "--expires": ("--lifetime", "--valid", "--for"),
    "--ttl": ("--lifetime", "--valid", "--for"),
    "--conversation": ("--to", "--in"),
    "--community": ("--to", "--in"),
    "--member": ("--agency", "--with"),
    "--members": ("--agency", "--with"),
    "--user": ("--officer", "--with"),
    "--root": ("--root-id",),
    "--fingerprint": ("--root-id", "--root"),
    "--force": ("--yes",),
    "--assume-yes": ("--yes",),
    "--count": ("--limit",),
    "--last": ("--limit", "--since"),
    "--tail": ("--follow",),
    "--comment": ("--note", "--reason"),
    "--why": ("--reason",),
}
"""Other programs' names of options → ours, of which a command may have one."""

COMMANDS: Final[dict[str, str]] = {
    "enroll": "enrol",
    "register": "enrol",
    "login": "enrol",
    "join": "enrol",
    "message": "send",
    "msg": "send",
    "inbox": "read",
    "log": "read",
    "listen": "watch",
    "daemon": "watch",
    "fetch": "sync",
    "check": "doctor",
    "group": "conversation",
    "room": "conversation",
    "chats": "conversation",
    "contacts": "contact",
    "invite": "admin invite",
    "approve": "admin approve",
    "revoke": "admin revoke",
    "publish": "bulletin publish",
    "ack": "bulletin ack",
    "rotate": "key rotate",
    "keys": "key",
    "federation": "root",
    "list": "ls",
    "delete": "leave",
    "remove": "revoke",
    "new": "create",
    "acknowledge": "ack",
    "manual": "man",
    "version": "--version",
    "help": "--help",
}
"""Words people try → the command that does it, below the program or in one of its groups."""

_NO_COMMAND: Final = re.compile(r"No such command '([^']*)'")


def guess(error: Any) -> str | None:
    """What was meant by the word that ``error`` (a usage error of typer's) is about, or None where nothing is likely.
    Its own guesses, made by spelling, are taken out."""
    context = getattr(error, "ctx", None)
    if context is None:
        return None
    option = getattr(error, "option_name", None)
    if option is not None and hasattr(error, "possibilities"):
        error.possibilities = None
        there = [name for each in context.command.params for name in each.opts if name.startswith("--")]
        by_meaning = [name for name in OPTIONS.get(option, ()) if name in there]
        return next(iter(by_meaning or get_close_matches(option, there, n=1, cutoff=_ALIKE)), None)
    unknown = _NO_COMMAND.match(str(error.message))
    if unknown is None or not hasattr(context.command, "list_commands"):
        return None
    error.message = unknown[0]
    known = context.command.list_commands(context)
    meant = COMMANDS.get(unknown[1], "")
    if meant.startswith("--") or meant.partition(" ")[0] in known:
        return meant
    return next(iter(get_close_matches(unknown[1], known, n=1, cutoff=_ALIKE)), None)
