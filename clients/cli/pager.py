"""Long output at a terminal, screen by screen, as git does it: by $PAGER, else by less, else not at all.

Nothing is paged that a program reads, nor what fits on the screen.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from typing import Final

from clients.render import width

_DEFAULT: Final = "less"
_LESS: Final = {
    "LESS": "FRX",  # end where it fits, pass colours on, leave the text on the screen: git's choice
    "LESSHISTFILE": "-",  # what is searched for in a sealed message stands in no file
}
_FOUND_NO_COMMAND: Final = (126, 127)  # how a shell ends that could not start what it was told to


def pager() -> str:
    """The command that shows long output, or none."""
    said = os.environ.get("PAGER")
    if said is None:
        said = _DEFAULT if shutil.which(_DEFAULT) else ""
    return "" if said.strip() in ("", "cat") or os.environ.get("TERM") == "dumb" else said


def fits(text: str) -> bool:
    """Whether it can be read without scrolling, with room for the prompt below."""
    columns, rows = shutil.get_terminal_size()
    return sum(max(1, -(-width(line) // max(1, columns))) for line in text.split("\n")) < rows


def paged(text: str) -> bool:
    """Have a person look through ``text`` at the terminal. False where there is no need, or nothing to do it with: then
    nothing has been shown."""
    command = pager()
    return bool(command) and not fits(text) and through(command, text) not in _FOUND_NO_COMMAND


def through(command: str, text: str) -> int:
    """Have the shell command ``command`` show ``text``; what it ended with. Ctrl-C is its business meanwhile."""
    sys.stdout.flush()
    process = subprocess.Popen(  # noqa: S602 - the user's own command, as every program takes PAGER
        command,
        shell=True,
        stdin=subprocess.PIPE,
        env=_LESS | os.environ,
    )
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        process.communicate(f"{text}\n".encode(errors="backslashreplace"))  # who leaves early has seen enough
    finally:
        signal.signal(signal.SIGINT, before)
    return process.returncode
