"""Stores whose waits take a seeded number of the event loop's turns: what threads, disks and clusters do to a schedule.

    mailroom ──commit──▶ View ──turns──▶ the log (durable: reads see it) ──turns──▶ news told ──(turns)──▶ answered
    mailroom ──read────▶ View ──turns──▶ the log, as it is then ──────────turns──▶ answered

The store below is one that never waits; everything that the contract of `relay.store.base` leaves open is drawn from
one generator, so a seed is a schedule. What asyncio itself promises (callbacks in the order of `call_soon`) is kept:
the relay may rely on it.

A *file* tells the news of a batch and answers it in one step, some turns after readers could see it. A *cluster* has
one `View` for each relay: each hears everything in one order, at its own pace, its own writes before they are answered;
now and then nobody knows what became of a write that is there.
"""

from __future__ import annotations

import asyncio
import random
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

from relay.store.base import (
    Aged,
    Append,
    Box,
    Health,
    Known,
    Outcome,
    Placed,
    Run,
    Stored,
    StoreFailed,
    Topic,
    Upload,
    Write,
)
from relay.store.local import LocalStore
from relay.store.news import Added, Confirmed, Dropped, Elsewhere, Hear, News, Shortened, unheard

T = TypeVar("T")
MOST = 12  # turns of one wait


