"""What can break: one relay on its SQLite file, or two relays over a cluster of three NATS servers."""

from __future__ import annotations

import asyncio
import os
import random
import resource
import shutil
import signal
import sqlite3
import subprocess
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from relay.keys import DATABASE
from tests.support.cluster import Cluster
from tests.support.relayproc import RelayProcess
from tests.support.stage import RELAY, Stage

Fault = Callable[[], Awaitable[None]]
"""It strikes, and is over when it returns."""

DISK: Final = 256  # MiB of the disk that fills up
PAGE: Final = 4096
NEVER: Final = 1_000_000_000  # a minute


class Site(ABC):
    """A relay, or several, with a stage before it."""

    stage: Stage

    def __init__(self, folder: Path, chance: random.Random) -> None:
        self.folder = folder
        self.chance = chance
        self.notes: Counter[str] = Counter()
        self._exits = ExitStack()

    def __enter__(self) -> Self:
        try:
            self.open(self._exits)
        except BaseException:
            self._exits.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._exits.close()

    @abstractmethod
    def open(self, exits: ExitStack) -> None:
        """Start everything; ``exits`` ends it."""

    @abstractmethod
    def url(self, number: int) -> str:
        """Where the ``number``-th device takes the relay to be."""

    @abstractmethod
    def fault(self, number: int) -> Fault:
        """That of the ``number``-th round."""

    def note(self, fault: str) -> None:
        self.notes[fault] += 1


_OPEN: Final = {
    "SECURECHAN_RELAY_QUOTAS__APPENDS_PER_MINUTE": "1000000",
    "SECURECHAN_RELAY_QUOTAS__HANDSHAKES_PER_MINUTE": "100000",
}


class Sqlite(Site):
    """One relay, killed; killed with what a power cut leaves behind; on a full disk; and looked at in a torn copy."""

    def open(self, exits: ExitStack) -> None:
        self.stage = Stage(self.folder, **_OPEN)
        self.disk = exits.enter_context(Disk(self.folder / "disk"))
        home = self.folder / "disk" / "relay"
        shutil.move(self.stage.relay.home, home)
        self.stage.relay.home = home
        exits.enter_context(self.stage)
        self.relay = self.stage.relay

    def url(self, number: int) -> str:
        return self.relay.url

    def fault(self, number: int) -> Fault:
        if number % 25 == 24:
            return self.full
        if number % 10 == 9:
            return self.copied
        return self.torn if number % 3 == 2 else self.killed

    async def killed(self) -> None:
        self.note("kill -9")
        self.relay.kill()
        await asyncio.to_thread(self.relay.start)

    async def torn(self) -> None:
        """The power fails while a batch is being written: its frames are there in part, or are noise."""
        self.note("kill -9, and noise at the end of the log")
        self.relay.kill()
        with (self.relay.home / f"{DATABASE}-wal").open("ab") as log:
            log.write(self.chance.randbytes(self.chance.randint(1, 3 * PAGE)))
        await asyncio.to_thread(self.relay.start)

    async def full(self) -> None:
        """Nothing fits any more; it is killed in that state, starts in it, and then there is room."""
        self.note(f"full disk ({self.disk.kind}), kill -9 on it")
        self.disk.fill(self.relay)
        await asyncio.sleep(0.5)  # let it be met
        self.relay.kill()
        await asyncio.to_thread(self.relay.start)
        self.disk.fill(self.relay)
        await asyncio.sleep(0.5)
        self.disk.relieve(self.relay)

    async def copied(self) -> None:
        """Somebody copies the file of a relay at work, page by page: no backup. A relay either refuses the copy or
        finds a whole database in it."""
        copy = self.folder / "copy"
        shutil.rmtree(copy, ignore_errors=True)
        shutil.copytree(self.relay.home, copy, ignore=shutil.ignore_patterns(f"{DATABASE}*", "*.sock"))
        for name in (DATABASE, f"{DATABASE}-wal"):
            await self._copy(self.relay.home / name, copy / name)
        self.relay.kill()
        await asyncio.to_thread(self.relay.start)
        other = RelayProcess(copy, name=RELAY)
        try:
            await asyncio.to_thread(other.start)
        except RuntimeError:
            if "Traceback" in other.log:
                raise
            self.note("kill -9; a torn copy is refused")
            return
        await asyncio.to_thread(other.stop)
        with sqlite3.connect(copy / DATABASE) as db:
            (said,) = db.execute("pragma integrity_check(1)").fetchone()
        db.close()
        if said != "ok":
            raise RuntimeError(f"a relay serves a torn database: {said}")
        self.note("kill -9; a torn copy has a whole database in it")

    async def _copy(self, source: Path, target: Path) -> None:
        with source.open("rb") as reading, target.open("wb") as writing:
            while page := reading.read(16 * PAGE):
                writing.write(page)
                await asyncio.sleep(0)


