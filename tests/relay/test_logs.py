"""Logs: one line an event, for people or for machines."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator

import pytest

from relay import logs


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
    assert text.startswith("info    session ended kind=device seconds=31\nerror   session failed\nTraceback")


def test_lines_for_machines(written: io.StringIO, monkeypatch: pytest.MonkeyPatch) -> None:
    ended, failed = map(json.loads, say("json", written, monkeypatch).splitlines())
    assert (ended["event"], ended["kind"], ended["seconds"], ended["level"]) == ("session ended", "device", 31, "info")
    assert "ValueError: inside" in failed["traceback"]
