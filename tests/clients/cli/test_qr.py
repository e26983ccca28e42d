"""clients/cli/qr.py: what is drawn is the code, module by module, whatever the terminal's colours are."""

from __future__ import annotations

import re

import pytest
import segno

from clients.cli.qr import MARGIN, drawn

TEXT = "SECURECHAN-VERIFY1:" + "ABCDEFG" * 11
DARK = {" ": (0, 0), "▀": (1, 0), "▄": (0, 1), "█": (1, 1)}


def modules(lines: list[str]) -> list[list[int]]:
    """1 for what is filled."""
    rows: list[list[int]] = []
    for line in lines:
        rows += [[DARK[c][half] for c in line] for half in (0, 1)]
    return rows


def wanted() -> list[list[int]]:
    return [[int(each) for each in row] for row in segno.make_qr(TEXT, error="m").matrix_iter(border=MARGIN)]


def test_in_colours_dark_is_filled() -> None:
    lines = drawn(TEXT, coloured=True).split("\n")
    assert all(line.startswith("\x1b[30;107m") and line.endswith("\x1b[0m") for line in lines)
    found = modules([re.sub(r"\x1b\[[0-9;]*m", "", line) for line in lines])
    assert found[: len(wanted())] == wanted()
    assert len(found) - len(wanted()) in (0, 1)


def test_without_them_white_is_filled(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    found = modules(drawn(TEXT).split("\n"))
    assert [[1 - each for each in row] for row in found][: len(wanted())] == wanted()
    assert "\x1b" not in drawn(TEXT)


def test_it_fits_a_small_terminal() -> None:
    lines = drawn(TEXT, coloured=False).split("\n")
    assert len(lines) <= 24
    assert {len(line) for line in lines} == {len(wanted())}
    assert len(wanted()) <= 80
