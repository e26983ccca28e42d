"""Streams that relays can do with: made where there are none, and no other is begun with or gone on with unsaid."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from relay.store import nats
from relay.store.base import Placed, StoreFailed
from relay.store.jetstream import PAYLOAD, Link
from relay.store.nats import NatsStore
from relay.store.streams import misfit, ready
from securechan.errors import NotReady
from tests.relay.store.test_nats import GROUP, entry, eventually, one
from tests.support.cluster import Cluster, empty

WANTED = {"subjects": ["p.t.>", "p.s.*"], "num_replicas": 3, "discard": "new", "storage": "file", "allow_direct": True}
THERE = {**WANTED, "retention": "limits", "max_msgs": -1, "max_msgs_per_subject": -1, "max_msg_size": -1, "max_age": 0}


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"num_replicas": 1}, "nats stream edit p-log --replicas 3"),
        ({"allow_direct": False}, "--allow-direct"),
        ({"max_age": 10}, "--max-age=0"),
        ({"discard": "old"}, "--discard=new"),
        ({"max_msgs": 10}, "--max-msgs=-1"),
        ({"max_msgs_per_subject": 1}, "--max-msgs-per-subject=-1"),
        ({"max_msg_size": 1 << 20}, "--max-msg-size=-1"),
        ({"no_ack": True}, "--ack"),
        ({"subjects": ["p.t.>"]}, '--subjects="p.t.>" --subjects="p.s.*"'),
        ({"sealed": True}, "nats stream backup p-log"),
        ({"deny_purge": True}, "nats stream backup p-log"),
        ({"storage": "memory"}, "file storage"),
        ({"retention": "interest"}, "make it anew"),
        ({"persist_mode": "async"}, "make it anew"),
        ({"subject_transform": {"src": "a", "dest": "b"}}, "--no-transform"),
        ({"mirror": {"name": "other"}}, "[nats] prefix"),
        ({"sources": [{"name": "other"}]}, "sources"),
    ],
)
def test_what_would_lose_something_is_named_with_what_mends_it(changed: dict[str, Any], said: str) -> None:
    wrong = misfit("p-log", {**THERE, **changed}, WANTED)
    assert isinstance(wrong, NotReady)
    assert said in wrong.hint
    assert wrong.message.startswith("the stream p-log ")


def test_what_is_harmless_is_let_be() -> None:
    for changed in ({}, {"max_bytes": 10}, {"max_msg_size": PAYLOAD}, {"max_msgs": 0}, {"placement": {}}):
        assert misfit("p-log", {**THERE, **changed}, WANTED) is None
    for_keys = {**WANTED, "max_msgs_per_subject": 1}
    assert misfit("KV_p", {**THERE, "max_msgs_per_subject": 1}, for_keys) is None
    assert misfit("KV_p", THERE, for_keys) is not None


async def test_streams_that_do_not_fit_are_refused_with_the_command_that_mends_them(cluster: Cluster) -> None:
    store = await empty(cluster, "fits")
    await store.close()
    with pytest.raises(NotReady) as refused:
        await NatsStore.open(cluster.settings("fits", replicas=1))
    assert "nats stream edit fits-log --replicas 1" in refused.value.hint
    config = (await cluster.ask("STREAM.INFO.fits-log"))["config"]
    await cluster.ask("STREAM.UPDATE.fits-log", {**config, "max_age": 10**15})
    with pytest.raises(NotReady) as refused:
        await NatsStore.open(cluster.settings("fits"))
    assert "--max-age=0" in refused.value.hint
    for name in ("fits-log", "KV_fits-state", "OBJ_fits-blobs"):
        await cluster.ask(f"STREAM.DELETE.{name}")


async def test_a_stream_that_is_changed_by_hand_makes_the_relays_unready_until_it_is_mended(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(nats, "LOOK", 0.05)
    store = await empty(cluster)
    try:
        config = (await cluster.ask(f"STREAM.INFO.{store.log_name}"))["config"]
        await cluster.ask(f"STREAM.UPDATE.{store.log_name}", {**config, "discard": "old"})

        async def told() -> bool:
            return "forgets its oldest messages" in store.health().trouble

        async def well() -> bool:
            return store.health().trouble == ""

        await eventually(told)
        assert caplog.text.count("a stream was changed") == 1
        await cluster.ask(f"STREAM.UPDATE.{store.log_name}", config)
        await eventually(well)
        await one(store, GROUP)
        assert isinstance(await one(store, entry("a")), Placed)
    finally:
        await cluster.ask(f"STREAM.UPDATE.{store.log_name}", config)
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
    monkeypatch.setattr(nats, "LOOK", 0.05)
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


def test_a_single_server_is_enough_where_one_replica_is_wanted(tmp_path: Path) -> None:
    with Cluster(tmp_path, size=1) as alone:

        async def main() -> None:
            store = NatsStore(await Link.open(alone.settings()), alone.settings(replicas=3))
            with pytest.raises(NotReady) as refused:
                await ready(store.link, store.log_name, store._config, patience=0.5)
            await store.close()
            assert "replicas" in str(refused.value)
            store = await NatsStore.open(alone.settings(replicas=1))
            await store.close()

        asyncio.run(main())
