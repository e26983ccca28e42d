"""Group topics, request by request: order, what is said once, and whose secret reads how far."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Sequence
from pathlib import Path

from relay.store.base import Result, Write
from relay.store.memory import MemoryStore
from relay.store.sqlite import SqliteStore
from securechan.wire import chain
from securechan.wire.frames import (
    TRUST_TOPIC,
    Answer,
    Append,
    Appended,
    Code,
    CommitClaim,
    CreateTopic,
    Done,
    Entries,
    Error,
    GetHeads,
    Halt,
    Show,
    Subscribe,
    Unsubscribe,
    inbox_topic,
)
from securechan.wire.heads import verify_heads
from tests.relay.desk import NAME, digest, online, open_desk

T = digest("topic")
S0, S1, S2, S3 = (digest("secret", n) for n in range(4))


async def test_what_one_says_all_read_in_one_order() -> None:
    async with open_desk() as desk:
        clients = [desk.client(name) for name in ("cert-hr/a", "cert-hr/b", "cert-si/c")]
        await clients[0].create(T, S0, *clients)
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
        await one.create(T, S0, two)
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


async def test_unsubscribing_ends_the_stream() -> None:
    async with open_desk() as desk:
        one, two = desk.client("cert-hr/a"), desk.client("cert-si/c")
        await one.create(T, S0, two)
        await one.say(T, b"1")
        await two.halted(T, Halt.TAIL, 1)
        assert await two.ask(Unsubscribe(T)) == Done()
        assert await two.ask(Unsubscribe(digest("another"))) == Done()
        await one.say(T, b"2")
        assert two.bodies(T) == [b"1"]
        await two.read(T, after=1)
        await two.halted(T, Halt.TAIL, 2)
        assert two.bodies(T) == [b"1", b"2"]


async def test_a_subscription_stops_at_each_commit_until_the_next_secret_is_shown() -> None:
    async with open_desk() as desk:
        one, two = desk.client("cert-hr/a"), desk.client("cert-si/c")
        await one.create(T, S0, two)
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
        await one.create(T, S0, one, two, gone)
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
        await one.create(T, S0, two, gone)
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
        await one.create(T, secrets[0], two)
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
        await one.create(T, S0, one, two, bad)
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
        await one.create(T, S0, two)
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


async def test_what_a_confirmation_closes_is_closed_before_that_is_durable() -> None:
    gate = asyncio.Event()
    gate.set()

    class Slow(MemoryStore):
        async def commit(self, batch: Sequence[Write]) -> Sequence[Result]:
            await gate.wait()
            return await super().commit(batch)

    async with open_desk(Slow()) as desk:
        one, two, old = (desk.client(name) for name in ("cert-hr/a", "cert-hr/b", "cert-si/c"))
        await one.create(T, S0, two)
        await one.commit(T, 0, S1)
        await one.commit(T, 1, S2)
        await two.halted(T, Halt.SHOW, 1)
        gate.clear()
        number = two.send(Show(T, S1))  # confirms, and what it closes reads up to where this one had halted
        await old.read(T, S0)
        await old.halted(T, Halt.SHOW, 1)
        assert await old.show(T, S0) == Done()
        await old.halted(T, Halt.END)
        assert [entry.sequence for entry in old.entries(T)] == [1]
        gate.set()
        assert await two.answer(number) == Done()
