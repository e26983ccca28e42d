"""clients/operations/verify.py: the same words on both sides, or something is wrong."""

from __future__ import annotations

import json

from clients.operations.verify import TABLE
from clients.vault import Put, Vault
from tests.clients.conftest import Town
from tests.clients.station import PASSPHRASE


def test_both_sides_see_the_same_words_and_remember(town: Town) -> None:
    town.hr.json("sync")
    town.si.json("sync")
    ours = town.hr.json("verify", "show", "liaison-1@cert-si")
    theirs = town.si.json("verify", "show", "liaison-1@cert-hr")
    assert ours["words"] == theirs["words"]
    assert len(ours["words"]) == 8
    confirmed = town.hr.json("verify", "confirm", "liaison-1@cert-si", "--words", " ".join(ours["words"]))
    assert confirmed["state"] == "verified"
    assert town.hr.json("verify", "show", "liaison-1@cert-si")["state"] == "verified"


def test_other_words_are_an_identity_that_changed(town: Town) -> None:
    town.si.json("sync")
    said = town.si.run("--json", "verify", "confirm", "liaison-1@cert-hr", "--words", "babab " * 8)
    assert said.code == 4
    assert said.error["code"] == "identity-changed"


def test_words_that_nobody_said_confirm_nothing(town: Town) -> None:
    town.hr.json("sync")
    said = town.hr.run("--json", "verify", "confirm", "liaison-1@cert-pl", "--words", "")
    assert (said.code, said.error["code"]) == (11, "words-form")
    assert town.hr.json("verify", "show", "liaison-1@cert-pl")["state"] == "unverified"


def test_keys_that_change_later_are_said_to_have_changed(town: Town) -> None:
    station = town.again("verifier")
    with Vault.open(station.profile.vault, PASSPHRASE) as vault:
        vault.adopt([Put(TABLE, "liaison-1@cert-hr", json.dumps({"digest": "00", "at": 1}).encode())])
    station.json("sync")
    assert station.json("verify", "show", "liaison-1@cert-hr")["state"] == "changed"


def test_nobody_confirms_without_being_asked(town: Town) -> None:
    town.hr.json("sync")
    assert town.hr.run("--json", "verify", "confirm", "liaison-1@cert-si").code == 2
    assert town.hr.json("verify", "confirm", "liaison-1@cert-si", "--yes")["state"] == "verified"


def test_what_cannot_be_compared(town: Town) -> None:
    town.hr.json("sync")
    assert town.hr.run("verify", "show", "nobody@cert-si").code == 4
    assert town.hr.run("verify", "confirm", "--device", "cert-si/desk", "--yes").code == 9
    assert town.hr.run("verify", "confirm").code == 2
    assert isinstance(town.hr.json("verify", "show")["waiting"], list)


def test_a_camera_reads_the_same_on_both_sides(town: Town) -> None:
    town.hr.json("sync")
    town.si.json("sync")
    code = town.si.json("verify", "show", "liaison-1@cert-hr")["code"]
    assert town.hr.json("verify", "show", "liaison-1@cert-si")["code"] == code
    assert town.hr.json("verify", "confirm", "liaison-1@cert-si", "--scanned", code)["state"] == "verified"
    other = code[:-2] + ("B" if code[-2] == "A" else "A") + code[-1]
    said = town.hr.run("--json", "verify", "confirm", "liaison-1@cert-si", "--scanned", other)
    assert (said.code, said.error["code"]) == (4, "identity-changed")
    third = town.hr.json("verify", "show", "liaison-1@cert-pl")["code"]
    assert town.hr.run("verify", "confirm", "liaison-1@cert-si", "--scanned", third).code == 4
    for wrong in ("https://example.org", code[:-1], f"{code}A", code.replace("VERIFY1", "VERIFY2"), " ", ""):
        said = town.hr.run("--json", "verify", "confirm", "liaison-1@cert-si", "--scanned", wrong)
        assert (said.code, said.error["code"]) == (11, "code-form")
