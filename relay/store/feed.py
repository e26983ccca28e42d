"""What the cluster keeps, as it becomes durable: every message of the log once and in order, to one relay.

    consumer (ephemeral, in memory, one replica, no acknowledgements) ──push──▶ Feed ──take(message)──▶ the store
         ▲                                                                │
         └── made anew from position + 1 when the heartbeat stops, or a message was skipped on the way

The consumer is the server's convenience and may be lost at any time; the position is here. The feed reads the whole
log, so that the places of the messages follow each other without a gap. A gap means that something was purged before
it was delivered here, which happens only to whoever lags by more than a purge waits (`relay.store.nats`): then the
relay has lost track, and says so.

The position moves on when a message has been taken, not when it has come: what can't be taken is told, and read again
after a pause. What can't be taken even then is no accident: the relay has lost track, and must begin anew.
"""

from __future__ import annotations

import asyncio
import contextlib
import heapq
import logging
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any, Final

from nats.aio.subscription import Subscription
from nats.errors import Error as NatsError

from relay.logs import event
from relay.store.base import StoreFailed
from relay.store.jetstream import ApiError, Link, Message, Unsure, parse

log = logging.getLogger("relay.nats")

BEAT: Final = 0.5  # seconds between heartbeats of a quiet consumer
SILENCE: Final = 2.0  # seconds without a sign of it after which it is taken for gone
TRIES: Final = 3  # of what can't be taken, and of a log that seems to have shrunk
LONGEST: Final = 30.0  # seconds between two tries


