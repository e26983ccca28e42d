"""Pages of the log: read once for all, right from wherever one begins, and gone when they are no longer so."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from relay.store import jetstream, pages
from relay.store.base import DropTopic, Made, Placed, StoreFailed, TrimTo
from relay.store.jetstream import Message, Unsure
from relay.store.nats import NatsStore
from relay.store.pages import Pages
from tests.relay.store.test_nats import GROUP, TOPIC, entry, one, placed, relays
from tests.support.cluster import Cluster

BODY = bytes(500)


@asynccontextmanager
async def topic(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch, count: int
) -> AsyncIterator[tuple[NatsStore, list[bytes], list[int]]]:
    """A store that has a topic of so many entries: their ids, and the places that the cluster is asked for."""
    async with relays(cluster, 1) as (store,):
        await one(store, GROUP)
        outcomes = [placed(each) for each in await store.commit([entry(n, BODY) for n in range(count)])]
        asked: list[int] = []
        honest = store.link.page

        async def page(stream: str, subject: str, first: int, upto: int, *size: int, **how: int) -> Any:
            asked.append(first)
            return await honest(stream, subject, first, upto, *size, **how)

        monkeypatch.setattr(store.link, "page", page)
        yield store, [each.stored.entry_id for each in outcomes], asked


async def read(store: NatsStore, after: int, size: int = 2000, upto: int | None = None) -> list[bytes]:
    """All there is, a run at a time."""
    found: list[bytes] = []
    while True:
        run = await store.read(TOPIC, after, upto, size)
        found += [stored.entry_id for stored in run.entries]
        if not run.more:
            return found
        after = run.entries[-1].sequence


async def test_what_one_reader_was_sent_the_next_is_sent_without_the_cluster(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with topic(cluster, monkeypatch, 60) as (store, ids, asked):
        assert await read(store, 0) == ids
        assert len(asked) == 1
        places = [stored.sequence for stored in (await store.read(TOPIC, 0, None, 1 << 20)).entries]
        for n in (0, 1, 30, 58, 59):
            assert await read(store, places[n]) == ids[n + 1 :]
            assert await read(store, 0, upto=places[n]) == ids[: n + 1]
        assert len(asked) == 1
        more = [placed(each) for each in await store.commit([entry(("more", n), BODY) for n in range(5)])]
        assert await read(store, places[58]) == [ids[59], *(each.stored.entry_id for each in more)]
        assert len(asked) == 2  # only for what is new
        assert await read(store, 0) == [*ids, *(each.stored.entry_id for each in more)]
        assert len(asked) == 2


async def test_small_pages_and_little_room_change_nothing_that_is_read(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pages, "PAGE", 3000)
    async with topic(cluster, monkeypatch, 60) as (store, ids, asked):
        store.pages = Pages(store, kept=8000)
        assert await read(store, 0) == ids
        once = len(asked)
        assert once > 5
        assert await read(store, 0) == ids
        assert len(asked) > once  # the first ones had to go
        assert store.pages._size <= 8000


async def test_who_reads_the_tail_again_and_again_leaves_no_heap_of_crumbs(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each page is looked at for each reader."""
    monkeypatch.setattr(pages, "MOST", 5)
    async with topic(cluster, monkeypatch, 1) as (store, ids, _):
        after = (await store.read(TOPIC, 0, None, 1 << 20)).entries[-1].sequence
        for n in range(8):
            (outcome,) = await store.commit([entry(("tail", n), BODY)])
            stored = placed(outcome).stored
            ids.append(stored.entry_id)
            assert await read(store, after) == [stored.entry_id]
            after = stored.sequence
        (kept,) = store.pages._topics.values()
        assert len(kept) == 5
        assert store.pages._size == sum(page.size for page in kept)
        assert await read(store, 0) == ids


async def test_trimmed_and_dropped_entries_are_read_no_more(cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    async with topic(cluster, monkeypatch, 20) as (store, ids, _):
        assert await read(store, 0) == ids
        places = [stored.sequence for stored in (await store.read(TOPIC, 0, None, 1 << 20)).entries]
        await one(store, TrimTo(TOPIC, places[9]))
        assert await read(store, 0) == ids[10:]
        assert await one(store, DropTopic(TOPIC)) == Made()
        assert await read(store, 0) == []
        assert await one(store, GROUP) == Made()
        again = placed(await one(store, entry("again")))
        assert await read(store, 0) == [again.stored.entry_id]


async def test_a_topic_that_was_dropped_behind_ones_back(cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody followed it here when another relay dropped it, and made it anew."""
    async with relays(cluster, 2) as (first, second):
        await one(first, GROUP)
        await one(first, entry("before"))
        assert len(await read(first, 0)) == 1
        first._folds.clear()
        for write in (DropTopic(TOPIC), GROUP):
            assert await one(second, write) == Made()
        after = placed(await one(second, entry("after")))
        await first.settle()
        assert await read(first, 0) == [after.stored.entry_id]


async def test_a_page_that_comes_after_the_drop_is_not_kept(cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    async with topic(cluster, monkeypatch, 20) as (store, ids, _):
        honest, held, going = store.link.page, asyncio.Event(), asyncio.Event()

        async def late(*given: Any, **how: Any) -> tuple[list[Message], bool]:
            found = await honest(*given, **how)
            held.set()
            await going.wait()
            return found

        monkeypatch.setattr(store.link, "page", late)
        reading = asyncio.create_task(store.read(TOPIC, 0, None, 1 << 20))
        await held.wait()
        assert await one(store, DropTopic(TOPIC)) == Made()
        going.set()
        await reading  # what stood there when it was asked for
        assert await one(store, GROUP) == Made()
        assert isinstance(await one(store, entry("again")), Placed)
        assert len(await read(store, 0)) == 1
        assert ids


async def test_entries_that_were_taken_away_by_hand_are_told_and_not_waited_for(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(jetstream, "PATIENCE", 0.2)  # seconds for a replica that may only lag
    async with topic(cluster, monkeypatch, 5) as (store, _, _asked):
        await cluster.ask(f"STREAM.PURGE.{store.log_name}")

        async def until_all_have_heard() -> None:
            while True:  # a replica that has not heard of it yet still gives them
                store.pages.forget()
                await store.read(TOPIC, 0, None, 1 << 20)

        with pytest.raises(StoreFailed, match="gone from the cluster"):
            await asyncio.wait_for(until_all_have_heard(), 20)
        assert "entries are gone from the cluster" in caplog.text


async def test_a_replica_that_only_lags_is_asked_again_later(cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    async with topic(cluster, monkeypatch, 5) as (store, ids, _):
        honest = store.link.page

        async def lags(*_: Any, **__: Any) -> Any:
            raise Unsure("a replica lags behind")

        monkeypatch.setattr(store.link, "page", lags)
        with pytest.raises(StoreFailed, match="lags behind"):
            await store.read(TOPIC, 0, None, 1 << 20)
        monkeypatch.setattr(store.link, "page", honest)
        assert await read(store, 0) == ids
