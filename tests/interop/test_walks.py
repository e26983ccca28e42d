"""Groups mixed with other implementations, walked at random: all who are in them stay in one epoch. ``make interop``.

``SECURECHAN_INTEROP_STEPS`` says how many steps (200), ``SECURECHAN_INTEROP_SEED`` where they start (9420, or random).
"""

from __future__ import annotations

import os
import random
from typing import Any

import pytest

from tests.interop.process import Process
from tests.interop.sides import SUITES, command, needs_peers, ours, peer
from tests.interop.walk import Walk

STEPS = int(os.environ.get("SECURECHAN_INTEROP_STEPS", "200"))
SEED = os.environ.get("SECURECHAN_INTEROP_SEED", "9420")
MIXES = [(name, suite) for name, suites in SUITES.items() for suite in suites]


@needs_peers
@pytest.mark.timeout(900)
@pytest.mark.parametrize(("name", "suite"), MIXES, ids=[f"{name} 0x{suite:04x}" for name, suite in MIXES])
def test_a_walk(name: str, suite: int, record_property: Any) -> None:
    seed = random.SystemRandom().randrange(1_000_000) if SEED == "random" else int(SEED)
    with Process(command(name)) as process:
        walk = Walk(suite, (ours(), peer(name, process)), seed)
        walk.run(STEPS)
    assert len(walk.log) >= STEPS
    counts = [(kind, side, count) for (kind, side), count in sorted(walk.counts.items())]
    record_property("walk", (name, suite, seed, len(walk.log), counts))


@pytest.mark.parametrize("suite", [0x0001, 0xF5C1])
def test_a_walk_among_ourselves(suite: int) -> None:
    """The walk itself, where nobody needs to be installed."""
    walk = Walk(suite, (ours(), ours()), seed=1)
    walk.run(60)
    assert {"talk", "commit add", "commit by reference", "external join", "race"} <= {kind for kind, _ in walk.counts}
