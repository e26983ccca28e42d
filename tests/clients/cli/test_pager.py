"""clients/cli/pager.py: a person looks through what is long; programs and short answers are left alone."""

from __future__ import annotations

import shlex
from pathlib import Path

import pytest

from clients.cli import pager
from tests.clients.conftest import Town
from tests.support.terminal import Terminal


@pytest.mark.parametrize(
    ("environment", "command"),
    [
        ({"PAGER": "more -d"}, "more -d"),
        ({"PAGER": ""}, ""),
        ({"PAGER": "cat"}, ""),
        ({"PAGER": "less", "TERM": "dumb"}, ""),
    ],
)
def test_whose_pager_it_is(monkeypatch: pytest.MonkeyPatch, environment: dict[str, str], command: str) -> None:
    monkeypatch.setenv("TERM", "xterm")
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert pager.pager() == command


def test_less_where_nobody_says(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("PAGER", raising=False)
    monkeypatch.setattr(pager.shutil, "which", lambda name: f"/usr/bin/{name}")
    assert pager.pager() == "less"
    monkeypatch.setattr(pager.shutil, "which", lambda name: None)
    assert pager.pager() == ""


def test_what_fits_on_the_screen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "10")
    monkeypatch.setenv("LINES", "5")
    assert pager.fits("1\n2\n3\n4")
    assert not pager.fits("1\n2\n3\n4\n5")
    assert pager.fits("x" * 40)
    assert not pager.fits("x" * 41)
    assert not pager.fits("漢" * 21)  # two columns each


def test_its_own_way_with_less_and_with_what_is_missing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    out = tmp_path / "out"
    for name in ("LESS", "LESSHISTFILE"):
        monkeypatch.delenv(name, raising=False)
    written = f"(echo $LESS $LESSHISTFILE; cat) > {shlex.quote(str(out))}"
    assert pager.through(written, "čšž\nlines") == 0
    assert out.read_text() == "FRX -\nčšž\nlines\n"
    monkeypatch.setenv("LESS", "S")
    monkeypatch.setenv("LESSHISTFILE", "mine")
    assert pager.through(written, "") == 0
    assert out.read_text() == "S mine\n\n"
    assert pager.through("head -n 1 > /dev/null", "x\n" * 200_000) == 0  # who has seen enough
    assert pager.through("no-such-pager-anywhere 2> /dev/null", "x") == 127


def test_at_a_terminal_long_output_goes_through_it(town: Town) -> None:
    name = town.community()
    for n in range(20):
        town.hr.json("send", name, "-m", f"number {n}", "--wait", "queued")
    town.hr.json("sync")
    options = [word for word in town.hr.options if word != "--no-input"]
    numbered = {"PAGER": "sed 's/^/| /'", "TERM": "xterm"}

    def shown(*words: str, **environment: str) -> str:
        with Terminal(*options, *words, environment=numbered | environment) as terminal:
            assert terminal.end() == 0
            return terminal.screen

    assert "|     number 19\n" in shown("read", name)
    for words in (("read", name, "--no-pager"), ("read", name, "-n", "3"), ("--no-input", "read", name)):
        assert "\n    number 19\n" in shown(*words)
    assert "\n    number 19\n" in shown("read", name, PAGER="no-such-pager-anywhere 2> /dev/null")
    for devices in (("device", "ls", "cert-hr"), ("admin", "member", "ls", "--offline")):
        assert "| cert-hr/desk" in shown(*devices, LINES="2", COLUMNS="200")
    assert shown("--json", "read", name).startswith('{"v": 1')
