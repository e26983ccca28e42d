"""Bringing readers up to date: one run at a time for each who lags, in turn, and only while its outlet has room.

A reader begins to lag when it subscribes, when it shows the secret it was halted for, and when its outlet was
congested as new entries came; nothing is queued for it meanwhile, so it costs no memory. Each turn sends one run, from
memory when the topic's tail reaches back to the cursor, else from the store, and puts the reader at the end of the
line. So a long history does not delay a short one, and a slow reader delays nobody.
"""

from __future__ import annotations

import asyncio
from collections import deque
from typing import TYPE_CHECKING, Final

from relay.bounds import Bounds
from relay.store.base import Run, Store, Stored, StoreFailed, TopicKind
from relay.topics import Reader, State, cut, frame_of
from securechan.wire.frames import Halt, Reason

if TYPE_CHECKING:
    from relay.member import Member

_WORKERS: Final = 2  # reads under way


class Catchup:
    """The line of those who lag, and the workers that serve it."""

    def __init__(self, store: Store, bounds: Bounds) -> None:
        self._store = store
        self._bounds = bounds
        self._line: deque[Reader] = deque()
        self._queued: set[Reader] = set()
        self._parked: dict[Member, set[Reader]] = {}
        self._waits: set[asyncio.Task[None]] = set()
        self._wake = asyncio.Event()
        self.sent = 0

    def lag(self, reader: Reader) -> None:
        """Put a reader in the line."""
        reader.state = State.LAGGING
        if reader not in self._queued:
            self._queued.add(reader)
            self._line.append(reader)
            self._wake.set()

    async def run(self) -> None:
        """Serve until cancelled."""
        try:
            async with asyncio.TaskGroup() as workers:
                for _ in range(_WORKERS):
                    workers.create_task(self._work())
        finally:
            for task in list(self._waits):
                task.cancel()

    async def _work(self) -> None:
        while True:
            while not self._line:
                self._wake.clear()
                await self._wake.wait()
            reader = self._line.popleft()
            if reader.member.outlet.congested:
                self._queued.discard(reader)
                self._park(reader)
            else:
                await self._step(reader)
                await asyncio.sleep(0)  # what was sent leaves; others have their turn

    def _park(self, reader: Reader) -> None:
        """Come back when the outlet has room."""
        first = reader.member not in self._parked
        self._parked.setdefault(reader.member, set()).add(reader)
        if first:
            task = asyncio.get_running_loop().create_task(self._wait(reader.member))
            self._waits.add(task)
            task.add_done_callback(self._waits.discard)

    async def _wait(self, member: Member) -> None:
        there = await member.outlet.room()
        for reader in self._parked.pop(member, ()):
            if there and reader.state is State.LAGGING:
                self.lag(reader)

    async def _step(self, reader: Reader) -> None:
        """One run for one reader; whoever still lags after it goes to the end of the line."""
        cursor = reader.cursor
        try:
            run = await self._next(reader)
        except StoreFailed:
            self._queued.discard(reader)
            reader.member.outlet.end(Reason.SHUTDOWN)  # it can't be served; its cursor brings it back
            return
        self._queued.discard(reader)
        if reader.state is not State.LAGGING or reader.member.gone:
            return
        if reader.cursor == cursor:  # else it has subscribed anew meanwhile
            if run.trimmed > cursor and reader.topic.kind is not TopicKind.INBOX:  # an inbox's owner has trimmed it
                reader.member.outlet.end(Reason.SHUTDOWN)  # it would miss some unsaid; its cursor brings it back
                return
            self._send(reader, run)
        if reader.state is State.LAGGING:
            self.lag(reader)

    async def _next(self, reader: Reader) -> Run:
        topic, limit = reader.topic, reader.limit()
        held = topic.tail.after(reader.cursor)
        if held is None:  # no further than was heard: the rest is yet to be told, and then pushed
            upto = topic.last.sequence if limit is None else limit
            return await self._store.read(topic.id, reader.cursor, upto, self._bounds.run)
        size = 0
        taken: list[Stored] = []
        for entry in held:
            if limit is not None and entry.sequence > limit:
                break
            size += len(entry.wire)
            if taken and size > self._bounds.run:
                return Run(tuple(taken), more=True)
            taken.append(entry)
        return Run(tuple(taken), more=False)

    def _send(self, reader: Reader, run: Run) -> None:
        topic = reader.topic
        if not run.entries:
            reader.cursor = max(reader.cursor, run.trimmed)
        limit = reader.limit()  # it may have been closed while the store was read, or shown a later secret
        entries = run.entries if limit is None else [e for e in run.entries if e.sequence <= limit]
        taken, stopped = cut(reader, entries)
        if taken:
            reader.cursor = taken[-1].sequence
        if stopped:
            reader.state, halt = State.HALTED, Halt.SHOW
        elif limit is not None and reader.cursor >= limit:
            reader.state, halt = State.ENDED, Halt.END
        elif limit is None and reader.cursor >= topic.last.sequence:
            reader.state, halt = State.TAIL, Halt.TAIL
        else:
            halt = Halt.MORE
            if not taken:
                return  # the read began before the newest entries were heard, or a later secret was shown
        self.sent += len(taken)
        reader.member.outlet.send(frame_of(topic, taken, halt))
