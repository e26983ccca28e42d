"""``securechan man``: the manual page, made from the commands themselves."""

from __future__ import annotations

import sys
from typing import Any, Final

import typer

from clients.cli.frame import GLOBAL_HELP, group, here
from clients.cli.pager import through
from clients.exitcodes import Exit

app = group("The manual.")

ENVIRONMENT: Final = (
    ("SECURECHAN_HOME", "The folder of all profiles; else XDG_STATE_HOME/securechan."),
    ("SECURECHAN_PROFILE", "The profile to use."),
    ("SECURECHAN_PASSPHRASE_FILE", "A file whose first line is the passphrase."),
    ("SECURECHAN_RELAY", "An address of the relay, instead of those that the federation publishes."),
    ("SECURECHAN_PROXY", "The way to the relay: socks5h://…, http://…, or none for straight."),
    ("SECURECHAN_CA", "A file of certificates to believe instead of the system's."),
    ("SECURECHAN_FEDERATION", "The folder of the federation's administrators, for root."),
    ("SECURECHAN_DEBUG", "1: tracebacks of internal errors, which may hold secrets."),
    ("PAGER", "What shows long output at a terminal; less where it isn't set, nothing where it is empty or cat."),
    ("NO_COLOR", "Set: no colours."),
)


@app.command()
def man() -> None:
    """Show the manual page; elsewhere than at a terminal, write it.

    So that man finds it: securechan man > ~/.local/share/man/man1/securechan.1"""
    me = here()
    text = _page().removesuffix("\n")
    if me.json or not sys.stdout.isatty() or through("man -l -", text) != 0:
        me.emit({"page": text}, text)


def _page() -> str:
    from importlib.metadata import PackageNotFoundError, version

    from clients.cli import PROGRAM
    from clients.cli import app as program
    from securechan.manual import page

    try:
        number = version(PROGRAM)
    except PackageNotFoundError:
        number = "0"
    root: Any = typer.main.get_command(program)
    exits = [(str(int(code)), code.name.lower().replace("_", " ")) for code in Exit]
    sections = [
        ("options of every command", GLOBAL_HELP),
        ("environment", ENVIRONMENT),
        ("exit status", exits),
    ]
    return page(root, PROGRAM, number, sections)
