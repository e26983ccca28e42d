"""clients/cli/desk.py: what is said of a bulletin that was sent, and of what came after it."""

from __future__ import annotations

from clients.cli.desk import later, published

READERS = [{"device": "cert-si/desk", "officer": "liaison-1@cert-si", "own": False}]
SENT = {"bulletin": "SC-2026-0001-aaaaaa", "revision": 2, "name": "eu\x1b", "readers": READERS, "state": "queued"}


def test_where_it_went() -> None:
    assert published("revised", SENT | {"sequence": 7, "state": "sent"}).endswith(
        "rev 2  to cert-si (1 device) in eu\\u001b   entry 7"
    )
    assert published("revised", SENT).endswith("   queued")


def test_what_came_after_it() -> None:
    newest = {"revision": 3, "status": "active", "time": "2026-01-01T00:00:00Z", "reason": ""}
    assert later("SC-1", newest) == "superseded by rev 3  2026-01-01T00:00:00Z: securechan bulletin show SC-1"
    gone = newest | {"status": "withdrawn"}
    assert later("SC-1", gone) == "withdrawn  by rev 3  2026-01-01T00:00:00Z"
    assert later("SC-1", gone | {"reason": "false\nalarm"}).endswith("Z  false alarm")
