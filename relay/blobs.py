"""Blobs: encrypted, named by their SHA-256, sent in pieces, and believed only when the whole has the name's hash.

An upload belongs to the device that makes it, so nobody can spoil another's by sending wrong bytes under its name. The
answer to each piece says how many bytes are there, and a piece at another place is not stored: so a client that lost
its way, or whose relay was restarted in between, goes on from where the last durable piece ended.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import Final

from relay.bounds import Bounds
from relay.store.base import PutPart, Store
from securechan.errors import Misuse
from securechan.wire.frames import MAX_CHUNK, PutBlob


@dataclass(slots=True)
class Hashing:
    """How far an upload has been hashed: exactly its first ``have`` bytes."""

    digest: hashlib._Hash = field(default_factory=hashlib.sha256)
    have: int = 0


@dataclass(frozen=True, slots=True)
class Spoiled:
    """The whole does not have the hash that names it."""


class Blobs:
    """What happens to the pieces of blobs before they are stored."""

    def __init__(self, store: Store, bounds: Bounds) -> None:
        self._store = store
        self._bounds = bounds

    async def accept(
        self, owner: bytes, uploads: dict[bytes, Hashing], piece: PutBlob, now: int
    ) -> PutPart | int | Spoiled:
        """What to write for a piece; or the number of bytes that are there, when this piece is not the next."""
        complete = await self._store.blob(piece.blob)
        if complete is not None:
            uploads.pop(piece.blob, None)
            return complete
        upload = await self._store.upload(owner, piece.blob)
        have = upload.have if upload else 0
        if piece.offset != have or (upload is not None and upload.total != piece.total):
            return have
        hashing = uploads.pop(piece.blob, None)
        if hashing is None or hashing.have != have:
            hashing = await self._again(owner, piece.blob, have)
        hashing.digest.update(piece.piece)
        hashing.have += len(piece.piece)
        done = hashing.have == piece.total
        if done and hashing.digest.digest() != piece.blob:
            return Spoiled()
        if not done:
            uploads[piece.blob] = hashing
            while len(uploads) > self._bounds.uploads:
                del uploads[next(iter(uploads))]  # hashed again should it go on
        life = self._bounds.blob_lifetime if done else self._bounds.upload_lifetime
        return PutPart(owner, piece.blob, piece.total, have, piece.piece, done, now + life)

    async def _again(self, owner: bytes, blob: bytes, have: int) -> Hashing:
        """Hash what the store has of an upload."""
        hashing = Hashing()
        while hashing.have < have:
            part = await self._store.upload_piece(owner, blob, hashing.have, min(_READ, have - hashing.have))
            if not part:
                raise Misuse(f"an upload of {have} bytes ends at {hashing.have}")
            hashing.digest.update(part)
            hashing.have += len(part)
        return hashing


_READ: Final = 4 * MAX_CHUNK
