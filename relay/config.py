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
import os
import re
import tomllib
from collections.abc import Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Final, Literal, get_args

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from relay.limits import Network, Quotas, Share
from securechan.errors import Finding, NotFound, Unfit
from securechan.trust.names import is_handle

FILE: Final = "relay.toml"
PREFIX: Final = "SECURECHAN_RELAY_"
HOME: Final = "SECURECHAN_RELAY_HOME"  # a place, not a setting
FIXED: Final = ("name", "url", "host", "port", "store", "mirror", "metrics_host", "metrics_port", "log", "nats")
"""Settings that a running relay keeps until it is started anew; all others are taken up by a reload."""


class Tls(BaseModel):
    """Certificate chain and key, PEM. TLS comes in addition: what is secret is sealed inside it already."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    certificate: Path
    key: Path


class Nats(BaseModel):
    """The cluster of ``store = "nats"``, version 2.11 or later. TLS where an address begins with ``tls://``."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    servers: tuple[str, ...] = Field(default=("nats://127.0.0.1:4222",), min_length=1, description="addresses")
    prefix: str = Field(default="securechan", pattern=r"^[A-Za-z0-9-]{1,32}$", description="of streams and subjects")
    replicas: int = Field(default=3, ge=1, le=5, description="servers that hold each entry: 3 outlive the loss of one")
    max_bytes: int = Field(
        default=0, ge=0, description="bytes that the log of entries may have; 0: what the disks hold"
    )
    credentials: Path | None = Field(default=None, description="the .creds file of the relays' user")
    ca: Path | None = Field(default=None, description="who signed the servers' certificates, PEM; else the system's")
    certificate: Path | None = Field(default=None, description="the relay's own certificate, PEM, where servers ask")
    key: Path | None = Field(default=None, description="its key, PEM")

    @field_validator("servers", mode="before")
    @classmethod
    def _servers(cls, value: object) -> object:
        """An environment variable has them in one line, with commas."""
        given = [part.strip() for part in value.split(",")] if isinstance(value, str) else value
        for each in given if isinstance(given, list | tuple) else ():
            if not re.fullmatch(r"(nats|tls)://[^\s/]+", str(each)):
                raise ValueError("an address looks like nats://127.0.0.1:4222 or tls://nats-1.example.int:4222")
        return tuple(given) if isinstance(given, list) else given


