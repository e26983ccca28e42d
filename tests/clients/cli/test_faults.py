"""Every fault that a user can meet: what it says, what it tells to do, and its exit code."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from clients.operations import engine
from clients.vault import Vault
from tests.clients.conftest import Town
from tests.clients.station import PASSPHRASE, run
from tests.support.founding import found
from tests.support.relayproc import RelayProcess


def told(said: object, code: int, error: str, hint: str) -> None:
    assert said.code == code, said  # type: ignore[attr-defined]
    lines = said.err.strip().split("\n")  # type: ignore[attr-defined]
    assert lines[0].startswith("error: ")
    assert error in lines[0]
    assert any(line.startswith("hint: ") and hint in line for line in lines), lines
    assert not said.out  # type: ignore[attr-defined]


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
    assert said.code in (3, 4), said
    assert "hint: " in said.err


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
    import subprocess
    import sys

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
            told(town.hr2.run("read"), 8, f"in use by process {process.pid} (securechan backup", f"kill {process.pid}")
        finally:
            process.kill()


def test_a_corrupted_vault(town: Town) -> None:
    station = town.again("corrupted", "cert-hr/desk")
    content = bytearray(station.profile.vault.read_bytes())
    content[len(content) // 2 :] = bytes(len(content) - len(content) // 2)
    station.profile.vault.write_bytes(content)
    told(station.run("read"), 6, "is damaged", "restore")


def test_a_missing_vault(tmp_path: Path) -> None:
    told(run("--home", str(tmp_path), "--no-input", "read"), 8, "not enrolled", "securechan enrol INVITE")


def test_a_full_disk(town: Town, monkeypatch: pytest.MonkeyPatch) -> None:
    name = town.community()
    real = Vault.open.__func__  # type: ignore[attr-defined]

    def full(cls: type[Vault], path: Path, passphrase: str) -> Vault:
        vault: Vault = real(cls, path, passphrase)
        (pages,) = vault._db.execute("PRAGMA page_count").fetchone()
        vault._db.execute(f"PRAGMA max_page_count = {pages + 1}")
        return vault

    monkeypatch.setattr(Vault, "open", classmethod(full))
    said = town.hr.run("send", name, "-m", "x" * 200_000)
    told(said, 5, "no room left on the disk", "free some space")
    monkeypatch.undo()
    assert "xxx" not in town.hr.run("read", name).out
    assert town.hr.run("send", name, "-m", "now there is room").code == 0


def test_a_clock_that_is_wrong(town: Town, monkeypatch: pytest.MonkeyPatch) -> None:
    town.si.json("sync")
    ahead = time.time() + 3 * 3600
    started = time.monotonic()
    monkeypatch.setattr(engine.SystemClock, "time", lambda self: ahead + time.monotonic() - started)
    said = town.si.run("sync")
    assert said.code == 0, said
    assert "warning: this machine's clock is 3 h ahead of the relay's: set it" in said.err
    assert "clock" in town.si.json("status")["relay"]["warning"]


def test_what_nobody_foresaw_is_said_without_its_text(town: Town, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> None:
        raise ZeroDivisionError("holds a secret")

    monkeypatch.setattr(engine, "load", broken)
    said = town.hr.run("read")
    assert said.code == 1
    assert "internal error: ZeroDivisionError" in said.err
    assert "secret" not in said.err.split("hint:")[0]
