"""Child processes: the relay, devices that stay, commands that come and go. Each is ended by its own id, however the
demonstration ends.

A child is this Python with ``-m relay`` or ``-m clients.cli``: the same program that is typed, found where this one was
found. What it writes to stderr goes to a file of its own under ``logs``.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import sys
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from clients.demo.narrator import Broken

ROOT: Final = Path(__file__).resolve().parents[2]
GRACE: Final = 5.0  # seconds that a child has to end when it is asked to
LINE: Final = 32 << 20  # bytes of one line that a child may write
RELAY: Final = ("-m", "relay")
CLIENT: Final = ("-m", "clients.cli")


@dataclass(frozen=True, slots=True)
class Said:
    """How a command ended, and what it said."""

    code: int
    out: str
    err: str

    @property
    def data(self) -> Any:
        """The data of a ``--json`` command that succeeded. Raises Broken with what it said instead."""
        if self.code:
            raise Broken(f"a command ended with exit code {self.code}: {self.error['message']}")
        return json.loads(self.out)["data"]

    @property
    def error(self) -> dict[str, Any]:
        """The error of a ``--json`` command that failed."""
        try:
            found: dict[str, Any] = json.loads(self.err.strip().splitlines()[-1])["error"]
        except (ValueError, IndexError, KeyError, TypeError):
            return {"code": "", "message": self.err.strip()[-400:], "hint": ""}
        return found


class Children:
    """Every process that the demonstration has started."""

    def __init__(self, logs: Path) -> None:
        self._logs = logs
        self._running: set[Process] = set()
        self._over = False

    async def start(self, log: str, *words: str, environment: Mapping[str, str], stdin: int = DEVNULL) -> Process:
        """Start one; its stdout is a pipe, its stderr goes to ``log``."""
        with (self._logs / f"{log}.log").open("ab") as stderr:
            return await self._spawn(words, environment, stdin, stderr.fileno())

    async def converse(self, *words: str, environment: Mapping[str, str]) -> Process:
        """Start one whose every stream is a pipe."""
        return await self._spawn(words, environment, PIPE, PIPE)

    async def run(self, *words: str, environment: Mapping[str, str], stdin: bytes = b"") -> Said:
        """Start one and wait for its end."""
        process = await self.converse(*words, environment=environment)
        out, err = await process.communicate(stdin)
        self._running.discard(process)
        return Said(process.returncode or 0, out.decode(errors="replace"), err.decode(errors="replace"))

    async def _spawn(self, words: tuple[str, ...], environment: Mapping[str, str], stdin: int, stderr: int) -> Process:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            *words,
            stdin=stdin,
            stdout=PIPE,
            stderr=stderr,
            env=surroundings(environment),
            limit=LINE,
        )
        self._running.add(process)
        if self._over:
            await self.end(process)
            raise Broken("the demonstration is over")
        return process

    async def end(self, process: Process, how: signal.Signals = signal.SIGTERM) -> int:
        """Have a child end, and see to it; its exit code. Not by SIGINT: where the demonstration itself runs in the
        background of a script, its children ignore SIGINT."""
        if process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                process.send_signal(how)
            try:
                async with asyncio.timeout(GRACE):
                    await process.wait()
            except TimeoutError:
                with contextlib.suppress(ProcessLookupError):
                    process.kill()
                await process.wait()
        self._running.discard(process)
        return process.returncode or 0

    async def end_all(self) -> None:
        """Nothing that was started here goes on, and nothing more is started."""
        self._over = True
        ending = [self.end(process) for process in self._running]
        await asyncio.gather(*ending)


def surroundings(environment: Mapping[str, str]) -> dict[str, str]:
    """What a child sees: ours, without anything that speaks of another channel than the demonstration's."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("SECURECHAN_")}
    path = [str(ROOT), *filter(None, [kept.get("PYTHONPATH")])]
    return {**kept, "PYTHONPATH": os.pathsep.join(path), **environment}
