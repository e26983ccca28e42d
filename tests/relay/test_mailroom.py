"""The mailroom, request by request: order, refusals, fan-out, catching up, and what it does when the disk fails."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from relay.bounds import Bounds
from relay.people import Guest, Office
from relay.store.base import Result, StoreFailed, StoreFull, Write
from relay.store.memory import MemoryStore
from relay.store.sqlite import SqliteStore
from securechan.errors import Refused, Untrusted
from securechan.wire import chain
from securechan.wire.door import DeviceClaim, GuestClaim, OfficeClaim
from securechan.wire.frames import (
    TRUST_TOPIC,
    Answer,
    Append,
    Appended,
    Code,
    CommitClaim,
    Count,
    CountKeyPackages,
    CreateBox,
    CreateTopic,
    Deliver,
    Done,
    Entries,
    EntryKind,
    Error,
    GetBlob,
    GetHeads,
    Halt,
    KeyPackageTaken,
    Piece,
    Ping,
    Publish,
    PutBlob,
    PutKeyPackages,
    Reason,
    Show,
    Subscribe,
    TakeKeyPackage,
    Trim,
    TrustDocument,
    Unsubscribe,
    inbox_topic,
)
from securechan.wire.handshake_formats import DeviceProof, GuestProof, OfficeProof
from securechan.wire.heads import verify_heads
from tests.relay.desk import NAME, Client, Clock, Desk, digest, founded, online, open_desk
from tests.support.federation import make_device

T = digest("topic")
S0, S1, S2, S3 = (digest("secret", n) for n in range(4))


# --------------------------------------------------------------------------------------------- talking in a group


async def test_what_one_says_all_read_in_one_order() -> None:
    async with open_desk() as desk:
        clients = [desk.client(name) for name in ("cert-hr/a", "cert-hr/b", "cert-si/c")]
        await clients[0].create(T, S0)
        for client in clients:
            await client.read(T, S0)
        words = [[b"%d says %d" % (n, i) for i in range(10)] for n in range(3)]
        for n, client in enumerate(clients):
            for word in words[n]:
                client.send(Append(T, digest(word), word, None))
        for client in clients:
            await client.halted(T, Halt.TAIL, 30)
        logs = [client.entries(T) for client in clients]
        assert logs[0] == logs[1] == logs[2]
        assert sorted(entry.body for entry in logs[0]) == sorted(word for own in words for word in own)
        for n in range(3):  # each one's own words keep their order
            assert [entry.body for entry in logs[0] if entry.body in words[n]] == words[n]


async def test_answers_and_entries_of_a_batch_leave_in_one_turn_and_are_encoded_once() -> None:
    async with open_desk() as desk:
        one, two = desk.client("cert-hr/a"), desk.client("cert-si/c")
        await one.create(T, S0)
        await one.read(T)
        await two.read(T, S0)
        await one.halted(T, Halt.TAIL)
        await two.halted(T, Halt.TAIL)
        numbers = [one.send(Append(T, digest(n), b"%d" % n, None)) for n in range(5)]
        await one.halted(T, Halt.TAIL, 5)
        (turn,) = [t for t in one.outlet.turns if any(isinstance(f, Answer) and f.number == numbers[0] for f in t)]
        assert [f.number for f in turn if isinstance(f, Answer)] == numbers
        (run,) = [f for f in turn if isinstance(f, Entries)]
        assert [entry.body for entry in run.entries] == [b"%d" % n for n in range(5)]
        await two.halted(T, Halt.TAIL, 5)
        assert one.outlet.raw[-1] is two.outlet.raw[-1]  # the same bytes object


async def test_a_repeated_append_has_one_entry_and_one_answer() -> None:
    async with open_desk() as desk:
        one, two = desk.client("cert-hr/a"), desk.client("cert-si/c")
        await one.create(T, S0)
        await two.read(T, S0)
        first = await one.say(T, b"once")
        assert first == await one.say(T, b"once") == Appended(1)
        assert (await one.refused(Append(T, digest(T, b"once"), b"twice", None))).code is Code.CONFLICT
        await one.commit(T, 0, S1)
        await two.halted(T, Halt.SHOW)
        assert await two.show(T, S1) == Done()  # confirms: S0 is closed
        late = desk.client("cert-hr/b")  # has shown nothing at all, and its acknowledgement was lost
        assert await late.ask(Append(T, digest(T, b"once"), b"once", None)) == Appended(1)
        assert (await late.refused(Append(T, digest(T, b"once"), b"other", None))).code is Code.CONFLICT
        assert (await late.refused(Append(T, digest("new"), b"new", None))).code is Code.ACCESS_DENIED
        assert two.bodies(T) == [b"once", b"commit"]


async def test_of_two_commits_the_loser_hears_who_won() -> None:
    async with open_desk() as desk:
        one, two = desk.client("cert-hr/a"), desk.client("cert-si/c")
        await one.create(T, S0)
        await two.show(T, S0)
        await one.say(T, b"before")
        first, second = await asyncio.gather(one.commit(T, 0, S1), two.commit(T, 0, S2))
        assert first == Appended(2)
        assert isinstance(second, Error)
        assert (second.code, second.sequence) == (Code.STALE, 2)
        stored = await desk.store.read(T, 1, 2, 1)
        assert second.entry_id == stored.entries[0].entry_id
        assert await one.commit(T, 0, S1) == Appended(2)  # again: it is known before it is judged
        assert await two.commit(T, 2, S2) == Appended(3)


async def test_requests_of_one_session_are_judged_in_their_order() -> None:
    async with open_desk() as desk:
        client = desk.client("cert-hr/a")
        numbers = [
            client.send(body)
            for body in (
                Append(T, digest(1), b"too early", None),
                CreateTopic(T, hashlib.sha256(S0).digest()),
                Append(T, digest(2), b"nothing shown", None),
            )
        ]
        answers = [await client.answer(number) for number in numbers]
        assert [a.code if isinstance(a, Error) else a for a in answers[:2]] == [Code.UNKNOWN_TOPIC, Done()]
        numbers = [
            client.send(body)
            for body in (Show(T, S0), Subscribe(T, 0), Append(T, digest(3), b"said", None), Unsubscribe(T))
        ]
        assert [await client.answer(n) for n in numbers] == [Done(), Done(), Appended(1), Done()]
        again = desk.client("cert-hr/b")  # the topic's closed secret takes a look into the store; the next must wait
        await client.commit(T, 0, S1)
        await again.show(T, S0)
        await again.show(T, S1)
        third = desk.client("cert-si/c")
        numbers = [third.send(body) for body in (Show(T, S0), Subscribe(T, 0), Append(T, digest(4), b"late", None))]
        answers = [await third.answer(n) for n in numbers]
        assert answers[:2] == [Done(), Done()]
        assert isinstance(answers[2], Error)
        assert (answers[2].code, answers[2].sequence) == (Code.STALE, 2)


async def test_unsubscribing_ends_the_stream() -> None:
    async with open_desk() as desk:
        one, two = desk.client("cert-hr/a"), desk.client("cert-si/c")
        await one.create(T, S0)
        await two.read(T, S0)
        await one.say(T, b"1")
        await two.halted(T, Halt.TAIL, 1)
        assert await two.ask(Unsubscribe(T)) == Done()
        assert await two.ask(Unsubscribe(digest("another"))) == Done()
        await one.say(T, b"2")
        assert two.bodies(T) == [b"1"]
        await two.read(T, after=1)
        await two.halted(T, Halt.TAIL, 2)
        assert two.bodies(T) == [b"1", b"2"]


# --------------------------------------------------------------------------------------------- confirmed access


async def test_a_subscription_stops_at_each_commit_until_the_next_secret_is_shown() -> None:
    async with open_desk() as desk:
        one, two = desk.client("cert-hr/a"), desk.client("cert-si/c")
        await one.create(T, S0)
        await two.read(T, S0)
        await one.say(T, b"old")
        assert await one.commit(T, 0, S1) == Appended(2)
        await one.show(T, S1)
        await one.say(T, b"new")
        await two.halted(T, Halt.SHOW)
        assert two.bodies(T) == [b"old", b"commit"]
        assert two.entries(T)[-1].commit == CommitClaim(0, hashlib.sha256(S1).digest())
        assert await two.show(T, S1) == Done()
        await two.halted(T, Halt.TAIL)
        assert two.bodies(T) == [b"old", b"commit", b"new"]


async def test_a_removed_member_reads_its_removal_and_no_more() -> None:
    async with open_desk() as desk:
        one, two, gone = (desk.client(n) for n in ("cert-hr/a", "cert-si/c", "cert-si/d"))
        await one.create(T, S0)
        for client in (one, two, gone):
            await client.read(T, S0)
        removal = await one.commit(T, 0, S1, b"removes d")
        await two.halted(T, Halt.SHOW)
        await two.show(T, S1)
        await one.show(T, S1)
        await one.say(T, b"without d")
        await two.halted(T, Halt.TAIL, 2)
        assert gone.bodies(T) == [b"removes d"]
        assert await gone.show(T, S0) == Done()  # still known, and yet
        await gone.halted(T, Halt.END)
        assert gone.bodies(T) == [b"removes d"]
        stale = await gone.refused(Append(T, digest("d"), b"from the grave", None))
        assert (stale.code, Appended(stale.sequence)) == (Code.STALE, removal)
        again = desk.client("cert-si/d")  # and in a new session
        await again.read(T, S0)
        await again.halted(T, Halt.SHOW)
        assert again.bodies(T) == [b"removes d"]
        assert (await again.refused(GetHeads((T,)))).code in (Code.ACCESS_DENIED, Code.NOT_FOUND)


async def test_who_reads_at_the_tail_when_closed_is_told_so() -> None:
    async with open_desk() as desk:
        one, two, gone = (desk.client(n) for n in ("cert-hr/a", "cert-si/c", "cert-si/d"))
        await one.create(T, S0)
        for client in (two, gone):
            await client.read(T, S0)
        await one.commit(T, 0, S1)
        await gone.halted(T, Halt.SHOW)
        await gone.show(T, S0)  # live as yet: goes on past its removal, to what it can't decrypt
        await gone.halted(T, Halt.TAIL)
        await one.say(T, b"1")
        await gone.halted(T, Halt.TAIL, 2)
        await two.show(T, S1)
        await gone.halted(T, Halt.END)
        await one.show(T, S1)
        assert await one.say(T, b"2") == Appended(3)
        await two.halted(T, Halt.TAIL, 3)
        assert gone.bodies(T) == [b"commit", b"1"]


async def test_an_offline_member_walks_through_closed_epochs() -> None:
    async with open_desk() as desk:
        one, two = desk.client("cert-hr/a"), desk.client("cert-si/c")
        secrets = [digest("epoch", n) for n in range(12)]
        await one.create(T, secrets[0])
        await two.read(T, secrets[0])
        expected = 0
        for n in range(1, 12):
            await one.say(T, b"in %d" % n)
            answer = await one.commit(T, expected, secrets[n])
            assert isinstance(answer, Appended)
            expected = answer.sequence
            await two.halted(T, Halt.SHOW)
            await two.show(T, secrets[n])
            await two.halted(T, Halt.TAIL)
            await one.show(T, secrets[n])
        sleeper = desk.client("cert-si/d")
        await sleeper.read(T, secrets[0])
        for n in range(1, 12):
            await sleeper.halted(T, Halt.SHOW, 2 * n)
            assert sleeper.entries(T)[-1].commit == CommitClaim(
                sleeper.entries(T)[-3].sequence if n > 1 else 0, hashlib.sha256(secrets[n]).digest()
            )
            assert await sleeper.show(T, secrets[n]) == Done()
        await sleeper.halted(T, Halt.TAIL)
        assert sleeper.entries(T) == two.entries(T)
        assert isinstance(await sleeper.say(T, b"back again"), Appended)


async def test_a_garbage_commit_locks_no_one_out() -> None:
    async with open_desk() as desk:
        one, two, bad = (desk.client(n) for n in ("cert-hr/a", "cert-si/c", "cert-si/d"))
        await one.create(T, S0)
        for client in (one, two, bad):
            await client.read(T, S0)
        garbage = await bad.commit(T, 0, S3, b"garbage")
        assert garbage == Appended(1)
        await bad.show(T, S3)  # its own secret, shown by its own committer: says nothing
        for client in (one, two):
            await client.halted(T, Halt.SHOW)
            assert await client.show(T, S0) == Done()  # void for them: they go on with what they have
            await client.halted(T, Halt.TAIL)
        assert await one.say(T, b"go on") == Appended(2)
        assert await one.commit(T, 1, S1, b"honest") == Appended(3)  # expects the garbage entry: it was the last commit
        await two.halted(T, Halt.SHOW)
        await two.show(T, S1)
        await one.show(T, S1)
        assert await two.say(T, b"and on") == Appended(4)
        assert (await bad.refused(Append(T, digest("bad"), b"bad", None))).code is Code.STALE
        assert await bad.show(T, S1) == Done()  # a member it is: it follows like everyone
        assert await bad.say(T, b"sorry") == Appended(5)


async def test_a_flood_of_commits_is_slowed_and_crowds_out_nobody() -> None:
    async with open_desk() as desk:
        one, two, bad = (desk.client(n) for n in ("cert-hr/a", "cert-si/c", "cert-si/d"))
        await one.create(T, S0)
        await two.show(T, S0)
        await bad.show(T, S0)
        expected = 0
        for n in range(3):
            answer = await bad.commit(T, expected, digest("flood", n))
            assert isinstance(answer, Appended)
            expected = answer.sequence
        slow = await bad.commit(T, expected, digest("flood", 3))
        assert isinstance(slow, Error)
        assert (slow.code, slow.retry_after) == (Code.QUOTA, 3600 * 1000)
        assert await bad.commit(T, 0, digest("flood", 0)) == Appended(1)  # known before judged
        assert await one.commit(T, expected, S1) == Appended(4)
        assert await two.show(T, S1) == Done()
        assert (await bad.refused(Append(T, digest("bad"), b"bad", None))).code is Code.STALE


async def test_access_survives_a_restart(tmp_path: Path) -> None:
    store = await SqliteStore.open(tmp_path / "relay.db")
    async with open_desk(store) as desk:
        one, two = desk.client("cert-hr/a"), desk.client("cert-si/c")
        await one.create(T, S0)
        await two.read(T, S0)
        await one.commit(T, 0, S1)
        await two.halted(T, Halt.SHOW)
        await two.show(T, S1)
        await one.show(T, S1)
        await one.say(T, b"in 1")
        await one.commit(T, 1, S2)
    store = await SqliteStore.open(tmp_path / "relay.db")
    async with open_desk(store) as desk:
        gone, one, two = (desk.client(n) for n in ("cert-si/d", "cert-hr/a", "cert-si/c"))
        await gone.read(T, S0)
        await gone.halted(T, Halt.SHOW)
        assert gone.bodies(T) == [b"commit"]
        await two.read(T, S1)
        await two.halted(T, Halt.SHOW)  # a commit above the newest secret shown
        await two.show(T, S2)
        await two.halted(T, Halt.TAIL)
        assert two.bodies(T) == [b"commit", b"in 1", b"commit"]
        await one.show(T, S1)
        assert (await one.refused(Append(T, digest("x"), b"x", None))).code is Code.STALE  # two confirmed S2


async def test_secrets_and_topics_that_are_not_there() -> None:
    async with open_desk() as desk:
        one, two = desk.client("cert-hr/a"), desk.client("cert-si/c")
        assert (await one.refused(Show(T, S0))).code is Code.UNKNOWN_TOPIC
        assert (await one.refused(Subscribe(T, 0))).code is Code.UNKNOWN_TOPIC
        await one.create(T, S0)
        assert await one.ask(CreateTopic(T, hashlib.sha256(S0).digest())) == Done()
        assert (await two.refused(CreateTopic(T, hashlib.sha256(S0).digest()))).code is Code.CONFLICT
        assert (await two.refused(CreateTopic(TRUST_TOPIC, bytes(32)))).code is Code.CONFLICT
        assert (await two.refused(CreateTopic(inbox_topic("cert-hr/a"), bytes(32)))).code is Code.CONFLICT
        assert (await two.refused(Show(T, S1))).code is Code.ACCESS_DENIED
        assert (await two.refused(Subscribe(T, 0))).code is Code.ACCESS_DENIED
        assert (await two.refused(Append(T, digest(1), b"x", None))).code is Code.ACCESS_DENIED
        await two.show(T, S0)
        beyond = await two.refused(Subscribe(T, 7))
        assert (beyond.code, beyond.sequence) == (Code.STALE, 0)
        reused = await two.refused(Append(T, digest(2), b"x", CommitClaim(0, hashlib.sha256(S0).digest())))
        assert reused.code is Code.CONFLICT  # an access hash is claimed once


# --------------------------------------------------------------------------------------------- catching up


async def test_catching_up_comes_in_runs_and_loses_nothing_that_is_said_meanwhile(tmp_path: Path) -> None:
    store = await SqliteStore.open(tmp_path / "relay.db")
    async with open_desk(store, bounds=Bounds(run=8192, tail=4096)) as desk:
        one = desk.client("cert-hr/a")
        await one.create(T, S0)
        numbers = [one.send(Append(T, digest(n), b"%03d" % n + bytes(400), None)) for n in range(200)]
        await one.answer(numbers[-1])
        late = desk.client("cert-si/c")
        await late.read(T, S0, after=50)
        for n in range(200, 260):
            one.send(Append(T, digest(n), b"%03d" % n + bytes(400), None))
            if n % 10 == 0:
                await asyncio.sleep(0)
        await late.halted(T, Halt.TAIL, 210)
        assert [int(body[:3]) for body in late.bodies(T)] == list(range(50, 260))
        runs = late.runs(T)
        assert all(sum(len(e.encode()) for e in run.entries) <= 2 * 8192 for run in runs)
        assert {run.halt for run in runs} == {Halt.MORE, Halt.TAIL}


async def test_a_slow_reader_costs_nothing_and_misses_nothing() -> None:
    async with open_desk(bounds=Bounds(run=4096, tail=4096)) as desk:
        one, slow, fast = (desk.client(n) for n in ("cert-hr/a", "cert-si/c", "cert-si/d"))
        await one.create(T, S0)
        for client in (slow, fast):
            await client.read(T, S0)
            await client.halted(T, Halt.TAIL)
        slow.outlet.congested = True
        for n in range(100):
            await one.say(T, b"%03d" % n + bytes(500))
        await fast.halted(T, Halt.TAIL, 100)
        assert slow.bodies(T) == []
        slow.outlet.relieve()
        await slow.halted(T, Halt.TAIL, 100)
        assert slow.entries(T) == fast.entries(T)


async def test_subscribing_anew_moves_the_cursor() -> None:
    async with open_desk(bounds=Bounds(run=500)) as desk:
        one, two = desk.client("cert-hr/a"), desk.client("cert-si/c")
        await one.create(T, S0)
        for n in range(20):
            await one.say(T, b"%03d" % n + bytes(200))
        await two.show(T, S0)
        for after in (15, 3, 18, 0):
            two.send(Subscribe(T, after))
        await two.halted(T, Halt.TAIL)
        seen = [int(body[:3]) for body in two.bodies(T)]
        assert seen[-20:] == list(range(20))  # the last word holds


async def test_many_lagging_sessions_are_served_in_turn() -> None:
    async with open_desk(bounds=Bounds(run=1000)) as desk:
        one = desk.client("cert-hr/a")
        await one.create(T, S0)
        for n in range(40):
            await one.say(T, b"%03d" % n + bytes(200))
        readers = [desk.client(name) for name in ("cert-hr/b", "cert-si/c", "cert-si/d")]
        for reader in readers:
            reader.send(Show(T, S0))
            reader.send(Subscribe(T, 0))
        await readers[0].halted(T, Halt.TAIL, 40)
        assert min(len(reader.entries(T)) for reader in readers) > 30  # nobody was served to the end before the others
        for reader in readers[1:]:
            await reader.halted(T, Halt.TAIL, 40)


# --------------------------------------------------------------------------------------------- inboxes, packages, blobs


async def test_inboxes_are_written_by_all_and_read_and_trimmed_by_one() -> None:
    async with open_desk() as desk:
        one, two = desk.client("cert-hr/a"), desk.client("cert-si/c")
        mine, yours = inbox_topic("cert-hr/a"), inbox_topic("cert-si/c")
        await two.read(yours)  # before anything was ever delivered
        await two.halted(yours, Halt.TAIL)
        assert await one.ask(Deliver(yours, digest(1), b"welcome")) == Appended(1)
        assert await one.ask(Deliver(yours, digest(1), b"welcome")) == Appended(1)
        assert await one.ask(Deliver(yours, digest(2), b"receipt")) == Appended(2)
        await two.halted(yours, Halt.TAIL, 2)
        assert two.bodies(yours) == [b"welcome", b"receipt"]
        assert (await one.refused(Subscribe(yours, 0))).code is Code.FORBIDDEN
        assert (await one.refused(Trim(yours, 1))).code is Code.FORBIDDEN
        assert (await one.refused(Append(yours, digest(3), b"x", None))).code is Code.UNKNOWN_TOPIC
        assert (await one.refused(Deliver(inbox_topic("cert-hr/nobody"), digest(3), b"x"))).code is Code.NOT_FOUND
        assert (await one.refused(Deliver(digest("a group"), digest(3), b"x"))).code is Code.NOT_FOUND
        assert await one.ask(Trim(mine, 5)) == Done()  # nothing there
        assert await two.ask(Trim(yours, 1)) == Done()
        later = desk.client("cert-si/c")
        assert two.outlet.ended is Reason.REPLACED
        await later.read(yours)
        await later.halted(yours, Halt.TAIL, 1)
        assert later.bodies(yours) == [b"receipt"]


async def test_an_inbox_whose_name_was_guessed_beforehand_is_its_owners() -> None:
    """A member makes a group topic where the inbox of a device will be that isn't enrolled yet. Before, its owner read
    nothing there for ever, and the squatter read its letters."""
    async with open_desk() as desk:
        squatter, sender = desk.client("cert-hr/a"), desk.client("cert-hr/b")
        place = inbox_topic("cert-si/new")
        await squatter.create(place, S0)
        await squatter.read(place)
        await squatter.say(place, b"mine")
        await squatter.halted(place, Halt.TAIL, 1)
        view = desk.trust.view
        assert view is not None
        device = make_device("cert-si", "new", "liaison-9", now=desk.clock() // 1000)
        role, content = founded().roster("cert-si", view, add=[device.record])
        assert await sender.ask(Publish(view.position.sequence, (TrustDocument(role, content),))) == Appended(2)

        numbers = [sender.send(Deliver(place, digest(n), b"letter")) for n in range(3)]
        assert [await sender.answer(number) for number in numbers] == [Appended(1), Appended(2), Appended(3)]
        owner = desk.client("cert-si/new")
        await owner.read(place)
        assert [entry.kind for entry in await owner.halted(place, Halt.TAIL, 3)] == [EntryKind.INBOX] * 3
        assert squatter.bodies(place) == [b"mine"]
        assert (await squatter.refused(Show(place, S0))).code is Code.UNKNOWN_TOPIC
        assert (await squatter.refused(Subscribe(place, 0))).code is Code.FORBIDDEN
        assert (await squatter.refused(Append(place, digest("x"), b"x", None))).code is Code.UNKNOWN_TOPIC
        assert await owner.ask(Trim(place, 3)) == Done()


async def test_an_inbox_holds_so_many() -> None:
    async with open_desk(bounds=Bounds(inbox_entries=2)) as desk:
        one = desk.client("cert-hr/a")
        to = inbox_topic("cert-si/c")
        answers = [await one.ask(Deliver(to, digest(n), b"x")) for n in range(3)]
        assert answers[:2] == [Appended(1), Appended(2)]
        assert isinstance(answers[2], Error)
        assert answers[2].code is Code.QUOTA
        assert answers[2].retry_after > 0
        assert await one.ask(Deliver(to, digest(1), b"x")) == Appended(2)


async def test_key_packages_are_handed_out_once() -> None:
    async with open_desk(bounds=Bounds(packages=3)) as desk:
        owner, taker = desk.client("cert-hr/a"), desk.client("cert-si/c")
        assert await owner.ask(PutKeyPackages(1, 0, (b"k1", b"k2"), b"last")) == Done()
        assert await owner.ask(CountKeyPackages(1)) == Count(2)
        numbers = [taker.send(TakeKeyPackage("cert-hr/a", 1)) for _ in range(4)]
        taken = [await taker.answer(n) for n in numbers]
        assert taken == [
            KeyPackageTaken(b"k1", 0),
            KeyPackageTaken(b"k2", 0),
            KeyPackageTaken(b"last", 1),
            KeyPackageTaken(b"last", 1),
        ]
        assert (await taker.refused(TakeKeyPackage("cert-hr/a", 2))).code is Code.NOT_FOUND
        assert (await taker.refused(TakeKeyPackage("cert-hr/nobody", 1))).code is Code.NOT_FOUND
        assert (await owner.refused(PutKeyPackages(1, 0, (b"1", b"2", b"3", b"4"), None))).code is Code.QUOTA
        assert await owner.ask(PutKeyPackages(1, 1, (b"5",), None)) == Done()
        assert await owner.ask(CountKeyPackages(1)) == Count(1)


async def test_a_blob_comes_in_pieces_over_two_sessions() -> None:
    async with open_desk() as desk:
        one, two = desk.client("cert-hr/a"), desk.client("cert-si/c")
        content = digest("blob") * 1000
        name = hashlib.sha256(content).digest()

        def piece(offset: int, size: int) -> PutBlob:
            return PutBlob(name, len(content), offset, content[offset : offset + size])

        numbers = [one.send(piece(offset, 10_000)) for offset in (0, 10_000)]
        assert [await one.answer(n) for n in numbers] == [Count(10_000), Count(20_000)]
        assert (await two.refused(GetBlob(name, 0))).code is Code.NOT_FOUND
        one = desk.client("cert-hr/a")  # the connection was lost, and with it how far the relay had hashed
        assert await one.ask(piece(0, 10_000)) == Count(20_000)
        assert await one.ask(piece(20_000, 10_000)) == Count(30_000)
        assert await one.ask(piece(30_000, 10_000)) == Count(32_000)
        assert await two.ask(piece(0, 100)) == Count(32_000)  # all there: nothing to send
        got = await two.ask(GetBlob(name, 1000))
        assert got == Piece(32_000, 1000, content[1000:])
        assert await two.ask(GetBlob(name, 40_000)) == Piece(32_000, 40_000, b"")


async def test_nobody_spoils_a_blob() -> None:
    async with open_desk(bounds=Bounds(max_blob=1000)) as desk:
        one, bad = desk.client("cert-hr/a"), desk.client("cert-si/c")
        content = b"x" * 600
        name = hashlib.sha256(content).digest()
        assert await bad.ask(PutBlob(name, 600, 0, b"y" * 300)) == Count(300)
        assert await one.ask(PutBlob(name, 600, 0, content[:400])) == Count(400)
        assert (await bad.refused(PutBlob(name, 600, 300, b"y" * 300))).code is Code.CONFLICT
        assert await bad.ask(PutBlob(name, 600, 5, b"y")) == Count(0)  # from the start again
        assert await one.ask(PutBlob(name, 600, 400, content[400:])) == Count(600)
        assert await bad.ask(GetBlob(name, 0)) == Piece(600, 0, content)
        assert (await bad.refused(PutBlob(name, 1001, 0, b"y"))).code is Code.TOO_LARGE
        assert (await bad.refused(PutBlob(digest(1), 3, 2, b"yy"))).code is Code.TOO_LARGE
        assert (await bad.refused(PutBlob(digest(1), 3, 0, b""))).code is Code.MALFORMED


# --------------------------------------------------------------------------------------------- boxes, guests, offices


def guest_of(desk: Desk, box: bytes, minutes: int = 60) -> Guest:
    return Guest(box, "cert-hr", desk.clock.now // 1000 + 60 * minutes)


async def opened_box(desk: Desk, admin: Client, box: bytes = T) -> Client:
    """A box, and a guest at it."""
    assert await admin.ask(CreateBox(box, S0, desk.clock.now // 1000 + 3600)) == Done()
    return Client(desk, guest_of(desk, box))


async def test_a_guest_leaves_one_request_and_reads_the_answer() -> None:
    async with open_desk() as desk:
        admin, other = desk.client("cert-hr/a"), desk.client("cert-si/c")
        guest = await opened_box(desk, admin)
        await guest.read(T)
        assert (await admin.refused(Append(T, digest("a"), b"too early", None))).code is Code.FORBIDDEN
        assert await guest.ask(Append(T, digest("r"), b"request", None)) == Appended(1)
        assert await guest.ask(Append(T, digest("r"), b"request", None)) == Appended(1)
        assert (await guest.refused(Append(T, digest("s"), b"another", None))).code is Code.CONFLICT
        await admin.read(T)
        await admin.halted(T, Halt.TAIL, 1)
        assert await admin.ask(Append(T, digest("v"), b"verdict", None)) == Appended(2)
        await guest.halted(T, Halt.TAIL, 2)
        assert guest.bodies(T) == [b"request", b"verdict"]
        assert await guest.ask(Append(T, digest("r"), b"request", None)) == Appended(1)  # a late retry
        assert (await other.refused(Subscribe(T, 0))).code is Code.FORBIDDEN  # another agency's administrator
        assert (await other.refused(Append(T, digest("o"), b"o", None))).code is Code.UNKNOWN_TOPIC
        assert (await other.refused(CreateBox(T, S1, desk.clock.now // 1000 + 60))).code is Code.CONFLICT
        assert (await guest.refused(Append(T, digest("c"), b"c", CommitClaim(0, S0)))).code is Code.MALFORMED


async def test_a_guest_may_do_nothing_else() -> None:
    async with open_desk() as desk:
        admin = desk.client("cert-hr/a")
        guest = await opened_box(desk, admin)
        await opened_box(desk, admin, digest("other box"))
        for body in (CreateTopic(S0, S0), Deliver(S0, S0, b""), GetBlob(S0, 0), TakeKeyPackage("cert-hr/a", 1)):
            assert (await guest.refused(body)).code is Code.FORBIDDEN
        for body in (Publish(0, ()), CreateBox(S0, S0, 1), GetHeads(()), Show(T, S0), PutBlob(S0, 1, 0, b"x")):
            assert (await guest.refused(body)).code is Code.FORBIDDEN
        assert (await guest.refused(Append(digest("other box"), S0, b"", None))).code is Code.FORBIDDEN
        assert (await guest.refused(Subscribe(digest("other box"), 0))).code is Code.FORBIDDEN
        assert (await guest.refused(Subscribe(inbox_topic("cert-hr/a"), 0))).code in (
            Code.FORBIDDEN,
            Code.UNKNOWN_TOPIC,
        )
        assert await guest.ask(Ping()) == Done()
        await guest.read(TRUST_TOPIC)  # it will need the view to judge its approval
        await guest.halted(TRUST_TOPIC, Halt.TAIL, 1)


async def test_an_invite_is_good_for_one_session_at_a_time() -> None:
    """Else one code is enough to take all the sessions that a relay has."""
    async with open_desk(bounds=Bounds(sessions=3)) as desk:
        admin = desk.client("cert-hr/a")
        guests = [await opened_box(desk, admin)]
        guests += [Client(desk, guest_of(desk, T)) for _ in range(5)]
        assert [guest.outlet.ended for guest in guests] == [Reason.REPLACED] * 5 + [None]
        assert await guests[-1].ask(Ping()) == Done()
        guests[-2].member.leave()  # late: the place is the newer one's
        desk.client("cert-hr/b")
        guests[-1].member.leave()
        desk.client("cert-si/c")


async def test_boxes_have_their_time() -> None:
    async with open_desk(bounds=Bounds(box_lifetime=1000)) as desk:
        admin = desk.client("cert-hr/a")
        now = desk.clock.now // 1000
        assert (await admin.refused(CreateBox(T, S0, now + 1001))).code is Code.EXPIRED
        assert (await admin.refused(CreateBox(T, S0, now))).code is Code.EXPIRED
        assert await admin.ask(CreateBox(T, S0, now + 1000)) == Done()
        guest = Client(desk, guest_of(desk, T))
        desk.clock.now += 1000 * 1000
        assert (await guest.refused(Append(T, digest("r"), b"request", None))).code is Code.EXPIRED


async def test_an_office_reads_trust_and_publishes() -> None:
    async with open_desk() as desk:
        office = Client(desk, Office("targets", "00"))
        await office.read(TRUST_TOPIC)
        await office.halted(TRUST_TOPIC, Halt.TAIL, 1)
        assert (await office.refused(Deliver(S0, S0, b""))).code is Code.FORBIDDEN
        assert (await office.refused(Subscribe(T, 0))).code is Code.UNKNOWN_TOPIC
        assert (await office.refused(Publish(1, (TrustDocument("targets", b"{}"),)))).code is Code.UNTRUSTED


# --------------------------------------------------------------------------------------------- trust


async def test_a_revoked_device_is_out_in_the_batch_that_revokes_it() -> None:
    async with open_desk() as desk:
        one, lost = desk.client("cert-hr/a"), desk.client("cert-si/c")
        await one.read(TRUST_TOPIC)
        await one.halted(TRUST_TOPIC, Halt.TAIL)
        view = founded().read(one.entries(TRUST_TOPIC))
        role, content = founded().roster("cert-si", view, revoke={"c": "lost"})
        assert (await one.refused(Publish(7, (TrustDocument(role, content),)))).code is Code.STALE
        assert await one.ask(Publish(1, (TrustDocument(role, content),))) == Appended(2)
        assert await one.ask(Publish(1, (TrustDocument(role, content),))) == Appended(2)  # its answer was lost
        assert lost.outlet.ended is Reason.REVOKED
        assert lost.member.gone
        assert one.outlet.ended is None
        await one.halted(TRUST_TOPIC, Halt.TAIL, 2)
        after = founded().read(one.entries(TRUST_TOPIC))
        assert after.find("cert-si/c") is None
        assert after.position == desk.trust.view.position if desk.trust.view else False
        gone = await one.refused(Deliver(inbox_topic("cert-si/c"), S0, b"x"))
        assert gone.code is Code.NOT_FOUND
        with pytest.raises(Untrusted) as refused:
            await desk.mailroom.identify(claim_of("cert-si/c"))
        assert refused.value.code == "revoked"


def claim_of(name: str, public: bytes | None = None) -> DeviceClaim:
    known = founded().devices.get(name, founded().devices["cert-hr/a"])
    proof = DeviceProof(name, public or known.key.public, chain.start(TRUST_TOPIC), b"")
    return DeviceClaim(None, proof)  # type: ignore[arg-type]  # only the proof is looked at


async def test_who_someone_says_they_are_is_looked_up() -> None:
    async with open_desk() as desk:
        known = await desk.mailroom.identify(claim_of("cert-hr/a"))
        assert known.key == founded().devices["cert-hr/a"].key.public
        assert known.who == desk.device("cert-hr/a")
        with pytest.raises(Untrusted):
            await desk.mailroom.identify(claim_of("cert-hr/a", founded().devices["cert-hr/b"].key.public))
        with pytest.raises(Untrusted, match="no device"):
            await desk.mailroom.identify(claim_of("cert-hr/nobody"))

        admin = desk.client("cert-hr/a")
        assert await admin.ask(CreateBox(T, S3, desk.clock.now // 1000 + 60)) == Done()

        def guest(box: bytes) -> GuestClaim:
            return GuestClaim(None, GuestProof(box, bytes(32)))  # type: ignore[arg-type]  # likewise

        known = await desk.mailroom.identify(guest(T))
        assert known.key == S3
        assert known.who == Guest(T, "cert-hr", desk.clock.now // 1000 + 60)
        with pytest.raises(Refused) as refused:
            await desk.mailroom.identify(guest(S0))
        assert refused.value.code == "not-found"
        desk.clock.now += 60_000
        with pytest.raises(Refused) as refused:
            await desk.mailroom.identify(guest(T))
        assert refused.value.code == "expired"

        office = founded().office("cert-hr-roster")
        proof = OfficeProof(office.role, office.key_id, office.public, b"")
        known = await desk.mailroom.identify(OfficeClaim(None, proof))  # type: ignore[arg-type]  # likewise
        assert (known.key, known.who) == (office.public, Office(office.role, office.key_id))
        proof = OfficeProof("targets", office.key_id, office.public, b"")
        with pytest.raises(Untrusted):
            await desk.mailroom.identify(OfficeClaim(None, proof))  # type: ignore[arg-type]  # likewise


async def test_heads_are_signed_for_who_may_read() -> None:
    async with open_desk(signer=online()) as desk:
        one, two = desk.client("cert-hr/a"), desk.client("cert-si/c")
        other = digest("other")
        await one.create(T, S0)
        await one.create(other, S1)
        await two.read(T, S0)
        await one.say(T, b"said")
        await one.say(other, b"said elsewhere")
        assert await one.ask(GetHeads((T, other, T))) == Done()
        (heads,) = await one.outlet.until(one.heads)
        proved = verify_heads(heads, online().public, NAME)
        for topic, body in ((T, b"said"), (other, b"said elsewhere")):
            assert proved[topic] == chain.advance(chain.start(topic), 0, digest(topic, body), 1, body)
        await two.outlet.until(two.heads)  # pushed, since its topic changed
        assert set(verify_heads(two.heads()[0], online().public, NAME)) == {T}
        assert (await two.refused(GetHeads((other,)))).code is Code.ACCESS_DENIED


# --------------------------------------------------------------------------------------------- bounds and faults


async def test_a_nearly_full_disk_takes_no_appends_but_keeps_its_head_up() -> None:
    free = 0.5
    async with open_desk(disk=lambda: free) as desk:
        one, two = desk.client("cert-hr/a"), desk.client("cert-si/c")
        await one.create(T, S0)
        await two.read(T, S0)
        await one.say(T, b"before")
        assert await one.commit(T, 0, S1) == Appended(2)
        free = 0.04
        desk.mailroom._full_known_until = 0.0
        full = await one.refused(Append(T, digest("x"), b"x", None))
        assert full.code is Code.FULL
        assert full.retry_after > 0
        assert (await one.refused(CreateTopic(S3, S3))).code is Code.FULL
        assert (await one.refused(Deliver(inbox_topic("cert-si/c"), S0, b"x"))).code is Code.FULL
        assert (await one.refused(PutBlob(S0, 1, 0, b"x"))).code is Code.FULL
        assert (await one.refused(PutKeyPackages(1, 0, (b"x",), None))).code is Code.FULL
        assert await one.say(T, b"before") == Appended(1)  # known before judged
        await two.halted(T, Halt.SHOW)
        assert await two.show(T, S1) == Done()  # a confirmation still writes
        await one.read(TRUST_TOPIC)
        await one.halted(TRUST_TOPIC, Halt.TAIL)
        view = founded().read(one.entries(TRUST_TOPIC))
        role, content = founded().roster("cert-si", view, revoke={"d": "lost"})
        assert await one.ask(Publish(1, (TrustDocument(role, content),))) == Appended(2)  # and so does trust
        free = 0.5
        desk.mailroom._full_known_until = 0.0
        await one.show(T, S1)
        assert await one.say(T, b"after") == Appended(3)


class Failing(MemoryStore):
    """A store whose commits fail while ``fault`` says so."""

    fault: Exception | None = None
    spares: type | None = None

    async def commit(self, batch: Sequence[Write]) -> Sequence[Result]:
        if self.fault is not None and not (self.spares and all(isinstance(w, self.spares) for w in batch)):
            raise self.fault
        return await super().commit(batch)


@pytest.mark.parametrize(
    ("fault", "code"), [(StoreFull("full"), Code.FULL), (StoreFailed("input/output error"), Code.INTERNAL)]
)
async def test_a_failed_batch_is_refused_and_the_next_one_goes(fault: Exception, code: Code) -> None:
    store = Failing()
    async with open_desk(store) as desk:
        one, two = desk.client("cert-hr/a"), desk.client("cert-si/c")
        await one.create(T, S0)
        await two.read(T, S0)
        await one.say(T, b"1")
        store.fault = fault
        numbers = [one.send(Append(T, digest(n), b"lost", None)) for n in range(5)]
        numbers.append(one.send(Append(T, digest("c"), b"lost", CommitClaim(0, S1))))
        answers: list[Any] = [await one.answer(n) for n in numbers]
        assert [a.code for a in answers] == [code] * 6
        assert all(a.retry_after > 0 for a in answers)
        store.fault = None
        assert await one.say(T, b"2") == Appended(2)
        assert await one.commit(T, 0, S1) == Appended(3)
        await two.halted(T, Halt.SHOW, 3)
        assert two.bodies(T) == [b"1", b"2", b"commit"]


async def test_sqlite_full_loses_nothing_acknowledged(tmp_path: Path) -> None:
    store = await SqliteStore.open(tmp_path / "relay.db")
    async with open_desk(store) as desk:
        one = desk.client("cert-hr/a")
        await one.create(T, S0)
        pages = store._db.execute("pragma page_count").fetchone()[0]
        store._db.execute(f"pragma max_page_count = {pages + 100}")
        kept = []
        codes = set()
        for n in range(200):
            answer = await one.say(T, b"%03d" % n + bytes(10_000))
            if isinstance(answer, Appended):
                kept.append((answer.sequence, n))
            elif isinstance(answer, Error):
                codes.add(answer.code)
                break
        assert codes == {Code.FULL}
        assert 5 < len(kept) < 60
        store._db.execute("pragma max_page_count = 1000000")
        assert isinstance(await one.say(T, b"room again"), Appended)
        two = desk.client("cert-si/c")
        await two.read(T, S0)
        await two.halted(T, Halt.TAIL, len(kept) + 1)
        assert [(e.sequence, int(e.body[:3])) for e in two.entries(T)[:-1]] == kept
    again = await SqliteStore.open(tmp_path / "relay.db")
    run = await again.read(T, 0, None, 1 << 30)
    assert [(s.sequence, int(s.entry().body[:3])) for s in run.entries[:-1]] == kept
    await again.close()


async def test_a_session_has_its_bounds() -> None:
    async with open_desk(bounds=Bounds(topics_per_session=2, requests_in_flight=4, max_entry=1000)) as desk:
        one = desk.client("cert-hr/a")
        for n in range(2):
            await one.create(digest(n), digest("s", n))
        await one.ask(CreateTopic(digest(2), hashlib.sha256(digest("s", 2)).digest()))
        assert (await one.refused(Show(digest(2), digest("s", 2)))).code is Code.QUOTA
        assert (await one.refused(Append(digest(0), S0, bytes(1001), None))).code is Code.TOO_LARGE
        numbers = [one.send(Append(digest(0), digest("x", n), b"", None)) for n in range(6)]
        answers: list[Any] = [await one.answer(n) for n in numbers]
        assert [type(a) for a in answers] == [Appended] * 4 + [Error] * 2
        assert {a.code for a in answers[4:]} == {Code.OVERLOADED}


async def test_below_waits_for_answers() -> None:
    async with open_desk() as desk:
        one = desk.client("cert-hr/a")
        await one.create(T, S0)
        for n in range(10):
            one.send(Append(T, digest(n), b"", None))
        assert one.member.inflight == 10
        await one.member.below(10)
        assert one.member.inflight < 10
        await one.member.below(1)
        assert one.member.inflight == 0


async def test_more_waits_for_the_disk_than_may() -> None:
    async with open_desk(bounds=Bounds(pending=3000)) as desk:
        one = desk.client("cert-hr/a")
        await one.create(T, S0)
        numbers = [one.send(Append(T, digest(n), bytes(1000), None)) for n in range(4)]
        answers = [await one.answer(n) for n in numbers]
        assert [type(a) for a in answers] == [Appended, Appended, Error, Error]
        assert isinstance(answers[-1], Error)
        assert answers[-1].code is Code.OVERLOADED
        assert answers[-1].retry_after > 0


async def test_sessions_come_and_go() -> None:
    async with open_desk(bounds=Bounds(sessions=2)) as desk:
        one, two = desk.client("cert-hr/a"), desk.client("cert-si/c")
        with pytest.raises(Refused) as refused:
            desk.client("cert-si/d")
        assert refused.value.code == "overloaded"
        again = desk.client("cert-hr/a")
        assert one.outlet.ended is Reason.REPLACED
        one.member.leave()
        one.member.leave()
        two.member.leave()
        assert desk.mailroom.stats()["sessions"] == 1
        three = desk.client("cert-si/c")
        await again.create(T, S0)
        await three.read(T, S0)
        three.send(Append(T, digest("last words"), b"last words", None))
        three.member.leave()  # nobody hears the answer, and yet
        await again.read(T)
        await again.halted(T, Halt.TAIL, 1)
        assert again.bodies(T) == [b"last words"]
        assert three.bodies(T) == []


async def test_stopping_finishes_what_was_asked(tmp_path: Path) -> None:
    store = await SqliteStore.open(tmp_path / "relay.db")
    async with open_desk(store) as desk:
        one = desk.client("cert-hr/a")
        await one.create(T, S0)
        numbers = [one.send(Append(T, digest(n), b"%d" % n, None)) for n in range(50)]
        await desk.mailroom.stop()
        assert [await one.answer(n) for n in numbers] == [Appended(n + 1) for n in range(50)]
        late = await one.refused(Append(T, digest("late"), b"late", None))
        assert late.code is Code.OVERLOADED
    again = await SqliteStore.open(tmp_path / "relay.db")
    assert len((await again.read(T, 0, None, 1 << 30)).entries) == 50
    await again.close()


async def test_requests_past_the_outlet_are_answered_too() -> None:
    async with open_desk() as desk:
        one = desk.client("cert-hr/a")
        answers = await asyncio.gather(one.member.request(Ping()), one.member.request(Show(T, S0)))
        assert answers[0] == Done()
        assert isinstance(answers[1], Error)
        assert one.outlet.frames == []


async def test_topics_nobody_uses_are_closed_and_come_back() -> None:
    async with open_desk(bounds=Bounds(topics_open=4), clock=Clock()) as desk:
        one = desk.client("cert-hr/a")
        to = [inbox_topic(name) for name in ("cert-hr/a", "cert-hr/b", "cert-si/c", "cert-si/d")]
        for turn in range(3):
            for n in range(20):
                await one.refused(Subscribe(digest("nothing", n), 0))
            for topic in to:
                assert await one.ask(Deliver(topic, digest(turn), b"%d" % turn)) == Appended(turn + 1)
        assert desk.mailroom.stats()["topics_open"] <= 6
        await one.read(to[0])
        await one.halted(to[0], Halt.TAIL, 3)


async def test_an_agency_stores_no_more_than_it_may() -> None:
    store = MemoryStore()
    async with open_desk(store, bounds=Bounds(stored_per_agency=3000)) as desk:
        one, two, other = (desk.client(n) for n in ("cert-hr/a", "cert-hr/b", "cert-si/c"))
        await one.create(T, S0)
        for client in (two, other):
            await client.show(T, S0)
        assert isinstance(await one.say(T, bytes(1000)), Appended)
        assert isinstance(await two.ask(Deliver(inbox_topic("cert-si/c"), S0, bytes(1000))), Appended)
        content = digest("blob") * 31
        assert isinstance(await two.ask(PutBlob(hashlib.sha256(content).digest(), 992, 0, content)), Count)
        for client in (one, two):
            full = await client.refused(Append(T, digest(client), bytes(100), None))
            assert full.code is Code.QUOTA
            assert full.retry_after > 0
        assert (await one.refused(Deliver(inbox_topic("cert-si/c"), S1, bytes(100)))).code is Code.QUOTA
        assert (await one.refused(PutBlob(S1, 200, 0, bytes(100)))).code is Code.QUOTA
        assert await one.say(T, bytes(1000)) == Appended(1)  # known before judged
        assert isinstance(await other.say(T, bytes(1000)), Appended)  # another agency has its own
        assert isinstance(await one.commit(T, 0, S1), Appended)  # and a commit does not wait
    assert await store.charges(0) == {"cert-hr": 2992, "cert-si": 1000}


async def test_what_is_older_than_the_retention_goes() -> None:
    async with open_desk(bounds=Bounds(retention=1000)) as desk:
        one, two = desk.client("cert-hr/a"), desk.client("cert-si/c")
        await one.create(T, S0)
        await one.say(T, b"old")
        await one.commit(T, 0, S1)
        await one.say(T, b"old too")
        await one.ask(Deliver(inbox_topic("cert-si/c"), S0, b"old"))
        desk.clock.now += 1001 * 1000
        await one.say(T, b"new")
        await desk.mailroom._forget_old(desk.clock.now // 1000)
        await one.say(T, b"newer")
        await two.show(T, S0)
        early = await two.refused(Subscribe(T, 0))
        assert (early.code, early.sequence) == (Code.TRIMMED, 1)  # all but the last commit and what follows it
        await two.read(T, after=1)
        await two.halted(T, Halt.SHOW)
        await two.show(T, S1)
        await two.halted(T, Halt.TAIL)
        assert two.bodies(T) == [b"commit", b"old too", b"new", b"newer"]
        mine = inbox_topic("cert-si/c")
        await two.read(mine)
        await two.halted(mine, Halt.TAIL)
        assert two.bodies(mine) == []
        await two.read(TRUST_TOPIC)
        await two.halted(TRUST_TOPIC, Halt.TAIL, 1)  # never trimmed
