"""A look at the log tells what no write does: that it was changed, how full it is, what time it is there."""

from __future__ import annotations

import pytest

from relay.store import watch
from relay.store.base import Placed, StoreFailed, StoreFull
from relay.store.jetstream import Unsure
from relay.store.nats import NatsStore
from relay.store.watch import account_left
from tests.relay.store.test_nats import GROUP, entry, eventually, one
from tests.support.cluster import Cluster, empty


async def test_a_stream_that_is_changed_by_hand_makes_the_relays_unready_until_it_is_mended(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(watch, "LOOK", 0.05)
    store = await empty(cluster)
    try:
        config = (await cluster.ask(f"STREAM.INFO.{store.log_name}"))["config"]
        await cluster.ask(f"STREAM.UPDATE.{store.log_name}", {**config, "discard": "old"})

        async def told() -> bool:
            return "forgets its oldest messages" in store.health().trouble

        async def well() -> bool:
            return store.health().trouble == ""

        await eventually(told)
        assert caplog.text.count("the cluster was changed") == 1
        await cluster.ask(f"STREAM.UPDATE.{store.log_name}", config)
        await eventually(well)
        await one(store, GROUP)
        assert isinstance(await one(store, entry("a")), Placed)
    finally:
        await cluster.ask(f"STREAM.UPDATE.{store.log_name}", config)
        await store.close()


async def test_a_server_that_a_relay_comes_to_later_must_do_as_well(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watch, "LOOK", 0.02)
    store = await empty(cluster)
    try:
        monkeypatch.setattr(store.link.nc, "_max_payload", 1 << 20)

        async def told() -> bool:
            return store.health().trouble == "the NATS server takes messages of 1048576 bytes"

        async def well() -> bool:
            return store.health().trouble == ""

        await eventually(told)
        monkeypatch.setattr(store.link.nc, "_max_payload", 4 << 20)
        await eventually(well)
    finally:
        await store.close()


async def test_a_bound_that_was_set_by_hand_is_kept_and_told(
    cluster: Cluster, caplog: pytest.LogCaptureFixture
) -> None:
    store = await empty(cluster)
    await store.close()
    assert "another bound" not in caplog.text
    store = await NatsStore.open(cluster.settings("conformance", max_bytes=10_000_000))
    await store.close()
    assert "another bound" in caplog.text


async def test_a_sealed_log_takes_nothing_and_is_told(cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watch, "LOOK", 0.05)
    store = await empty(cluster, "sealed")
    try:
        await one(store, GROUP)
        assert isinstance(await one(store, entry("a")), Placed)
        config = (await cluster.ask(f"STREAM.INFO.{store.log_name}"))["config"]
        await cluster.ask(f"STREAM.UPDATE.{store.log_name}", {**config, "sealed": True})
        refused = await store.commit([entry("b"), entry("c"), entry("d", expected=0)])
        assert all(isinstance(each, StoreFailed) for each in refused), refused

        async def told() -> bool:
            return "is sealed" in store.health().trouble

        await eventually(told)
    finally:
        await store.close()
        for name in ("sealed-log", "KV_sealed-state", "OBJ_sealed-blobs"):
            await cluster.ask(f"STREAM.DELETE.{name}")


def test_what_an_account_may_still_store() -> None:
    """With one limit, with none, and with one for each number of replicas."""
    assert account_left({}) == 1.0
    assert account_left({"storage": 30, "limits": {"max_storage": -1}}) == 1.0
    assert account_left({"storage": 30, "limits": {"max_storage": 40}}) == 0.25
    tiers = {"R1": {"storage": 0, "limits": {"max_storage": 10}}, "R3": {"storage": 9, "limits": {"max_storage": 10}}}
    assert account_left({"storage": 9, "limits": {}, "tiers": tiers}) == pytest.approx(0.1)


async def test_a_cluster_that_does_not_answer_is_told_but_not_each_election(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(watch, "LOOK", 0.01)
    monkeypatch.setattr(watch, "SOON", 0.01)
    store = await empty(cluster)
    try:
        honest, failures, troubles = store.watch._look, 1, set()

        async def look() -> None:
            nonlocal failures
            troubles.add(store.health().trouble)
            if failures:
                failures -= 1
                raise Unsure("nobody answers for the stream now")
            await honest()

        monkeypatch.setattr(store.watch, "_look", look)

        async def looked() -> bool:
            return not failures and store.watch._unanswered == 0 and bool(troubles)

        await eventually(looked)
        assert troubles == {""}
        failures = 3
        await eventually(looked)
        assert troubles == {"", "the cluster does not answer: nobody answers for the stream now"}
        assert store.health().trouble == ""
        assert caplog.text.count("the cluster does not answer") == 1
    finally:
        await store.close()


async def test_a_cluster_that_answers_and_takes_nothing_is_told_until_it_takes_something_or_nobody_asks(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    store = await empty(cluster)
    config = (await cluster.ask(f"STREAM.INFO.{store.log_name}"))["config"]
    try:
        await one(store, GROUP)
        state = (await cluster.ask(f"STREAM.INFO.{store.log_name}"))["state"]
        await cluster.ask(f"STREAM.UPDATE.{store.log_name}", {**config, "max_bytes": state["bytes"] + 100})
        for n in range(watch.REFUSALS):
            assert store.health().trouble == ""
            assert isinstance(await one(store, entry(n, bytes(4000))), StoreFull)
        assert store.health().trouble == "the cluster takes nothing: the cluster has no room left"
        assert caplog.text.count("the cluster takes nothing") == 1
        monkeypatch.setattr(watch, "HELD", 0.0)  # nobody has asked for so long
        assert store.health().trouble == ""
        monkeypatch.undo()
        assert store.health().trouble != ""
        await cluster.ask(f"STREAM.UPDATE.{store.log_name}", config)
        assert isinstance(await one(store, entry("a")), Placed)
        assert store.health().trouble == ""
    finally:
        await cluster.ask(f"STREAM.UPDATE.{store.log_name}", config)
        await store.close()
