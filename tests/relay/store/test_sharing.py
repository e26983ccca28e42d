"""A question is asked once for all who ask at once, and never answered with what was true before."""

from __future__ import annotations

import asyncio

import pytest

from relay.store.sharing import Shared


class Oracle:
    """Answers with how often it was asked, when it is let."""

    def __init__(self) -> None:
        self.asked = 0
        self.let = asyncio.Event()
        self.wrong = False

    async def __call__(self) -> int:
        self.asked += 1
        mine = self.asked
        await self.let.wait()
        if self.wrong:
            raise ConnectionError(mine)
        return mine


async def turns(count: int = 5) -> None:
    for _ in range(count):
        await asyncio.sleep(0)


async def test_all_who_ask_at_once_share_one_question_and_those_after_it_the_next() -> None:
    oracle = Oracle()
    ask = Shared(oracle)
    first = [asyncio.create_task(ask()) for _ in range(100)]
    await turns()
    assert oracle.asked == 1
    later = [asyncio.create_task(ask()) for _ in range(100)]
    await turns()
    assert oracle.asked == 1  # one at a time
    oracle.let.set()
    assert set(await asyncio.gather(*first)) == {1}
    assert set(await asyncio.gather(*later)) == {2}
    assert await ask() == 3


async def test_what_was_raised_is_raised_to_all_and_the_next_is_asked_anew() -> None:
    oracle = Oracle()
    oracle.let.set()
    oracle.wrong = True
    ask = Shared(oracle)
    told = await asyncio.gather(ask(), ask(), return_exceptions=True)
    assert [type(each) for each in told] == [ConnectionError] * 2
    oracle.wrong = False
    assert await ask() == 2


async def test_who_gives_up_takes_nothing_from_the_others() -> None:
    oracle = Oracle()
    ask = Shared(oracle)
    first, second = asyncio.create_task(ask()), asyncio.create_task(ask())
    await turns()
    first.cancel()
    oracle.let.set()
    assert await second == 1
    with pytest.raises(asyncio.CancelledError):
        await first
