"""Many relays over one cluster: what one stores the others hear, and of two that want one thing exactly one has it."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import pytest

from relay.store import housekeeping
from relay.store.base import (
    Append,
    Behind,
    Charge,
    Counted,
    DropTopic,
    Made,
    NewTopic,
    Placed,
    PutPackages,
    PutPart,
    Store,
    Taken,
    TakePackage,
    TopicKind,
    TrimTo,
    Upload,
    Write,
    tail_of,
)
from relay.store.feed import Feed
from relay.store.jetstream import Unsure
from relay.store.nats import NatsStore
from relay.store.news import Added, Elsewhere, Lost, News
from relay.store.shortcut import ShortcutClient
from relay.store.topic_writes import TopicWrites
from securechan.wire.chain import advance, start
from securechan.wire.frames import CommitClaim, EntryKind
from tests.support.cluster import Cluster, empty

TOPIC = b"t" * 32
NOW = 1_800_000_000


def digest(what: object) -> bytes:
    return hashlib.sha256(repr(what).encode()).digest()


def entry(what: object, body: bytes = b"body", *, expected: int | None = None, inbox: bool = False) -> Append:
    claim = None if expected is None else CommitClaim(expected, digest(("access", what)))
    kind = EntryKind.APPLICATION if claim is None else EntryKind.COMMIT
    creates = TopicKind.INBOX if inbox else None
    return Append(TOPIC, kind, digest(what), body, tail_of(body, claim), NOW * 1000, claim, b"c" * 16, creates)


GROUP = NewTopic(TOPIC, b"a" * 32, b"f" * 16, NOW)


async def one(store: Store, write: Write) -> object:
    (outcome,) = await store.commit([write])
    return outcome


def placed(outcome: object) -> Placed:
    assert isinstance(outcome, Placed), outcome
    return outcome


class Ear:
    """Hears news, and lets wait for them."""

    def __init__(self, store: NatsStore) -> None:
        self.heard: list[News] = []
        self._more = asyncio.Event()
        store.listen(self._hear)

    def _hear(self, news: News) -> None:
        self.heard.append(news)
        self._more.set()

    async def until(self, found: Callable[[list[News]], bool]) -> None:
        async with asyncio.timeout(30):
            while not found(self.heard):
                self._more.clear()
                await self._more.wait()

    def added(self) -> list[bytes]:
        return [news.stored.entry_id for news in self.heard if isinstance(news, Added)]


async def eventually(check: Callable[[], Awaitable[bool]]) -> None:
    """Return once something that nobody tells has happened."""
    for _ in range(1000):
        if await check():
            return
        await asyncio.sleep(0.02)
    raise AssertionError("it did not happen")


@asynccontextmanager
async def relays(cluster: Cluster, count: int = 2, prefix: str = "conformance") -> AsyncIterator[list[NatsStore]]:
    """Stores of as many relays."""
    stores = [await empty(cluster, prefix)]
    try:
        stores += [await NatsStore.open(cluster.settings(prefix)) for _ in range(count - 1)]
        yield stores
    finally:
        for store in stores:
            await store.close()


@pytest.mark.parametrize("short", [True, False], ids=["short", "public"])
async def test_what_one_relay_stores_the_others_hear_in_one_order(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch, short: bool
) -> None:
    monkeypatch.setattr(ShortcutClient, "short", short)  # with any nats-py
    async with relays(cluster, 3) as stores:
        ears = [Ear(store) for store in stores]
        for store in stores:
            assert await store.topic(TOPIC) is None
        assert await one(stores[0], GROUP) == Made()
        told = await asyncio.gather(
            *(store.commit([entry((who, n)) for n in range(40)]) for who, store in enumerate(stores) for _ in (0, 1))
        )
        assert all(isinstance(outcome, Placed) for outcomes in told for outcome in outcomes), told
        for ear in ears:
            await ear.until(lambda heard: len(heard) == 121)
        assert ears[0].heard == ears[1].heard == ears[2].heard
        assert len(set(ears[0].added())) == 120
        heads = [await store.topic(TOPIC) for store in stores]
        assert heads[0] == heads[1] == heads[2]
        late = await NatsStore.open(cluster.settings("conformance"))
        try:
            assert await late.topic(TOPIC) == heads[0]
            run = await late.read(TOPIC, 0, None, 1 << 20)
            assert [stored.entry_id for stored in run.entries] == ears[0].added()
        finally:
            await late.close()


async def test_of_commits_raced_through_many_relays_one_wins_each_time(cluster: Cluster) -> None:
    async with relays(cluster, 3) as stores:
        await one(stores[0], GROUP)
        expected = 0
        for turn in range(10):
            racers = [
                store.commit([entry((turn, who, n), expected=expected)])
                for who, store in enumerate(stores)
                for n in range(3)
            ]
            outcomes = [outcome for (outcome,) in await asyncio.gather(*racers)]
            (won,) = [outcome.stored for outcome in outcomes if isinstance(outcome, Placed)]
            assert [o for o in outcomes if not isinstance(o, Placed)] == [Behind(won.sequence, won.entry_id)] * 8
            expected = won.sequence


async def test_one_id_through_many_relays_at_once_is_one_entry(cluster: Cluster) -> None:
    async with relays(cluster, 3) as stores:
        await one(stores[0], GROUP)
        commit = entry("commit", expected=0)
        for write in (entry("a"), commit, entry("inbox", inbox=True)):
            outcomes = [
                placed(o)
                for (o,) in await asyncio.gather(
                    *(s.commit([replace(write, at=write.at + n)]) for n, s in enumerate(stores * 3))
                )
            ]
            assert len({o.stored for o in outcomes}) == 1
            assert sum(o.fresh for o in outcomes) == 1
        later = await one(stores[1], entry("later", expected=placed(await one(stores[2], commit)).stored.sequence))
        again = placed(await one(stores[0], commit))  # stale by now, and yet
        assert again.stored.sequence < placed(later).stored.sequence


async def test_a_key_package_leaves_once_through_whichever_relay(cluster: Cluster) -> None:
    async with relays(cluster, 3) as stores:
        packages = tuple(b"package %d" % n for n in range(12))
        assert await one(stores[0], PutPackages("d", 1, packages, b"last", purge=False, room=99)) == Counted(12)
        takes = await asyncio.gather(*(s.commit([TakePackage("d", 1, NOW)]) for s in stores for _ in range(5)))
        taken = [t for (t,) in takes if isinstance(t, Taken)]
        assert sorted(t.package for t in taken if not t.last_resort) == sorted(packages)
        assert len(taken) == 15
        assert await one(stores[1], PutPackages("d", 1, packages, None, purge=False, room=99)) == Counted(0)


async def test_charges_of_many_relays_add_up(cluster: Cluster) -> None:
    async with relays(cluster, 3) as stores:
        today = NOW // 86400
        await asyncio.gather(*(s.commit([Charge("cert-hr", today, 5)]) for s in stores for _ in range(4)))
        assert await stores[0].charges(today) == {"cert-hr": 60}


async def test_the_later_of_two_sessions_stays(cluster: Cluster) -> None:
    async with relays(cluster, 2) as (first, second):
        ears = [Ear(first), Ear(second)]
        first.announce(b"device")
        await ears[1].until(lambda heard: heard == [Elsewhere(b"device")])
        second.announce(b"device")
        await ears[0].until(lambda heard: heard == [Elsewhere(b"device")])
        assert ears[1].heard == [Elsewhere(b"device")]
        for n in range(20):  # at once: the log says which is later, and exactly one of the two hears of it
            who = b"both %d" % n
            first.announce(who)
            second.announce(who)

            async def told(who: bytes = who) -> bool:
                return any(Elsewhere(who) in ear.heard for ear in ears)

            await eventually(told)
            both = [ear.heard.count(Elsewhere(who)) for ear in ears]
            assert sum(both) == 1


async def test_a_notice_whose_answer_got_lost_makes_no_relay_deaf(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The cluster took it, and its answer got lost: it is told once. The next session elsewhere is heard of all the
    same, or one device could have two."""
    async with relays(cluster, 2) as (first, second):
        ears = [Ear(first), Ear(second)]
        honest, lost = first.link.put, iter([True])

        async def put(*given: Any, **also: Any) -> int:
            place = await honest(*given, **also)
            if next(lost, False):
                raise Unsure("no answer in time")
            return place

        monkeypatch.setattr(first.link, "put", put)
        first.announce(b"device")
        await ears[1].until(lambda heard: heard == [Elsewhere(b"device")])
        second.announce(b"device")
        await ears[0].until(lambda heard: heard == [Elsewhere(b"device")])
        assert len(ears[1].heard) == 1


