"""clients/cli/rosters.py: who signs a roster, and who can't."""

from __future__ import annotations

from pathlib import Path

from clients.keyfile import PublicKey, Use
from clients.operations.newcomer import OFFICE, ROSTER_KEY
from clients.vault import Vault
from tests.clients.conftest import Town
from tests.clients.station import PASSPHRASE, Station


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
