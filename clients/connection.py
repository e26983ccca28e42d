"""One session with the relay: connect, shake hands, exchange records, say bye.

    Route ──► connect() ──► Connection ── send / receive ──► closed (with the bye, or cut)

The relay is known beforehand: whoever answers without its key is not it, whatever address or TLS certificate it has
(`Untrusted`). TLS is a second coat outside. Frames that are ready together leave as one record; what the relay would
refuse for its size is not sent; no more requests are under way than it allows. A connection that ends without the
peer's authenticated ``bye`` was cut, and is told apart from one that ended.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final, assert_never
from urllib.parse import urlsplit

from websockets.asyncio.client import ClientConnection
from websockets.asyncio.client import connect as open_websocket
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidMessage, InvalidStatus, InvalidURI

from clients.clock import Clock
from clients.line import Coat, Line, shown
from clients.sockets import unreachable
from securechan.errors import CannotOpen, Invalid, Malformed, Refused, SecurechanError, Stale, Unreachable, Untrusted
from securechan.wire.frames import (
    MAX_FRAMES,
    MOST_FRAMES,
    Answer,
    Append,
    Bye,
    Deliver,
    Entries,
    Frame,
    Heads,
    Ping,
    Publish,
    PutBlob,
    Reason,
    Request,
)
from securechan.wire.handshake import Credential, Greeting, Proving, RelayIdentity
from securechan.wire.session import MAX_RECORD, Limits, Session

OPEN_TIMEOUT: Final = 15.0  # seconds for TCP, TLS, WebSocket and our handshake together
LEAST_TIMEOUT: Final = 3.0  # where several addresses share it
CLOSE_TIMEOUT: Final = 2.0
COALESCE: Final = 1 << 18  # bytes of frames that one record carries at most, unless a single frame is longer
PING_NUMBER: Final = 0xFFFF_FFFF  # of our own pings; callers number theirs below
SKEW_WARN: Final = 60.0  # seconds by which two clocks may differ before people are told


@dataclass(frozen=True, slots=True)
class Route:
    """Whom to connect to, where, as who, and which way. ``urls`` are tried in turn, until one answers."""

    relay: RelayIdentity
    urls: tuple[str, ...]
    credential: Credential
    line: Line = field(default_factory=Line.find)


@dataclass(frozen=True, slots=True)
class Up:
    """Hands were shaken. ``skew``: by how many seconds the relay's clock is ahead of ours. ``took``: seconds. ``coat``:
    the TLS outside, where there is one; ``proxy``: the one between, without its password."""

    relay: str
    url: str
    limits: Limits
    relay_time: int  # Unix milliseconds
    skew: float
    took: float
    coat: Coat | None = None
    proxy: str = ""


# ------------------------------------------------------------------------------------------------------ established


class Connection:
    """An established session on its WebSocket. One reader and any number of senders."""

    def __init__(self, socket: ClientConnection, session: Session, url: str, clock: Clock, up: Up) -> None:
        self._socket = socket
        self._session = session
        self._clock = clock
        self._ready: deque[bytes] = deque()
        self._held: deque[bytes] = deque()  # requests above what the relay allows to be under way
        self._under_way = 0
        self._work = asyncio.Event()
        self._writer = asyncio.create_task(self._write())
        self._fault: Exception | None = None
        self.url = url
        self.up = up

    @property
    def limits(self) -> Limits:
        return self._session.limits

    def send(self, body: Request) -> None:
        """Have a request sent. Never waits; what is sent together leaves as one record.

        Raises Refused (``too-large``) for what exceeds the relay's limits: it is not sent.
        """
        encoded = Frame.of(body).encode()
        self._fits(body, len(encoded))
        if self._under_way >= max(1, self.limits.in_flight):
            self._held.append(encoded)
            return
        self._under_way += 1
        self._ready.append(encoded)
        self._work.set()

    def _fits(self, request: Request, size: int) -> None:
        limits = self.limits
        most = min(MAX_FRAMES, limits.max_record - 64)
        body = request.body
        match body:
            case Append() | Deliver():
                over = len(body.body) > limits.max_entry
            case Publish():
                over = sum(len(d.content) for d in body.documents) > limits.max_entry
            case PutBlob():
                over = body.total > limits.max_blob
            case _:
                over = False
        if over or size > most:
            raise Refused(
                f"{type(body).__name__} of {size} bytes: the relay takes entries of {limits.max_entry}",
                hint="send less at once",
                code="too-large",
            )

    async def receive(self) -> tuple[Answer | Entries | Heads, ...]:
        """The next record's frames. Raises `Ended` with the relay's bye or what went wrong."""
        while True:
            try:
                record = await self._socket.recv()
            except ConnectionClosed as e:
                if self._fault is not None:
                    raise self._fault from None
                raise Ended(self._cut(e), None) from None
            if not isinstance(record, bytes):
                raise Ended(Malformed(f"the relay at {self.url} sent text where a record belongs"), None)
            try:
                frames = self._session.open(record, int(self._clock.time()))
            except SecurechanError as e:
                raise Ended(e, None) from e
            found = self._sort(frames)
            if found:
                return found

    def _sort(self, frames: Sequence[Frame]) -> tuple[Answer | Entries | Heads, ...]:
        found: list[Answer | Entries | Heads] = []
        for frame in frames:
            body = frame.body
            match body:
                case Answer():
                    self._under_way = max(0, self._under_way - 1)
                    if body.number != PING_NUMBER:
                        found.append(body)
                case Entries() | Heads():
                    found.append(body)
                case Bye():
                    raise Ended(_bye(body.reason, self.url), body.reason)
                case Request():
                    raise Ended(Malformed(f"the relay at {self.url} sent a request"), None)
                case _:
                    assert_never(body)
        while self._held and self._under_way < max(1, self.limits.in_flight):
            self._under_way += 1
            self._ready.append(self._held.popleft())
            self._work.set()
        return tuple(found)

    async def _write(self) -> None:
        """Seal and send what is ready, and a ping where there is nothing to say for a third of what is tolerated."""
        pause = max(1.0, self.limits.idle / 3)
        try:
            while True:
                try:
                    async with asyncio.timeout(pause):
                        await self._work.wait()
                except TimeoutError:
                    self.send(Request.of(PING_NUMBER, Ping()))
                self._work.clear()
                while self._ready:
                    chunks = [self._ready.popleft()]
                    size = len(chunks[0])
                    while self._ready and size + len(self._ready[0]) <= COALESCE and len(chunks) < MOST_FRAMES:
                        chunks.append(self._ready.popleft())
                        size += len(chunks[-1])
                    await self._socket.send(self._session.seal_encoded(chunks, int(self._clock.time())))
        except (ConnectionClosed, Stale):
            await self._socket.close()  # the reader meets the same end, and tells it
        except Exception as e:  # a fault of ours: who reads raises it
            self._fault = e
            await self._socket.close()

    def _cut(self, e: ConnectionClosed) -> SecurechanError:
        try:
            self._session.ended()
        except CannotOpen as cut:
            said = f": {e.rcvd.reason}" if e.rcvd is not None and e.rcvd.reason else ""
            return Unreachable(
                f"the connection to {self.url} was cut{said}",
                hint="nothing is lost: what was not acknowledged is sent again",
                code=cut.code,
            )
        return Unreachable(f"the relay at {self.url} has closed the connection")

    async def close(self, reason: Reason = Reason.DONE) -> None:
        """Send what is ready, say bye, close. Never raises for a connection that is gone already."""
        self._writer.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._writer
        with contextlib.suppress(ConnectionClosed, TimeoutError):
            async with asyncio.timeout(CLOSE_TIMEOUT):
                now = int(self._clock.time())
                while self._ready and now < self._session.expires:
                    some = [self._ready.popleft() for _ in range(min(MOST_FRAMES, len(self._ready)))]
                    await self._socket.send(self._session.seal_encoded(some, now))
                if not self._session.said_bye:
                    await self._socket.send(self._session.farewell(reason, now))
        self._ready.clear()
        await self._socket.close()


class Ended(Exception):
    """A connection has ended: why, and the relay's bye where it said one."""

    def __init__(self, error: SecurechanError, reason: Reason | None) -> None:
        super().__init__(str(error))
        self.error = error
        self.reason = reason


