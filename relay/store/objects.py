"""Blobs in a NATS object store: pieces as chunks in their order, and an object's meta message when all are there.

    $O.BUCKET.C.UPLOAD   the pieces of one device's upload of one blob, each with its offset
    $O.BUCKET.M.NAME     the blob, complete: which upload has its bytes (``nats object get`` reads it)

A piece is published expecting the one before it, so two sessions that send the same upload through two relays can't
mix their pieces. That a piece is the last one stands in its header, and only what has the hash that names it gets a
last piece (`relay.blobs`); should the relay die before it writes the meta message, whoever asks next writes it. When
an upload or a blob is to go stands in a record of its own.
"""

from __future__ import annotations

import base64
import json
import logging
from collections import OrderedDict
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from relay.logs import event
from relay.store.base import Counted, DropUpload, Made, PutPart, Result, StoreFailed, Upload
from relay.store.jetstream import Behindhand, Link, Message, Unsure
from relay.store.records import PAGE, Records, short

log = logging.getLogger("relay.nats")

_READ: Final = 1 << 20  # bytes that are asked for at once
_PLACES: Final = 4096  # places in blobs that are remembered
OFFSET: Final = "Securechan-Offset"
TOTAL: Final = "Securechan-Total"
DONE: Final = "Securechan-Done"


@dataclass(frozen=True, slots=True)
class _Blob:
    """A complete blob: its upload, and where the chunks of that begin and end in the stream."""

    upload: str
    total: int
    first: int
    last: int


