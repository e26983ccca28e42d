"""The group commit, the heartbeat of the relay: what arrives while one batch is being made durable is the next batch.

    offer(write, finish) ─▶ pending ──▶ store.commit([…]) ──▶ finish(result) of each, in order ──▶ done()

``finish`` is called on the event loop with the write's result, or with the error that the whole batch failed with; when
all of a batch are finished, ``done`` sends out what came of it. So everything that one batch means for one member is
sent in one turn of the loop, and leaves as one record. Nothing is acknowledged before it is durable.

The next batch begins some turns of the loop later: once what came of the last has left, and what has come meanwhile was
read. Else loop and writing thread would want the interpreter at the same moment, and hand it to and fro at 5 to 10 µs
each time.

A batch that did not fit on the disk is refused as a whole, except that *vital* writes (trust, which must go on) are
tried once more by themselves.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import Final

from relay.bounds import Bounds
from relay.logs import event
from relay.store.base import Append, Outcome, PutPart, Store, StoreFailed, StoreFull, Write

log = logging.getLogger("relay.heartbeat")

Finish = Callable[[Outcome], None]

_FIXED: Final = 256  # bytes that any write counts for
TURNS: Final = 5  # of the loop, between a batch and the next that waits already


_Item = tuple[Write, Finish, int, bool, float]  # with its size, whether it is vital, and since when it waits


def _size(write: Write) -> int:
    match write:
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
        size = _FIXED + len(write.body) if type(write) is Append else _size(write)  # by far the most
        if self._stopping or (self._waiting + size > self._bounds.pending and not vital):
            return False
        if not self._pending:
            self._wake.set()
        self._pending.append((write, finish, size, vital, time.perf_counter()))
        self._waiting += size
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
                for _ in range(TURNS):
                    await asyncio.sleep(0)
            if self._stopping:
                return

    def _next(self) -> list[_Item]:
        pending, bounds = self._pending, self._bounds
        if len(pending) <= bounds.batch_writes and self._waiting <= bounds.batch:
            batch = list(pending)
            pending.clear()
            return batch
        batch, size = [], 0
        while pending and len(batch) < bounds.batch_writes:
            size += pending[0][2]
            if batch and size > bounds.batch:
                break
            batch.append(pending.popleft())
        return batch

    async def _beat(self, batch: list[_Item]) -> None:
        await self._commit(batch)
        self._done()

    async def _commit(self, batch: list[_Item]) -> None:
        outcomes: Sequence[Outcome]
        began = time.perf_counter()
        try:
            outcomes = await self._store.commit([item[0] for item in batch])
            self.batches += 1
            self.writes += len(batch)
            if self._timed is not None:
                now = time.perf_counter()
                self._timed(now - began, now - batch[0][4])
        except (StoreFull, StoreFailed) as error:
            self.failures += 1
            event(log, "batch refused", level=logging.ERROR, cause=error.code, writes=len(batch), why=error.message)
            vital = [item for item in batch if item[3]]
            if vital and len(vital) < len(batch):
                await self._commit(vital)
                batch = [item for item in batch if not item[3]]
            outcomes = [error] * len(batch)
        for (_, finish, size, _, _), outcome in zip(batch, outcomes, strict=True):
            self._waiting -= size
            finish(outcome)
