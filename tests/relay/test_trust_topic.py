"""The trust topic: adoption, publishing, renewal, and what a restart finds."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from pathlib import Path

import pytest

from relay.heads import OnlineKey
from relay.store.base import Append, Placed, Result, Store, StoreFull, Write, tail_of
from relay.store.memory import MemoryStore
from relay.store.sqlite import SqliteStore
from relay.trust_topic import TrustTopic
from securechan.crypto.kem import MLKEM768_X25519
from securechan.crypto.secret import Secret
from securechan.crypto.signature import COMPOSITE
from securechan.errors import Invalid, Malformed, Stale, Untrusted
from securechan.trust.bundle import Bundle
from securechan.trust.view import View
from securechan.wire.frames import TRUST_TOPIC, Entry, EntryKind, Publication, TrustDocument
from tests.relay.desk import Clock, founded, online
from tests.support.founding import found


async def loaded(store: Store, clock: Clock | None = None, key: OnlineKey | None = None) -> TrustTopic:
    return await TrustTopic.load(store, online=key or online(), clock=clock or Clock())


async def entries(store: Store) -> list[Entry]:
    return [stored.entry() for stored in (await store.read(TRUST_TOPIC, 0, None, 1 << 30)).entries]


def documents(role: str, content: bytes) -> tuple[TrustDocument, ...]:
    return (TrustDocument(role, content),)


async def test_a_bundle_is_adopted_once_and_every_reader_comes_to_the_same_view() -> None:
    store = MemoryStore()
    trust = await loaded(store)
    assert trust.view is None
    assert await trust.adopt(founded().bundle)
    assert not await trust.adopt(founded().bundle)
    (entry,) = await entries(store)
    publication = Publication.decode(entry.body)
    assert publication.documents[0].content == Bundle.decode(founded().bundle).root
    assert {d.role for d in publication.documents} >= {"root", "targets", "cert-hr", "cert-hr-roster", "snapshot"}
    reader = founded().read([entry])
    assert reader == trust.view
    assert reader.find("cert-hr/a") is not None
    assert (await loaded(store)).view == trust.view


async def test_a_publication_is_one_entry_and_a_repeated_one_none() -> None:
    store = MemoryStore()
    trust = await loaded(store)
    await trust.adopt(founded().bundle)
    told: list[View] = []

    async def post(write: Write) -> Result:
        (result,) = await store.commit([write])
        return result

    trust.attach(post, told.append)
    given = documents(*founded().roster("cert-si", trust.view, revoke={"c": "lost"}))
    assert await trust.publish(1, given) == 2
    assert await trust.publish(1, given) == 2
    assert len(await entries(store)) == 2
    assert [view.find("cert-si/c") for view in told] == [None]
    assert founded().read(await entries(store)) == trust.view
    with pytest.raises(Stale):
        await trust.publish(1, documents(*founded().roster("cert-si", trust.view, revoke={"d": "lost"})))


async def test_what_the_rules_refuse_is_not_written() -> None:
    store = MemoryStore()
    trust = await loaded(store)
    with pytest.raises(Untrusted) as early:
        await trust.publish(0, documents("targets", b"{}"))
    assert early.value.code == "closed"
    await trust.adopt(founded().bundle)
    role, content = founded().roster("cert-si", trust.view, revoke={"c": "lost"})
    for given, error in (
        (documents(role, content.replace(b"lost", b"left")), Untrusted),
        (documents("cert-hr-roster", content), (Untrusted, Invalid)),
        (documents(role, b"{}"), Malformed),
        (documents("timestamp", content), Untrusted),
    ):
        with pytest.raises(error):
            await trust.publish(1, given)
    assert len(await entries(store)) == 1
    assert trust.view is not None
    assert trust.view.position.sequence == 1
    assert await trust.publish(1, documents(role, content)) == 2


async def test_a_relay_serves_one_federation_and_only_if_it_is_named() -> None:
    trust = await loaded(MemoryStore())
    stranger = OnlineKey(COMPOSITE.load(Secret.random(64)))
    kem = base64.b64encode(MLKEM768_X25519.generate()[1]).decode()
    card = {"name": "relay-2", "url": "ws://127.0.0.1:2", "kem": kem}
    other = found({**card, "online": base64.b64encode(stranger.public).decode()}, ("cert-hr/a",))
    with pytest.raises(Untrusted) as refused:
        await trust.adopt(other.bundle)
    assert refused.value.code == "wrong-key"
    assert trust.view is None
    await trust.adopt(founded().bundle)
    with pytest.raises(Untrusted) as refused:
        await trust.adopt(other.bundle)
    assert refused.value.code == "wrong-root"
    with pytest.raises(Malformed):
        await trust.adopt(b"no bundle")


async def test_the_timestamp_is_renewed_by_itself(tmp_path: Path) -> None:
    clock = Clock()
    store = await SqliteStore.open(tmp_path / "relay.db")
    trust = await loaded(store, clock)
    assert not await trust.renew(clock() // 1000)  # no federation yet
    await trust.adopt(founded().bundle)
    assert not await trust.renew(clock() // 1000)  # fresh
    for day in range(1, 6):
        clock.now += 86_400_000 * 2 // 3
        assert await trust.renew(clock() // 1000), day
        assert not await trust.renew(clock() // 1000)
    assert trust.view is not None
    trust.view.require_fresh(clock() // 1000)
    assert founded().read(await entries(store)) == trust.view
    await store.close()
    store = await SqliteStore.open(tmp_path / "relay.db")
    assert (await loaded(store, clock)).view == trust.view
    mirror = await loaded(store, clock, OnlineKey(COMPOSITE.load(Secret.random(64))))
    clock.now += 86_400_000
    assert not await mirror.renew(clock() // 1000)  # a relay that is not the publisher leaves it
    await store.close()


class Failing(MemoryStore):
    """A store that is full while ``full``."""

    full = False

    async def commit(self, batch: Sequence[Write]) -> Sequence[Result]:
        if self.full:
            raise StoreFull("full")
        return await super().commit(batch)


async def test_a_publication_that_could_not_be_written_did_not_happen() -> None:
    store = Failing()
    trust = await loaded(store)
    store.full = True
    with pytest.raises(StoreFull):
        await trust.adopt(founded().bundle)
    assert trust.view is None
    store.full = False
    await trust.adopt(founded().bundle)
    view = trust.view
    given = documents(*founded().roster("cert-si", view, revoke={"c": "lost"}))
    store.full = True
    with pytest.raises(StoreFull):
        await trust.publish(1, given)
    assert trust.view is view
    store.full = False
    assert await trust.publish(1, given) == 2


async def test_entries_that_the_rules_refuse_are_passed_over_at_start() -> None:
    store = MemoryStore()
    trust = await loaded(store)
    await trust.adopt(founded().bundle)
    assert trust.view is not None
    (entry,) = await entries(store)
    again = Publication(Publication.decode(entry.body).documents[1:]).encode()  # a rollback, if anyone believed it
    write = Append(TRUST_TOPIC, EntryKind.TRUST, bytes(32), again, tail_of(again, None), 0)
    (result,) = await store.commit([write])
    assert isinstance(result, Placed)
    later = await loaded(store)
    assert later.view is not None
    assert later.view.position == result.position
    assert later.view.documents() == trust.view.documents()
