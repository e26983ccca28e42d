"""One play: the cast is brought together, faults strike, and what was said is counted."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack

from tests.chaos.load import Load, Reckoning
from tests.chaos.sites import Fault, Site
from tests.support import stage_questions as ask
from tests.support.stage_process import Nursery


async def play(site: Site, faults: Sequence[Fault], tell: Callable[[str], None] = lambda _: None) -> Reckoning:
    """These faults, one after the other, under load."""
    stage, chance = site.stage, site.chance
    async with AsyncExitStack() as exits:
        nursery = await exits.enter_async_context(Nursery(stage))
        cast = [
            await exits.enter_async_context(stage.live(name, url=site.url(number)))
            for number, name in enumerate(("ana", "bor", "cene"))
        ]
        mortal = nursery.process("dora", url=site.url(3))
        await mortal.start()
        await mortal.until(ask.stocked)
        topic = await stage.found(cast[0], cast[1:])
        await mortal.until(ask.member, topic)
        load = Load(stage, topic, cast, mortal, chance)
        await mortal.die(chance.randint(2, 40))
        for number, fault in enumerate(faults, 1):
            await load.round(fault)
            tell(f"{number} of {len(faults)} faults, {len(load.said)} texts, {load.deaths} deaths of a client ")
        return await load.reckon()
