"""Streams that relays can do with: made where there are none, and no other is begun with or gone on with unsaid."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from relay.store.base import Placed, StoreFull
from relay.store.jetstream import PAYLOAD, Link
from relay.store.nats import NatsStore
from relay.store.streams import misfit, ready
from securechan.errors import NotReady
from tests.relay.store.test_nats import GROUP, TOPIC, entry, one
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


def test_a_single_server_is_enough_where_one_replica_is_wanted_and_says_when_its_disk_is_full(tmp_path: Path) -> None:
    with Cluster(tmp_path, size=1, jetstream="max_file_store: 3MB") as alone:

        async def main() -> None:
            store = NatsStore(await Link.open(alone.settings()), alone.settings(replicas=3))
            with pytest.raises(NotReady) as refused:
                await ready(store.link, store.log_name, store._config, patience=0.5)
            await store.close()
            assert "replicas" in str(refused.value)
            store = await NatsStore.open(alone.settings(replicas=1))
            await one(store, GROUP)
            outcomes = [await one(store, entry(n, bytes(100_000))) for n in range(60)]
            assert {type(each) for each in outcomes} == {Placed, StoreFull}
            full = [each for each in outcomes if isinstance(each, StoreFull)]
            assert all(each.retry_after for each in full)
            run = await store.read(TOPIC, 0, None, 1 << 30)
            assert len(run.entries) + len(full) == 60
            await store.close()

        asyncio.run(main())
