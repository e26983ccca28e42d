"""``securechan doctor``: what is wrong is found, named, and ends with exit code 13."""

from __future__ import annotations

import asyncio
import json
import re
import shutil
from dataclasses import replace
from importlib.metadata import PackageNotFoundError
from typing import Any

import pytest

from clients.connection import Up
from clients.errand import Card
from clients.line import Coat, Line
from clients.operations import doctor
from clients.profile import Home
from securechan.crypto.selftest import Check
from securechan.errors import Unreachable
from securechan.wire.session import Limits
from tests.clients.cli.conftest import Person
from tests.clients.conftest import Town
from tests.clients.relay_peer import LIMITS
from tests.clients.station import Said


def states(said: Said, name: str) -> list[str]:
    """What the checks of that name found."""
    return [each["state"] for each in json.loads(said.out)["data"]["checks"] if each["check"] == name]


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> list[Check]:
    """The algorithms have their own tests, and take a second."""
    found = [Check("ML-KEM-768", True, "agree")]
    monkeypatch.setattr(doctor, "selftest", lambda: tuple(found))
    return found


def test_a_device_at_work_is_healthy(town: Town) -> None:
    town.hr.json("sync")
    data = town.hr.json("doctor")
    assert data["healthy"]
    assert data["device"] == "cert-hr/desk"
    found = {each["check"]: each["state"] for each in data["checks"]}
    for name in (
        "vault",
        "relay",
        "clock",
        "sync",
        "storage",
        "trust",
        "device",
        "disk",
        "permissions",
        "ML-KEM-768",
        "TLS",
    ):
        assert found[name] == "ok", data
    assert re.search(r"^ok    clock: within [0-9.]+ s of the relay$", town.hr.run("doctor").out, re.MULTILINE)


def test_it_looks_without_a_profile(person: Person) -> None:
    data = person.json("doctor")
    assert data["healthy"]
    assert data["device"] is None
    said = person.run("doctor", "--strict")
    assert said.code == 13
    assert "warn  profile: default is not there yet\n      hint: securechan enrol -" in said.out


def test_a_relay_that_is_away_is_found(town: Town, monkeypatch: pytest.MonkeyPatch) -> None:
    town.si.json("sync")
    monkeypatch.setenv("SECURECHAN_RELAY", "ws://127.0.0.1:1")
    said = town.si.run("--json", "doctor")
    assert said.code == 13
    assert states(said, "relay") == ["fail"]
    assert states(said, "vault") == ["ok"]
    assert town.si.json("doctor", "--offline")["healthy"]


def test_the_relays_other_addresses_are_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    async def fetch_card(url: str, _: Line) -> Card:
        if url == "ws://gone":
            raise Unreachable("no relay answers at ws://gone")
        return Card("relay-1", b"another" if url == "ws://stranger" else b"key", b"")

    monkeypatch.setattr(doctor, "fetch_card", fetch_card)
    used = up(url="ws://used")
    urls = ("ws://used", "ws://gone", "ws://stranger", "ws://fine")
    gone, stranger, fine = asyncio.run(doctor._others(urls, {b"key"}, used, Line()))
    assert (gone["state"], stranger["state"], fine["state"]) == ("warn", "warn", "ok")
    assert "ws://gone" in gone["detail"]
    assert "ws://used serves meanwhile" in gone["hint"]
    assert "ws://stranger" in stranger["detail"]


def test_a_wrong_passphrase_is_no_finding(town: Town, person: Person) -> None:
    person.passphrase.write_text("some other phrase\n")
    profile = ["--home", str(town.si.home)]
    said = person.run("--json", "doctor", *profile)
    assert (said.code, said.error["code"]) == (8, "wrong-passphrase")


def test_files_that_others_may_read_are_found(town: Town) -> None:
    town.hr2.profile.vault.chmod(0o644)
    try:
        said = town.hr2.run("--json", "doctor", "--offline")
    finally:
        town.hr2.profile.vault.chmod(0o600)
    assert said.code == 13
    assert states(said, "permissions") == ["ok", "fail"]


