"""The relay is killed under load, again and again: nothing that it acknowledged is lost, and there is one order.

Four devices of two agencies write as fast as they can, and renew their keys in between; the relay dies by SIGKILL in
the middle of it, five times, and comes back on the same folder. Devices notice by the cut connection, come back by
themselves, and offer again what wasn't acknowledged. In the end every text is in every archive once, in one order; the
four history chains agree; whatever any device was told to stand in the log still stands where it stood.
"""

from __future__ import annotations

import asyncio

from securechan.agent.events import MessageReceived, MessageSent
from securechan.agent.inputs import RotateEpochs, SendText
from securechan.agent.state import CONVERSATIONS
from securechan.bulletin.tlp import Tlp
from tests.support.stage import Live, Stage

KILLS = 5
EACH = 24  # texts of each device between two kills


async def _write(device: Live, topic: bytes, said: list[str], number: int) -> None:
    for count in range(EACH):
        said.append(f"{device.name} {number}.{count}")
        await device.do(SendText(topic, said[-1], Tlp.GREEN))
        if count == EACH // 2 and device.name in ("ana", "cene"):
            await device.do(RotateEpochs(topic))


async def test_the_relay_is_killed_under_load(stage: Stage) -> None:
    async with stage.all("ana", "bor", "cene", "dora") as cast:
        topic = await stage.found(cast[0], cast[1:])
        said: list[str] = []
        for number in range(KILLS):
            seen = len(cast[1].told(MessageReceived))
            writing = [asyncio.ensure_future(_write(each, topic, said, number)) for each in cast]
            # In the middle of it: some texts are in the log, and many are not.
            await cast[1].heard(MessageReceived, seen + EACH // 2)
            stage.relay.kill()
            await asyncio.gather(*writing)
            await asyncio.to_thread(stage.relay.start)
        for each in cast:
            await each.heard(MessageReceived, len(said))
            await each.idle()
        await stage.agree(topic, cast)

        order = cast[0].words(topic)
        assert sorted(order) == sorted(said)
        heads = set()
        for each in cast:
            assert each.words(topic) == each.heard_words(topic) == order
            assert not each.alarms()
            where = {event.payload: event.sequence for event in each.told(MessageReceived)}
            acknowledged = each.told(MessageSent)
            assert len(acknowledged) == KILLS * EACH
            assert all(where[event.payload] == event.sequence for event in acknowledged)
            row = each.agent.rows.all(CONVERSATIONS)[topic.hex()]
            heads.add((row.cursor.sequence, row.cursor.chain))
        assert len(heads) == 1
    assert not stage.ledger.reused()
