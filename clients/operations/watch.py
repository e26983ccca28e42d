"""Staying connected: events as they come, and errands for other invocations meanwhile; or fetching everything once."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any, Final, assert_never

from clients import control
from clients.connection import SKEW_WARN, Up
from clients.operations import lookup, upkeep
from clients.operations.conversation import summary
from clients.operations.engine import Operation, Params, Work, operation, skewed
from clients.transport import Down
from securechan.agent.archive import kind_of, to_json
from securechan.errors import SecurechanError

QUIET: Final = frozenset(
    {"synced", "epoch-changed", "message-sent", "message-reached", "trust-changed", "request-done", "box-read"}
)
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
        await work.at_rest(timeout)
        await work.settled()
    finally:
        stop()
    conversations = work.agent.conversations(work.now)
    return {
        "came": {kind: number for kind, number in sorted(came.items()) if kind not in QUIET},
        "conversations": [summary(each) for each in conversations],
        "offers": len(work.agent.offers()),
        "unread": sum(each.unread for each in conversations),
    }


async def watch(work: Work, said: dict[str, Any]) -> dict[str, Any]:
    """Give every event, and every session won or lost, until whoever asked has had enough; with ``conversation`` only
    of that one, with ``all`` those of the machine too. Does the errands of other invocations meanwhile; one that wants
    to watch as well is given the same events."""

    async def errand(name: str, wanted: dict[str, Any], give: Any) -> Any:
        theirs = Work(work.runtime, work.profile, work.clock, give)
        return await (_stream if name == "watch.watch" else operation(name))(theirs, wanted)

    async with control.serving(work.profile.control, errand):
        chores = asyncio.create_task(upkeep.keep(work))
        try:
            return await _stream(work, said)
        finally:
            chores.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await chores


async def _stream(work: Work, said: dict[str, Any]) -> dict[str, Any]:
    params = Params(said)
    name = params.text("conversation", "")
    topic = lookup.conversation(work.agent, name).topic if name else None
    every = params.flag("all")
    told: asyncio.Queue[dict[str, Any]] = asyncio.Queue()

    def hear(event: Any) -> None:
        if (every or kind_of(event) not in QUIET) and topic in (None, getattr(event, "conversation", None)):
            told.put_nowait(lookup.timed(to_json(event)))

    with contextlib.ExitStack() as stack:
        stack.callback(work.runtime.listen(hear))
        stack.callback(work.runtime.listen_link(lambda link: told.put_nowait(_link(link))))
        await work.give({"event": "watching", "device": work.agent.device})
        if work.runtime.link is not None:
            told.put_nowait(_link(work.runtime.link))
        ending = asyncio.create_task(work.runtime.ended())
        try:
            while True:
                coming = asyncio.create_task(told.get())
                try:
                    await asyncio.wait((coming, ending), return_when=asyncio.FIRST_COMPLETED)
                    if not coming.done():
                        ending.result()
                        return {}
                    await work.give(coming.result())
                finally:
                    coming.cancel()
        finally:
            ending.cancel()
            with contextlib.suppress(asyncio.CancelledError, SecurechanError):
                await ending


def _link(link: Up | Down) -> dict[str, Any]:
    match link:
        case Up():
            warning = skewed(link.skew) if abs(link.skew) > SKEW_WARN else ""
            return {"event": "relay-up", "relay": link.relay, "url": link.url, "warning": warning}
        case Down(error, reason, retry_in):
            return {
                "event": "relay-down",
                "code": error.code,
                "message": error.message,
                "hint": error.hint,
                "reason": None if reason is None else reason.name.lower(),
                "retry_in": None if retry_in is None else round(retry_in, 1),
            }
        case _:
            assert_never(link)


OPERATIONS: Final[dict[str, Operation]] = {"sync": sync, "watch": watch}
