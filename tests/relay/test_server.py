"""The relay as a process: it starts, tells how it is, takes up a federation, and goes down without losing a word."""

from __future__ import annotations

import asyncio
import hashlib
import os
import secrets
import signal
import socket as sockets
import ssl
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address, ip_network
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosedError

from relay.bounds import Bounds
from relay.config import Settings
from relay.server import bounds_of
from securechan.errors import Refused
from securechan.wire.frames import (
    TRUST_TOPIC,
    Append,
    Appended,
    CreateTopic,
    Done,
    Ping,
    Publish,
    Reason,
    Show,
    Subscribe,
    TrustDocument,
)
from tests.relay.caller import call, shake, socket
from tests.relay.conftest import Running
from tests.relay.inside import relay_inside
from tests.support.founding import Founded, found
from tests.support.relayproc import ROOT, RelayProcess


def test_a_relay_without_a_federation_waits_for_one(tmp_path: Path) -> None:
    with RelayProcess(tmp_path / "home") as relay:
        assert relay.get("/healthz") == (503, {"status": "waiting for a federation"})
        card = relay.card()
        assert (card["v"], card["name"], card["url"]) == (1, "relay-1", relay.url)
        founded = found(card, ("cert-hr/a",))

        async def turned_away() -> None:
            async with socket(relay.url) as opened:
                with pytest.raises(Refused) as caught:
                    await shake(opened, founded.relay, founded.credential("cert-hr/a"))
                assert caught.value.code == "turned-closed"
                assert caught.value.retry_after

        asyncio.run(turned_away())
        relay.adopt(founded.bundle)
        assert relay.get("/healthz") == (200, {"status": "serving"})

        async def let_in() -> None:
            async with call(relay.url, founded.relay, founded.credential("cert-hr/a")) as caller:
                assert await caller.ask(Ping()) == Done()

        asyncio.run(let_in())
        assert relay.stop() == 0


async def _write(relay: RelayProcess, founded: Founded, topic: bytes, secret: bytes, count: int) -> None:
    """Append ``count`` entries; each is acknowledged."""
    async with call(relay.url, founded.relay, founded.credential("cert-hr/a")) as caller:
        await caller.ask(CreateTopic(topic, hashlib.sha256(secret).digest()))
        await caller.ask(Show(topic, secret))
        for _ in range(count):
            assert isinstance(await caller.ask(Append(topic, secrets.token_bytes(32), b"x", None)), Appended)


async def _read(relay: RelayProcess, founded: Founded, topic: bytes, secret: bytes) -> int:
    """How many entries the topic has."""
    async with call(relay.url, founded.relay, founded.credential("cert-hr/a")) as caller:
        assert await caller.ask(Show(topic, secret)) == Done()
        assert await caller.ask(Subscribe(topic, 0)) == Done()
        return len(await caller.entries(topic, 1))


def test_what_was_acknowledged_is_there_after_a_power_cut(tmp_path: Path) -> None:
    topic, secret = secrets.token_bytes(32), secrets.token_bytes(32)
    with RelayProcess(tmp_path / "home") as relay:
        founded = found(relay.card(), ("cert-hr/a",))
        relay.adopt(founded.bundle)
        asyncio.run(_write(relay, founded, topic, secret, 7))
        relay.kill()
        port = relay.port
        relay.start()
        assert relay.port == port
        assert asyncio.run(_read(relay, founded, topic, secret)) == 7
        assert relay.stop() == 0


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_says_bye_to_everyone_and_ends_well(tmp_path: Path, number: int) -> None:
    with RelayProcess(tmp_path / "home") as relay:
        founded = found(relay.card(), ("cert-hr/a",))
        relay.adopt(founded.bundle)

        async def hang_up() -> None:
            async with socket(relay.url), call(relay.url, founded.relay, founded.credential("cert-hr/a")) as caller:
                assert await caller.ask(Ping()) == Done()
                topic = secrets.token_bytes(32)
                await caller.ask(CreateTopic(topic, hashlib.sha256(b"s" * 32).digest()))
                await caller.ask(Show(topic, b"s" * 32))
                os.kill(relay.pid, number)
                assert await caller.bye() is Reason.SHUTDOWN

        asyncio.run(hang_up())
        assert relay._process is not None
        assert relay._process.wait(30) == 0
        assert not (tmp_path / "home" / "relay.sock").exists()
        assert "Traceback" not in relay.log


