"""A topic that somebody uses: its head, its newest entries, and who is reading it how far.

    Reader.state    IDLE      secrets were shown, nothing is subscribed
                    TAIL      has everything; new entries are pushed as they become durable
                    LAGGING   is to be brought up to date (`relay.catchup`)
                    HALTED    the last entry sent is a commit; waits for a secret
                    ENDED     this session's secrets open nothing further

A reader at TAIL has been sent exactly the entries up to the topic's last. The cursor is the client's: the relay keeps
it for a session, and forgets it with the session.
"""

from __future__ import annotations

import asyncio
import enum
from collections import Counter, OrderedDict, deque
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from relay.access import Access
from relay.bounds import Bounds
from relay.outgoing import entries_frame
from relay.store.base import Box, Confirm, Store, Stored, Topic, TopicKind
from relay.store.news import OfTopic
from securechan.wire.chain import Position, start
from securechan.wire.frames import Halt

if TYPE_CHECKING:
    from relay.member import Member

_WITNESSES: Final = 4096  # devices of one topic whose showing is remembered


class State(enum.Enum):
    """See the head of this file."""

    IDLE = enum.auto()
    TAIL = enum.auto()
    LAGGING = enum.auto()
    HALTED = enum.auto()
    ENDED = enum.auto()


@dataclass(slots=True, eq=False)
class Reader:
    """One session's dealings with one topic."""

    member: Member
    topic: OpenTopic
    state: State = State.IDLE
    cursor: int = 0  # the last entry that was sent
    shown: set[int] = field(default_factory=set)  # commits whose secrets were shown and not closed at the time
    top: int = -1  # the newest commit whose secret was shown, closed or not
    closed_by: int = -1  # how far closed secrets read

    @property
    def subscribed(self) -> bool:
        return self.state is not State.IDLE

    def limit(self) -> int | None:
        """The last sequence this session may read; None: to the tail."""
        access = self.topic.access
        return None if access is None or access.reads(self.shown) else self.closed_by


class Tail:
    """The newest entries of a topic without a gap: all those after ``start``."""

    __slots__ = ("bound", "entries", "size", "start")

    def __init__(self, start: int, bound: int) -> None:
        self.start = start
        self.bound = bound
        self.size = 0
        self.entries: deque[Stored] = deque()

    def add(self, entry: Stored) -> int:
        """Hold one more, and let go of the oldest beyond the bound; by how many bytes it grew."""
        before = self.size
        self.entries.append(entry)
        self.size += len(entry.wire)
        while self.size > self.bound:
            self._drop()
        return self.size - before

    def _drop(self) -> None:
        gone = self.entries.popleft()
        self.start = gone.sequence
        self.size -= len(gone.wire)

    def clear(self) -> int:
        """Forget all entries; the bytes that were held."""
        size = self.size
        while self.entries:
            self._drop()
        return size

    def after(self, cursor: int) -> list[Stored] | None:
        """The entries after ``cursor``; None when some of them are not here."""
        if cursor < self.start:
            return None
        newest: list[Stored] = []
        for entry in reversed(self.entries):
            if entry.sequence <= cursor:
                break
            newest.append(entry)
        newest.reverse()
        return newest


@dataclass(slots=True, eq=False)
class OpenTopic:
    """A topic's head and readers, in memory."""

    id: bytes
    kind: TopicKind | None  # None: there is no such topic (yet)
    last: Position
    commit: int
    commit_id: bytes
    trimmed: Position
    access: Access | None
    tail: Tail
    box: Box | None = None
    closes: int = 0  # how far what the newest confirmation closed reads, as far as it was heard
    unsaved: Confirm | None = None  # the newest confirmation, until it is durable
    readers: dict[Member, Reader] = field(default_factory=dict)
    witnesses: OrderedDict[bytes, frozenset[int]] = field(default_factory=OrderedDict)
    users: int = 0  # requests that hold it
    head_sent: float = float("-inf")  # when signed heads were last pushed

    def reader(self, member: Member) -> Reader:
        found = self.readers.get(member)
        if found is None:
            found = self.readers[member] = Reader(member, self)
        return found

    def remember(self, device: bytes, sequence: int) -> None:
        """``device`` showed the live secret that the commit at ``sequence`` claimed."""
        self.witnesses[device] = self.witnesses.get(device, frozenset()) | {sequence}
        self.witnesses.move_to_end(device)
        if len(self.witnesses) > _WITNESSES:
            self.witnesses.popitem(last=False)

    def closed(self, base: int, closes: int) -> Iterator[Reader]:
        """The base has become ``base``, and secrets below it read up to ``closes``: forget what is below, and give the
        readers for whom that changes something."""
        for device, shown in list(self.witnesses.items()):
            kept = frozenset(s for s in shown if s >= base)
            if kept:
                self.witnesses[device] = kept
            else:
                del self.witnesses[device]
        for reader in list(self.readers.values()):
            if any(s < base for s in reader.shown):
                reader.shown = {s for s in reader.shown if s >= base}
                reader.closed_by = max(reader.closed_by, closes)
                yield reader


