"""Pieces of blobs, however they come: what is stored is a prefix, and what is complete has its hash."""

from __future__ import annotations

import asyncio
import hashlib

from hypothesis import given
from hypothesis import strategies as st

from relay.blobs import Blobs, Hashing, Spoiled
from relay.bounds import Bounds
from relay.store.base import DropUpload, PutPart
from relay.store.memory import MemoryStore
from securechan.wire.frames import PutBlob

CONTENT = bytes(range(256)) * 4
NAME = hashlib.sha256(CONTENT).digest()
OWNER = b"o" * 16
NOW = 1_800_000_000

pieces = st.tuples(st.integers(0, len(CONTENT)), st.integers(1, 400), st.booleans(), st.booleans())


@given(st.lists(pieces, max_size=20))
def test_pieces_in_any_order_from_any_session(asked: list[tuple[int, int, bool, bool]]) -> None:
    async def story() -> None:
        store, uploads = MemoryStore(), dict[bytes, Hashing]()
        blobs = Blobs(store, Bounds())
        for offset, size, forget, lie in asked:
            if forget:
                uploads.clear()  # another session, or a restart
            upload = await store.upload(OWNER, NAME)
            at = offset if offset % 2 else (upload.have if upload else 0)
            piece = CONTENT[at : at + size]
            if not piece:
                continue
            given_piece = bytes(len(piece)) if lie else piece
            result = await blobs.accept(OWNER, uploads, PutBlob(NAME, len(CONTENT), at, given_piece), NOW)
            match result:
                case PutPart():
                    assert result.offset == (upload.have if upload else 0)
                    await store.commit([result])
                case Spoiled():
                    await store.commit([DropUpload(OWNER, NAME)])
                case have:
                    assert have == (await store.blob(NAME) or (upload.have if upload else 0))
        if await store.blob(NAME) is not None:
            assert await store.piece(NAME, 0, 1 << 20) == CONTENT

    asyncio.run(story())


async def test_uploads_under_way_are_bounded_and_hashed_again() -> None:
    store, uploads = MemoryStore(), dict[bytes, Hashing]()
    blobs = Blobs(store, Bounds(uploads=2))
    contents = [bytes([n]) * 1000 for n in range(5)]
    for half in (0, 500):
        for content in contents:
            name = hashlib.sha256(content).digest()
            part = await blobs.accept(OWNER, uploads, PutBlob(name, 1000, half, content[half : half + 500]), NOW)
            assert isinstance(part, PutPart)
            assert part.done == bool(half)
            assert part.expires == NOW + (Bounds().blob_lifetime if half else Bounds().upload_lifetime)
            await store.commit([part])
            assert len(uploads) <= 2
    for content in contents:
        assert await store.piece(hashlib.sha256(content).digest(), 0, 1000) == content
