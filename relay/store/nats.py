"""The store on a NATS JetStream cluster: any number of relays over one replicated log.

    PREFIX.t.TOPIC.n        the topic is there           ┐
    PREFIX.t.TOPIC.a.ID     an entry anybody may add     │ one stream: its sequence numbers are those of the entries,
    PREFIX.t.TOPIC.c        an entry that follows        │ its order is the order of each topic
                            the one before it            │
    PREFIX.t.TOPIC.x        confirmed, trimmed, dropped  │
    PREFIX.s.WHO            a session has begun          ┘ gone after ten minutes

What a relay knows of a topic is what follows from its messages (`relay.store.fold`), which it hears through one feed
(`relay.store.feed`), its own like those of others. So a write is done when it comes back: then a majority has it, its
place is known, and everything before it.

**Ids live as long as their entries**, not for a window of time: the id of an entry is its subject, published expecting
that this subject has no message yet, so that the cluster refuses the second one, through whichever relay it comes and
however late. **Commits are compared and appended**: they share one subject per topic, and each expects the last one.
When an expectation does not hold, or nobody knows what became of a write, the log is read before anything is said; the
same write can then be tried again.

**What is durable when**: an entry is acknowledged when a majority of the replicas has written it to its log. With
``sync_interval: always`` in the servers' configuration that means on disk. Without it (two minutes by default) it
means in the memory of a majority's kernels: it outlives the death of any process, and of a minority of machines; a
power cut that takes a majority at once can lose the last moments, and the relay then says that it lost track.

**Trimming** leaves the last commit of a topic, says so in the log, puts the topic's head away, and purges a while
later, so that no relay that lags a little misses what it had not heard yet.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import Counter, OrderedDict
from collections.abc import Awaitable, Collection, Coroutine, Iterator, Sequence
from functools import lru_cache, partial
from typing import TYPE_CHECKING, Final, Self, TypeVar

from nats.errors import Error as NatsError

from relay.logs import event
from relay.store.base import Aged, Box, Health, Known, Outcome, Run, Stored, StoreFailed, Topic, Upload, Write
from relay.store.batches import Batches
from relay.store.feed import Feed
from relay.store.fold import PARTS, Fold, Part, entry_of
from relay.store.housekeeping import Housekeeping
from relay.store.jetstream import TROUBLE, ApiError, Link, Message, Unsure
from relay.store.news import Added, Dropped, Elsewhere, Hear, Lost, OfTopic, unheard
from relay.store.objects import Objects
from relay.store.pages import Pages
from relay.store.records import Records, token
from relay.store.sessions import Sessions
from relay.store.streams import ready
from relay.store.topic_writes import COMMITTER, TopicWrites
from relay.store.watch import Watch
from securechan.errors import Malformed

if TYPE_CHECKING:
    from relay.config import Nats

T = TypeVar("T")
log = logging.getLogger("relay.nats")

FOLDS: Final = 16_384  # topics that are followed though nobody has asked for them lately
LOADS: Final = 32  # topics that are read at once
UNREADABLE: Final = (Malformed, ValueError, KeyError, IndexError, TypeError)
"""What comes of reading something that no relay writes."""


topic_name = lru_cache(1 << 16)(token)
"""A topic's token in subjects and keys."""


