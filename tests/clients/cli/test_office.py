"""clients/cli/office.py: what became of a roster, in words, and as a file where it still waits."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

import pytest

from clients.cli.office import b64, carried_out, keep_file

WAITING: dict[str, Any] = {"published": False, "roster": 4, "missing": 1, "pending": "3f2a", "sent_to": ["cert-hr/b"]}


def test_a_roster_that_is_out_and_one_that_waits() -> None:
    assert carried_out({"published": True, "roster": 4}) == ["published  roster 4"]
    said = carried_out(WAITING)
    assert said[0] == "waiting    roster 4 needs 1 more signature"
    assert said[1] == "pending    3f2a  sent to cert-hr/b"
    assert said[-1].endswith("securechan admin sign")


def test_only_what_waits_is_written(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    keep_file(WAITING, None)
    keep_file(WAITING, tmp_path / "none")
    assert not (tmp_path / "none").exists()
    assert "no file was written" in capsys.readouterr().err
    keep_file(WAITING | {"file": b64(b"roster")}, tmp_path / "one")
    assert (tmp_path / "one").read_bytes() == b"roster"
    assert base64.b64decode(b64(b"roster")) == b"roster"
