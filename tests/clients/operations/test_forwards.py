"""clients/operations/forwards.py: as far as the label lets it, or the issuer consents."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from clients.operations.engine import perform
from clients.passphrase import Passphrases
from securechan.errors import Conflict
from tests.clients.conftest import Town
from tests.clients.operations.conftest import publish


def _do(town: Town, name: str, **params: Any) -> Any:
    return asyncio.run(perform(town.hr.profile, Passphrases(file=town.hr.passphrase), name, params))


def test_forwarding_is_a_rule_and_consent_widens_it(town: Town, csaf: str) -> None:
    first, second = town.community(), town.community()
    bulletin = publish(town, csaf, first)  # amber, as the document says
    town.si.json("sync")
    refused = town.si.run("--json", "bulletin", "forward", bulletin, "--to", second)
    assert (refused.code, refused.error["code"]) == (7, "tlp-denied")
    assert f"securechan bulletin ask-consent {bulletin} --to {second}" in refused.error["hint"]
    low = town.community(ceiling="green")
    for words in (("bulletin", "forward", bulletin, "--to", low), ("bulletin", "ask-consent", bulletin, "--to", low)):
        refused = town.si.run("--json", *words)
        assert (refused.code, refused.error["code"]) == (7, "tlp-denied")
        assert "at most tlp:green" in refused.error["message"]
        assert "higher ceiling" in refused.error["hint"]
    assert town.si.run("--json", "bulletin", "forward", bulletin, "--to", first).code == 12
    assert town.si.run("--json", "bulletin", "forward", "SC-2020-0001", "--to", second).code == 9
    asked = town.si.json("bulletin", "ask-consent", bulletin, "--to", second, "--reason", "they can help")
    assert (asked["state"], asked["agency"]) == ("asked", "cert-si")
    town.hr.json("sync")
    (waiting,) = [
        each for each in town.hr.json("bulletin", "consents", "--waiting")["consents"] if each["bulletin"] == bulletin
    ]
    assert (waiting["agency"], waiting["reason"]) == ("cert-si", "they can help")
    with pytest.raises(Conflict) as unseen:  # who was shown nobody consents to nobody
        _do(town, "bulletin.consent", bulletin=bulletin, agency="cert-si", agencies=[])
    assert unseen.value.code == "asked-for-more"
    given = town.hr.json("bulletin", "consent", bulletin, "--to-agency", "cert-si", "--days", "2", "--yes")
    assert (given["state"], given["to"]) == ("given", waiting["to"])
    town.si.json("sync")
    done = town.si.json("bulletin", "forward", bulletin, "--to", second)
    assert (done["state"], done["bulletin"], done["name"]) == ("sent", bulletin, second)
    town.hr.json("sync")
    listed = [each for each in town.hr.json("bulletin", "ls")["bulletins"] if each["bulletin"] == bulletin]
    assert {each["forwarded_by"] for each in listed} == {"", "cert-si/desk"}
    assert {each["consent_by"] for each in listed} == {"", "liaison-1@cert-hr"}
    said = town.si.run("bulletin", "ls", second)
    assert "forwarded" in said.out
    assert town.hr.run("--json", "bulletin", "consent", bulletin, "--to-agency", "cert-pl", "--yes").code == 9
