"""clients/cli/meant.py: a wrong word is answered with the one that was meant, or with none."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import typer

import clients.cli
from clients.cli.meant import COMMANDS, OPTIONS
from tests.clients.station import run


@pytest.mark.parametrize(
    ("words", "meant"),
    [
        (["send", "bob", "--file", "x"], "--attach"),
        (["send", "bob", "--mesage", "x"], "--message"),
        (["bulletin", "export", "x", "--file", "y"], "--output"),
        (["bulletin", "publish", "x", "--label", "amber"], "--tlp"),
        (["admin", "invite", "x", "--ttl", "3d"], "--lifetime"),
        (["enroll", "x"], "enrol"),
        (["snyc"], "sync"),
        (["invite", "bob"], "admin invite"),
        (["help"], "--help"),
        (["bulletin", "list"], "ls"),
        (["bulletin", "publsh"], "publish"),
    ],
)
def test_what_was_meant(words: list[str], meant: str) -> None:
    said = run(*words)
    assert said.code == 2
    assert f"did you mean {meant}? securechan" in said.err
    assert "Possible options" not in said.err


@pytest.mark.parametrize("words", [["send", "bob", "--zzz", "x"], ["zzz"], ["bulletin", "zzz"]])
def test_nothing_is_guessed_where_nothing_is_likely(words: list[str]) -> None:
    said = run(*words)
    assert said.code == 2
    assert "did you mean" not in said.err
    assert "--help" in said.err


def _all(command: Any) -> Iterator[Any]:
    yield command
    if hasattr(command, "list_commands"):
        context = typer.Context(command)
        for name in command.list_commands(context):
            yield from _all(command.get_command(context, name))


def test_whatever_is_suggested_exists() -> None:
    every = list(_all(typer.main.get_command(clients.cli.app)))
    options = {name for command in every for each in command.params for name in each.opts}
    assert {name for names in OPTIONS.values() for name in names} <= options
    names = {command.name for command in every} | set(clients.cli.COMMANDS)
    assert {word for said in COMMANDS.values() for word in said.split() if not word.startswith("--")} <= names