def test_the_published_revocation_ends_the_session(tmp_path: Path) -> None:
    with RelayProcess(tmp_path / "home") as relay:
        founded = found(relay.card(), ("cert-hr/a", "cert-hr/b"))
        relay.adopt(founded.bundle)

        async def revoke() -> None:
            office = call(relay.url, founded.relay, founded.office("cert-hr-roster"))
            device = call(relay.url, founded.relay, founded.credential("cert-hr/b"))
            async with office as administrator, device as lost:
                assert await lost.ask(Ping()) == Done()
                await administrator.ask(Subscribe(TRUST_TOPIC, 0))
                view = founded.read(await administrator.entries(TRUST_TOPIC, 1))
                document = TrustDocument(*founded.roster("cert-hr", view, revoke={"b": "lost"}))
                published = await administrator.ask(Publish(view.position.sequence, (document,)))
                assert isinstance(published, Appended), published
                assert await lost.bye() is Reason.REVOKED
            async with socket(relay.url) as opened:
                with pytest.raises(Refused) as caught:
                    await shake(opened, founded.relay, founded.credential("cert-hr/b"))
                assert caught.value.code == "refused-revoked"

        asyncio.run(revoke())


def test_plain_http_is_answered_at_its_places_only(running: Running) -> None:
    assert running.process.get("/healthz")[0] == 200
    assert running.process.get("/card?x=1")[0] == 200
    assert running.process.get("/metrics")[0] == 404


def test_metrics_have_a_port_of_their_own(running: Running) -> None:
    text = running.metrics()
    assert "securechan_handshakes_total" in text
    assert "securechan_sessions " in text
    assert "cert-hr" not in text


def test_logs_name_nobody(running: Running) -> None:
    assert "listening" in running.process.log
    assert "cert-hr" not in running.process.log


def test_a_taken_port_is_told(running: Running, tmp_path: Path) -> None:
    taken = running.process.port
    command = [sys.executable, "-m", "relay.cli", "run", "--home", str(tmp_path / "other"), "--port", str(taken)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 12
    assert f"cannot listen on 127.0.0.1 port {taken}" in done.stderr


def test_a_folder_serves_one_relay(running: Running) -> None:
    command = [sys.executable, "-m", "relay", "run", "--home", str(running.process.home), "--port", "0"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 12, done.stderr
    assert done.stderr.startswith("error: ")


def test_bytes_that_are_not_http_do_it_no_harm(running: Running) -> None:
    for garbage in (b"\x16\x03\x01\x02\x00" * 50, b"GET / HTTP/1.1\r\n\r\n", bytes(20_000)):
        with sockets.create_connection(("127.0.0.1", running.process.port), timeout=20) as raw:
            try:
                raw.sendall(garbage)
                raw.shutdown(sockets.SHUT_WR)
                while raw.recv(4096):
                    pass
            except ConnectionError:
                pass
    assert running.process.get("/healthz")[0] == 200


def test_tls_in_addition(tmp_path: Path) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False)
        .sign(key, hashes.SHA256())
    )
    home = tmp_path / "home"
    home.mkdir()
    (home / "c.pem").write_bytes(certificate.public_bytes(Encoding.PEM))
    (home / "k.pem").write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    (home / "relay.toml").write_text('[tls]\ncertificate = "c.pem"\nkey = "k.pem"\n')

    async def greet(url: str) -> None:
        trusted = ssl.create_default_context(cafile=home / "c.pem")
        async with connect(url, ssl=trusted, compression=None) as opened:
            await opened.send(b"garbage")
            await opened.wait_closed()
            assert opened.close_code == 1008

    with RelayProcess(home) as relay:
        assert relay.url.startswith("wss://127.0.0.1:")
        asyncio.run(greet(relay.url))


