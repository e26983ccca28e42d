"""What the cluster keeps, as it becomes durable: every message of the log once and in order, to one relay.

    consumer (ephemeral, in memory, one replica, no acknowledgements) ──push──▶ Feed ──take(message)──▶ the store
         ▲                                                                │
         └── made anew from position + 1 when the heartbeat stops, or a message was skipped on the way

The consumer is the server's convenience and may be lost at any time; the position is here. The feed reads the whole
log, so that the places of the messages follow each other without a gap. A gap means that something was purged before
it was delivered here, which happens only to whoever lags by more than a purge waits (`relay.store.nats`): then the
relay has lost track, and says so.
"""

from __future__ import annotations

import asyncio
import contextlib
import heapq
import logging
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Final

from nats.aio.subscription import Subscription
from nats.errors import Error as NatsError

from relay.logs import event
from relay.store.base import StoreFailed
from relay.store.jetstream import ApiError, Link, Message, Unsure, parse

log = logging.getLogger("relay.nats")

BEAT: Final = 0.5  # seconds between heartbeats of a quiet consumer
SILENCE: Final = 2.0  # seconds without a sign of it after which it is taken for gone


class Feed:
    """Follows a stream from ``position`` on. ``lost`` is called when messages can't be had any more."""

    def __init__(
        self, link: Link, stream: str, position: int, take: Callable[[Message], None], lost: Callable[[str], None]
    ) -> None:
        self.position = position
        self._link = link
        self._stream = stream
        self._take = take
        self._lost = lost
        self._subscription: Subscription | None = None
        self._era = 0  # which consumer it is
        self._delivered = 0  # of this consumer
        self._sign = 0.0  # when it was last heard of
        self._again = asyncio.Event()
        self._clock = asyncio.get_running_loop().time
        self._waiting: list[tuple[int, int, asyncio.Future[None]]] = []
        self._count = 0

    async def run(self) -> None:
        """Follow until cancelled."""
        loop = asyncio.get_running_loop()
        told = False
        while True:
            try:
                await self._consume()
            except (ApiError, Unsure, StoreFailed, NatsError, OSError) as error:
                if not told:
                    event(log, "the log cannot be followed", level=logging.WARNING, why=str(error)[:200])
                told = True
                await asyncio.sleep(BEAT)
                continue
            if told:
                event(log, "the log is followed again")
            told = False
            while not self._again.is_set() and loop.time() - self._sign < SILENCE:
                try:
                    async with asyncio.timeout(BEAT):
                        await self._again.wait()
                except TimeoutError:
                    pass  # time to look whether it lives

    async def _consume(self) -> None:
        """A new consumer from the position on."""
        before, self._subscription = self._subscription, None
        self._era += 1
        if before is not None:
            with contextlib.suppress(NatsError):  # the connection it was of may be gone
                await self._link.nc.unhear(before)
        info = await self._link.api(f"STREAM.INFO.{self._stream}")
        if info["state"]["last_seq"] < self.position:
            self._lost("the cluster has lost messages that it had acknowledged")
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

    def _on(self, era: int, subject: bytes, reply: bytes, data: bytes, head: bytes) -> Awaitable[None] | None:
        if era != self._era:
            return None  # of a consumer that was given up
        self._sign = self._clock()
        if head[8:12] == b" 100":
            return self._control(reply.decode(), parse(head))
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
        self.position = sequence
        self._take(Message(subject.decode(), sequence, data, head))
        if self._waiting:
            self._reached()
        return None

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
