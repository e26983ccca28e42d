"""What the operator hears of a relay that runs."""

from __future__ import annotations

import hashlib
import secrets
from pathlib import Path

import pytest

from relay import running as asking
from relay import vitals
from securechan.errors import NotReady, Unreachable
from securechan.wire.frames import Append, Appended, CreateTopic, Show
from tests.relay.caller import call
from tests.relay.conftest import Running


async def test_it_is_told_in_words_who_stored_how_much(running: Running) -> None:
    founded, topic, secret = running.founded, secrets.token_bytes(32), secrets.token_bytes(32)
    async with call(running.url, founded.relay, founded.credential("cert-si/c")) as caller:
        await caller.ask(CreateTopic(topic, hashlib.sha256(secret).digest()))
        await caller.ask(Show(topic, secret))
        assert isinstance(await caller.ask(Append(topic, secrets.token_bytes(32), bytes(2048), None)), Appended)
    told = asking.status(running.process.home)
    words = asking.words(told)
    for line in ("relay ", "keys ", "running ", "federation ", "store ", "now ", "agency "):
        assert f"\n{line}" in f"\n{words}"
    assert f"process {running.process.pid}  version {vitals.installed()}  ready" in words
    assert told["running"]["agencies"]["cert-si"]["stored"] >= 2048
    assert told["running"]["agencies"]["cert-si"]["may"] == 20 << 30


def test_where_none_runs_that_is_said(tmp_path: Path) -> None:
    (tmp_path / "relay.sock").touch()  # left over
    for ask in (asking.ask, asking.reload, asking.drain):
        with pytest.raises(Unreachable, match="no relay runs"):
            ask(tmp_path)


def test_words_of_a_relay_that_waits() -> None:
    told = {
        "home": "/h",
        "card": {"name": "relay-1", "url": "ws://x", "key_id": "ab"},
        "adopted": False,
        "version": "1.1",
        "running": {
            "pid": 7,
            "workers": 2,
            "version": "1.0",
            "each": [
                {"worker": 0, "answers": True, "ready": True, "sessions": 5},
                {"worker": 1, "answers": False, "ready": False, "sessions": 0},
            ],
            "address": "ws://x",
            "uptime": 90_061,
            "ready": False,
            "why": ["waiting for a federation"],
            "store": "sqlite",
            "federation": None,
            "retention_days": 30,
            "agencies": {},
            "published": ["cd"],
            "configuration": {"refused": "", "waits": ["port", "tls"]},
            "counts": {
                "tls_expires_seconds": 90_000,
                "sessions": 0,
                "subscriptions": 0,
                "appends": 0,
                "pushed": 0,
                "store_bytes": 3 << 20,
            },
        },
    }
    words = asking.words(told)
    assert "up 1 d 1 h  process 7  workers 2  version 1.0  not ready: waiting for a federation" in words
    assert "warn       version 1.1 is installed; it serves once the relay is started anew" in words
    assert "worker     0  sessions 5\n" in words
    assert "worker     1  does not answer  not ready\n" in words
    assert "federation none yet: securechan-relay adopt BUNDLE" in words
    assert "store      sqlite  3.0 MiB  entries kept 30 d" in words
    assert "warn       the newest key is not published yet" in words
    assert "warn       changed, but taken up at the next start alone: port, tls" in words
    assert "warn       the TLS certificate expires in 1 d 1 h" in words


def test_a_folder_whose_socket_has_too_long_a_path_is_told_so(tmp_path: Path) -> None:
    with pytest.raises(NotReady, match="too long for a socket") as caught:
        asking.ask(tmp_path / ("d" * 100))
    assert "at most 96 bytes" in caught.value.hint
