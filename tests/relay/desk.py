"""A mailroom without sockets, for tests: sessions whose outlets decode what they are sent."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from relay.bounds import Bounds
from relay.heads import OnlineKey
from relay.mailroom import Mailroom
from relay.member import Member
from relay.people import Device, Who
from relay.store.base import Store
from relay.store.memory import MemoryStore
from relay.trust_topic import TrustTopic
from securechan.crypto.kem import MLKEM768_X25519
from securechan.crypto.secret import Secret
from securechan.crypto.signature import COMPOSITE
from securechan.wire.frames import (
    Answer,
    AnswerBody,
    Append,
    CommitClaim,
    CreateTopic,
    Entries,
    Entry,
    Error,
    Frame,
    Halt,
    Heads,
    Reason,
    RequestBody,
    Show,
    Subscribe,
)
from tests.support.founding import Founded, found

NAME = "relay-1"
DEVICES = ("cert-hr/a", "cert-hr/b", "cert-si/c", "cert-si/d")
online = cache(lambda: OnlineKey(COMPOSITE.load(Secret.random(64))))


@cache
def founded() -> Founded:
    """One federation for all tests of the mailroom."""
    kem = MLKEM768_X25519.generate()[1]
    card = {"name": NAME, "url": "ws://127.0.0.1:1", "kem": base64.b64encode(kem).decode()}
    return found({**card, "online": base64.b64encode(online().public).decode()}, DEVICES)


def digest(*what: object) -> bytes:
    """32 bytes that stand for a thing."""
    return hashlib.sha256(repr(what).encode()).digest()


@dataclass
class Clock:
    """Unix milliseconds, moved by hand."""

    now: int = field(default_factory=lambda: int(time.time()) * 1000)

    def __call__(self) -> int:
        return self.now


class Listener:
    """An `Outlet`: keeps frames in order; ``turns`` has those of each turn of the loop, as a record would."""

    def __init__(self) -> None:
        self.frames: list[Any] = []
        self.raw: list[bytes] = []
        self.turns: list[list[Any]] = []
        self.ended: Reason | None = None
        self.congested = False
        self._room = asyncio.Event()
        self._news = asyncio.Event()
        self._due = False

    def send(self, frames: bytes, /) -> None:
        body = Frame.decode(frames).body
        self.raw.append(frames)
        self.frames.append(body)
        if not self._due:
            self._due = True
            self.turns.append([])
            asyncio.get_running_loop().call_soon(self._flush)
        self.turns[-1].append(body)
        self._news.set()

    def _flush(self) -> None:
        self._due = False

    async def room(self) -> bool:
        while self.congested and self.ended is None:
            self._room.clear()
            await self._room.wait()
        return self.ended is None

    def relieve(self) -> None:
        """There is room again."""
        self.congested = False
        self._room.set()

    def end(self, reason: Reason, /) -> None:
        self.ended = self.ended or reason
        self._room.set()
        self._news.set()

    async def until(self, found: Callable[[], Any]) -> Any:
        """Wait until ``found()`` is true, looking whenever something comes."""
        while not (what := found()):
            self._news.clear()
            await self._news.wait()
        return what


class Client:
    """A session: asks, and sees what it is sent."""

    def __init__(self, desk: Desk, who: Who) -> None:
        self.outlet = Listener()
        self.member: Member = desk.mailroom.enter(who, self.outlet)
        self._number = 0

    async def ask(self, body: RequestBody) -> AnswerBody:
        """Ask as a client does: the answer comes through the outlet."""
        return await self.answer(self.send(body))

    def send(self, body: RequestBody) -> int:
        """Ask without waiting; the number of the request."""
        self._number += 1
        self.member.ask(self._number, body)
        return self._number

    async def answer(self, number: int) -> AnswerBody:
        def there() -> Answer | None:
            return next((f for f in self.outlet.frames if isinstance(f, Answer) and f.number == number), None)

        found = await self.outlet.until(there)
        assert isinstance(found, Answer)
        return found.body

    async def refused(self, body: RequestBody) -> Error:
        """Ask what is refused."""
        answer = await self.ask(body)
        assert isinstance(answer, Error), answer
        return answer

    def runs(self, topic: bytes) -> list[Entries]:
        return [f for f in self.outlet.frames if isinstance(f, Entries) and f.topic == topic]

    def entries(self, topic: bytes) -> list[Entry]:
        return [entry for run in self.runs(topic) for entry in run.entries]

    def bodies(self, topic: bytes) -> list[bytes]:
        return [entry.body for entry in self.entries(topic)]

    def heads(self) -> list[Heads]:
        return [f for f in self.outlet.frames if isinstance(f, Heads)]

    async def halted(self, topic: bytes, halt: Halt, count: int | None = None) -> list[Entry]:
        """Wait for a run that ends so (and, if given, for so many entries in all)."""

        def there() -> bool:
            runs = self.runs(topic)
            enough = count is None or sum(len(run.entries) for run in runs) >= count
            return bool(runs) and runs[-1].halt is halt and enough

        await self.outlet.until(there)
        return self.entries(topic)

    # ------------------------------------------------------------------------------------------ groups

    async def create(self, topic: bytes, secret: bytes, *readers: Client) -> None:
        """Found a group topic and show its first secret; ``readers`` show it too, and read from there."""
        claim = hashlib.sha256(secret).digest()
        for body in (CreateTopic(topic, claim), Show(topic, secret)):
            answer = await self.ask(body)
            assert not isinstance(answer, Error), answer
        for each in readers:
            await each.read(topic, secret)

    async def show(self, topic: bytes, secret: bytes) -> AnswerBody:
        return await self.ask(Show(topic, secret))

    async def read(self, topic: bytes, secret: bytes | None = None, after: int = 0) -> None:
        """Show and subscribe."""
        numbers = [] if secret is None else [self.send(Show(topic, secret))]
        numbers.append(self.send(Subscribe(topic, after)))
        for number in numbers:
            answer = await self.answer(number)
            assert not isinstance(answer, Error), answer

    async def say(self, topic: bytes, body: bytes, entry_id: bytes | None = None) -> AnswerBody:
        return await self.ask(Append(topic, entry_id or digest(topic, body), body, None))

    async def commit(self, topic: bytes, expected: int, secret: bytes, body: bytes = b"commit") -> AnswerBody:
        """Append a commit entry whose next epoch has ``secret``."""
        claim = CommitClaim(expected, hashlib.sha256(secret).digest())
        return await self.ask(Append(topic, digest(topic, "commit", secret, body, self.member.who), body, claim))


class Desk:
    """A mailroom that serves a federation of `DEVICES`."""

    def __init__(self, mailroom: Mailroom, store: Store, trust: TrustTopic, clock: Clock) -> None:
        self.mailroom = mailroom
        self.store = store
        self.trust = trust
        self.clock = clock

    def client(self, name: str) -> Client:
        """A new session of an enrolled device."""
        return Client(self, self.device(name))

    def device(self, name: str) -> Device:
        view = self.trust.view
        assert view is not None
        record = view.device(name)
        return Device(name, record.agency, frozenset(record.roles), record.hashes()[0], record.not_after)


@asynccontextmanager
async def open_desk(store: Store | None = None, clock: Clock | None = None, **how: Any) -> AsyncIterator[Desk]:
    """A desk; ``how``: what else the mailroom takes (bounds, disk, signer)."""
    store, clock = store or MemoryStore(), clock or Clock()
    trust = await TrustTopic.load(store, online=online(), clock=clock)
    how.setdefault("bounds", Bounds())
    mailroom = Mailroom(store, relay=NAME, clock=clock, trust=trust, **how)
    await mailroom.start()
    try:
        await trust.adopt(founded().bundle)
        yield Desk(mailroom, store, trust, clock)
    finally:
        await mailroom.stop()
