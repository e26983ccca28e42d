"""The relay's doors: it listens, takes up what is laid into its folder, and goes down without losing a word.

    start    socket → ``ready ws://…``
    adopt    a bundle laid into the folder (``securechan-relay adopt``) is taken up within a second,
             and so is a KEM key that was added or dropped (``securechan-relay rotate``)
    reload   limits, quotas, retention, log level, certificate, bundle: at once, and no session notices
    stop     no new connections → mailroom finishes its group commit and answers → bye SHUTDOWN to all

Besides sessions, the clients' port answers GET /healthz (200 serving, 503 waiting for a federation) and GET /card. All
else that can be asked is in `relay.observe`, on a port of its own.
"""

from __future__ import annotations

import asyncio
import json
import logging
import ssl
import time
from collections.abc import Iterable
from contextlib import AsyncExitStack
from dataclasses import replace
from http import HTTPStatus
from pathlib import Path
from typing import Any, Final, Protocol
from urllib.parse import urlsplit

from websockets.http11 import Request, Response

from relay import keys as keyring
from relay import logs, observe, tls
from relay.bounds import DAY, Bounds
from relay.config import FIXED, Settings, Tls
from relay.connection import HELLO_MAX, Connection, House
from relay.departures import Departures
from relay.limits import Budget, Guard, neighbourhood, origin
from relay.logs import event
from relay.mailroom import Mailroom
from relay.metrics import Metrics
from relay.store.base import StoreFailed
from relay.trust_topic import TrustTopic
from relay.vitals import Vitals
from relay.websocket import CLOSE_TIMEOUT, OPEN_TIMEOUT, Socket
from relay.workers import ALONE, Worker
from securechan.crypto.secret import Secret
from securechan.errors import Conflict, NotReady, SecurechanError
from securechan.wire.door import Cookies, Door
from securechan.wire.handshake import key_id

log = logging.getLogger("relay.server")

POLL: Final = 0.5  # seconds between two looks at the folder
BACKLOG: Final = 4096  # connections that wait to be taken: a thousand come at once after a fault
FAREWELLS: Final = 10.0  # seconds for all byes to leave


def clock() -> int:
    """Unix milliseconds."""
    return time.time_ns() // 1_000_000


def bounds_of(settings: Settings, before: Bounds | None = None) -> Bounds:
    """What the operator's settings make of the mailroom's bounds."""
    quotas = settings.quotas
    own = {name: share.stored for name, share in settings.agencies.items() if share.stored is not None}
    return replace(
        before or Bounds(),
        sessions=quotas.sessions,
        retention=settings.retention_days * DAY,
        stored_per_agency=quotas.stored_per_agency,
        stored_by_agency=own,
    )


class Listening(Protocol):
    """A server, of asyncio's or of `websockets`."""

    @property
    def sockets(self) -> Iterable[Any]: ...


