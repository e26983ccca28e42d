"""A real relay in a process of its own, for stories.

with RelayProcess(home) as relay:
    relay.url                     ws://127.0.0.1:PORT
    relay.adopt(bundle)           lay a federation bundle into its folder; returns once the relay serves it
    relay.kill()                  as the power fails: SIGKILL
    relay.start()                 and again, on the same folder and port
    relay.stop()                  SIGTERM; returns the exit code
"""

from __future__ import annotations

import http.client
import json
import os
import select
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

ROOT: Final = Path(__file__).resolve().parents[2]
PATIENCE: Final = 30.0  # seconds for a start or a stop on a busy machine


class RelayProcess:
    """``python -m relay.cli run`` on ``home``; ``environment`` adds ``SECURECHAN_RELAY_*`` settings, ``program`` is
    run instead where a machine is to be played that this one isn't."""

    def __init__(
        self,
        home: Path,
        *,
        name: str = "relay-1",
        environment: Mapping[str, str] | None = None,
        program: Sequence[str] = ("-m", "relay.cli"),
    ) -> None:
        self.home = home
        self.name = name
        self.url = ""
        self.port = 0
        self.environment = dict(environment or {})
        self.program = tuple(program)
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._process is not None:
            self.kill()

    @property
    def pid(self) -> int:
        if self._process is None:
            raise RuntimeError("the relay does not run")
        return self._process.pid

    @property
    def log(self) -> str:
        """What it wrote to stderr in all its lives."""
        path = self.home / "stderr.log"
        return path.read_text() if path.exists() else ""

    def start(self) -> None:
        """Start it and wait until it listens; a second start has the port of the first."""
        self.home.mkdir(parents=True, exist_ok=True)
        arguments = ["run", "--home", str(self.home), "--port", str(self.port), "--name", self.name]
        environment = {**os.environ, "PYTHONPATH": str(ROOT), **self.environment}
        with (self.home / "stderr.log").open("ab") as stderr:
            self._process = subprocess.Popen(
                [sys.executable, *self.program, *arguments],
                cwd=ROOT,
                env=environment,
                stdout=subprocess.PIPE,
                stderr=stderr,
            )
        line = self._ready_line()
        if not line.startswith("ready ws"):
            self.kill()
            raise RuntimeError(f"the relay did not start: {line!r}\n{self.log}")
        self.url = line.split()[1]
        self.port = int(self.url.rsplit(":", 1)[1])

    def _ready_line(self) -> str:
        assert self._process is not None
        assert self._process.stdout is not None
        waiting = select.poll()  # not select: a test may have thousands of files open
        waiting.register(self._process.stdout, select.POLLIN | select.POLLHUP)
        return self._process.stdout.readline().decode() if waiting.poll(PATIENCE * 1000) else "(nothing in time)"

    def stop(self) -> int:
        """SIGTERM; the exit code."""
        assert self._process is not None
        self._process.terminate()
        return self._gone()

    def kill(self) -> None:
        """SIGKILL: nothing is finished, nothing flushed."""
        assert self._process is not None
        self._process.kill()
        self._gone()

    def _gone(self) -> int:
        assert self._process is not None
        code = self._process.wait(PATIENCE)
        if self._process.stdout is not None:
            self._process.stdout.close()
        self._process = None
        return code

    def get(self, path: str) -> tuple[int, dict[str, Any]]:
        """(status, JSON) of a plain GET."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE)
        try:
            connection.request("GET", path)
            answer = connection.getresponse()
            return answer.status, json.loads(answer.read())
        finally:
            connection.close()

    def card(self) -> dict[str, Any]:
        """Its card: name, url, key_id, kem, online."""
        return self.get("/card")[1]

    def adopt(self, bundle: bytes) -> None:
        """Give it a federation, and wait until it serves."""
        aside = self.home / ".bundle"
        aside.write_bytes(bundle)
        aside.replace(self.home / "federation.json")
        until = time.monotonic() + PATIENCE
        while self.get("/healthz")[0] != 200:
            if time.monotonic() > until:
                raise RuntimeError(f"the relay did not adopt the bundle\n{self.log}")
            time.sleep(0.02)
