"""One device as the story sees it: a profile, the process that watches it, what it is asked and what it hears.

While its process runs, whatever is asked goes through the control socket to that process, as any other command of the
same user would; nothing here opens its vault then.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from asyncio.subprocess import Process
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from clients.demo.cast import Role
from clients.demo.narrator import Broken
from clients.demo.processes import CLIENT, Children, Said
from clients.operations.engine import perform
from clients.passphrase import Passphrases
from clients.profile import Home, Profile
from clients.render import shorten

PATIENCE: Final = 60.0  # seconds for anything to happen on a busy machine
LOOK: Final = 0.05  # seconds between two looks at a state that no event tells of

Event = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Heard:
    """An event of the watching process, and when it was read from it."""

    at: float  # monotonic seconds
    event: Event


class Desk:
    """A device, its folder and its process."""

    def __init__(self, children: Children, role: Role, folder: Path, secret: Path) -> None:
        self.role = role
        self.folder = folder
        self.secret = secret
        self.heard: list[Heard] = []
        self._children = children
        self._process: Process | None = None
        self._ear: asyncio.Task[None] | None = None
        self._news = asyncio.Event()

    def __str__(self) -> str:
        return self.role.name

    @property
    def profile(self) -> Profile:
        return Home(self.folder).profile("default")

    @property
    def environment(self) -> dict[str, str]:
        return {"SECURECHAN_HOME": str(self.folder), "SECURECHAN_PASSPHRASE_FILE": str(self.secret)}

    @property
    def process(self) -> Process:
        if self._process is None:
            raise Broken(f"{self} has no process")
        return self._process

    # ----------------------------------------------------------------------------------------------------- its process

    async def open(self) -> None:
        """Start ``securechan watch`` on its profile, and wait until it takes errands."""
        self._process = await self._children.start(
            self.role.file, *CLIENT, "--json", "--no-input", "watch", "--all", environment=self.environment
        )
        mark = len(self.heard)
        self._ear = asyncio.create_task(self._listen(self._process))
        await self.hears(lambda event: event["event"] == "watching", since=mark)

    async def _listen(self, process: Process) -> None:
        assert process.stdout is not None
        while line := await process.stdout.readline():
            self.heard.append(Heard(time.monotonic(), json.loads(line)["data"]))
            self._tell()
        await process.wait()
        self._tell()

    def _tell(self) -> None:
        news, self._news = self._news, asyncio.Event()
        news.set()

    async def close(self) -> int:
        """End it as Ctrl-C and a service manager do; its exit code."""
        code = await self._children.end(self.process)
        await self._hush()
        return code

    async def gone(self) -> int:
        """Wait until it ends by itself; its exit code."""
        async with asyncio.timeout(PATIENCE):
            code = await self.process.wait()
        await self._hush()
        return code

    async def _hush(self) -> None:
        if self._ear is not None:
            with contextlib.suppress(asyncio.CancelledError):
                await self._ear

    # -------------------------------------------------------------------------------------------------- asking, hearing

    async def ask(self, operation: str, /, *, online: bool = True, **params: Any) -> Any:
        """Have its process carry out an operation; the data. Raises the operation's errors."""
        return await perform(self.profile, Passphrases(file=self.secret), operation, params, online=online)

    async def run(self, *words: str) -> Said:
        """A command line of its own, as its user types it, with ``--json``."""
        return await self._children.run(*CLIENT, "--json", "--no-input", *words, environment=self.environment)

    @property
    def mark(self) -> int:
        """How much it has heard so far: for `hears`."""
        return len(self.heard)

    async def hears(
        self, wanted: Callable[[Event], object], *, since: int = 0, patience: float = PATIENCE, what: str = "something"
    ) -> Heard:
        """The first event that is ``wanted``, once there is one. Raises Broken where it never comes."""
        try:
            async with asyncio.timeout(patience):
                while True:
                    news = self._news
                    for heard in self.heard[since:]:
                        if wanted(heard.event):
                            return heard
                        since += 1
                    if self._process is not None and self._process.returncode is not None:
                        raise Broken(f"the process of {self} ended with exit code {self._process.returncode}")
                    await news.wait()
        except TimeoutError:
            raise Broken(f"{self} did not hear {what} within {patience:.0f} s") from None

    async def comes_to(
        self, operation: str, wanted: Callable[[Any], object], *, what: str, patience: float = PATIENCE, **params: Any
    ) -> Any:
        """What an operation tells, once it is ``wanted``. Raises Broken where it never is."""
        until = time.monotonic() + patience
        while True:
            data = await self.ask(operation, **params)
            if wanted(data):
                return data
            if time.monotonic() > until:
                last = shorten(json.dumps(data), 400)
                raise Broken(f"{self} did not come to {what} within {patience:.0f} s; it says {last}")
            await asyncio.sleep(LOOK)


async def all_hear(
    desks: Sequence[Desk], wanted: Callable[[Event], object], since: dict[str, int], *, what: str
) -> dict[str, float]:
    """When each of them heard what is ``wanted``, monotonic seconds by device."""
    found = await asyncio.gather(*(desk.hears(wanted, since=since[str(desk)], what=what) for desk in desks))
    return {str(desk): heard.at for desk, heard in zip(desks, found, strict=True)}


def marks(desks: Sequence[Desk]) -> dict[str, int]:
    """How much each of them has heard so far."""
    return {str(desk): desk.mark for desk in desks}
