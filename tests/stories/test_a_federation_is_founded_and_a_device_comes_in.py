"""A federation is founded by two of three holders, an agency with two administrators is admitted, a device comes in
with an invite, is revoked, and everybody's keys can change: all as people type it, against a real relay."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Any

import pytest

from clients import keyfile
from clients.vault import Vault
from tests.clients.station import CHEAP, PASSPHRASE, Said, run
from tests.support.relayproc import RelayProcess


class People:
    """Everybody has a home of their own; files are passed on in ``folder``."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.passphrase = folder / "passphrase"
        self.passphrase.write_text(PASSPHRASE)
        self.passphrase.chmod(0o600)

    def run(self, who: str, *words: str, stdin: bytes = b"") -> Said:
        home = ["--home", str(self.folder / who), "--passphrase-file", str(self.passphrase), "--no-input", "--json"]
        return run(*home, *words, stdin=stdin)

    def does(self, who: str, *words: str, stdin: bytes = b"") -> Any:
        return self.run(who, *words, stdin=stdin).data

    def can_not(self, who: str, *words: str, stdin: bytes = b"") -> tuple[int, str]:
        said = self.run(who, *words, stdin=stdin)
        return said.code, said.error["code"]

    def path(self, name: str) -> str:
        return str(self.folder / name)


