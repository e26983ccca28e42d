"""The order of one member's requests about one thing: begun as they came, each judged after the one before.

Most requests are judged in the turn in which they come. What must ask the store first is a coroutine: it runs in a
*lane*, a task that lives while it has something to do, and what the member asks about the same thing meanwhile waits
behind it there.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Coroutine
from typing import Any, Final

from relay.logs import event
from relay.member import Member
from relay.outgoing import refusal
from relay.replies import Handled, Reply, not_stored
from relay.store.base import StoreFailed, StoreFull
from relay.topics import OpenTopic, Topics
from securechan.wire.frames import (
    Append,
    Code,
    CountKeyPackages,
    CreateBox,
    CreateTopic,
    Deliver,
    GetBlob,
    GetHeads,
    Ping,
    Publish,
    PutBlob,
    PutKeyPackages,
    RequestBody,
    Show,
    Subscribe,
    TakeKeyPackage,
    Trim,
    Unsubscribe,
)

log = logging.getLogger("relay.mailroom")

ENDS: Final = 5.0  # seconds that requests under way get at the end
_TOPICAL: Final = frozenset((Append, Show, Subscribe, Unsubscribe, Deliver, CreateTopic, Trim, CreateBox))

Judge = Callable[[Member, int, RequestBody, OpenTopic | None], Handled]


class Lanes:
    """``judge`` gives the answer to a request, None when that follows by itself, or what remains to be awaited."""

    def __init__(self, topics: Topics, judge: Judge) -> None:
        self._topics = topics
        self._judge = judge
        self._waiting: dict[tuple[Member, bytes], deque[tuple[int, RequestBody]]] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    def take(self, member: Member, number: int, body: RequestBody) -> None:
        """Begin a request, now or after those before it."""
        place = body.topic if type(body) is Append else _place_of(body)  # by far the most
        if self._waiting and (lane := self._waiting.get((member, place))) is not None:
            lane.append((number, body))
            return
        topic = self._topics.get(place)
        if topic is None and type(body) in _TOPICAL:
            self._open(member, place, number, body)
            return
        handled = self._judge(member, number, body, topic)
        if handled is None:
            return
        if isinstance(handled, Coroutine):
            if topic is not None:
                topic.users += 1  # from now on, not from the lane's first turn
                handled = _held(topic, handled)
            self._open(member, place, number, handled)
        else:
            member.answer(number, handled)

    async def finish(self) -> None:
        """Wait for what is under way: it ends by itself, unless it waits for a reader that does not read."""
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=ENDS)

    def cancel(self) -> list[asyncio.Task[None]]:
        """Give up what is still under way."""
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        return tasks

    def _open(self, member: Member, place: bytes, number: int, first: RequestBody | Coroutine[Any, Any, Reply]) -> None:
        self._waiting[member, place] = deque()
        task = asyncio.create_task(self._lane(member, place, number, first))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _lane(
        self, member: Member, place: bytes, number: int, first: RequestBody | Coroutine[Any, Any, Reply]
    ) -> None:
        """Requests of one member about one thing, each judged after the one before."""
        waiting = self._waiting[member, place]
        work: RequestBody | Coroutine[Any, Any, Reply] = first
        try:
            while True:
                reply = await self._in_lane(member, place, number, work)
                if reply is not None:
                    member.answer(number, reply)
                if not waiting:
                    return
                number, work = waiting.popleft()
        finally:
            del self._waiting[member, place]

    async def _in_lane(
        self, member: Member, place: bytes, number: int, work: RequestBody | Coroutine[Any, Any, Reply]
    ) -> Reply:
        try:
            if isinstance(work, Coroutine):
                return await work
            if type(work) not in _TOPICAL:
                handled = self._judge(member, number, work, None)
                return await handled if isinstance(handled, Coroutine) else handled
            async with self._topics.use(place) as topic:
                handled = self._judge(member, number, work, topic)
                return await handled if isinstance(handled, Coroutine) else handled
        except (StoreFull, StoreFailed) as error:
            return not_stored(error)
        except Exception:  # a fault of ours, in a task that nobody awaits: told, answered, and the lane goes on
            event(log, "request failed", level=logging.ERROR, error=True)
            return refusal(Code.INTERNAL, "the relay failed at this request")


def _place_of(body: RequestBody) -> bytes:
    """What a request is about, for the sake of order: its topic, its blob, or its kind."""
    match body:
        case CreateBox():
            return body.box
        case PutBlob():
            return b"put" + body.blob
        case Publish():
            return b"publish"
        case GetBlob():
            return b"get"
        case PutKeyPackages() | CountKeyPackages() | TakeKeyPackage():
            return b"packages"
        case GetHeads():
            return b"heads"
        case Ping():
            return b""
        case _:
            return body.topic


async def _held(topic: OpenTopic, work: Coroutine[Any, Any, Reply]) -> Reply:
    """``work``, and then its topic is held no more."""
    try:
        return await work
    finally:
        topic.users -= 1
