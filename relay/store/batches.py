"""A batch of writes over a cluster: those about one thing one after the other, everything else at once.

    batch ─┬─ free entries, of however many topics ─────────▶ one flight (`relay.store.topic_writes`)
           ├─ lane: writes about one topic, or one device ──▶ in their order ┐
           └─ lane …                                                         ┴▶ outcomes, in the batch's order

Nobody waits for a majority twice who need not: the entries that need to know nothing of others travel together. Where
one of their topics has other writes in the batch as well, they keep their places among those.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import TYPE_CHECKING

from relay.store import base
from relay.store.base import Outcome, StoreFailed, StoreFull, Write
from relay.store.jetstream import TROUBLE, failure
from relay.store.topic_writes import Numbered, TopicWrites
from securechan.errors import Misuse

if TYPE_CHECKING:
    from relay.store.nats import NatsStore


class Batches:
    """The batches of one store."""

    def __init__(self, store: NatsStore, writes: TopicWrites) -> None:
        self._store = store
        self._writes = writes

    async def commit(self, batch: Sequence[Write]) -> Sequence[Outcome]:
        """See `Store.commit`."""
        outcomes: list[Outcome | None] = [None] * len(batch)
        free: list[Numbered] = []  # however many topics they are about: they travel together
        lanes: dict[object, list[tuple[int, Write]]] = {}
        for place, write in enumerate(batch):
            fold = self._store.followed(write.topic) if isinstance(write, base.Append) else None
            if isinstance(write, base.Append) and fold is not None and self._writes.is_free(fold, write):
                free.append((place, write))
            else:
                lanes.setdefault(_about(write), []).append((place, write))
        if lanes:  # what is about the same thing as one of those keeps its order
            for place, write in free:
                if write.topic in lanes:
                    lanes[write.topic].append((place, write))
            free = [each for each in free if each[1].topic not in lanes]
        topics = {write.topic for _, write in free} | {thing for thing in lanes if isinstance(thing, bytes)}
        with self._store.pinned(topics):
            work = [self._lane(sorted(lane, key=_place), outcomes) for lane in lanes.values()]
            await asyncio.gather(self._run(free, outcomes), *work)
        told = [_sure(each) for each in outcomes]
        refused = None
        for each in told:
            refused = each if isinstance(each, StoreFull | StoreFailed) else None
            if refused is None:
                break
        self._store.watch.written(refused)
        return told

    async def _lane(self, lane: list[tuple[int, Write]], outcomes: list[Outcome | None]) -> None:
        """Writes about one thing, in order."""
        at = 0
        while at < len(lane):
            run: list[Numbered] = []
            try:
                run = await self._writes.free_run(lane[at:])
                if not run:
                    outcomes[lane[at][0]] = await self._do(lane[at][1])
            except TROUBLE as error:
                outcomes[lane[at][0]] = failure(error)
            await self._run(run, outcomes)
            at += max(len(run), 1)

    async def _run(self, run: list[Numbered], outcomes: list[Outcome | None]) -> None:
        """Entries that anybody may add at any time."""
        try:
            if run:
                await self._writes.append_all(run, outcomes)
        except TROUBLE as error:
            for place, _ in run:
                outcomes[place] = outcomes[place] or failure(error)

    async def _do(self, write: Write) -> Outcome:
        store = self._store
        match write:
            case base.Append():
                return await self._writes.append(write)
            case base.NewTopic():
                return await self._writes.new_topic(write)
            case base.NewBox():
                return await self._writes.new_box(write)
            case base.Confirm():
                return await self._writes.confirm(write)
            case base.TrimTo():
                return await self._writes.trim(write)
            case base.DropTopic():
                return await self._writes.drop(write)
            case base.PutPackages():
                return await store.records.put_packages(write)
            case base.TakePackage():
                return await store.records.take_package(write)
            case base.PutPart():
                return await store.objects.put_part(write)
            case base.DropUpload():
                return await store.objects.drop_upload(write)
            case base.Charge():
                return await store.records.charge(write)
            case base.Sweep():
                now = write.now - store.watch.ahead
                gone = await store.objects.sweep(now, write.limit)
                gone += await store.housekeeping.sweep_boxes(now, write.limit)
                gone += await store.records.forget_spent(now, write.limit)
                return base.Counted(gone + await store.records.forget_charges(now, write.limit))


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


def _sure(outcome: Outcome | None) -> Outcome:
    if outcome is None:
        raise Misuse("a write without an outcome")
    return outcome