class NatsStore:
    """A `Store` that many relays share. Make it with `open`."""

    def __init__(self, link: Link, settings: Nats) -> None:
        prefix = settings.prefix
        self.link = link
        self.prefix = prefix
        self.log_name = f"{prefix}-log"
        self.records = Records(link, prefix, settings.replicas)
        self.objects = Objects(link, self.records, prefix, settings.replicas)
        self._config = {
            "subjects": [f"{prefix}.t.>", f"{prefix}.s.*"],
            "storage": "file",
            "num_replicas": settings.replicas,
            "max_bytes": settings.max_bytes or -1,
            "discard": "new",
            "allow_direct": True,
            "allow_msg_ttl": True,
        }
        self._hear: Hear = unheard
        self._folds: OrderedDict[str, Fold] = OrderedDict()  # by the topic's token
        self._held: set[str] = set()  # asked for and not released
        self._pinned: Counter[str] = Counter()  # written to just now
        self._loading: dict[str, asyncio.Future[Fold]] = {}
        self._loads = asyncio.Semaphore(LOADS)
        self._meanwhile: dict[str, list[Message]] = {}  # of topics that are being loaded
        self._tasks: set[asyncio.Task[None]] = set()
        self.writes = TopicWrites(self)
        self._batches = Batches(self, self.writes)
        self.housekeeping = Housekeeping(self)
        self.pages = Pages(self)
        self._sessions = Sessions(link, prefix, self.spawn, lambda who: self._hear(Elsewhere(who)))
        self.watch = Watch(link, self.log_name, self._config)
        self._unreadable = 0
        self._untold: tuple[int, OfTopic] | None = None  # the last message, while who listens has not taken it
        self._cut = len(prefix) + 1
        self.feed: Feed

    @classmethod
    async def open(cls, settings: Nats) -> Self:
        """Connect, make what is not there yet. Raises `Unreachable`, `NotReady`."""
        link = await Link.open(settings)
        store = cls(link, settings)
        try:
            info = await ready(link, store.log_name, store._config)
            await ready(link, store.records.name, store.records.config)
            await ready(link, store.objects.name, store.objects.config)
        except BaseException:
            await link.close()
            raise
        store.watch.bounded(info["config"])
        last: int = info["state"]["last_seq"]
        store.feed = Feed(link, store.log_name, info["created"], last, store._take, store._lost)
        store.spawn(store.feed.run())
        store.spawn(store.watch.run())
        return store

    def spawn(self, work: Coroutine[None, None, None]) -> None:
        """Do this beside everything else, until the store is closed."""
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        error = None if task.cancelled() else task.exception()
        match error:
            case None:
                pass
            case _ if isinstance(error, TROUBLE):
                event(log, "left for another time", level=logging.WARNING, why=str(error)[:200])
            case _:
                log.critical("a part of the store failed", exc_info=error)
                self._hear(Lost())

    async def close(self) -> None:
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self.link.close()

    # ---------------------------------------------------------------------------------------------- the feed

    def listen(self, hear: Hear) -> None:
        self._hear = hear

    def release(self, topic: bytes) -> None:
        self._held.discard(topic_name(topic))

    def _lost(self, why: str) -> None:
        event(log, "lost track of the cluster", level=logging.CRITICAL, why=why)
        self.pages.forget()
        self._hear(Lost())

    def _take(self, message: Message) -> None:
        """One more message of the log. Where this raises, it may be called again with the same one."""
        subject = message.subject
        if subject[self._cut] == "s":
            try:
                self._sessions.take(message)
            except UNREADABLE as error:
                self._pass_over(message, error)
            return
        name = subject[self._cut + 2 : self._cut + 45]
        fold = self._folds.get(name)
        if fold is not None:
            self._apply(name, fold, message)
        elif name in self._meanwhile:
            self._meanwhile[name].append(message)

    def _apply(self, name: str, fold: Fold, message: Message) -> None:
        if self._untold is not None and self._untold[0] == message.sequence:  # the fold has it, who listens has not
            told: OfTopic | None = self._untold[1]
        else:
            try:
                told = self._understood(fold, message)
            except Exception:
                self._lost(f"what is known of a topic can't be relied on after message {message.sequence}")
                raise
        if told is None:
            return
        if name in self._held:
            self._untold = message.sequence, told
            self._hear(told)
            self._untold = None
        if isinstance(told, Added):
            self.writes.arrived(fold, message, told)
        elif isinstance(told, Dropped):
            self.pages.forget(fold.topic)

    def _understood(self, fold: Fold, message: Message) -> OfTopic | None:
        try:
            return fold.take(message.sequence, *self._parts(message))
        except UNREADABLE as error:
            self._pass_over(message, error)
            return None

    def _pass_over(self, message: Message, error: Exception) -> None:
        """Something that no relay writes. Whoever reads it passes over it, so all still know the same."""
        self._unreadable += 1
        why = f"{type(error).__name__}: {error}"[:200]
        event(log, "a message that no relay writes", level=logging.ERROR, place=message.sequence, why=why)

    def stored(self, message: Message) -> Stored | None:
        """The entry that a message of a topic is; None where it is none."""
        try:
            part, body, committer = self._parts(message)
            if part in (Part.FREE, Part.ORDERED):
                return entry_of(message.sequence, part, body, committer)[0]
        except UNREADABLE as error:
            self._pass_over(message, error)
        return None

    def _parts(self, message: Message) -> tuple[Part, bytes, bytes]:
        """What a fold is given of a message. Raises one of `UNREADABLE` where no relay writes such."""
        part = PARTS[message.subject[self._cut + 46]]
        if part is not Part.ORDERED:
            return part, message.data, b""
        try:
            committer = bytes.fromhex(message.headers.get(COMMITTER, ""))
        except ValueError:
            committer = b""  # a commit entry without one is refused by the fold
        return part, message.data, committer

    def health(self) -> Health:
        trouble = "" if self.link.up else "the cluster is not reached"
        return Health(trouble or self.watch.trouble or self.feed.trouble, self._unreadable)

    def announce(self, who: bytes) -> None:
        self._sessions.announce(who)

    def retract(self, who: bytes) -> None:
        self._sessions.retract(who)

    # ---------------------------------------------------------------------------------------------- folds

    def name(self, topic: bytes) -> str:
        """A topic's token in subjects and keys."""
        return topic_name(topic)

    def subject(self, topic: bytes, part: Part | None = None, entry_id: bytes | None = None) -> str:
        """The subject of a topic's messages: of all of them, of a part, or of one entry."""
        start = f"{self.prefix}.t.{topic_name(topic)}"
        if part is None:
            return f"{start}.>"
        return f"{start}.{part.value}" if entry_id is None else f"{start}.{part.value}.{token(entry_id[:16])}"

    def followed(self, topic: bytes) -> Fold | None:
        """What is known of a topic, if it is followed already."""
        name = topic_name(topic)
        fold = self._folds.get(name)
        if fold is not None:
            self._folds.move_to_end(name)
        return fold

    async def fold(self, topic: bytes) -> Fold:
        """What is known of a topic, followed from now on."""
        fold = self.followed(topic)
        if fold is not None:
            return fold
        name = topic_name(topic)
        loading = self._loading.get(name)
        if loading is None:
            loading = self._loading[name] = asyncio.ensure_future(self._load(topic, name))
            loading.add_done_callback(partial(self._loaded, name))
        return await asyncio.shield(loading)

    def _loaded(self, name: str, loading: asyncio.Future[Fold]) -> None:
        self._loading.pop(name, None)
        if not loading.cancelled():
            loading.exception()  # for whoever waits; where nobody does any more, nobody is told

    async def _load(self, topic: bytes, name: str) -> Fold:
        meanwhile = self._meanwhile[name] = []
        try:
            async with self._loads, asyncio.timeout(15.0):  # less than a purge waits
                kept, _ = await self.records.snapshot(name)
                fold = Fold(topic) if kept is None else Fold.restore(topic, kept)
                subject = self.subject(topic)
                newest = await self.link.last(self.log_name, subject)
                if newest is not None:
                    async for message in self.link.walk(self.log_name, subject, fold.at + 1, newest.sequence):
                        self._understood(fold, message)
        except TimeoutError:
            raise Unsure("the topic could not be read in time") from None
        finally:
            del self._meanwhile[name]
        self.pages.forget(topic)  # it may have been dropped while nobody here followed it
        self._folds[name] = fold
        for message in meanwhile:
            self._apply(name, fold, message)
        self._shed()
        return fold

    def _shed(self) -> None:
        """Follow no more topics than there is room for, but all that are needed; the longest unused go first."""
        spare = len(self._folds) - FOLDS
        if spare > FOLDS // 8:  # not each time, for all are looked at
            idle = [name for name in self._folds if name not in self._held and name not in self._pinned]
            for name in idle[:spare]:
                del self._folds[name]

    @contextlib.contextmanager
    def pinned(self, topics: Collection[bytes]) -> Iterator[None]:
        """These topics are followed meanwhile, if they are already."""
        names = {topic_name(topic) for topic in topics}
        self._pinned.update(names)
        try:
            yield
        finally:
            for name in names:
                self._pinned[name] -= 1
                if not self._pinned[name]:
                    del self._pinned[name]

    # ---------------------------------------------------------------------------------------------- writing

    async def commit(self, batch: Sequence[Write]) -> Sequence[Outcome]:
        if not self.link.up:
            raise StoreFailed("the cluster is not reached", retry_after=2.0)
        return await self._batches.commit(batch)

    # ---------------------------------------------------------------------------------------------- reading

    async def _ask(self, answer: Awaitable[T]) -> T:
        try:
            return await answer
        except (Unsure, ApiError, NatsError, OSError) as error:
            raise StoreFailed(f"the cluster did not answer: {error}", retry_after=1.0) from error

    async def settle(self) -> None:
        await self._ask(self.writes.catch_up())

    async def topic(self, topic: bytes) -> Topic | None:
        self._held.add(topic_name(topic))
        return (await self._ask(self.fold(topic))).head()

    async def read(self, topic: bytes, after: int, upto: int | None, size: int) -> Run:
        return await self._ask(self._read(topic, after, upto, size))

    async def _read(self, topic: bytes, after: int, upto: int | None, size: int) -> Run:
        fold = await self.fold(topic)
        return await self.pages.entries(fold, after, fold.last.sequence if upto is None else upto, size)

    async def entry(self, topic: bytes, entry_id: bytes) -> Stored | None:
        found = await self._ask(self.writes.find(topic, entry_id))
        return found if found is not None and found.entry_id == entry_id else None

    async def known(self, topic: bytes, access: bytes) -> Known | None:
        return (await self._ask(self.fold(topic))).known(access)

    async def box(self, topic: bytes) -> Box | None:
        return (await self._ask(self.fold(topic))).box

    async def packages(self, device: str, suite: int) -> int:
        return await self._ask(self.records.packages(device, suite))

    async def blob(self, blob: bytes) -> int | None:
        return await self._ask(self.objects.blob(blob))

    async def piece(self, blob: bytes, offset: int, size: int) -> bytes:
        return await self._ask(self.objects.piece(blob, offset, size))

    async def upload(self, owner: bytes, blob: bytes) -> Upload | None:
        return await self._ask(self.objects.upload(owner, blob))

    async def upload_piece(self, owner: bytes, blob: bytes, offset: int, size: int) -> bytes:
        return await self._ask(self.objects.upload_piece(owner, blob, offset, size))

    async def charges(self, since: int) -> dict[str, int]:
        return await self._ask(self.records.charges(since))

    async def usage(self) -> int:
        state = (await self._ask(self.link.api(f"STREAM.INFO.{self.log_name}")))["state"]
        sizes = await asyncio.gather(self._ask(self.records.size()), self._ask(self.objects.size()))
        return int(state["bytes"]) + sum(sizes)

    async def aged(self, cursor: bytes, limit: int, before: int) -> Aged:
        return await self._ask(self.housekeeping.aged(cursor, limit, before - 1000 * self.watch.ahead))

    def free(self) -> float:
        return self.watch.free
