"""``securechan completion SHELL``: a script that makes the shell complete our words."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Any, Final

import typer
from typer import completion as typer_completion

from clients.cli.frame import group, here

app = group("Completion for shells.")
_SCRIPTS: Final[Any] = (
    typer_completion  # its function has no other public home, and is not re-exported to type checkers
)


class Shell(StrEnum):
    """The shells that are known."""

    BASH = "bash"
    ZSH = "zsh"
    FISH = "fish"


def prepare() -> None:
    """Let typer know the shells that may ask."""
    _SCRIPTS.completion_init()


@app.command()
def completion(
    shell: Annotated[Shell, typer.Argument(help='For bash: eval "$(securechan completion bash)" in ~/.bashrc.')],
) -> None:
    """Print a completion script for a shell."""
    script = _SCRIPTS.get_completion_script(
        prog_name="securechan", complete_var="_SECURECHAN_COMPLETE", shell=shell.value
    )
    here().emit({"shell": shell.value, "script": script}, script)
