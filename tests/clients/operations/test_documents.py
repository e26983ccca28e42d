"""clients/operations/documents.py: what is unfit, or marked too low, never leaves."""

from __future__ import annotations

import json
from pathlib import Path

from tests.clients.conftest import Town


def test_an_unfit_document_is_not_published(town: Town, tmp_path: Path) -> None:
    name = town.community()
    bad = tmp_path / "bad.json"
    bad.write_text(json.dumps({"type": "bundle", "id": "bundle--1", "objects": []}))
    said = town.hr.run("--json", "bulletin", "publish", str(bad), "--to", name, "--tlp", "green")
    assert said.code == 11
    assert said.error["findings"]
    assert town.hr.json("bulletin", "ls", name)["bulletins"] == []


def test_a_label_below_the_documents_own_or_above_the_conversations_is_denied(town: Town, csaf: str) -> None:
    name = town.community()
    for label in ("green", "amber+strict"):
        said = town.hr.run("--json", "bulletin", "publish", csaf, "--to", name, "--tlp", label)
        assert said.code == 7, said
    assert town.hr.json("bulletin", "ls", name)["bulletins"] == []


def test_a_document_without_a_label_needs_one_said(town: Town, tmp_path: Path) -> None:
    path = tmp_path / "note.txt"
    path.write_text("Be careful today.\n")
    name = town.community()
    assert town.hr.run("--json", "bulletin", "publish", str(path), "--to", name).code == 2
    assert town.hr.json("bulletin", "publish", str(path), "--to", name, "--tlp", "green")["revision"] == 1
