"""The program: verbs out of a table, errors in one form, exit codes by cause, no secret in what we did not foresee."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer

import clients.cli
from clients.cli import COMMANDS, error_json, invoke, typed
from clients.cli.frame import group
from securechan.errors import Finding, Refused, SecurechanError, Unfit
from tests.clients.station import run

ROOT = Path(__file__).resolve().parents[3]


def program(*words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """The program in a process of its own."""
    return subprocess.run(
        [sys.executable, "-m", "clients.cli", *words],
        capture_output=True,
        text=True,
        timeout=60,
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT), **environment},
        check=False,
    )


@pytest.fixture
def broken(monkeypatch: pytest.MonkeyPatch) -> list[BaseException]:
    """A verb ``profile`` that raises whatever the test puts here."""
    raises: list[BaseException] = []
    app = group("broken")

    @app.command()
    def ls() -> None:
        raise raises[0]

    @app.command()
    def show() -> None:
        """A second verb makes it a group."""

    monkeypatch.setattr("clients.cli.profile.app", app)
    return raises


# --------------------------------------------------------------------------------------------------------------- verbs


@pytest.mark.parametrize(
    ("words", "command"),
    [
        ([], "securechan"),
        (["nonsense"], "securechan"),
        (["watch", "eu-csirts"], "securechan watch"),
        (["bulletin", "ls", "--own"], "securechan bulletin ls"),
        (["bulletin"], "securechan bulletin"),
    ],
)
def test_a_command_is_named_as_it_is_typed(words: list[str], command: str) -> None:
    assert typed(words) == command


def commands(group_: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Every group of the program, by the words that lead to it."""
    yield path, group_
    context = typer.Context(group_)
    for name in group_.list_commands(context):
        found = group_.get_command(context, name)
        if hasattr(found, "list_commands"):
            yield from commands(found, (*path, name))


def test_no_help_is_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a command is for is read to its end, on a terminal of 80 columns."""
    monkeypatch.setenv("COLUMNS", "80")
    cut = []
    for path, _ in commands(typer.main.get_command(clients.cli.app)):
        cut += [
            (*path, line.strip())
            for line in run(*path, "--help").out.splitlines()
            if line.startswith("  ") and line.endswith("...")
        ]
    assert cut == []


@pytest.mark.parametrize("verb", COMMANDS)
def test_every_verb_of_the_table_is_there_and_explains_itself(verb: str) -> None:
    said = run(verb, "--help")
    assert said.code == 0, said
    assert said.out.startswith(f"Usage: securechan {verb}")


def test_help_lists_every_verb_and_every_global_option() -> None:
    said = run()
    assert said.code == 0
    assert said == run("--help")
    for verb in (*COMMANDS, "--json", "--passphrase-fd", "--home", "--profile", "--no-input", "--quiet"):
        assert f"  {verb}" in said.out or f", {verb}" in said.out


def test_it_runs_as_a_module() -> None:
    done = program("--version", "--json")
    assert done.returncode == 0
    assert json.loads(done.stdout)["data"]["version"]


def test_asking_in_python_loads_one_verb() -> None:
    code = (
        "import sys\nfrom clients.cli import invoke\ninvoke(['profile', 'ls', '--home', '/nonexistent'])\n"
        "print([m for m in sys.modules if m.startswith('clients.cli.')"
        " or m in ('tuf', 'websockets', 'cryptography', 'securechan.mls')])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, cwd=ROOT, check=True
    )
    assert sorted(eval(done.stdout)) == ["clients.cli.frame", "clients.cli.profile"]


# -------------------------------------------------------------------------------------------------------------- errors


@pytest.mark.parametrize(
    "words", [["bogus"], ["root", "bogus"], ["root", "sign"], ["profile", "ls", "--bogus"], ["--profile"]]
)
def test_a_mistake_in_the_command_line_is_2(words: list[str]) -> None:
    said = run(*words)
    assert said.code == 2
    assert not said.out
    assert said.err.startswith("error: ")
    assert "hint: securechan" in said.err
    assert run("--json", *words).error["code"] == "usage"


def test_an_error_says_what_to_do(broken: list[BaseException]) -> None:
    broken.append(SecurechanError("it went wrong\x1b[2J", hint="do it right", code="denied"))
    said = run("profile", "ls")
    assert said.err == "error: it went wrong\\u001b[2J\nhint: do it right\n"
    told = run("profile", "ls", "--json").error
    assert told == {"code": "denied", "message": "it went wrong\x1b[2J", "hint": "do it right"}


def test_findings_and_waits_are_told() -> None:
    unfit = Unfit("two faults", findings=[Finding("/a", "wrong"), Finding("/b", "worse")])
    assert error_json(unfit)["findings"] == [{"where": "/a", "what": "wrong"}, {"where": "/b", "what": "worse"}]
    assert error_json(Refused("later", retry_after=2.5))["retry_after"] == 2.5


def test_a_fault_of_ours_tells_no_secret(broken: list[BaseException], monkeypatch: pytest.MonkeyPatch) -> None:
    broken.append(ValueError("the key is 0123456789"))
    said = run("profile", "ls")
    assert said.code == 1
    assert "internal error: ValueError" in said.err
    assert "0123456789" not in said.err
    monkeypatch.setenv("SECURECHAN_DEBUG", "1")
    assert "Traceback" in run("profile", "ls").err


def test_ctrl_c_is_130(broken: list[BaseException]) -> None:
    broken.append(KeyboardInterrupt())
    said = run("profile", "ls")
    assert (said.code, said.out) == (130, "")


def test_a_command_chooses_its_exit_code(broken: list[BaseException]) -> None:
    broken.append(typer.Exit(13))
    assert run("profile", "ls").code == 13


def test_a_reader_that_has_gone_is_no_reason_to_complain() -> None:
    done = subprocess.run(
        f"{sys.executable} -m clients.cli --help | true",
        shell=True,
        capture_output=True,
        text=True,
        timeout=60,
        cwd=ROOT,
        check=False,
    )
    assert "Traceback" not in done.stderr


def test_main_exits_with_the_code(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.argv", ["securechan", "bogus"])
    with pytest.raises(SystemExit) as e:
        clients.cli.main()
    assert e.value.code == 2
    assert invoke(["--help"]) == 0
