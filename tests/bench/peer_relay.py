"""The relay as a driver among those of its peers: asked the same questions, by the same code, in the same minutes.

``bench_beside`` runs it; by hand: PEERS=…/peers python -m tests.bench.peer_relay --variant sqlite --work a1,a8,b10,c

The peers' ``common.py`` (in the folder that ``PEERS`` names) asks, through the methods here that its docstring lists:
ingest (a), fan-out (b), catch-up (c), idle members (d), connections (e). Of the relay it is all real: handshake, record
layer, access; its clients count entries by their sizes (`tests.bench.crowd`). CPU is that of the relay's process, over
NATS of the three servers, too.
"""

from __future__ import annotations

import hashlib
import importlib
import itertools
import os
import re
import shutil
import sys
from collections import deque
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Final

from securechan.wire.frames import Append, CreateTopic, Show, Subscribe
from tests.bench.crowd import SIZE, Crowd, Line
from tests.relay.desk import digest
from tests.support.cluster import Cluster

FIRST: Final = 10  # device of the first member; those below publish

On = Callable[[int, int], None]


class Handle:
    """A session, as the peers' code holds one."""

    def __init__(self, line: Line, append: Callable[[bytes], Append]) -> None:
        self._line = line
        self._append = append
        self._acks: deque[Callable[[], None]] = deque()
        line.on_answer = self._answered

    def _answered(self, _: int, well: bool) -> None:
        assert well, "the relay refused"
        self._acks.popleft()()

    def send(self, payload: bytes, on_ack: Callable[[], None]) -> None:
        self._acks.append(on_ack)
        self._line.ask(self._append(payload))

    def close(self) -> None:
        self._line.bye()


class Relay:
    """The driver: see ``common.Driver`` of the peers."""

    name = "relay"
    variants = ("sqlite", "nats-r3", "nats-r3-always")
    fan_max, idle_max, catch_n, a8_window, fan_window, conn_par = 1000, 1000, 10_000, 64, 32, 32
    text = False

    def __init__(self, variant: str, size: int) -> None:
        if variant not in self.variants or size != SIZE:
            raise SystemExit(f"error: {variant}, {size} bytes\nhint: {', '.join(self.variants)}, {SIZE} bytes")
        self.variant, self.size = variant, size
        self.dir = f"{peers().DATA}/{self.name}-{variant}"
        asked = re.findall(r"\b[bd](\d+)", " ".join(sys.argv))  # members, of fan-out and of idle groups
        self._devices = FIRST + max(map(int, asked), default=10)
        self._numbers = itertools.count()
        self._exits = ExitStack()
        self._cluster: Cluster | None = None
        self._crowd: Crowd
        self._founder: Line | None = None

    # ------------------------------------------------------------------------------------------------------ life cycle

    def fresh(self) -> None:
        shutil.rmtree(self.dir, ignore_errors=True)
        Path(self.dir).mkdir(parents=True)

    def start(self) -> None:
        environment = {}
        if self.variant != "sqlite":
            always = "sync_interval: always" if self.variant.endswith("always") else ""
            self._cluster = self._exits.enter_context(Cluster(Path(self.dir) / "nats", jetstream=always))
            environment = self._cluster.environment()
        self._crowd = self._exits.enter_context(Crowd(Path(self.dir) / "relay", self._devices, environment))
        self._founder = None

    def stop(self) -> None:
        self._exits.close()

    async def restarted(self) -> None:
        """Nothing is held that a restart ends."""

    def pids(self) -> list[int]:
        servers = [] if self._cluster is None else self._cluster.pids()
        return [self._crowd.process.pid, *servers]

    def payload(self) -> bytes:
        return os.urandom(self.size)

    # ------------------------------------------------------------------------------------------------------- questions

    async def group(self, _: int) -> None:
        if self._founder is None:
            await self._crowd.admit()
            self._founder = await self._crowd.enter(FIRST - 1)
        number = next(self._numbers)
        self.topic, self.secret = digest("topic", number), digest("secret", number)
        assert await self._founder.told(CreateTopic(self.topic, hashlib.sha256(self.secret).digest()))

    async def _entered(self, device: int) -> Line:
        line = await self._crowd.enter(device)
        assert await line.told(Show(self.topic, self.secret))
        return line

    def _append(self, payload: bytes) -> Append:
        return Append(self.topic, os.urandom(32), payload, None)

    async def member(self, i: int, heard: On) -> Handle:
        line = await self._entered(FIRST + i)
        line.on_entries = lambda count: heard(i, count)
        assert await line.told(Subscribe(self.topic, 0))
        return Handle(line, self._append)

    async def publisher(self, i: int) -> Handle:
        return Handle(await self._entered(i), self._append)

    async def offline(self, _: int) -> None:
        """A member's cursor is its own, and at 0 in a group without entries."""

    async def resume(self, i: int, heard: On) -> Handle:
        return await self.member(i, heard)

    async def conn(self, _: int) -> Handle:
        line = await self._crowd.enter(self._crowd.founded.office("targets"))  # of which there may be any number
        return Handle(line, self._append)


def folder() -> Path:
    """Where the drivers of the peers are."""
    return Path(os.environ.get("PEERS", Path(__file__).resolve().parents[3] / "shared" / "peers"))


def peers() -> Any:
    """What asks."""
    if str(folder()) not in sys.path:
        sys.path.append(str(folder()))
    return importlib.import_module("common")


if __name__ == "__main__":
    peers().main(Relay)
