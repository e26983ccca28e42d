"""What an error means, and what a cluster must be before a relay trusts it with anything."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest

from relay.config import Nats
from relay.store import jetstream
from relay.store.base import StoreFailed, StoreFull
from relay.store.jetstream import PAYLOAD, Answer, ApiError, Behindhand, Hear, Link, Unsure, field, outcome, parse
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
        wrong = Link(client, asyncio.Event()).misfit()
        if wrong is not None:
            raise wrong

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


async def test_nothing_is_sent_where_nobody_is_connected(cluster: Cluster) -> None:
    store = await empty(cluster)
    await store.close()
    with pytest.raises(StoreFailed) as refused:
        await store.commit([])
    assert refused.value.retry_after
    with pytest.raises(StoreFailed):
        await store.topic(b"t" * 32)


@pytest.mark.parametrize("lost", [1, 4, 9], ids=["the first", "one in the middle", "the last"])
async def test_a_page_of_which_a_part_got_lost_is_no_page(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch, lost: int
) -> None:
    """A route that is cut takes what was on it, and what comes after may come by another."""
    store = await empty(cluster)
    try:
        subject = f"{store.prefix}.t.page"
        for n in range(9):
            await store.link.put(f"{subject}.a.{n}", b"%d" % n)
        whole, more = await store.link.page(store.log_name, f"{subject}.>", 1, store.feed.position)
        assert [message.data for message in whole] == [b"%d" % n for n in range(9)]
        assert not more
        honest, count = store.link.ask, 0

        async def ask(what: str, body: bytes, headers: None, hear: Hear) -> str:
            def heard(answer: Answer) -> None:
                nonlocal count
                count += 1
                if count != lost:
                    hear(answer)

            return await honest(what, body, headers, heard)

        monkeypatch.setattr(store.link, "ask", ask)
        with pytest.raises(Unsure, match="got lost"):
            await store.link.page(store.log_name, f"{subject}.>", 1, 1)
    finally:
        await store.close()
