"""The feed leaves nothing out: what nobody could have written is told and passed over, what can't be taken is read
again, and what can't be had any more ends the relay."""

from __future__ import annotations

import asyncio

import pytest

from relay.store import feed
from relay.store.base import Placed, Stored
from relay.store.fold import Event, EventKind
from relay.store.jetstream import Unsure
from relay.store.nats import NatsStore
from relay.store.news import Added, Lost, News
from relay.store.topic_writes import COMMITTER
from securechan.wire.chain import advance
from securechan.wire.frames import EntryKind
from tests.relay.store.test_nats import GROUP, TOPIC, Ear, digest, entry, eventually, one, placed, relays
from tests.support.cluster import Cluster, empty

TAIL = entry("spoilt").tail


def packed(kind: int, tail: bytes) -> bytes:
    return Stored.front(EntryKind.APPLICATION, digest("spoilt"), 0).replace(b"\0", bytes([kind]), 1) + tail


async def spoil(store: NatsStore) -> int:
    """Write what no relay writes straight into the stream; how many messages."""
    topic = store.subject(TOPIC)[:-1]
    commit = entry("c", expected=0)
    whole = packed(EntryKind.COMMIT, commit.tail)
    messages: list[tuple[str, bytes, dict[str, str]]] = [
        (f"{topic}a.x", b"no entry", {}),
        (f"{topic}a.y", packed(0, TAIL) + b"and more", {}),
        (f"{topic}a.z", packed(200, TAIL), {}),
        (f"{topic}a.w", whole, {COMMITTER: "cc" * 16}),
        (f"{topic}c", whole, {}),
        (f"{topic}c", whole, {COMMITTER: "no hex"}),
        (f"{topic}c", b"", {COMMITTER: "cc" * 16}),
        (f"{topic}x", Event(EventKind.DROPPED, None).encode() + b"?", {}),
        (f"{topic}q", b"of a kind that there is not", {}),
        (f"{store.prefix}.s.x", b"no json", {}),
        (f"{store.prefix}.s.x", b'["no", "notice"]', {}),
    ]
    for subject, body, headers in messages:
        await store.link.put(subject, body, headers=headers)
    await store.link.put(f"{store.prefix}.t.short", b"of a topic that can't be")  # and so of none that is followed
    await store.link.put(f"{store.prefix}.t.!.n", b"likewise")
    return len(messages)


async def test_what_no_relay_writes_is_told_and_passed_over_by_all_alike(
    cluster: Cluster, caplog: pytest.LogCaptureFixture
) -> None:
    async with relays(cluster, 2) as (first, second):
        ears = [Ear(first), Ear(second)]
        for store in (first, second):
            await store.topic(TOPIC)
        await one(first, GROUP)
        await one(first, entry("before"))
        count = await spoil(first)
        assert placed(await one(second, entry("after"))).fresh
        assert placed(await one(first, entry("commit", expected=0))).fresh
        for ear in ears:
            await ear.until(lambda heard: len(heard) == 4)
            assert ear.added() == [digest("before"), digest("after"), digest("commit")]
        assert [store.health().unreadable for store in (first, second)] == [count, count]
        assert caplog.text.count("a message that no relay writes") == 2 * count
        assert first.health().trouble == ""
        late = await NatsStore.open(cluster.settings("conformance"))
        try:
            for store in (first, second, late):
                head = await store.topic(TOPIC)
                assert head is not None
                run = await store.read(TOPIC, 0, None, 1 << 20)
                assert [stored.entry_id for stored in run.entries] == ears[0].added()
                position = head.trimmed
                for stored in run.entries:
                    e = stored.entry()
                    position = advance(position, e.kind, e.entry_id, e.sequence, e.body)
                assert position == head.last
            assert late.health().unreadable >= count - 2  # but for the notices, which were before its time
            assert [topic for topic, _ in (await first.aged(b"", 9, 0)).topics] == [TOPIC]
        finally:
            await late.close()


class Deaf:
    """Listens, and fails a number of times."""

    def __init__(self, store: NatsStore, failures: int) -> None:
        self.heard: list[News] = []
        self._failures = failures
        store.listen(self._hear)

    def _hear(self, news: News) -> None:
        if isinstance(news, Added) and self._failures:
            self._failures -= 1
            raise RuntimeError("not now")
        self.heard.append(news)


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(feed, "LONGEST", 0.05)


