"""Whom a message has reached: where few officers talk by name, their devices say so to the one that sent it.

Elsewhere nobody says it: two hundred receipts of one message would be more traffic than the message. What has to be
known there to have come is a bulletin.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from clients.operations import lookup
from clients.operations.engine import Work
from securechan.agent import receipts
from securechan.agent.archive import to_json
from securechan.agent.events import MessageReached
from securechan.errors import Malformed, TimedOut


def receipted(work: Work, topic: bytes) -> None:
    """Return if messages are receipted in this conversation. Raises Malformed (``not-receipted``)."""
    there = work.agent.conversation(topic)
    if there.policy is None or not receipts.receipted(there.policy):
        raise Malformed(
            f"in {there.name} nobody says whom a message has reached: that is where few officers talk by name",
            hint="wait until it is sent; or publish a bulletin there: bulletin acks shows who has it",
            code="usage",
        )


@contextlib.contextmanager
def heard(work: Work, topic: bytes) -> Iterator[Reached]:
    """Listen from now on to what devices say of messages in a conversation."""
    reached = Reached()

    def hear(event: Any) -> None:
        if isinstance(event, MessageReached) and event.conversation == topic:
            reached.told.append(to_json(event))
            reached.changed.set()

    stop = work.runtime.listen(hear)
    try:
        yield reached
    finally:
        stop()


@dataclass
class Reached:
    """What devices have said since one listens."""

    told: list[dict[str, Any]] = field(default_factory=list)
    changed: asyncio.Event = field(default_factory=asyncio.Event)

    async def wait(
        self, payload: bytes, kind: str, before: Iterable[dict[str, Any]], readers: list[dict[str, Any]], seconds: float
    ) -> dict[str, Any]:
        """Until a message has come to every device among ``readers`` that isn't our officer's, or each of their
        officers has read it; ``before`` was said earlier. Raises TimedOut, which names who is missing."""
        self.told[:0] = before
        others = [each for each in readers if not each["own"]]
        try:
            async with asyncio.timeout(seconds):
                while missing := self._missing(payload.hex(), kind, others):
                    self.changed.clear()
                    await self.changed.wait()
        except TimeoutError:
            raise TimedOut(
                f"it is sent, and not {kind} yet: {', '.join(missing)}",
                hint=f"nothing has to be sent again; to go on waiting: the same with --id {payload.hex()}",
                code=f"not-{kind}",
            ) from None
        return {"state": kind} | {name: self._of(payload.hex(), name) for name in ("delivered", "read")}

    def _missing(self, payload: str, kind: str, others: list[dict[str, Any]]) -> list[str]:
        by = "device" if kind == "delivered" else "officer"  # who has read it on one device has read it
        done = {each[by] for each in self.told if each["payload"] == payload and kind in ("delivered", each["kind"])}
        return sorted({each[by] or each["device"] for each in others} - done)

    def _of(self, payload: str, kind: str) -> list[dict[str, Any]]:
        """Each device once, with the first time that it said so."""
        said: dict[str, dict[str, Any]] = {}
        for each in self.told:
            if (each["payload"], each["kind"]) == (payload, kind):
                moment = each["time"] if isinstance(each["time"], str) else lookup.moment(each["time"])
                said.setdefault(each["device"], {"device": each["device"], "officer": each["officer"], "time": moment})
        return list(said.values())
