"""What ``make chaos`` plays at length, played once: each kind of fault of either site."""

from __future__ import annotations

import asyncio
import random
from pathlib import Path

from tests.chaos.play import play
from tests.chaos.sites import Nats, Sqlite


def test_nothing_is_lost_on_sqlite(tmp_path: Path) -> None:
    with Sqlite(tmp_path, random.Random(1)) as site:
        reckoning = asyncio.run(play(site, [site.killed, site.torn, site.copied]))
    assert reckoning.good, reckoning
    assert reckoning.said == reckoning.acknowledged > 200
    assert reckoning.delivered == 3 * reckoning.said
    assert len(reckoning.silences) >= 1
    assert sum(site.notes.values()) == 3


def test_nothing_is_lost_over_a_cluster(tmp_path: Path) -> None:
    with Nats(tmp_path, random.Random(2)) as site:
        reckoning = asyncio.run(play(site, [site.leader, site.relay_killed]))
    assert reckoning.good, reckoning
    assert reckoning.said == reckoning.acknowledged > 150
    assert reckoning.delivered == 3 * reckoning.said