@pytest.fixture
def people(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> People:
    for name in list(os.environ):
        if name.startswith(("SECURECHAN_", "XDG_")) or name.lower().endswith("_proxy"):
            monkeypatch.delenv(name)
    monkeypatch.setattr(keyfile, "COST", CHEAP)
    monkeypatch.setitem(Vault.create.__func__.__kwdefaults__, "cost", CHEAP)
    return People(tmp_path)


def holder(people: People, role: str, number: int) -> list[str]:
    return ["--key", people.path(f"federation/keys/{role}-{number}.key")]


def test_a_federation_is_founded_and_a_device_comes_in(people: People) -> None:
    with RelayProcess(people.folder / "relay") as relay:
        address = found(people, relay)
        join(people, address)
        device, invite = come_in(people)
        refused(people, invite)
        change_the_federation(people)
        card(people)
        revoke(people, device)
        rotate(people)


def found(people: People, relay: RelayProcess) -> str:
    """Two of three sign; one agency, whose roster two administrators sign."""
    folder = ["--dir", people.path("federation")]
    people.does("root", "root", "init", *folder, "--keys", "3", "--threshold", "2")
    papers = people.path("bob.administrator")
    said = people.does("bob", "admin", "prepare", "cert-hr", "--officer", "bob", "--device", "bob-1", "--out", papers)
    application = people.path("cert-hr.application")
    words = ["--title", "CERT Croatia", "--second", papers, "--threshold", "2", "--yes", "--out", application]
    made = people.does("alice", "admin", "init", "cert-hr", "--officer", "alice", "--device", "alice-1", *words)
    assert made["administrators"][0]["words"] == said["words"]
    assert not made["complete"]
    assert people.can_not("root", "root", "admit-agency", application, *folder) == (8, "threshold")
    assert people.does("bob", "admin", "sign", application, "--yes")["complete"]

    card = people.folder / "card.json"
    card.write_text(json.dumps(relay.card()))
    people.does("root", "root", "add-relay", str(card), *folder)
    people.does("root", "root", "admit-agency", application, *folder)
    ceremony = people.path("federation/ceremony.json")
    for number in (1, 3):
        copy = people.path(f"copy-{number}.json")
        shutil.copy(ceremony, copy)
        people.does(
            "root", "root", "sign", copy, "--yes", *holder(people, "root", number), *holder(people, "targets", number)
        )
    people.does("root", "root", "merge", ceremony, people.path("copy-1.json"))
    assert people.can_not("root", "root", "publish", *folder) == (4, "threshold")
    assert people.does("root", "root", "merge", ceremony, people.path("copy-3.json"))["complete"]
    published = people.does("root", "root", "publish", *folder)
    relay.adopt(Path(published["bundle"]).read_bytes())
    return str(published["address"])


def join(people: People, address: str) -> None:
    """Both administrators' devices come in by the first roster."""
    assert people.can_not("bob", "status") == (8, "not-enrolled")
    for who in ("alice", "bob"):
        joined = people.does(who, "admin", "join", "-", stdin=address.encode())
        assert (joined["officer"], joined["pending"]) == (f"{who}@cert-hr", "")
    assert people.can_not("bob", "admin", "join", address)[0] == 8
    status = people.does("alice", "admin", "status")
    assert (status["devices"], status["roster_keys"]["threshold"], status["address"]) == (2, 2, address)


def come_in(people: People) -> tuple[str, str]:
    """An invite, six words, one administrator approves, the other signs."""
    invited = people.does("alice", "admin", "invite", "liaison-1", "--role", "desk", "--role", "liaison")
    invite = invited["invite"]
    asked = people.does("desk", "enrol", "-", "--no-wait", stdin=invite.encode())
    (request,) = people.does("alice", "admin", "pending")["requests"]
    assert request["words"] == asked["words"]
    assert people.can_not("desk", "enrol", "--resume", "--timeout", "1s") == (10, "timed-out")
    wrong = " ".join(["babab", *asked["words"][1:]])
    assert people.can_not("alice", "admin", "approve", request["id"], "--words", wrong) == (7, "words-differ")
    approved = people.does("alice", "admin", "approve", request["id"], "--words", " ".join(asked["words"]))
    assert (approved["published"], approved["missing"], approved["sent_to"]) == (False, 1, ["cert-hr/bob-1"])
    (roster,) = people.does("bob", "admin", "pending")["rosters"]
    assert roster["words"] == {asked["device"]: asked["words"]}
    assert people.can_not("bob", "admin", "sign") == (2, "confirmation-needed")
    assert people.does("bob", "admin", "sign", "--yes")["published"]
    enrolled = people.does("desk", "enrol", "--resume", "--timeout", "60s")
    assert (enrolled["enrolled"], enrolled["roles"], enrolled["pending"]) == (True, ["desk", "liaison"], "")
    listed = people.does("bob", "admin", "member", "ls")["devices"]
    assert [each["device"] for each in listed] == ["cert-hr/alice-1", "cert-hr/bob-1", asked["device"]]
    report = people.run("desk", "doctor")
    assert report.data["healthy"], report.data
    return asked["device"], invite


def refused(people: People, invite: str) -> None:
    """What a used, unknown or denied invite leads to."""
    assert people.can_not("thief", "enrol", invite) == (12, "invite-used")
    assert people.can_not("thief", "enrol", "--resume") == (8, "not-enrolled")  # nothing was left behind
    invited = people.does("bob", "admin", "invite", "carol")
    people.does("carol", "enrol", invited["invite"], "--no-wait")
    (request,) = people.does("bob", "admin", "pending")["requests"]
    people.does("bob", "admin", "deny", request["id"], "--reason", "not yet")
    said = people.run("carol", "enrol", "--resume", "--timeout", "30s")
    assert (said.code, said.error["code"]) == (7, "enrolment-denied")
    assert "not yet" in said.error["message"]
    people.does("carol", "enrol", "--give-up")
    assert people.can_not("carol", "enrol", "--resume") == (8, "not-enrolled")


def change_the_federation(people: People) -> None:
    """The federation's administrators change a rule and a root key, at the relay."""
    folder, key = ["--dir", people.path("federation")], holder(people, "targets", 2)
    assert people.can_not("root", "root", "policy", "--grace", "7d", *folder) == (8, "not-synced")
    people.does("root", "root", "sync", *key, *folder)
    people.does("root", "root", "policy", "--grace", "7d", *folder)
    people.does("root", "root", "community", "eu-csirts", "--founder", "cert-hr/alice-1", *folder)
    ceremony = people.path("federation/ceremony.json")
    people.does("root", "root", "sign", ceremony, "--yes", *holder(people, "targets", 1))
    assert people.can_not("root", "root", "publish", *key, *folder) == (4, "threshold")
    people.does("root", "root", "sign", ceremony, "--yes", *key)
    people.does("root", "root", "publish", *key, *folder)
    people.does("root", "root", "key", people.path("new.key"))
    keys = [
        word
        for name in ("federation/keys/root-1.pub", "federation/keys/root-2.pub", "new.pub")
        for word in ("--root-key", people.path(name))
    ]
    people.does("root", "root", "rotate", *keys, *folder)
    signing = [*holder(people, "root", 1), *holder(people, "root", 2), "--key", people.path("new.key")]
    people.does("root", "root", "sign", ceremony, "--yes", *signing, *holder(people, "targets", 1), *key)
    assert set(people.does("root", "root", "publish", *key, *folder)["published"]) == {"root", "targets"}
    federation = people.does("root", "root", "status", *folder)["federation"]
    assert (federation["root_version"], federation["policy"]["grace"]) == (2, 7 * 86400)
    assert [each["name"] for each in federation["communities"]] == ["eu-csirts"]


def card(people: People) -> None:
    """A contact card: the second administrator can read it once the directory key is shared."""
    people.does("alice", "admin", "contact", "set", "alice", "--name", "Alice A.", "--phone", "+385 1 000")
    people.does("bob", "admin", "sign", "--yes")
    shared = people.does("alice", "admin", "contact", "share", "cert-hr/bob-1")
    assert shared["sent_to"] == ["cert-hr/bob-1"]


def revoke(people: People, device: str) -> None:
    """A lost device is out at once."""
    waiting = people.path("roster.pending")
    people.does("alice", "admin", "revoke", device, "--reason", "lost", "--yes", "--out", waiting)
    assert people.does("bob", "admin", "sign", waiting, "--yes")["published"]
    assert people.can_not("desk", "sync")[0] == 4
    (gone,) = people.does("alice", "admin", "member", "ls")["gone"]
    assert (gone["device"], gone["reason"]) == (device, "lost")


def rotate(people: People) -> None:
    """Alice gets a new roster key, and one signature shall do: the authority and the other administrator sign."""
    ceremony = people.path("rotation")
    authority = str(next((people.folder / "alice").rglob("cert-hr-authority-1.key")))
    told = people.does("alice", "admin", "rotate", "--new-key", "--key", authority, "--yes", "--out", ceremony)
    assert [each["role"] for each in told["missing"]] == ["cert-hr-roster"]
    assert people.does("bob", "admin", "sign", ceremony, "--yes")["complete"]
    people.does("alice", "admin", "publish", ceremony)
    people.does("alice", "admin", "rotate", "--threshold", "1", "--key", authority, "--yes")
    assert people.does("alice", "admin", "renew")["published"]
    assert people.does("bob", "admin", "status")["roster_keys"]["threshold"] == 1
