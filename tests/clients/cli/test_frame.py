"""clients/cli/frame.py: options that stand over every verb, answers on stdout, words on stderr, questions or none."""

from __future__ import annotations

import io
import json
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from clients.cli import frame
from clients.cli.frame import Invocation, here, invoked, run, take_options
from securechan.errors import Denied, Invalid, Malformed, NotFound, NotReady
from tests.clients.station import run as invocation


class Terminal(io.StringIO):
    """Somebody sits there."""

    def isatty(self) -> bool:
        return True


Sit = Callable[[str], None]


@pytest.fixture
def sit(monkeypatch: pytest.MonkeyPatch) -> Sit:
    """Somebody sits down at a terminal and types this. (Not done by the fixture itself: pytest changes the streams
    between setting up and testing.)"""

    def typing(text: str = "") -> None:
        monkeypatch.setattr("sys.stdin", Terminal(text))
        monkeypatch.setattr("sys.stderr", Terminal())

    return typing


# ------------------------------------------------------------------------------------------------------------- options


@pytest.mark.parametrize(
    "words", [["--json", "--home", "/h", "root", "status"], ["root", "--json", "status", "--home=/h"]]
)
def test_global_options_stand_before_or_after_the_verb(words: list[str]) -> None:
    said, rest = take_options(words)
    assert (said.json, said.home_folder, rest) == (True, Path("/h"), ["root", "status"])


def test_nothing_after_two_dashes_is_ours() -> None:
    said, rest = take_options(["send", "x", "-m", "y", "--", "--json"])
    assert not said.json
    assert rest == ["send", "x", "-m", "y", "--", "--json"]


def test_a_value_that_looks_like_an_option_can_be_written() -> None:
    said, rest = take_options(["send", "x", "--message=--json"])
    assert not said.json
    assert rest[-1] == "--message=--json"


@pytest.mark.parametrize("words", [["--home"], ["--profile="], ["--passphrase-fd", "three"], ["--passphrase-fd=-1"]])
def test_an_option_without_a_proper_value_is_a_mistake(words: list[str]) -> None:
    with pytest.raises(Malformed) as e:
        take_options(words)
    assert e.value.code == "usage"


def test_all_of_them_are_in_the_help() -> None:
    told = " ".join(name for name, _ in frame.GLOBAL_HELP)
    for word in (*frame._FLAGS, *frame._VALUES):
        assert word in told


# ------------------------------------------------------------------------------------------------------------- answers


def test_json_is_one_object_on_stdout(capsys: pytest.CaptureFixture[str]) -> None:
    me = Invocation(json=True)
    me.emit({"a": 1}, "words")
    me.note("for people")
    me.warn("for people")
    out, err = capsys.readouterr()
    assert json.loads(out) == {"v": 1, "ok": True, "data": {"a": 1}}
    assert not err


def test_without_json_words_go_out_and_notes_beside(capsys: pytest.CaptureFixture[str]) -> None:
    me = Invocation()
    me.emit({"a": 1}, lambda: "words")
    me.note("a note")
    me.warn("care")
    out, err = capsys.readouterr()
    assert out == "words\n"
    assert err == "a note\nwarning: care\n"


def test_quiet_keeps_results_and_warnings(capsys: pytest.CaptureFixture[str]) -> None:
    me = Invocation(quiet=True)
    me.emit({}, "words")
    me.note("a note")
    me.warn("care")
    out, err = capsys.readouterr()
    assert out == "words\n"
    assert err == "warning: care\n"


def test_people_are_told_what_takes_long(sit: Sit, monkeypatch: pytest.MonkeyPatch) -> None:
    sit("")
    waited = Waited()
    running: list[bool] = []
    monkeypatch.setattr("clients.cli.frame.threading.Timer", waited)
    with Invocation().progress("making keys"):
        running.append(waited.runs)
        waited.run_out()
    running.append(waited.runs)
    assert waited.set == [frame.PATIENCE]
    assert running == [True, False]
    assert isinstance(sys.stderr, Terminal)
    assert sys.stderr.getvalue() == "making keys …\n"


def test_what_comes_next_is_told_when_it_begins(sit: Sit, monkeypatch: pytest.MonkeyPatch) -> None:
    sit("")
    waited = Waited()
    monkeypatch.setattr("clients.cli.frame.threading.Timer", waited)
    with Invocation().progress("reading") as now_doing:
        waited.run_out()
        now_doing("signing")
        assert waited.runs
        waited.run_out()
    with Invocation().progress("reading") as now_doing:
        now_doing("signing")
        waited.run_out()
    assert isinstance(sys.stderr, Terminal)
    assert sys.stderr.getvalue() == "reading …\nsigning …\nsigning …\n"