async def test_an_upload_goes_on_through_another_relay(cluster: Cluster) -> None:
    async with relays(cluster, 2) as (first, second):
        content = bytes(range(256)) * 400
        name = hashlib.sha256(content).digest()

        def part(offset: int, size: int) -> PutPart:
            piece = content[offset : offset + size]
            return PutPart(b"o" * 16, name, len(content), offset, piece, offset + len(piece) == len(content), NOW)

        assert await one(first, part(0, 30_000)) == Counted(30_000)
        both = [await one(first, part(30_000, 1000)), await one(second, part(30_000, 2000))]
        assert both == [Counted(31_000), Counted(31_000)]  # the second was not the next
        assert await second.upload(b"o" * 16, name) == Upload(len(content), 31_000)
        for offset in range(31_000, len(content), 7001):
            await one(second, part(offset, 7001))
        assert await first.blob(name) == len(content)
        assert b"".join([await first.piece(name, at, 4096) for at in range(0, len(content), 4096)]) == content
        assert [await first.piece(name, at, 5) for at in (60_000, 30_999, 0)] == [
            content[at : at + 5] for at in (60_000, 30_999, 0)
        ]


async def test_a_long_topic_is_taken_up_from_where_it_was_put_away(cluster: Cluster) -> None:
    async with relays(cluster, 1) as (store,):
        await one(store, GROUP)
        await store.commit([entry(n) for n in range(600)])
        name = f"topic.{store.name(TOPIC)}"

        async def there() -> bool:
            return await store.records.get(name) is not None

        await eventually(there)
        late = await NatsStore.open(cluster.settings("conformance"))
        try:
            assert await late.topic(TOPIC) == await store.topic(TOPIC)
        finally:
            await late.close()


