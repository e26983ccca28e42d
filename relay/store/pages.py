"""Reading a topic's entries from the cluster: a page at a time, and none twice for many readers.

    entries(fold, after, upto, size) ─▶ page that covers after + 1 ─┬ kept ─▶ its entries from there on
                                                                    └ else ─▶ the cluster ─▶ kept; the longest unused go

After a relay has begun anew, or a connection of many was cut, all members of a conversation read on from about the same
place. What stands in the log never changes, so a page can be kept until its topic is dropped or no longer followed, or
the relay has lost track of the log.
"""

from __future__ import annotations

import logging
from bisect import bisect_right
from collections import OrderedDict
from dataclasses import dataclass
from operator import attrgetter
from typing import TYPE_CHECKING, Final

from relay.logs import event
from relay.store.base import Run, Stored, StoreFailed
from relay.store.fold import Fold
from relay.store.jetstream import Unsure

if TYPE_CHECKING:
    from relay.store.nats import NatsStore

log = logging.getLogger("relay.nats")

PAGE: Final = 1 << 20  # bytes that are asked for at once
KEPT: Final = 32 << 20  # bytes of pages that are kept
MOST: Final = 128  # pages of a topic: all are looked at for each reader, and who reads the tail leaves small ones
_AROUND: Final = 256  # bytes of memory that an entry takes beside its own
_SEQUENCE: Final = attrgetter("sequence")


@dataclass(frozen=True, slots=True)
class Page:
    """The entries of a topic whose places are from ``first`` to ``last``, all of them."""

    first: int
    last: int
    entries: tuple[Stored, ...]
    size: int

    def after(self, sequence: int) -> tuple[Stored, ...]:
        return self.entries[bisect_right(self.entries, sequence, key=_SEQUENCE) :]


class Pages:
    """The pages of one store."""

    def __init__(self, store: NatsStore, kept: int = KEPT) -> None:
        self._store = store
        self._room = kept
        self._size = 0
        self._era = 0  # how often something was forgotten
        self._topics: OrderedDict[bytes, list[Page]] = OrderedDict()  # the one read last is the last

    async def entries(self, fold: Fold, after: int, upto: int, size: int) -> Run:
        """See `Store.read`. Raises `Unsure`, `StoreFailed`."""
        at, end = max(after, fold.trimmed.sequence), min(upto, fold.last.sequence)
        taken: list[Stored] = []
        held = 0
        while at < end:
            page = self._find(fold.topic, at + 1) or await self._fetch(fold, at + 1)
            for stored in page.after(at):
                if stored.sequence > end:
                    break
                held += len(stored.wire)
                if taken and held > size:
                    return Run(tuple(taken), more=True, trimmed=fold.trimmed.sequence)
                taken.append(stored)
            at = page.last
        return Run(tuple(taken), more=False, trimmed=fold.trimmed.sequence)

    def forget(self, topic: bytes | None = None) -> None:
        """What is kept of a topic, or of all, is no longer so."""
        self._era += 1
        for each in list(self._topics) if topic is None else [topic]:
            self._size -= sum(page.size for page in self._topics.pop(each, ()))

    def _find(self, topic: bytes, place: int) -> Page | None:
        found = next((page for page in self._topics.get(topic, ()) if page.first <= place <= page.last), None)
        if found is not None:
            self._topics.move_to_end(topic)
        return found

    async def _fetch(self, fold: Fold, first: int) -> Page:
        store, era = self._store, self._era
        try:
            messages, _ = await store.link.page(store.log_name, store.subject(fold.topic), first, first, PAGE)
        except Unsure:
            await self._judge(fold, first)
            raise
        if not messages:
            raise Unsure("a replica lags behind")
        entries = tuple(stored for message in messages if (stored := store.stored(message)) is not None)
        size = sum(len(stored.wire) + _AROUND for stored in entries)
        page = Page(first, messages[-1].sequence, entries, size)
        if era == self._era:
            self._keep(fold.topic, page)
        return page

    async def _judge(self, fold: Fold, first: int) -> None:
        """No replica gave what must be there. Raises `StoreFailed` where the stream's leader does not have it either:
        then somebody took it away by hand."""
        store = self._store
        await store.writes.catch_up()  # it may have been trimmed just now
        there = await store.link.following(store.log_name, store.subject(fold.topic), first)
        last = fold.last.sequence
        if fold.trimmed.sequence < first <= last and (there is None or there.sequence > last):
            event(log, "entries are gone from the cluster", level=logging.CRITICAL, first=first, last=last)
            raise StoreFailed("entries that were acknowledged are gone from the cluster", retry_after=60.0)

    def _keep(self, topic: bytes, page: Page) -> None:
        """Keep it in place of those it covers."""
        kept = self._topics.setdefault(topic, [])
        covered = [each for each in kept if page.first <= each.first and each.last <= page.last]
        for each in covered:
            kept.remove(each)
        kept.append(page)
        self._size += page.size - sum(each.size for each in covered)
        while len(kept) > MOST:
            self._size -= kept.pop(0).size
        self._topics.move_to_end(topic)
        while self._size > self._room:
            oldest, pages = next(iter(self._topics.items()))
            self._size -= pages.pop(0).size
            if not pages:
                del self._topics[oldest]
