"""clients/cli/cards.py: contact cards, read by who has the key."""

from __future__ import annotations

import pytest

from clients.operations import directory
from clients.vault import Vault
from securechan.errors import NotFound
from tests.clients.conftest import Town
from tests.clients.station import PASSPHRASE, Station


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