async def test_a_trimmed_topic_is_purged_but_for_its_head(cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(housekeeping, "PURGE_AFTER", 0.1)
    async with relays(cluster, 2) as (first, second):
        await one(first, GROUP)
        await second.topic(TOPIC)
        await first.commit([entry(n) for n in range(10)])
        commit = placed(await one(first, entry("c1", expected=0)))
        last = placed(await one(first, entry("c2", expected=commit.stored.sequence)))
        await first.commit([entry("after"), TrimTo(TOPIC, 1 << 60)])
        subject = first.subject(TOPIC)

        async def purged() -> bool:
            oldest = await first.link.following(first.log_name, f"{subject[:-1]}c", 1)
            return oldest is not None and oldest.sequence == last.stored.sequence

        await eventually(purged)
        late = await NatsStore.open(cluster.settings("conformance"))
        try:
            heads = [await store.topic(TOPIC) for store in (first, second, late)]
            assert heads[0] == heads[1] == heads[2]
            run = await late.read(TOPIC, 0, None, 1 << 20)
            assert [stored.entry_id for stored in run.entries] == [digest("c2"), digest("after")]
            position = heads[0].trimmed if heads[0] else start(TOPIC)
            for stored in run.entries:
                e = stored.entry()
                position = advance(position, e.kind, e.entry_id, e.sequence, e.body)
            assert heads[0] is not None
            assert heads[0].last == position  # the chain goes on from the trim point
            assert placed(await one(late, entry("c3", expected=last.stored.sequence))).fresh
            assert placed(await one(second, entry(3))).fresh  # its id went with it
        finally:
            await late.close()


async def test_an_id_that_was_trimmed_is_used_again_and_takes_nothing_from_who_lags(cluster: Cluster) -> None:
    """Who hears a little later than others must still find the entry that was trimmed: a gap ends its relay."""
    async with relays(cluster, 2) as (first, second):
        once = placed(await one(first, entry("again", inbox=True)))
        await one(first, entry("other", inbox=True))
        await one(first, TrimTo(TOPIC, once.stored.sequence))
        again = entry("again", inbox=True)
        tries = (one(store, replace(again, at=again.at + n)) for n, store in enumerate((first, second)))
        twice = [placed(each) for each in await asyncio.gather(*tries)]
        assert twice[0].stored == twice[1].stored
        assert twice[0].stored.sequence > once.stored.sequence
        assert [each.fresh for each in twice].count(True) == 1
        assert await first.link.at(first.log_name, once.stored.sequence) is not None
        run = await second.read(TOPIC, 0, None, 1 << 20)
        assert [stored.entry_id for stored in run.entries] == [digest("other"), digest("again")]


async def test_the_feed_goes_on_when_its_consumer_is_gone(cluster: Cluster) -> None:
    async with relays(cluster, 2) as (first, second):
        ear = Ear(second)
        await one(first, GROUP)
        await second.topic(TOPIC)
        await first.commit([entry(n) for n in range(5)])
        await ear.until(lambda heard: len(heard) >= 5)
        names = (await cluster.ask(f"CONSUMER.NAMES.{first.log_name}"))["consumers"]
        assert len(names) >= 2
        for consumer in names:
            await cluster.ask(f"CONSUMER.DELETE.{first.log_name}.{consumer}")

        async def stored() -> bool:
            return isinstance(await one(first, entry("after")), Placed)

        await eventually(stored)
        await ear.until(lambda heard: digest("after") in ear.added())
        assert ear.added().count(digest("after")) == 1
        assert isinstance(second.feed, Feed)
        assert Lost() not in ear.heard


async def test_a_relay_that_missed_something_says_so(cluster: Cluster) -> None:
    async with relays(cluster, 2) as (first, second):
        ear = Ear(second)
        before = second.feed.position
        await one(first, GROUP)

        async def follows() -> bool:
            return second.feed.position > before

        await eventually(follows)
        second.feed.position -= 1  # as if one had not been delivered before it was purged
        await one(first, entry("a"))
        await ear.until(lambda heard: Lost() in heard)
        assert isinstance(first.writes, TopicWrites)


async def test_a_topic_dropped_through_one_relay_is_gone_from_all(cluster: Cluster) -> None:
    async with relays(cluster, 2) as (first, second):
        await one(first, GROUP)
        await second.commit([entry("a"), entry("c", expected=0)])
        assert await one(second, DropTopic(TOPIC)) == Made()

        async def gone() -> bool:
            return await first.topic(TOPIC) is None

        await eventually(gone)
        assert placed(await one(first, entry("a", inbox=True))).fresh
        late = await NatsStore.open(cluster.settings("conformance"))
        try:
            assert await late.topic(TOPIC) == await first.topic(TOPIC)
        finally:
            await late.close()


async def test_a_thousand_who_settle_at_once_cost_the_cluster_a_few_questions(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And each of them has heard what was stored before it asked."""
    async with relays(cluster, 2) as (first, second):
        await one(first, GROUP)
        await second.topic(TOPIC)
        asked: list[str] = []
        honest = second.link.api

        async def api(what: str, *given: Any, **also: Any) -> Any:
            asked.append(what)
            return await honest(what, *given, **also)

        monkeypatch.setattr(second.link, "api", api)

        async def settled() -> int:
            stored = first.feed.position
            await second.settle()
            return second.feed.position - stored

        waiting = []
        for n in range(10):
            waiting += [asyncio.create_task(settled()) for _ in range(100)]
            placed(await one(first, entry(n)))
        assert min(await asyncio.gather(*waiting)) >= 0
        assert 0 < asked.count(f"STREAM.INFO.{second.log_name}") <= 40  # looks at the room are among them
