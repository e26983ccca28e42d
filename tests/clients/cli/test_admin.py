"""``securechan admin``: an administrator at work against a relay. The whole story, with two administrators, is in
tests/stories."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from clients.operations import admin
from clients.operations.engine import perform
from clients.passphrase import Passphrases
from securechan.errors import Denied
from securechan.trust.enrolment import Invite
from tests.clients.cli.conftest import Person
from tests.clients.conftest import Town
from tests.clients.station import Station


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


def test_nothing_is_announced_before_the_words_agree(office: Station, person: Person) -> None:
    line = str(office.json("admin", "invite", "liaison-22")["invite"])
    asked: Any = person.json("enrol", line, "--no-wait")
    announced: list[str] = []

    async def give(item: dict[str, str]) -> None:
        announced.append(item["doing"])

    def approve(words: list[str]) -> Any:
        params = {"id": asked["device"], "words": " ".join(words)}
        given = Passphrases(file=office.passphrase)
        return asyncio.run(perform(office.profile, given, "admin.approve", params, give=give))

    with pytest.raises(Denied):
        approve([*asked["words"][1:], asked["words"][0]])
    assert announced == []
    assert approve(asked["words"])["published"]
    assert announced == ["the words agree; signing and publishing"]


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


def test_what_comes_next_is_said_beside_an_invite(office: Station) -> None:
    said = office.run("admin", "invite", "liaison-4")
    assert Invite.parse(said.out.strip())  # the line alone, to be passed on
    for word in ("securechan enrol -", "securechan admin pending", "securechan admin approve", "works once"):
        assert word in said.err


def test_letters_that_are_not_believed_are_told_of(town: Town, office: Station) -> None:
    refused = office.json("admin", "pending")["refused"]
    assert refused == []


def test_operations_are_listed_for_who_forwards_them() -> None:
    assert set(admin.OPERATIONS) >= {"invite", "pending", "approve", "deny", "revoke", "member-ls", "status"}