@pytest.mark.usefixtures("quick")
async def test_what_could_not_be_taken_is_read_again(cluster: Cluster, caplog: pytest.LogCaptureFixture) -> None:
    async with relays(cluster, 2) as (first, second):
        await one(first, GROUP)
        await second.topic(TOPIC)
        await second.settle()
        caplog.set_level("INFO")
        deaf = Deaf(second, feed.TRIES - 1)
        before = second.feed.position
        outcomes = await first.commit([entry(n) for n in range(5)])

        async def taken() -> bool:
            return second.feed.position >= before + 5

        await eventually(taken)
        assert [h.stored for h in deaf.heard if isinstance(h, Added)] == [placed(o).stored for o in outcomes]
        assert caplog.text.count("a message cannot be taken") == feed.TRIES - 1
        assert caplog.text.count("the message was taken after all") == 1
        assert second.health().trouble == ""
        assert Lost() not in deaf.heard


@pytest.mark.usefixtures("quick")
async def test_what_can_never_be_taken_ends_the_relay_and_is_not_passed_over(cluster: Cluster) -> None:
    async with relays(cluster, 2) as (first, second):
        await one(first, GROUP)
        await second.topic(TOPIC)
        await second.settle()
        deaf = Deaf(second, 1 << 30)
        before = second.feed.position
        place = placed(await one(first, entry("a"))).stored.sequence

        async def lost() -> bool:
            return Lost() in deaf.heard

        await eventually(lost)
        assert second.feed.position == before == place - 1
        assert f"message {place} of the cluster's log cannot be taken: RuntimeError" in second.health().trouble


async def test_a_topic_that_broke_while_it_was_read_is_relied_on_no_more(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with relays(cluster, 2) as (first, second):
        ear = Ear(second)
        await one(first, GROUP)
        await second.topic(TOPIC)
        await second.settle()

        def broken(*_: object) -> None:
            raise RuntimeError("a fault of ours")

        monkeypatch.setattr(second, "_parts", broken)
        await one(first, entry("a"))
        await ear.until(lambda heard: Lost() in heard)


async def test_a_log_that_was_made_anew_ends_the_relay(cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    """However many messages the new one has."""
    store = await empty(cluster, "anew")
    try:
        ear = Ear(store)
        await one(store, GROUP)
        await cluster.ask(f"STREAM.DELETE.{store.log_name}")

        async def told() -> bool:
            return "cannot be followed" in store.health().trouble

        await eventually(told)
        assert Lost() not in ear.heard
        other = await NatsStore.open(cluster.settings("anew"))  # makes what is not there
        try:
            await other.commit([GROUP, *(entry(n) for n in range(9))])
            await ear.until(lambda heard: Lost() in heard)
        finally:
            await other.close()
    finally:
        await store.close()
        for name in ("anew-log", "KV_anew-state", "OBJ_anew-blobs"):
            await cluster.ask(f"STREAM.DELETE.{name}")


async def test_a_log_that_ends_early_is_looked_at_again_before_it_is_believed(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A leader that has only just been elected may not know all yet."""
    async with relays(cluster, 1) as (store,):
        ear = Ear(store)
        await one(store, GROUP)
        info = {"created": store.feed._created, "state": {"last_seq": store.feed.position - 1}}
        for _ in range(feed.TRIES - 1):
            with pytest.raises(Unsure):
                store.feed._same(info)
        store.feed._same({**info, "state": {"last_seq": store.feed.position}})
        for _ in range(feed.TRIES - 1):
            with pytest.raises(Unsure):
                store.feed._same(info)
        assert ear.heard == []
        store.feed._same(info)
        assert ear.heard == [Lost()]


async def test_who_gave_up_waiting_is_kept_in_mind_no_more(cluster: Cluster) -> None:
    async with relays(cluster, 1) as (store,):
        far = store.feed.position + 1000
        waiting = [store.feed.reached(far + n % 7, 0.02) for n in range(50)]
        ended = await asyncio.gather(*waiting, return_exceptions=True)
        assert all(isinstance(each, Unsure) for each in ended)
        assert store.feed._waiting == []


async def test_another_word_of_the_server_about_the_consumer_begins_a_new_one(cluster: Cluster) -> None:
    async with relays(cluster, 2) as (first, second):
        ear = Ear(second)
        await one(first, GROUP)
        await second.topic(TOPIC)
        era = second.feed._era
        assert second.feed._on(era, b"box", b"", b"", b"NATS/1.0 409 Consumer Deleted\r\n\r\n") is None

        async def anew() -> bool:
            return second.feed._era > era

        await eventually(anew)
        assert isinstance(await one(first, entry("a")), Placed)
        await ear.until(lambda heard: ear.added() == [digest("a")])
