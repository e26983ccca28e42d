"""What a relay does for the topics of a shared log beside its writes: put folds away, purge, find what is old.

A fold is put away after so many entries, and whenever its topic was trimmed; a record is replaced only by a later one
(compare-and-swap), so that it does not matter which relay does it. What was trimmed is purged when every feed that
does not lag too far has passed it. All of it may be left undone at any time: another round, another relay, or the next
trim does it.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from relay.store.base import Aged, DropTopic, Made
from relay.store.fold import Fold, Part
from relay.store.jetstream import Behindhand
from relay.store.records import untoken

if TYPE_CHECKING:
    from relay.store.nats import NatsStore

PUT_AWAY: Final = 512  # entries of this relay's own after which a topic's fold is put away
PURGE_AFTER: Final = 30.0  # seconds: a feed that lags by more has lost track
TOPIC: Final = 32  # bytes of its id
_MANY: Final = 16  # topics that are looked at at once


class Housekeeping:
    """The chores of one store."""

    def __init__(self, store: NatsStore) -> None:
        self._store = store
        self._link = store.link
        self._purging: set[bytes] = set()

    def grown(self, fold: Fold) -> None:
        """An entry of this relay's has been added."""
        if fold.total % PUT_AWAY == 0:
            self._store.spawn(self.put_away(fold))

    async def put_away(self, fold: Fold) -> None:
        """Put a fold away, unless a later one is."""
        name = self._store.name(fold.topic)
        there, revision = await self._store.records.snapshot(name)
        if there is None or there.at < fold.at:
            kept = fold.snapshot().encode()
            try:
                await self._store.records.put(f"topic.{name}", kept, revision)
            except Behindhand:
                await self.put_away(fold)

    def trimmed(self, fold: Fold) -> None:
        """A topic was trimmed: its messages go a while later."""
        if fold.topic not in self._purging:
            self._purging.add(fold.topic)
            self._store.spawn(self._purge(fold))

    async def trimmed_before(self, fold: Fold) -> None:
        """A topic is to be trimmed that was already: what is still there of it, as the relay that trimmed it was gone
        before it had purged, goes now."""
        for part in (Part.FREE, Part.ORDERED):
            subject = self._store.subject(fold.topic, part) + (".>" if part is Part.FREE else "")
            first = await self._link.following(self._store.log_name, subject, 1)
            if first is not None and first.sequence <= fold.trimmed.sequence:
                self.trimmed(fold)

    async def _purge(self, fold: Fold) -> None:
        try:
            await asyncio.sleep(PURGE_AFTER / 2)
            upto, event = fold.trimmed.sequence, fold.at
            await self.put_away(fold)
            await asyncio.sleep(PURGE_AFTER)
        finally:
            self._purging.discard(fold.topic)
        store = self._store
        await self._link.purge(store.log_name, f"{store.subject(fold.topic, Part.FREE)}.>", upto + 1)
        if fold.commit:
            await self._link.purge(store.log_name, store.subject(fold.topic, Part.ORDERED), upto + 1)
        await self._link.purge(store.log_name, store.subject(fold.topic, Part.EVENT), event)

    async def sweep_boxes(self, now: int, limit: int) -> int:
        """Drop boxes whose time is over."""
        gone = 0
        for message in await self._store.records.all("box.*"):
            if int.from_bytes(message.data, "big") > now or gone >= limit:
                continue
            key = self._store.records.key(message)
            topic = untoken(key.partition(".")[2])
            if len(topic) != TOPIC:
                self._store.records.unreadable(message, "it is not about a topic")
                continue
            box = (await self._store.fold(topic)).box
            if box is not None and box.not_after > now:
                continue  # it was opened anew, and the replica did not know
            if await self._store.writes.drop(DropTopic(topic)) == Made():
                gone += 1
            else:
                await self._store.records.drop(key)  # it was never born
        return gone

    async def aged(self, cursor: bytes, limit: int, before: int) -> Aged:
        """See `Store.aged`: topics in the order of their births."""
        log = self._store.log_name
        subject = f"{self._store.prefix}.t.*.{Part.BORN.value}"
        newest = await self._link.last(log, subject)
        if newest is None:
            return Aged((), b"")
        first = int.from_bytes(cursor, "big") + 1
        born, more = await self._link.page(log, subject, first, newest.sequence, count=limit)
        topics = [topic for message in born if len(topic := untoken(message.subject.split(".")[-2])) == TOPIC]
        found: list[tuple[bytes, int]] = []
        for start in range(0, len(topics), _MANY):
            some = topics[start : start + _MANY]
            found += zip(some, await asyncio.gather(*(self._old(topic, before) for topic in some)), strict=True)
        return Aged(tuple(found), born[-1].sequence.to_bytes(8, "big") if more else b"")

    async def _old(self, topic: bytes, before: int) -> int:
        """The last entry of a topic that is older than ``before``."""
        store = self._store
        subject = store.subject(topic)
        newest = await self._link.last(store.log_name, subject)
        old = 0
        if newest is not None:
            async for message in self._link.walk(store.log_name, subject, 1, newest.sequence):
                stored = store.stored(message)
                if stored is None:
                    continue
                if stored.at >= before:
                    break
                old = message.sequence
        return old