def _bye(reason: Reason, url: str) -> SecurechanError:
    match reason:
        case Reason.REPLACED:
            return Refused(
                "this device has opened another session, which ended this one",
                hint="one session per device: was a copy of the profile started elsewhere?",
                code="replaced",
            )
        case Reason.REVOKED:
            return Untrusted("this device has been revoked", hint="ask your administrator", code="revoked")
        case Reason.PROTOCOL:
            return Invalid(f"the relay at {url} says that we broke the protocol", hint="update securechan")
        case Reason.SLOW:
            return Unreachable("the relay dropped the session: we read too slowly", code="slow")
        case Reason.SHUTDOWN:
            return Unreachable(f"the relay at {url} is going down", hint="wait; it is tried again", code="relay-down")
        case Reason.DONE | Reason.IDLE | Reason.EXPIRED:
            return Unreachable(f"the relay at {url} has ended the session ({reason.name.lower()})", code="ended")
        case _:
            assert_never(reason)


# ------------------------------------------------------------------------------------------------------------ opening


async def reach(route: Route, clock: Clock, turn: int = 0) -> Connection:
    """A session with the relay of ``route`` at the first of its addresses that answers, from the ``turn``-th on: one
    address that is dead costs no more than the time to find out. Raises what `connect` raises of an address that does
    answer, and Unreachable where none does: it names them all."""
    urls = route.urls
    if not urls:
        raise Unreachable(
            f"no address is known for the relay {route.relay.name}", hint="name one with SECURECHAN_RELAY"
        )
    patience = max(LEAST_TIMEOUT, OPEN_TIMEOUT / len(urls))
    silent: list[Unreachable] = []
    for number in range(turn, turn + len(urls)):
        try:
            return await connect(route, urls[number % len(urls)], clock, patience)
        except Unreachable as e:
            silent.append(e)
    if len(silent) == 1:
        raise silent[0]
    each = "; ".join(e.message for e in silent)
    raise Unreachable(f"none of the relay's addresses answers: {each}", hint=silent[0].hint, code=silent[0].code)


