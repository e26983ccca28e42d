"""A short session: connect, ask, read a little, say bye. For guests who enrol and holders of a trust role's key.

A device at work has an agent and a runtime; these two have neither. A guest puts one request into its enrolment box and
waits for the verdict; an office reads the trust topic and publishes. Here a request is awaited where it is made, and
what a topic holds comes as an iteration.
"""

from __future__ import annotations

import asyncio
import contextlib
import http.client
import socket
import ssl
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Final, Self
from urllib.parse import urlsplit

from clients.clock import Clock
from clients.connection import Connection, Ended, Route, reach
from clients.line import Line
from clients.sockets import unreachable
from securechan.errors import (
    Denied,
    Malformed,
    NotFound,
    Refused,
    SecurechanError,
    Stale,
    TimedOut,
    Unreachable,
    Untrusted,
)
from securechan.wire.frames import (
    Answer,
    AnswerBody,
    Code,
    Entries,
    Entry,
    Error,
    Halt,
    Heads,
    Request,
    RequestBody,
    Subscribe,
)

ANSWER_TIMEOUT: Final = 30.0  # seconds
MAX_CARD: Final = 1 << 16  # bytes of a relay's card
CARD_TIMEOUT: Final = 10.0  # seconds


def refusal(error: Error) -> SecurechanError:
    """A relay's answer that says no, as an error that says what to do."""
    message = error.message or error.code.name.lower().replace("_", " ")
    code = f"refused-{error.code.name.lower().replace('_', '-')}"
    match error.code:
        case Code.UNKNOWN_TOPIC | Code.NOT_FOUND | Code.TRIMMED:
            return NotFound(f"the relay has none such: {message}", code=code)
        case Code.STALE:
            return Stale(f"the world moved on: {message}", hint="sync, then try again", code=code)
        case Code.UNTRUSTED:
            return Untrusted(f"the relay refuses the publication: {message}", code=code)
        case Code.FORBIDDEN | Code.ACCESS_DENIED:
            return Denied(f"the relay refuses: {message}", code=code)
        case _:
            return Refused(
                f"the relay refuses: {message}",
                retry_after=error.retry_after / 1000 or None,
                hint=f"try again in {error.retry_after / 1000:.0f} s" if error.retry_after else "",
                code=code,
            )


class Errand:
    """An open session on which requests are awaited. Use as ``async with Errand.begin(route, clock) as errand``."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._numbers = 0
        self._asked: dict[int, asyncio.Future[AnswerBody]] = {}
        self._entries: asyncio.Queue[Entries | SecurechanError] = asyncio.Queue()
        self._reader = asyncio.create_task(self._read())

    @classmethod
    @contextlib.asynccontextmanager
    async def begin(cls, route: Route, clock: Clock) -> AsyncIterator[Self]:
        """Connect to the first address that answers. Raises what `reach` raises."""
        errand = cls(await reach(route, clock))
        try:
            yield errand
        finally:
            await errand._close()

    @property
    def connection(self) -> Connection:
        return self._connection

    async def ask(self, body: RequestBody) -> AnswerBody:
        """The answer to a request. Raises what the relay's refusal means, Unreachable where it went away."""
        if self._reader.done():
            raise Unreachable("the session has ended")
        self._numbers += 1
        future: asyncio.Future[AnswerBody] = asyncio.get_running_loop().create_future()
        self._asked[self._numbers] = future
        self._connection.send(Request.of(self._numbers, body))
        try:
            async with asyncio.timeout(ANSWER_TIMEOUT):
                answer = await future
        except TimeoutError:
            raise TimedOut(
                f"the relay at {self._connection.url} gave no answer within {ANSWER_TIMEOUT:.0f} s",
                hint="it may have done what was asked: look before you ask again",
            ) from None
        if isinstance(answer, Error):
            raise refusal(answer)
        return answer

    async def history(self, topic: bytes, after: int = 0) -> list[Entry]:
        """All entries of a topic that there are now, from after ``after``."""
        return [entry async for entry in self.follow(topic, after, live=False)]

    async def follow(self, topic: bytes, after: int = 0, *, live: bool = True) -> AsyncIterator[Entry]:
        """The entries of a topic as they are and, with ``live``, as they come. One topic in a session's life."""
        await self.ask(Subscribe(topic, after))
        while True:
            run = await self._entries.get()
            if isinstance(run, SecurechanError):
                raise run
            if run.topic != topic:
                raise Malformed("the relay sends entries of a topic that was not asked for")
            for entry in run.entries:
                if entry.sequence <= after:
                    raise Malformed(f"entry {entry.sequence} after entry {after}: the relay sends them out of order")
                after = entry.sequence
                yield entry
            if run.halt is Halt.TAIL and not live:
                return

    async def _read(self) -> None:
        error: SecurechanError
        try:
            while True:
                for frame in await self._connection.receive():
                    match frame:
                        case Answer():
                            future = self._asked.pop(frame.number, None)
                            if future is not None and not future.done():
                                future.set_result(frame.body)
                        case Entries():
                            self._entries.put_nowait(frame)
                        case Heads():
                            pass  # nobody here compares heads: an errand reads one topic once
        except Ended as e:
            error = e.error
        for future in self._asked.values():
            if not future.done():
                future.set_exception(error)
        self._entries.put_nowait(error)

    async def _close(self) -> None:
        self._reader.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._reader
        for future in self._asked.values():
            if future.done() and not future.cancelled():
                future.exception()  # nobody waits for it any more
        await self._connection.close()


