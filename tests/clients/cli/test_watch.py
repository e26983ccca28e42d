"""clients/cli/watch.py: sync for people, and a command run for each event."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from clients.cli.watch import _counted, _news
from tests.clients.conftest import Town
from tests.support.relayproc import PATIENCE, ROOT


def test_sync_in_words(town: Town) -> None:
    name = town.community()
    town.hr.json("send", name, "-m", "x")
    assert "1 message received" in town.si.run("sync", "--once").out
    assert "nothing new" in town.si.run("sync").out


def test_events_are_counted_as_people_say_it() -> None:
    said = [_counted(kind, 2) for kind in ("held", "frozen", "alarm", "receipt-received")]
    assert said == ["2 held", "2 frozen", "2 alarms", "2 receipts received"]
    assert _counted("conversation-offered", 1) == "1 conversation offered"


def test_a_relay_that_is_down_is_one_piece_of_news() -> None:
    told: set[str] = set()
    down = {"event": "relay-down", "message": "refused", "retry_in": 1.0}
    assert _news(down, told)
    assert not _news(down, told)
    assert _news(down | {"message": "no such host"}, told)
    assert _news({"event": "relay-up"}, told)
    assert _news(down, told)
    assert _news(down | {"retry_in": None}, told)


def test_a_command_is_run_for_each_event(town: Town, tmp_path: Path) -> None:
    name, log = town.community(), tmp_path / "log"
    arguments = [
        sys.executable,
        "-m",
        "clients.cli",
        *town.si.options,
        "watch",
        name,
        "--exec",
        f"cat >> {log}; exit 3",
    ]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1"}
    with subprocess.Popen(
        arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=ROOT, env=environment
    ) as process:
        try:
            assert process.stdout is not None
            assert process.stderr is not None
            assert process.stdout.readline().startswith("watching as cert-si/desk")
            assert process.stdout.readline() == "connected to relay-1\n"
            town.hr.json("send", name, "-m", "ding")
            assert "liaison-1@cert-hr" in process.stdout.readline()
            until = time.monotonic() + PATIENCE
            while "ding" not in (log.read_text() if log.exists() else ""):
                assert time.monotonic() < until
                time.sleep(0.02)
            assert "--exec ended with 3" in process.stderr.readline()
            process.send_signal(signal.SIGTERM)
            assert process.wait(PATIENCE) == 130
        finally:
            process.kill()
    assert '"body": "ding"' in log.read_text()