class Settings(BaseModel):
    """The whole configuration; every field has a default that serves."""

    model_config = ConfigDict(extra="forbid", frozen=True)

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
    log: Literal["text", "json"] = "text"
    log_level: Literal["debug", "info", "warning", "error"] = "info"
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
                networks.append(ipaddress.ip_network(each))
            except ValueError as error:
                raise ValueError(f"{each!r} is no address and no network like 10.0.0.0/8: {error}") from None
        return tuple(networks)

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

    Raises `Unfit` with one finding for each mistake; `NotFound` where a file that was named is not there.
    """
    path = file or home / FILE
    text = ""
    if path.exists():
        text = path.read_text(encoding="utf-8")
    elif file is not None:
        raise NotFound(f"{file} does not exist", hint="check the path given with --config")
    try:
        data = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise Unfit(
            f"{path} is not TOML: {error}",
            hint="mend the line; a text stands in double quotes",
            findings=(Finding(_place(str(error)), str(error)),),
        ) from None
    spoken = _from_environment(data, environment)
    for key, value in (said or {}).items():
        data[key] = value
        spoken[key,] = f"--{key}"
    try:
        settings = Settings.model_validate(data)
    except ValidationError as error:
        findings = tuple(_finding(path, text, spoken, dict(mistake)) for mistake in error.errors())
        first = findings[0]
        raise Unfit(f"{first.where}: {first.what}", findings=findings, hint=_hint(error.errors()[0])) from None
    if settings.mirror is not None:
        settings = settings.model_copy(update={"mirror": path.parent / settings.mirror})
        if settings.store != "sqlite":
            where, what = _where(path, text, spoken, ("mirror",)), f"mirror: the {settings.store} store has none"
            raise Unfit(f"{where}: {what}", findings=(Finding(where, what),), hint="leave mirror out")
    return settings.model_copy(
        update={
            name: table.model_copy(update=_beside(path, text, spoken, name, table))
            for name, table in (("tls", settings.tls), ("nats", settings.nats))
            if table is not None
        }
    )


def _beside(
    path: Path, text: str, spoken: Mapping[tuple[str, ...], str], name: str, table: BaseModel
) -> dict[str, Path]:
    """The files that a table names, looked for beside the configuration."""
    files = {key: path.parent / value for key, value in table if isinstance(value, Path)}
    for key, file in files.items():
        if not file.is_file():
            where = _where(path, text, spoken, (name, key))
            raise Unfit(f"{where}: {file} does not exist", findings=(Finding(where, f"{file} does not exist"),))
    return files


def _from_environment(data: dict[str, Any], environment: Mapping[str, str]) -> dict[tuple[str, ...], str]:
    """Put the environment's values over the file's; returns which place each variable spoke for."""
    spoken: dict[tuple[str, ...], str] = {}
    for variable, value in environment.items():
        if not variable.startswith(PREFIX) or variable == HOME:
            continue
        where = tuple(variable.removeprefix(PREFIX).lower().split("__"))
        spoken[where] = variable
        table = data
        for part in where[:-1]:
            inner = table.setdefault(part, {})
            if not isinstance(inner, dict):
                inner = table[part] = {}
            table = inner
        table[where[-1]] = value
    return spoken


def _finding(path: Path, text: str, spoken: Mapping[tuple[str, ...], str], mistake: Mapping[str, Any]) -> Finding:
    where = tuple(str(part) for part in mistake["loc"])
    what = str(mistake["msg"]).removeprefix("Value error, ")
    if mistake["type"] == "extra_forbidden":
        near = get_close_matches(where[-1], _names(where[:-1]), 1)
        what = "there is no such setting" + (f"; did you mean {'.'.join((*where[:-1], near[0]))}?" if near else "")
    elif mistake["type"] == "missing":
        what = "this is missing"
    return Finding(_where(path, text, spoken, where), f"{'.'.join(where)}: {what}")


def _names(table: tuple[str, ...]) -> tuple[str, ...]:
    """The settings that a table may have; empty for a table that there is not."""
    model: Any = Settings
    for part in table:
        kind = model.model_fields[part].annotation if part in model.model_fields else None
        if kind == dict[str, Share]:
            return tuple(Share.model_fields)  # whatever the agency's name
        inner = [each for each in (kind, *get_args(kind)) if isinstance(each, type) and issubclass(each, BaseModel)]
        if not inner:
            return ()
        model = inner[0]
    return tuple(model.model_fields)


def _where(path: Path, text: str, spoken: Mapping[tuple[str, ...], str], where: tuple[str, ...]) -> str:
    """The variable or the line that holds this setting."""
    if where in spoken:
        return spoken[where]
    table: tuple[str, ...] = ()
    nearest = 0
    for number, line in enumerate(text.splitlines(), 1):
        bare = line.split("#", 1)[0].strip()
        if bare.startswith("["):
            table = tuple(part.strip().strip('"') for part in bare.strip("[]").split("."))
            if where[: len(table)] == table or table[: len(where)] == where:
                nearest = number
            continue
        key = bare.partition("=")[0].strip().strip('"')
        if (*table, *key.split(".")) == where[: len(table) + len(key.split("."))]:
            return f"{path} line {number}"
    return f"{path} line {nearest}" if nearest else str(path)


def _place(message: str) -> str:
    found = re.search(r"line \d+", message)
    return found.group() if found else "end of file"


def _hint(mistake: Mapping[str, Any]) -> str:
    table = tuple(str(part) for part in mistake["loc"][:-1])
    match mistake["type"]:
        case "extra_forbidden":
            inside = f"in [{'.'.join(table)}] they are" if table else "settings are"
            return f"{inside}: {', '.join(_names(table)) or 'none'}"
        case "missing":
            return f"add {mistake['loc'][-1]} to [{'.'.join(table)}], or leave the table out"
        case _:
            return "change the value, or leave the line out for the default"