class Feed:
    """Follows a stream, made at ``created``, from ``position`` on. ``take`` raises where a message is to be given to it
    once more; ``lost`` is called when messages can't be had any more. ``trouble``: why it does not follow now."""

    def __init__(
        self,
        link: Link,
        stream: str,
        created: str,
        position: int,
        take: Callable[[Message], None],
        lost: Callable[[str], None],
    ) -> None:
        self.position = position
        self.trouble = ""
        self._created = created
        self._link = link
        self._stream = stream
        self._take = take
        self._lost = lost
        self._subscription: Subscription | None = None
        self._era = 0  # which consumer it is
        self._delivered = 0  # of this consumer
        self._failed = 0  # how often the next message could not be taken
        self._shrunk = 0  # how often in a row the log ended before the position
        self._sign = 0.0  # when it was last heard of
        self._again = asyncio.Event()
        self._clock = asyncio.get_running_loop().time
        self._waiting: list[tuple[int, int, asyncio.Future[None]]] = []
        self._count = 0

    async def run(self) -> None:
        """Follow until cancelled."""
        while True:
            try:
                await self._consume()
            except (ApiError, Unsure, StoreFailed, NatsError, OSError) as error:
                if not self.trouble:
                    event(log, "the log cannot be followed", level=logging.WARNING, why=str(error)[:200])
                self.trouble = f"the cluster's log cannot be followed: {error}"
                await asyncio.sleep(BEAT)
                continue
            if self.trouble and not self._failed:
                event(log, "the log is followed again")
                self.trouble = ""
            while not self._again.is_set() and self._clock() - self._sign < SILENCE:
                try:
                    async with asyncio.timeout(BEAT):
                        await self._again.wait()
                except TimeoutError:
                    pass  # time to look whether it lives
            if self._failed:
                await asyncio.sleep(min(BEAT * 2**self._failed, LONGEST))

    async def _consume(self) -> None:
        """A new consumer from the position on."""
        before, self._subscription = self._subscription, None
        self._era += 1
        if before is not None:
            with contextlib.suppress(NatsError):  # the connection it was of may be gone
                await self._link.nc.unhear(before)
        self._same(await self._link.api(f"STREAM.INFO.{self._stream}"))
        box = self._link.nc.new_inbox()
        self._delivered = 0
        self._again.clear()
        self._subscription = await self._link.nc.hear(box, partial(self._on, self._era))
        config = {
            "deliver_subject": box,
            "deliver_policy": "by_start_sequence",
            "opt_start_seq": self.position + 1,
            "ack_policy": "none",
            "replay_policy": "instant",
            "idle_heartbeat": int(BEAT * 1e9),
            "flow_control": True,
            "mem_storage": True,
            "num_replicas": 1,
            "inactive_threshold": int(10e9),
        }
        self._sign = self._clock()
        await self._link.api(f"CONSUMER.CREATE.{self._stream}", {"stream_name": self._stream, "config": config})
        self._sign = self._clock()

    def _same(self, info: dict[str, Any]) -> None:
        """Whether it is the log that has been followed so far. Raises `Unsure` where a leader may not be up to date."""
        if info["created"] != self._created:
            self._created = info["created"]
            self._lost("the cluster's log was made anew")
        if info["state"]["last_seq"] >= self.position:
            self._shrunk = 0
            return
        self._shrunk += 1
        if self._shrunk < TRIES:
            raise Unsure("the log ends before what has been read of it")
        self._lost("the cluster has lost messages that it had acknowledged")

    def _on(self, era: int, subject: bytes, reply: bytes, data: bytes, head: bytes) -> Awaitable[None] | None:
        if era != self._era:
            return None  # of a consumer that was given up
        self._sign = self._clock()
        if head[8:9] == b" ":
            if head[9:12] == b"100":
                return self._control(reply.decode(), parse(head))
            self._again.set()  # whatever it says about this consumer
            return None
        tokens = reply.split(b".")
        sequence, delivered = (int(tokens[5]), int(tokens[6])) if len(tokens) == 9 else (int(tokens[7]), int(tokens[8]))
        if delivered != self._delivered + 1:
            self._again.set()  # something was dropped on the way: begin again where we are
            return None
        self._delivered = delivered
        if sequence <= self.position:
            return None
        if sequence != self.position + 1:
            self._lost(f"{sequence - self.position - 1} messages were purged before they came here")
        try:
            self._take(Message(subject.decode(), sequence, data, head))
        except Exception as error:  # whatever it is, the message must not be left out
            self._stumble(sequence, error)
            return None
        self.position = sequence
        if self._failed:
            self._failed, self.trouble = 0, ""
            event(log, "the message was taken after all", place=sequence)
        if self._waiting:
            self._reached()
        return None

    def _stumble(self, sequence: int, error: Exception) -> None:
        """A message can't be taken: no more is heard of this consumer, and the next one begins with it."""
        self._era += 1
        self._failed += 1
        self._again.set()
        why = f"message {sequence} of the cluster's log cannot be taken: {type(error).__name__}: {error}"[:300]
        self.trouble = why
        event(log, "a message cannot be taken", level=logging.ERROR, error=True, place=sequence, tries=self._failed)
        if self._failed == TRIES:
            self._lost(why)

    async def _control(self, reply: str, headers: dict[str, str]) -> None:
        stalled = headers.get("Nats-Consumer-Stalled")
        if reply or stalled:
            await self._link.nc.publish(reply or str(stalled))
        elif int(headers.get("Nats-Last-Consumer", "0")) > self._delivered:
            self._again.set()
        else:
            last = int(headers.get("Nats-Last-Stream", "0"))
            if last > self.position:
                self._lost(f"{last - self.position} messages were purged before they came here")

    def _reached(self) -> None:
        while self._waiting and self._waiting[0][0] <= self.position:
            waiting = heapq.heappop(self._waiting)[2]
            if not waiting.done():
                waiting.set_result(None)

    async def reached(self, sequence: int, patience: float) -> None:
        """Return when everything up to ``sequence`` was taken. Raises `Unsure`."""
        if sequence <= self.position:
            return
        waiting: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._count += 1
        heapq.heappush(self._waiting, (sequence, self._count, waiting))
        try:
            async with asyncio.timeout(patience):
                await waiting
        except TimeoutError:
            raise Unsure("the log is not followed closely enough") from None
        finally:
            while self._waiting and self._waiting[0][2].done():  # nobody is kept in mind who has given up
                heapq.heappop(self._waiting)
