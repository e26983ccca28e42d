"""Blobs: what is too large for an entry goes to the relay encrypted, under a key that only the message names.

    put ─► upload row ─► PutBlob piece by piece ─► Count(bytes there) ─► … ─► stored: what needs it may go
    get ─► download row ─► GetBlob piece by piece ─► hash and size hold ─► opened, handed to whom it is for

A blob is AES-256-GCM with a fresh key that seals nothing else (so the nonce is zero), named by the SHA-256 of its
ciphertext. The relay's count says where to go on, so an upload that was cut off resumes.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import replace
from typing import Final

from securechan.agent.asks import Downloading, Uploading
from securechan.agent.events import AlarmKind
from securechan.agent.state import DOWNLOADS, LETTERS, OUTBOX, PENDING, UPLOADS, Download, Purpose, Upload
from securechan.agent.turn import Turn
from securechan.bulletin.payload import BlobRef
from securechan.crypto.aead import AES256GCM
from securechan.errors import CannotOpen, Invalid, NotReady
from securechan.wire.frames import MAX_BLOB, MAX_CHUNK, GetBlob, PutBlob

_NONCE: Final = bytes(12)
_TAG: Final = 16
MOST_UPLOADS: Final = 64
MOST_DOWNLOADS: Final = 256
PIECE: Final = min(MAX_CHUNK, 192 << 10)  # bytes of one piece: a record holds it with room to spare
MOST_FAILURES: Final = 5
FOR: Final = b"securechan/1 blob"


def put(turn: Turn, data: bytes) -> BlobRef:
    """Have ``data`` stored; what is said about it travels in the answer. Raises `NotReady` beyond our bounds."""
    if len(turn.rows.all(UPLOADS)) >= MOST_UPLOADS:
        raise NotReady(f"{MOST_UPLOADS} files wait to be stored at the relay", hint="connect, then try again")
    key = turn.random(32)
    sealed = AES256GCM.seal(key, _NONCE, FOR, data)
    if len(sealed) > MAX_BLOB:
        raise Invalid(f"{len(data)} bytes are more than a blob may hold")
    blob = hashlib.sha256(sealed).digest()
    turn.rows.put(UPLOADS, blob.hex(), Upload(sealed, turn.now))
    return BlobRef(blob, key, len(data))


def stored(turn: Turn, blob: bytes) -> bool:
    """Whether the relay has it: what is stored has no upload row any more."""
    return turn.rows.get(UPLOADS, blob.hex()) is None


def get(
    turn: Turn, ref: BlobRef, purpose: Purpose, topic: bytes, context: str, name: str = "", media: str = ""
) -> None:
    """Fetch a blob; what it is for is told by ``purpose`` and ``context``."""
    row = f"{purpose.name.lower()}:{context}"
    if turn.rows.get(DOWNLOADS, row) is not None:
        return
    if len(turn.rows.all(DOWNLOADS)) >= MOST_DOWNLOADS:
        oldest = min(turn.rows.items(DOWNLOADS), key=lambda pair: pair[1].queued)[0]
        turn.rows.drop(DOWNLOADS, oldest)
        turn.alarm(AlarmKind.FULL, f"more than {MOST_DOWNLOADS} files wait to be fetched: the oldest was given up")
    turn.rows.put(DOWNLOADS, row, Download(ref, purpose, topic, context, name, media, turn.now, 0))


def forget(turn: Turn, purpose: Purpose, context: str) -> None:
    """What was being fetched for this isn't wanted any more."""
    row = f"{purpose.name.lower()}:{context}"
    _drop_partial(turn, row)
    turn.rows.drop(DOWNLOADS, row)


def run(turn: Turn) -> None:
    """Ask for the next piece of each that is on its way, a few at a time."""
    if not turn.session.connected:
        return
    if turn.session.blob_retry > turn.now:
        turn.wake(turn.session.blob_retry)
        return
    for row, upload in list(turn.rows.items(UPLOADS))[:4]:
        if not any(isinstance(ask, Uploading) and ask.row == row for ask in turn.session.asked):
            offset = turn.session.uploaded.get(row, 0)
            part = upload.data[offset : offset + PIECE]
            body = PutBlob(bytes.fromhex(row), len(upload.data), offset, part)
            turn.send(body, Uploading(row, offset + len(part)))
    for row, download in list(turn.rows.items(DOWNLOADS))[:4]:
        if not any(isinstance(ask, Downloading) and ask.row == row for ask in turn.session.asked):
            offset = len(turn.session.partial.get(row, b""))
            turn.send(GetBlob(download.ref.blob, offset), Downloading(row, offset))


def counted(turn: Turn, row: str, count: int) -> None:
    """The relay has that much of an upload."""
    upload = turn.rows.get(UPLOADS, row)
    if upload is None:
        return
    if count >= len(upload.data):
        turn.rows.drop(UPLOADS, row)
        _wake_those_who_wait(turn, bytes.fromhex(row))
    else:
        turn.set_session(uploaded={**turn.session.uploaded, row: count})


def _wake_those_who_wait(turn: Turn, blob: bytes) -> None:
    for _, item in turn.rows.items(OUTBOX):
        if blob in item.needs:
            turn.dirty.add(item.topic)
    for row, pending in turn.rows.items(PENDING):
        if pending.blob is not None and pending.blob.blob == blob:
            turn.dirty.add(bytes.fromhex(row))


def give_up(turn: Turn, row: str) -> None:
    """The relay refuses an upload for good: what needs it can't go either."""
    turn.rows.drop(UPLOADS, row)
    blob = bytes.fromhex(row)
    for name, letter in turn.rows.items(LETTERS):
        if blob in letter.needs:
            turn.rows.drop(LETTERS, name)


def piece(turn: Turn, row: str, offset: int, total: int, data: bytes, done: Callable[[Download, bytes], None]) -> None:
    """A piece of a download has come; ``done`` gets the plaintext once it is whole and holds."""
    download = turn.rows.get(DOWNLOADS, row)
    have = turn.session.partial.get(row, b"")
    if download is None or offset != len(have):
        return
    size = download.ref.size + _TAG
    if total != size or not data or len(have) + len(data) > size:
        failed(turn, row, "it has another size than was said")
        return
    have += data
    if len(have) < size:
        turn.set_session(partial={**turn.session.partial, row: have})
        return
    _drop_partial(turn, row)
    try:
        if hashlib.sha256(have).digest() != download.ref.blob:
            raise CannotOpen("its bytes are not those that were said")
        plain = AES256GCM.open(download.ref.key, _NONCE, FOR, have)
    except CannotOpen as error:
        failed(turn, row, error.message)
        return
    turn.rows.drop(DOWNLOADS, row)
    done(download, plain)


def failed(turn: Turn, row: str, why: str) -> None:
    """It didn't work this time; after a few times it is given up, and said."""
    _drop_partial(turn, row)
    download = turn.rows.get(DOWNLOADS, row)
    if download is None:
        return
    if download.failures + 1 >= MOST_FAILURES:
        turn.rows.drop(DOWNLOADS, row)
        turn.alarm(AlarmKind.REFUSED, f"a file can't be fetched: {why}", topic=download.topic)
        return
    turn.rows.put(DOWNLOADS, row, replace(download, failures=download.failures + 1))
    turn.set_session(blob_retry=turn.now + (1 << download.failures))
    turn.wake(turn.session.blob_retry)


def _drop_partial(turn: Turn, row: str) -> None:
    partial = {name: data for name, data in turn.session.partial.items() if name != row}
    turn.set_session(partial=partial)
