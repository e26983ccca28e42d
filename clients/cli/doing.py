"""Having an operation done and its answer: the one step between a command of the terminal and `clients.operations`."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import typer

from clients.cli.frame import here, run
from clients.render import parse_duration, safe


def do(name: str, /, *, online: bool = True, give: Callable[[Any], None] | None = None, **params: Any) -> Any:
    """The data of an operation. Parameters that are None are left out: the operation knows its defaults."""
    from clients.operations.engine import perform

    me = here()

    async def hand(item: Any) -> None:
        if isinstance(item, dict) and item.get("event") == "waiting":
            if item["refusing"] or sys.stderr.isatty():  # else it is no more than progress
                me.note(f"waiting: {safe(item['why'])}; what you sent is kept, and goes out by itself")
        elif give is not None:
            give(item)

    said = {key: value for key, value in params.items() if value is not None}
    with me.progress("asking the relay" if online else "opening the vault"):
        return run(
            perform(me.profile, me.passphrases, name, said, give=hand, online=online, command=me.command, warn=me.warn)
        )


def now() -> int:
    """Unix seconds, by this machine's clock."""
    from clients.clock import SystemClock

    return int(SystemClock().time())


def seconds(text: str | None, option: str) -> int | None:
    """As `length`, of an option that may not have been given."""
    return None if text is None else length(text, option)


def length(text: str, option: str) -> int:
    """A length of time as people type it: ``30m``, ``4h``, ``2d``; seconds. Raises typer.BadParameter."""
    try:
        return parse_duration(text)
    except ValueError as e:
        raise typer.BadParameter(str(e), param_hint=option) from None
