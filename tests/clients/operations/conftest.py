"""A document that can be published, and its publication; a vault of one's own."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from clients.operations.skeleton import skeleton
from clients.vault import Vault
from tests.clients.conftest import Town
from tests.clients.station import CHEAP, PASSPHRASE


@pytest.fixture
def vault(tmp_path: Path) -> Iterator[Vault]:
    """An empty one."""
    with Vault.create(tmp_path / "vault.db", PASSPHRASE, cost=CHEAP) as made:
        yield made


@pytest.fixture
def csaf(tmp_path: Path) -> str:
    path = tmp_path / "advisory.json"
    path.write_text(skeleton("csaf", "Patch now"))
    return str(path)


def publish(town: Town, csaf: str, name: str, *more: str) -> str:
    published = town.hr.json("bulletin", "publish", csaf, "--to", name, *more)
    assert (published["state"], published["revision"], published["name"]) == ("sent", 1, name)
    return str(published["bulletin"])
