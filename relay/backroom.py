"""What all counters of the mailroom work with: the topics, the store behind its heartbeat, and how much there is room
for.

A counter judges a request and offers a write; `Backroom.offer` answers the member once that is durable. *Known before
judged*: where access, quota or disk would refuse an append, `unless_known` first looks whether it is in the log.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from typing import Any

from relay.bounds import Bounds
from relay.catchup import Catchup
from relay.hearing import Hearing
from relay.heartbeat import Heartbeat
from relay.ledger import Ledger
from relay.member import Member
from relay.outgoing import refusal
from relay.people import Device
from relay.replies import Finish, Reply, answered, appended, overloaded
from relay.store import base
from relay.store.base import Outcome, Placed, Result, Store, StoreFailed, StoreFull, Write, tail_of
from relay.topics import OpenTopic, Reader, Topics
from securechan.wire.frames import AnswerBody, Appended, Code, CommitClaim, EntryKind, Error


@dataclass(slots=True)
class Backroom:
    """``clock`` gives Unix milliseconds; ``disk`` the fraction of the disk that is free; ``inboxes`` the topics that
    are admitted devices' inboxes, with their names."""

    store: Store
    bounds: Bounds
    clock: Callable[[], int]
    disk: Callable[[], float] | None
    topics: Topics
    catchup: Catchup
    hearing: Hearing
    heartbeat: Heartbeat
    ledger: Ledger
    inboxes: dict[bytes, str] = field(default_factory=dict)
    refused_full: int = 0
    _is_full: bool = False
    _full_known_until: float = float("-inf")

    # ---------------------------------------------------------------------------------------------- writes

    def offer(
        self,
        member: Member,
        number: int,
        topic: OpenTopic | None,
        write: Write,
        finish: Finish,
        *,
        vital: bool = False,
        charged: int = 0,
    ) -> Reply:
        """Queue a write; ``finish`` makes the answer of its result. ``charged``: bytes that `over_quota` found room
        for."""

        def done(outcome: Outcome) -> None:
            if topic is not None:
                topic.users -= 1
            if charged:
                self.ledger.settle(device_of(member).agency, charged, kept=_kept(outcome))
            member.answer(number, answered(outcome, finish))

        if not self.heartbeat.offer(write, done, vital=vital):
            if charged:
                self.ledger.settle(device_of(member).agency, charged, kept=False)
            return overloaded()
        if topic is not None:
            topic.users += 1  # stays open until its head is up to date again
        return None

    def offer_entry(self, member: Member, number: int, topic: OpenTopic, write: base.Append, charged: int = 0) -> Reply:
        """As `offer`, of an entry: by far the most."""

        def done(outcome: Outcome) -> None:
            topic.users -= 1
            if charged:
                self.ledger.settle(device_of(member).agency, charged, kept=_kept(outcome))
            if type(outcome) is Placed:
                member.appended(number, outcome.stored.sequence)
            else:
                member.answer(number, answered(outcome, appended))

        if not self.heartbeat.offer(write, done):
            if charged:
                self.ledger.settle(device_of(member).agency, charged, kept=False)
            return overloaded()
        topic.users += 1
        return None

    async def post(self, write: Write) -> Result:
        """A vital write of the relay's own."""
        answered: asyncio.Future[Result] = asyncio.get_running_loop().create_future()

        def done(outcome: Outcome) -> None:
            if answered.done():
                return  # nobody waits for it any more
            if isinstance(outcome, StoreFull | StoreFailed):
                answered.set_exception(outcome)
            else:
                answered.set_result(outcome)

        if not self.heartbeat.offer(write, done, vital=True):
            raise StoreFailed("the relay is going down", retry_after=5.0)
        return await answered

    async def finished(self, write: Write, finish: Finish, charged: tuple[str, int] | None = None) -> AnswerBody:
        """Wait until a write is durable: for what must not begin again before. ``charged``: which agency's quota was
        found to have room for how many bytes."""
        told: asyncio.Future[AnswerBody] = asyncio.get_running_loop().create_future()

        def done(outcome: Outcome) -> None:
            if charged is not None:
                self.ledger.settle(*charged, kept=_kept(outcome))
            if not told.done():
                told.set_result(answered(outcome, finish))

        if not self.heartbeat.offer(write, done):
            if charged is not None:
                self.ledger.settle(*charged, kept=False)
            return overloaded()
        return await told

    def entry(
        self, kind: EntryKind, topic: bytes, entry_id: bytes, body: bytes, commit: CommitClaim | None = None
    ) -> base.Append:
        """An append of now."""
        return base.Append(topic, kind, entry_id, body, tail_of(body, commit), self.clock())

    async def unless_known(self, write: base.Append, judged: Error | Coroutine[Any, Any, Error]) -> Reply:
        """The old answer of an entry that is in the log, else the refusal."""
        try:
            stored = await self.store.entry(write.topic, write.entry_id)
            if stored is None:
                return await judged if isinstance(judged, Coroutine) else judged
        finally:
            if isinstance(judged, Coroutine):
                judged.close()
        if stored.says(write.kind, write.tail):
            return Appended(stored.sequence)
        return refusal(Code.CONFLICT, "the entry id was used for something else")

    # ---------------------------------------------------------------------------------------------- room

    def reader(self, member: Member, topic: OpenTopic) -> Reader | None:
        """The member's reader of a topic, new or not; None when it has as many as it may, or has left meanwhile."""
        if member.gone:
            return None
        reader = member.readers.get(topic.id)
        if reader is None and len(member.readers) < self.bounds.topics_per_session:
            reader = member.readers[topic.id] = topic.reader(member)
        return reader

    def over_quota(self, agency: str, size: int) -> bool:
        """Whether the agency has brought in as much as it may; else room is kept, and the write that follows is
        ``charged`` with it."""
        return not self.ledger.reserve(agency, size)

    def full(self) -> bool:
        """Whether this request must be refused because only the last part of the disk is left."""
        if not self.low():
            return False
        self.refused_full += 1
        return True

    def low(self) -> bool:
        """Whether only the last part of the disk is left: looked up at most once a second."""
        if self.disk is None:
            return False
        now = time.monotonic()
        if now >= self._full_known_until:
            self._is_full = self.disk() < self.bounds.reserve
            self._full_known_until = now + 1.0
        return self._is_full


def _kept(outcome: Outcome) -> bool:
    """Whether the store has something now that it had not before."""
    return outcome.fresh if type(outcome) is Placed else type(outcome) is base.Counted


def device_of(member: Member) -> Device:
    """The device whose session it is. The mailroom has refused all others what only devices may."""
    assert isinstance(member.who, Device)  # see `Mailroom._handle`
    return member.who


def there(topic: OpenTopic | None) -> OpenTopic:
    """The topic of a request that has one: it was opened for it."""
    assert topic is not None  # see `relay.lanes`
    return topic
