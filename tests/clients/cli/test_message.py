"""clients/cli/message.py: send, read, search as people type them, and each fault with its exit code."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.clients.cli.conftest import Person
from tests.clients.conftest import Town
from tests.clients.station import PASSPHRASE, Station, run
from tests.support.relayproc import ROOT


def test_people_read_harmless_lines(town: Town) -> None:
    name = town.community()
    sent = town.hr.run("send", name, "-m", "see http://evil.example\x1b[2J", "--tlp", "amber")
    assert sent.code == 0
    assert sent.out.startswith(f"sent  to {name} (")
    town.si.run("sync")
    read = town.si.run("read", name)
    assert "liaison-1@cert-hr  amber\n    see hxxp://evil[.]example\\u001b[2J" in read.out
    assert "\x1b" not in read.out


def test_a_message_comes_from_stdin_or_a_file(town: Town, tmp_path: Path) -> None:
    name = town.community()
    assert town.hr.run("send", name, "-m", "-", stdin="čšž\nsecond line\n".encode()).code == 0
    (tmp_path / "text").write_text("from a file")
    assert town.hr.run("send", name, str(tmp_path / "text")).code == 0
    bodies = [e.get("body") for e in town.hr.json("read", name)["events"]]
    assert bodies[-2:] == ["čšž\nsecond line", "from a file"]


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (["send"], 2),
        (["send", "nowhere", "-m", "x"], 9),
        (["send", "nobody@cert-si", "-m", "x"], 4),
        (["send", "liaison-1@cert-hr", "-m", "to myself"], 2),
        (["send", "x"], 2),  # no text, and nobody to ask
        (["send", "x", "file", "-m", "both"], 2),
        (["send", "x", "/no/such/file"], 9),
        (["send", "x", "-m", "-"], 9),
        (["send", "not an address@", "-m", "x"], 11),
        (["read", "nowhere"], 9),
        (["read", "--since", "soon"], 2),
        (["read", "-n", "0"], 2),
        (["read", "--fetch", "00" * 16], 9),
        (["read", "--fetch", "zz"], 2),
        (["search"], 2),
    ],
)
def test_faults_have_their_exit_codes(town: Town, words: list[str], code: int) -> None:
    town.hr.json("sync")
    said = town.hr.run(*words)
    assert said.code == code, said
    assert said.err.startswith("error: ")
    assert not said.out


def test_a_label_that_there_is_not(town: Town) -> None:
    name = town.community()
    said = town.hr.run("send", name, "-m", "x", "--tlp", "purple")
    assert said.code in (2, 11)
    assert "tlp" in said.err.lower()


def test_a_label_above_the_ceiling_is_denied_and_nothing_is_sent(town: Town) -> None:
    name = town.community(ceiling="green")
    said = town.hr.run("send", name, "-m", "too much", "--tlp", "red")
    assert said.code == 7
    assert "hint:" in said.err or "error:" in said.err
    assert "too much" not in town.hr.run("read", name).out


def test_text_that_is_no_text(town: Town) -> None:
    said = town.hr.run("send", "x", "-m", "-", stdin=b"\xff\xfe")
    assert (said.code, "UTF-8" in said.err) == (11, True)


def test_a_wrong_passphrase_and_none_at_all(town: Town, tmp_path: Path) -> None:
    wrong = tmp_path / "wrong"
    wrong.write_text("not the phrase\n")
    wrong.chmod(0o600)
    home = ["--home", str(town.hr.home), "--no-input"]
    said = run(*home, "--passphrase-file", str(wrong), "read")
    assert (said.code, "wrong passphrase" in said.err) == (8, True)
    said = run(*home, "read")
    assert said.code == 8
    assert "SECURECHAN_PASSPHRASE_FILE" in said.err
    wrong.chmod(0o644)
    said = run(*home, "--passphrase-file", str(wrong), "read")
    assert (said.code, f"chmod 600 {wrong}" in said.err) == (8, True)


def test_who_is_not_enrolled_is_told_how(tmp_path: Path) -> None:
    said = run("--home", str(tmp_path / "empty"), "--no-input", "read")
    assert (said.code, "hint: enrol this device: securechan enrol -" in said.err) == (8, True)


def test_who_was_enrolled_a_minute_ago_is_written_to_at_once(
    town: Town, office: Station, person: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Our own copy of the trust records is older; the relay's isn't."""
    town.si.json("sync")
    invite = office.json("admin", "invite", "liaison-31")["invite"]
    asked = person.json("enrol", str(invite), "--no-wait")
    office.json("admin", "approve", str(asked["device"]), "--words", " ".join(asked["words"]))
    person.json("enrol", "--resume")
    monkeypatch.setenv("SECURECHAN_RELAY", "ws://127.0.0.1:1")
    offline = town.si.run("--json", "send", "liaison-31@cert-hr", "-m", "welcome", "--wait", "queued")
    assert (offline.code, offline.error["code"]) == (4, "unknown-officer")
    assert "the relay could not be asked (" in offline.error["hint"]
    assert "securechan sync" in offline.error["hint"]
    monkeypatch.delenv("SECURECHAN_RELAY")
    sent = town.si.json("send", "liaison-31@cert-hr", "-m", "welcome", "--wait", "queued")
    assert (sent["state"], sent["name"]) == ("queued", "liaison-31@cert-hr")
    nobody = town.si.run("--json", "send", "nobody@cert-hr", "-m", "x")
    assert (nobody.code, "could not be asked" in nobody.error["hint"]) == (4, False)


def test_of_a_message_of_several_parts_the_passphrase_is_read_once(town: Town, tmp_path: Path) -> None:
    """A pipe that has been read holds nothing more. A whole process, as scripts start it."""
    name = town.community()
    for each in ("one.txt", "two.txt"):
        (tmp_path / each).write_text(each)
    read, write = os.pipe()
    os.write(write, PASSPHRASE.encode() + b"\n")
    os.close(write)
    options = ["--json", "--no-input", "--home", str(town.hr.home), "--passphrase-fd", str(read)]
    files = ["-a", str(tmp_path / "one.txt"), "-a", str(tmp_path / "two.txt")]
    try:
        ended = subprocess.run(
            [sys.executable, "-m", "clients.cli", *options, "send", name, "-m", "three parts", *files],
            pass_fds=[read],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            check=False,
        )
    finally:
        os.close(read)
    assert (ended.returncode, ended.stderr) == (0, b"")
    assert [each["state"] for each in json.loads(ended.stdout)["data"]["messages"]] == ["sent"] * 3


def test_files_that_are_too_much_together_are_refused_before_any_is_sent(town: Town, tmp_path: Path) -> None:
    words = []
    for n in range(6):
        (tmp_path / f"{n}.bin").write_bytes(bytes(4 << 20))
        words += ["-a", str(tmp_path / f"{n}.bin")]
    refused = town.hr.run("--json", "send", "x", *words)
    assert (refused.code, "one after the other" in refused.error["hint"]) == (11, True)


def test_a_message_of_several_parts_that_is_repeated_is_the_same(town: Town, tmp_path: Path) -> None:
    name = town.community()
    (tmp_path / "a.txt").write_text("attached")
    words = ["send", name, "-m", "once", "-a", str(tmp_path / "a.txt"), "--id", os.urandom(16).hex()]
    first, second = (town.hr.json(*words)["messages"] for _ in range(2))
    assert [each["id"] for each in first] == [each["id"] for each in second]
    assert first[0]["id"] == words[-1] != first[1]["id"]
    town.si.json("sync")
    came = [e for e in town.si.json("read", name)["events"] if e["event"] == "message-received"]
    assert len(came) == 2, came
