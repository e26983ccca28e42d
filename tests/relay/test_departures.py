"""All that is due leaves when the loop turns, in its order, and what many are sent is filled once."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial

from relay.departures import Departures
from securechan.wire.plaintext import filled


class Due:
    """A connection that does one thing when it departs."""

    def __init__(self, depart: Callable[[], None]) -> None:
        self.depart = depart


async def test_all_depart_together_when_the_loop_turns() -> None:
    departures, gone = Departures(), list[int]()
    for number in range(3):
        departures.due(Due(partial(gone.append, number)))
    assert gone == []
    await asyncio.sleep(0)
    assert gone == [0, 1, 2]
    await asyncio.sleep(0)
    assert gone == [0, 1, 2]


async def test_what_is_due_while_others_depart_leaves_a_turn_later() -> None:
    departures, gone = Departures(), list[str]()
    second = Due(lambda: gone.append("second"))

    def first() -> None:
        gone.append("first")
        departures.due(second)

    departures.due(Due(first))
    await asyncio.sleep(0)
    assert gone == ["first"]
    await asyncio.sleep(0)
    assert gone == ["first", "second"]


def test_a_frame_for_many_is_filled_once() -> None:
    departures = Departures()
    one, same_bytes = bytes(bytearray(b"x" * 300)), bytes(bytearray(b"x" * 300))
    plain = departures.plain(one)
    assert plain == filled((one,))
    assert departures.plain(one) is plain
    assert departures.plain(b"y") == filled((b"y",))
    assert departures.plain(same_bytes) == plain
