"""Having an operation done and its answer: the one step between a command of the terminal and `clients.operations`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import typer

from clients.cli.frame import here, run
from clients.render import parse_duration


def do(name: str, /, *, online: bool = True, give: Callable[[Any], None] | None = None, **params: Any) -> Any:
    """The data of an operation. Parameters that are None are left out: the operation knows its defaults."""
    from clients.operations.engine import perform

    me = here()

    async def hand(item: Any) -> None:
        if give is not None:
            give(item)

    said = {key: value for key, value in params.items() if value is not None}
    with me.progress("asking the relay" if online else "opening the vault"):
        return run(
            perform(me.profile, me.passphrases, name, said, give=hand, online=online, command=me.command, warn=me.warn)
        )


def seconds(text: str | None, option: str) -> int | None:
    """A length of time as people type it: ``30m``, ``4h``, ``2d``. Raises typer.BadParameter."""
    if text is None:
        return None
    try:
        return parse_duration(text)
    except ValueError as e:
        raise typer.BadParameter(str(e), param_hint=option) from None
