"""clients/operations/status.py: everything at a glance, whether or not the relay answers."""

from __future__ import annotations

import pytest

from tests.clients.conftest import Town


def test_at_a_glance(town: Town) -> None:
    said = town.hr.json("status")
    assert (said["officer"], said["device"], said["profile"]) == ("liaison-1@cert-hr", "cert-hr/desk", "default")
    assert said["roles"] == ["admin", "desk", "liaison"]
    assert (said["relay"]["state"], said["relay"]["url"]) == ("up", town.relay.url)
    assert abs(said["relay"]["skew"]) < 60
    assert said["trust"]["root_id"] == town.founded.root_id.hex()
    assert (said["trust"]["threshold"], said["trust"]["holders"], said["trust"]["agencies"]) == (1, 1, 3)
    assert said["keys"][0]["state"] == "current"


def test_without_a_relay_it_says_so_and_succeeds(town: Town, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECURECHAN_RELAY", "ws://127.0.0.1:1")
    relay = town.hr.json("status")["relay"]
    assert relay["state"] == "down"
    assert "127.0.0.1:1" in relay["message"]
    assert relay["hint"]
    assert town.hr.json("status", "--offline")["relay"]["state"] == "not asked"
