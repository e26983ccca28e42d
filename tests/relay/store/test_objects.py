"""Blobs lie in an object store that any NATS client can read, and in records that say when they go."""

from __future__ import annotations

import hashlib
from dataclasses import replace

import pytest

from relay.store.base import Counted, DropUpload, Made, PutPart, StoreFailed, Sweep, Upload
from relay.store.jetstream import Message
from relay.store.nats import NatsStore
from relay.store.objects import DONE, OFFSET, TOTAL, Objects
from relay.store.records import PAGE, Records, token, untoken
from tests.support.cluster import Cluster, empty

NOW = 1_800_000_000
CONTENT = bytes(range(256)) * 50
NAME = hashlib.sha256(CONTENT).digest()


def part(offset: int, size: int, owner: bytes = b"o" * 16) -> PutPart:
    piece = CONTENT[offset : offset + size]
    return PutPart(owner, NAME, len(CONTENT), offset, piece, offset + len(piece) == len(CONTENT), NOW)


def objects(store: NatsStore) -> Objects:
    return store.objects


async def test_a_blob_is_an_object_for_every_client(cluster: Cluster) -> None:
    store = await empty(cluster)
    await store.commit([part(0, 5000), part(5000, 5000), part(10_000, 5000)])
    bucket = await store.link.nc.jetstream().object_store(objects(store).bucket)
    got = await bucket.get(NAME.hex())
    assert got.data == CONTENT
    assert (got.info.size, got.info.chunks) == (len(CONTENT), 3)
    await store.close()


async def test_a_blob_whose_relay_died_before_it_said_so_is_there(cluster: Cluster) -> None:
    store = await empty(cluster)
    await store.commit([part(0, 5000)])
    upload, newest = await objects(store)._newest(b"o" * 16, NAME)
    assert newest is not None
    headers = {OFFSET: "5000", TOTAL: str(len(CONTENT)), DONE: "1"}
    await store.link.put(objects(store)._chunks(upload), CONTENT[5000:], newest.sequence, headers)
    assert await store.blob(NAME) is None
    assert await store.upload(b"o" * 16, NAME) is None  # whoever asks makes it whole
    assert await store.blob(NAME) == len(CONTENT)
    assert await store.piece(NAME, 4990, 20) == CONTENT[4990:5010]
    await store.close()


async def test_two_uploads_of_one_blob_keep_out_of_each_others_way(cluster: Cluster) -> None:
    store = await empty(cluster)
    late = replace(part(0, 7000, b"p" * 16), expires=NOW + 50)
    await store.commit([part(0, 5000), late])
    assert await store.upload(b"p" * 16, NAME) == Upload(len(CONTENT), 7000)
    await store.commit([part(5000, 9999)])
    assert await store.commit([replace(part(7000, 9999, b"p" * 16), expires=NOW + 50)]) == [Counted(len(CONTENT))]
    assert await store.commit([DropUpload(b"o" * 16, NAME)]) == [Made()]  # what is complete is no upload
    assert await store.piece(NAME, 0, 1 << 20) == CONTENT
    assert await store.commit([Sweep(NOW)]) == [Counted(1)]
    assert await store.blob(NAME) is None
    assert await store.commit([Sweep(NOW + 50)]) == [Counted(1)]  # the other's, which was never finished
    assert await store.usage() < len(CONTENT)
    await store.close()


async def test_records_are_swapped_and_paged(cluster: Cluster) -> None:
    store = await empty(cluster)
    records: Records = store.records
    names = [token(n.to_bytes(4, "big")) for n in range(PAGE + 3)]
    assert untoken(names[2]) == b"\0\0\0\2"
    for name in names:
        await records.put(f"expiry.{name}", bytes(8))
    assert [records.key(m) for m in await records.all("expiry.*")] == [f"expiry.{name}" for name in names]
    assert await records.all("box.*") == []
    await records.drop(f"expiry.{names[0]}")
    assert await records.get(f"expiry.{names[0]}") is None
    assert len(await records.all("expiry.*")) == PAGE + 2
    await store.close()


PIECES = [part(0, 5000), part(5000, 5000), part(10_000, 5000)]


@pytest.mark.parametrize("lost", [0, 1, 2])
async def test_a_blob_that_lacks_a_piece_is_told_and_no_other_bytes_are_given(
    cluster: Cluster, caplog: pytest.LogCaptureFixture, lost: int
) -> None:
    store = await empty(cluster)
    try:
        await store.commit(PIECES)
        blob = await objects(store)._find(NAME)
        assert blob is not None
        place = blob.first
        for _ in range(lost):
            following = await store.link.following(objects(store).name, objects(store)._chunks(blob.upload), place + 1)
            assert following is not None
            place = following.sequence
        await store.link.api(f"STREAM.MSG.DELETE.{objects(store).name}", {"seq": place})
        with pytest.raises(StoreFailed, match="missing"):
            await store.piece(NAME, lost * 5000, 100)
        with pytest.raises(StoreFailed, match="missing"):
            await store.piece(NAME, 0, len(CONTENT))
        assert "a blob cannot be read" in caplog.text
        whole = (lost + 1) % 3 * 5000
        assert await store.piece(NAME, whole, 100) == CONTENT[whole : whole + 100]
    finally:
        await store.close()


async def test_a_blob_that_was_removed_by_hand_can_be_brought_in_again(cluster: Cluster) -> None:
    store = await empty(cluster)
    try:
        await store.commit(PIECES)
        assert await store.piece(NAME, 5000, 10) == CONTENT[5000:5010]  # where it lies is remembered
        bucket = await store.link.nc.jetstream().object_store(objects(store).bucket)
        await bucket.delete(NAME.hex())
        assert await store.blob(NAME) is None
        assert await store.piece(NAME, 5000, 10) == b""
        await store.commit(PIECES)
        assert await store.blob(NAME) == len(CONTENT)
        assert await store.piece(NAME, 5000, 6000) == CONTENT[5000:11_000]
        await bucket.put(NAME.hex(), b"not ours")
        with pytest.raises(StoreFailed, match="not written by a relay"):
            await store.piece(NAME, 0, 10)
    finally:
        await store.close()


async def test_a_blob_outlives_the_time_of_its_upload_though_a_replica_knows_no_other(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = await empty(cluster)
    try:
        await store.commit([part(0, 5000)])
        old = await store.records.some("expiry.*", 1)
        assert len(old) == 1
        await store.commit([replace(each, expires=NOW + 100) for each in PIECES[1:]])

        async def lags(*_: object) -> list[Message]:
            return old

        monkeypatch.setattr(store.records, "some", lags)
        assert await store.commit([Sweep(NOW)]) == [Counted(0)]
        assert await store.piece(NAME, 0, 1 << 20) == CONTENT
        assert await store.commit([Sweep(NOW + 100)]) == [Counted(1)]
        assert await store.blob(NAME) is None
    finally:
        await store.close()
