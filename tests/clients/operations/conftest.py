"""A document that can be published, and its publication; a vault of one's own; offers that change under one's hands."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from clients.operations.engine import load
from clients.operations.skeleton import skeleton
from clients.vault import Vault
from securechan.agent.agent import Agent
from securechan.agent.state import OFFERS
from securechan.agent.tables import Write
from tests.clients.conftest import Town
from tests.clients.station import CHEAP, PASSPHRASE, Station


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


def change_offers(station: Station, **fields: object) -> None:
    """What waits there to be accepted is other than it was, as where its inviter has written again."""
    with Vault.open(station.profile.vault, PASSPHRASE) as vault:
        _, writes = changed(load(vault), **fields)
        vault.adopt(writes)


def changed(agent: Agent, **fields: Any) -> tuple[Agent, tuple[Write, ...]]:
    """An agent with other offers."""
    rows = agent.rows.edit()
    for row, offer in list(rows.items(OFFERS)):
        rows.put(OFFERS, row, replace(offer, **fields))
    after, writes = rows.seal()
    return replace(agent, rows=after), writes


def publish(town: Town, csaf: str, name: str, *more: str) -> str:
    published = town.hr.json("bulletin", "publish", csaf, "--to", name, *more)
    assert (published["state"], published["revision"], published["name"]) == ("sent", 1, name)
    return str(published["bulletin"])
