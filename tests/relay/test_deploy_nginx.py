"""The proxy as it is shipped, by the program it is for: nginx in front of a real relay, real clients through it.

Of the configuration only addresses and files are others; and, as its comment says, the post-quantum group is left out
where nginx stands on an OpenSSL that has none.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import socket
import ssl
import subprocess
import time
from collections.abc import Iterator
from contextlib import AsyncExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from websockets.asyncio.client import connect as open_socket
from websockets.exceptions import InvalidStatus

from clients.connection import Connection, Route, connect
from clients.errand import fetch_card
from clients.line import NONE, Line
from securechan.wire.frames import Answer, Append, CreateTopic, Done, Entries, Request, Show, Subscribe
from tests.clients.relay_peer import StillClock
from tests.relay.certificates import certify
from tests.relay.desk import digest
from tests.support.founding import Founded, found
from tests.support.ports import free_ports
from tests.support.relayproc import PATIENCE, ROOT, RelayProcess

SHIPPED = (ROOT / "relay" / "deploy" / "nginx.conf").read_text()
NGINX = shutil.which("nginx", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
TOPIC, SECRET = digest("nginx topic"), digest("nginx secret")

pytestmark = pytest.mark.skipif(NGINX is None, reason="there is no nginx: apt install nginx-light")


@dataclass(frozen=True)
class Proxied:
    """A relay behind nginx."""

    url: str
    certificate: Path
    founded: Founded

    @property
    def line(self) -> Line:
        return Line(NONE, self.certificate)

    def route(self, device: str) -> Route:
        return Route(self.founded.relay, (self.url,), self.founded.credential(device), self.line)


def has_ipv6() -> bool:
    try:
        with socket.create_server(("::1", 0), family=socket.AF_INET6):
            return True
    except OSError:
        return False


def fitted(port: int, relay: int, certificate: Path, key: Path) -> str:
    """The shipped configuration, for this machine."""
    text = SHIPPED
    for shipped, here in (
        ("listen 443 ssl", f"listen 127.0.0.1:{port} ssl"),
        ("    listen [::]:443 ssl;\n", f"    listen [::1]:{port} ssl;\n" if has_ipv6() else ""),
        ("server 10.0.0.11:8765;", f"server 127.0.0.1:{relay};"),
        ("    server 10.0.0.12:8765;\n", ""),
        ("/etc/nginx/tls/fullchain.pem", str(certificate)),
        ("/etc/nginx/tls/key.pem", str(key)),
    ):
        assert text.count(shipped) == 1, shipped
        text = text.replace(shipped, here)
    return text if openssl() >= (3, 5) else text.replace("X25519MLKEM768:X25519;", "X25519;")


def openssl() -> tuple[int, ...]:
    """That of nginx."""
    assert NGINX is not None
    told = subprocess.run([NGINX, "-V"], capture_output=True, text=True, timeout=60, check=True).stderr
    found = re.findall(r"OpenSSL (\d+)\.(\d+)", told)
    return tuple(map(int, found[-1])) if found else (0,)  # the last: what it runs with, where it was built with another


@contextmanager
def nginx(folder: Path, server: str, port: int) -> Iterator[None]:
    """nginx with this server, until the block ends."""
    assert NGINX is not None
    folder.mkdir()
    (folder / "relay.conf").write_text(server)
    places = "".join(
        f"{kind}_temp_path {folder}/{kind};\n" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    user = "user root;\n" if os.geteuid() == 0 else ""  # else its workers may not write where the test may
    (folder / "nginx.conf").write_text(
        f"{user}daemon off;\nworker_processes 1;\npid {folder}/pid;\nerror_log {folder}/error.log;\n"
        f"events {{ worker_connections 256; }}\nhttp {{\naccess_log off;\n{places}include {folder}/relay.conf;\n}}\n"
    )
    command = [NGINX, "-p", str(folder), "-c", str(folder / "nginx.conf")]
    judged = subprocess.run([*command, "-t"], capture_output=True, text=True, timeout=60, check=False)
    assert judged.returncode == 0, judged.stderr
    assert "warn" not in judged.stderr, judged.stderr
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    try:
        until = time.monotonic() + PATIENCE
        while True:
            try:
                socket.create_connection(("127.0.0.1", port), 1).close()
                break
            except OSError:
                assert process.poll() is None, (folder / "error.log").read_text()
                assert time.monotonic() < until, "nginx does not listen"
                time.sleep(0.02)
        yield
    finally:
        process.terminate()
        process.wait(PATIENCE)


@pytest.fixture(scope="module")
def there(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Proxied]:
    folder = tmp_path_factory.mktemp("proxied")
    environment = {
        "SECURECHAN_RELAY_PROXIES": "127.0.0.1",
        "SECURECHAN_RELAY_QUOTAS__HALF_OPEN_PER_ADDRESS": "2",
        "SECURECHAN_RELAY_QUOTAS__HANDSHAKE_TIMEOUT": "60",
    }
    certificate, key = certify(folder)
    (port,) = free_ports(1)
    with RelayProcess(folder / "relay", environment=environment) as relay:
        founded = found(relay.card(), ("cert-hr/a", "cert-si/b"))
        relay.adopt(founded.bundle)
        with nginx(folder / "nginx", fitted(port, relay.port, certificate, key), port):
            yield Proxied(f"wss://127.0.0.1:{port}", certificate, founded)


async def granted(connection: Connection, number: int) -> None:
    while True:
        for body in await connection.receive():
            if isinstance(body, Answer) and body.number == number:
                assert isinstance(body.body, Done), body
                return


async def test_what_one_says_through_the_proxy_another_hears_through_it(there: Proxied) -> None:
    clock = StillClock(time.time())
    assert (await fetch_card(there.url, there.line)).name == "relay-1"
    async with AsyncExitStack() as ends:
        speaker = await connect(there.route("cert-hr/a"), there.url, clock)
        ends.push_async_callback(speaker.close)
        hearer = await connect(there.route("cert-si/b"), there.url, clock)
        ends.push_async_callback(hearer.close)
        for connection in (speaker, hearer):
            assert connection.up.coat is not None
            assert connection.up.coat.version == "TLSv1.3"
        speaker.send(Request.of(1, CreateTopic(TOPIC, hashlib.sha256(SECRET).digest())))
        await granted(speaker, 1)
        for number, body in enumerate((Show(TOPIC, SECRET), Subscribe(TOPIC, 0)), 1):
            hearer.send(Request.of(number, body))
            await granted(hearer, number)
        speaker.send(Request.of(2, Show(TOPIC, SECRET)))
        said = [os.urandom(size) for size in (1, 1000, 300_000)]  # more than a proxy's buffer
        for number, each in enumerate(said, 3):
            speaker.send(Request.of(number, Append(TOPIC, digest(number), each, None)))
        heard: list[bytes] = []
        while len(heard) < len(said):
            for came in await hearer.receive():
                heard += [entry.body for entry in came.entries] if isinstance(came, Entries) else []
        assert heard == said


async def test_the_relay_counts_a_client_by_its_address_whatever_it_says_of_itself(there: Proxied) -> None:
    trust = ssl.create_default_context(cafile=there.certificate)

    async with AsyncExitStack() as ends:

        async def arrive(address: str, claims: str) -> None:
            door = open_socket(
                there.url,
                ssl=trust,
                proxy=None,
                local_addr=(address, 0),
                additional_headers={"X-Forwarded-For": claims},
                close_timeout=0.1,
            )
            await ends.enter_async_context(door)

        await arrive("127.0.0.2", "198.51.100.1")
        await arrive("127.0.0.2", "198.51.100.2")
        with pytest.raises(InvalidStatus) as refused:
            await arrive("127.0.0.2", "198.51.100.3")
        assert refused.value.response.status_code == 503
        await arrive("127.0.0.3", "127.0.0.2")
