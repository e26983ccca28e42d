"""clients/operations/contact.py: addresses for everyone, names for who holds the directory key."""

from __future__ import annotations

from clients.operations.directory import keep
from clients.vault import Vault
from securechan.trust.cards import DirectoryKey
from tests.clients.conftest import Town
from tests.clients.station import PASSPHRASE


def test_officers_of_the_federation(town: Town) -> None:
    town.hr.json("sync")
    officers = [each["officer"] for each in town.hr.json("contact", "ls")["contacts"]]
    assert {"liaison-1@cert-hr", "liaison-1@cert-pl", "liaison-1@cert-si"} <= set(officers)
    assert officers == sorted(officers)
    shown = town.hr.json("contact", "show", "liaison-1@cert-hr")
    assert shown["devices"] == ["cert-hr/desk", "cert-hr/laptop"]
    assert shown["agency_title"] == "Agency cert-hr"
    assert "name" not in shown  # no card, no directory key
    assert town.hr.run("--json", "contact", "show", "nobody@cert-hr").code == 9
    assert town.hr.run("--json", "contact", "ls", "cert-xx").code == 4


def test_a_directory_key_that_opens_nothing_does_no_harm(town: Town) -> None:
    station = town.again("reader")
    key = DirectoryKey.new("cert-si")
    with Vault.open(station.profile.vault, PASSPHRASE) as vault:
        keep(vault, key)
    station.json("sync")
    assert station.json("contact", "ls", "cert-hr")["contacts"]