class Relay:
    """A relay that has its parts; `start` makes it listen."""

    def __init__(
        self,
        home: Path,
        settings: Settings,
        keys: keyring.Keys,
        *,
        mailroom: Mailroom,
        trust: TrustTopic,
        metrics: Metrics | None = None,
        worker: Worker = ALONE,
    ) -> None:
        self._home = home
        self._worker = worker
        self._settings = settings
        self._keys = keys
        self._mailroom = mailroom
        self._trust = trust
        self._cookies = Cookies(Secret.random(32))
        self._started = time.monotonic()
        self._adopted = b""
        self._kem_names = keyring.kem_names(home)
        self._stack = AsyncExitStack()
        self._connections: set[Connection] = set()
        self._port = 0
        self._stopping = False
        self._finished = False
        self._coat: ssl.SSLContext | None = None
        self._reloads = 0
        self._expires: int | None = None  # the end of the certificate that is shown, Unix seconds
        self._waits: list[str] = []  # settings that a new start would take up
        self._refused = ""  # what was wrong with the configuration when it was last read again
        self._paths = {"/", urlsplit(settings.url).path or "/"}
        quotas = settings.quotas
        self._vitals = Vitals()
        self.metrics = metrics or Metrics()
        self.metrics.version = self._vitals.version
        self.house = House(
            mailroom=mailroom,
            door=self._door,
            limits=quotas.limits(mailroom.bounds.max_entry, mailroom.bounds.max_blob),
            quotas=quotas,
            guard=Guard(quotas, time.monotonic),
            budget=Budget(quotas, time.monotonic, settings.agencies),
            metrics=self.metrics,
            departures=Departures(),
            clock=clock,
        )

    @property
    def address(self) -> str:
        """Where it listens, as clients on this machine reach it."""
        host = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(self._settings.host, self._settings.host)  # noqa: S104 - compared
        return f"{'wss' if self._settings.tls else 'ws'}://{host}:{self._port}"

    def _door(self) -> Door | None:
        view = self._trust.view
        if view is None or self._stopping:
            return None
        return Door(view.root_id, self._settings.name, self._keys.kem, self._cookies)

    # --------------------------------------------------------------------------------------------------- start and stop

    async def start(self) -> None:
        """Listen. Raises `Conflict` where a port is taken."""
        settings = self._settings
        await self._adopt()
        if settings.tls is not None:
            self._coat = tls.context(settings.tls)
            self._shows(settings.tls)
        try:
            self._server = await asyncio.get_running_loop().create_server(
                lambda: Socket(self, HELLO_MAX),
                *observe.everywhere(settings.host, settings.port),
                backlog=BACKLOG,
                ssl=self._coat,
                ssl_handshake_timeout=OPEN_TIMEOUT if self._coat else None,
                ssl_shutdown_timeout=CLOSE_TIMEOUT if self._coat else None,
                reuse_port=bool(self._worker.parent),
            )
        except OSError as error:
            raise Conflict(
                f"cannot listen on {settings.host} port {settings.port}: {error.strerror}",
                hint="another process has it, or the address is not this machine's; see check-config",
            ) from None
        self._stack.callback(self._server.close)
        self._port = _port(self._server)
        card = self._keys.card(settings.name, settings.address(self._port))
        keyring.replace(self._home / keyring.CARD, (json.dumps(card, indent=2) + "\n").encode())
        await self._listen_inside()
        task = asyncio.create_task(self._look_out())
        self._stack.callback(task.cancel)

    async def _listen_inside(self) -> None:
        """The owner's socket, and the port for those who watch."""
        settings, path = self._settings, self._home / self._worker.socket
        path.unlink(missing_ok=True)
        try:
            status = await observe.listen_inside(self, path)
        except OSError as error:  # a path of more than 107 bytes is none for a Unix socket
            event(log, "status cannot be asked", level=logging.WARNING, why=str(error))
        else:
            path.chmod(0o600)
            self._stack.callback(path.unlink, missing_ok=True)
            self._stack.callback(status.close)
        if settings.metrics_port is not None:
            try:
                metrics = await observe.listen(self, settings.metrics_host, settings.metrics_port)
            except OSError as error:
                raise Conflict(
                    f"cannot listen on {settings.metrics_host} port {settings.metrics_port}: {error.strerror}",
                    hint="another process has it, or the address is not this machine's; see metrics_port",
                ) from None
            self._stack.callback(metrics.close)
            event(log, "metrics", port=_port(metrics))

    async def stop(self) -> bool:
        """Say bye to everyone once everything that was accepted is durable and answered. False where that took longer
        than the operator grants: then what was not acknowledged is not stored. Stops once."""
        if self._stopping:
            return self._finished
        self._stopping = True
        self._server.close()
        for connection in self._connections:
            connection.drain()
        finishing = asyncio.create_task(self._mailroom.stop())
        finished, _ = await asyncio.wait([finishing], timeout=self._settings.drain_seconds)
        sessions = list(self._connections)
        for connection in sessions:
            connection.shut()
        try:
            async with asyncio.timeout(FAREWELLS):
                await asyncio.gather(*(connection.closed.wait() for connection in sessions))
        except TimeoutError:
            event(log, "sessions cut at shutdown", level=logging.WARNING, count=len(self._connections))
        await self._stack.aclose()
        self._finished = bool(finished)
        if self._finished:
            finishing.result()
        else:
            event(log, "stopped before everything was durable", level=logging.ERROR)
            finishing.cancel()
        event(log, "stopped", sessions=len(sessions))
        return self._finished

    # ------------------------------------------------------------------------------------------------------ reloading

    async def reload(self, settings: Settings) -> None:
        """Take up what may change while the relay runs; the rest stays as it is, which is said. Sessions keep the
        limits that they were told. Raises `SecurechanError`: then everything is as it was."""
        held = self._settings
        fixed = [name for name in FIXED if getattr(settings, name) != getattr(held, name)]
        if (settings.tls is None) != (held.tls is None):
            fixed.append("tls")
        settings = settings.model_copy(update={name: getattr(held, name) for name in fixed})
        if self._coat is not None and settings.tls is not None:
            tls.renew(self._coat, settings.tls)
            self._shows(settings.tls)
        bounds = bounds_of(settings, self._mailroom.bounds)
        self._settings, quotas = settings, settings.quotas
        self._mailroom.rebound(bounds)
        self.house.guard.allow(quotas)
        self.house.budget.allow(quotas, settings.agencies)
        self.house = replace(self.house, quotas=quotas, limits=quotas.limits(bounds.max_entry, bounds.max_blob))
        logs.configure(settings.log, settings.log_level)
        self._adopted = b""  # a bundle that was refused is tried again
        await self._adopt()
        self._reloads += 1
        self._refused, self._waits = "", fixed
        self.metrics.count("reloads", "done")
        event(log, "configuration reloaded", waits_for_a_restart=" ".join(fixed) or None)

    def _shows(self, settings: Tls) -> None:
        """This certificate is shown from now on; whoever reads the log is told when its end is near."""
        self._expires = tls.expires(settings)
        if words := tls.warning(self._expires, clock() // 1000):
            event(log, words, level=logging.WARNING)

    def refuse(self, error: SecurechanError) -> None:
        """A configuration that can't be: the old one holds."""
        self._reloads += 1
        self._refused = error.message
        self.metrics.count("reloads", "refused")
        event(log, "configuration refused", level=logging.ERROR, cause=error.code, why=error.message, hint=error.hint)

    # ------------------------------------------------------------------------------------------------------- federation

    async def _adopt(self) -> None:
        """Take up the bundle in the folder where it is new."""
        path = self._home / keyring.BUNDLE
        try:
            bundle = path.read_bytes()
        except FileNotFoundError:
            return
        if bundle == self._adopted:
            return
        self._adopted = bundle
        try:
            new = await self._trust.adopt(bundle)
        except SecurechanError as error:
            event(log, "bundle refused", level=logging.ERROR, cause=error.code, why=error.message)
        else:
            if new:  # and not whenever what it serves is laid in its folder, or read again
                event(log, "federation adopted")

    def _take_up_keys(self) -> None:
        """Hold the KEM keys that are in the folder now (``securechan-relay rotate``)."""
        names = keyring.kem_names(self._home)
        if names == self._kem_names:
            return
        self._kem_names = names
        try:
            self._keys = keyring.load(self._home)
        except NotReady as error:
            event(log, "keys refused", level=logging.ERROR, why=error.message)
        else:
            event(log, "kem keys", count=len(self._keys.kem))

    async def _look_out(self) -> None:
        while True:
            await asyncio.sleep(POLL)
            try:
                await self._adopt()
                self._take_up_keys()
            except OSError as error:
                event(log, "the folder cannot be read", level=logging.ERROR, why=error.strerror)

    # ------------------------------------------------------------------------------------------------------------- HTTP

    @property
    def guard(self) -> Guard:
        """Who counts the strangers at the door."""
        return self.house.guard

    async def serve(self, socket: Socket) -> None:
        """A connection, from its first message to its end."""
        connection = Connection(socket, self.house)
        self._connections.add(connection)
        try:
            await connection.run()
        except Exception:
            event(log, "connection failed", level=logging.ERROR, error=True)
            socket.transport.abort()  # nobody is left who would time it
        finally:
            self._connections.discard(connection)
            connection.closed.set()

    def answer(self, socket: Socket, request: Request) -> Response | None:
        """A page; None for a client that may come in."""
        path = request.path.partition("?")[0]
        if path == "/healthz":
            serving = self._trust.view is not None
            status = HTTPStatus.OK if serving else HTTPStatus.SERVICE_UNAVAILABLE
            return self._plain(path, status, {"status": "serving" if serving else "waiting for a federation"})
        if path == "/card":
            return self._plain(
                path, HTTPStatus.OK, self._keys.card(self._settings.name, self._settings.address(self._port))
            )
        if path not in self._paths:
            return self._plain("other", HTTPStatus.NOT_FOUND, {"status": "no such place"})
        address = self._address(socket, request)
        counted = socket.stand_at_door(address)
        if self._stopping or not counted or not self.guard.room(address):
            self.metrics.count("connections_refused")
            why = "going down" if self._stopping else "overloaded"
            response = self._plain("/", HTTPStatus.SERVICE_UNAVAILABLE, {"status": why})
            response.headers["Retry-After"] = "5"
            return response
        return None

    def _address(self, socket: Socket, request: Request) -> str:
        forwarded = request.headers.get_all("X-Forwarded-For")
        return neighbourhood(origin(socket.peer, forwarded, self._settings.proxies))

    def _plain(self, path: str, status: HTTPStatus, data: dict[str, Any]) -> Response:
        self.metrics.count("http", f"{path} {int(status)}")
        return observe.said(status, data)

    # -------------------------------------------------------------------------------------------- for those who watch

    def failed(self) -> bool:
        return self._mailroom.failed.is_set()

    def unready(self) -> list[str]:
        why = []
        if self._trust.view is None:
            why.append("waiting for a federation")
        if self._stopping:
            why.append("going down")
        elif not self._mailroom.takes_entries:
            why.append("a part of it failed" if self.failed() else "the disk is nearly full")
        if trouble := self._mailroom.trouble:
            why.append(trouble)
        return why

    async def gauges(self) -> dict[str, float]:
        view, now = self._trust.view, clock() // 1000
        told: dict[str, float] = {
            **self._mailroom.stats(),
            **self._vitals.measure(),
            "half_open": self.house.guard.total,
            "uptime_seconds": round(time.monotonic() - self._started, 1),
            "trust_position": 0 if view is None else view.position.sequence,
        }
        free = self._mailroom.free
        if free is not None:
            told["disk_free_ratio"] = round(free, 4)
        expiries = () if view is None else view.check_fresh(now)
        if expiries:
            told["trust_expires_seconds"] = min(expiry.expires for expiry in expiries) - now
        if self._expires is not None:
            told["tls_expires_seconds"] = self._expires - now
        try:
            told["store_bytes"] = await self._mailroom.usage()
        except StoreFailed as error:  # the other numbers tell what is wrong
            event(log, "the store does not tell its size", level=logging.WARNING, cause=error.code)
        return told

    def _published(self) -> list[str] | None:
        """The KEM keys that the federation gives this relay, by their ids in hex; None where it serves none yet."""
        view = self._trust.view
        if view is None:
            return None
        record = view.relays.get(self._settings.name)
        return [] if record is None else [key_id(public).hex() for public in record.kem.values()]

    async def status(self) -> dict[str, Any]:
        """What ``securechan-relay status`` tells."""
        view, settings = self._trust.view, self._settings
        why = self.unready()
        return {
            "pid": self._worker.pid,
            "workers": self._worker.count,
            "version": self._vitals.version,
            "name": settings.name,
            "address": self.address,
            "store": settings.store,
            "uptime": round(time.monotonic() - self._started),
            "ready": not why,
            "why": why,
            "federation": None if view is None else {"root": view.root_id.hex(), "position": view.position.sequence},
            "kem_keys": [key_id.hex() for key_id in self._keys.kem],
            "expiries": []
            if view is None
            else [
                {"role": expiry.role, "expires": expiry.expires, "state": str(expiry.state), "text": expiry.text}
                for expiry in view.check_fresh(clock() // 1000)
            ],
            "published": self._published(),
            "configuration": {"reloads": self._reloads, "refused": self._refused, "waits": self._waits},
            "retention_days": settings.retention_days,
            "agencies": {
                name: {
                    "stored": size,
                    "may": self._mailroom.bounds.stored_by_agency.get(name, settings.quotas.stored_per_agency),
                }
                for name, size in sorted(self._mailroom.stored().items())
            },
            "counts": await self.gauges(),
        }


def _port(server: Listening) -> int:
    return int(next(iter(server.sockets)).getsockname()[1])
