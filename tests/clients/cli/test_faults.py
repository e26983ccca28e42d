"""Every fault that a user can meet: what it says, what it tells to do, and its exit code."""

from __future__ import annotations

import contextlib
import json
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import typer

from clients.cli import app
from clients.exitcodes import Exit
from clients.operations import engine
from clients.vault import Vault
from securechan.trust.enrolment import Invite
from tests.clients.cli.conftest import Person
from tests.clients.conftest import Town
from tests.clients.station import PASSPHRASE, Said, Station, enrolled, run
from tests.support.founding import found
from tests.support.relayproc import RelayProcess


def told(said: Said, code: int, error: str, hint: str) -> None:
    assert said.code == code, said
    lines = said.err.strip().split("\n")
    assert lines[0].startswith("error: ")
    assert error in lines[0]
    assert any(line.startswith("hint: ") and hint in line for line in lines), lines
    assert not said.out


def test_a_missing_relay(town: Town, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECURECHAN_RELAY", "ws://127.0.0.1:1")
    told(town.hr.run("sync"), 3, "no relay answers at ws://127.0.0.1:1", "check the network")


def test_an_address_that_is_none(town: Town, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECURECHAN_RELAY", "relay.example.int")
    told(town.hr.run("sync"), 11, "is no address of a relay", "wss://")


def test_a_relay_that_serves_no_federation_yet(town: Town, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with RelayProcess(tmp_path / "relay", name="relay-1") as fresh:
        monkeypatch.setenv("SECURECHAN_RELAY", fresh.url)
        said = town.hr.run("sync")
    told(said, 3, "the relay serves no federation now", "ask its operator")


def test_the_relay_of_another_federation(town: Town, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with RelayProcess(tmp_path / "relay", name="relay-1") as other:
        other.adopt(found(other.card(), devices=("cert-xx/a",)).bundle)
        monkeypatch.setenv("SECURECHAN_RELAY", other.url)
        told(town.hr.run("sync"), 4, f"the relay at {other.url} does not hold the key", "check its address")


def test_a_wrong_passphrase(town: Town, tmp_path: Path) -> None:
    wrong = tmp_path / "phrase"
    wrong.write_text(PASSPHRASE[:-1])
    wrong.chmod(0o600)
    said = run("--home", str(town.hr.home), "--passphrase-file", str(wrong), "--no-input", "status")
    told(said, 8, "wrong passphrase", "try again")


def test_a_locked_profile(town: Town, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine, "PATIENCE", 0.1)
    code = (
        "import sys; from pathlib import Path; from clients.profile import Profile\n"
        "with Profile('p', Path(sys.argv[1])).hold('securechan backup'): print(flush=True); sys.stdin.read()"
    )
    root = Path(__file__).resolve().parents[3]
    arguments = [sys.executable, "-c", code, str(town.hr2.profile.folder)]
    with subprocess.Popen(arguments, stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=root) as process:
        assert process.stdout is not None
        process.stdout.readline()
        try:
            told(town.hr2.run("read"), 8, f"in use by securechan backup (process {process.pid}", "with Ctrl-C")
        finally:
            process.kill()


def test_a_corrupted_vault(town: Town) -> None:
    station = town.again("corrupted", "cert-hr/desk")
    content = bytearray(station.profile.vault.read_bytes())
    content[len(content) // 2 :] = bytes(len(content) - len(content) // 2)
    station.profile.vault.write_bytes(content)
    told(station.run("read"), 6, "is damaged", "restore")


def overwritten(content: bytearray) -> bytearray:
    return bytearray(b"this was a vault" * (len(content) // 16))


def cut(content: bytearray) -> bytearray:
    return content[: len(content) * 2 // 3]


def emptied(_: bytearray) -> bytearray:
    return bytearray()


@pytest.mark.parametrize("damage", [overwritten, cut, emptied])
@pytest.mark.parametrize("words", [["status"], ["send", "eu", "-m", "text"], ["sync"]], ids=lambda words: words[0])
def test_a_vault_that_is_none(town: Town, damage: Callable[[bytearray], bytearray], words: list[str]) -> None:
    station = town.again("damaged", "cert-hr/desk")
    station.profile.vault.write_bytes(damage(bytearray(station.profile.vault.read_bytes())))
    told(station.run(*words), 6, "damaged", "restore")


def test_a_vault_of_which_one_record_was_exchanged(town: Town) -> None:
    """Records are bound to their table and name: what SQLite finds in order is not in order for us."""
    station = town.again("exchanged", "cert-hr/desk")
    with contextlib.closing(sqlite3.connect(station.profile.vault)) as db, db:
        (changed,) = db.execute("select count(*) from record").fetchone()
        assert changed > 2
        (value,) = db.execute("select sealed from record limit 1").fetchone()
        db.execute("update record set sealed = ?", (value,))
    told(station.run("read"), 6, "damaged", "restore")


def test_a_missing_vault(tmp_path: Path) -> None:
    told(run("--home", str(tmp_path), "--no-input", "read"), 8, "not enrolled", "securechan enrol -")


@contextlib.contextmanager
def nearly_full() -> Iterator[None]:
    """Vaults that are opened here have room for one page more."""
    real = Vault.open.__func__  # a classmethod has one

    def full(cls: type[Vault], path: Path, passphrase: str) -> Vault:
        vault: Vault = real(cls, path, passphrase)
        vault._db.execute("VACUUM")  # or it would first fill the pages that others left
        (pages,) = vault._db.execute("PRAGMA page_count").fetchone()
        vault._db.execute(f"PRAGMA max_page_count = {pages + 1}")
        return vault

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Vault, "open", classmethod(full))
        yield


def test_a_full_disk(town: Town) -> None:
    name = town.community()
    with nearly_full():
        said = town.hr.run("send", name, "-m", "x" * 200_000)
    told(said, 5, "no room left on the disk", "free some space")
    assert "xxx" not in town.hr.run("read", name).out
    assert town.hr.run("send", name, "-m", "now there is room").code == 0


def test_a_full_disk_loses_nothing_that_comes(town: Town) -> None:
    name = town.community()
    texts = [f"{number} " + "x" * 30_000 for number in range(8)]
    for text in texts:
        town.hr.json("send", name, "-m", text)
    with nearly_full():
        told(town.si.run("sync"), 5, "no room left on the disk", "free some space")
    town.si.json("sync")
    read = [event["body"] for event in town.si.json("read", name)["events"] if event["event"] == "message-received"]
    assert read == texts


NEARLY_FULL = """
import relay.cli, relay.process
free = relay.process.free
relay.process.free = lambda home: 0.0 if (home / "full").exists() else free(home)
relay.cli.main()
"""


def test_a_relay_whose_disk_is_full(tmp_path: Path) -> None:
    """It says so at once, the words are kept, and they leave when there is room."""
    with RelayProcess(tmp_path / "relay", program=("-c", NEARLY_FULL)) as relay:
        founded = found(relay.card(), devices=("cert-hr/desk",))
        relay.adopt(founded.bundle)
        desk = enrolled(tmp_path / "hr", founded, "cert-hr/desk", relay.url)
        desk.json("conversation", "create", "notes", "--room")
        full = relay.home / "full"
        full.touch()
        relay.stop()
        relay.start()
        began = time.monotonic()
        told(
            desk.run("send", "notes", "-m", "not lost"), 5, "the relay's disk is nearly full; the message waits", "kept"
        )
        told(desk.run("conversation", "create", "more", "--room"), 5, "nearly full; the conversation", "kept")
        told(desk.run("sync"), 5, "nearly full", "try again in")
        told(desk.run("key", "rotate", "--epochs"), 5, "nearly full; the renewal waits to be sent", "make room")
        assert time.monotonic() - began < 60  # nobody sat out a timeout, 60 s each
        error = desk.run("--json", "send", "notes", "-m", "nor this").error
        assert error["code"] == "refused-full"
        assert error["retry_after"] >= 20
        full.unlink()
        relay.stop()
        relay.start()
        desk.json("sync")
        said = [event["body"] for event in desk.json("read", "notes")["events"] if event["event"] == "message-received"]
        assert said == ["not lost", "nor this"]


CLUSTER_AWAY = """
import pathlib, sys, relay.cli
from relay.store.base import StoreFailed
from relay.store.sqlite import SqliteStore
commit, away = SqliteStore.commit, pathlib.Path(sys.argv[sys.argv.index("--home") + 1]) / "away"
async def may_fail(self, batch):
    if away.exists():
        raise StoreFailed("nobody leads the stream")
    return await commit(self, batch)
SqliteStore.commit = may_fail
relay.cli.main()
"""


@pytest.fixture
def away(tmp_path: Path) -> Iterator[tuple[Station, Path]]:
    """A desk with a conversation of its own; while the file is there its relay can be read, and keeps nothing."""
    with RelayProcess(tmp_path / "relay", program=("-c", CLUSTER_AWAY)) as relay:
        founded = found(relay.card(), devices=("cert-hr/desk",))
        relay.adopt(founded.bundle)
        desk = enrolled(tmp_path / "hr", founded, "cert-hr/desk", relay.url)
        desk.json("conversation", "create", "notes", "--room")
        yield desk, relay.home / "away"


def test_a_relay_that_can_keep_nothing(away: tuple[Station, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    """It says so while one waits, gives up in time, and what was said leaves when the relay is well again."""
    desk, file = away
    monkeypatch.setattr(engine, "SAID", 0.1)
    monkeypatch.setattr(engine, "HOPEFUL", 0.05)
    file.touch()
    said = desk.run("send", "notes", "-m", "not lost", "--timeout", "60")
    assert said.code == 3, said
    waiting, error, hint = said.err.splitlines()
    assert waiting.startswith("waiting: the relay answers, and can keep nothing now: ")
    assert waiting.endswith("what you sent is kept, and goes out by itself")
    assert error.startswith("error: the relay refuses: ")
    assert error.endswith("; the message waits to be sent")
    assert "leaves with the next securechan sync or watch" in hint
    scripts = desk.run("--json", "send", "notes", "-m", "nor this", "--timeout", "40")
    assert (scripts.code, scripts.error["code"]) == (3, "refused-internal")
    sick = desk.run("doctor")
    assert sick.code == 13
    assert "ok    sync: " in sick.out  # to read is no proof
    assert "fail  storage: the relay can be read, and keeps nothing now: " in sick.out
    file.unlink()
    assert "ok    storage: the relay keeps what it is given\n" in desk.run("doctor").out
    desk.json("sync")
    came = [event["body"] for event in desk.json("read", "notes")["events"] if event["event"] == "message-received"]
    assert came == ["not lost", "nor this"]


def invite(office: Station, officer: str) -> str:
    line: str = office.json("admin", "invite", officer)["invite"]
    return line


def test_an_invite_that_has_expired(office: Station, person: Person, monkeypatch: pytest.MonkeyPatch) -> None:
    line = invite(office, "liaison-21")
    later = time.time() + 80 * 3600
    monkeypatch.setattr(engine.SystemClock, "time", lambda _: later)
    told(person.run("enrol", line), 4, "expired", "ask your administrator for a new one")


def test_an_invite_that_was_used(office: Station, person: Person, tmp_path: Path) -> None:
    line = invite(office, "liaison-22")
    assert person.run("enrol", line, "--no-wait").code == 0
    told(Person(tmp_path / "second").run("enrol", line), 12, "used", "administrator")
    assert person.run("enrol", "--resume", "--no-wait").code == 0  # the first goes on undisturbed


def test_an_invite_that_is_cut_off(office: Station, person: Person) -> None:
    line = invite(office, "liaison-23")
    assert Invite.parse(line)
    told(person.run("enrol", line[: len(line) // 2]), 11, "invite", "whole")


def test_a_clock_that_is_wrong(town: Town, monkeypatch: pytest.MonkeyPatch) -> None:
    town.si.json("sync")
    ahead = time.time() + 3 * 3600
    started = time.monotonic()
    monkeypatch.setattr(engine.SystemClock, "time", lambda self: ahead + time.monotonic() - started)
    said = town.si.run("sync")
    assert said.code == 0, said
    assert "warning: this machine's clock is 3 h ahead of the relay's: set it" in said.err
    assert "clock" in town.si.json("status")["relay"]["warning"]


def leaves(command: Any, *words: str) -> Iterator[tuple[str, ...]]:
    if not isinstance(command, typer.core.TyperGroup):
        yield words
        return
    context = typer.Context(command)
    for name in command.list_commands(context):
        yield from leaves(command.get_command(context, name), *words, name)


VERBS = [words for words in leaves(typer.main.get_command(app)) if words[0] != "demo"]  # that one plays the whole story


def test_the_walk_found_them() -> None:
    assert {("status",), ("send",), ("admin", "approve"), ("root", "init"), ("bulletin", "acks")} <= set(VERBS)
    assert len(VERBS) > 50


@pytest.mark.parametrize("arguments", [[], ["x"], ["x", "y"]], ids=len)
@pytest.mark.parametrize("words", VERBS, ids=" ".join)
def test_every_verb_answers_scripts_in_json(
    words: tuple[str, ...], arguments: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whether it can or not: here nobody is enrolled and nothing that is named is there."""
    monkeypatch.chdir(tmp_path)
    said = run("--json", "--no-input", "--home", str(tmp_path / "home"), *words, *arguments)
    assert said.code != Exit.INTERNAL, said
    assert said.code in set(Exit)
    if said.code in (Exit.OK, Exit.DOCTOR):
        assert json.loads(said.out)["v"] == 1
        return
    assert not said.out
    told = json.loads(said.err)
    assert (told["v"], told["ok"]) == (1, False)
    assert told["error"]["code"]
    assert told["error"]["message"]
    assert told["error"]["hint"], told


def test_what_nobody_foresaw_is_said_without_its_text(town: Town, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> None:
        raise ZeroDivisionError("holds a secret")

    monkeypatch.setattr(engine, "load", broken)
    said = town.hr.run("read")
    assert said.code == 1
    assert "internal error: ZeroDivisionError" in said.err
    assert "secret" not in said.err.split("hint:")[0]
