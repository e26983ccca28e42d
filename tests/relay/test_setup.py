"""What stands around a relay: its first folder, and its words. The command line's tests walk the rest."""

from __future__ import annotations

from pathlib import Path

import pytest

from relay import keys, setup
from securechan.errors import Conflict, Unreachable


def test_a_folder_holds_one_relay(tmp_path: Path) -> None:
    keys.make(tmp_path, 1000)  # by a first run without init
    with pytest.raises(Conflict):
        setup.init(tmp_path, name="relay-1", url="", host="127.0.0.1", port=1)


def test_nobody_answers_on_a_socket_that_is_left_over(tmp_path: Path) -> None:
    (tmp_path / "relay.sock").touch()
    with pytest.raises(Unreachable):
        setup._ask(tmp_path / "relay.sock")


def test_words_of_a_relay_that_waits() -> None:
    told = {
        "home": "/h",
        "card": {"name": "relay-1", "url": "ws://x", "key_id": "ab"},
        "adopted": False,
        "running": {"address": "ws://x", "uptime": 3, "store": "sqlite", "federation": None, "counts": {"sessions": 0}},
    }
    words = setup.words(told)
    assert "federation none yet: securechan-relay adopt BUNDLE" in words
    assert "sessions 0" in words
