"""One question for all who ask: whoever comes while it is under way gets the next one, together with all others.

    ask, ask, ask ──▶ one question ──────▶ answer ─▶ the three
              ask, ask ──▶ wait ──▶ one question ──▶ answer ─▶ the two

So what an answer says was true when its caller asked or later, and a thousand callers at once cost as much as two.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

T = TypeVar("T")


class Shared(Generic[T]):
    """A question that callers share. Each gets the answer, or what was raised instead, of one that began after its
    call; a caller that is cancelled takes nothing from the others."""

    def __init__(self, question: Callable[[], Awaitable[T]]) -> None:
        self._question = question
        self._asked: asyncio.Task[T] | None = None  # the last that was begun
        self._next: asyncio.Task[T] | None = None  # not begun yet

    async def __call__(self) -> T:
        if self._next is None:
            self._next = asyncio.create_task(self._turn(self._asked))
            self._next.add_done_callback(_noted)
        return await asyncio.shield(self._next)

    async def _turn(self, before: asyncio.Task[T] | None) -> T:
        if before is not None:
            await asyncio.wait([before])
        self._asked, self._next = self._next, None
        return await self._question()


def _noted(task: asyncio.Task[T]) -> None:
    """Errors are for whoever waits; where nobody does any more, nobody is told."""
    if not task.cancelled():
        task.exception()
