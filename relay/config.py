"""What the operator may set: a TOML file, overridden by the environment, with an answer for every mistake.

    # relay.toml, in the relay's folder; everything may be left out
    name = "relay-1"                     # as the federation knows it
    url = "wss://relay.example.int"      # where clients find it
    host = "0.0.0.0"
    port = 8765
    proxies = ["10.0.0.5"]               # whose X-Forwarded-For is believed
    metrics_port = 9464                  # /metrics /healthz /readyz
    [tls]
    certificate = "fullchain.pem"
    key = "key.pem"
    [quotas]
    appends_per_minute = 1200
    [agencies.cert-hr]                   # what one agency may have beyond, or short of, the others
    stored = 107374182400

``SECURECHAN_RELAY_PORT=9000`` sets ``port``, ``SECURECHAN_RELAY_QUOTAS__BANDWIDTH=…`` sets one inside a table. Files
named in the configuration are looked for beside it. A mistake is told with its line and what to do about it.
"""

from __future__ import annotations

import ipaddress
import json
import os
import re
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final, Literal

from pydantic import Field, ValidationError, field_validator

from relay import mistakes
from relay.limits import Network, Quotas, Share
from securechan.errors import Finding, NotFound, NotReady, Unfit
from securechan.trust.names import is_handle

FILE: Final = "relay.toml"
PREFIX: Final = "SECURECHAN_RELAY_"
HOME: Final = "SECURECHAN_RELAY_HOME"  # a place, not a setting
FIXED: Final = ("name", "url", "host", "port", "store", "mirror", "metrics_host", "metrics_port", "log", "nats")
"""Settings that a running relay keeps until it is started anew; all others are taken up by a reload."""


class Tls(mistakes.Table):
    """Certificate chain and key, PEM. TLS comes in addition: what is secret is sealed inside it already."""

    certificate: Path = Field(description="the certificate and its chain, PEM")
    key: Path = Field(description="its key, PEM")


class Nats(mistakes.Table):
    """The cluster of ``store = "nats"``, version 2.11 or later. TLS where an address begins with ``tls://``."""

    servers: tuple[str, ...] = Field(default=("nats://127.0.0.1:4222",), min_length=1, description="addresses")
    prefix: str = Field(default="securechan", description="of streams and subjects")
    replicas: int = Field(default=3, ge=1, le=5, description="servers that hold each entry: 3 outlive the loss of one")
    max_bytes: int = Field(
        default=0, ge=0, description="bytes that the log of entries may have; 0: what the disks hold"
    )
    credentials: Path | None = Field(default=None, description="the .creds file of the relays' user")
    ca: Path | None = Field(default=None, description="who signed the servers' certificates, PEM; else the system's")
    certificate: Path | None = Field(default=None, description="the relay's own certificate, PEM, where servers ask")
    key: Path | None = Field(default=None, description="its key, PEM")

    @field_validator("prefix")
    @classmethod
    def _prefix(cls, value: str) -> str:
        if not re.fullmatch(r"[A-Za-z0-9-]{1,32}", value):
            raise ValueError("it has 1 to 32 letters, digits and hyphens")
        return value

    @field_validator("servers", mode="before")
    @classmethod
    def _servers(cls, value: object) -> object:
        """An environment variable has them in one line, with commas."""
        given = [part.strip() for part in value.split(",")] if isinstance(value, str) else value
        for each in given if isinstance(given, list | tuple) else ():
            if not re.fullmatch(r"(nats|tls)://[^\s/]+", str(each)):
                raise ValueError("an address looks like nats://127.0.0.1:4222 or tls://nats-1.example.int:4222")
        return tuple(given) if isinstance(given, list) else given


