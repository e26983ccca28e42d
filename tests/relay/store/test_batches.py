"""What one write of a batch meets is its own: the others have their outcomes, and their order."""

from __future__ import annotations

from dataclasses import replace

from relay.store.base import Behind, Counted, Missing, Placed, PutPackages, StoreFailed, Taken, TakePackage, TrimTo
from tests.relay.store.test_nats import GROUP, NOW, TOPIC, digest, entry, one, placed, relays
from tests.support.cluster import Cluster


async def test_an_entry_that_the_cluster_does_not_take_takes_nothing_from_the_others(cluster: Cluster) -> None:
    """Whatever the error is: here one that nobody expected."""
    async with relays(cluster, 1) as (store,):
        await one(store, GROUP)
        config = (await cluster.ask(f"STREAM.INFO.{store.log_name}"))["config"]
        try:
            await cluster.ask(f"STREAM.UPDATE.{store.log_name}", {**config, "max_msg_size": 2000})
            for large in (0, 3, 7):  # at the front, in the middle, and the one that is answered
                batch = [entry((large, n), bytes(5000 if n == large else 10)) for n in range(8)]
                outcomes = await store.commit([*batch, TakePackage("nobody", 1, NOW)])
                assert isinstance(outcomes[large], StoreFailed)
                assert [n for n, each in enumerate(outcomes) if isinstance(each, Placed)] == [
                    n for n in range(8) if n != large
                ]
                assert outcomes[8] == Missing()
        finally:
            await cluster.ask(f"STREAM.UPDATE.{store.log_name}", config)
        assert placed(await one(store, entry((3, 3), bytes(5000)))).fresh
        run = await store.read(TOPIC, 0, None, 1 << 20)
        assert len({stored.entry_id for stored in run.entries}) == 22


async def test_writes_about_one_topic_keep_their_order_and_all_else_goes_beside(cluster: Cluster) -> None:
    async with relays(cluster, 1) as (store,):
        await one(store, GROUP)
        other = replace(entry("other", inbox=True), topic=digest("inbox"))
        outcomes = await store.commit(
            [
                entry("a"),
                PutPackages("d", 1, (b"p",), None, purge=False, room=9),
                entry("c1", expected=0),
                other,
                entry("c2", expected=0),
                TakePackage("d", 1, NOW),
                entry("b"),
                TrimTo(TOPIC, 0),
            ]
        )
        first, second, third = (placed(outcomes[n]).stored for n in (0, 2, 6))
        assert first.sequence < second.sequence < third.sequence
        assert outcomes[4] == Behind(second.sequence, second.entry_id)
        assert (outcomes[1], outcomes[5]) == (Counted(1), Taken(b"p", last_resort=False))
        assert placed(outcomes[3]).fresh
        assert not store._pinned
