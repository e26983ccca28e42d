"""A driver in a process of its own, asked over its pipes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final, Self

ROOT: Final = Path(__file__).resolve().parents[2]
OURS: Final = (sys.executable, "-m", "tests.interop.driver")


class Refused(Exception):
    """A driver's ``ok: false``: what was asked, and the error as it names it."""

    def __init__(self, cmd: str, answer: Mapping[str, Any]) -> None:
        super().__init__(f"{cmd}: {answer.get('type')}: {answer.get('error')}")
        self.error = str(answer.get("error"))


class Process:
    """One driver process; a call of it is a request that must be granted."""

    def __init__(self, command: Sequence[str], env: Mapping[str, str] | None = None) -> None:
        self.process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=ROOT,
            env={**os.environ, **(env or {})},
        )
        self.count = 0

    def line(self, text: str) -> dict[str, Any]:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        print(text, file=self.process.stdin, flush=True)
        said = self.process.stdout.readline()
        if not said:
            raise EOFError(f"the driver ended with code {self.process.wait()}; what it said is above")
        answer = json.loads(said)
        assert isinstance(answer, dict)
        return answer

    def ask(self, cmd: str, **fields: Any) -> dict[str, Any]:
        self.count += 1
        answer = self.line(json.dumps({"id": self.count, "cmd": cmd, **fields}))
        assert answer["id"] == self.count
        return answer

    def __call__(self, cmd: str, **fields: Any) -> dict[str, Any]:
        answer = self.ask(cmd, **fields)
        if not answer["ok"]:
            raise Refused(cmd, answer)
        return answer

    def close(self) -> None:
        """Says ``quit`` and waits for the end."""
        assert self.ask("quit")["ok"]
        assert self.process.wait(timeout=30) == 0
        for pipe in (self.process.stdin, self.process.stdout):
            assert pipe is not None
            pipe.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *rest: object) -> None:
        if kind is None:
            self.close()
            return
        self.process.kill()
        self.process.communicate()
