"""The group commit, the heartbeat of the relay: what arrives while one batch is being made durable is the next batch.

    offer(write, finish) ─▶ pending ──▶ store.commit([…]) ──▶ finish(result) of each, in order ──▶ done()

``finish`` is called on the event loop with the write's result, or with the error that the whole batch failed with; when
all of a batch are finished, ``done`` sends out what came of it. So everything that one batch means for one member is
sent in one turn of the loop, and leaves as one record. Nothing is acknowledged before it is durable.

A batch that did not fit on the disk is refused as a whole, except that *vital* writes (trust, which must go on) are
tried once more by themselves.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from relay.bounds import Bounds
from relay.logs import event
from relay.store.base import Append, Outcome, PutPart, Store, StoreFailed, StoreFull, Write

log = logging.getLogger("relay.heartbeat")

Finish = Callable[[Outcome], None]

_FIXED: Final = 256  # bytes that any write counts for


@dataclass(slots=True)
class _Item:
    write: Write
    finish: Finish
    size: int
    vital: bool
    since: float


def _size(write: Write) -> int:
    if type(write) is Append:  # by far the most
        return _FIXED + len(write.body)
    match write:
        case Append():
            return _FIXED + len(write.body)
        case PutPart():
            return _FIXED + len(write.piece)
        case _:
            return _FIXED


class Heartbeat:
    """Collects writes and commits them in batches, one batch at a time."""

    def __init__(
        self,
        store: Store,
        bounds: Bounds,
        done: Callable[[], None],
        timed: Callable[[float, float], None] | None = None,
    ) -> None:
        """``timed`` hears of each batch, in seconds: how long the store took, and how long the first write waited from
        its offer until it was durable."""
        self._timed = timed
        self._store = store
        self._bounds = bounds
        self._done = done
        self._pending: deque[_Item] = deque()
        self._waiting = 0  # bytes
        self._wake = asyncio.Event()
        self._stopping = False
        self.batches = 0
        self.writes = 0
        self.failures = 0

    def offer(self, write: Write, finish: Finish, *, vital: bool = False) -> bool:
        """Queue a write; False when too much waits already. Never waits itself."""
        size = _size(write)
        if self._stopping or (self._waiting + size > self._bounds.pending and not vital):
            return False
        self._pending.append(_Item(write, finish, size, vital, time.perf_counter()))
        self._waiting += size
        self._wake.set()
        return True

    def stop(self) -> None:
        """Take no more; `run` returns when everything queued is durable or refused."""
        self._stopping = True
        self._wake.set()

    async def run(self) -> None:
        """Beat until stopped."""
        while True:
            await self._wake.wait()
            self._wake.clear()
            while self._pending:
                await self._beat(self._next())
            if self._stopping:
                return

    def _next(self) -> list[_Item]:
        batch: list[_Item] = []
        size = 0
        while self._pending and len(batch) < self._bounds.batch_writes:
            size += self._pending[0].size
            if batch and size > self._bounds.batch:
                break
            batch.append(self._pending.popleft())
        return batch

    async def _beat(self, batch: list[_Item]) -> None:
        await self._commit(batch)
        self._done()

    async def _commit(self, batch: list[_Item]) -> None:
        outcomes: list[Outcome]
        began = time.perf_counter()
        try:
            outcomes = list(await self._store.commit([item.write for item in batch]))
            self.batches += 1
            self.writes += len(batch)
            if self._timed is not None:
                now = time.perf_counter()
                self._timed(now - began, now - batch[0].since)
        except (StoreFull, StoreFailed) as error:
            self.failures += 1
            event(log, "batch refused", level=logging.ERROR, cause=error.code, writes=len(batch), why=error.message)
            vital = [item for item in batch if item.vital]
            if vital and len(vital) < len(batch):
                await self._commit(vital)
                batch = [item for item in batch if not item.vital]
            outcomes = [error] * len(batch)
        for item, outcome in zip(batch, outcomes, strict=True):
            self._waiting -= item.size
            item.finish(outcome)
