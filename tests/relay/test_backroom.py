"""How much there is room for, and what is answered when the disk is full, fails or is too slow."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from relay.bounds import Bounds
from relay.replies import done
from relay.store.base import Charge, Result, Stored, StoreFailed, StoreFull, Topic, Write
from relay.store.memory import MemoryStore
from relay.store.sqlite import SqliteStore
from securechan.wire.frames import (
    TRUST_TOPIC,
    Append,
    Appended,
    Code,
    CommitClaim,
    Count,
    CreateTopic,
    Deliver,
    Done,
    Error,
    Halt,
    Publish,
    PutBlob,
    PutKeyPackages,
    Subscribe,
    TrustDocument,
    inbox_topic,
)
from tests.relay.desk import digest, founded, open_desk

T = digest("topic")
S0, S1, S2, S3 = (digest("secret", n) for n in range(4))


async def test_a_nearly_full_disk_takes_no_appends_but_keeps_its_head_up() -> None:
    free = 0.5
    async with open_desk(disk=lambda: free) as desk:
        one, two = desk.client("cert-hr/a"), desk.client("cert-si/c")
        await one.create(T, S0, two)
        await one.say(T, b"before")
        assert await one.commit(T, 0, S1) == Appended(2)
        free = 0.04
        desk.mailroom._room._full_known_until = 0.0
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
        desk.mailroom._room._full_known_until = 0.0
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
        await one.create(T, S0, two)
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
        pages = store._writing._db.execute("pragma page_count").fetchone()[0]
        store._writing._db.execute(f"pragma max_page_count = {pages + 100}")
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
        store._writing._db.execute("pragma max_page_count = 1000000")
        assert isinstance(await one.say(T, b"room again"), Appended)
        two = desk.client("cert-si/c")
        await two.read(T, S0)
        await two.halted(T, Halt.TAIL, len(kept) + 1)
        assert [(e.sequence, int(e.body[:3])) for e in two.entries(T)[:-1]] == kept
    again = await SqliteStore.open(tmp_path / "relay.db")
    run = await again.read(T, 0, None, 1 << 30)
    assert [(s.sequence, int(s.entry().body[:3])) for s in run.entries[:-1]] == kept
    await again.close()


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
        assert await other.say(T, b"x" * 1000) == Appended(2)  # another agency has its own
        assert isinstance(await one.commit(T, 0, S1), Appended)  # and a commit does not wait
    assert await store.charges(0) == {"cert-hr": 2992, "cert-si": 1000}


async def test_what_was_not_stored_or_was_there_before_costs_an_agency_nothing() -> None:
    store = Failing()
    async with open_desk(store, bounds=Bounds(stored_per_agency=3000)) as desk:
        one = desk.client("cert-hr/a")
        await one.create(T, S0)
        content = digest("blob") * 31
        name = hashlib.sha256(content).digest()
        store.fault = StoreFailed("away")
        for _ in range(9):  # a device says the same again and again while the store is away
            assert (await one.refused(Append(T, S1, bytes(1000), None))).code is Code.INTERNAL
            assert (await one.refused(Deliver(inbox_topic("cert-si/c"), S1, bytes(1000)))).code is Code.INTERNAL
            assert (await one.refused(PutBlob(name, 992, 0, content))).code is Code.INTERNAL
        assert desk.mailroom.stored() == {}
        store.fault = None
        for _ in range(9):  # and then, not having heard the answers
            assert await one.ask(Append(T, S1, bytes(1000), None)) == Appended(1)
            assert isinstance(await one.ask(Deliver(inbox_topic("cert-si/c"), S1, bytes(1000))), Appended)
            assert await one.ask(PutBlob(name, 992, 0, content)) == Count(992)
        assert desk.mailroom.stored() == {"cert-hr": 2992}


async def test_who_no_longer_waits_for_a_write_takes_nobody_along() -> None:
    async with open_desk() as desk:
        room = desk.mailroom._room
        write = Charge("cert-hr", 1, 1)
        for work in (room.post(write), room.finished(write, done)):
            waiting = asyncio.ensure_future(work)
            await asyncio.sleep(0)
            waiting.cancel()
            await asyncio.wait([waiting])
        one = desk.client("cert-hr/a")
        await one.create(T, S0)
        assert await one.say(T, b"on") == Appended(1)
        assert not desk.mailroom.failed.is_set()


async def test_what_cannot_be_looked_up_is_refused() -> None:
    class Unreadable(MemoryStore):
        async def entry(self, topic: bytes, entry_id: bytes) -> Stored | None:
            raise StoreFailed("input/output error")

    async with open_desk(Unreadable()) as desk:
        one = desk.client("cert-hr/a")
        await one.create(T, S0)
        two = desk.client("cert-hr/b")
        assert (await two.refused(Append(T, S1, b"who showed nothing", None))).code is Code.INTERNAL


async def test_one_who_left_while_its_topic_was_opened_reads_nothing() -> None:
    inbox = inbox_topic("cert-hr/a")
    gate, asked = asyncio.Event(), asyncio.Event()

    class Slow(MemoryStore):
        async def topic(self, topic: bytes) -> Topic | None:
            if topic == inbox:
                asked.set()
                await gate.wait()
            return await super().topic(topic)

    async with open_desk(Slow()) as desk:
        one = desk.client("cert-hr/a")
        one.send(Subscribe(inbox, 0))
        await asked.wait()
        one.member.leave()
        gate.set()
        async with desk.mailroom._topics.use(inbox) as topic:
            await desk.mailroom._lanes.finish()
            assert topic.readers == {}
            assert one.member.readers == {}
