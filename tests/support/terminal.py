"""Somebody at a terminal: a real process of our command line on a pseudo-terminal, typed at and read from.

with Terminal("status", "--offline") as terminal:
    terminal.expect("passphrase of profile default: ")
    terminal.type("a long enough phrase\\n")
    code = terminal.end()                              what it ended with; terminal.screen holds all that was shown
"""

from __future__ import annotations

import os
import pty
import select
import subprocess
import sys
import time
from collections.abc import Mapping
from types import TracebackType
from typing import Final, Self

from tests.support.relayproc import ROOT

PATIENCE: Final = 60.0  # seconds for a word to appear on a busy machine
INTERRUPT: Final = "\x03"  # Ctrl-C

# Ctrl-C goes to whom the terminal belongs to: a leader of a session that has taken it.
_START: Final = (
    "import fcntl, runpy, sys, termios; fcntl.ioctl(0, termios.TIOCSCTTY, 0);"
    " runpy.run_module(sys.argv.pop(1), run_name='__main__', alter_sys=True)"
)


class Terminal:
    """``python -m MODULE WORDS`` with a terminal for all three streams. Line ends are shown as ``\\n``."""

    def __init__(self, *words: str, module: str = "clients.cli", environment: Mapping[str, str] | None = None) -> None:
        self._ours, theirs = pty.openpty()
        self._process = subprocess.Popen(
            [sys.executable, "-c", _START, module, *words],
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": str(ROOT), **(environment or {})},
            start_new_session=True,
        )
        os.close(theirs)
        self._shown = b""
        self._seen = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._process.poll() is None:
            self._process.kill()
        self._process.wait(PATIENCE)
        os.close(self._ours)

    @property
    def screen(self) -> str:
        """All that was shown so far."""
        return self._shown.decode(errors="replace").replace("\r\n", "\n")

    def expect(self, text: str) -> None:
        """Return once ``text`` is shown, below what was expected before."""
        until = time.monotonic() + PATIENCE
        while (at := self.screen.find(text, self._seen)) < 0:
            assert self._read(until), f"no {text!r} on the screen:\n{self.screen}"
        self._seen = at + len(text)

    def type(self, text: str) -> None:
        """As if at the keyboard: once the prompt is there, or it may be thrown away."""
        os.write(self._ours, text.encode())

    def answer(self, prompt: str, text: str) -> None:
        """`type` a line when asked."""
        self.expect(prompt)
        self.type(f"{text}\n")

    def end(self) -> int:
        """Read on until it ends; its exit code."""
        until = time.monotonic() + PATIENCE
        while self._read(until):
            pass
        return self._process.wait(PATIENCE)

    def _read(self, until: float) -> bool:
        if not select.select([self._ours], [], [], max(0.0, until - time.monotonic()))[0]:
            return False
        try:
            piece = os.read(self._ours, 1 << 16)
        except OSError:  # so Linux says that nobody holds the other end any more
            piece = b""
        self._shown += piece
        return bool(piece)
