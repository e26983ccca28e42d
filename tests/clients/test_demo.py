"""``securechan demo``: it keeps what it promises, says which step fails, and leaves no process and no folder behind."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from clients.cli import demo as verb
from clients.demo import cast, desk, enrolling, founding, losing, narrator, processes, renewing, stage, story, talking
from clients.demo.narrator import Broken, DemoFailed, Narrator, claim
from clients.demo.stage import Stage
from clients.exitcodes import Exit, exit_code
from securechan.errors import Conflict
from tests.clients.station import run

PATIENCE = 120  # seconds, for busy machines


def command(*words: str) -> list[str]:
    return [sys.executable, "-m", "clients.cli", *words]


@pytest.fixture
def surroundings(tmp_path: Path) -> dict[str, str]:
    """Temporary folders of our own, so that we see what stays."""
    return {**os.environ, "PYTHONPATH": str(processes.ROOT), "TMPDIR": str(tmp_path)}


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


# ---------------------------------------------------------------------------------------------------- the whole of it


def test_the_whole_story(surroundings: dict[str, str], tmp_path: Path) -> None:
    done = subprocess.run(
        command("demo", "--json"), env=surroundings, capture_output=True, text=True, timeout=PATIENCE * 2, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    told = json.loads(done.stdout)
    assert (told["v"], told["ok"]) == (1, True)
    data = told["data"]
    facts: dict[str, dict[str, Any]] = {step["step"]: step["facts"] for step in data["steps"]}
    assert list(facts) == [
        *("relay", "agencies", "federation", "administrators", "enrolment", "community", "stix", "csaf", "tlp"),
        *("direct", "absence", "epochs", "signature", "theft", "death"),
    ]
    assert (facts["federation"]["threshold"], facts["federation"]["holders"]) == (2, 3)
    assert len(facts["agencies"]["agencies"]) == 3
    assert len(facts["enrolment"]["devices"]) == 5
    assert facts["administrators"]["handshake"] == "MLKEM768-X25519"
    assert (facts["community"]["suite"], facts["community"]["members"]) == ("hybrid", 5)
    assert facts["stix"]["bytes"] == (stage.DATA / talking.STIX).stat().st_size
    assert facts["stix"]["entry_bytes"] > facts["stix"]["bytes"]
    assert facts["stix"]["devices"] == facts["csaf"]["devices"] == 4
    assert len(facts["stix"]["acks"]["acknowledged"]) == 3
    assert facts["csaf"]["media_type"] == "application/csaf+json"
    assert facts["csaf"]["plaintext_found"] == 0
    assert facts["tlp"]["exit_code"] == Exit.DENIED
    assert facts["tlp"]["entries_before"] == facts["tlp"]["entries_after"]
    assert facts["direct"]["members"] == [cast.LIAISON_AA.address, cast.LIAISON_BB.address]
    assert facts["absence"]["messages"] == talking.MISSED
    assert facts["absence"]["epochs"] == 2
    assert facts["epochs"]["epoch"] > facts["epochs"]["before"]
    assert facts["signature"]["key"] != facts["signature"]["old"]
    assert facts["theft"]["exit_code"] == facts["theft"]["refused_exit_code"] == Exit.UNTRUSTED
    assert facts["theft"]["read_before"] == facts["theft"]["read_after"]
    assert facts["death"]["stored_before"] < facts["death"]["sent"] == facts["death"]["stored_after"]
    assert facts["death"]["lost"] == 0
    assert set(facts["death"]["read"].values()) == {losing.BURST + losing.LATE}
    assert data["folder"] is None
    assert data["summary"]["relay kill -9"]
    assert not alive(facts["relay"]["pid"])
    assert list(tmp_path.iterdir()) == []


# ------------------------------------------------------------------------------------------------- what may go wrong


@pytest.fixture
def broken(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[int]]:
    """A story whose second act breaks; the ids of the processes that it started."""
    started: list[int] = []

    async def act(on: Stage) -> None:
        started.append(on.relay.pid)
        with on.narrator.step("broken", "something breaks"):
            claim(False, "the moon is made of cheese")

    monkeypatch.setattr(story, "ACTS", (founding.relay, act))
    yield started
    for pid in started:
        assert not alive(pid)


def test_a_step_that_fails_is_named_and_its_logs_stay(
    broken: list[int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    said: list[str] = []
    with pytest.raises(DemoFailed, match=r"step 2, something breaks: not so: the moon is made of cheese") as caught:
        asyncio.run(story.play(None, said.append))
    assert exit_code(caught.value) == 1
    folder = Path(caught.value.hint.rpartition(" ")[2])
    assert (folder / "relay.log").exists()
    assert broken
    assert any(line.startswith(" 1  a relay starts") for line in said)


def test_a_script_is_told_as_much(broken: list[int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    said = run("demo", "--json")
    assert said.code == Exit.INTERNAL
    assert said.error["code"] == "demo-failed"
    assert "something breaks" in said.error["message"]
    assert str(tmp_path) in said.error["hint"]
    assert broken


def test_the_verb_says_what_it_does() -> None:
    assert verb.app.registered_commands
    assert "--keep" in run("demo", "--help").out


def test_what_is_kept_is_asked_for_and_private(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(story, "ACTS", (founding.relay,))
    monkeypatch.setattr(story, "_last", lambda _: None)
    keep = tmp_path / "here"
    data = asyncio.run(story.play(keep, lambda _: None))
    assert data["folder"] == str(keep)
    assert keep.stat().st_mode & 0o077 == 0
    assert (keep / "relay" / "relay.db").exists()
    with pytest.raises(Conflict, match="is not empty"):
        asyncio.run(story.play(keep, lambda _: None))


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_whoever_has_seen_enough_leaves_nothing_behind(
    number: signal.Signals, surroundings: dict[str, str], tmp_path: Path
) -> None:
    demo = subprocess.Popen(
        command("demo"), env=surroundings, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    try:
        assert demo.stdout is not None
        line = next(line for line in demo.stdout if "process" in line and "listens" in line)
        relay = int(line.split("process ")[1].split()[0])
        assert alive(relay)
        time.sleep(0.5)  # somewhere in the middle of making keys: it must not matter where
        demo.send_signal(number)
        _, err = demo.communicate(timeout=PATIENCE)
    finally:
        if demo.poll() is None:
            demo.kill()
    assert demo.returncode == Exit.INTERRUPTED
    assert "Traceback" not in err
    assert not alive(relay)
    assert list(tmp_path.iterdir()) == []


# ----------------------------------------------------------------------------------------------------------- its parts


def test_a_claim_is_checked_before_it_is_told() -> None:
    claim(1 + 1 == 2, "arithmetic holds")
    with pytest.raises(Broken, match="not so: it rains upwards"):
        claim([], "it rains upwards")


def test_lines_for_people_and_figures_for_scripts() -> None:
    lines: list[str] = []
    teller = Narrator(lines.append)
    with teller.step("one", "the first step") as step:
        step.tell("two and two", sum=4)
    teller.sum_up("sum", "4")
    assert lines[:2] == [" 1  the first step", "    two and two"]
    assert lines[2].endswith(" s")
    assert teller.steps[0].json()["facts"] == {"sum": 4}
    assert teller.rows == [("sum", "4")]
    assert teller.at == "the first step"
    assert (narrator.span(0.0413), narrator.span(2.44)) == ("41 ms", "2.4 s")


def test_children_are_ended_and_none_is_started_afterwards(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processes, "GRACE", 0.2)
    deaf = "import signal, time; signal.signal(15, signal.SIG_IGN); print('up', flush=True); time.sleep(99)"

    async def play() -> None:
        children = processes.Children(tmp_path)
        stubborn = await children.start("deaf", "-c", deaf, environment={})
        assert stubborn.stdout is not None
        assert await stubborn.stdout.readline() == b"up\n"
        done = await children.run("-c", "print(input())", environment={}, stdin=b"word\n")
        assert (done.code, done.out) == (0, "word\n")
        await children.end_all()
        assert stubborn.returncode == -signal.SIGKILL
        with pytest.raises(Broken, match="is over"):
            await children.run("-c", "pass", environment={})

    asyncio.run(play())


def test_a_commands_failure_carries_its_words() -> None:
    said = processes.Said(7, "", json.dumps({"v": 1, "ok": False, "error": {"code": "denied", "message": "no"}}))
    assert said.error["code"] == "denied"
    with pytest.raises(Broken, match="exit code 7: no"):
        _ = said.data
    assert processes.Said(1, "", "").error["message"] == ""


def test_children_hear_nothing_of_another_channel(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECURECHAN_RELAY", "wss://elsewhere.example")
    seen = processes.surroundings({"SECURECHAN_HOME": "/here"})
    assert "SECURECHAN_RELAY" not in seen
    assert seen["SECURECHAN_HOME"] == "/here"


def test_a_desk_that_hears_nothing_says_so(tmp_path: Path) -> None:
    async def play() -> None:
        lonely = desk.Desk(processes.Children(tmp_path), cast.DESK_AA, tmp_path, tmp_path / "secret")
        with pytest.raises(Broken, match="cert-aa/desk-1 did not hear a knock"):
            await lonely.hears(lambda _: True, patience=0.01, what="a knock")
        with pytest.raises(Broken, match="has no process"):
            await lonely.close()

    asyncio.run(play())


def test_the_cast_is_as_promised() -> None:
    assert len(cast.AGENCIES) == 3
    assert len(cast.OFFICERS) == 5
    assert [agency.name for agency in cast.AGENCIES if agency.threshold == 2] == ["csirt-bb"]
    assert cast.second("csirt-bb") == cast.BERTA
    assert cast.second("cert-aa") is None
    every = (*founding.ACTS, *enrolling.ACTS, *talking.ACTS, *renewing.ACTS, *losing.ACTS)
    assert every == story.ACTS
