"""Cheap passphrases, a document for the desk, and an administrator at work in the town."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from clients import keyfile
from clients.operations.newcomer import OFFICE, ROSTER_KEY
from clients.operations.rotation import NEXT_KEY
from clients.operations.skeleton import skeleton
from clients.vault import Put, Vault
from tests.clients.conftest import Town
from tests.clients.station import CHEAP, PASSPHRASE, Said, Station, run
from tests.support.founding import private_key


@pytest.fixture(autouse=True)
def cheap(monkeypatch: pytest.MonkeyPatch) -> None:
    """Argon2id as it should be costs more than everything else here."""
    monkeypatch.setattr(keyfile, "COST", CHEAP)
    monkeypatch.setitem(Vault.create.__func__.__kwdefaults__, "cost", CHEAP)


@dataclass(frozen=True)
class Person:
    """Somebody with a home and a passphrase, and nothing in it yet."""

    folder: Path

    @property
    def passphrase(self) -> Path:
        path = self.folder / "passphrase"
        if not path.exists():
            self.folder.mkdir(parents=True, exist_ok=True)
            path.write_text(PASSPHRASE + "\n")
            path.chmod(0o600)
        return path

    def run(self, *words: str, stdin: bytes = b"") -> Said:
        home = ["--home", str(self.folder / "home"), "--passphrase-file", str(self.passphrase), "--no-input"]
        return run(*home, *words, stdin=stdin)

    def json(self, *words: str, stdin: bytes = b"") -> dict[str, object]:
        """The data of a command that succeeds."""
        data: dict[str, object] = self.run("--json", *words, stdin=stdin).data
        return data


@pytest.fixture
def csaf(tmp_path: Path) -> str:
    path = tmp_path / "advisory.json"
    path.write_text(skeleton("csaf", "See http://evil.example"))
    return str(path)


@pytest.fixture
def person(tmp_path: Path) -> Person:
    return Person(tmp_path / "person")


@pytest.fixture(scope="session")
def office(town: Town) -> Station:
    """The desk of cert-hr, which holds the roster's key: one signature is enough there."""
    with Vault.open(town.hr.profile.vault, PASSPHRASE) as vault:
        vault.adopt([Put(OFFICE, ROSTER_KEY, private_key("cert-hr-roster"))])
    town.hr.json("sync")
    return town.hr


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
