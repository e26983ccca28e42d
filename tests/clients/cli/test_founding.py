"""clients/cli/founding.py: an agency is founded on paper."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from clients.operations import founding
from securechan.errors import BadSignature, Invalid, Malformed
from tests.clients.cli.conftest import Person
from tests.clients.conftest import Town
from tests.clients.station import Station


@pytest.fixture
def alice(tmp_path: Path) -> Person:
    return Person(tmp_path / "alice")


@pytest.fixture
def bob(tmp_path: Path) -> Person:
    return Person(tmp_path / "bob")


def prepared(person: Person, folder: Path, agency: str = "cert-ee") -> Path:
    """An administrator's papers."""
    path = folder / "bob.administrator"
    person.json("admin", "prepare", agency, "--officer", "bob", "--device", "bob-1", "--out", str(path))
    return path


def init(person: Person, folder: Path, *words: str) -> list[str]:
    """The words that found cert-ee."""
    out = str(folder / "cert-ee.application")
    return ["admin", "init", "cert-ee", "--officer", "alice", "--device", "alice-1", "--out", out, *words]


def test_an_agency_of_one_administrator_is_complete_at_once(alice: Person, tmp_path: Path) -> None:
    made = alice.json(*init(alice, tmp_path, "--title", "CERT Estonia", "--country", "EE"))
    assert (made["complete"], made["officer"], made["device"]) == (True, "alice@cert-ee", "cert-ee/alice-1")
    papers = founding.read_application(tmp_path / "cert-ee.application")
    papers.check()
    assert (papers.record.title, papers.record.country, papers.threshold) == ("CERT Estonia", "EE", 1)
    assert (tmp_path / "cert-ee.application").stat().st_mode & 0o777 == 0o600
    (key,) = made["authority"]
    assert Path(str(key)).stat().st_mode & 0o777 == 0o600


def test_the_authority_may_be_others(alice: Person, bob: Person, tmp_path: Path) -> None:
    for name in ("ann", "ben"):
        bob.json("admin", "key", str(tmp_path / f"{name}.key"), "--authority")
    given = [word for name in ("ann", "ben") for word in ("--authority-key", str(tmp_path / f"{name}.pub"))]
    made = alice.json(*init(alice, tmp_path, *given, "--authority-keys", "0", "--authority-threshold", "2"))
    assert not made["complete"]
    application = str(tmp_path / "cert-ee.application")
    for name, complete in (("ann", False), ("ben", True)):
        signed = bob.json("admin", "sign", application, "--yes", "--key", str(tmp_path / f"{name}.key"))
        assert signed["complete"] is complete
    bob.json("admin", "key", str(tmp_path / "eve.key"), "--authority")
    said = bob.run("--json", "admin", "sign", application, "--yes", "--key", str(tmp_path / "eve.key"))
    assert (said.code, said.error["code"]) == (7, "wrong-key")


def test_a_second_administrator_signs_what_lists_them(alice: Person, bob: Person, tmp_path: Path) -> None:
    papers = prepared(bob, tmp_path)
    made = alice.json(*init(alice, tmp_path, "--second", str(papers), "--threshold", "2", "--yes"))
    assert not made["complete"]
    application = str(tmp_path / "cert-ee.application")
    assert bob.run("admin", "sign", application).code == 2  # shows, and needs a yes
    assert bob.json("admin", "sign", application, "--yes")["complete"]
    assert Path(application).stat().st_mode & 0o777 == 0o600
    assert bob.run("--json", "admin", "sign", application, "--yes").error["code"] == "wrong-key"


def test_a_roster_with_another_device_of_that_name_is_an_alarm(alice: Person, bob: Person, tmp_path: Path) -> None:
    papers = prepared(bob, tmp_path)
    alice.json(*init(alice, tmp_path, "--second", str(papers), "--threshold", "2", "--yes"))
    impostor = Person(tmp_path / "impostor")
    prepared(impostor, tmp_path / "impostor")
    said = impostor.run("--json", "admin", "sign", str(tmp_path / "cert-ee.application"), "--yes")
    assert (said.code, said.error["code"]) == (4, "identity-changed")


def test_altered_papers_are_refused(bob: Person, tmp_path: Path) -> None:
    content = prepared(bob, tmp_path).read_bytes()
    good = founding.Administrator.decode(content)
    assert len(good.words) == 6
    said = json.loads(content)
    for field, value, error in (
        ("record", {**said["record"], "officer": "eve"}, BadSignature),
        ("record", {**said["record"], "roles": ["liaison"]}, Invalid),
        ("roster_key", said["signature"], (Invalid, Malformed)),
        ("signature", said["roster_key"], BadSignature),
        ("record", None, Invalid),
        ("kind", "x", Malformed),
    ):
        other = json.dumps({**said, field: value}, sort_keys=True, separators=(",", ":")).encode()
        with pytest.raises(error):
            founding.Administrator.decode(other)


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (["--threshold", "2"], 2),
        (["--authority-keys", "0"], 2),
        (["--authority-threshold", "2"], 2),
        (["--country", "Estonia"], 11),
        (["--role", "king"], 11),
    ],
)
def test_what_can_not_be_founds_nothing(alice: Person, tmp_path: Path, words: list[str], code: int) -> None:
    assert alice.run(*init(alice, tmp_path, *words)).code == code
    assert not (tmp_path / "cert-ee.application").exists()
    assert not list(alice.folder.rglob("vault.db"))


def test_names_that_can_not_be_are_told(alice: Person, tmp_path: Path) -> None:
    assert alice.run("admin", "init", "CERT_EE", "--officer", "alice").code == 11
    assert alice.run("admin", "prepare", "cert-ee", "--officer", "Bob B.").code == 11


def test_what_stands_is_not_overwritten(alice: Person, bob: Person, tmp_path: Path) -> None:
    alice.json(*init(alice, tmp_path))
    assert alice.run("--json", *init(alice, tmp_path)).error["code"] == "conflict"
    assert bob.run("--json", *init(bob, tmp_path)).error["code"] == "conflict"
    assert not list(bob.folder.rglob("vault.db"))


def test_papers_of_another_agency_are_told(alice: Person, bob: Person, tmp_path: Path) -> None:
    papers = prepared(bob, tmp_path, "cert-lv")
    assert alice.run(*init(alice, tmp_path, "--second", str(papers), "--yes")).code == 11


def test_who_is_not_listed_yet_can_not_join(town: Town, office: Station, alice: Person, tmp_path: Path) -> None:
    alice.json(*init(alice, tmp_path))
    address = str(office.json("admin", "status")["address"])
    said = alice.run("--json", "admin", "join", address)
    assert (said.code, said.error["code"]) == (4, "unknown-device")
    assert "admit-agency" in said.error["hint"]
    assert alice.run("admin", "join", "nonsense").code == 11
    assert alice.run("--json", "enrol", "--resume", "--no-wait").code == 8
