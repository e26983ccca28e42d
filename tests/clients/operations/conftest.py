"""A document that can be published, and its publication."""

from __future__ import annotations

from pathlib import Path

import pytest

from clients.operations.skeleton import skeleton
from tests.clients.conftest import Town


@pytest.fixture
def csaf(tmp_path: Path) -> str:
    path = tmp_path / "advisory.json"
    path.write_text(skeleton("csaf", "Patch now"))
    return str(path)


def publish(town: Town, csaf: str, name: str, *more: str) -> str:
    published = town.hr.json("bulletin", "publish", csaf, "--to", name, *more)
    assert (published["state"], published["revision"], published["name"]) == ("sent", 1, name)
    return str(published["bulletin"])
