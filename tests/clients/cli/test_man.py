"""clients/cli/man.py: the page says what the commands say, and which variables the code reads."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys

import pytest

from clients.cli import COMMANDS
from clients.cli.man import ENVIRONMENT
from clients.exitcodes import Exit
from tests.clients.station import run
from tests.support.relayproc import ROOT
from tests.support.terminal import Terminal

TAKEN_APART = {"SECURECHAN_COMPLETE"}  # between the program and a shell, and nobody's to set


def test_every_command_option_and_exit_code_is_in_it() -> None:
    page = run("man").out
    assert page.startswith('.TH "SECURECHAN" 1 ')
    for name in COMMANDS:
        assert re.search(rf'^\.SS "securechan {name}[" ]', page, flags=re.MULTILINE), name
    for line in (
        '.SS "securechan bulletin verify [OPTIONS] FILE"',
        ".B \\-m, \\-\\-message TEXT",
        ".B \\-\\-no\\-pager",
    ):
        assert f"{line}\n" in page, line
    for code in Exit:
        assert f".TP\n.B {int(code)}\n" in page
    assert "\n.nf\n" in page  # examples keep their lines
    assert run("--json", "man").data["page"] == page.rstrip("\n")


def test_every_variable_that_is_read_is_told() -> None:
    read = {
        name
        for path in (ROOT / "clients").rglob("*.py")
        for name in re.findall(r"SECURECHAN_[A-Z_]*[A-Z]\b", path.read_text())
    }
    told = {name for name, _ in ENVIRONMENT if name.startswith("SECURECHAN_")}
    assert told == read - TAKEN_APART


@pytest.mark.skipif(shutil.which("groff") is None, reason="groff is not here to say what it thinks of the page")
@pytest.mark.parametrize("program", ["clients.cli", "relay"])
def test_the_formatter_has_nothing_to_complain_of(program: str) -> None:
    page = subprocess.run([sys.executable, "-m", program, "man"], cwd=ROOT, capture_output=True, check=True)
    said = subprocess.run(["groff", "-man", "-ww", "-z"], input=page.stdout, capture_output=True, check=True)
    assert said.stderr == b""


@pytest.mark.skipif(shutil.which("man") is None, reason="man is not here")
def test_at_a_terminal_it_is_shown() -> None:
    with Terminal("man", environment={"MANPAGER": "cat", "TERM": "xterm"}) as terminal:
        assert terminal.end() == 0
        shown = re.sub(".\x08", "", terminal.screen)  # bold, as on a printing terminal
        assert "securechan bulletin verify [OPTIONS] FILE" in shown
        assert ".SS" not in shown
