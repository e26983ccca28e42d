"""``securechan demo``: a relay, three agencies and five devices on this machine, from founding to the relay's death."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from clients.cli.frame import group, here, run
from clients.render import safe, table

app = group("See the whole channel at work on this machine.")


@app.command()
def demo(
    keep: Annotated[
        Path | None, typer.Option("--keep", help="Play in this empty folder and leave everything there.")
    ] = None,
) -> None:
    """Bring up a federation on the loopback, and tell step by step what is done and what was measured.

    Needs no network, no configuration and no passphrase; everything is in a temporary folder that is removed at the
    end. It ends with exit code 1 and the name of the step if anything is not as it is told.
    """
    import asyncio

    from clients.demo.story import play

    me = here()

    def say(line: str) -> None:
        if not (me.json or me.quiet):
            sys.stdout.write(safe(line) + "\n")
            sys.stdout.flush()

    try:
        data = run(play(keep, say))
    except asyncio.CancelledError:  # somebody has ended it: SIGTERM, or the terminal is gone
        raise KeyboardInterrupt from None
    rows = list(data["summary"].items())
    if data["folder"] is not None:
        rows.append(("kept", data["folder"]))
    me.emit(data, lambda: "\n" + table([[name, safe(figure)] for name, figure in rows]))
