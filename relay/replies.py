"""How what the store says of a write is told to whoever asked for it."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any, Final

from relay.outgoing import refusal
from relay.people import Guest, Who
from relay.store import base
from relay.store.base import Outcome, Placed, Result, StoreFailed, StoreFull
from securechan.wire.frames import AnswerBody, Appended, Code, Done, Error

FULL_WAIT: Final = 30_000  # milliseconds after which to ask a full relay again
BUSY_WAIT: Final = 1_000
QUOTA_WAIT: Final = 3_600_000

Reply = AnswerBody | None  # None: the answer follows when something is durable
Handled = Reply | Coroutine[Any, Any, Reply]  # a coroutine goes on in the lane
Finish = Callable[[Result], AnswerBody]


def answered(outcome: Outcome, finish: Finish) -> AnswerBody:
    """The answer to a write: that of ``finish`` to its result, or that it was not stored."""
    if isinstance(outcome, (StoreFull, StoreFailed)):
        return not_stored(outcome)
    return finish(outcome)


def not_stored(error: StoreFull | StoreFailed) -> Error:
    """Why nothing was stored."""
    if isinstance(error, StoreFull):
        return refusal(Code.FULL, "the relay's disk is full", retry_after=FULL_WAIT)
    return refusal(Code.INTERNAL, "the relay could not store it", retry_after=BUSY_WAIT)


def appended(result: Result) -> AnswerBody:
    """How the result of an append is answered."""
    match result:
        case Placed():
            return Appended(result.stored.sequence)
        case base.Behind():
            return refusal(Code.STALE, "another came first", sequence=result.sequence, entry_id=result.entry_id)
        case base.Clash():
            return refusal(Code.CONFLICT, result.what)
        case base.Overfull():
            return refusal(Code.QUOTA, "it holds as many entries as it may", retry_after=FULL_WAIT)
        case _:
            return refusal(Code.UNKNOWN_TOPIC, "no such topic")


def boxed(who: Who) -> Finish:
    """How the result of an append to a box is answered."""

    def finish(result: Result) -> AnswerBody:
        if isinstance(result, base.Behind) and isinstance(who, Guest):
            return refusal(Code.CONFLICT, "the box has its request", sequence=1)
        return appended(result)

    return finish


def made(result: Result) -> AnswerBody:
    """How the making of a topic or a box is answered."""
    if isinstance(result, base.Clash):
        return refusal(Code.CONFLICT, result.what)
    return Done()


def done(_: Result) -> AnswerBody:
    """Whatever it was, it is so."""
    return Done()


def spoiled(_: Result) -> AnswerBody:
    return refusal(Code.CONFLICT, "the blob does not have the hash that names it: send it again from the start")


def full() -> Error:
    return refusal(Code.FULL, "the relay's disk is nearly full", retry_after=FULL_WAIT)


def over_quota() -> Error:
    return refusal(Code.QUOTA, "the agency has stored as much as it may", retry_after=QUOTA_WAIT)


def crowded() -> Error:
    return refusal(Code.QUOTA, "this session uses as many topics as it may")


def overloaded() -> Error:
    return refusal(Code.OVERLOADED, "more waits for the disk than may", retry_after=BUSY_WAIT)
