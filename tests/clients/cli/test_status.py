"""clients/cli/status.py: a glance for people."""

from __future__ import annotations

from tests.clients.conftest import Town


def test_for_people(town: Town) -> None:
    said = town.hr.run("status")
    assert said.code == 0
    lines = said.out.split("\n")
    assert lines[0].startswith("officer        liaison-1@cert-hr  (admin, desk, liaison)   profile default")
    assert lines[1].startswith("relay          relay-1  ws://127.0.0.1:")
    assert " up, " in lines[1]
    assert "ML-DSA-65+Ed25519" in lines[2]
    assert "root 1 (1 of 1)" in lines[3]
    assert "not asked" in town.hr.run("status", "--offline").out
