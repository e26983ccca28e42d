"""clients/operations/engine.py: done here, or by who holds the profile; and each fault has its word."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from clients import control
from clients.operations import engine
from clients.operations.engine import Params, operation, perform, queued, skewed
from clients.passphrase import Passphrases
from clients.profile import Profile
from clients.vault import Put, Vault
from securechan.agent.inputs import SendText
from securechan.agent.state import ME
from securechan.bulletin.tlp import Tlp
from securechan.errors import CannotOpen, Malformed, NotReady, TimedOut, Unreachable
from tests.clients.conftest import Town
from tests.clients.station import PASSPHRASE, Station

ROOT = Path(__file__).resolve().parents[3]


def do(station: Station, name: str, *, online: bool = False, **params: Any) -> Any:
    passphrases = Passphrases(file=station.passphrase)
    return asyncio.run(perform(station.profile, passphrases, name, params, online=online))


def test_every_operation_that_is_listed_can_be_found() -> None:
    for module in engine.MODULES - {"admin", "doctor"}:
        listed = __import__(f"clients.operations.{module}", fromlist=["OPERATIONS"]).OPERATIONS
        for verb in listed:
            assert operation(f"{module}.{verb}") is listed[verb]


@pytest.mark.parametrize("name", ["", "message", "message.nope", "os.system", "engine.perform", "..message.send"])
def test_what_is_no_operation_is_refused(name: str) -> None:
    with pytest.raises(Malformed, match="no operation"):
        operation(name)


# -------------------------------------------------------------------------------------------------------------- faults


def test_a_profile_that_is_not_enrolled(tmp_path: Path) -> None:
    with pytest.raises(NotReady) as e:
        asyncio.run(perform(Profile("x", tmp_path / "x"), Passphrases(), "status.status", {}))
    assert e.value.code == "not-enrolled"
    assert not (tmp_path / "x").exists()


def test_who_looks_for_a_passphrase_keeps_nobody_waiting(town: Town) -> None:
    """The profile is held only once the passphrase is there."""
    held_meanwhile = []

    def ask(_: str) -> str:
        held_meanwhile.append(town.hr.profile.holder())
        return PASSPHRASE

    asyncio.run(perform(town.hr.profile, Passphrases(ask=ask), "conversation.ls", {}, online=False))
    assert held_meanwhile == [None]


def test_a_vault_of_another_version_is_said_to_be_one(town: Town) -> None:
    station = town.again("hr", "cert-hr/desk")
    with Vault.open(station.profile.vault, PASSPHRASE) as vault:
        (row,) = vault.all(ME.name)
        vault.adopt([Put(ME.name, row, b"\x01")])
    with pytest.raises(NotReady) as e:
        do(station, "conversation.ls")
    assert e.value.code == "other-version"
    assert "another --profile" in e.value.hint


def test_who_waits_too_long_is_told_for_what(town: Town) -> None:
    name = town.community()

    async def main() -> str:
        async with engine.opened(town.hr.profile, Passphrases(file=town.hr.passphrase)) as work:
            await work.synced()
            topic = next(each.topic for each in work.agent.conversations() if each.name == name)
            os.kill(town.relay.pid, signal.SIGSTOP)
            try:
                await work.runtime.do(SendText(topic, "is anybody there?", Tlp.AMBER))
                with pytest.raises(TimedOut) as late:
                    await work.at_rest(0.5)
            finally:
                os.kill(town.relay.pid, signal.SIGCONT)
            await work.at_rest(60.0)
        return late.value.message

    assert asyncio.run(main()) == f"after 0 s still under way: a message to {name} is to be sent"


def test_a_profile_held_by_who_takes_no_errands(town: Town, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine, "PATIENCE", 0.2)
    with held(town.hr.profile), pytest.raises(NotReady) as e:
        do(town.hr, "conversation.ls")
    assert e.value.code == "profile-locked"
    assert "securechan test" in e.value.message


@pytest.mark.parametrize("dies", [False, True])
def test_what_the_holder_says_of_the_relay_is_its_own_answer(town: Town, dies: bool) -> None:
    """It took the errand: nothing is done twice, and nobody is told that the profile is merely in use."""
    asked = []

    async def errand(name: str, params: dict[str, Any], give: Any) -> Any:
        asked.append(name)
        if dies:
            raise ConnectionResetError
        raise Unreachable("no relay answers", hint="the message is kept", code="unreachable")

    async def story() -> None:
        async with control.serving(town.hr.profile.control, errand):
            await asyncio.to_thread(do, town.hr, "message.send", to="eu-csirts")

    with held(town.hr.profile), pytest.raises(Unreachable) as e:
        asyncio.run(story())
    assert e.value.code == ("holder-gone" if dies else "unreachable")
    assert asked == ["message.send"]


@contextmanager
def held(profile: Profile) -> Iterator[None]:
    code = (
        "import sys; from pathlib import Path; from clients.profile import Profile\n"
        "with Profile('p', Path(sys.argv[1])).hold('securechan test'): print('held', flush=True); sys.stdin.read()"
    )
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    arguments = [sys.executable, "-c", code, str(profile.folder)]
    with subprocess.Popen(arguments, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment) as process:
        assert process.stdout is not None
        process.stdout.readline()
        try:
            yield
        finally:
            process.kill()


def test_two_short_commands_take_turns(town: Town) -> None:
    async def both() -> list[Any]:
        passphrases = Passphrases(file=town.hr.passphrase)
        asks = (perform(town.hr.profile, passphrases, "conversation.ls", {}, online=False) for _ in range(2))
        return await asyncio.gather(*asks)

    one, other = asyncio.run(both())
    assert one == other


def test_a_corrupted_vault(town: Town) -> None:
    station = town.again("broken", "cert-hr/desk")
    whole = station.profile.vault.read_bytes()
    station.profile.vault.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(CannotOpen) as e:
        do(station, "conversation.ls")
    assert e.value.code == "vault-corrupt"


def test_a_missing_relay_is_named(town: Town, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECURECHAN_RELAY", "ws://127.0.0.1:1")
    with pytest.raises(Unreachable, match="127"):
        do(town.hr, "watch.sync", online=True)


def test_a_clock_that_is_wrong_is_told(town: Town, monkeypatch: pytest.MonkeyPatch) -> None:
    warned: list[str] = []
    real = engine.SystemClock.time
    monkeypatch.setattr(engine.SystemClock, "time", lambda self: real(self) - 7200)
    asyncio.run(
        perform(
            town.hr2.profile, Passphrases(file=town.hr2.passphrase), "watch.sync", {"timeout": 20}, warn=warned.append
        )
    )
    (said,) = warned
    assert "2 h behind the relay's" in said or "1 h 59 m behind the relay's" in said


def test_how_a_skew_is_put() -> None:
    assert "behind" in skewed(100)
    assert "ahead" in skewed(-100)


def test_what_waits_to_be_sent_is_said_to_wait() -> None:
    for error in (TimedOut("nothing came"), Unreachable("no relay answers", code="no-answer")):
        with pytest.raises(type(error), match="the message waits to be sent") as e, queued("the message"):
            raise error
        assert "sync" in e.value.hint


# ---------------------------------------------------------------------------------------------------------- parameters


def test_parameters_are_taken_by_kind() -> None:
    params = Params({"t": "x", "n": 5, "f": True, "l": ["a"], "d": "YQ==", "h": "ab" * 16, "s": 1.5})
    assert (params.text("t"), params.number("n"), params.flag("f"), params.texts("l")) == ("x", 5, True, ("a",))
    assert (params.data("d"), params.hex("h", 16), params.seconds("s"), params.seconds("n")) == (
        b"a",
        b"\xab" * 16,
        1.5,
        5.0,
    )
    assert (params.text("-", "y"), params.number("-", 3), params.flag("-"), params.texts("-")) == ("y", 3, False, ())
    assert params.hex("-", 16) == b""


@pytest.mark.parametrize(
    ("take", "value"),
    [
        ("text", 5),
        ("text", None),
        ("number", True),
        ("number", "5"),
        ("flag", 1),
        ("texts", [1]),
        ("texts", "abc"),
        ("data", "?"),
        ("seconds", False),
    ],
)
def test_parameters_of_another_kind_are_refused(take: str, value: Any) -> None:
    with pytest.raises(Malformed, match="parameter x"):
        getattr(Params({"x": value}), take)("x")


@pytest.mark.parametrize("value", ["zz", "ab", "ab" * 17])
def test_hexadecimal_of_another_size_is_refused(value: str) -> None:
    with pytest.raises(Malformed):
        Params({"x": value}).hex("x", 16)
