"""The relay as a process: what it takes up while it runs, what it refuses, and how it goes."""

from __future__ import annotations

import asyncio
import json
import os
import re
import resource
import signal
import socket
import ssl
import time
from collections.abc import Callable
from contextlib import ExitStack, suppress
from pathlib import Path

import pytest

from relay import process, running
from relay.config import Settings
from securechan.errors import Conflict, SecurechanError, Unfit, Unreachable
from securechan.wire.frames import CreateTopic, Done, Ping, Reason
from tests.relay.caller import call, shake
from tests.relay.caller import socket as dial
from tests.relay.certificates import certify
from tests.relay.inside import relay_inside
from tests.support.founding import Founded, found
from tests.support.relayproc import PATIENCE, RelayProcess

MAIN = "from relay.cli import main; main()"

SETTINGS = """
metrics_port = 0
log = "json"
[tls]
certificate = "c.pem"
key = "k.pem"
[quotas]
in_flight = 7
"""


def trusting(home: Path) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=home / "c.pem")


def until(look: Callable[[], bool]) -> None:
    end = time.monotonic() + PATIENCE
    while not look():
        assert time.monotonic() < end
        time.sleep(0.01)


def events(relay: RelayProcess) -> list[dict[str, object]]:
    """What it logged, by line."""
    return [json.loads(line) for line in relay.log.splitlines()]


