"""Signals that come before the relay serves: one that asks for a reload kills nobody, one that ends it ends it well."""

from __future__ import annotations

import os
import secrets
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from relay.signals import Early
from tests.support.cluster import Cluster
from tests.support.relayproc import PATIENCE, ROOT, RelayProcess

AT = """
import os, signal, sys
class At:  # sends its own process a signal when a module is about to be loaded
    def find_spec(self, name, path=None, target=None):
        if name in {names}:
            os.kill(os.getpid(), signal.{signal})
sys.meta_path.insert(0, At())
{more}
from relay.cli import main; main()
"""


def program(number: signal.Signals, *names: str, more: str = "") -> tuple[str, str]:
    return "-c", AT.format(names=names, signal=number.name, more=more)


def reloads(relay: RelayProcess, count: int) -> None:
    """Wait until it has read its configuration so often."""
    until = time.monotonic() + PATIENCE
    while relay.log.count("configuration reloaded") < count:
        assert time.monotonic() < until, relay.log
        time.sleep(0.02)


@pytest.mark.parametrize("module", ["relay.process", "relay.store.sqlite"])
def test_a_hangup_that_comes_early_is_a_reload_as_soon_as_it_serves(tmp_path: Path, module: str) -> None:
    with RelayProcess(tmp_path / "home", program=program(signal.SIGHUP, module)) as relay:
        reloads(relay, 1)
        assert relay.stop() == 0


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("module", ["relay.process", "relay.store.sqlite"])
def test_what_ends_it_early_ends_it_well(tmp_path: Path, module: str, number: signal.Signals) -> None:
    command = [sys.executable, *program(number, module), "run", "--home", str(tmp_path), "--port", "0"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=PATIENCE, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    with RelayProcess(tmp_path) as relay:  # and nothing is in the way of the next start
        assert relay.stop() == 0


def test_parent_and_workers_outlive_an_early_hangup(tmp_path: Path, cluster: Cluster) -> None:
    early = program(signal.SIGHUP, "relay.process", "relay.store.nats", more="sys.argv += ['--workers', '2']")
    with RelayProcess(
        tmp_path / "home", environment=cluster.environment(f"w{secrets.token_hex(4)}"), program=early
    ) as (relay):
        reloads(relay, 2)
        assert relay.stop() == 0
        assert "worker ended" not in relay.log


def test_who_listened_before_listens_after() -> None:
    before = signal.getsignal(signal.SIGHUP)
    with Early() as early:
        assert not early.again
        os.kill(os.getpid(), signal.SIGHUP)
        assert early.again
    assert signal.getsignal(signal.SIGHUP) == before
