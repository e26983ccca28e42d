"""The relay's side of the protocol on a loopback socket, for tests: it does what it is told to.

It shakes hands with the real `Door` and speaks real records; what it answers, and how it misbehaves, is up to the test.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.datastructures import Headers
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request as HttpRequest
from websockets.http11 import Response

from clients.connection import Route
from securechan.crypto.kem import KemKey
from securechan.wire.door import Answered, Cookies, Door, GuestClaim
from securechan.wire.frames import Answer, AnswerBody, Bye, Done, Entries, Frame, Heads, Reason, Request
from securechan.wire.handshake import KEM, GuestCredential, RelayIdentity, key_id
from securechan.wire.handshake_formats import Denial
from securechan.wire.session import MAX_RECORD, Limits, Session

ROOT = bytes(range(48))
BOX = bytes(32)
MAC = b"k" * 32
LIMITS = Limits(
    max_entry=2 << 20,
    max_record=MAX_RECORD,
    max_blob=64 << 20,
    in_flight=64,
    appends=600,
    bandwidth=8 << 20,
    idle=90,
    lifetime=86400,
)

NOW = 1_800_000_000


class StillClock:
    """Stands still; remembers what was waited for and doesn't wait."""

    def __init__(self, now: float = NOW) -> None:
        self.now = now
        self.slept: list[float] = []

    def time(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        await asyncio.sleep(0)


@dataclass
class Peer:
    """What the relay does. ``on_request`` answers; None leaves a request unanswered."""

    name: str = "relay-1"
    root_id: bytes = ROOT
    limits: Limits = LIMITS
    time_ms: Callable[[], int] = lambda: NOW * 1000
    deny: Denial | None = None
    guarded: bool = False
    mac: bytes = MAC
    key: KemKey = field(default_factory=lambda: KEM.load(os.urandom(KEM.private_length)))
    on_request: Callable[[Session, Request], AnswerBody | None] = lambda _session, _request: Done()
    on_session: Callable[[ServerConnection, Session], Awaitable[None]] | None = None
    http: Callable[[str], Response | None] = lambda _path: None
    records: list[int] = field(default_factory=list)  # how many frames each record brought
    requests: list[Any] = field(default_factory=list)
    byes: list[Reason] = field(default_factory=list)
    sessions: int = 0
    url: str = ""

    @property
    def identity(self) -> RelayIdentity:
        return RelayIdentity(self.root_id, self.name, self.key.public)

    def route(self, **changes: Any) -> Route:
        said = {"relay": self.identity, "urls": (self.url,), "credential": GuestCredential(BOX, MAC)} | changes
        return Route(**said)

    @contextlib.asynccontextmanager
    async def serving(self) -> AsyncIterator[Peer]:
        def http(_: ServerConnection, request: HttpRequest) -> Response | None:
            return self.http(request.path)

        server: Server
        async with serve(
            self._meet, "127.0.0.1", 0, compression=None, max_size=MAX_RECORD, process_request=http
        ) as server:
            self.url = f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}"
            yield self

    async def _meet(self, socket: ServerConnection) -> None:
        door = Door(
            self.root_id,
            self.name,
            {key_id(self.key.public): self.key},
            Cookies(b"c" * 32),
        )
        while True:
            hello = await socket.recv()
            assert isinstance(hello, bytes)
            met = door.open(hello, self.limits, now_ms=self.time_ms(), address=b"a", guarded=self.guarded)
            await socket.send(met.reply)
            if isinstance(met, Answered):
                break
            if not met.again:
                return
        h3 = await socket.recv()
        assert isinstance(h3, bytes)
        claim = met.receive(h3)
        assert isinstance(claim, GuestClaim)
        if self.deny is not None:
            await socket.send(claim.refuse(self.deny, "as the test wants it", 1500))
            return
        session, h4 = claim.accept(self.mac, self.limits, self.time_ms() // 1000)
        await socket.send(h4)
        self.sessions += 1
        if self.on_session is not None:
            await self.on_session(socket, session)
            return
        await self._serve(socket, session)

    async def _serve(self, socket: ServerConnection, session: Session) -> None:
        async for record in socket:
            assert isinstance(record, bytes)
            frames = session.open(record, self.time_ms() // 1000)
            self.records.append(len(frames))
            answers: list[Frame] = []
            for frame in frames:
                match frame.body:
                    case Request() as request:
                        self.requests.append(request.body)
                        answer = self.on_request(session, request)
                        if answer is not None:
                            answers.append(Frame.of(Answer.of(request.number, answer)))
                    case Bye(reason):
                        self.byes.append(reason)
                        return
                    case other:
                        raise AssertionError(f"a client sent {other}")
            if answers:
                with contextlib.suppress(ConnectionClosed):  # the bye is in the buffer still: read on
                    await socket.send(session.seal(answers, self.time_ms() // 1000))

    async def push(self, socket: ServerConnection, session: Session, bodies: Sequence[Entries | Heads | Bye]) -> None:
        await socket.send(session.seal([Frame.of(body) for body in bodies], self.time_ms() // 1000))


def run(story: Awaitable[None], seconds: float = 20) -> None:
    """Run a story to its end, or fail."""

    async def bounded() -> None:
        async with asyncio.timeout(seconds):
            await story

    asyncio.run(bounded())


def response(status: int, body: bytes, **headers: str) -> Response:
    made = Headers({"Content-Length": str(len(body)), "Connection": "close"})
    for name, value in headers.items():
        made[name] = value
    return Response(status, "", made, body)
