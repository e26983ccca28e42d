"""``securechan device``: a lost device is revoked, by an administrator's own or at its officer's wish."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tests.clients.cli.conftest import Person
from tests.clients.station import Station


def test_a_lost_device_is_told_of_from_another_of_its_officer(office: Station, tmp_path: Path) -> None:
    """The officer asks, the administrator sees who does, and revokes."""
    lost, kept = (enter(office, tmp_path / name, "liaison-61", name) for name in ("lost", "kept"))
    asked = kept.json("device", "revoke", "lost", "--yes")
    assert (asked["device"], asked["published"]) == ("cert-hr/lost", False)
    assert office.name in asked["asked"]
    (wish,) = office.json("admin", "pending")["revocations"]
    assert (wish["device"], wish["by"], wish["reason"]) == ("cert-hr/lost", "cert-hr/kept", "lost")
    said = office.run("admin", "pending").out
    assert "ask the officer, then: securechan admin revoke cert-hr/lost --reason lost" in said
    assert f"or, where it is to stay: securechan admin deny {wish['id']}" in said
    refused = kept.run("--json", "device", "revoke", "cert-hr/desk", "--yes")
    assert (refused.code, refused.error["code"]) == (7, "role-denied")
    assert kept.run("device", "revoke", "lost").code == 2  # nobody there to say yes
    done = office.json("device", "revoke", "cert-hr/lost", "--yes")  # an administrator's own device asks nobody
    assert (done["published"], done["asked"]) == (True, [])
    assert office.json("admin", "pending")["revocations"] == []
    assert lost.run("--json", "sync").code == 4


def test_an_administrator_denies_what_an_officer_wished(office: Station, tmp_path: Path) -> None:
    """It waits no more and the device stays; who still wants it out asks again."""
    found, kept = (enter(office, tmp_path / name, "liaison-62", name) for name in ("found", "holder"))
    kept.json("device", "revoke", "found", "--yes")
    with_reason = office.run("--json", "admin", "deny", "found", "--reason", "it lay under the desk")
    assert (with_reason.code, with_reason.error["code"]) == (2, "usage")  # whom would it be told?
    assert [each["device"] for each in office.json("admin", "pending")["revocations"]] == ["cert-hr/found"]
    denied = office.run("admin", "deny", "cert-hr/found")
    assert denied.out == "denied     the revocation of cert-hr/found: it stays\n"
    assert "nobody is told of it" in denied.err
    assert office.json("admin", "pending")["revocations"] == []
    assert office.run("admin", "deny", "cert-hr/found").code == 9
    found.json("sync")
    kept.json("device", "revoke", "found", "--reason", "left", "--yes")
    (again,) = office.json("admin", "pending")["revocations"]
    told = office.json("admin", "deny", again["id"])
    assert told == {"device": "cert-hr/found", "denied": True, "reason": "", "what": "revocation"}


def enter(office: Station, folder: Path, officer: str, device: str) -> Person:
    """A device that came in by invite."""
    person = Person(folder)
    line = str(office.json("admin", "invite", officer)["invite"])
    asked: Any = person.json("enrol", line, "--device", device, "--no-wait")
    office.json("admin", "approve", asked["device"], "--words", " ".join(asked["words"]))
    person.json("enrol", "--resume")
    return person
