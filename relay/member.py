"""A session as the mailroom sees it: who it is, where its frames go, and how many of its requests are open."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Protocol

from relay.blobs import Hashing
from relay.outgoing import answer_frame, appended_frame
from relay.people import Who
from relay.topics import Reader
from securechan.wire.frames import AnswerBody, Appended, Reason, RequestBody


class Outlet(Protocol):
    """The way out to one client. Frames sent in one turn of the event loop leave as one record."""

    @property
    def congested(self) -> bool:
        """Whether more waits than half of what may: then no more entries are sent."""
        ...

    def send(self, frames: bytes, /) -> None:
        """Let these encoded frames leave. Never waits."""
        ...

    async def room(self) -> bool:
        """Return True when there is room again, False when nobody is there any more."""
        ...

    def end(self, reason: Reason, /) -> None:
        """Say bye and close."""
        ...


class Counter(Protocol):
    """The part of the mailroom that a member talks to."""

    def take(self, member: Member, number: int, body: RequestBody) -> None: ...
    def left(self, member: Member) -> None: ...


class Member:
    """One session. `ask` hands in requests in their order; `leave` is the end of it."""

    __slots__ = ("_calls", "_counter", "_idle", "_numbers", "gone", "inflight", "outlet", "readers", "uploads", "who")

    def __init__(self, who: Who, outlet: Outlet, counter: Counter) -> None:
        self.who = who
        self.outlet = outlet
        self.gone = False
        self.inflight = 0
        self.readers: dict[bytes, Reader] = {}
        self.uploads: dict[bytes, Hashing] = {}
        self._counter = counter
        self._idle: list[tuple[int, asyncio.Future[None]]] = []
        self._calls: dict[int, Callable[[AnswerBody], None]] = {}
        self._numbers = -1

    def ask(self, number: int, body: RequestBody) -> None:
        """Take a request. Its answer goes to the outlet; requests are begun in the order they are asked."""
        self.inflight += 1
        self._counter.take(self, number, body)

    async def request(self, body: RequestBody) -> AnswerBody:
        """Ask and wait for the answer, past the outlet: for tests and tools."""
        answered: asyncio.Future[AnswerBody] = asyncio.get_running_loop().create_future()

        def answer(body: AnswerBody) -> None:
            if not answered.done():
                answered.set_result(body)

        number = self._numbers  # negative: no number that a client can choose
        self._numbers -= 1
        self._calls[number] = answer
        self.inflight += 1
        self._counter.take(self, number, body)
        return await answered

    def answer(self, number: int, body: AnswerBody) -> None:
        """The mailroom's answer to the request of that number."""
        self.inflight -= 1
        if number < 0:
            self._calls.pop(number)(body)
        elif not self.gone:
            self.outlet.send(answer_frame(number, body))
        if self._idle:
            self._rouse()

    def appended(self, number: int, sequence: int) -> None:
        """As `answer`: the entry is durable at ``sequence``."""
        if number < 0:
            self.answer(number, Appended(sequence))
            return
        self.inflight -= 1
        if not self.gone:
            self.outlet.send(appended_frame(number, sequence))
        if self._idle:
            self._rouse()

    def _rouse(self) -> None:
        for bound, waiting in self._idle:
            if self.inflight < bound and not waiting.done():
                waiting.set_result(None)

    async def below(self, bound: int) -> None:
        """Wait until fewer than ``bound`` requests are without an answer."""
        while self.inflight >= bound:
            waiting: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._idle.append((bound, waiting))
            try:
                await waiting
            finally:
                self._idle.remove((bound, waiting))

    def leave(self) -> None:
        """The session is over. What was asked still happens; nobody hears of it."""
        if not self.gone:
            self.gone = True
            self._counter.left(self)
