"""What the README has a stranger type, typed: its blocks into one shell, with our commands on the PATH."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parents[2]
OURS: Final = {"securechan": f"{sys.executable} -m clients.cli", "securechan-relay": f"{sys.executable} -m relay"}


def blocks(language: str) -> list[str]:
    """The README's blocks of this language, in order."""
    return re.findall(rf"^```{language}\n(.*?)^```$", (ROOT / "README.md").read_text(), flags=re.MULTILINE | re.DOTALL)


def typed(script: str, place: Path, *, timeout: float, also: Mapping[str, str | Path] | None = None) -> tuple[int, str]:
    """Run ``script`` in the new folder ``place``, up to the first command that fails: its exit code and all it said.

    ``also``: programs besides ours, by the names that they are called. Whatever is left running is ended.
    """
    place.mkdir()
    commands = place.with_name(f"{place.name}-bin")
    commands.mkdir()
    for name, program in {**OURS, **(also or {})}.items():
        (commands / name).write_text(f'#!/bin/sh\nexec {program} "$@"\n')
        (commands / name).chmod(0o755)
    kept = {key: value for key, value in os.environ.items() if not key.startswith("SECURECHAN_")}
    with place.with_name(f"{place.name}-out").open("w+") as out:
        shell = subprocess.Popen(
            ["bash", "-c", f"set -eu\n{script}"],
            cwd=place,
            env={**kept, "PATH": f"{commands}:{os.environ['PATH']}", "PYTHONPATH": str(ROOT), "NO_COLOR": "1"},
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=subprocess.STDOUT,
            start_new_session=True,  # what it leaves running is ended with its group
        )
        try:
            code = shell.wait(timeout=timeout)
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(shell.pid, signal.SIGKILL)
        out.seek(0)
        return code, out.read()
