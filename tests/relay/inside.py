"""A relay inside the test's own process and event loop, whose clock and quotas the test holds."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from relay import keys
from relay.bounds import Bounds
from relay.config import Settings
from relay.heads import OnlineKey
from relay.limits import Quotas
from relay.mailroom import Mailroom
from relay.server import Relay, clock
from relay.store.memory import MemoryStore
from relay.trust_topic import TrustTopic
from tests.support.founding import Founded, found


@asynccontextmanager
async def relay_inside(
    home: Path, *, at: Callable[[], int] = clock, settings: Mapping[str, Any] | None = None, **quotas: Any
) -> AsyncIterator[tuple[Relay, Founded]]:
    """A relay that serves cert-hr/a and cert-hr/b from memory. ``at`` is the clock of sessions (Unix ms); ``quotas``
    may be below the least that an operator may set."""
    now = int(time.time())
    held = keys.make(home, now)
    chosen = Settings(name="relay-1", port=0, store="memory").model_copy(
        update={"quotas": Quotas().model_copy(update=quotas), **(settings or {})}
    )
    founded = found(held.card("relay-1", "ws://127.0.0.1:1"), ("cert-hr/a", "cert-hr/b"))
    store, online = MemoryStore(), OnlineKey(held.online)
    trust = await TrustTopic.load(store, online=online, clock=clock)
    await trust.adopt(founded.bundle)
    bounds = Bounds(sessions=chosen.quotas.sessions)
    mailroom = Mailroom(store, relay="relay-1", clock=clock, trust=trust, bounds=bounds, signer=online)
    await mailroom.start()
    relay = Relay(home, chosen, held, mailroom=mailroom, trust=trust, bounds=bounds)
    relay.house = replace(relay.house, clock=at)
    await relay.start()
    try:
        yield relay, founded
    finally:
        await relay.stop()
