"""Records by key: what no relay wrote is told and takes no other record with it, least of all the relay."""

from __future__ import annotations

import pytest

from relay.store.base import Box, Charge, Counted, Made, NewBox, Placed, StoreFailed, Sweep
from relay.store.records import token, untoken
from tests.relay.store.test_nats import GROUP, NOW, TOPIC, digest, entry, one, placed, relays
from tests.support.cluster import Cluster

TODAY = NOW // 86400


def test_a_token_stands_for_bytes_and_nothing_else_does() -> None:
    for data in (b"", b"a", b"\xff" * 32):
        assert untoken(token(data)) == data
    assert [untoken(text) for text in ("short", "!!!", "é")] == [b""] * 3


async def test_records_of_others_are_told_and_passed_over(cluster: Cluster, caplog: pytest.LogCaptureFixture) -> None:
    async with relays(cluster, 1) as (store,):
        box = digest("box")
        await store.commit([Charge("cert-hr", TODAY, 5), NewBox(box, Box(b"k" * 32, "cert-hr", NOW - 1))])
        for key in (f"charge.{TODAY}.cert-si", "charge.never.cert-si", "box.short", "box.!!!", "expiry.x", "spent.x"):
            await store.records.put(key, b"??")
        assert await store.charges(TODAY) == {"cert-hr": 5}
        swept = await one(store, Sweep(NOW))
        assert isinstance(swept, Counted)
        assert await store.box(box) is None
        assert caplog.text.count("a record that no relay writes") == 4
        assert await store.charges(TODAY) == {"cert-hr": 5}


async def test_a_topic_that_was_put_away_and_cannot_be_read_is_told_and_the_others_go_on(
    cluster: Cluster, caplog: pytest.LogCaptureFixture
) -> None:
    """The log alone may have lost its beginning: to read it from there would be another history."""
    async with relays(cluster, 2) as (first, second):
        assert await one(first, GROUP) == Made()
        assert placed(await one(first, entry("a"))).fresh
        await first.records.put(f"topic.{first.name(TOPIC)}", b"no fold")
        with pytest.raises(StoreFailed, match="put away"):
            await second.topic(TOPIC)
        assert isinstance(await one(second, entry("b")), StoreFailed)
        assert "a record that no relay writes" in caplog.text
        assert isinstance(await one(first, entry("b")), Placed)  # who follows it already has no need of it
        other = await one(second, NewBox(digest("other"), Box(b"k" * 32, "cert-hr", NOW)))
        assert other == Made()
        await first.records.drop(f"topic.{first.name(TOPIC)}")
        assert await second.topic(TOPIC) == await first.topic(TOPIC)
