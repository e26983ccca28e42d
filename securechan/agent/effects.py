"""What an agent wants done, once its writes are adopted: closed, and never done by itself.

The order is the promise: writes first, in one transaction, then effects. An effect that is lost with the process costs
nothing: what has to leave stands in a row, and the agent asks for it again at the next connection.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import assert_never

from securechan.agent.archive import kept
from securechan.agent.asks import Ask
from securechan.agent.events import Event, ReceiptReceived
from securechan.agent.tables import Write
from securechan.wire.frames import RequestBody, Trim

__all__ = ["Effect", "Emit", "Reconnect", "Send", "Wake", "Write", "patient"]


@dataclass(frozen=True, slots=True)
class Send:
    """Put this request to the relay; its answer comes back as ``Answered(ref, answer)``. ``ref`` is the agent's own
    note: hashable, and of no meaning to anyone else."""

    body: RequestBody
    ref: Ask


@dataclass(frozen=True, slots=True)
class Emit:
    """Show this to people. It stands in the archive already."""

    event: Event


@dataclass(frozen=True, slots=True)
class Wake:
    """Give a ``Tick`` at this Unix second; a later wish replaces an earlier one."""

    at: int


@dataclass(frozen=True, slots=True)
class Reconnect:
    """End this session and shake hands anew: the device's credential has changed, or the session is out of step."""

    reason: str


Effect = Send | Emit | Wake | Reconnect


def patient(effect: Effect) -> bool:
    """Whether it, and the writes before it, may wait a moment for others, so that many become durable together: nobody
    waits for it, and where it is lost it comes again. Of this kind is what a hundred receipts bring about."""
    match effect:
        case Wake() | Send(Trim(), _):
            return True
        case Emit(event):
            return isinstance(event, ReceiptReceived) and not kept(event)
        case Send() | Reconnect():
            return False
        case _:
            assert_never(effect)