def test_it_takes_up_what_may_change_and_no_session_notices(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home = tmp_path / "home"
    home.mkdir()
    certify(home)
    monkeypatch.setenv("SSL_CERT_FILE", str(home / "c.pem"))
    (home / "relay.toml").write_text(SETTINGS)
    with RelayProcess(home) as relay:
        founded = found(json.loads((home / "card.json").read_bytes()), ("cert-hr/a", "cert-hr/b"))
        (home / "federation.json").write_bytes(b"not a bundle")
        asyncio.run(_reloads(relay, founded, home))
        assert relay.stop() == 0
    told = events(relay)
    reloaded = [each for each in told if each["event"] == "configuration reloaded"]
    assert [each["waits_for_a_restart"] for each in reloaded] == [None, "host"]
    assert sum("TLS certificate expires in 0 d" in str(each["event"]) for each in told) == 3
    refused = [each for each in told if each["event"] == "configuration refused"]
    assert len(refused) == 2
    assert "in_flite" in str(refused[0]["why"])
    assert "did you mean" in str(refused[0]["why"])
    assert any(each["level"] == "debug" for each in told)
    assert not any("cert-hr" in line for line in relay.log.splitlines())


async def _reloads(relay: RelayProcess, founded: Founded, home: Path) -> None:
    async def reload() -> None:
        await asyncio.to_thread(running.reload, home)

    (home / "federation.json").write_bytes(founded.bundle)
    await reload()  # which also takes up the bundle
    async with call(relay.url, founded.relay, founded.credential("cert-hr/a")) as caller:
        assert caller.session.limits.in_flight == 7

        changed = SETTINGS.replace("in_flight = 7", "in_flight = 9").replace(
            "[tls]", 'log_level = "debug"\nhost="::1"\n[tls]'
        )
        (home / "relay.toml").write_text(changed)
        first = (home / "c.pem").read_bytes()
        certify(home)
        await reload()
        assert (await asyncio.to_thread(running.ask, home))["configuration"]["waits"] == ["host"]
        assert await caller.ask(Ping()) == Done()
        assert caller.session.limits.in_flight == 7
        async with call(relay.url, founded.relay, founded.credential("cert-hr/b")) as later:  # trusts the new one alone
            assert later.session.limits.in_flight == 9
        async with dial(relay.url) as stranger:  # which is told at debug level
            await stranger.send(b"garbage")
            await stranger.wait_closed()

        (home / "relay.toml").write_text(changed.replace("in_flight", "in_flite"))
        with pytest.raises(Unfit, match="in_flite"):
            await reload()
        (home / "relay.toml").write_text(changed)
        (home / "k.pem").write_bytes(first)  # a certificate where a key belongs
        with pytest.raises(Unfit, match="can't be used"):
            await reload()
        assert (await asyncio.to_thread(running.ask, home))["configuration"]["refused"]
        assert "warn       the configuration was refused" in running.words(running.status(home))
        assert await caller.ask(Ping()) == Done()
        async with call(relay.url, founded.relay, founded.credential("cert-hr/b")) as later:
            assert later.session.limits.in_flight == 9


def test_two_colons_are_all_addresses_of_the_machine(tmp_path: Path) -> None:
    environment = {"SECURECHAN_RELAY_HOST": "::", "SECURECHAN_RELAY_METRICS_HOST": "::"}
    environment["SECURECHAN_RELAY_METRICS_PORT"] = "0"
    with RelayProcess(tmp_path / "home", environment=environment) as relay:
        found_port = re.search(r"metrics port=(\d+)", relay.log)
        assert found_port is not None
        for port in (relay.port, int(found_port[1])):
            for address in ("127.0.0.1", "::1"):
                with socket.create_connection((address, port), timeout=PATIENCE) as one:
                    one.sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
                    assert one.recv(8) == b"HTTP/1.1"
        with pytest.raises(Conflict, match="cannot listen"):
            process.start(tmp_path / "other", lambda: Settings(host="::", port=relay.port), str)


def test_it_takes_the_open_files_that_it_may_and_says_where_they_are_too_few(tmp_path: Path) -> None:
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    program = ("-c", f"import resource; resource.setrlimit(resource.RLIMIT_NOFILE, (64, {min(hard, 1000)}))\n{MAIN}")
    with RelayProcess(tmp_path / "home", program=program) as relay:
        limits = Path(f"/proc/{relay.pid}/limits").read_text()
        assert re.search(rf"Max open files +{min(hard, 1000)} +{min(hard, 1000)}", limits)
        assert "too few open files for quotas.sessions may=1000 needed=6384" in relay.log
    settings = {"SECURECHAN_RELAY_QUOTAS__SESSIONS": "500"}
    with RelayProcess(tmp_path / "enough", program=program, environment=settings) as relay:
        assert "too few" not in relay.log


def test_a_drain_is_a_bye_to_all_and_waited_for(tmp_path: Path) -> None:
    with RelayProcess(tmp_path / "home") as relay:
        founded = found(relay.card(), ("cert-hr/a",))
        relay.adopt(founded.bundle)

        async def hang_up() -> None:
            async with call(relay.url, founded.relay, founded.credential("cert-hr/a")) as caller:
                drained = asyncio.create_task(asyncio.to_thread(running.drain, relay.home))
                assert await caller.bye() is Reason.SHUTDOWN
                assert await drained == {"sessions": 1}

        asyncio.run(hang_up())
        assert relay.stop() == 0
    for asked in (running.drain, running.reload):
        with pytest.raises(Unreachable):
            asked(relay.home)


async def test_a_stop_that_takes_too_long_is_cut_and_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A store that never answers must not keep the relay up for ever."""
    asked = asyncio.Event()

    async def never(_: object) -> None:
        asked.set()
        await asyncio.Event().wait()

    async with (
        relay_inside(tmp_path, settings={"drain_seconds": 0.05}) as (relay, founded),
        call(relay.address, founded.relay, founded.credential("cert-hr/a")) as caller,
    ):
        monkeypatch.setattr(relay._mailroom._store, "commit", never)
        await caller.send(CreateTopic(bytes(32), bytes(32)))
        await asked.wait()
        assert not relay.unready()
        ends = asyncio.create_task(relay.stop())
        assert await caller.bye() is Reason.SHUTDOWN
        assert await ends is False
        assert relay.unready() == ["going down"]
    assert "stopped before everything was durable" in caplog.text


def test_the_service_manager_is_told(tmp_path: Path) -> None:
    with ExitStack() as exits:
        manager = exits.enter_context(socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM))
        manager.bind(str(tmp_path / "n"))
        manager.settimeout(PATIENCE)
        relay = exits.enter_context(RelayProcess(tmp_path / "home", environment={"NOTIFY_SOCKET": str(tmp_path / "n")}))
        assert manager.recv(1024) == f"READY=1\nSTATUS=serving at {relay.url}".encode()
        os.kill(relay.pid, signal.SIGHUP)
        assert manager.recv(1024).startswith(b"RELOADING=1\nMONOTONIC_USEC=")
        assert manager.recv(1024) == b"READY=1"
        assert relay.stop() == 0
        assert manager.recv(1024) == b"STOPPING=1"


def test_the_watchdog_hears_of_a_loop_that_turns_and_of_no_other(tmp_path: Path) -> None:
    with ExitStack() as exits:
        manager = exits.enter_context(socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM))
        manager.bind(str(tmp_path / "n"))
        manager.settimeout(PATIENCE)
        environment = {"NOTIFY_SOCKET": str(tmp_path / "n"), "WATCHDOG_USEC": "100000"}
        relay = exits.enter_context(RelayProcess(tmp_path / "home", environment=environment))
        assert manager.recv(1024).startswith(b"READY=1\n")
        assert [manager.recv(1024) for _ in range(5)] == [b"WATCHDOG=1"] * 5
        os.kill(relay.pid, signal.SIGSTOP)  # as one that hangs
        until(lambda: Path(f"/proc/{relay.pid}/stat").read_text().rpartition(")")[2].split()[0] == "T")
        manager.setblocking(False)
        with suppress(BlockingIOError):  # what it had said before
            while True:
                manager.recv(1024)
        manager.settimeout(0.5)  # ten times as long as between two of its words
        with pytest.raises(TimeoutError):
            manager.recv(1024)
        os.kill(relay.pid, signal.SIGCONT)
        manager.settimeout(PATIENCE)
        assert manager.recv(1024) == b"WATCHDOG=1"
        assert relay.stop() == 0


def test_free_is_a_fraction(tmp_path: Path) -> None:
    assert 0 <= process.free(tmp_path) <= 1


async def test_the_store_is_the_one_that_is_named(tmp_path: Path) -> None:
    for name in ("memory", "sqlite"):
        store = await process.open_store(tmp_path, Settings.model_validate({"store": name}))
        assert type(store).__name__.lower() == f"{name}store"
        await store.close()
    (tmp_path / "relay.db").write_bytes(b"no database" * 100)
    with pytest.raises(SecurechanError):
        await process.open_store(tmp_path, Settings())


async def test_a_door_that_a_stranger_knocks_at_before_a_federation_is_closed(tmp_path: Path) -> None:
    with RelayProcess(tmp_path / "home") as relay:
        founded = found(relay.card(), ("cert-hr/a",))
        async with dial(relay.url) as opened:
            with pytest.raises(SecurechanError):
                await shake(opened, founded.relay, founded.credential("cert-hr/a"))
