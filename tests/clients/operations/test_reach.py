"""clients/operations/reach.py: sent is not delivered, and delivered is not read."""

from __future__ import annotations

import secrets

import pytest

from tests.clients.conftest import Pair, Town
from tests.support.terminal import Terminal


@pytest.fixture
def direct(pair: Pair) -> str:
    """A conversation of these two officers."""
    made = pair.hr.json("conversation", "create", "by-name", "--with", "liaison-1@cert-si")
    pair.si.json("sync")
    pair.si.json("conversation", "accept", made["id"][:16], "--as", "by-name")
    pair.hr.json("sync")
    return "by-name"


def test_who_is_away_has_nothing_yet_and_the_wait_can_go_on(pair: Pair, direct: str) -> None:
    identity = secrets.token_hex(16)
    words = ("send", direct, "-m", "are you there?", "--id", identity, "--wait")
    late = pair.hr.run("--json", *words, "delivered", "--timeout", "3")
    assert (late.code, late.error["code"]) == (10, "not-delivered")
    assert late.error["message"] == "it is sent, and not delivered yet: cert-si/desk"
    assert f"--id {identity}" in late.error["hint"]

    pair.si.json("sync")
    done = pair.hr.json(*words, "delivered")
    assert (done["state"], done["id"]) == ("delivered", identity)
    assert [each["device"] for each in done["delivered"]] == ["cert-si/desk"]
    assert done["read"] == []
    assert pair.hr.json(*words, "delivered", "--timeout", "3")["delivered"] == done["delivered"]  # out of the archive

    pair.si.json("read", direct, "--peek")
    pair.si.json("sync")
    unread = pair.hr.run("--json", *words, "read", "--timeout", "3")
    assert (unread.code, unread.error["code"]) == (10, "not-read")
    assert unread.error["message"] == "it is sent, and not read yet: liaison-1@cert-si"
    pair.si.json("read", direct)
    pair.si.json("sync")
    done = pair.hr.json(*words, "read")
    assert [each["officer"] for each in done["read"]] == ["liaison-1@cert-si"]
    bodies = [each.get("body") for each in pair.si.json("read", direct)["events"]]
    assert bodies.count("are you there?") == 1
    shown = pair.hr.json("read", direct)["events"]
    assert "message-reached" not in {each["event"] for each in shown}
    assert shown[-1]["reached"] == {"delivered": ["liaison-1@cert-si"], "read": ["liaison-1@cert-si"]}
    assert "you  green  read by liaison-1@cert-si\n    are you there?" in pair.hr.run("read", direct).out


def test_who_watches_says_so_at_once(pair: Pair, direct: str) -> None:
    options = [word for word in pair.si.options if word != "--no-input"]
    with Terminal(*options, "watch") as terminal:
        terminal.expect("connected to ")
        done = pair.hr.run("send", direct, "-m", "and now?", "--wait", "delivered")
        assert (done.code, done.out.startswith("delivered  to ")) == (0, True)
        pair.si.json("read", direct)
        identity = done.out.split(" id ")[1].split()[0]
        again = pair.hr.run("send", direct, "-m", "and now?", "--wait", "read", "--id", identity)
        assert (again.code, again.out.startswith("read  to ")) == (0, True)


def test_among_many_it_is_refused_before_anything_is_sent(town: Town) -> None:
    name = town.community()
    for wait in ("delivered", "read"):
        said = town.hr.run("--json", "send", name, "-m", "to all of you", "--wait", wait)
        assert (said.code, said.error["code"]) == (2, "usage")
        assert "bulletin acks" in said.error["hint"]
    assert town.hr.run("send", name, "-m", "x", "--wait", "noticed").code == 2
    assert "to all of you" not in town.hr.run("read", name).out
