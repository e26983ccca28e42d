"""What somebody at a real terminal meets: mistyped passphrases, Ctrl-C. Whole processes on pseudo-terminals."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tests.clients.cli.conftest import Person
from tests.clients.conftest import Town
from tests.clients.station import PASSPHRASE, Station
from tests.support.terminal import INTERRUPT, Terminal

OLD = "passphrase of profile default: "
NEW = "new passphrase for profile default (8 characters or more): "


def test_who_mistypes_or_ends_an_enrolment_loses_nothing(office: Station, person: Person) -> None:
    invite = str(office.json("admin", "invite", "liaison-21")["invite"])
    with Terminal("--home", str(person.folder / "home"), "enrol", "-") as terminal:
        terminal.answer("the invite, one line: ", invite)
        terminal.answer(NEW, "short")
        terminal.answer("a passphrase of 5 characters is too short, try again\n" + NEW, "one and a half")
        terminal.answer("the same again: ", "two and a half")
        terminal.answer("the two passphrases differ, try again\n" + NEW, PASSPHRASE)
        terminal.answer("the same again: ", PASSPHRASE)
        terminal.expect("then wait\n")
        terminal.type(INTERRUPT)
        assert terminal.end() == 130
        assert "hint: nothing is lost: securechan enrol --resume\n" in terminal.screen
        assert terminal.screen.count("the invite, one line: ") == 1
    asked: Any = person.json("enrol", "--resume", "--no-wait")
    assert "  ".join(asked["words"]) in terminal.screen
    approved = office.json("admin", "approve", str(asked["device"]), "--words", " ".join(asked["words"]))
    assert approved["published"]
    with Terminal("--home", str(person.folder / "home"), "enrol", "--resume") as terminal:
        terminal.answer(OLD, "not this one")
        terminal.answer("wrong passphrase, try again\n" + OLD, PASSPHRASE)
        assert terminal.end() == 0
        assert "enrolled   liaison-21@cert-hr" in terminal.screen


def test_a_passphrase_has_three_tries(town: Town) -> None:
    station = town.again("three-tries")
    with Terminal("--home", str(station.home), "status", "--offline") as terminal:
        terminal.answer(OLD, "")
        terminal.answer("no passphrase was given, try again\n" + OLD, "not this one")
        terminal.answer("wrong passphrase, try again\n" + OLD, PASSPHRASE)
        assert terminal.end() == 0
        assert "officer" in terminal.screen
    with Terminal("--home", str(station.home), "status", "--offline") as terminal:
        for _ in range(3):
            terminal.answer(OLD, "not this one")
        assert terminal.end() == 8
        assert terminal.screen.endswith(
            "error: wrong passphrase\nhint: try again; without the passphrase nothing can be read\n"
        )


def test_a_passphrase_from_a_file_has_one(town: Town, tmp_path: Path) -> None:
    station, wrong = town.again("one-try"), tmp_path / "wrong"
    wrong.write_text("not this one\n")
    wrong.chmod(0o600)
    with Terminal("--home", str(station.home), "--passphrase-file", str(wrong), "status", "--offline") as terminal:
        assert terminal.end() == 8
        assert terminal.screen.startswith("error: wrong passphrase\n")


def test_ctrl_c_at_a_prompt_ends_it(town: Town) -> None:
    """One is enough, though an event loop runs already."""
    with Terminal("--home", str(town.again("interrupted").home), "status", "--offline") as terminal:
        terminal.expect(OLD)
        terminal.type(INTERRUPT)
        assert terminal.end() == 130


def test_who_sends_several_parts_is_asked_once(town: Town, tmp_path: Path) -> None:
    name = town.community()
    (tmp_path / "a.txt").write_text("attached")
    words = ["send", name, "-m", "both", "-a", str(tmp_path / "a.txt")]
    with Terminal("--home", str(town.hr.home), *words) as terminal:
        terminal.answer(OLD, "not this one")
        terminal.answer("wrong passphrase, try again\n" + OLD, PASSPHRASE)
        assert terminal.end() == 0
        assert terminal.screen.count(OLD) == 2
