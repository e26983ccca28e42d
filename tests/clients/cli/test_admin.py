"""``securechan admin``: founding on paper, and an administrator at work against a relay. The whole story, with two
administrators, is in tests/stories."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from clients.keyfile import PublicKey, Use
from clients.operations import admin, directory, founding
from clients.operations.newcomer import OFFICE, ROSTER_KEY
from clients.operations.rotation import NEXT_KEY
from clients.vault import Put, Vault
from securechan.errors import BadSignature, Invalid, Malformed, NotFound
from securechan.trust.enrolment import Invite
from tests.clients.cli.conftest import Person
from tests.clients.conftest import Town
from tests.clients.station import PASSPHRASE, Station


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


# ------------------------------------------------------------------------------------------------------------ founding


def test_an_agency_of_one_administrator_is_complete_at_once(alice: Person, tmp_path: Path) -> None:
    made = alice.json(*init(alice, tmp_path, "--title", "CERT Estonia", "--country", "EE"))
    assert (made["complete"], made["officer"], made["device"]) == (True, "alice@cert-ee", "cert-ee/alice-1")
    papers = founding.read_application(tmp_path / "cert-ee.application")
    papers.check()
    assert (papers.record.title, papers.record.country, papers.threshold) == ("CERT Estonia", "EE", 1)
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


# ------------------------------------------------------------------------------------------------------------- at work


def test_an_invite_says_what_was_asked_for(office: Station) -> None:
    made = office.json("admin", "invite", "liaison-3@cert-hr", "--role", "desk", "--lifetime", "2h")
    invite = Invite.parse(made["invite"])
    assert (invite.agency, invite.officer, invite.roles) == ("cert-hr", "liaison-3", ("desk",))
    said = office.run("admin", "invite", "liaison-3")
    assert said.out.startswith("securechan1:")
    assert len(said.out.split()) == 1
    assert "invite" in said.err
    waiting = office.json("admin", "pending")["invites"]
    assert made["id"] in {each["id"] for each in waiting}
    assert made["id"] in office.run("admin", "pending").out


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (["invite", "liaison-3", "--role", "king"], 11),
        (["invite", "No Name"], 11),
        (["invite", "liaison-3", "--lifetime", "soon"], 2),
        (["invite", "liaison-3", "--lifetime", "90d"], 4),
        (["invite", "liaison-3", "--url", "http://x"], 11),
        (["approve", "00000000", "--words", "a b c d e f"], 9),
        (["approve", "00000000"], 2),
        (["deny", "00000000"], 9),
        (["revoke", "nobody", "--yes"], 9),
        (["revoke", "nobody"], 2),
        (["revoke", "cert-si/desk", "--yes"], 7),
        (["revoke", "desk", "--reason", "bored", "--yes"], 2),
        (["sign"], 9),
        (["rotate", "--drop", "00000000"], 9),
        (["rotate", "--threshold", "5"], 2),
        (["contact", "set", "nobody", "--name", "X"], 9),
        (["contact", "set", "liaison-1"], 2),
        (["contact", "share", "cert-xx"], 4),
    ],
)
def test_what_can_not_be_is_told(office: Station, words: list[str], code: int) -> None:
    said = office.run("admin", *words)
    assert said.code == code, said
    assert said.err.startswith("error: ")


def test_an_invite_that_the_relay_refused_is_forgotten(office: Station) -> None:
    before = office.json("admin", "pending")["invites"]
    assert office.run("admin", "invite", "liaison-3", "--lifetime", "90d").code == 4
    assert office.json("admin", "pending")["invites"] == before


def test_a_device_that_is_no_administrators_may_not(town: Town, office: Station, person: Person) -> None:
    asked = person.json(
        "enrol", str(office.json("admin", "invite", "plain")["invite"]), "--device", "plain", "--no-wait"
    )
    assert isinstance(asked["words"], list)
    office.json("admin", "approve", "cert-hr/plain", "--words", " ".join(asked["words"]))
    person.json("enrol", "--resume", "--timeout", "60s")
    said = person.run("--json", "admin", "invite", "friend")
    assert (said.code, said.error["code"]) == (7, "role-denied")
    revoked = office.json("admin", "revoke", "plain", "--reason", "left", "--yes")
    assert revoked["published"]
    assert {"device": "cert-hr/plain", "officer": "plain", "reason": "left"}.items() <= office.json(
        "admin", "member", "ls"
    )["gone"][-1].items()
    assert "cert-hr/plain" in office.run("admin", "member", "ls", "--offline").out
    assert person.run("sync").code == 4


@pytest.fixture
def keyless(town: Town) -> Iterator[Station]:
    """The desk of cert-si without any key of its office, whatever other tests gave it."""
    rows = (ROSTER_KEY, NEXT_KEY)
    with Vault.open(town.si.profile.vault, PASSPHRASE) as vault:
        held = {row: vault.get(OFFICE, row) for row in rows}
        vault.adopt([Put(OFFICE, row, None) for row in rows])
    town.si.json("sync")
    yield town.si
    with Vault.open(town.si.profile.vault, PASSPHRASE) as vault:
        vault.adopt([Put(OFFICE, row, held[row]) for row in rows])


def test_who_has_no_roster_key_signs_none(keyless: Station) -> None:
    said = keyless.run("--json", "admin", "renew")
    assert (said.code, said.error["code"]) == (8, "no-roster-key")
    made = keyless.json("admin", "key")
    assert keyless.json("admin", "key") == made
    assert keyless.run("--json", "admin", "renew").error["code"] == "no-roster-key"


def test_a_strange_roster_key_signs_nothing(town: Town, office: Station) -> None:
    with Vault.open(town.hr.profile.vault, PASSPHRASE) as vault:
        held = vault.get(OFFICE, ROSTER_KEY)
    assert held is not None
    made = office.json("admin", "status")
    assert made["own_key"] in made["roster_keys"]["keys"]
    assert not office.json("admin", "rotate", "--out", str(town.folder / "rotation"))["complete"]
    assert office.run("--json", "admin", "publish", str(town.folder / "rotation")).error["code"] == "threshold"


def test_a_roster_key_is_given_away_as_a_file(office: Station, tmp_path: Path) -> None:
    made = office.json("admin", "key", str(tmp_path / "desk.pub"))
    public = PublicKey.load(tmp_path / "desk.pub", Use.ROSTER)
    assert (public.keyid, public.name) == (made["key"], "cert-hr/desk")


def test_a_card_is_read_by_who_has_the_key(town: Town, office: Station) -> None:
    set_card = ["admin", "contact", "set", "liaison-1", "--name", "Iva", "--duty", "on call", "--phone", "+385 1"]
    assert office.json(*set_card)["published"]
    shared = office.json("admin", "contact", "share", "cert-si")
    assert shared["sent_to"] == ["cert-si/desk"]
    town.si.json("sync")
    town.si.json("admin", "pending")  # takes up the letter
    with Vault.open(town.si.profile.vault, PASSPHRASE) as vault:
        held = directory.keys(vault)
        assert [key.agency for key in held] == ["cert-hr"]
        with pytest.raises(NotFound):
            directory.own(vault, "cert-si")
    assert office.json("admin", "contact", "set", "liaison-1", "--remove")["published"]


def test_letters_that_are_not_believed_are_told_of(town: Town, office: Station) -> None:
    refused = office.json("admin", "pending")["refused"]
    assert refused == []


def test_operations_are_listed_for_who_forwards_them() -> None:
    assert set(admin.OPERATIONS) >= {"invite", "pending", "approve", "deny", "revoke", "member-ls", "status"}
