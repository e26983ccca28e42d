"""One thing after another, each told to whoever waits for it."""

from __future__ import annotations

import asyncio
import threading
from functools import partial

import pytest

from relay.store.thread import Thread


async def test_work_is_done_in_order_and_by_one_thread() -> None:
    thread = Thread("worker")
    done: list[int] = []
    names: set[str] = set()

    def work(n: int) -> int:
        done.append(n)
        names.add(threading.current_thread().name)
        return 2 * n

    assert await asyncio.gather(*[thread.run(partial(work, n)) for n in range(50)]) == [2 * n for n in range(50)]
    assert done == list(range(50))
    assert names == {"worker"}
    thread.stop()


async def test_what_fails_is_told_and_the_next_goes_on() -> None:
    thread = Thread("worker")

    def fail() -> None:
        raise KeyError("lost")

    with pytest.raises(KeyError):
        await thread.run(fail)
    assert await thread.run(lambda: 1) == 1
    thread.stop()


async def test_what_nobody_waits_for_is_done_all_the_same() -> None:
    thread = Thread("worker")
    begun, over = threading.Event(), threading.Event()

    def slow() -> None:
        begun.set()
        over.wait(10)

    first = thread.run(slow)
    second = thread.run(lambda: done.append(2))
    done: list[int] = []
    await asyncio.to_thread(begun.wait, 10)
    first.cancel()
    second.cancel()
    over.set()
    await asyncio.to_thread(thread.stop)
    assert done == [2]
    with pytest.raises(RuntimeError, match="stopped"):
        thread.run(lambda: None)


def test_one_that_had_nothing_to_do_stops() -> None:
    thread = Thread("worker")
    thread.stop()
    thread.stop()
