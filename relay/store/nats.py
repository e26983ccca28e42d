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
import json
import logging
import secrets
from collections import Counter, OrderedDict
from collections.abc import Awaitable, Coroutine, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Final, Self, TypeVar

from nats.errors import Error as NatsError

from relay.logs import event
from relay.store import base
from relay.store.base import Aged, Box, Known, Outcome, Run, Stored, StoreFailed, StoreFull, Topic, Upload, Write
from relay.store.feed import Feed
from relay.store.fold import PARTS, Fold, Part, Snapshot
from relay.store.housekeeping import Housekeeping
from relay.store.jetstream import TTL, ApiError, Behindhand, Link, Message, Unsure
from relay.store.news import Added, Dropped, Elsewhere, Hear, Lost, OfTopic, unheard
from relay.store.objects import Objects
from relay.store.pages import Pages
from relay.store.records import Records, short, token
from relay.store.topic_writes import COMMITTER, Numbered, TopicWrites
from securechan.errors import Malformed, Misuse

if TYPE_CHECKING:
    from relay.config import Nats

T = TypeVar("T")
log = logging.getLogger("relay.nats")

FOLDS: Final = 16_384  # topics that are followed though nobody has asked for them lately
LOADS: Final = 32  # topics that are read at once
SESSION_KEPT: Final = "600s"
LOOK: Final = 5.0  # seconds between two looks at the room that is left
TROUBLE: Final = (StoreFull, StoreFailed, Unsure, Behindhand, ApiError, NatsError, OSError)


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
        self._objects = Objects(link, self.records, prefix, settings.replicas)
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
        self._announced: dict[bytes, set[str]] = {}  # notices of sessions begun here that have not come back yet
        self._tasks: set[asyncio.Task[None]] = set()
        self.writes = TopicWrites(self)
        self.housekeeping = Housekeeping(self)
        self.pages = Pages(self)
        self._instance = secrets.token_hex(8)  # which of the relays this is
        self._free = 1.0
        self._cut = len(prefix) + 1
        self.feed: Feed

    @classmethod
    async def open(cls, settings: Nats) -> Self:
        """Connect, make what is not there yet. Raises `Unreachable`, `NotReady`."""
        link = await Link.open(settings)
        store = cls(link, settings)
        try:
            info = await link.stream(store.log_name, store._config)
            await link.stream(store.records.name, store.records.config)
            await link.stream(store._objects.name, store._objects.config)
        except BaseException:
            await link.close()
            raise
        store.feed = Feed(link, store.log_name, info["state"]["last_seq"], store._take, store._lost)
        store.spawn(store.feed.run())
        store.spawn(store._look())
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
            case ApiError() | Behindhand() | Unsure() | StoreFull() | StoreFailed() | NatsError() | OSError():
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
        """One more message of the log."""
        subject = message.subject
        if subject[self._cut] == "s":
            self._session(message)
            return
        name = subject[self._cut + 2 : self._cut + 45]
        fold = self._folds.get(name)
        if fold is not None:
            self._apply(name, fold, message)
        elif name in self._meanwhile:
            self._meanwhile[name].append(message)

    def _apply(self, name: str, fold: Fold, message: Message) -> None:
        told = self._understood(fold, message)
        if told is None:
            return
        if name in self._held:
            self._hear(told)
        if isinstance(told, Added):
            self.writes.arrived(fold, message, told)
        elif isinstance(told, Dropped):
            self.pages.forget(fold.topic)

    def _understood(self, fold: Fold, message: Message) -> OfTopic | None:
        try:
            return fold.take(message.sequence, *self._parts(message))
        except (Malformed, ValueError, KeyError, IndexError) as error:  # all relays pass over it alike
            event(log, "a message that no relay writes", level=logging.ERROR, why=str(error)[:200])
            return None

    def part(self, message: Message) -> Part:
        """Which kind of message of its topic it is."""
        return PARTS[message.subject[self._cut + 46]]

    def _parts(self, message: Message) -> tuple[Part, bytes, bytes]:
        """What a fold is given of a message."""
        part = self.part(message)
        committer = message.headers.get(COMMITTER) if part is Part.ORDERED else None
        return part, message.data, bytes.fromhex(committer) if committer else b""

    def _session(self, message: Message) -> None:
        said = json.loads(message.data)
        who = bytes.fromhex(said["who"])
        if said["relay"] == self._instance:
            ours = self._announced.get(who, set())
            ours.discard(said["notice"])  # it may come twice, where nobody knew whether it had been taken
            if not ours:
                self._announced.pop(who, None)
        elif who not in self._announced:  # else ours begins after that one
            self._hear(Elsewhere(who))

    def announce(self, who: bytes) -> None:
        notice = secrets.token_hex(8)
        self._announced.setdefault(who, set()).add(notice)
        self.spawn(self._announce(who, notice))

    async def _announce(self, who: bytes, notice: str) -> None:
        body = json.dumps({"who": who.hex(), "relay": self._instance, "notice": notice}).encode()
        while True:
            try:
                await self.link.put(f"{self.prefix}.s.{short(who)}", body, headers={TTL: SESSION_KEPT})
            except (Unsure, StoreFull, StoreFailed):
                await asyncio.sleep(1.0)  # the cluster is away: the notice is due as soon as it is back
            else:
                return

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
            loading.add_done_callback(lambda _: self._loading.pop(name, None))
        return await asyncio.shield(loading)

    async def _load(self, topic: bytes, name: str) -> Fold:
        meanwhile = self._meanwhile[name] = []
        try:
            async with self._loads, asyncio.timeout(15.0):  # less than a purge waits
                kept = await self.records.get(f"topic.{name}")
                fold = Fold(topic) if kept is None else Fold.restore(topic, Snapshot.decode(kept.data))
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

    # ---------------------------------------------------------------------------------------------- writing

    async def commit(self, batch: Sequence[Write]) -> Sequence[Outcome]:
        if not self.link.up:
            raise StoreFailed("the cluster is not reached", retry_after=2.0)
        outcomes: list[Outcome | None] = [None] * len(batch)
        free: list[Numbered] = []  # however many topics they are about: they travel together
        lanes: dict[object, list[tuple[int, Write]]] = {}
        for place, write in enumerate(batch):
            fold = self.followed(write.topic) if isinstance(write, base.Append) else None
            if isinstance(write, base.Append) and fold is not None and self.writes.is_free(fold, write):
                free.append((place, write))
            else:
                lanes.setdefault(_about(write), []).append((place, write))
        if lanes:  # what is about the same thing as one of those keeps its order
            for place, write in free:
                if write.topic in lanes:
                    lanes[write.topic].append((place, write))
            free = [each for each in free if each[1].topic not in lanes]
        pinned = {topic_name(write.topic) for _, write in free}
        pinned |= {topic_name(thing) for thing in lanes if isinstance(thing, bytes)}
        self._pinned.update(pinned)
        try:
            work = [self._lane(sorted(lane, key=_place), outcomes) for lane in lanes.values()]
            await asyncio.gather(self._run(free, outcomes), *work)
        finally:
            for name in pinned:
                self._pinned[name] -= 1
                if not self._pinned[name]:
                    del self._pinned[name]
        return [_sure(each) for each in outcomes]

    async def _lane(self, lane: list[tuple[int, Write]], outcomes: list[Outcome | None]) -> None:
        """Writes about one thing, in order."""
        at = 0
        while at < len(lane):
            run: list[Numbered] = []
            try:
                run = await self.writes.free_run(lane[at:])
                if not run:
                    outcomes[lane[at][0]] = await self._do(lane[at][1])
            except TROUBLE as error:
                outcomes[lane[at][0]] = _failure(error)
            await self._run(run, outcomes)
            at += max(len(run), 1)

    async def _run(self, run: list[Numbered], outcomes: list[Outcome | None]) -> None:
        """Entries that anybody may add at any time."""
        try:
            if run:
                await self.writes.append_all(run, outcomes)
        except TROUBLE as error:
            for place, _ in run:
                outcomes[place] = outcomes[place] or _failure(error)

    async def _do(self, write: Write) -> Outcome:
        match write:
            case base.Append():
                return await self.writes.append(write)
            case base.NewTopic():
                return await self.writes.new_topic(write)
            case base.NewBox():
                return await self.writes.new_box(write)
            case base.Confirm():
                return await self.writes.confirm(write)
            case base.TrimTo():
                return await self.writes.trim(write)
            case base.DropTopic():
                return await self.writes.drop(write)
            case base.PutPackages():
                return await self.records.put_packages(write)
            case base.TakePackage():
                return await self.records.take_package(write)
            case base.PutPart():
                return await self._objects.put_part(write)
            case base.DropUpload():
                return await self._objects.drop_upload(write)
            case base.Charge():
                return await self.records.charge(write)
            case base.Sweep():
                gone = await self._objects.sweep(write.now, write.limit)
                gone += await self.housekeeping.sweep_boxes(write.now, write.limit)
                gone += await self.records.forget_spent(write.now, write.limit)
                return base.Counted(gone + await self.records.forget_charges(write.now, write.limit))

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
        return await self._ask(self._objects.blob(blob))

    async def piece(self, blob: bytes, offset: int, size: int) -> bytes:
        return await self._ask(self._objects.piece(blob, offset, size))

    async def upload(self, owner: bytes, blob: bytes) -> Upload | None:
        return await self._ask(self._objects.upload(owner, blob))

    async def upload_piece(self, owner: bytes, blob: bytes, offset: int, size: int) -> bytes:
        return await self._ask(self._objects.upload_piece(owner, blob, offset, size))

    async def charges(self, since: int) -> dict[str, int]:
        return await self._ask(self.records.charges(since))

    async def usage(self) -> int:
        state = (await self._ask(self.link.api(f"STREAM.INFO.{self.log_name}")))["state"]
        sizes = await asyncio.gather(self._ask(self.records.size()), self._ask(self._objects.size()))
        return int(state["bytes"]) + sum(sizes)

    async def aged(self, cursor: bytes, limit: int, before: int) -> Aged:
        return await self._ask(self.housekeeping.aged(cursor, limit, before))

    def free(self) -> float:
        return self._free

    async def _look(self) -> None:
        """Look now and then how much room is left: of the log's bound, and of what the account may store."""
        while True:
            with contextlib.suppress(ApiError, Unsure, StoreFailed):  # it is asked again soon
                info = await self.link.api(f"STREAM.INFO.{self.log_name}")
                account = await self.link.api("INFO")
                limits = account.get("limits") or {}
                self._free = min(
                    _left(info["state"]["bytes"], info["config"].get("max_bytes", -1)),
                    _left(account.get("storage", 0), limits.get("max_storage", -1)),
                )
            await asyncio.sleep(LOOK)


def _left(used: int, most: int) -> float:
    return 1.0 if most <= 0 else max(most - used, 0) / most


def _about(write: Write) -> object:
    """What a write is about: those about one thing keep their order."""
    match write:
        case base.PutPackages() | base.TakePackage():
            return write.device, write.suite
        case base.PutPart() | base.DropUpload():
            return write.owner, write.blob
        case base.Charge():
            return write.agency
        case base.Sweep():
            return None
        case _:
            return write.topic


def _place(numbered: tuple[int, Write]) -> int:
    return numbered[0]


def _failure(error: Exception) -> StoreFull | StoreFailed:
    """What a write is answered that nobody knows the outcome of."""
    if isinstance(error, StoreFull | StoreFailed):
        return error
    return StoreFailed(f"the cluster did not confirm it: {error}", retry_after=1.0)


def _sure(outcome: Outcome | None) -> Outcome:
    if outcome is None:
        raise Misuse("a write without an outcome")
    return outcome
