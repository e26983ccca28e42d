"""Logs: one line an event, for people or for machines."""

from __future__ import annotations

import io
import json
import logging
import os
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from relay import logs

TIME = r"20\d\d-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z"


@pytest.fixture
def written() -> Iterator[io.StringIO]:
    """What goes to stderr once the relay's logs are configured; afterwards all is as before."""
    relay, websockets = logging.getLogger("relay"), logging.getLogger("websockets")
    before = (relay.handlers, relay.propagate, relay.level, websockets.level)
    yield io.StringIO()
    relay.handlers, relay.propagate = before[:2]
    relay.setLevel(before[2])
    websockets.setLevel(before[3])


def say(style: str, written: io.StringIO, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setattr("sys.stderr", written)
    logs.configure(style, "info")
    log = logging.getLogger("relay.connection")
    logs.event(log, "session ended", kind="device", seconds=31)
    logs.event(log, "not told", level=logging.DEBUG)
    try:
        raise ValueError("inside")
    except ValueError:
        logs.event(log, "session failed", level=logging.ERROR, error=True)
    return written.getvalue()


def test_words_for_people(written: io.StringIO, monkeypatch: pytest.MonkeyPatch) -> None:
    text = say("text", written, monkeypatch)
    assert re.match(
        TIME + r" info    session ended kind=device seconds=31\n" + TIME + r" error   session failed\nTraceback", text
    )


def test_the_journal_notes_the_time_itself(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with (tmp_path / "journal").open("w") as stream:
        status = os.fstat(stream.fileno())
        assert not logs.journal(stream, {})
        assert not logs.journal(stream, {"JOURNAL_STREAM": f"{status.st_dev}:{status.st_ino + 1}"})
        assert not logs.journal(io.StringIO(), {"JOURNAL_STREAM": "1:2"})
        monkeypatch.setenv("JOURNAL_STREAM", f"{status.st_dev}:{status.st_ino}")
        assert logs.journal(stream)
    record = logging.LogRecord("relay", logging.INFO, "", 0, "started", None, None)
    assert logs.Words(timed=False).format(record) == "info    started"


def test_lines_for_machines(written: io.StringIO, monkeypatch: pytest.MonkeyPatch) -> None:
    ended, failed = map(json.loads, say("json", written, monkeypatch).splitlines())
    assert (ended["event"], ended["kind"], ended["seconds"], ended["level"]) == ("session ended", "device", 31, "info")
    assert re.fullmatch(TIME, ended["time"])
    assert "ValueError: inside" in failed["traceback"]
