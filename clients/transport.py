"""A session with the relay for as long as somebody wants one: made again whenever it is lost.

    Transport: goes to whichever of the relay's addresses answers, the next one first after each loss;
               backs off with full jitter where none does, and asks for the route anew
    events     Up ── Arrived* ── Down ── Up ── …

A *route* is asked for at every attempt: credential, relay key and addresses change while we live.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from dataclasses import dataclass
from random import SystemRandom
from typing import Protocol

from clients.clock import Clock
from clients.connection import Connection, Ended, Route, Up, reach
from securechan.errors import Malformed, Refused, SecurechanError, Stale, Unreachable, Untrusted
from securechan.wire.frames import Answer, Entries, Heads, Reason, Request

_jitter = SystemRandom()


@dataclass(frozen=True, slots=True)
class Arrived:
    """One record's frames, without those that the connection keeps for itself."""

    frames: tuple[Answer | Entries | Heads, ...]


@dataclass(frozen=True, slots=True)
class Down:
    """No session, or none any more. ``reason`` is the relay's bye, where it said one. ``retry_in`` in seconds; None
    means that trying again would not help, and the transport has ended."""

    error: SecurechanError
    reason: Reason | None
    retry_in: float | None


TransportEvent = Up | Arrived | Down


class Backoff(Protocol):
    """How long to wait before the ``attempt``-th try in a row (from 0), in seconds."""

    def __call__(self, attempt: int) -> float: ...


def full_jitter(attempt: int, *, base: float = 0.5, cap: float = 60.0) -> float:
    """Anything between nothing and a ceiling that doubles: a thousand clients of a relay that was down come back spread
    over the interval, not together."""
    return _jitter.uniform(0.0, min(cap, base * 2 ** min(attempt, 16)))


class Transport:
    """A session with a relay, made again whenever it is lost. `events` drives it; ``send`` may be called meanwhile."""

    def __init__(self, route: Callable[[], Route], clock: Clock, *, backoff: Backoff = full_jitter) -> None:
        self._route = route
        self._clock = clock
        self._backoff = backoff
        self._connection: Connection | None = None
        self._restart = asyncio.Event()
        self._ended = False

    @property
    def up(self) -> Up | None:
        """The session there is now."""
        return None if self._connection is None else self._connection.up

    def send(self, request: Request) -> bool:
        """Have a request sent; False where there is no session. Raises Refused (``too-large``)."""
        if self._connection is None:
            return False
        self._connection.send(request)
        return True

    def restart(self) -> None:
        """Shake hands anew: at once, and without waiting for a backoff to pass."""
        self._restart.set()

    async def events(self) -> AsyncGenerator[TransportEvent, None]:
        """What happens, for ever; ends after a `Down` without ``retry_in``. To be iterated by one task alone, and
        closed (``aclosing``) so that the relay hears our bye."""
        attempt = turn = 0
        try:
            while True:
                began = self._clock.time()
                self._restart.clear()
                try:
                    self._connection = await reach(self._route(), self._clock, turn)
                    yield self._connection.up
                    async for frames in self._frames(self._connection):
                        yield Arrived(frames)
                    raise Ended(Unreachable("the session was ended to shake hands anew", code="restarted"), None)
                except Ended as e:
                    if self._clock.time() - began > 5:
                        attempt = 0
                    error, reason = e.error, e.reason
                    swiftly = error.code == "restarted" or reason is Reason.EXPIRED
                except (Unreachable, Untrusted, Refused, Malformed, Stale) as e:
                    error, reason, swiftly = e, None, False
                await self._drop()
                wait = self._pause(error, reason, attempt, swiftly=swiftly)
                yield Down(error, reason, wait)
                if wait is None:
                    return
                attempt += 1
                turn += 1
                await self._rest(wait)
        finally:
            await self._drop()

    async def _frames(self, connection: Connection) -> AsyncIterator[tuple[Answer | Entries | Heads, ...]]:
        """Records until the session ends (`Ended`) or somebody wants another."""
        restart = asyncio.create_task(self._restart.wait())
        try:
            while True:
                reading = asyncio.create_task(connection.receive())
                try:
                    await asyncio.wait((reading, restart), return_when=asyncio.FIRST_COMPLETED)
                finally:
                    if not reading.done():
                        reading.cancel()
                        with contextlib.suppress(asyncio.CancelledError, Ended):
                            await reading
                if reading.cancelled() or not reading.done():
                    return
                yield reading.result()
        finally:
            restart.cancel()

    def _pause(self, error: SecurechanError, reason: Reason | None, attempt: int, *, swiftly: bool) -> float | None:
        if reason in (Reason.REPLACED, Reason.REVOKED) or error.code in ("revoked", "refused-unknown"):
            return None  # two copies would throw each other out for ever; a revoked device is not wanted
        if swiftly:
            return 0.0
        wait = self._backoff(attempt)
        if isinstance(error, Refused) and error.retry_after is not None:
            wait += error.retry_after
        return wait

    async def _rest(self, seconds: float) -> None:
        """Wait, unless somebody is in a hurry."""
        if seconds <= 0:
            return
        sleeping = asyncio.create_task(self._clock.sleep(seconds))
        hurry = asyncio.create_task(self._restart.wait())
        try:
            await asyncio.wait((sleeping, hurry), return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in (sleeping, hurry):
                task.cancel()

    async def _drop(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            await connection.close()
