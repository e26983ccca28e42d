"""A device in a process of its own, from the story's side: told what to do over its control socket, killed, revived.

    async with Nursery(stage) as nursery:
        ana = nursery.process("ana")
        await ana.start(die=7)                     it kills itself before its seventh effect
        with pytest.raises(Died): await ana.do(…)
        await ana.start(); await ana.do(…)         the next life, on the same vault
        await ana.kill()                           SIGKILL from here

Questions are functions of this module or `tests.support.stage_questions`, since they travel by name.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from clients import control
from clients.profile import Profile
from clients.vault import Vault
from securechan.agent.inputs import Command
from securechan.errors import Unreachable
from securechan.wire.handshake import RelayIdentity
from tests.support.relayproc import ROOT
from tests.support.stage import PASSPHRASE, PATIENCE, RELAY, Stage, archive
from tests.support.stage_actor import Part, pack, unpack


class Died(Exception):
    """The process is gone, and with it whatever was asked of it."""


class Nursery:
    """Where a stage's processes are forked."""

    def __init__(self, stage: Stage) -> None:
        self.stage = stage
        self._process: asyncio.subprocess.Process | None = None
        self._turn = asyncio.Lock()
        self._living: set[int] = set()

    async def __aenter__(self) -> Self:
        with (self.stage.folder / "actors.log").open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-m",
                "tests.support.stage_actor",
                cwd=ROOT,
                env={**os.environ, "PYTHONPATH": str(ROOT)},
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=log,
            )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._process is not None
        assert self._process.stdin is not None
        for pid in tuple(self._living):
            await self.end(pid)
        self._process.stdin.close()
        await self._process.wait()

    @property
    def log(self) -> str:
        """What the actors wrote to stderr."""
        return (self.stage.folder / "actors.log").read_text()

    async def _ask(self, said: dict[str, Any]) -> dict[str, Any]:
        assert self._process is not None
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        async with self._turn, asyncio.timeout(PATIENCE):
            self._process.stdin.write(json.dumps(said).encode() + b"\n")
            await self._process.stdin.drain()
            line = await self._process.stdout.readline()
        if not line:
            raise Died(f"the nursery is gone\n{self.log}")
        answer: dict[str, Any] = json.loads(line)
        return answer

    async def begin(self, part: Part) -> int:
        pid: int = (await self._ask({"start": pack(part)}))["pid"]
        self._living.add(pid)
        return pid

    async def wait(self, pid: int) -> int:
        """Its exit code, once it has ended: -9 where it was killed."""
        code: int = (await self._ask({"wait": pid}))["code"]
        self._living.discard(pid)
        return code

    async def end(self, pid: int) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
        await self.wait(pid)

    def process(self, name: str, *, url: str = "") -> Process:
        """A device of the cast. ``url``: where it takes the relay to be (a cable)."""
        return Process(self, name, self.stage.profile(name), url)


@dataclass
class Process:
    """One device, in all its lives."""

    nursery: Nursery
    name: str
    profile: Profile
    url: str = ""
    pid: int = 0
    lives: int = field(default=0)

    async def start(self, *, die: int = 0) -> Self:
        """The next life. ``die``: before which of its effects it kills itself. Returns once it takes errands, or is
        dead already."""
        stage = self.nursery.stage
        relay = RelayIdentity(stage.founding.root_id, RELAY, stage.founding.kem)
        url = self.url or stage.relay.url
        self.profile.control.unlink(missing_ok=True)  # of the life before: nobody must take it for this one's
        part = Part(self.name, self.profile.folder, PASSPHRASE, relay, url, stage.ledger.path, die)
        self.pid = await self.nursery.begin(part)
        self.lives += 1
        return self

    async def kill(self) -> None:
        """SIGKILL."""
        pid, self.pid = self.pid, 0
        await self.nursery.end(pid)

    async def _ask(self, op: str, said: dict[str, Any]) -> Any:
        """An errand. Raises `Died` where the process ends before it has answered; then it is reaped."""
        async with asyncio.timeout(PATIENCE):
            while self._runs():
                try:
                    async with contextlib.aclosing(control.forward(self.profile.control, op, said)) as answers:
                        async for last, answer in answers:
                            if last:
                                return answer
                except Unreachable as e:
                    if e.code not in ("no-control", "holder-gone"):
                        raise
                await asyncio.sleep(0.005)  # it doesn't listen yet, or is dying: nothing tells which
        await self._reap()
        raise Died(self.name)

    def _runs(self) -> bool:
        """Whether the process isn't a zombie yet."""
        try:
            return Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
        except FileNotFoundError:
            return False

    async def _reap(self) -> None:
        pid, self.pid = self.pid, 0
        if pid:
            code = await self.nursery.wait(pid)
            if code != -signal.SIGKILL:
                raise RuntimeError(f"{self.name} ended by itself with {code}\n{self.nursery.log}")

    async def do(self, command: Command) -> Any:
        """A command; its answer. Raises what it raises, and `Died`."""
        return unpack(await self._ask("do", {"command": pack(command)}))

    async def until(self, question: Callable[..., Any], *arguments: object) -> Any:
        """Wait until the answer to a question about its agent is true; the answer. Raises `Died`."""
        return unpack(await self._ask("until", {"question": pack((question, arguments)), "patience": PATIENCE}))

    async def die(self, before: int) -> int:
        """From now on, it kills itself before so many-th effect (0: not any more). How many effects there were."""
        count: int = await self._ask("die", {"before": before or -1})
        return count

    def archive(self, topic: bytes) -> list[dict[str, Any]]:
        """What its vault shows of a conversation. It must not be running."""
        with self.profile.hold("a story"), Vault.open(self.profile.vault, PASSPHRASE) as vault:
            return archive(vault, topic)
