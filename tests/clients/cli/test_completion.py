"""clients/cli/completion.py: a script for each shell, and answers when it asks."""

from __future__ import annotations

import pytest

from clients.cli import COMPLETE
from clients.cli.completion import Shell
from tests.clients.cli.test_main import program
from tests.clients.station import run


@pytest.mark.parametrize("shell", list(Shell))
def test_each_shell_has_a_script(shell: Shell) -> None:
    said = run("--json", "completion", shell)
    assert COMPLETE in said.data["script"]
    assert said.data["script"] in run("completion", shell).out


def test_an_unknown_shell_is_a_mistake() -> None:
    assert run("completion", "tcsh").code == 2


def test_the_shell_is_told_what_could_stand_there() -> None:
    done = program(**{COMPLETE: "complete_bash", "COMP_WORDS": "securechan ad", "COMP_CWORD": "1"})
    assert done.stdout.split() == ["admin"]
    done = program(**{COMPLETE: "complete_bash", "COMP_WORDS": "securechan root re", "COMP_CWORD": "2"})
    assert set(done.stdout.split()) >= {"renew", "remake", "reset", "remove-agency"}
