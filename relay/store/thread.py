"""One thread that does one thing after another for an event loop: a `ThreadPoolExecutor` of one, at half its cost."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from queue import SimpleQueue
from typing import Any, TypeVar

T = TypeVar("T")

_Work = tuple[asyncio.AbstractEventLoop, asyncio.Future[Any], Callable[[], Any]]


class Thread:
    """Begins with the first piece of work; `stop` ends it once all that was given is done."""

    def __init__(self, name: str) -> None:
        self._work: SimpleQueue[_Work | None] = SimpleQueue()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._stopped = False

    def run(self, work: Callable[[], T]) -> asyncio.Future[T]:
        """What ``work`` gives or raises. It is done even if nobody waits for it any more."""
        if self._stopped:
            raise RuntimeError("the thread was stopped")
        if self._thread.ident is None:
            self._thread.start()
        loop = asyncio.get_running_loop()
        told: asyncio.Future[T] = loop.create_future()
        self._work.put((loop, told, work))
        return told

    def stop(self) -> None:
        """Return when all is done."""
        if not self._stopped:
            self._stopped = True
            self._work.put(None)
            if self._thread.ident is not None:
                self._thread.join()

    def _run(self) -> None:
        while (next_one := self._work.get()) is not None:
            loop, told, work = next_one
            try:
                done, failed = work(), None
            except BaseException as error:  # whoever waits for it hears of it
                done, failed = None, error
            loop.call_soon_threadsafe(_tell, told, done, failed)
            del next_one, told, work, done, failed  # nothing is held while there is nothing to do


def _tell(told: asyncio.Future[Any], done: object, failed: BaseException | None) -> None:
    if told.done():
        return  # nobody waits for it any more
    if failed is None:
        told.set_result(done)
    else:
        told.set_exception(failed)