class Disk:
    """A disk of the relay's own, where it can be had (root may mount one); otherwise its files may not grow."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._mounted = False

    @property
    def kind(self) -> str:
        return f"{DISK} MiB" if self._mounted else "its files may not grow"

    def __enter__(self) -> Self:
        self._folder.mkdir()
        if os.geteuid() == 0 and shutil.which("mount"):
            words = ["mount", "-t", "tmpfs", "-o", f"size={DISK}m", "tmpfs", str(self._folder)]
            self._mounted = subprocess.run(words, check=False, capture_output=True).returncode == 0
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._mounted:
            subprocess.run(["umount", "--lazy", str(self._folder)], check=True)

    def fill(self, relay: RelayProcess) -> None:
        if self._mounted:
            with (self._folder / "ballast").open("ab") as ballast:
                room = shutil.disk_usage(self._folder).free
                if room:
                    os.posix_fallocate(ballast.fileno(), ballast.tell(), room)
        else:
            size = max(each.stat().st_size for each in relay.home.glob(f"{DATABASE}*"))
            resource.prlimit(relay.pid, resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))

    def relieve(self, relay: RelayProcess) -> None:
        if self._mounted:
            (self._folder / "ballast").unlink()
        else:
            resource.prlimit(relay.pid, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))


class Nats(Site):
    """Two relays that are one, over three servers. Half of the devices come to each."""

    def open(self, exits: ExitStack) -> None:
        self.cluster = exits.enter_context(Cluster(self.folder / "nats"))
        environment = {**_OPEN, **self.cluster.environment("chaos")}
        self.stage = exits.enter_context(Stage(self.folder, **environment))
        second = self.folder / "second"
        shutil.copytree(self.stage.founding.folder, second)
        other = exits.enter_context(RelayProcess(second, name=RELAY, environment=environment))
        self.relays = [self.stage.relay, other]

    def url(self, number: int) -> str:
        return self.relays[number % 2].url

    def fault(self, number: int) -> Fault:
        return (self.leader, self.relay_killed, self.frozen, self.server, self.stopped)[number % 5]

    async def leader(self) -> None:
        self.note("the leader of the log is killed")
        await self._server(await self.cluster.leader("chaos-log"))

    async def server(self) -> None:
        self.note("any server is killed")
        await self._server(self.chance.randrange(3))

    async def _server(self, number: int) -> None:
        self.cluster.kill(number)
        await asyncio.sleep(self.chance.random() * 2)  # how long it stays away
        self.cluster.start(number)
        await self.cluster.ready()

    async def frozen(self) -> None:
        """Cut off: its connections stay, and nothing comes through."""
        self.note("a server is cut off for seconds")
        number = await self.cluster.leader("chaos-log") if self.chance.random() < 0.5 else self.chance.randrange(3)
        self.cluster.pause(number)
        await asyncio.sleep(1 + self.chance.random() * 6)
        self.cluster.resume(number)
        await self.cluster.ready()

    async def relay_killed(self) -> None:
        self.note("a relay is killed")
        relay = self.chance.choice(self.relays)
        relay.kill()
        await asyncio.to_thread(relay.start)

    async def stopped(self) -> None:
        self.note("the leader of the log is told to stop, and is started again")
        number = await self.cluster.leader("chaos-log")
        os.kill(self.cluster.pid(number), signal.SIGTERM)
        await asyncio.sleep(self.chance.random() * 2)
        self.cluster.kill(number)
        self.cluster.start(number)
        await self.cluster.ready()
