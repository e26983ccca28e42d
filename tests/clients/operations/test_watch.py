"""clients/operations/watch.py: one process stays connected; others have it do their errands."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from tests.clients.conftest import Pair, Town
from tests.clients.station import Station
from tests.support.relayproc import PATIENCE, ROOT


class Watching:
    """A ``securechan watch`` in a process of its own, as a stream of events."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process

    def until(self, kind: str) -> Any:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            told = json.loads(line)
            assert told["ok"]
            if told["data"]["event"] == kind:
                return told["data"]
        raise AssertionError(f"no {kind} came")


@contextmanager
def watching(station: Station, *words: str) -> Iterator[Watching]:
    arguments = [sys.executable, "-m", "clients.cli", *station.options, "--json", "watch", *words]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    with subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True, cwd=ROOT, env=environment) as process:
        watch = Watching(process)
        try:
            watch.until("watching")
            yield watch
            process.send_signal(signal.SIGINT)
            assert process.wait(PATIENCE) == 130
        finally:
            process.kill()


def test_a_first_word_to_who_was_never_here_holds_up_nobody(pair: Pair) -> None:
    """It waits for its reader, for weeks if need be; to sync is done meanwhile."""
    pair.si.json("sync")
    queued = pair.si.json("send", "liaison-1@cert-pl", "-m", "welcome", "--wait", "queued")
    assert queued["state"] == "queued"
    for _ in range(2):
        said = pair.si.json("sync", "--timeout", "20")
        (there,) = [each for each in said["conversations"] if each["id"] == queued["conversation"]]
        assert there["queued"] == 1
    rested = pair.si.run("sync", "--timeout", "20").out
    assert "1 message waits for its readers" in rested


def test_events_come_as_they_happen_and_others_have_errands_done(town: Town) -> None:
    name = town.community()
    with watching(town.si) as watch:
        town.hr.json("send", name, "-m", "are you there?")
        assert watch.until("message-received")["body"] == "are you there?"
        answered = town.si.json("send", name, "-m", "yes")  # the profile is held: the watching process sends it
        assert answered["state"] == "sent"
        assert watch.until("message-received")["body"] == "yes"
        assert town.si.json("read", name)["events"][-1]["body"] == "yes"
        failed = town.si.run("--json", "send", "nowhere", "-m", "x")
        assert (failed.code, failed.error["code"]) == (9, "not-found")
    town.hr.json("sync")
    assert town.hr.json("read", name)["events"][-1]["body"] == "yes"
    assert not town.si.profile.control.exists()


def test_who_watches_second_is_given_the_same_events(town: Town) -> None:
    name = town.community()
    with watching(town.si) as first, watching(town.si, name) as second:
        assert second.until("relay-up")["url"] == town.relay.url
        town.hr.json("send", name, "-m", "to both")
        assert first.until("message-received")["body"] == second.until("message-received")["body"] == "to both"


def test_a_lost_relay_is_told_and_waited_for(town: Town, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECURECHAN_RELAY", "ws://127.0.0.1:1")
    with watching(town.si) as watch:
        down = watch.until("relay-down")
        assert "127.0.0.1:1" in down["message"]
        assert down["retry_in"] is not None
        assert watch.until("relay-down")["code"] == down["code"]


def test_sync_says_what_came(town: Town) -> None:
    name = town.community()
    town.hr.json("send", name, "-m", "one")
    town.hr.json("send", name, "-m", "two")
    said = town.si.json("sync")
    assert said["came"]["message-received"] == 2
    assert town.si.json("sync")["came"] == {}
