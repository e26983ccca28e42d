"""``securechan-relay``: what it prints, where, and with which exit code."""

from __future__ import annotations

import asyncio
import base64
import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from relay import __main__, cli, keys, vitals
from securechan.errors import Refused
from securechan.wire.frames import Done, Ping
from securechan.wire.handshake import RelayIdentity
from tests.relay.caller import call
from tests.relay.conftest import Running
from tests.support.founding import found
from tests.support.relayproc import ROOT, RelayProcess


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    """(exit code, stdout, stderr) of the program, in this process."""
    before = sys.argv
    sys.argv = ["securechan-relay", *arguments]
    try:
        cli.main()
    except SystemExit as left:
        code = int(left.code or 0)
    else:
        code = 0
    finally:
        sys.argv = before
    out, err = capsys.readouterr()
    return code, out, err


def data(out: str) -> dict[str, Any]:
    told = json.loads(out)
    assert (told["v"], told["ok"]) == (1, True)
    inside: dict[str, Any] = told["data"]
    return inside


def error(err: str) -> dict[str, Any]:
    told = json.loads(err)
    assert (told["v"], told["ok"]) == (1, False)
    inside: dict[str, Any] = told["error"]
    return inside


def test_help_loads_nothing_heavy() -> None:
    code = (
        "import sys; sys.argv = ['securechan-relay', '--help']\n"
        "from relay.cli import main\n"
        "try: main()\n"
        "except SystemExit: pass\n"
        "heavy = ('websockets', 'tuf', 'cryptography', 'pydantic', 'asyncio')\n"
        "print([m for m in heavy if m in sys.modules], file=sys.stderr)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=60, check=True
    )
    assert "check-config" in done.stdout
    assert done.stderr.strip() == "[]"


def test_init_makes_a_relay_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    home = str(tmp_path / "home")
    arguments = ["--home", home, "--name", "relay-1", "--url", "wss://relay.example.int", "--port", "9443"]
    code, out, _ = run(capsys, "init", *arguments)
    assert code == 0
    assert "card.json" in out
    card = json.loads((tmp_path / "home" / "card.json").read_bytes())
    assert (card["name"], card["url"]) == ("relay-1", "wss://relay.example.int")
    code, out, err = run(capsys, "init", *arguments, "--json")
    assert (code, out) == (12, "")
    assert error(err)["code"] == "conflict"
    code, out, _ = run(capsys, "check-config", "--home", home, "--json")
    assert code == 0
    assert data(out)["port"] == 9443


def test_init_with_a_value_that_cannot_be_leaves_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, _, err = run(capsys, "init", "--home", str(tmp_path), "--name", "Not A Name")
    assert code == 11
    assert "lower-case" in err
    assert "hint:" in err
    assert not (tmp_path / "relay.toml").exists()
    assert run(capsys, "init", "--home", str(tmp_path), "--json")[0] == 0


def test_check_config_tells_every_mistake(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "relay.toml").write_text('port = "x"\nnmae = "a"\n')
    code, out, err = run(capsys, "check-config", "--home", str(tmp_path))
    assert (code, out) == (11, "")
    assert "line 1" in err
    assert "line 2: nmae: there is no such setting" in err
    code, _, err = run(capsys, "check-config", "--home", str(tmp_path), "--json")
    assert code == 11
    assert len(error(err)["findings"]) == 2