async def connect(route: Route, url: str, clock: Clock, patience: float = OPEN_TIMEOUT) -> Connection:
    """A session with the relay of ``route`` at ``url``.

    Raises Unreachable (names the address), Untrusted (who answers is not the relay of our federation), Refused (the
    relay says no), Malformed (no address). Takes at most ``patience`` seconds.
    """
    started = time.monotonic()
    _check_port(url)
    try:
        async with asyncio.timeout(patience):
            socket = await open_websocket(
                url,
                sock=await route.line.dial(url),
                ssl=route.line.context(url),
                proxy=None,
                compression=None,
                max_size=MAX_RECORD,
                max_queue=8,
                open_timeout=None,
                close_timeout=CLOSE_TIMEOUT,
                user_agent_header=None,
            )
            try:
                session = await _shake(socket, route, url, clock)
            except BaseException:
                await socket.close()
                raise
    except TimeoutError:
        raise Unreachable(
            f"the relay at {url} does not answer", hint="check the network and the relay's address", code="no-answer"
        ) from None
    except ConnectionClosed as e:
        raise Unreachable(f"{url} closed the connection during the handshake", hint="try again") from e
    except (OSError, InvalidHandshake, InvalidURI) as e:
        raise _no_socket(e, url) from e
    took = time.monotonic() - started
    skew = session.relay_time / 1000 - clock.time()
    coat = Coat.of(socket.transport.get_extra_info("ssl_object"))
    proxy = shown(route.line.proxy_for(url))
    up = Up(route.relay.name, url, session.limits, session.relay_time, skew, took, coat, proxy)
    return Connection(socket, session, url, clock, up)


def _check_port(url: str) -> None:
    try:
        _ = urlsplit(url).port
    except ValueError:
        raise _no_address(url) from None


def _no_address(url: str) -> Malformed:
    return Malformed(f"{url[:200]!r} is no address of a relay", hint="it looks like wss://relay.example.int")


async def _shake(socket: ClientConnection, route: Route, url: str, clock: Clock) -> Session:
    try:
        state: Greeting | Proving
        state, message = Greeting.start(route.relay, route.credential)
        while isinstance(state, Greeting):
            await socket.send(message)
            state, message = state.answer(_binary(await socket.recv(), url))
        await socket.send(message)
        return state.finish(_binary(await socket.recv(), url), int(clock.time()))
    except Refused as e:
        match e.code:
            case "turned-tag":
                raise Untrusted(
                    f"the relay at {url} belongs to another federation, or has another name",
                    hint="check its address; the trust records say who it should be",
                    code="wrong-federation",
                ) from e
            case "turned-key":
                raise Untrusted(
                    f"the relay at {url} does not hold the key that the trust records give for {route.relay.name}",
                    hint="check its address; if it is right, ask the relay's operator",
                    code="wrong-relay",
                ) from e
            case "refused-revoked":
                raise Untrusted("this device has been revoked", hint="ask your administrator", code="revoked") from e
        raise
    except CannotOpen as e:
        raise Untrusted(
            f"who answers at {url} is not the relay {route.relay.name} of our federation",
            hint="check its address, and who stands between it and you",
            code="wrong-relay",
        ) from e
    except (Malformed, Invalid) as e:
        raise Untrusted(
            f"who answers at {url} does not speak as a relay does: {e.message}",
            hint="check its address",
            code="not-a-relay",
        ) from e


def _binary(message: bytes | str, url: str) -> bytes:
    if isinstance(message, str):
        raise Malformed(f"{url} sends text")
    return message


def _no_socket(e: Exception, url: str) -> SecurechanError:
    match e:
        case InvalidURI():
            return _no_address(url)
        case InvalidStatus():
            return Unreachable(
                f"{url} answers with HTTP status {e.response.status_code}", hint="check the relay's address"
            )
        case InvalidMessage():
            return Unreachable(f"what answers at {url} does not speak WebSocket", hint="check the relay's address")
        case OSError():
            return unreachable(url, e)
        case _:
            return Unreachable(f"no WebSocket at {url}: {e}", hint="check the relay's address")