class Settings(mistakes.Table):
    """The whole configuration; every field has a default that serves."""

    name: str = Field(default="relay", max_length=64, description="the relay's name in the federation")
    url: str = Field(default="", max_length=512, description="the address on its card; empty: ws://host:port")
    host: str = Field(default="127.0.0.1", min_length=1, description="the address to listen on")
    port: int = Field(default=8765, ge=0, le=65535, description="the port to listen on; 0 picks a free one")
    proxies: tuple[Network, ...] = Field(
        default=(), description="addresses and networks of proxies whose X-Forwarded-For is believed"
    )
    store: Literal["sqlite", "nats", "memory"] = Field(
        default="sqlite", description="nats: a cluster that many relays share; memory forgets everything at the end"
    )
    mirror: Path | None = Field(default=None, description="a folder on another disk that has all that is acknowledged")
    retention_days: int = Field(default=180, ge=1, le=3650, description="days that entries are kept")
    drain_seconds: float = Field(default=20.0, ge=1, le=600, description="how long stopping may take")
    metrics_host: str = Field(default="127.0.0.1", min_length=1, description="the address of metrics_port")
    metrics_port: int | None = Field(
        default=None, ge=0, le=65535, description="GET /metrics, /healthz, /readyz; none: nowhere"
    )
    log: Literal["text", "json"] = Field(default="text", description="lines for people, or for machines")
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        default="info", description="the least that is written down"
    )
    tls: Tls | None = None
    nats: Nats = Nats()
    quotas: Quotas = Quotas()
    agencies: dict[str, Share] = Field(default={}, description="shares of single agencies")

    @field_validator("name")
    @classmethod
    def _name(cls, value: str) -> str:
        if not is_handle(value):
            raise ValueError("a name has lower-case letters, digits and single hyphens")
        return value

    @field_validator("host", "metrics_host")
    @classmethod
    def _host(cls, value: str) -> str:
        if not re.fullmatch(r"[\w.-]+|[0-9A-Fa-f:.]+(%\w+)?", value):
            raise ValueError("an address to listen on looks like 0.0.0.0, ::1 or relay.example.int, without a port")
        return value

    @field_validator("url")
    @classmethod
    def _url(cls, value: str) -> str:
        if value and not re.fullmatch(r"wss?://[^\s/?#]+(/[^\s?#]*)?", value):
            raise ValueError("an address looks like wss://relay.example.int or ws://127.0.0.1:8765")
        return value

    @field_validator("proxies", mode="before")
    @classmethod
    def _proxies(cls, value: object) -> object:
        """An environment variable has them in one line, with commas."""
        given = [part.strip() for part in value.split(",") if part.strip()] if isinstance(value, str) else value
        if not isinstance(given, list | tuple):
            raise ValueError('proxies are a list: ["10.0.0.5", "fd00::/64"]')
        networks = []
        for each in given:
            try:
                networks.append(ipaddress.ip_network(str(each)))
            except ValueError:
                raise ValueError(f"{each!r} is no address like 10.0.0.5 and no network like 10.0.0.0/8") from None
        return tuple(networks)

    @field_validator("mirror")
    @classmethod
    def _mirror(cls, value: Path | None) -> Path | None:
        if value == Path():
            raise ValueError("it must be a path in double quotes, not an empty one")
        return value

    @field_validator("agencies")
    @classmethod
    def _agencies(cls, value: dict[str, Share]) -> dict[str, Share]:
        for name in value:
            if not is_handle(name):
                raise ValueError(f"{name!r} is no agency's name: lower-case letters, digits and single hyphens")
        return value

    def address(self, port: int) -> str:
        """Where clients find the relay when it listens on ``port``."""
        if self.url:
            return self.url
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{'wss' if self.tls else 'ws'}://{host}:{port}"


def home_folder(given: Path | None, environment: Mapping[str, str] = os.environ) -> Path:
    """The relay's folder: as given, else ``SECURECHAN_RELAY_HOME``, else in the XDG state folder."""
    if given is not None:
        return given
    if environment.get(HOME):
        return Path(environment[HOME])
    state = environment.get("XDG_STATE_HOME") or str(Path.home() / ".local" / "state")
    return Path(state) / "securechan-relay"