def test_check_config_shows_what_holds(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = run(capsys, "check-config", "--home", str(tmp_path))
    assert code == 0
    assert "quotas.idle" in out


def test_check_config_of_a_folder_that_is_not_there(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = run(capsys, "check-config", "--home", str(tmp_path / "nothere"))
    assert (code, out) == (9, "")
    assert "nothere" in err
    assert "hint: make one with: securechan-relay init" in err
    (tmp_path / "relay.toml").write_text("")
    assert run(capsys, "check-config", "--config", str(tmp_path / "relay.toml"))[0] == 0


@pytest.mark.parametrize(("sessions", "words"), [(0, "0 sessions;"), (1, "1 session;"), (2, "2 sessions;")])
def test_drain_counts_its_sessions(
    sessions: int, words: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("relay.running.drain", lambda *_: {"sessions": sessions})
    code, out, _ = run(capsys, "drain")
    assert (code, words in out) == (0, True)


def test_status_of_nothing_is_not_ready(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, _, err = run(capsys, "status", "--home", str(tmp_path))
    assert code == 8
    assert "hint: make one with: securechan-relay init" in err


def test_status_of_a_relay_that_rests_and_of_one_that_runs(
    running: Running, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run(capsys, "init", "--home", str(tmp_path), "--name", "relay-9")
    code, out, _ = run(capsys, "status", "--home", str(tmp_path))
    assert code == 0
    assert "running    no" in out
    assert "none yet" in out
    home = str(running.process.home)
    code, out, _ = run(capsys, "status", "--home", home, "--json")
    assert code == 0
    told = data(out)["running"]
    assert told["address"] == running.url
    assert told["federation"]["root"] == running.founded.root_id.hex()
    assert "sessions" in told["counts"]
    code, out, _ = run(capsys, "status", "--home", home)
    assert running.url in out
    assert "trust position 1" in out


def test_adopt_proves_the_bundle_before_it_lays_it_down(
    running: Running, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    home = tmp_path / "home"
    run(capsys, "init", "--home", str(home), "--name", "relay-1")
    card = json.loads((home / "card.json").read_bytes())
    good, stranger, broken = tmp_path / "good.json", tmp_path / "stranger.json", tmp_path / "broken.json"
    good.write_bytes((founded := found(card, ("cert-hr/a",))).bundle)
    stranger.write_bytes(running.founded.bundle)  # names another online key
    broken.write_bytes(founded.bundle[:-40])
    for path, wanted in ((tmp_path / "none.json", 9), (stranger, 4), (broken, 11)):
        code, _, err = run(capsys, "adopt", str(path), "--home", str(home))
        assert code == wanted, err
        assert err.startswith("error: ")
        assert not (home / "federation.json").exists()
    code, out, _ = run(capsys, "adopt", str(good), "--home", str(home), "--json")
    assert code == 0
    assert data(out)["root"] == founded.root_id.hex()
    assert (home / "federation.json").read_bytes() == founded.bundle


def test_adopt_wants_this_relay_in_the_federation(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    home, other = tmp_path / "home", tmp_path / "other"
    for folder in (home, other):
        run(capsys, "init", "--home", str(folder), "--name", "relay-1")
    card = json.loads((home / "card.json").read_bytes())
    bundle = tmp_path / "bundle.json"
    bundle.write_bytes(found({**card, "name": "relay-2"}, ("cert-hr/a",)).bundle)
    code, _, err = run(capsys, "adopt", str(bundle), "--home", str(home))
    assert code == 8
    assert "knows no relay relay-1, but relay-2" in err
    elses = json.loads((other / "card.json").read_bytes())["kem"]
    bundle.write_bytes(found({**card, "kem": elses}, ("cert-hr/a",)).bundle)
    code, _, err = run(capsys, "adopt", str(bundle), "--home", str(home))
    assert code == 8
    assert "another KEM key" in err


def test_a_command_that_is_none_is_usage(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(capsys, "fly") == (2, "", "error: no such command 'fly'\nhint: securechan-relay --help\n")
    _, _, err = run(capsys, "statsu")
    assert "hint: did you mean status? securechan-relay --help shows what there is" in err
    code, out, err = run(capsys, "drain", "--json", "--wait", "long")
    assert (code, out, error(err)["code"], error(err)["hint"]) == (2, "", "usage", "securechan-relay drain --help")
    code, out, _ = run(capsys)
    assert code == 0
    assert "check-config" in out
    assert "..." not in out.partition("Commands:")[2]  # no help is cut off
    assert run(capsys, "status", "-h")[0] == 0


def test_values_that_cannot_be_name_the_option_and_leave_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    home = tmp_path / "home"
    code, _, err = run(capsys, "init", "--home", str(home), "--port", "99999")
    assert code == 11
    assert err.startswith("error: --port: port is 99999: it must be a whole number from 0 to 65535\n")
    assert not home.exists()


def test_a_place_that_is_none_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    home = tmp_path / "home"
    run(capsys, "init", "--home", str(home), "--name", "relay-1")
    code, _, err = run(capsys, "adopt", str(tmp_path), "--home", str(home))
    assert (code, err) == (8, f"error: {tmp_path} is a folder\nhint: name the bundle in it: federation.json\n")
    (tmp_path / "file").touch()
    code, _, err = run(capsys, "restore", str(tmp_path / "file"), "--home", str(tmp_path / "file" / "x"))
    assert code in (8, 11)
    assert err.startswith("error: ")


def test_rotate_adds_a_key_that_the_running_relay_takes_up_and_drops_the_old_one(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    home = tmp_path / "home"
    run(capsys, "init", "--home", str(home), "--name", "relay-1")
    with RelayProcess(home) as relay:
        founded = found(relay.card(), ("cert-hr/a",))
        relay.adopt(founded.bundle)

        def lets_in(identity: RelayIdentity) -> bool:
            async def ring() -> bool:
                async with call(relay.url, identity, founded.credential("cert-hr/a")) as caller:
                    return await caller.ask(Ping()) == Done()

            try:
                return asyncio.run(ring())
            except Refused as refused:
                if refused.code != "turned-key":
                    raise
                return False

        code, out, _ = run(capsys, "rotate", "--home", str(home), "--json")
        assert code == 0
        newer = replace(founded.relay, kem_public=base64.b64decode(data(out)["card"]["kem"]))
        assert newer != founded.relay
        while not lets_in(newer):
            pass
        assert lets_in(founded.relay)
        code, _, err = run(capsys, "rotate", "--home", str(home))
        assert code == 12
        assert "rotate --drop-old" in err
        code, _, err = run(capsys, "rotate", "--drop-old", "--home", str(home))
        assert code == 12
        assert "has not published" in err
        assert lets_in(founded.relay)
        assert "warn       the newest key is not published yet" in run(capsys, "status", "--home", str(home))[1]
        relay.adopt(founded.with_key(newer.kem_public, keys.load(home).online.private))
        while "not published" in run(capsys, "status", "--home", str(home))[1]:
            pass
        code, out, _ = run(capsys, "rotate", "--drop-old", "--home", str(home))
        assert (code, out.split()[0]) == (0, "dropped")
        while lets_in(founded.relay):
            pass
        assert lets_in(newer)
        assert "dropped    nothing" in run(capsys, "rotate", "--drop-old", "--home", str(home))[1]


def test_a_key_is_dropped_where_somebody_knows_what_is_published(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    home = str(tmp_path / "home")
    run(capsys, "init", "--home", home, "--name", "relay-1")
    assert run(capsys, "rotate", "--home", home)[0] == 0
    code, _, err = run(capsys, "rotate", "--drop-old", "--home", home)
    assert (code, "no relay runs" in err) == (3, True)
    with RelayProcess(Path(home)):  # without a federation nobody has the old one
        assert run(capsys, "rotate", "--drop-old", "--home", home)[1].startswith("dropped    KEM ")


def test_the_version_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(capsys, "--version") == (0, f"securechan-relay {vitals.installed()}\n", "")


def test_the_manual_names_every_setting(capsys: pytest.CaptureFixture[str]) -> None:
    told = run(capsys, "man")[1].replace("\\-", "-")
    for name in ("port", "tls.certificate", "quotas.sessions", "agencies.NAME.stored", "nats.servers"):
        assert f"\n.B {name}\n" in told
    assert "sessions at once: a whole number of 1 or more; left out it is 6000." in told


def test_the_package_is_the_program() -> None:
    assert __main__.main is cli.main
