"""What an administrator's device does unasked while it watches: its agency's roster lives on.

A roster expires after some weeks, and with it everything new that its agency may do. To sign the same for longer needs
no judgement, so a device that holds a roster's key does it by itself once half of the time has passed, where one
signature is enough. Where two must sign, people are asked as before: `securechan admin renew`.
"""

from __future__ import annotations

import asyncio
from random import SystemRandom
from typing import Final

from clients.operations import rosters
from clients.operations.engine import Work
from clients.operations.newcomer import OFFICE, ROSTER_KEY
from clients.operations.office import own_key_id
from securechan.errors import SecurechanError
from securechan.trust.freshness import lifetime
from securechan.trust.names import roster_role

FIRST: Final = 30.0  # seconds: what comes in when a session begins comes first
EVERY: Final = 3600.0  # seconds between two looks
SPREAD: Final = 600.0  # seconds, by chance: two administrators' devices don't look at once
SHARE: Final = 0.5  # of its lifetime: a roster with less left than that is renewed

_chance = SystemRandom()


def due(work: Work) -> bool:
    """Whether this device should renew its agency's roster now, and can do so alone."""
    agent = work.agent
    record = agent.view.find(agent.device) if agent.view.started and agent.synced else None
    if record is None or "admin" not in record.roles or work.vault.get(OFFICE, ROSTER_KEY) is None:
        return False
    signers, document = agent.view.agency(agent.agency).roster, agent.view.document(roster_role(agent.agency))
    if document is None or signers is None or signers.threshold != 1 or own_key_id(work) not in signers.keys:
        return False
    return document.expires - work.now < SHARE * lifetime(agent.view.policy.lifetimes, document.role)


async def keep(work: Work) -> None:
    """Look now and then, for ever. What was done is given as an event, and what failed is, until it succeeds."""
    pause = FIRST
    while True:
        await asyncio.sleep(pause)
        pause = EVERY + _chance.uniform(0, SPREAD)
        if not due(work):
            continue
        try:
            done = await rosters.renew(work, {})
        except SecurechanError as e:
            await work.give({"event": "roster-kept-back", "code": e.code, "message": e.message, "hint": e.hint})
        else:
            await work.give({"event": "roster-renewed", "agency": work.agent.agency, "roster": done["roster"]})
