"""Every store keeps the same promises: one suite, run over each of them."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from relay.store.base import (
    CHARGED_FOR,
    SPENT_FOR,
    Aged,
    Append,
    Behind,
    Box,
    Charge,
    Clash,
    CommitRow,
    Confirm,
    Counted,
    DropTopic,
    DropUpload,
    Made,
    Missing,
    NewBox,
    NewTopic,
    Overfull,
    Placed,
    PutPackages,
    PutPart,
    Result,
    Store,
    StoreFull,
    Sweep,
    Taken,
    TakePackage,
    TopicKind,
    Trimmed,
    TrimTo,
    Upload,
    Write,
    tail_of,
)
from relay.store.local import LocalStore
from relay.store.memory import MemoryStore
from relay.store.news import Added, Confirmed, Created, Dropped, News, Shortened
from relay.store.sqlite import SqliteStore
from securechan.wire import chain
from securechan.wire.frames import CommitClaim, Entry, EntryKind
from tests.support.cluster import Cluster, empty

NOW = 1_800_000_000
TOPIC = b"t" * 32
OTHER = b"o" * 32
Story = Callable[[Store], Awaitable[None]]


def digest(what: object) -> bytes:
    return hashlib.sha256(repr(what).encode()).digest()


def entry(
    what: object,
    body: bytes = b"body",
    *,
    topic: bytes = TOPIC,
    expected: int | None = None,
    access: bytes | None = None,
    creates: TopicKind | None = None,
    after: int | None = None,
    room: int | None = None,
    at: int = NOW * 1000,
) -> Append:
    """An append named by ``what``; a commit when it expects something."""
    commit = None if expected is None else CommitClaim(expected, access or digest(("access", what)))
    kind = EntryKind.APPLICATION if commit is None else EntryKind.COMMIT
    return Append(topic, kind, digest(what), body, tail_of(body, commit), at, commit, b"c" * 16, creates, after, room)


def group(topic: bytes = TOPIC, access: bytes = b"a" * 32, founder: bytes = b"f" * 16) -> NewTopic:
    return NewTopic(topic, access, founder, NOW)


def placed(result: Result) -> Placed:
    assert isinstance(result, Placed)
    return result


Play = Callable[[Story], None]


@pytest.fixture(params=["memory", "sqlite", "nats"])
def play(request: pytest.FixtureRequest, tmp_path: Path) -> Play:
    """Runs a story on a fresh store."""
    cluster: Cluster | None = request.getfixturevalue("cluster") if request.param == "nats" else None

    async def opened() -> Store:
        match request.param:
            case "memory":
                return MemoryStore()
            case "sqlite":
                return await SqliteStore.open(tmp_path / "s.db")
            case _:
                assert cluster is not None
                return await empty(cluster)

    def run(story: Story) -> None:
        async def main() -> None:
            store = await opened()
            try:
                await story(store)
            finally:
                await store.close()

        asyncio.run(main())

    return run


async def one(store: Store, write: Write) -> Result:
    (result,) = await store.commit([write])
    return result


async def all_of(store: Store, topic: bytes = TOPIC) -> list[Entry]:
    return [stored.entry() for stored in (await store.read(topic, 0, None, 1 << 30)).entries]


def test_entries_come_back_in_order_chained_and_byte_for_byte(play: Play) -> None:
    async def story(store: Store) -> None:
        writes: list[Write] = [group()]
        writes += [entry(n, bytes([n]) * n, at=NOW * 1000 + n) for n in range(20)]
        writes += [entry("c", b"commit", expected=0, access=b"n" * 32)]
        first, *results = await store.commit(writes)
        assert first == Made()
        entries = await all_of(store)
        assert [e.body for e in entries] == [bytes([n]) * n for n in range(20)] + [b"commit"]
        assert [e.time for e in entries[:20]] == [NOW * 1000 + n for n in range(20)]
        assert entries[-1].commit == CommitClaim(0, b"n" * 32)
        assert entries[-1].kind == EntryKind.COMMIT
        position = chain.start(TOPIC)
        for e, result in zip(entries, results, strict=True):
            assert e.sequence > position.sequence
            position = chain.advance(position, e.kind, e.entry_id, e.sequence, e.body)
            assert placed(result).position == position
            assert placed(result).fresh
            assert placed(result).stored.wire == e.encode()
        head = await store.topic(TOPIC)
        assert head is not None
        assert head.last == position
        assert (head.commit, head.commit_id, head.count) == (position.sequence, digest("c"), 21)
        assert head.trimmed == chain.start(TOPIC)

    play(story)


def test_reading_goes_by_cursor_and_is_cut_by_size(play: Play) -> None:
    async def story(store: Store) -> None:
        await store.commit([group(), *[entry(n, bytes(100)) for n in range(30)], group(OTHER, b"b" * 32)])
        await store.commit([entry(("other", n), topic=OTHER) for n in range(5)])
        cursor, seen, runs = 0, [], 0
        while True:
            run = await store.read(TOPIC, cursor, None, 1000)
            seen += [stored.sequence for stored in run.entries]
            runs += 1
            assert sum(len(stored.wire) for stored in run.entries) <= 1000
            if not run.more:
                break
            cursor = seen[-1]
        assert len(seen) == 30
        assert seen == sorted(set(seen))
        assert runs > 3
        upto = await store.read(TOPIC, seen[3], seen[7], 1 << 20)
        assert [stored.sequence for stored in upto.entries] == seen[4:8]
        assert not upto.more
        assert len((await store.read(TOPIC, 0, None, 1)).entries) == 1  # always at least one
        assert (await store.read(TOPIC, seen[-1], None, 1000)).entries == ()
        assert (await store.read(b"?" * 32, 0, None, 1000)).entries == ()

    play(story)


def test_the_same_id_gets_the_same_answer_before_any_expectation(play: Play) -> None:
    async def story(store: Store) -> None:
        await one(store, group())
        first = placed(await one(store, entry("c1", expected=0)))
        await one(store, entry("c2", expected=first.stored.sequence))
        again = placed(await one(store, entry("c1", expected=0, at=NOW * 1000 + 5)))  # stale by now, and yet
        assert (again.stored, again.fresh) == (first.stored, False)
        assert isinstance(await one(store, entry("c1", b"other", expected=0)), Clash)
        assert isinstance(await one(store, entry("c1", expected=1)), Clash)  # the claim is part of what was said
        assert isinstance(await one(store, entry("c1")), Clash)  # and so is the kind
        twice = await store.commit([entry("a"), entry("a"), entry("a", b"x")])
        assert placed(twice[0]).stored == placed(twice[1]).stored
        assert [type(r) for r in twice] == [Placed, Placed, Clash]
        assert len(await all_of(store)) == 3
        await one(store, group(OTHER, b"b" * 32))
        assert placed(await one(store, entry("c1", topic=OTHER, expected=0))).fresh  # ids are per topic

    play(story)


def test_of_two_commits_with_one_expectation_one_is_stored(play: Play) -> None:
    async def story(store: Store) -> None:
        await one(store, group())
        expected = 0
        for turn in range(5):
            racers = [store.commit([entry((turn, n), expected=expected), entry((turn, n, "a"))]) for n in range(8)]
            results = [results[0] for results in await asyncio.gather(*racers)]
            winners = [result for result in results if isinstance(result, Placed)]
            assert len(winners) == 1
            won = winners[0].stored
            assert [r for r in results if r is not winners[0]] == [Behind(won.sequence, won.entry_id)] * 7
            expected = won.sequence
        assert len(await all_of(store)) == 5 * 9
        head = await store.topic(TOPIC)
        assert head is not None
        assert head.commit == expected

    play(story)


def test_an_access_hash_is_claimed_once(play: Play) -> None:
    async def story(store: Store) -> None:
        await one(store, group())
        assert isinstance(await one(store, entry("c", expected=0, access=b"a" * 32)), Clash)
        first = placed(await one(store, entry("c1", expected=0, access=b"1" * 32)))
        again = entry("c2", expected=first.stored.sequence, access=b"1" * 32)
        assert isinstance(await one(store, again), Clash)
        await one(store, group(OTHER, b"b" * 32))
        assert placed(await one(store, entry("c", topic=OTHER, expected=0, access=b"1" * 32))).fresh

    play(story)


def test_confirmed_commits_close_what_came_before(play: Play) -> None:
    async def story(store: Store) -> None:
        await one(store, group())
        sequences = [0]
        for n in range(1, 6):
            await one(store, entry((n, "a")))
            done = placed(await one(store, entry(n, expected=sequences[-1], access=bytes([n]) * 32)))
            sequences.append(done.stored.sequence)
        assert await one(store, Confirm(TOPIC, sequences[2], sequences[2])) == Made()
        assert await one(store, Confirm(TOPIC, sequences[4], sequences[5])) == Made()
        assert await one(store, Confirm(TOPIC, sequences[4] + 1, 1)) == Missing()
        assert await one(store, Confirm(OTHER, 1, 1)) == Missing()
        closed_by = [sequences[2], sequences[2], sequences[5], sequences[5], None, None]
        for n, sequence in enumerate(sequences):
            known = await store.known(TOPIC, bytes([n]) * 32 if n else b"a" * 32)
            assert known is not None
            assert (known.row.sequence, known.closed_by) == (sequence, closed_by[n])
            assert (known.row.closes is not None) == (n in (0, 2, 4))
        assert await store.known(TOPIC, b"?" * 32) is None
        assert await store.known(OTHER, b"a" * 32) is None
        head = await store.topic(TOPIC)
        assert head is not None
        assert [(row.sequence, row.closes) for row in head.rungs] == [
            (sequences[4], sequences[5]),
            (sequences[5], None),
        ]

    play(story)


def test_creating_is_not_appending(play: Play) -> None:
    async def story(store: Store) -> None:
        assert await one(store, entry("a")) == Missing()
        assert await store.topic(TOPIC) is None
        assert await one(store, group()) == Made()
        assert await one(store, group()) == Made()
        assert isinstance(await one(store, group(access=b"x" * 32)), Clash)
        assert isinstance(await one(store, group(founder=b"x" * 16)), Clash)
        assert isinstance(await one(store, NewBox(TOPIC, Box(b"m" * 32, "cert-hr", NOW))), Clash)
        inbox = await one(store, entry("i", topic=OTHER, creates=TopicKind.INBOX))
        assert placed(inbox).stored.sequence > 0
        head = await store.topic(OTHER)
        assert head is not None
        assert (head.kind, head.rungs) == (TopicKind.INBOX, ())
        assert isinstance(await one(store, group(OTHER)), Clash)

    play(story)


def test_bounds_and_positions_are_kept(play: Play) -> None:
    async def story(store: Store) -> None:
        results = await store.commit([entry(n, topic=OTHER, creates=TopicKind.INBOX, room=3) for n in range(5)])
        assert [type(r) for r in results] == [Placed, Placed, Placed, Overfull, Overfull]
        await one(store, TrimTo(OTHER, placed(results[0]).stored.sequence))
        assert isinstance(await one(store, entry(3, room=3, topic=OTHER)), Placed)

        def publication(what: object, after: int) -> Append:
            return entry(("t", what), creates=TopicKind.TRUST, after=after)

        first, late = await store.commit([publication(0, 0), publication(1, 0)])
        at = placed(first).stored.sequence
        assert late == Behind(at, digest(("t", 0)))
        second, wrong = await store.commit([publication(2, at), publication(3, at + 999)])
        then = placed(second).stored.sequence
        assert wrong == Behind(then, digest(("t", 2)))
        assert await one(store, entry("z", topic=b"z" * 32, creates=TopicKind.TRUST, after=7)) == Behind(0, bytes(32))
        assert await one(store, entry(("t", 4), after=at)) == Behind(then, digest(("t", 2)))
        again = placed(await one(store, publication(0, 0)))
        assert (again.stored.sequence, again.fresh) == (at, False)  # its id comes before what it expects

    play(story)


def test_a_trim_spares_the_head(play: Play) -> None:
    async def story(store: Store) -> None:
        await one(store, group())
        await store.commit([entry(n) for n in range(5)])
        first = placed(await one(store, entry("c1", expected=0, access=b"1" * 32)))
        await store.commit([entry(n) for n in range(5, 9)])
        second = placed(await one(store, entry("c2", expected=first.stored.sequence, access=b"2" * 32)))
        await store.commit([Confirm(TOPIC, second.stored.sequence, second.stored.sequence), entry("last")])
        before = await store.topic(TOPIC)
        assert before is not None
        entries = await all_of(store)

        assert (await store.read(TOPIC, 0, None, 1000)).trimmed == 0
        result = await one(store, TrimTo(TOPIC, entries[2].sequence))
        for size in (1, 1 << 20):
            assert (await store.read(TOPIC, 0, None, size)).trimmed == entries[2].sequence
        position = chain.start(TOPIC)
        for e in entries[:3]:
            position = chain.advance(position, e.kind, e.entry_id, e.sequence, e.body)
        assert result == Trimmed(position)
        assert await all_of(store) == entries[3:]
        assert placed(await one(store, entry(1))).fresh  # an id is remembered as long as its entry lives
        assert await store.entry(TOPIC, digest(2)) is None

        await one(store, TrimTo(TOPIC, 1 << 60))
        left = await all_of(store)
        assert [e.entry_id for e in left[:2]] == [digest("c2"), digest("last")]  # the last commit entry stays
        head = await store.topic(TOPIC)
        assert head is not None
        assert (head.commit, head.commit_id, head.count) == (before.commit, before.commit_id, 3)
        assert [row.access for row in head.rungs] == [b"2" * 32]
        assert await store.known(TOPIC, b"1" * 32) is None
        stale = await one(store, entry("c3", expected=first.stored.sequence))
        assert stale == Behind(second.stored.sequence, digest("c2"))
        assert head.trimmed.sequence == entries[-3].sequence  # all before the commit entry
        position = head.trimmed
        for e in left:
            position = chain.advance(position, e.kind, e.entry_id, e.sequence, e.body)
        assert position == head.last  # the chain goes on from the trim point
        assert await one(store, TrimTo(OTHER, 3)) == Missing()

    play(story)


def test_a_trimmed_topic_never_reuses_a_sequence(play: Play) -> None:
    async def story(store: Store) -> None:
        last = (await store.commit([entry(n, topic=OTHER, creates=TopicKind.INBOX) for n in range(3)]))[-1]
        everything = 1 << 60
        first, second = await store.commit([TrimTo(OTHER, everything), entry("new", topic=OTHER)])
        assert first == Trimmed(placed(last).position or chain.start(OTHER))
        assert placed(second).stored.sequence > placed(last).stored.sequence
        assert [e.sequence for e in await all_of(store, OTHER)] == [placed(second).stored.sequence]
        mixed = await store.commit(
            [entry("x", topic=OTHER, creates=TopicKind.INBOX), TrimTo(OTHER, everything), entry("x", topic=OTHER)]
        )
        assert [placed(mixed[0]).fresh, placed(mixed[2]).fresh] == [True, True]

    play(story)


def test_a_key_package_leaves_once(play: Play) -> None:
    async def story(store: Store) -> None:
        def put(*packages: bytes, last: bytes | None = None, purge: bool = False) -> PutPackages:
            return PutPackages("cert-hr/one", 7, packages, last, purge, room=4)

        take = TakePackage("cert-hr/one", 7, NOW)
        assert await one(store, take) == Missing()
        assert await one(store, put(b"k1", b"k2", b"k1", last=b"last")) == Counted(2)
        assert await one(store, TakePackage("cert-hr/one", 8, NOW)) == Missing()
        takers = await asyncio.gather(*[one(store, take) for _ in range(5)])
        assert sorted(t.package for t in takers if isinstance(t, Taken) and not t.last_resort) == [b"k1", b"k2"]
        assert [t for t in takers if isinstance(t, Taken) and t.last_resort] == [Taken(b"last", last_resort=True)] * 3
        assert await one(store, put(b"k1", b"k3")) == Counted(1)  # a repeated put brings nothing back
        assert await store.packages("cert-hr/one", 7) == 1
        assert await one(store, put(b"4", b"5", b"6", b"7")) == Overfull()
        assert await store.packages("cert-hr/one", 7) == 1
        assert await one(store, put(b"k9", purge=True)) == Counted(1)
        assert await one(store, take) == Taken(b"k9", last_resort=False)
        assert await one(store, take) == Missing()  # the purge took the last resort too
        assert await one(store, Sweep(NOW + SPENT_FOR - 1)) == Counted(0)
        assert await one(store, Sweep(NOW + SPENT_FOR)) == Counted(3)

    play(story)


def test_blobs_come_in_pieces_and_expire(play: Play) -> None:
    async def story(store: Store) -> None:
        content = bytes(range(256)) * 10
        name = hashlib.sha256(content).digest()

        def part(offset: int, size: int, owner: bytes = b"1" * 16) -> PutPart:
            piece = content[offset : offset + size]
            done = offset + len(piece) == len(content)
            return PutPart(owner, name, len(content), offset, piece, done, NOW + 100)

        assert await one(store, part(0, 1000)) == Counted(1000)
        assert await one(store, part(0, 1000)) == Counted(1000)  # there already
        assert await one(store, part(1500, 100)) == Counted(1000)  # a gap
        assert await store.blob(name) is None
        assert await store.upload(b"1" * 16, name) == Upload(len(content), 1000)
        assert await store.upload(b"2" * 16, name) is None  # another's upload is another's
        assert await one(store, part(0, 500, b"2" * 16)) == Counted(500)
        assert await one(store, part(1000, 700)) == Counted(1700)
        assert await store.upload_piece(b"1" * 16, name, 900, 400) == content[900:1300]
        assert await one(store, DropUpload(b"2" * 16, name)) == Made()
        assert await store.upload(b"2" * 16, name) is None
        assert await one(store, part(1700, 5000)) == Counted(len(content))
        assert await one(store, DropUpload(b"1" * 16, name)) == Made()  # which is none any more
        assert await store.blob(name) == len(content)
        assert await store.upload(b"1" * 16, name) is None
        assert await one(store, part(0, 10, b"3" * 16)) == Counted(len(content))  # nothing to send
        for offset, size in ((0, 5000), (0, 10), (990, 20), (1000, 700), (1650, 100), (2559, 5), (2560, 5), (9999, 1)):
            assert await store.piece(name, offset, size) == content[offset : offset + size]
        assert await store.piece(b"?" * 32, 0, 10) == b""
        assert await one(store, Sweep(NOW + 99)) == Counted(0)
        assert await one(store, Sweep(NOW + 100)) == Counted(1)
        assert await store.blob(name) is None
        assert await store.piece(name, 0, 10) == b""

    play(story)


def test_a_box_opens_once_and_goes_with_its_entries(play: Play) -> None:
    async def story(store: Store) -> None:
        box = Box(b"m" * 32, "cert-hr", NOW + 10)
        assert await store.box(TOPIC) is None
        assert await one(store, NewBox(TOPIC, box)) == Made()
        assert await one(store, NewBox(TOPIC, box)) == Made()
        assert isinstance(await one(store, NewBox(TOPIC, Box(b"x" * 32, "cert-hr", NOW + 10))), Clash)
        assert await store.box(TOPIC) == box
        await one(store, entry("request", after=0))
        assert await one(store, Sweep(NOW + 9)) == Counted(0)
        assert await one(store, Sweep(NOW + 10)) == Counted(1)
        assert await store.box(TOPIC) is None
        assert await store.topic(TOPIC) is None
        assert await all_of(store) == []
        assert await one(store, group()) == Made()

    play(story)


def test_a_topic_in_an_inboxs_place_goes_with_all_it_holds(play: Play) -> None:
    async def story(store: Store) -> None:
        assert await one(store, DropTopic(TOPIC)) == Missing()
        await one(store, group())
        await one(store, entry("theirs"))
        results = await store.commit([entry("more"), DropTopic(TOPIC), entry("gone")])
        assert results[1:] == [Made(), Missing()]
        assert await store.topic(TOPIC) is None
        assert await all_of(store) == []
        assert await store.entry(TOPIC, entry("theirs").entry_id) is None
        inbox = entry("letter", creates=TopicKind.INBOX)
        assert isinstance(await one(store, inbox), Placed)
        assert await one(store, DropTopic(TOPIC)) == Missing()  # an inbox is nobody's to drop
        head = await store.topic(TOPIC)
        assert head is not None
        assert (head.kind, head.count, head.rungs) == (TopicKind.INBOX, 1, ())
        letter = (await all_of(store))[0]
        after = chain.advance(chain.start(TOPIC), letter.kind, letter.entry_id, letter.sequence, letter.body)
        assert head.last == after  # a new chain

    play(story)


@pytest.mark.parametrize("play", ["memory", "sqlite"], indirect=True)  # where a batch is one transaction
def test_a_batch_that_fails_leaves_no_trace(play: Play) -> None:
    async def story(store: Store) -> None:
        content = b"blob"
        name = hashlib.sha256(content).digest()
        await store.commit([group(), entry("a"), PutPackages("d", 1, (b"k1",), None, purge=False, room=9)])
        await store.commit([entry("i", topic=OTHER, creates=TopicKind.INBOX), entry("j", topic=OTHER)])
        await one(store, NewBox(b"x" * 32, Box(b"m" * 32, "cert-hr", NOW)))
        await one(store, PutPart(b"1" * 16, name, 4, 0, b"bl", done=False, expires=NOW))
        before = (await store.topic(TOPIC), await store.topic(OTHER), await all_of(store), await all_of(store, OTHER))
        used = await store.usage()
        poison = entry("poison", topic=b"p" * 32, creates=TopicKind.INBOX)
        object.__setattr__(poison, "entry_id", "no bytes")  # fails in any store, after all the others were applied
        batch: list[Write] = [
            entry("b"),
            entry("c", expected=0),
            Confirm(TOPIC, 3, 3),
            TrimTo(OTHER, 1),
            NewBox(b"y" * 32, Box(b"m" * 32, "cert-hr", NOW)),
            group(b"n" * 32, b"n" * 32),
            TakePackage("d", 1, NOW),
            PutPackages("d", 2, (b"k2",), b"l", purge=True, room=9),
            PutPart(b"1" * 16, name, 4, 2, b"ob", done=True, expires=NOW),
            PutPart(b"2" * 16, b"?" * 32, 4, 0, b"ob", done=False, expires=NOW),
            Sweep(NOW),
            poison,
        ]
        heard: list[News] = []
        store.listen(heard.append)
        with pytest.raises(Exception):  # noqa: B017, PT011 - which one is the store's affair
            await store.commit(batch)
        assert isinstance(store, LocalStore)
        assert heard == []
        after = (await store.topic(TOPIC), await store.topic(OTHER), await all_of(store), await all_of(store, OTHER))
        assert after == before
        assert abs(await store.usage() - used) <= 65536  # a file may have grown by empty pages
        assert await store.topic(b"n" * 32) is None
        assert await store.box(b"y" * 32) is None
        assert await store.box(b"x" * 32) is not None
        assert await store.packages("d", 1) == 1
        assert await store.packages("d", 2) == 0
        assert await store.blob(name) is None
        assert await store.upload(b"1" * 16, name) == Upload(4, 2)
        assert placed(await one(store, entry("b"))).stored.sequence == 2
        assert await one(store, TakePackage("d", 1, NOW)) == Taken(b"k1", last_resort=False)

    play(story)


def test_what_became_durable_is_told_in_order_before_the_answer(play: Play) -> None:
    async def story(store: Store) -> None:
        heard: list[News] = []
        store.listen(heard.append)
        await store.topic(TOPIC)
        await store.topic(OTHER)
        made, *results = await store.commit([group(), entry("a"), entry("c", expected=0), entry("a"), entry("b")])
        first, commit, again, last = (placed(result) for result in results)
        assert heard == [
            Created(TOPIC, TopicKind.GROUP, CommitRow(0, b"a" * 32, b"f" * 16, NOW, 0)),
            *(
                Added(TOPIC, TopicKind.GROUP, p.stored, p.position, b"c" * 16 if p is commit else b"")
                for p in (first, commit, last)
                if p.position is not None
            ),
        ]
        assert (made, again.stored, again.position) == (Made(), first.stored, None)
        heard.clear()
        assert await one(store, entry("late", expected=0)) == Behind(commit.stored.sequence, digest("c"))
        assert heard == []
        at = commit.stored.sequence
        await one(store, Confirm(TOPIC, at, at))
        await one(store, Confirm(TOPIC, at, at + 99))  # what is confirmed stays as it is
        trimmed = await one(store, TrimTo(TOPIC, first.stored.sequence))
        assert isinstance(trimmed, Trimmed)
        row = CommitRow(at, digest(("access", "c")), b"c" * 16, NOW, at)
        assert heard == [Confirmed(TOPIC, row), Shortened(TOPIC, trimmed.position)]
        heard.clear()
        await one(store, NewBox(OTHER, Box(b"m" * 32, "cert-hr", NOW)))
        await one(store, DropTopic(OTHER))
        assert heard == [Created(OTHER, TopicKind.BOX, box=Box(b"m" * 32, "cert-hr", NOW)), Dropped(OTHER)]

    play(story)


def test_charges_add_up_by_day_and_are_forgotten(play: Play) -> None:
    async def story(store: Store) -> None:
        today = NOW // 86400
        charges = [Charge("cert-hr", today - 1, 5), Charge("cert-si", today, 7), Charge("cert-hr", today, 11)]
        await store.commit([*charges, Charge("cert-hr", today, 13)])
        assert await store.charges(today) == {"cert-hr": 24, "cert-si": 7}
        assert await store.charges(0) == {"cert-hr": 29, "cert-si": 7}
        await one(store, Sweep(NOW + CHARGED_FOR))
        assert await store.charges(0) == {"cert-hr": 24, "cert-si": 7}

    play(story)


def test_old_entries_are_found_topic_by_topic(play: Play) -> None:
    async def story(store: Store) -> None:
        topics = [bytes([n]) * 32 for n in range(1, 6)]
        places = []
        for topic in topics:
            results = await store.commit(
                [entry(n, topic=topic, creates=TopicKind.INBOX, at=1000 * n + topic[0]) for n in range(1, 5)]
            )
            places.append([placed(result).stored.sequence for result in results])
        first = await store.aged(b"", 3, 3003)
        assert first.topics == ((topics[0], places[0][2]), (topics[1], places[1][2]), (topics[2], places[2][1]))
        rest = await store.aged(first.cursor, 3, 3003)
        assert rest == Aged(((topics[3], places[3][1]), (topics[4], places[4][1])), b"")
        assert await store.aged(b"", 9, 0) == Aged(tuple((topic, 0) for topic in topics), b"")

    play(story)


def test_a_memory_store_can_be_full() -> None:
    async def main() -> None:
        store = MemoryStore(capacity=2000)
        await store.commit([group(), entry("a", bytes(1000))])
        with pytest.raises(StoreFull):
            await store.commit([entry("b", bytes(10)), entry("c", bytes(1000))])
        assert [e.entry_id for e in await all_of(store)] == [digest("a")]
        await store.commit([TrimTo(TOPIC, 1), entry("c", bytes(1000))])
        assert [e.entry_id for e in await all_of(store)] == [digest("c")]

    asyncio.run(main())
