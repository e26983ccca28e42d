"""What an error means, and what a cluster must be before a relay trusts it with anything."""

from __future__ import annotations

import asyncio
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from relay.config import Nats
from relay.store import jetstream
from relay.store.base import StoreFailed, StoreFull
from relay.store.jetstream import PAYLOAD, ApiError, Behindhand, Link, Unsure, field, outcome, parse
from relay.store.nats import NatsStore
from securechan.errors import NotReady, Unreachable
from tests.support.cluster import Cluster, empty


@pytest.mark.parametrize(
    ("code", "kind"),
    [(10071, Behindhand), (10164, Behindhand), (10158, Behindhand), (10008, Unsure), (10077, StoreFull), (1, ApiError)],
)
def test_what_the_clusters_errors_mean(code: int, kind: type[Exception]) -> None:
    assert isinstance(outcome(code, "told"), kind)


def test_headers_as_the_api_gives_them() -> None:
    assert parse(b"NATS/1.0\r\nAccess: aa\r\nEmpty:\r\n\r\n") == {"Access": "aa", "Empty": ""}
    assert parse(b"") == {}
    raw = b"NATS/1.0\r\nNats-Sequence: 12\r\nOther:x\r\n\r\n"
    assert (field(raw, b"Nats-Sequence:"), field(raw, b"Other:"), field(raw, b"None:")) == (b"12", b"x", b"")


class Seen:
    """What a link asks of its client before anything else."""

    def __init__(self, major: int, minor: int, payload: int = PAYLOAD) -> None:
        self.connected_server_version = SimpleNamespace(major=major, minor=minor, patch=0)
        self.max_payload = payload

    def new_inbox(self) -> str:
        return "inbox"


def test_old_servers_and_small_messages_are_refused_with_a_remedy() -> None:
    def check(client: Any) -> None:
        Link(client, asyncio.Event())._check()

    check(Seen(2, 11))
    check(Seen(3, 0))
    for old in (Seen(2, 9), Seen(2, 10), Seen(1, 99)):
        with pytest.raises(NotReady) as refused:
            check(old)
        assert "2.11" in refused.value.hint
    with pytest.raises(NotReady) as refused:
        check(Seen(2, 14, 1 << 20))
    assert "max_payload: 4MB" in refused.value.hint


async def test_a_cluster_that_is_not_there_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jetstream, "CONNECT", 0.3)
    with pytest.raises(Unreachable) as refused:
        await NatsStore.open(Nats(servers=("nats://127.0.0.1:1",)))
    assert "servers" in refused.value.hint


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


def test_a_single_server_is_enough_where_one_replica_is_wanted(tmp_path: Path) -> None:
    with Cluster(tmp_path, size=1) as alone:

        async def main() -> None:
            store = NatsStore(await Link.open(alone.settings()), alone.settings(replicas=3))
            with pytest.raises(NotReady) as refused:
                await store.link.stream(store.log_name, store._config, patience=0.5)
            await store.close()
            assert "replicas" in str(refused.value)
            store = await NatsStore.open(alone.settings(replicas=1))
            await store.close()

        asyncio.run(main())


async def test_nothing_is_sent_where_nobody_is_connected(cluster: Cluster) -> None:
    store = await empty(cluster)
    await store.close()
    with pytest.raises(StoreFailed) as refused:
        await store.commit([])
    assert refused.value.retry_after
    with pytest.raises(StoreFailed):
        await store.topic(b"t" * 32)