async def test_behind_a_proxy_addresses_are_the_proxys_word(tmp_path: Path) -> None:
    async with relay_inside(tmp_path, settings={"proxies": (ip_network("127.0.0.0/8"),)}) as (relay, _):
        headers = {"X-Forwarded-For": "10.9.9.9, 2001:db8:1:2:3::4"}
        async with connect(relay.address, additional_headers=headers, compression=None):
            assert dict(relay.house.guard.waiting) == {"2001:db8:1:2::": 1}
    assert relay.house.guard.total == 0


async def test_without_a_proxy_nobody_chooses_its_address(tmp_path: Path) -> None:
    headers = {"X-Forwarded-For": "10.9.9.9"}
    async with (
        relay_inside(tmp_path) as (relay, _),
        connect(relay.address, additional_headers=headers, compression=None),
    ):
        assert dict(relay.house.guard.waiting) == {"127.0.0.1": 1}


async def test_a_connection_whose_story_fails_is_cut_off(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*_: object, **__: object) -> None:
        raise ValueError("nobody has thought of this")

    monkeypatch.setattr("relay.connection.Door.open", fails)
    async with relay_inside(tmp_path) as (relay, _), connect(relay.address, compression=None) as opened:
        await opened.send(b"hello")
        with pytest.raises(ConnectionClosedError):
            await opened.recv()
        assert relay.house.guard.total == 0


def test_the_standard_event_loop_serves_too(tmp_path: Path) -> None:
    """uvloop is an option: without it everything is the same."""
    (tmp_path / "uvloop.py").write_text("raise ImportError('not here')\n")
    path = os.pathsep.join((str(tmp_path), str(ROOT)))
    with RelayProcess(tmp_path / "home", environment={"PYTHONPATH": path}) as relay:
        founded = found(relay.card(), ("cert-hr/a",))
        relay.adopt(founded.bundle)

        async def hang_up() -> None:
            async with call(relay.url, founded.relay, founded.credential("cert-hr/a")) as caller:
                assert await caller.ask(Ping()) == Done()
                os.kill(relay.pid, signal.SIGTERM)
                assert await caller.bye() is Reason.SHUTDOWN

        asyncio.run(hang_up())
        assert relay._process is not None
        assert relay._process.wait(30) == 0
        assert "Traceback" not in relay.log


def test_a_relay_of_which_a_part_failed_ends_and_says_so(tmp_path: Path) -> None:
    """A relay that cannot commit any more must not stand there as if it could."""
    trigger = tmp_path / "now"
    (tmp_path / "sitecustomize.py").write_text(
        "import asyncio, pathlib, relay.heads\n"
        "async def run(self):\n"
        f"    while not pathlib.Path({str(trigger)!r}).exists():\n"
        "        await asyncio.sleep(0.02)\n"
        "    raise RuntimeError('a part that breaks')\n"
        "relay.heads.HeadBook.run = run\n"
    )
    path = os.pathsep.join((str(tmp_path), str(ROOT)))
    with RelayProcess(tmp_path / "home", environment={"PYTHONPATH": path}) as relay:
        founded = found(relay.card(), ("cert-hr/a",))
        relay.adopt(founded.bundle)

        async def wake() -> None:
            async with call(relay.url, founded.relay, founded.credential("cert-hr/a")) as caller:
                assert await caller.ask(Ping()) == Done()
                trigger.touch()
                assert await caller.bye() is Reason.SHUTDOWN

        asyncio.run(wake())
        assert relay._process is not None
        assert relay._process.wait(30) == 1
        assert "a part that breaks" in relay.log
        assert "hint: its log says which" in relay.log


def test_what_the_operator_grants_is_what_the_mailroom_holds_to() -> None:
    settings = Settings.model_validate(
        {
            "retention_days": 3,
            "quotas": {"sessions": 7, "stored_per_agency": 1 << 21},
            "agencies": {"cert-hr": {"stored": 5}},
        }
    )
    bounds = bounds_of(settings, Bounds(box_entries=2))
    assert (bounds.sessions, bounds.retention, bounds.stored_per_agency) == (7, 3 * 86_400, 1 << 21)
    assert bounds.stored_by_agency == {"cert-hr": 5}
    assert bounds.box_entries == 2
