"""clients/operations/rotation.py: the authority says who signs the roster; a new key counts once trust lists it."""

from __future__ import annotations

import base64
from pathlib import Path

import pytest

from clients import keyfile
from clients.keyfile import KeyFile, PublicKey, Use
from clients.operations.newcomer import OFFICE, ROSTER_KEY
from clients.operations.rotation import NEXT_KEY
from clients.vault import Put, Vault
from securechan.crypto.signature import COMPOSITE
from securechan.trust.bundle import Ceremony
from securechan.trust.keys import key_id
from tests.clients.conftest import Town
from tests.clients.station import CHEAP, PASSPHRASE, Station
from tests.support.founding import private_key


@pytest.fixture
def authority(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The authority's key of cert-si as a file, and the option that names it."""
    private = private_key("cert-si")
    monkeypatch.setattr(keyfile, "COST", CHEAP)
    monkeypatch.setattr(keyfile, "generate", lambda _: (private, COMPOSITE.public(private)))
    path = tmp_path / "authority.key"
    KeyFile.make(path, Use.AUTHORITY, "authority", PASSPHRASE)
    monkeypatch.undo()
    return ["--key", str(path)]


@pytest.fixture
def desk(town: Town) -> Station:
    """The desk of cert-si with the roster's key, as founding left it."""
    with Vault.open(town.si.profile.vault, PASSPHRASE) as vault:
        vault.adopt([Put(OFFICE, NEXT_KEY, None)])
        if vault.get(OFFICE, ROSTER_KEY) is None:
            vault.adopt([Put(OFFICE, ROSTER_KEY, private_key("cert-si-roster"))])
    town.si.json("sync")
    return town.si


def own_key(desk: Station, row: str = ROSTER_KEY) -> str:
    with Vault.open(desk.profile.vault, PASSPHRASE) as vault:
        private = vault.get(OFFICE, row)
    return "" if private is None else key_id(COMPOSITE.public(private))


def test_a_new_key_counts_once_trust_lists_it(desk: Station, authority: list[str], tmp_path: Path) -> None:
    old, path = own_key(desk), str(tmp_path / "rotation")
    told = desk.json("admin", "rotate", "--new-key", "--out", path)
    assert (told["complete"], own_key(desk)) == (False, old)
    new = own_key(desk, NEXT_KEY)
    assert new not in ("", old)
    assert desk.run("--json", "admin", "publish", path).error["code"] == "threshold"
    assert desk.json("admin", "sign", path, "--yes", *authority)["complete"]
    assert desk.json("admin", "publish", path)["published"] == ["cert-si", "cert-si-roster"]
    assert (own_key(desk), own_key(desk, NEXT_KEY)) == (new, "")
    status = desk.json("admin", "status")
    assert status["own_key"] == new
    assert old not in status["roster_keys"]["keys"]
    assert desk.json("admin", "renew")["published"]


def test_the_authority_signs_at_once_where_its_key_is_at_hand(
    desk: Station, authority: list[str], town: Town, tmp_path: Path
) -> None:
    other = tmp_path / "other.pub"
    public = COMPOSITE.public(private_key("somebody's roster"))
    other.write_bytes(PublicKey(Use.ROSTER, "cert-si/other", public).encode())
    before = desk.json("admin", "status")["roster_keys"]["keys"]
    desk.json("admin", "rotate", "--add", str(other), *authority, "--yes")
    assert set(desk.json("admin", "status")["roster_keys"]["keys"]) == {*before, key_id(public)}
    desk.json("admin", "rotate", "--drop", key_id(public)[:16], *authority, "--yes")
    assert desk.json("admin", "status")["roster_keys"]["keys"] == before


def test_who_has_another_key_does_not_sign(desk: Station, tmp_path: Path) -> None:
    path = tmp_path / "rotation"
    desk.json("admin", "rotate", "--out", str(path))
    ceremony = Ceremony.decode(path.read_bytes())
    assert [draft.role for draft in ceremony.drafts] == ["cert-si", "cert-si-roster"]
    again = desk.json("admin", "sign", str(path), "--yes")
    assert [each["role"] for each in again["missing"]] == ["cert-si"]


def test_a_ceremony_of_another_agency_is_refused(desk: Station, town: Town, tmp_path: Path) -> None:
    path = str(tmp_path / "rotation")
    desk.json("admin", "rotate", "--out", path)
    said = town.hr.run("--json", "admin", "publish", path)
    assert (said.code, said.error["code"]) == (7, "wrong-key")
    assert town.hr.run("admin", "publish", str(tmp_path / "none")).code == 9


def test_what_asks_for_confirmation_signs_nothing_without(desk: Station, authority: list[str]) -> None:
    before = desk.json("admin", "status")["roster_keys"]
    said = desk.run("admin", "rotate", "--new-key", *authority)
    assert said.code == 2
    assert "~ roster" in said.err or "+ roster" in said.err
    assert desk.json("admin", "status")["roster_keys"] == before


def test_the_public_half_is_the_one_that_signs(desk: Station) -> None:
    made = desk.json("admin", "key")
    assert key_id(base64.b64decode(made["public"])) == made["key"] == own_key(desk)
