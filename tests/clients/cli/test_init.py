"""``securechan init``: a profile, and a machine that can do what is needed."""

from __future__ import annotations

from pathlib import Path

import pytest

from clients.line import Line
from clients.operations import doctor
from clients.profile import Home
from tests.clients.cli.conftest import Person
from tests.clients.conftest import Town
from tests.clients.station import Station, run


def test_a_profile_is_made_and_the_machine_checked(tmp_path: Path) -> None:
    made = run("--json", "init", "--home", str(tmp_path), "--proxy", "proxy:3128").data
    assert (made["profile"], made["enrolled"], made["healthy"]) == ("default", False, True)
    assert {"cryptography", "pqcrypto"} <= {each["check"] for each in made["checks"]}
    profile = Home(tmp_path).profile("default")
    assert Line.load(profile.folder).proxy == "http://proxy:3128"
    assert profile.folder.stat().st_mode & 0o777 == 0o700
    again = run("init", "--home", str(tmp_path), "--profile", "second")
    assert again.out.startswith(f"profile    second  in {tmp_path}")
    assert "securechan enrol -" in again.err


def test_the_way_to_a_relay_is_tried(town: Town, person: Person) -> None:
    there = person.json("init", "--relay", town.relay.url)
    assert "relay-1 answers at" in str(there["checks"])
    gone = person.run("init", "--relay", "ws://127.0.0.1:1")
    assert gone.code == 13
    assert "fail       relay: " in gone.out
    assert person.run("init", "--relay", "nowhere").code == 13
    through = person.run("init", "--relay", town.relay.url, "--proxy", "http://127.0.0.1:1")
    assert (through.code, "through the proxy" in through.out) == (13, True)


def test_what_is_enrolled_is_left_alone(town: Town) -> None:
    said = town.si.run("--json", "init")
    assert (said.code, said.error["code"]) == (12, "conflict")


def test_a_machine_that_cannot_is_told_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "_algorithms", lambda: [doctor.fail("ML-KEM-768", "two answers", "install again")])
    said = run("init", "--home", str(tmp_path))
    assert said.code == 13
    assert "fail       ML-KEM-768: two answers\n           hint: install again\n" in said.out
    assert "enrol" not in said.err


def test_who_is_invited_goes_on_from_there(office: Station, person: Person) -> None:
    person.json("init")
    line = str(office.json("admin", "invite", "liaison-32")["invite"])
    assert person.json("enrol", line, "--no-wait")["officer"] == "liaison-32@cert-hr"
