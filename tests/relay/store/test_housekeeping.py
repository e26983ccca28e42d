"""Chores that many relays do at once, that one may have left undone, and that a wrong clock must not do too early."""

from __future__ import annotations

import asyncio
import time
from datetime import UTC, datetime

import pytest

from relay.store import housekeeping
from relay.store.base import Box, Counted, Made, NewBox, PutPart, Sweep, Trimmed, TrimTo
from relay.store.fold import Part
from relay.store.records import token
from relay.store.watch import SKEW
from tests.relay.store.test_nats import GROUP, NOW, TOPIC, digest, entry, eventually, one, placed, relays
from tests.support.cluster import Cluster


async def test_what_a_relay_trimmed_and_did_not_live_to_purge_goes_with_the_next_round(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However quiet the topic is: what was to be forgotten must not stay on the disks."""
    async with relays(cluster, 2) as (first, second):
        await one(first, GROUP)
        await first.commit([entry(n) for n in range(5)])
        last = placed(await one(first, entry("last"))).stored.sequence
        assert isinstance(await one(first, TrimTo(TOPIC, last)), Trimmed)
        await first.close()  # long before a purge is due
        monkeypatch.setattr(housekeeping, "PURGE_AFTER", 0.05)
        subject = f"{second.subject(TOPIC, Part.FREE)}.>"
        assert await second.link.following(second.log_name, subject, 1) is not None
        (aged,) = (await second.aged(b"", 9, (NOW + 1) * 1000)).topics
        assert aged == (TOPIC, last)
        assert isinstance(await one(second, TrimTo(*aged)), Trimmed)

        async def purged() -> bool:
            return await second.link.following(second.log_name, subject, 1) is None

        await eventually(purged)
        assert (await second.aged(b"", 9, (NOW + 1) * 1000)).topics == ((TOPIC, 0),)
        assert placed(await one(second, entry("more"))).fresh


async def test_all_relays_trim_and_sweep_at_once(cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(housekeeping, "PURGE_AFTER", 0.05)
    async with relays(cluster, 3) as stores:
        await one(stores[0], GROUP)
        await stores[0].commit([entry(n) for n in range(8)])
        last = placed(await one(stores[0], entry("last"))).stored.sequence
        for n in range(6):
            await one(stores[0], NewBox(digest(("box", n)), Box(b"k" * 32, "cert-hr", NOW - 1)))
        trims = [store.commit([TrimTo(TOPIC, last - 1), Sweep(NOW)]) for store in stores]
        for trimmed, swept in await asyncio.gather(*trims):
            assert isinstance(trimmed, Trimmed)
            assert trimmed.position.sequence == last - 1
            assert isinstance(swept, Counted)
        for store in stores:
            assert await store.box(digest(("box", 0))) is None
            run = await store.read(TOPIC, 0, None, 1 << 20)
            assert [stored.entry_id for stored in run.entries] == [digest("last")]
            assert store.health().trouble == ""

        async def purged() -> bool:
            first = await stores[0].link.following(stores[0].log_name, f"{stores[0].subject(TOPIC, Part.FREE)}.>", 1)
            return first is not None and first.sequence == last

        await eventually(purged)


async def test_a_box_that_was_opened_anew_outlives_an_old_record_of_its_time(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A replica that lags still has it."""
    async with relays(cluster, 1) as (store,):
        topic, box = digest("box"), Box(b"k" * 32, "cert-hr", NOW + 100)
        assert await one(store, NewBox(topic, box)) == Made()
        await store.records.put(f"box.{token(topic)}", NOW.to_bytes(8, "big"))
        assert await one(store, Sweep(NOW + 1)) == Counted(0)
        assert await store.box(topic) == box
        assert await one(store, Sweep(NOW + 100)) == Counted(1)
        assert await store.box(topic) is None


async def test_a_relay_whose_clock_is_ahead_forgets_nothing_before_its_time(
    cluster: Cluster, caplog: pytest.LogCaptureFixture
) -> None:
    async with relays(cluster, 1) as (store,):
        content = b"of a blob"
        await one(store, PutPart(b"o" * 16, digest("blob"), len(content), 0, content, done=True, expires=NOW + 500))
        await one(store, GROUP)
        last = placed(await one(store, entry("a"))).stored.sequence
        store.watch.timed(time.time(), datetime.fromtimestamp(time.time() - 1000, UTC).isoformat())
        assert "this clock is ahead" in caplog.text
        assert 1000 <= store.watch.ahead <= 1000 + SKEW
        assert await one(store, Sweep(NOW + 600)) == Counted(0)
        assert (await store.aged(b"", 9, (NOW + 600) * 1000)).topics == ((TOPIC, 0),)
        store.watch.timed(time.time(), "2999-01-01T00:00:00.123456789Z")  # one that is behind is no danger
        assert store.watch.ahead == 0
        assert (await store.aged(b"", 9, (NOW + 600) * 1000)).topics == ((TOPIC, last),)
        assert await one(store, Sweep(NOW + 600)) == Counted(1)
