"""A client's end of a session over a real socket, with no mind of its own: for tests of the relay's doors."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Final

from websockets.asyncio.client import ClientConnection, connect

from securechan.wire.frames import (
    Answer,
    AnswerBody,
    Bye,
    Entries,
    Entry,
    Frame,
    FrameBody,
    Reason,
    Request,
    RequestBody,
)
from securechan.wire.handshake import Credential, Greeting, RelayIdentity
from securechan.wire.session import MAX_RECORD, Session

PATIENCE: Final = 20.0


def now() -> int:
    return int(time.time())


@asynccontextmanager
async def socket(url: str) -> AsyncIterator[ClientConnection]:
    """A WebSocket to the relay, before any handshake."""
    async with connect(url, compression=None, max_size=MAX_RECORD, open_timeout=PATIENCE, close_timeout=1) as opened:
        yield opened


async def receive(opened: ClientConnection) -> bytes:
    async with asyncio.timeout(PATIENCE):
        message = await opened.recv()
    assert isinstance(message, bytes)
    return message


async def shake(opened: ClientConnection, relay: RelayIdentity, credential: Credential) -> Session:
    """The whole handshake. Raises what the relay's answers mean."""
    state, message = Greeting.start(relay, credential)
    while isinstance(state, Greeting):
        await opened.send(message)
        state, message = state.answer(await receive(opened))
    await opened.send(message)
    return state.finish(await receive(opened), now())


@dataclass
class Caller:
    """An open session."""

    opened: ClientConnection
    session: Session
    heard: list[FrameBody] = field(default_factory=list)
    numbers: int = 0

    async def send(self, *bodies: RequestBody) -> list[int]:
        """One record of requests; their numbers."""
        first = self.numbers
        self.numbers += len(bodies)
        requests = [Frame.of(Request.of(first + i, body)) for i, body in enumerate(bodies)]
        await self.opened.send(self.session.seal(requests, now()))
        return list(range(first, self.numbers))

    async def hear(self) -> tuple[FrameBody, ...]:
        """The frames of the next record."""
        bodies = tuple(frame.body for frame in self.session.open(await receive(self.opened), now()))
        self.heard += bodies
        return bodies

    async def ask(self, body: RequestBody) -> AnswerBody:
        """One request and its answer; whatever else comes is in ``heard``."""
        (number,) = await self.send(body)
        while True:
            for heard in await self.hear():
                if isinstance(heard, Answer) and heard.number == number:
                    return heard.body

    async def entries(self, topic: bytes, least: int) -> list[Entry]:
        """The entries of a topic heard so far, once there are ``least``."""
        while True:
            runs = [body for body in self.heard if isinstance(body, Entries) and body.topic == topic]
            held = [entry for run in runs for entry in run.entries]
            if len(held) >= least:
                return held
            await self.hear()

    async def bye(self) -> Reason:
        """Read until the relay says bye."""
        while True:
            for heard in await self.hear():
                if isinstance(heard, Bye):
                    return heard.reason


@asynccontextmanager
async def call(url: str, relay: RelayIdentity, credential: Credential) -> AsyncIterator[Caller]:
    """A session with the relay; it ends with the block."""
    async with socket(url) as opened:
        yield Caller(opened, await shake(opened, relay, credential))
