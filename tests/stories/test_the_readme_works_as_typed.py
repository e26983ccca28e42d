"""What the README tells a stranger to type works, line by line, with the installed commands and a real relay."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PORT = "18765"  # the one that the README names


def free_port() -> str:
    """A port that nobody listens on just now."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return str(probe.getsockname()[1])


def typed() -> str:
    """Every ``sh`` block of the README in order, stopping at the first command that fails."""
    blocks = re.findall(r"^```sh\n(.*?)^```$", (ROOT / "README.md").read_text(), flags=re.MULTILINE | re.DOTALL)
    assert len(blocks) >= 6
    return "set -eu\n" + "\n".join(blocks).replace(PORT, free_port()) + "\nsecurechan --home alice conversation ls\n"


@pytest.mark.timeout(300)
def test_the_readme_works_as_typed(tmp_path: Path) -> None:
    commands = tmp_path / "bin"
    commands.mkdir()
    for name, module in (("securechan", "clients.cli"), ("securechan-relay", "relay")):
        (commands / name).write_text(f'#!/bin/sh\nexec "{sys.executable}" -m {module} "$@"\n')
        (commands / name).chmod(0o755)
    kept = {key: value for key, value in os.environ.items() if not key.startswith("SECURECHAN_")}
    env = {**kept, "PATH": f"{commands}:{os.environ['PATH']}", "PYTHONPATH": str(ROOT), "NO_COLOR": "1"}
    place = tmp_path / "here"
    place.mkdir()
    with (tmp_path / "out").open("w+") as out:
        shell = subprocess.Popen(
            ["bash", "-c", typed()],
            cwd=place,
            env=env,
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=subprocess.STDOUT,
            start_new_session=True,  # the relay that the README leaves running is ended with its shell's group
        )
        try:
            code = shell.wait(timeout=290)
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(shell.pid, signal.SIGKILL)
        out.seek(0)
        said = out.read()
    assert code == 0, said
    assert "Phishing wave" in said
    assert "1 acknowledged" in said
    assert "bob@cert-bb" in said
    assert "seen here too, since Tuesday" in said