class Objects:
    """The object store of one prefix."""

    def __init__(self, link: Link, records: Records, prefix: str, replicas: int) -> None:
        self.bucket = f"{prefix}-blobs"
        self.name = f"OBJ_{self.bucket}"
        self.config: dict[str, Any] = {
            "subjects": [f"$O.{self.bucket}.C.>", f"$O.{self.bucket}.M.>"],
            "storage": "file",
            "num_replicas": replicas,
            "discard": "new",
            "allow_direct": True,
            "allow_rollup_hdrs": True,
        }
        self._link = link
        self._records = records
        self._places: OrderedDict[tuple[str, int], int] = OrderedDict()  # (upload, offset) → sequence
        self._swept = 1

    def _chunks(self, upload: str) -> str:
        return f"$O.{self.bucket}.C.{upload}"

    def _meta(self, blob: bytes) -> str:
        return f"$O.{self.bucket}.M.{base64.urlsafe_b64encode(blob.hex().encode()).decode()}"

    async def _find(self, blob: bytes) -> _Blob | None:
        found = await self._link.last(self.name, self._meta(blob))
        if found is None:
            return None
        try:
            said = json.loads(found.data)
            if said.get("deleted"):
                return None  # by hand: it can be brought in again
            about = said["metadata"]
            return _Blob(said["nuid"], said["size"], int(about["first"]), int(about["last"]))
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise self._broken(blob, "it was not written by a relay") from error

    def _broken(self, blob: bytes, why: str) -> StoreFailed:
        """What a reader of such a blob is told, and the operator."""
        event(log, "a blob cannot be read", level=logging.ERROR, object=blob.hex(), why=why)
        return StoreFailed(f"the blob cannot be read: {why}", retry_after=60.0)

    async def _newest(self, owner: bytes, blob: bytes) -> tuple[str, Message | None]:
        upload = short(owner, blob)
        return upload, await self._link.last(self.name, self._chunks(upload))

    async def blob(self, blob: bytes) -> int | None:
        """See `Store.blob`."""
        found = await self._find(blob)
        return None if found is None else found.total

    async def piece(self, blob: bytes, offset: int, size: int) -> bytes:
        """See `Store.piece`."""
        found = await self._find(blob)
        if found is None:
            return b""
        return await self._read(blob, found, offset, min(size, found.total - offset))

    async def upload(self, owner: bytes, blob: bytes) -> Upload | None:
        """See `Store.upload`."""
        upload, newest = await self._newest(owner, blob)
        if newest is None or await self._find(blob) is not None:
            return None
        if DONE in newest.headers:  # the relay died before it could say so
            await self._finish(upload, blob, newest)
            return None
        return Upload(_number(newest, TOTAL), _end(newest))

    async def upload_piece(self, owner: bytes, blob: bytes, offset: int, size: int) -> bytes:
        """See `Store.upload_piece`."""
        upload, newest = await self._newest(owner, blob)
        if newest is None:
            return b""
        first = await self._first(upload)
        there = _Blob(upload, _end(newest), first.sequence, newest.sequence)
        return await self._read(blob, there, offset, min(size, there.total - offset))

    async def _first(self, upload: str) -> Message:
        """The first chunk of an upload that has chunks. Raises `Unsure` where it was forgotten meanwhile."""
        first = await self._link.following(self.name, self._chunks(upload), 1)
        if first is None:
            raise Unsure("the upload was forgotten just now")
        return first

    async def _read(self, blob: bytes, there: _Blob, offset: int, size: int) -> bytes:
        """Bytes of what is there of a blob. Raises `StoreFailed` where chunks are missing."""
        if size <= 0:
            return b""
        upload = there.upload
        at = self._places.get((upload, offset), 0)
        if not there.first <= at <= there.last:  # else it is of one that was brought in before
            at = await self._search(upload, there.first, there.last, offset)
        out = bytearray()
        while len(out) < size:
            if at > there.last:
                raise self._broken(blob, "its last bytes are missing")
            messages, _ = await self._link.page(self.name, self._chunks(upload), at, there.first, min(size, _READ))
            for message in messages or [await self._behind(blob, upload, at)]:
                begin = _number(message, OFFSET)
                skip = offset + len(out) - begin
                if not 0 <= skip < max(len(message.data), 1):
                    raise self._broken(blob, f"bytes are missing at {offset + len(out)}")
                out += message.data[skip : skip + size - len(out)]
                at = message.sequence + 1
                if len(out) == size:
                    end = offset + size
                    self._places[upload, end] = at if end == begin + len(message.data) else message.sequence
                    break
        while len(self._places) > _PLACES:
            self._places.popitem(last=False)
        return bytes(out)

    async def _behind(self, blob: bytes, upload: str, at: int) -> Message:
        """The next chunk, which a replica did not have, as the stream's leader has it."""
        message = await self._link.following(self.name, self._chunks(upload), at)
        if message is None:
            raise self._broken(blob, "its last bytes are missing")
        return message

    async def _search(self, upload: str, first: int, last: int, offset: int) -> int:
        """The chunk in which ``offset`` lies."""
        while first < last:
            middle = (first + last + 1) // 2
            found = await self._link.following(self.name, self._chunks(upload), middle)
            if found is None or _number(found, OFFSET) > offset:
                last = middle - 1
            else:
                first = found.sequence
        return first

    async def put_part(self, w: PutPart) -> Result:
        """See `PutPart`."""
        there = await self._find(w.blob)
        if there is not None:
            return Counted(there.total)
        upload, newest = await self._newest(w.owner, w.blob)
        have = _end(newest) if newest else 0
        if w.offset != have or (newest is not None and _number(newest, TOTAL) != w.total):
            return Counted(have)
        await self._expire(upload, w)
        headers = {OFFSET: str(w.offset), TOTAL: str(w.total)}
        if w.done:
            headers[DONE] = "1"
        try:
            await self._link.put(self._chunks(upload), w.piece, newest.sequence if newest else 0, headers)
        except (Behindhand, Unsure):
            _, newest = await self._newest(w.owner, w.blob)
            if newest is None or _number(newest, OFFSET) != w.offset or newest.data != w.piece:
                return Counted(_end(newest) if newest else 0)
        if w.done:
            _, newest = await self._newest(w.owner, w.blob)
            if newest is not None:
                await self._finish(upload, w.blob, newest)
        return Counted(have + len(w.piece))

    async def _expire(self, upload: str, w: PutPart) -> None:
        if w.offset == 0 or w.done:
            await self._records.put(f"expiry.{upload}", w.expires.to_bytes(8, "big") + w.blob)

    async def _finish(self, upload: str, blob: bytes, newest: Message) -> None:
        """All pieces are there: say so."""
        first = await self._first(upload)
        chunks = await self._link.api(f"STREAM.INFO.{self.name}", {"subjects_filter": self._chunks(upload)})
        digest = base64.urlsafe_b64encode(blob).decode()
        meta = {
            "name": blob.hex(),
            "bucket": self.bucket,
            "nuid": upload,
            "size": _end(newest),
            "chunks": (chunks["state"].get("subjects") or {}).get(self._chunks(upload), 0),
            "digest": f"SHA-256={digest}",
            "mtime": datetime.now(UTC).isoformat().replace("+00:00", "Z"),
            "metadata": {"first": str(first.sequence), "last": str(newest.sequence)},
        }
        body = json.dumps(meta).encode()
        await self._link.put(self._meta(blob), body, headers={"Nats-Rollup": "sub"})

    async def drop_upload(self, w: DropUpload) -> Result:
        """See `DropUpload`."""
        upload, newest = await self._newest(w.owner, w.blob)
        there = await self._find(w.blob)
        if newest is not None and (there is None or there.upload != upload):
            await self._forget(upload)
        return Made()

    async def _forget(self, upload: str) -> None:
        await self._link.purge(self.name, self._chunks(upload))
        await self._records.drop(f"expiry.{upload}")

    async def sweep(self, now: int, limit: int) -> int:
        """Forget blobs and uploads whose time is over: some at a time, in turns."""
        messages = await self._records.some("expiry.*", self._swept)
        self._swept = messages[-1].sequence + 1 if len(messages) == PAGE else 1
        gone = 0
        for message in messages:
            if int.from_bytes(message.data[:8], "big") > now or gone >= limit:
                continue
            newest = await self._records.get(self._records.key(message))
            if newest is None or int.from_bytes(newest.data[:8], "big") > now:
                continue  # it has gone already, or was given more time than the replica knew of
            upload, blob = self._records.key(message).partition(".")[2], message.data[8:]
            found = await self._find(blob)
            if found is not None and found.upload == upload:
                await self._link.purge(self.name, self._meta(blob))
            await self._forget(upload)
            gone += 1
        return gone

    async def size(self) -> int:
        """Bytes of all blobs."""
        return int((await self._link.api(f"STREAM.INFO.{self.name}"))["state"]["bytes"])


def _number(message: Message, header: str) -> int:
    """What a piece says of itself. Raises `StoreFailed` where it does not."""
    try:
        return int(message.headers[header])
    except (KeyError, ValueError) as error:
        event(log, "a piece of a blob that no relay writes", level=logging.ERROR, place=message.sequence)
        raise StoreFailed(
            "the blob cannot be read: a piece of it was not written by a relay", retry_after=60.0
        ) from error


def _end(message: Message) -> int:
    """How many bytes there are up to the end of this piece."""
    return _number(message, OFFSET) + len(message.data)
