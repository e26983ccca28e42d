"""clients/cli/chat.py: talking line by line; what is unread comes first, and a first word begins a conversation."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time

from tests.clients.conftest import Pair, Town
from tests.clients.station import Station
from tests.support.relayproc import PATIENCE, ROOT
from tests.support.terminal import INTERRUPT, Terminal


def chat(station: Station, to: str, **environment: str) -> Terminal:
    options = [word for word in station.options if word != "--no-input"]
    return Terminal(*options, "chat", to, environment=environment)


def test_a_first_word_begins_a_conversation_and_what_is_unread_comes_first(pair: Pair) -> None:
    with chat(pair.si, "liaison-1@cert-hr") as terminal:
        terminal.expect("a new conversation with liaison-1@cert-hr; an empty line ends it\n")
        terminal.type("hello there\n\n")
        assert terminal.end() == 0
    pair.si.json("sync")

    # the offer is at the relay, and this device has not seen it yet
    early = pair.hr.run("send", "liaison-1@cert-si", "-m", "not past each other")
    assert (early.code, early.err) == (0, "joined the conversation that liaison-1@cert-si offered you\n")
    pair.si.json("sync")
    assert [each.get("body") for each in pair.si.json("read", "--unread")["events"]][-1] == "not past each other"
    pair.si.json("send", "liaison-1@cert-hr", "-m", "are you there?")
    pair.hr.json("sync")

    with chat(pair.hr, "liaison-1@cert-si") as terminal:
        terminal.expect(
            "talking in liaison-1@cert-si: 1 device of liaison-1@cert-si; 2 unread messages; an empty line ends it\n"
        )
        terminal.expect("  unread  [liaison-1@cert-si] liaison-1@cert-si  green\n    hello there\n")
        terminal.expect("  unread  [liaison-1@cert-si] liaison-1@cert-si  green\n    are you there?\n")
        pair.si.json("send", "liaison-1@cert-hr", "-m", "now, I mean")
        terminal.expect("now, I mean\n")
        assert terminal.screen.count("  unread  ") == 2
        assert terminal.screen.count("hello there") == 1
        terminal.type("/quit\n")
        terminal.expect("not sent: there are no such commands")
        terminal.type("yes\n")
        terminal.expect("yes\n")
        terminal.type("\n")
        assert terminal.end() == 0
    assert pair.hr.json("read", "--unread")["events"] == []
    pair.hr.json("sync")
    assert pair.hr.json("read", "liaison-1@cert-si")["events"][-1]["body"] == "yes"
    assert "/quit" not in [each.get("body") for each in pair.hr.json("read", "liaison-1@cert-si")["events"]]


def test_scripts_read_the_same_as_lines_of_json(pair: Pair) -> None:
    pair.si.json("send", "liaison-1@cert-hr", "-m", "one", "--wait", "queued")
    pair.si.json("sync")
    pair.hr.json("sync")
    pair.hr.json("conversation", "accept", "liaison-1@cert-si")
    pair.si.json("sync")
    pair.hr.json("sync")
    said = pair.hr.run("--json", "chat", "liaison-1@cert-si", stdin=b"")
    assert said.code == 0
    talking, first = (json.loads(line)["data"] for line in said.out.splitlines())
    assert (talking["event"], talking["unread"], talking["begun"]) == ("talking", 1, False)
    assert [each["officer"] for each in talking["readers"]] == ["liaison-1@cert-si"]
    assert (first["event"], first["body"], first["unread"]) == ("message-received", "one", True)
    again = pair.hr.run("--json", "chat", "liaison-1@cert-si", stdin=b"")
    assert len(again.out.splitlines()) == 1


def test_talking_line_by_line(town: Town) -> None:
    name = town.community()
    done = subprocess.run(
        [sys.executable, "-m", "clients.cli", *town.hr.options, "chat", name],
        input="hello there\nand goodbye\n\n",
        capture_output=True,
        text=True,
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done
    town.hr.json("sync")
    assert [e.get("body") for e in town.hr.json("read", name)["events"]][-2:] == ["hello there", "and goodbye"]


def test_there_is_nobody_of_that_name(town: Town) -> None:
    assert town.hr.run("chat", "nowhere").code == 9
    assert town.hr.run("chat", "nobody@cert-si").code == 4


def test_ctrl_c_ends_a_talk_at_once_though_the_relay_is_gone(town: Town) -> None:
    """What was typed before is kept."""
    name = town.community()
    with chat(town.hr, name, SECURECHAN_RELAY="ws://127.0.0.1:1") as terminal:
        terminal.expect("the connection was refused")
        terminal.expect("what you type is kept")
        terminal.expect("an empty line ends it\n")
        terminal.type("kept for later\n")
        terminal.expect("kept for later\n")
        began = time.monotonic()
        terminal.type(INTERRUPT)
        assert terminal.end() == 130
        assert time.monotonic() - began < PATIENCE  # neither for a line nor for the relay
        assert terminal.screen.endswith("^C\n")
