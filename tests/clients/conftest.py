"""A small town for tests of the command line: one relay that runs, one federation, three desks. And a vault alone."""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from clients.vault import Vault
from tests.clients.station import Station, enrolled
from tests.clients.vaults import CHEAP, PASS
from tests.support.founding import Founded, found
from tests.support.relayproc import RelayProcess

_numbers = itertools.count(1)


@dataclass(frozen=True)
class Town:
    """``hr`` and ``si`` are desks of two agencies; ``hr2`` is a second device of the officer at ``hr``."""

    relay: RelayProcess
    founded: Founded
    folder: Path
    hr: Station
    si: Station
    hr2: Station
    made: list[Station] = field(default_factory=list)

    def again(self, name: str, device: str = "cert-pl/spare") -> Station:
        """Another profile of a device, for tests that break it. One that connects must not be that of a desk: it would
        put key packages at the relay which the desk has no private halves of, and end its session."""
        return enrolled(self.folder / f"{name}-{next(_numbers)}", self.founded, device, self.relay.url)

    def community(self, *, ceiling: str = "amber") -> str:
        """A fresh conversation of the two agencies, joined by ``hr`` and ``si``; its name."""
        name = f"eu-{next(_numbers)}"
        self.si.json("sync")  # so that there are key packages
        words = ["--agency", "cert-hr", "--agency", "cert-si", "--steward", "liaison-1@cert-si", "--tlp", ceiling]
        made = self.hr.json("conversation", "create", name, *words)
        there = [each["device"] for each in self.hr.json("conversation", "show", name)["devices"]]
        assert "cert-si/desk" in there, (made, there, self.relay.log[-2000:])
        came = self.si.json("sync")
        assert came["offers"], (came, self.si.json("read", "--all"))
        self.si.json("conversation", "accept", made["id"][:16], "--as", name)
        return name


@pytest.fixture(scope="session")
def town(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Town]:
    folder = tmp_path_factory.mktemp("town")
    with RelayProcess(folder / "relay") as relay:
        founded = found(relay.card(), devices=("cert-hr/desk", "cert-hr/laptop", "cert-si/desk", "cert-pl/spare"))
        relay.adopt(founded.bundle)
        names = {"hr": "cert-hr/desk", "si": "cert-si/desk", "hr2": "cert-hr/laptop"}
        desks = {name: enrolled(folder / name, founded, device, relay.url) for name, device in names.items()}
        yield Town(relay, founded, folder, **desks)


@dataclass(frozen=True)
class Pair:
    """Two officers of two agencies who have never talked. A third has a device that is never there."""

    hr: Station
    si: Station


@pytest.fixture
def pair(tmp_path: Path) -> Iterator[Pair]:
    with RelayProcess(tmp_path / "relay") as relay:
        founded = found(relay.card(), devices=("cert-hr/desk", "cert-si/desk", "cert-pl/spare"))
        relay.adopt(founded.bundle)
        stations = [enrolled(tmp_path / name, founded, f"cert-{name}/desk", relay.url) for name in ("hr", "si")]
        for each in stations:
            each.json("sync")
        yield Pair(*stations)


@pytest.fixture(autouse=True)
def plain_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the person who runs the tests has set must not matter."""
    for name in list(os.environ):
        if name.startswith(("SECURECHAN_", "XDG_")) or name.lower().endswith("_proxy"):
            monkeypatch.delenv(name)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where `vault` stands, or one that a test makes."""
    return tmp_path / "profile" / "vault.db"


@pytest.fixture
def vault(path: Path) -> Iterator[Vault]:
    with Vault.create(path, PASS, cost=CHEAP) as made:
        yield made