def load(
    home: Path,
    file: Path | None = None,
    environment: Mapping[str, str] = os.environ,
    said: Mapping[str, Any] | None = None,
) -> Settings:
    """The settings of ``file`` (else ``home/relay.toml``, which may be missing), under the environment's, under what
    was ``said`` on the command line.

    Raises `Unfit` with one finding for each mistake; `NotFound` where a file that was named is not there, `NotReady`
    where it can't be read.
    """
    path = file or home / FILE
    text = _read(path, needed=file is not None)
    try:
        data = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise mistakes.not_toml(path, text, error) from None
    source = mistakes.Source(path, text, PREFIX)
    _from_environment(data, environment, source)
    for key, value in (said or {}).items():
        data[key] = value
        source.spoken[key,] = f"--{key}"
    try:
        settings = Settings.model_validate(data)
    except ValidationError as error:
        raise mistakes.unfit(Settings, source, error) from None
    if source.unknown:
        raise mistakes.unfit(Settings, source, None)
    if settings.mirror is not None:
        settings = settings.model_copy(update={"mirror": path.parent / settings.mirror})
    beside = {
        name: table.model_copy(update={key: path.parent / held for key, held in table if isinstance(held, Path)})
        for name, table in (("tls", settings.tls), ("nats", settings.nats))
        if table is not None
    }
    settings = settings.model_copy(update=beside)
    findings = tuple(Finding(source.place(where), f"{'.'.join(where)}: {what}") for where, what in _clashes(settings))
    if findings:
        first = findings[0]
        raise Unfit(f"{first.where}: {first.what}", findings=findings, hint="change the line, or leave it out")
    return settings


def described() -> list[tuple[str, str]]:
    """Every setting by its whole name, and what is to be known of it: for the manual."""
    declared = mistakes.Declared.of(Settings)
    rows = []
    for where in declared.all():
        node = declared.at(where) or {}
        default = node.get("default")
        without = "" if default in (None, "", [], {}) else f"; left out it is {json.dumps(default)}"
        needed = mistakes.expected(node, where, in_file=True)
        again = " Taken up at a start alone." if where[0] in FIXED else ""
        rows.append((".".join(where), f"{node.get('description', '')}: {needed}{without}.{again}"))
    return rows


def _read(path: Path, *, needed: bool) -> str:
    try:
        return path.read_bytes().decode()
    except FileNotFoundError:
        if needed:
            raise NotFound(f"{path} does not exist", hint="check the path given with --config") from None
        return ""
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        raise Unfit(
            f"{path} line {line}: this is not text in UTF-8",
            hint="save the file as UTF-8",
            findings=(Finding(f"{path} line {line}", "not text in UTF-8"),),
        ) from None
    except IsADirectoryError:
        raise NotReady(f"{path} is a folder", hint="name the file that is meant", code="unreadable") from None
    except OSError as error:
        said = f"{path} can't be read: {error.strerror}"
        raise NotReady(said, hint="check who may read it", code="unreadable") from error


def _clashes(settings: Settings) -> Iterator[tuple[mistakes.Where, str]]:
    """Settings that are good each and no good together, or that name files which are not there."""
    if settings.mirror is not None and settings.store != "sqlite":
        yield ("mirror",), f"the {settings.store} store has none"
    if settings.metrics_port and settings.metrics_port == settings.port and settings.metrics_host == settings.host:
        yield ("metrics_port",), f"{settings.port} is the port that clients come to"
    for name, table in (("tls", settings.tls), ("nats", settings.nats)):
        for key, file in table or ():
            if isinstance(file, Path) and not file.is_file():
                yield (name, key), f"{file} {'is no file' if file.exists() else 'does not exist'}"


def _from_environment(data: dict[str, Any], environment: Mapping[str, str], source: mistakes.Source) -> None:
    """Put the environment's values over the file's. An empty variable says nothing."""
    declared: mistakes.Declared | None = None
    for variable, value in environment.items():
        if not variable.startswith(PREFIX) or variable == HOME or not value:
            continue
        where = tuple(variable.removeprefix(PREFIX).lower().split("__"))
        source.spoken[where] = variable
        declared = declared or mistakes.Declared.of(Settings)
        if declared.at(where) is None:
            source.unknown.append(where)
            continue
        table = data
        for part in where[:-1]:
            inner = table.setdefault(part, {})
            if not isinstance(inner, dict):
                inner = table[part] = {}
            table = inner
        table[where[-1]] = value
