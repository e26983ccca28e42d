"""The port of those who watch: numbers without names, alive, ready; and nothing of it on the clients' port."""

from __future__ import annotations

import asyncio
import http.client
import json
import re
from pathlib import Path
from typing import Any

import pytest

from relay import metrics, observe, vitals
from relay.store.base import Health
from securechan.wire.frames import Done, Ping
from tests.relay.caller import call
from tests.relay.conftest import Running
from tests.relay.inside import relay_inside


def get(port: int, path: str) -> tuple[int, Any]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        body = answer.read().decode()
    finally:
        connection.close()
    return answer.status, json.loads(body) if answer.headers["Content-Type"] == "application/json" else body


def port_of(running: Running) -> int:
    found = re.search(r"metrics port=(\d+)", running.process.log)
    assert found is not None
    return int(found.group(1))


def test_it_has_a_port_of_its_own(running: Running) -> None:
    port = port_of(running)
    assert get(port, "/healthz") == (200, {"status": "alive"})
    assert get(port, "/readyz") == (200, {"status": "ready"})
    assert get(port, "/card")[0] == get(port, "/")[0] == 404
    for path in ("/metrics", "/readyz", "/status"):
        assert running.process.get(path)[0] == 404


async def test_numbers_have_help_and_no_names(running: Running) -> None:
    founded = running.founded
    async with call(running.url, founded.relay, founded.credential("cert-hr/a")) as caller:
        assert await caller.ask(Ping()) == Done()
        text = running.metrics()
    told = {line.split()[2] for line in text.splitlines() if line.startswith("# HELP")}
    numbers = {re.split(r"[{ ]", line)[0] for line in text.splitlines() if not line.startswith("#")}
    assert {re.sub(r"_(bucket|sum|count)$", "", name) for name in numbers} <= told
    for name in ("commit_seconds_bucket", "append_seconds_count", "handshake_seconds_sum", "store_bytes", "sessions"):
        assert f"securechan_{name}" in numbers
    expires = re.search(r"^securechan_trust_expires_seconds (\d+)$", text, flags=re.MULTILINE)
    assert expires is not None
    assert 0 < int(expires.group(1)) <= 86_400
    commits = re.search(r"^securechan_commit_seconds_count (\d+)$", text, flags=re.MULTILINE)
    assert commits is not None
    assert int(commits.group(1)) > 0
    assert f'securechan_build_info{{version="{vitals.installed()}"}} 1' in text
    assert set(metrics.PROCESS) <= numbers
    assert not re.search(r"cert-hr|cert-si|127\.0\.0", text)


async def test_whoever_is_not_ready_says_why(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with relay_inside(tmp_path) as (relay, _):
        assert relay.unready() == []
        monkeypatch.setattr(relay._mailroom._room, "disk", lambda: 0.01)
        assert relay.unready() == ["the disk is nearly full"]
        assert (await relay.gauges())["disk_free_ratio"] == 0.01
        monkeypatch.setattr(relay._mailroom._store, "health", lambda: Health("the cluster is not reached", 3))
        assert relay.unready() == ["the disk is nearly full", "the cluster is not reached"]
        assert (await relay.status())["why"] == relay.unready()
        assert "securechan_store_unreadable_total 3" in relay.metrics.render(await relay.gauges())
        monkeypatch.undo()
        relay._mailroom.failed.set()
        assert relay.unready() == ["a part of it failed"]
        server = await observe.listen(relay, "127.0.0.1", 0)
        port = next(iter(server.sockets)).getsockname()[1]
        assert (await asyncio.to_thread(get, port, "/healthz"))[0] == 500
        assert await asyncio.to_thread(get, port, "/readyz") == (
            503,
            {"status": "not ready", "why": ["a part of it failed"]},
        )
        server.close()


def test_every_number_is_declared_once() -> None:
    names = [*metrics.COUNTERS, *metrics.TALLIES, *metrics.GAUGES, *metrics.HISTOGRAMS, *metrics.PROCESS]
    assert len(names) == len(set(names))
    assert set(names) >= metrics.SHARED