class Topics:
    """The open topics: loaded when asked for, kept while used, and a number of the others as long as there is room."""

    def __init__(self, store: Store, bounds: Bounds) -> None:
        self._store = store
        self._bounds = bounds
        self._open: OrderedDict[bytes, OpenTopic] = OrderedDict()
        self._loading: dict[bytes, asyncio.Task[None]] = {}
        self._awaited: Counter[bytes] = Counter()  # by how many
        self._meanwhile: dict[bytes, list[OfTopic]] = {}  # news of topics that are being loaded
        self._tails = 0  # bytes
        self.apply: Callable[[OpenTopic, OfTopic], None] = _unheard

    def __len__(self) -> int:
        return len(self._open)

    def get(self, topic: bytes) -> OpenTopic | None:
        """The topic if it is open already."""
        return self._open.get(topic)

    def hear(self, heard: OfTopic) -> None:
        """Apply news to the topic if it is open, or as soon as it is."""
        opened = self._open.get(heard.topic)
        if opened is not None:
            self.apply(opened, heard)
        elif heard.topic in self._meanwhile:
            self._meanwhile[heard.topic].append(heard)

    @asynccontextmanager
    async def use(self, topic: bytes) -> AsyncIterator[OpenTopic]:
        """The topic, open for as long as the context lasts."""
        while (opened := self._open.get(topic)) is None:
            await self._load(topic)
        opened.users += 1
        try:
            yield opened
        finally:
            opened.users -= 1

    async def _load(self, topic: bytes) -> None:
        loading = self._loading.get(topic)
        if loading is None:
            loading = self._loading[topic] = asyncio.create_task(self._open_one(topic))
        self._awaited[topic] += 1
        try:
            await asyncio.shield(loading)
        finally:
            self._awaited[topic] -= 1
            if not self._awaited[topic]:
                del self._awaited[topic]

    async def _open_one(self, topic: bytes) -> None:
        meanwhile = self._meanwhile[topic] = []
        try:
            head = await self._store.topic(topic)
            box = await self._store.box(topic) if head is not None and head.kind is TopicKind.BOX else None
        except BaseException:
            self._store.release(topic)
            raise
        finally:  # at once: whoever asks from now on must not find what is over
            del self._meanwhile[topic], self._loading[topic]
        self._shed()
        opened = self._open[topic] = self._from(topic, head)
        opened.box = box
        for heard in meanwhile:
            self.apply(opened, heard)

    def _from(self, topic: bytes, head: Topic | None) -> OpenTopic:
        if head is None:
            nowhere = Position(0, b"")
            return OpenTopic(topic, None, nowhere, 0, bytes(32), nowhere, None, Tail(0, self._bounds.tail))
        access = Access.restored(head.rungs) if head.kind is TopicKind.GROUP else None
        tail = Tail(head.last.sequence, self._bounds.tail)
        return OpenTopic(topic, head.kind, head.last, head.commit, head.commit_id, head.trimmed, access, tail)

    def forget(self, topic: bytes) -> None:
        """Load it again when it is next asked for. Only where nobody reads it."""
        opened = self._open.pop(topic, None)
        if opened is not None:
            self._tails -= opened.tail.size
            self._store.release(topic)

    def blank(self, opened: OpenTopic) -> None:
        """It is no topic any more: nobody reads it, nothing of it is remembered."""
        self._tails -= opened.tail.size
        for member, reader in list(opened.readers.items()):
            reader.state = State.IDLE
            member.readers.pop(opened.id, None)
        opened.readers.clear()
        opened.witnesses.clear()
        opened.kind, opened.access, opened.box, opened.unsaved = None, None, None, None
        opened.last = opened.trimmed = start(opened.id)
        opened.commit, opened.commit_id, opened.closes = 0, bytes(32), 0
        opened.tail = Tail(0, self._bounds.tail)

    def _shed(self) -> None:
        """Close topics that nobody uses or is about to, the longest unused first, down to the bound."""
        spare = len(self._open) - self._bounds.topics_open
        if spare < 0:
            return
        idle = [t for t, o in self._open.items() if not o.users and not o.readers and t not in self._awaited]
        for topic in idle[: spare + spare // 8 + 1]:
            self.forget(topic)

    def placed(self, topic: OpenTopic, stored: Stored, position: Position) -> None:
        """One more entry is durable."""
        topic.last = position
        self._tails += topic.tail.add(stored)
        self._open.move_to_end(topic.id)
        if self._tails > self._bounds.tails:
            for other in list(self._open.values()):
                if other is not topic:
                    self._tails -= other.tail.clear()
                    if self._tails <= self._bounds.tails // 2:
                        break


def _unheard(_: OpenTopic, heard: OfTopic) -> None:
    """Before somebody listens."""


def cut(reader: Reader, entries: Sequence[Stored]) -> tuple[Sequence[Stored], bool]:
    """As many of these entries as the reader may have in one go; True when it must then show a secret, which is after a
    commit entry that opens an epoch of which it has shown none."""
    if reader.topic.access is not None:
        for place, entry in enumerate(entries):
            if entry.is_commit and entry.sequence > reader.top:
                return entries[: place + 1], True
    return entries, False


def frame_of(topic: OpenTopic, entries: Iterable[Stored], halt: Halt) -> bytes:
    """The frame of a run of this topic."""
    return entries_frame(topic.id, [entry.wire for entry in entries], halt)
