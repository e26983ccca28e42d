"""Many at once, and some who mean harm, at a size that every run can afford; ``make bench B=load`` has the full one.

Nothing here is judged by the clock: all are served, nothing is lost, what is too much is refused, and the relay doesn't
grow with it.
"""

from __future__ import annotations

import secrets
from pathlib import Path

import pytest

from relay.connection import REFUSED, REST
from tests.bench import load
from tests.bench.crowd import Crowd
from tests.support.cluster import Cluster


@pytest.fixture(params=["sqlite", "nats"])
def store(request: pytest.FixtureRequest) -> dict[str, str]:
    """What tells a relay to store there."""
    if request.param == "sqlite":
        return {}
    cluster: Cluster = request.getfixturevalue("cluster")
    return cluster.environment(f"load{secrets.token_hex(4)}")


async def test_many_are_idle_while_some_read(tmp_path: Path, store: dict[str, str]) -> None:
    with Crowd(tmp_path / "relay", 21, store) as crowd:
        crowded = await load.idle_and_active(crowd, idle=100, active=20, messages=5)
        assert len(crowded.lasts) == 5
        assert crowded.each < 64 << 10  # bytes; at full size the bench says how many


async def test_all_come_back_who_were_cut_off_together(tmp_path: Path, store: dict[str, str]) -> None:
    with Crowd(tmp_path / "relay", 2, {"SECURECHAN_RELAY_QUOTAS__HALF_OPEN": "16"} | store) as crowd:
        storm = await load.reconnect(crowd, 80)
        assert storm.seconds > 0


async def test_who_floods_is_refused_and_others_publish_on(tmp_path: Path, store: dict[str, str]) -> None:
    quotas = {"SECURECHAN_RELAY_QUOTAS__APPENDS_PER_MINUTE": "600"}
    with Crowd(tmp_path / "relay", 2, quotas | store) as crowd:
        flood = await load.one_floods(crowd, 1.0)
        assert flood.granted <= 600 + 60
        assert 0 < flood.refused <= (REFUSED + 1) * (flood.seconds / REST + 2)  # it is not read as fast as it asks
        assert len(flood.during.took) > 2
        assert not flood.during.refused


async def test_a_slow_reader_costs_no_more_than_its_buffer_and_misses_nothing(
    tmp_path: Path, store: dict[str, str]
) -> None:
    quotas = {"SECURECHAN_RELAY_QUOTAS__BUFFER": str(1 << 20)}
    with Crowd(tmp_path / "relay", 2, quotas | store) as crowd:
        grown, held = await load.slow_reader(crowd, 4000)
        assert held == 4000
        assert grown < 48 << 20  # of 4 MB said, with all caches of a store that has begun to work


@pytest.mark.parametrize("kinds", [load.STRANGERS, ("bad tag",)], ids=["all kinds", "handshakes"])
async def test_strangers_are_sent_away_and_sessions_go_on(tmp_path: Path, kinds: tuple[str, ...]) -> None:
    quotas = {"SECURECHAN_RELAY_QUOTAS__HALF_OPEN": "64", "SECURECHAN_RELAY_QUOTAS__HANDSHAKE_TIMEOUT": "1"}
    with Crowd(tmp_path / "relay", 2, quotas) as crowd:
        siege = await load.siege(crowd, 1.0, kinds, at_once=16)
        assert siege.strangers > 16
        assert len(siege.during.took) > 2
        assert not siege.during.refused
        assert siege.grown < 32 << 20
