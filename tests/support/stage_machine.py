"""A machine with securechan on it, used as a person or a script uses it: through the command line, and nothing else.

ana = Machine(folder / "ana")
said = await ana.run("bulletin", "publish", "note.txt", "--to", "eu-csirts")       the data of its --json
async with ana.watching() as watch: event = await watch.until("bulletin-received")
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from tests.support.relayproc import ROOT

PATIENCE: Final = 60.0  # seconds for one command on a busy machine
PASSPHRASE: Final = "an unusually long passphrase"


class Failed(Exception):
    """A command that ended with another exit code than 0."""

    def __init__(self, arguments: tuple[str, ...], code: int, said: str) -> None:
        super().__init__(f"securechan {' '.join(arguments)}: exit {code}\n{said}")
        self.code = code
        self.said = said


@dataclass
class Machine:
    """``folder`` is all there is of it: working folder, ``SECURECHAN_HOME``, passphrase file."""

    folder: Path

    def __post_init__(self) -> None:
        self.folder.mkdir(parents=True)
        (self.folder / "passphrase").write_text(f"{PASSPHRASE}\n")
        (self.folder / "passphrase").chmod(0o600)

    @property
    def _environment(self) -> dict[str, str]:
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("SECURECHAN_", "XDG_"))}
        mine = {
            "PYTHONPATH": str(ROOT),
            "HOME": str(self.folder),
            "SECURECHAN_HOME": str(self.folder / "home"),
            "SECURECHAN_PASSPHRASE_FILE": str(self.folder / "passphrase"),
            "NO_COLOR": "1",
        }
        return {**kept, **mine}

    async def _begin(self, program: str, arguments: tuple[str, ...], given: bool) -> asyncio.subprocess.Process:
        pipe = asyncio.subprocess.PIPE
        return await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            program,
            *arguments,
            cwd=self.folder,
            env=self._environment,
            stdin=pipe if given else asyncio.subprocess.DEVNULL,
            stdout=pipe,
            stderr=pipe,
            limit=32 << 20,
        )

    async def words(self, *arguments: str, given: str = "", program: str = "clients.cli") -> str:
        """A command, as people see it: stdout. ``given`` is its stdin. Raises `Failed`."""
        process = await self._begin(program, arguments, bool(given))
        try:
            async with asyncio.timeout(PATIENCE):
                out, said = await process.communicate(given.encode() or None)
        except TimeoutError:
            process.kill()
            out, said = await process.communicate()
            raise Failed(arguments, -9, f"nothing in {PATIENCE:.0f} s\n{out.decode()}\n{said.decode()}") from None
        finally:
            if process.returncode is None:  # the story's time is up
                process.kill()
                await process.wait()
        if process.returncode:
            raise Failed(arguments, process.returncode, f"{out.decode()}{said.decode()}")
        return out.decode()

    async def run(self, *arguments: str, given: str = "") -> Any:
        """A command, as scripts use it: the data that it answers. Raises `Failed`."""
        answer = json.loads(await self.words("--json", *arguments, given=given))
        assert answer["ok"] is True
        assert answer["v"] == 1
        return answer["data"]

    async def relay(self, *arguments: str) -> str:
        """A command of the relay's operator."""
        return await self.words(*arguments, program="relay.cli")

    @asynccontextmanager
    async def watching(self) -> AsyncIterator[Watch]:
        """``securechan watch``, until the block ends."""
        process = await self._begin("clients.cli", ("--json", "watch"), given=False)
        watch = Watch(process)
        try:
            await watch.until("watching")
            yield watch
        finally:
            process.terminate()
            await process.communicate()


@dataclass
class Watch:
    """What a ``watch`` shows."""

    process: asyncio.subprocess.Process

    async def until(self, kind: str) -> dict[str, Any]:
        """The next event of a kind."""
        assert self.process.stdout is not None
        assert self.process.stderr is not None
        async with asyncio.timeout(PATIENCE):
            while line := await self.process.stdout.readline():
                event: dict[str, Any] = json.loads(line)["data"]
                if event["event"] == kind:
                    return event
            raise Failed(("watch",), -1, (await self.process.stderr.read()).decode())
