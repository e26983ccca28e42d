"""Staying connected: events as they come, and errands for other invocations meanwhile; or fetching everything once."""

from __future__ import annotations

from typing import Any, Final

from clients import control
from clients.operations import lookup
from clients.operations.engine import Operation, Params, Work, operation
from securechan.agent.events import kind_of, to_json

QUIET: Final = frozenset({"synced", "epoch-changed", "message-sent", "trust-changed", "request-done"})
"""Kinds of events that `watch` tells only to who asks for ``all``: they are of the machine, not of people."""


async def sync(work: Work, said: dict[str, Any]) -> dict[str, Any]:
    """Fetch everything there is, send what waits, and say what came."""
    params = Params(said)
    timeout = params.seconds("timeout", 120.0)
    came: dict[str, int] = {}

    def count(event: Any) -> None:
        came[kind_of(event)] = came.get(kind_of(event), 0) + 1

    stop = work.runtime.listen(count)
    try:
        await work.synced(timeout)
        await work.runtime.until(lambda agent: agent.idle, timeout)
        await work.settled()
    finally:
        stop()
    return {
        "came": {kind: number for kind, number in sorted(came.items()) if kind not in QUIET},
        "conversations": [
            {
                "id": each.topic.hex(),
                "name": each.name,
                "epoch": each.epoch,
                "unread": each.unread,
                "state": each.standing,
            }
            for each in work.agent.conversations()
        ],
        "offers": len(work.agent.offers()),
        "unread": sum(each.unread for each in work.agent.conversations()),
    }


async def watch(work: Work, said: dict[str, Any]) -> dict[str, Any]:
    """Give every event until whoever asked has had enough; with ``conversation`` only of that one, with ``all`` those
    of the machine too. Does the errands of other invocations meanwhile."""
    params = Params(said)
    name = params.text("conversation", "")
    topic = lookup.conversation(work.agent, name).topic if name else None
    every = params.flag("all")

    async def errand(op: str, wanted: dict[str, Any], give: Any) -> Any:
        return await operation(op)(Work(work.runtime, work.profile, work.clock, give), wanted)

    async with control.serving(work.profile.control, errand):
        await work.give({"event": "watching", "device": work.agent.device})
        await stream(work, topic, every=every)
    return {}


async def follow(work: Work, said: dict[str, Any]) -> dict[str, Any]:
    """As `watch`, for one who doesn't hold the profile: only the events."""
    params = Params(said)
    name = params.text("conversation", "")
    await stream(work, lookup.conversation(work.agent, name).topic if name else None, every=params.flag("all"))
    return {}


async def stream(work: Work, topic: bytes | None, *, every: bool) -> None:
    """Give events as they come."""
    async for event in work.runtime.events():
        if (every or kind_of(event) not in QUIET) and topic in (None, getattr(event, "conversation", None)):
            await work.give(lookup.timed(to_json(event)))


OPERATIONS: Final[dict[str, Operation]] = {"sync": sync, "watch": watch, "follow": follow}
