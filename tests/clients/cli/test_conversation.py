"""clients/cli/conversation.py: what people see of conversations, and what they must not type."""

from __future__ import annotations

import pytest

from tests.clients.conftest import Town
from tests.support.terminal import Terminal


def test_listed_and_shown(town: Town) -> None:
    name = town.community()
    listed = town.hr.run("conversation", "ls").out
    assert listed.split("\n")[0].split() == ["name", "kind", "state", "devices", "epoch", "unread", "id"]
    assert any(line.startswith(f"{name} ") and " community " in line for line in listed.split("\n"))
    shown = town.hr.run("conversation", "show", name).out
    assert "at most tlp:amber" in shown
    assert "cert-hr/desk" in shown
    assert "this device" in shown


def test_an_offer_says_how_to_accept(town: Town) -> None:
    town.si.json("sync")
    words = ["--agency", "cert-hr", "--agency", "cert-si", "--steward", "liaison-1@cert-si"]
    made = town.hr.run("conversation", "create", "offered-one", *words)
    assert made.out.startswith("founded  offered-one  id ")
    town.si.json("sync")
    assert "offered to you: securechan conversation ls" in town.si.run("read").err
    listed = town.si.run("conversation", "ls").out
    assert "offered: offered-one by liaison-1@cert-hr: securechan conversation accept " in listed
    assert "         community, at most tlp:amber\n         belongs    cert-hr, cert-si\n" in listed
    assert "         stewards   liaison-1@cert-hr, liaison-1@cert-si\n" in listed + "\n"
    assert town.si.run("conversation", "accept", "offered-one", "--offer", "").code == 2
    assert town.si.run("conversation", "accept", "offered-one", "--offer", "zz").code == 2
    joined = town.si.run("conversation", "accept", "offered-one")
    assert joined.out.startswith("joined  offered-one  epoch 1")
    assert "belongs    cert-hr, cert-si\n" in joined.out


def test_who_accepts_at_a_terminal_sees_who_belongs_and_is_asked(town: Town) -> None:
    town.si.json("sync")
    words = ["--agency", "cert-hr", "--agency", "cert-si", "--steward", "liaison-1@cert-si"]
    made = town.hr.json("conversation", "create", "asked-for", *words)
    town.si.json("sync")
    options = ["--home", str(town.si.home), "--passphrase-file", str(town.si.passphrase)]
    shown = (
        "asked-for by liaison-1@cert-hr (cert-hr/desk)\n"
        "community, at most tlp:amber\n"
        "belongs    cert-hr, cert-si\n"
        "stewards   liaison-1@cert-hr, liaison-1@cert-si\n"
        "join it? [y/N] "
    )
    with Terminal(*options, "conversation", "accept", "asked-for") as terminal:
        terminal.answer(shown, "")
        assert terminal.end() == 7
    assert made["id"] in [each["id"] for each in town.si.json("conversation", "ls")["offers"]]
    with Terminal(*options, "conversation", "accept", "asked-for") as terminal:
        terminal.answer(shown, "y")
        assert terminal.end() == 0
        assert "joined  asked-for  epoch 1" in terminal.screen
    with Terminal(*options, "conversation", "accept", "asked-for") as terminal:  # there is nothing to ask about
        assert terminal.end() == 0
        assert "[y/N]" not in terminal.screen


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (["create", "x"], 2),
        (["create", "x", "--agency", "cert-hr", "--with", "a@cert-hr"], 2),
        (["create", "x", "--with", "no address"], 11),
        (["create", "x", "--agency", "Not A Name"], 11),
        (["create", "x", "--room", "--renewal", "soon"], 2),
        (["create", "x", "--room", "--renewal", "1s"], 11),
        (["create", " ", "--room"], 11),
        (["show", "nowhere"], 9),
        (["leave", "nowhere", "--yes"], 9),
        (["leave", "nowhere"], 2),
        (["accept", "nothing"], 9),
        (["decline", "nothing"], 9),
        (["rename", "nowhere", "x"], 9),
        (["policy", "nowhere"], 9),
        (["resume", "nowhere", "--yes"], 9),
        (["frobnicate"], 2),
    ],
)
def test_faults_have_their_exit_codes(town: Town, words: list[str], code: int) -> None:
    said = town.hr.run("conversation", *words)
    assert said.code == code, said
    assert said.err.startswith("error: ")