def test_nobody_is_interrupted_while_they_are_asked(sit: Sit, monkeypatch: pytest.MonkeyPatch) -> None:
    sit("alice\n")
    waited = Waited()
    running: list[bool] = []

    def typing(prompt: str) -> str:
        running.append(waited.runs)
        return prompt

    monkeypatch.setattr("clients.cli.frame.threading.Timer", waited)
    monkeypatch.setattr("clients.cli.frame.terminal", lambda: typing)
    monkeypatch.delenv("SECURECHAN_PASSPHRASE_FILE", raising=False)
    with Invocation().progress("making keys"):
        Invocation().passphrases.get("the vault")
        assert waited.runs
        assert Invocation().ask("who? ") == "alice"
        assert waited.runs
    assert running == [False]
    assert waited.set == [frame.PATIENCE] * 3


def test_nobody_is_told_where_nobody_looks(monkeypatch: pytest.MonkeyPatch) -> None:
    waited = Waited()
    monkeypatch.setattr("clients.cli.frame.threading.Timer", waited)
    with Invocation().progress("making keys") as now_doing:
        now_doing("signing")
    assert waited.set == []


class Waited:
    """A timer that tells what it was set to."""

    def __init__(self) -> None:
        self.set: list[float] = []
        self.runs = False
        self.daemon = False
        self.run_out: Callable[[], None] = lambda: None

    def __call__(self, seconds: float, call: Callable[[], None]) -> Waited:
        self.set.append(seconds)
        self.run_out = call
        return self

    def start(self) -> None:
        self.runs = True

    def cancel(self) -> None:
        self.runs = False

    def join(self) -> None:
        assert not self.runs


# ----------------------------------------------------------------------------------------------------------- questions


def test_yes_is_said_beforehand() -> None:
    Invocation(no_input=True).confirm("really?", yes=True)


def test_without_a_terminal_nothing_is_asked() -> None:
    with pytest.raises(NotReady) as e:
        Invocation().confirm("really?", yes=False)
    assert e.value.code == "confirmation-needed"
    with pytest.raises(NotReady) as e:
        Invocation(no_input=True).ask("words: ")
    assert e.value.code == "input-needed"


@pytest.mark.parametrize(("typed", "agrees"), [("y\n", True), ("YES\n", True), ("n\n", False), ("\n", False)])
def test_a_person_decides(sit: Sit, typed: str, agrees: bool) -> None:
    sit(typed)
    me = Invocation()
    if agrees:
        me.confirm("really?", yes=False)
    else:
        with pytest.raises(Denied, match="nothing was done"):
            me.confirm("really?", yes=False)


def test_an_end_of_input_is_an_interrupt(sit: Sit) -> None:
    sit("")
    with pytest.raises(KeyboardInterrupt):
        Invocation().ask("words: ")


# --------------------------------------------------------------------------------------------------------------- files


def test_files_are_read_within_a_bound(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "x"
    path.write_bytes(b"12345")
    me = Invocation()
    assert me.read_in(path, 5) == b"12345"
    with pytest.raises(Malformed):
        me.read_in(path, 4)
    with pytest.raises(NotFound):
        me.read_in(tmp_path / "y")
    with pytest.raises(NotReady) as e:
        me.read_in(tmp_path)
    assert e.value.code == "file-unreadable"
    assert e.value.message == f"{tmp_path} is a folder"
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(b"piped")))
    assert me.read_in("-") == b"piped"


def test_bytes_go_to_a_pipe_and_to_no_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    out = io.TextIOWrapper(io.BytesIO())
    monkeypatch.setattr("sys.stdout", out)
    Invocation().write_out("-", b"\xff\x00")
    assert out.buffer.getvalue() == b"\xff\x00"
    monkeypatch.setattr(out, "isatty", lambda: True, raising=False)
    with pytest.raises(Invalid):
        Invocation().write_out("-", b"\xff\x00")


@pytest.mark.parametrize("content", [b"\x1b]0;owned\x07", b"\x9b2J", "\u202e".encode(), b"a\rb", b"\x08"])
def test_what_a_terminal_would_obey_is_not_written_to_one(content: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    out = io.TextIOWrapper(io.BytesIO())
    monkeypatch.setattr("sys.stdout", out)
    monkeypatch.setattr(out, "isatty", lambda: True, raising=False)
    Invocation().write_out("-", "plain \N{LATIN SMALL LETTER E WITH ACUTE}\r\n\ttext\n".encode())
    before = out.buffer.getvalue()
    with pytest.raises(Invalid):
        Invocation().write_out("-", content)
    assert out.buffer.getvalue() == before


# -------------------------------------------------------------------------------------------------------------- others


def test_here_is_the_invocation_that_runs() -> None:
    assert here() == Invocation()
    with invoked(Invocation(quiet=True)) as _:
        assert here().quiet
    assert not here().quiet


def test_the_home_and_the_profile_follow_the_flags(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert Invocation(home_folder=tmp_path, profile_name="x").profile.folder == tmp_path / "profiles" / "x"
    monkeypatch.setenv("SECURECHAN_HOME", str(tmp_path / "env"))
    assert Invocation().home.folder == tmp_path / "env"


def test_what_waits_is_run_to_its_end() -> None:
    async def work() -> int:
        return 3

    assert run(work()) == 3


def test_a_group_without_a_verb_says_what_there_is() -> None:
    said = invocation("root")
    assert said.code == 0
    assert "admit-agency" in said.out
