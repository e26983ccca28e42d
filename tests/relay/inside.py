"""A relay inside the test's own process and event loop, whose clock and quotas the test holds."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from relay import keys
from relay.config import Settings
from relay.heads import OnlineKey
from relay.limits import Quotas
from relay.mailroom import Mailroom
from relay.server import Relay, bounds_of, clock
from relay.store.memory import MemoryStore
from relay.trust_topic import TrustTopic
from tests.support.founding import Founded, found


@cache
def _founding() -> tuple[Mapping[str, bytes], Founded]:
    """Key files and the federation around them: once a process, for a root signature is dear."""
    with TemporaryDirectory() as folder:
        held = keys.make(Path(folder), int(time.time()))
        files = {path.name: path.read_bytes() for path in (Path(folder) / keys.FOLDER).iterdir()}
    return files, found(held.card("relay-1", "ws://127.0.0.1:1"), ("cert-hr/a", "cert-hr/b"))


@asynccontextmanager
async def relay_inside(
    home: Path, *, at: Callable[[], int] = clock, settings: Mapping[str, Any] | None = None, **quotas: Any
) -> AsyncIterator[tuple[Relay, Founded]]:
    """A relay that serves cert-hr/a and cert-hr/b from memory. ``at`` is the clock of sessions (Unix ms); ``quotas``
    may be below the least that an operator may set."""
    files, founded = _founding()
    keys.make_home(home)
    for name, content in files.items():
        keys.write_private(home / keys.FOLDER / name, content)
    held = keys.load(home)
    chosen = Settings(name="relay-1", port=0, store="memory").model_copy(
        update={"quotas": Quotas().model_copy(update=quotas), **(settings or {})}
    )
    store, online = MemoryStore(), OnlineKey(held.online)
    trust = await TrustTopic.load(store, online=online, clock=clock)
    await trust.adopt(founded.bundle)
    mailroom = Mailroom(store, relay="relay-1", clock=clock, trust=trust, bounds=bounds_of(chosen), signer=online)
    await mailroom.start()
    relay = Relay(home, chosen, held, mailroom=mailroom, trust=trust)
    relay.house = replace(relay.house, clock=at)
    await relay.start()
    try:
        yield relay, founded
    finally:
        await relay.stop()
