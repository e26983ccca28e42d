"""The relay as a process: it opens its folder, listens, serves, and goes down without losing a word.

    start    settings, keys → store → trust topic → mailroom → socket → ``ready ws://…``
    adopt    a bundle laid into the folder (``securechan-relay adopt``) is taken up within a second,
             and so is a KEM key that was added or dropped (``securechan-relay rotate``)
    stop     no new connections → mailroom finishes its group commit and answers → bye SHUTDOWN to all → exit 0

Besides sessions, the port answers GET /healthz (200 serving, 503 waiting for a federation) and GET /card. GET /metrics
has a port of its own on the loopback, and GET /status is on a Unix socket in the relay's folder, for its owner.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import shutil
import signal
import ssl
import time
from collections.abc import Callable
from contextlib import AsyncExitStack
from functools import partial
from http import HTTPStatus
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from websockets.asyncio.server import Server as WebSocketServer
from websockets.asyncio.server import ServerConnection, serve, unix_serve
from websockets.datastructures import Headers
from websockets.http11 import Request, Response

from relay import keys as keyring
from relay.bounds import Bounds
from relay.config import Settings
from relay.connection import HELLO_MAX, WRITE_HIGH, Connection, House, Socket
from relay.heads import OnlineKey
from relay.limits import Budget, Guard, neighbourhood
from relay.logs import event
from relay.mailroom import Mailroom
from relay.metrics import Metrics
from relay.store.base import Store
from relay.trust_topic import TrustTopic
from securechan.crypto.secret import Secret
from securechan.errors import Conflict, NotReady, SecurechanError
from securechan.wire.handshake import Cookies, Door

log = logging.getLogger("relay.server")

DATABASE: Final = "relay.db"
OPEN_TIMEOUT: Final = 5.0  # seconds for the HTTP request
POLL: Final = 0.5  # seconds between two looks at the folder
DRAIN: Final = 10.0  # seconds for all byes to leave


def clock() -> int:
    """Unix milliseconds."""
    return time.time_ns() // 1_000_000


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
        bounds: Bounds,
    ) -> None:
        self._home = home
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
        self._paths = {"/", urlsplit(settings.url).path or "/"}
        quotas = settings.quotas
        self.metrics = Metrics()
        self.house = House(
            mailroom=mailroom,
            door=self._door,
            limits=quotas.limits(bounds.max_entry, bounds.max_blob),
            quotas=quotas,
            guard=Guard(quotas, time.monotonic),
            budget=Budget(quotas, time.monotonic),
            metrics=self.metrics,
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
        house = self.house

        class Here(Socket):
            """A socket of this relay."""

        Here.house = house
        tls = None
        if settings.tls is not None:
            tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
            tls.load_cert_chain(settings.tls.certificate, settings.tls.key)
        try:
            self._server = await serve(
                self._handle,
                settings.host,
                settings.port,
                process_request=self._on_http,
                compression=None,
                max_size=HELLO_MAX,
                max_queue=4,
                write_limit=(WRITE_HIGH, WRITE_HIGH // 4),
                open_timeout=OPEN_TIMEOUT,
                close_timeout=5,
                ping_interval=30,
                ping_timeout=30,
                server_header=None,
                create_connection=Here,
                ssl=tls,
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
        """The owner's socket, and the port for metrics."""
        path = self._home / keyring.SOCKET
        path.unlink(missing_ok=True)
        try:
            status = await unix_serve(_no_session, str(path), process_request=self._on_status, compression=None)
        except OSError as error:  # a path of more than 107 bytes is none for a Unix socket
            event(log, "status cannot be asked", level=logging.WARNING, why=str(error))
        else:
            path.chmod(0o600)
            self._stack.callback(path.unlink, missing_ok=True)
            self._stack.callback(status.close)
        if self._settings.metrics_port is not None:
            metrics = await serve(
                _no_session,
                "127.0.0.1",
                self._settings.metrics_port,
                process_request=self._on_metrics,
                compression=None,
            )
            self._stack.callback(metrics.close)
            event(log, "metrics", port=_port(metrics))

    async def stop(self) -> None:
        """Say bye to everyone once everything that was accepted is durable and answered."""
        self._stopping = True
        self._server.close(close_connections=False)
        for connection in self._connections:
            connection.drain()
        await self._mailroom.stop()
        sessions = list(self._connections)
        for connection in sessions:
            connection.shut()
        try:
            async with asyncio.timeout(DRAIN):
                await asyncio.gather(*(connection.closed.wait() for connection in sessions))
        except TimeoutError:
            event(log, "sessions cut at shutdown", level=logging.WARNING, count=len(self._connections))
        await self._stack.aclose()
        event(log, "stopped", sessions=len(sessions))

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
            await self._trust.adopt(bundle)
        except SecurechanError as error:
            event(log, "bundle refused", level=logging.ERROR, cause=error.code, why=error.message)
        else:
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

    async def _handle(self, socket: ServerConnection) -> None:
        if not isinstance(socket, Socket):
            raise TypeError("the server makes Sockets")
        connection = Connection(socket, self.house)
        self._connections.add(connection)
        try:
            await connection.run()
        except Exception:
            event(log, "connection failed", level=logging.ERROR, error=True)
            raise
        finally:
            self._connections.discard(connection)
            connection.closed.set()

    def _on_http(self, socket: ServerConnection, request: Request) -> Response | None:
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
        if isinstance(socket, Socket):
            address = self._address(socket, request)
            counted = socket.stand_at_door(address)
            if not counted or not self.house.guard.room(address):
                self.metrics.count("connections_refused")
                response = self._plain("/", HTTPStatus.SERVICE_UNAVAILABLE, {"status": "overloaded"})
                response.headers["Retry-After"] = "5"
                return response
        return None

    def _address(self, socket: Socket, request: Request) -> str:
        told = request.headers.get_all("X-Forwarded-For") if self._settings.behind_proxy else []
        if told:
            return neighbourhood(told[-1].rpartition(",")[2].strip())
        remote = socket.remote_address
        return neighbourhood(str(remote[0])) if remote else ""

    def _plain(self, path: str, status: HTTPStatus, data: dict[str, Any]) -> Response:
        self.metrics.count("http", f"{path} {int(status)}")
        return _response(status, json.dumps(data) + "\n", "application/json")

    def _on_metrics(self, _socket: ServerConnection, request: Request) -> Response:
        if request.path != "/metrics":
            return _response(HTTPStatus.NOT_FOUND, "see /metrics\n", "text/plain")
        gauges = {**self._mailroom.stats(), "half_open": self.house.guard.total}
        return _response(HTTPStatus.OK, self.metrics.render(gauges), "text/plain; version=0.0.4")

    def _on_status(self, _socket: ServerConnection, _request: Request) -> Response:
        return _response(HTTPStatus.OK, json.dumps(self.status()), "application/json")

    def status(self) -> dict[str, Any]:
        """What ``securechan-relay status`` tells."""
        view = self._trust.view
        return {
            "name": self._settings.name,
            "address": self.address,
            "store": self._settings.store,
            "uptime": round(time.monotonic() - self._started),
            "federation": None if view is None else {"root": view.root_id.hex(), "position": view.position.sequence},
            "kem_keys": [key_id.hex() for key_id in self._keys.kem],
            "expiries": []
            if view is None
            else [
                {"role": expiry.role, "expires": expiry.expires, "state": str(expiry.state), "text": expiry.text}
                for expiry in view.check_fresh(clock() // 1000)
            ],
            "counts": {**self._mailroom.stats(), "half_open": self.house.guard.total},
        }


def _port(server: WebSocketServer) -> int:
    return int(next(iter(server.sockets)).getsockname()[1])


async def _no_session(socket: ServerConnection) -> None:
    """Where only plain HTTP is served, no WebSocket gets this far."""
    await socket.close(1008)


def _response(status: HTTPStatus, body: str, kind: str) -> Response:
    content = body.encode()
    headers = Headers({"Content-Type": kind, "Content-Length": str(len(content)), "Connection": "close"})
    return Response(status.value, status.phrase, headers, content)


# ---------------------------------------------------------------------------------------------------------- the process


async def open_store(home: Path, settings: Settings) -> Store:
    """The store that the settings name."""
    if settings.store == "memory":
        from relay.store.memory import MemoryStore  # noqa: PLC0415 - only the store that is used is loaded

        return MemoryStore()
    from relay.store.sqlite import SqliteStore  # noqa: PLC0415 - likewise

    return await SqliteStore.open(home / DATABASE)


def free(home: Path) -> float:
    """The fraction of the disk under ``home`` that is free."""
    usage = shutil.disk_usage(home)
    return usage.free / usage.total


async def run(home: Path, settings: Settings, ready: Callable[[str], None]) -> None:
    """Serve until SIGTERM or SIGINT. ``ready`` hears the address once the socket listens.

    Raises `SecurechanError` (exit code 1, for the service manager to start it anew) where a part of it failed.
    """
    keyring.make_home(home)
    keys = keyring.load(home) if keyring.exist(home) else keyring.make(home, clock() // 1000)
    store = await open_store(home, settings)
    online = OnlineKey(keys.online)
    trust = await TrustTopic.load(store, online=online, clock=clock)
    bounds = Bounds(sessions=settings.quotas.sessions)
    mailroom = Mailroom(
        store, relay=settings.name, clock=clock, trust=trust, bounds=bounds, signer=online, disk=partial(free, home)
    )
    await mailroom.start()
    relay = Relay(home, settings, keys, mailroom=mailroom, trust=trust, bounds=bounds)
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    try:
        await relay.start()
    except BaseException:
        await mailroom.stop()
        raise
    event(log, "listening", address=relay.address, store=settings.store, federation=trust.view is not None)
    ready(relay.address)
    ends = [asyncio.create_task(stop.wait()), asyncio.create_task(mailroom.failed.wait())]
    await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
    for end in ends:
        end.cancel()
    await relay.stop()
    if mailroom.failed.is_set():
        raise SecurechanError("a part of the relay failed", hint="its log says which; start it again", code="internal")


def start(home: Path, settings: Settings, ready: Callable[[str], None]) -> None:
    """`run` on the fastest event loop there is."""
    factory: Callable[[], asyncio.AbstractEventLoop] | None = None
    with contextlib.suppress(ImportError):
        from uvloop import new_event_loop  # noqa: PLC0415 - optional: same behaviour, less time

        factory = new_event_loop
    with asyncio.Runner(loop_factory=factory) as runner:
        runner.run(run(home, settings, ready))
