"""What `make interop` installs is pinned by version and hash, and the locks say nothing of where it comes from."""

from __future__ import annotations

import json
import re

import pytest

from tests.interop.sides import PEERS


def test_the_lock_of_npm() -> None:
    lock = json.loads((PEERS / "package-lock.json").read_text())
    wanted = json.loads((PEERS / "package.json").read_text())["dependencies"]
    packages = {path.removeprefix("node_modules/"): entry for path, entry in lock["packages"].items() if path}
    assert packages["ts-mls"]["version"] == "1.6.4"
    assert {name: packages[name]["version"] for name in wanted} == wanted
    for name, entry in packages.items():
        assert entry["integrity"].startswith("sha512-"), name
        assert "resolved" not in entry, name


@pytest.mark.parametrize("name", ["mls_rs", "rine", "node"])
def test_the_locks_of_pip(name: str) -> None:
    text = (PEERS / f"requirements-{name}.txt").read_text()
    assert "://" not in text
    pins = re.findall(r"^\S+==\S+ \\\n((?:    --hash=sha256:[0-9a-f]{64}(?: \\)?\n)+)", text, flags=re.MULTILINE)
    assert len(pins) == len(re.findall(r"^[a-z]", text, flags=re.MULTILINE)) > 0