class Chance:
    """Where the schedule comes from. ``calm``: nothing fails any more, and turns are few."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.calm = False
        self.failing = 0.0

    def fails(self) -> bool:
        return not self.calm and self.random.random() < self.failing

    async def turns(self, most: int = MOST) -> None:
        """Wait, mostly shortly."""
        count = self.random.choice((0, 1, 1, 2, 3, self.random.randrange(most + 1)))
        for _ in range(count):
            await asyncio.sleep(0)


@dataclass
class _Session:
    """A notice of `Store.announce` on its way to all relays."""

    who: bytes
    by: View
    number: int


@dataclass
class Truth:
    """What became durable of one topic, through all its lives: places to entry ids, and how often it was dropped."""

    lives: list[dict[int, bytes]] = field(default_factory=lambda: [{}])
    commits: list[set[int]] = field(default_factory=lambda: [set()])


class Log:
    """What is durable, whoever wrote it."""

    def __init__(self, store: LocalStore, chance: Chance, *, shared: bool) -> None:
        self.store = store
        self.chance = chance
        self.shared = shared
        self.views: list[View] = []
        self.truth: dict[bytes, Truth] = {}
        self.trimmed: dict[bytes, int] = {}
        self.confirmed: dict[bytes, set[int]] = {}
        self.notices = 0
        store.listen(self._durable)

    def of(self, topic: bytes) -> Truth:
        return self.truth.setdefault(topic, Truth())

    def _durable(self, news: News) -> None:
        match news:
            case Added(topic, _, stored):
                truth = self.of(topic)
                assert stored.sequence not in truth.lives[-1]
                truth.lives[-1][stored.sequence] = stored.entry_id
                if stored.is_commit:
                    truth.commits[-1].add(stored.sequence)
            case Shortened(topic, trimmed):
                self.trimmed[topic] = trimmed.sequence
            case Confirmed(topic, row):
                self.confirmed.setdefault(topic, set()).add(row.sequence)
            case Dropped(topic):
                self.trimmed.pop(topic, None)
                self.confirmed.pop(topic, None)
                self.of(topic).lives.append({})
                self.of(topic).commits.append(set())
            case _:
                pass
        for view in self.views:
            view.add(news)


class View:
    """The `Store` of one relay."""

    def __init__(self, log: Log) -> None:
        self._log = log
        self._store = log.store
        self._chance = log.chance
        self._hear: Hear = unheard
        self._untold: deque[News | _Session] = deque()
        self._added = self._told = 0  # news, ever
        self._telling = asyncio.Event()
        self._progress = asyncio.Event()
        self._held: set[bytes] = set()
        self._mine: dict[bytes, int] = {}
        self.last: dict[bytes, int] = {}  # the newest entry told, by topic
        self.life: dict[bytes, int] = {}  # how often a topic was said to be dropped
        self.dropped: Callable[[bytes], None] = lambda _: None
        log.views.append(self)
        self._teller = asyncio.create_task(self._tell_all()) if log.shared else None

    @property
    def untold(self) -> int:
        """How many news are on their way."""
        return len(self._untold)

    @property
    def fellows(self) -> list[View]:
        return self._log.views

    def truth(self, topic: bytes) -> Truth:
        """What is durable of a topic."""
        return self._log.of(topic)

    def trimmed(self, topic: bytes) -> int:
        """Up to where entries of a topic are gone."""
        return self._log.trimmed.get(topic, 0)

    def base(self, topic: bytes) -> int:
        """The last commit that is confirmed, through whichever relay."""
        return max(self._log.confirmed.get(topic, ()), default=0)

    # ---------------------------------------------------------------------------------------------- news

    def add(self, news: News | _Session) -> None:
        self._added += 1
        self._untold.append(news)
        self._telling.set()

    def listen(self, hear: Hear) -> None:
        self._hear = hear

    def release(self, topic: bytes) -> None:
        self._held.discard(topic)

    async def _tell_all(self) -> None:
        while True:
            await self._telling.wait()
            self._telling.clear()
            while self._untold:
                await self._chance.turns()
                for _ in range(self._chance.random.choice((1, 1, 2, len(self._untold)))):
                    if self._untold:
                        self._tell_one()

    def _tell_one(self) -> None:
        news = self._untold.popleft()
        self._told += 1
        progress, self._progress = self._progress, asyncio.Event()
        progress.set()
        if isinstance(news, _Session):
            if news.by is not self and self._mine.get(news.who, 0) < news.number:
                self._hear(Elsewhere(news.who))
            return
        match news:
            case Added(topic, _, stored):
                self.last[topic] = stored.sequence
            case Dropped(topic):
                self.last[topic] = 0
                self.life[topic] = self.life.get(topic, 0) + 1
                self.dropped(topic)
            case _:
                pass
        if not self._log.shared or news.topic in self._held:  # type: ignore[union-attr] # sessions are told above
            self._hear(news)

    async def _all_told(self) -> None:
        """Return when all that is durable by now was told here."""
        upto = self._added
        while self._told < upto:
            await self._progress.wait()

    def announce(self, who: bytes) -> None:
        if self._log.shared:
            self._log.notices += 1
            self._mine[who] = self._log.notices
            for view in self._log.views:
                view.add(_Session(who, self, self._log.notices))

    def retract(self, who: bytes) -> None:
        self._mine.pop(who, None)

    # ---------------------------------------------------------------------------------------------- writing

    async def commit(self, batch: Sequence[Write]) -> Sequence[Outcome]:
        await self._chance.turns()
        if self._chance.fails():
            raise StoreFailed("this batch is refused", retry_after=1.0)
        outcomes: list[Outcome] = list(await self._store.commit(batch))
        if self._log.shared:
            await self._all_told()
            for place, write in enumerate(batch):
                if isinstance(write, Append) and isinstance(outcomes[place], Placed) and self._chance.fails():
                    outcomes[place] = StoreFailed("nobody knows what became of it", retry_after=1.0)
            await self._chance.turns()
        else:
            await self._chance.turns()
            while self._untold:
                self._tell_one()
        return outcomes

    async def settle(self) -> None:
        await self._chance.turns()
        if self._log.shared:
            await self._all_told()
            await self._chance.turns()

    # ---------------------------------------------------------------------------------------------- reading

    async def _ask(self, question: Callable[[], Awaitable[T]]) -> T:
        await self._chance.turns()
        if self._chance.fails():
            raise StoreFailed("this can't be read", retry_after=1.0)
        answer = await question()
        await self._chance.turns()
        return answer

    async def topic(self, topic: bytes) -> Topic | None:
        held = topic in self._held
        self._held.add(topic)

        async def head() -> Topic | None:
            if self._log.shared and not held:  # read to its end, and followed from there
                for place, news in enumerate(self._untold):
                    if not isinstance(news, _Session | Elsewhere) and getattr(news, "topic", b"") == topic:
                        self._untold[place] = _Session(b"", self, 0)
                self.last[topic] = max(self._log.of(topic).lives[-1], default=0)
                self.life[topic] = len(self._log.of(topic).lives) - 1
            return await self._store.topic(topic)

        return await self._ask(head)

    async def read(self, topic: bytes, after: int, upto: int | None, size: int) -> Run:
        return await self._ask(lambda: self._store.read(topic, after, upto, size))

    async def entry(self, topic: bytes, entry_id: bytes) -> Stored | None:
        return await self._ask(lambda: self._store.entry(topic, entry_id))

    async def known(self, topic: bytes, access: bytes) -> Known | None:
        return await self._ask(lambda: self._store.known(topic, access))

    async def box(self, topic: bytes) -> Box | None:
        return await self._ask(lambda: self._store.box(topic))

    async def packages(self, device: str, suite: int) -> int:
        return await self._ask(lambda: self._store.packages(device, suite))

    async def blob(self, blob: bytes) -> int | None:
        return await self._ask(lambda: self._store.blob(blob))

    async def piece(self, blob: bytes, offset: int, size: int) -> bytes:
        return await self._ask(lambda: self._store.piece(blob, offset, size))

    async def upload(self, owner: bytes, blob: bytes) -> Upload | None:
        return await self._ask(lambda: self._store.upload(owner, blob))

    async def upload_piece(self, owner: bytes, blob: bytes, offset: int, size: int) -> bytes:
        return await self._ask(lambda: self._store.upload_piece(owner, blob, offset, size))

    async def usage(self) -> int:
        return await self._ask(self._store.usage)

    async def charges(self, since: int) -> dict[str, int]:
        return await self._ask(lambda: self._store.charges(since))

    async def aged(self, cursor: bytes, limit: int, before: int) -> Aged:
        return await self._ask(lambda: self._store.aged(cursor, limit, before))

    def free(self) -> float:
        return 1.0

    def health(self) -> Health:
        return Health()

    async def close(self) -> None:
        if self._teller is not None:
            self._teller.cancel()
            await asyncio.gather(self._teller, return_exceptions=True)