def test_a_damaged_vault_is_found(town: Town, person: Person) -> None:
    station = replace(town.si, profile=Home(person.folder / "copy").profile("default"))
    shutil.copytree(town.si.profile.folder, station.profile.folder, ignore=shutil.ignore_patterns("control"))
    content = bytearray(station.profile.vault.read_bytes())
    content[len(content) // 2 :] = bytes(len(content) - len(content) // 2)
    station.profile.vault.write_bytes(content)
    for beside in station.profile.folder.glob("vault.db-*"):
        beside.unlink()
    said = station.run("--json", "doctor", "--offline")
    assert said.code == 13
    assert states(said, "vault") == ["fail"]


def test_an_algorithm_that_differs_is_found(person: Person, quick: list[Check]) -> None:
    quick.append(Check("ML-DSA-65", False, "they differ"))
    said = person.run("--json", "doctor")
    assert said.code == 13
    assert states(said, "ML-DSA-65") == ["fail"]


@pytest.mark.parametrize(("number", "state"), [("1.0.0", "ok"), ("0.4.0", "fail"), ("2.1", "fail"), ("", "fail")])
def test_a_library_of_another_version_is_found(number: str, state: str) -> None:
    def found(package: str) -> str:
        if package != "pqcrypto":
            return f"{doctor.NEEDED[package][0]}.1"
        if not number:
            raise PackageNotFoundError(package)
        return number

    checks = {each["check"]: each["state"] for each in doctor._versions(found)}
    assert checks.pop("pqcrypto") == state
    assert set(checks.values()) == {"ok"}


def test_an_old_libc_is_warned_of(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("platform.libc_ver", lambda: ("glibc", "2.31"))
    assert [each["state"] for each in doctor._versions() if each["check"] == "glibc"] == ["warn"]


@pytest.mark.parametrize(("free", "state"), [(1 << 20, "fail"), (100 << 20, "warn"), (1 << 40, "ok")])
def test_a_full_disk_is_found(person: Person, monkeypatch: pytest.MonkeyPatch, free: int, state: str) -> None:
    class Usage:
        def __init__(self) -> None:
            self.free = free

    monkeypatch.setattr("shutil.disk_usage", lambda _: Usage())
    (check,) = doctor._disk(Home(person.folder / "home").profile("x"))
    assert check["state"] == state


def up(**changes: Any) -> Up:
    limits: Limits = LIMITS
    return replace(Up("relay-1", "wss://relay.example.int", limits, 0, 0.2, 0.01), **changes)


@pytest.mark.parametrize(
    ("skew", "state", "words"),
    [
        (0.2, "ok", "within 0.2 s"),
        (-0.2, "ok", "within 0.2 s"),
        (90.0, "fail", "1 m behind"),
        (-90.0, "fail", "1 m ahead of"),
    ],
)
def test_a_wrong_clock_is_found(skew: float, state: str, words: str) -> None:
    check = doctor._clock(up(skew=skew))
    assert check["state"] == state
    assert words in check["detail"]


@pytest.mark.parametrize(
    ("url", "state"),
    [
        ("ws://127.0.0.1:8765", "ok"),
        ("ws://[::1]:8765", "ok"),
        ("ws://localhost:8765", "ok"),
        ("ws://192.0.2.1:8765", "warn"),
        ("ws://relay.example.int", "warn"),
    ],
)
def test_tls_is_a_second_coat_outside_loopback(url: str, state: str) -> None:
    (check,) = doctor._way(up(url=url))
    assert check["state"] == state


@pytest.mark.parametrize(
    ("coat", "words"),
    [
        (Coat("TLSv1.3", "TLS_AES_256_GCM_SHA384", "X25519MLKEM768"), "X25519MLKEM768: post-quantum"),
        (Coat("TLSv1.3", "TLS_AES_256_GCM_SHA384", "x25519"), "x25519 is not post-quantum. It need not be"),
        (Coat("TLSv1.2", "ECDHE-RSA-AES256-GCM-SHA384"), "can't be post-quantum. It need not be"),
    ],
)
def test_it_says_whether_the_coat_is_post_quantum_and_why_it_need_not_be(coat: Coat, words: str) -> None:
    (check,) = doctor._way(up(url="wss://relay.example.int", coat=coat))
    assert (check["state"], check["check"]) == ("ok", "TLS")
    assert words in check["detail"]
    assert "not be" not in words or "handshake inside is X25519+ML-KEM-768" in check["detail"]


def test_where_python_does_not_tell_the_relay_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ssl.OPENSSL_VERSION_INFO", (3, 5))
    coat = Coat("TLSv1.3", "TLS_AES_256_GCM_SHA384")
    for takes, words in (
        (None, "nothing here tells"),
        (True, "takes X25519MLKEM768"),
        (False, "takes no post-quantum key exchange. It need not be"),
    ):
        assert words in doctor._coat(coat, takes)["detail"]


def test_a_proxy_is_named() -> None:
    proxy, _ = doctor._way(up(url="ws://127.0.0.1:1", proxy="http://proxy:3128"))
    assert (proxy["check"], proxy["state"]) == ("proxy", "ok")
    assert "http://proxy:3128" in proxy["detail"]


def test_a_profile_in_use_is_told(town: Town) -> None:
    with town.hr2.profile.hold("securechan watch"):
        checks = list(doctor._files(town.hr2.profile))
    assert any("securechan watch" in each["detail"] for each in checks)


class Later:
    """Work, some days from now."""

    def __init__(self, agent: Any, now: int) -> None:
        self.agent = agent
        self.now = now


@pytest.fixture
def agent(town: Town) -> Any:
    from clients.operations.engine import load
    from clients.vault import Vault
    from tests.clients.station import PASSPHRASE

    town.hr2.json("sync")
    with Vault.open(town.hr2.profile.vault, PASSPHRASE) as vault:
        return load(vault)


@pytest.mark.parametrize(("days", "state"), [(0, "ok"), (28, "warn"), (31, "fail")])
def test_a_roster_that_expires_is_found(town: Town, agent: Any, days: int, state: str) -> None:
    checks = doctor._trust(Later(agent, town.founded.now + days * 86400))  # as much as it uses
    assert [each["state"] for each in checks if each["detail"].startswith("cert-hr-roster")] == [state]


def test_key_packages_that_run_out_are_found(town: Town, agent: Any) -> None:
    good = doctor._stock(Later(agent, town.founded.now))
    assert [each["state"] for each in good] == ["ok"]
    gone = doctor._stock(Later(agent, town.founded.now + 60 * 86400))
    assert [each["state"] for each in gone] == ["fail"]