# --------------------------------------------------------------------------------------------------------------- cards


@dataclass(frozen=True, slots=True)
class Card:
    """What a relay says of itself to anyone. Nothing of it is true until its key's hash fits an invite or a record."""

    name: str
    kem: bytes
    online: bytes


async def fetch_card(url: str, line: Line | None = None) -> Card:
    """The card of the relay at ``url`` (``ws://`` or ``wss://``). Raises Unreachable, Malformed."""
    line, parts = line or Line.find(), urlsplit(url)
    try:
        good = parts.scheme in ("ws", "wss") and bool(parts.hostname) and (parts.port is None or parts.port > 0)
    except ValueError:
        good = False
    if not good:
        raise Malformed(f"{url[:200]!r} is no address of a relay", hint="it looks like wss://relay.example.int")
    connected = await line.dial(url)
    return parse_card(await asyncio.to_thread(_get, url, connected, line.context(url)), url)


def parse_card(content: bytes, url: str) -> Card:
    """A card from its JSON bytes. Raises Malformed."""
    import base64  # noqa: PLC0415 - enrolment alone comes here
    import json  # noqa: PLC0415 - likewise

    try:
        said = json.loads(content)
        if said["v"] != 1 or not isinstance(said["name"], str) or not said["name"].isprintable():
            raise ValueError("another version, or no name")
        return Card(
            said["name"],
            base64.b64decode(said["kem"], validate=True),
            base64.b64decode(said["online"], validate=True),
        )
    except (ValueError, KeyError, TypeError, RecursionError) as e:
        raise Malformed(f"what {url} says of itself is no relay's card", hint="check the relay's address") from e


def _get(url: str, connected: socket.socket | None, tls: ssl.SSLContext | None) -> bytes:
    """The card's bytes. Redirects are not followed: a card comes from the relay itself or not at all."""
    parts = urlsplit(url)
    address = f"{'https' if tls else 'http'}://{parts.netloc}{parts.path.rstrip('/')}/card"
    host = parts.hostname or ""
    asked: http.client.HTTPConnection
    if tls is None:
        asked = http.client.HTTPConnection(host, parts.port, timeout=CARD_TIMEOUT)
    else:
        asked = http.client.HTTPSConnection(host, parts.port, timeout=CARD_TIMEOUT, context=tls)
    try:
        if connected is not None:
            connected.settimeout(CARD_TIMEOUT)
            asked.sock = connected if tls is None else tls.wrap_socket(connected, server_hostname=host)
        asked.request("GET", parts.path.rstrip("/") + "/card")
        answer = asked.getresponse()
        if answer.status != http.HTTPStatus.OK:
            raise Unreachable(
                f"{address} answers with HTTP status {answer.status}",
                hint="check the relay's address",
                code="no-answer",
            )
        content = answer.read(MAX_CARD + 1)
    except OSError as e:
        raise unreachable(address, e) from e
    except (http.client.HTTPException, ValueError) as e:
        raise unreachable(address, OSError(str(e) or type(e).__name__)) from e
    finally:
        asked.close()
    if len(content) > MAX_CARD:
        raise Malformed(f"what {address} sends is too long for a relay's card", hint="check the relay's address")
    return content
