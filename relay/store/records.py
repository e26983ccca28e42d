"""What a cluster keeps besides logs: records by key, changed by compare-and-swap. A NATS key-value bucket.

    topic.TOPIC                  a topic's fold, put away (`relay.store.fold`)
    box.TOPIC                    when an enrolment box closes
    package.DEVICE.SUITE.HASH    a key package; last.DEVICE.SUITE the one of last resort
    spent.HASH                   a key package was handed out
    charge.DAY.AGENCY            bytes that an agency brought in
    expiry.UPLOAD                when a blob or an upload is to go

**A key package leaves once**, through however many relays it is asked for: who hands it out makes ``spent.HASH``
first, expecting that there is none, and of all who try exactly one succeeds. What is spent can be put again, and is
never handed out again. An answer that got lost costs a package, nothing else.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import logging
import random
from typing import Any, Final

from relay.logs import event
from relay.store.base import (
    CHARGED_FOR,
    SPENT_FOR,
    Charge,
    Counted,
    Made,
    Missing,
    Overfull,
    PutPackages,
    Result,
    StoreFailed,
    Taken,
    TakePackage,
)
from relay.store.fold import Snapshot
from relay.store.jetstream import Behindhand, Link, Message
from securechan.errors import Malformed

log = logging.getLogger("relay.nats")

PAGE: Final = 512
_TRIES: Final = 64  # of a swap that others are quicker with
_PAUSE: Final = 0.01  # seconds between two of them, at most


_SIZE: Final = 8  # bytes of a number


def token(data: bytes) -> str:
    """Bytes as a token of a subject."""
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


def untoken(text: str) -> bytes:
    """The bytes of a token; none where it is no token."""
    try:
        return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
    except ValueError:
        return b""


def short(*parts: bytes) -> str:
    """22 characters that stand for what is said."""
    return token(hashlib.sha256(b"".join(parts)).digest()[:16])


class Records:
    """The bucket of one prefix."""

    def __init__(self, link: Link, prefix: str, replicas: int) -> None:
        self.bucket = f"{prefix}-state"
        self.name = f"KV_{self.bucket}"
        self.config: dict[str, Any] = {
            "subjects": [f"$KV.{self.bucket}.>"],
            "storage": "file",
            "num_replicas": replicas,
            "max_msgs_per_subject": 1,
            "discard": "new",
            "allow_direct": True,
            "allow_rollup_hdrs": True,
            "deny_delete": True,
        }
        self._link = link

    def _subject(self, key: str) -> str:
        return f"$KV.{self.bucket}.{key}"

    def key(self, message: Message) -> str:
        """The key of a record."""
        return message.subject.removeprefix(self._subject(""))

    async def get(self, key: str) -> Message | None:
        """A record; its sequence is its revision."""
        return await self._link.last(self.name, self._subject(key))

    async def put(self, key: str, value: bytes, expect: int | None = None) -> int:
        """Write a record; ``expect``: the revision that is to be replaced, 0 for none. Raises `Behindhand`."""
        return await self._link.put(self._subject(key), value, expect)

    async def drop(self, key: str) -> None:
        await self._link.purge(self.name, self._subject(key))

    async def _there(self, keys: str) -> set[str]:
        """The subjects of all records whose keys match, as the bucket's leader has them."""
        info = await self._link.api(f"STREAM.INFO.{self.name}", {"subjects_filter": self._subject(keys)})
        return set(info["state"].get("subjects") or ())

    async def all(self, keys: str) -> list[Message]:
        """All records whose keys match, in the order in which they were written last."""
        subject = self._subject(keys)
        there = await self._there(keys)
        newest = await self._link.last(self.name, subject) if there else None
        found: list[Message] = []
        more = newest is not None
        while more and newest is not None:
            first = found[-1].sequence + 1 if found else 1
            messages, more = await self._link.page(self.name, subject, first, newest.sequence)
            found += messages
        return [message for message in found if message.subject in there]  # a replica may not have purged yet

    async def some(self, keys: str, first: int) -> list[Message]:
        """The next `PAGE` of them, from ``first`` on; some may have been dropped just now."""
        newest = await self._link.last(self.name, self._subject(keys))
        if newest is None or newest.sequence < first:
            return []
        return (await self._link.page(self.name, self._subject(keys), first, newest.sequence, count=PAGE))[0]

    def unreadable(self, message: Message, why: str) -> None:
        """Tell of a record that no relay writes."""
        event(log, "a record that no relay writes", level=logging.ERROR, key=self.key(message), why=why)

    async def snapshot(self, topic: str) -> tuple[Snapshot | None, int]:
        """A topic's fold as it was put away, and the revision of that. Raises `StoreFailed` where it can't be read: the
        log alone may have lost its beginning."""
        kept = await self.get(f"topic.{topic}")
        if kept is None:
            return None, 0
        try:
            return Snapshot.decode(kept.data), kept.sequence
        except Malformed as error:
            self.unreadable(kept, str(error))
            raise StoreFailed("what was put away of a topic cannot be read", retry_after=60.0) from error

    async def size(self) -> int:
        """Bytes of all records."""
        return int((await self._link.api(f"STREAM.INFO.{self.name}"))["state"]["bytes"])

    # ---------------------------------------------------------------------------------------------- key packages

    async def _stock(self, device: str, suite: int) -> tuple[str, set[str]]:
        """The key of a device's packages, and the hashes of those that are there."""
        key = f"package.{short(device.encode())}.{suite}"
        return key, {subject.rpartition(".")[2] for subject in await self._there(f"{key}.*")}

    async def packages(self, device: str, suite: int) -> int:
        """See `Store.packages`."""
        return len((await self._stock(device, suite))[1])

    async def put_packages(self, w: PutPackages) -> Result:
        """See `PutPackages`."""
        key, there = await self._stock(w.device, w.suite)
        if w.purge:
            there = set()
        wanted = {short(package): package for package in w.packages}
        new = {name: package for name, package in wanted.items() if name not in there}
        spent = await asyncio.gather(*(self.get(f"spent.{name}") for name in new))
        new = {name: package for (name, package), gone in zip(new.items(), spent, strict=True) if gone is None}
        if len(there) + len(new) > w.room:
            return Overfull()
        last = f"last.{key.partition('.')[2]}"
        if w.purge:
            await self._link.purge(self.name, self._subject(f"{key}.*"))
            await self.drop(last)
        await asyncio.gather(*(self._put_new(f"{key}.{name}", package) for name, package in new.items()))
        if w.last_resort is not None:
            await self.put(last, w.last_resort)
        return Counted(len(there) + len(new))

    async def _put_new(self, key: str, value: bytes) -> bool:
        """Write what is not there yet; False where it is."""
        try:
            await self.put(key, value, 0)
        except Behindhand:
            return False
        return True

    async def take_package(self, w: TakePackage) -> Result:
        """See `TakePackage`."""
        key = f"{short(w.device.encode())}.{w.suite}"
        subject = self._subject(f"package.{key}.*")
        first = 1
        while (found := await self._link.following(self.name, subject, first)) is not None:
            first = found.sequence + 1
            mine = await self._put_new(f"spent.{found.subject.rpartition('.')[2]}", w.at.to_bytes(8, "big"))
            await self._link.purge(self.name, found.subject)
            if mine:
                return Taken(found.data, last_resort=False)
        last = await self.get(f"last.{key}")
        return Missing() if last is None else Taken(last.data, last_resort=True)

    async def forget_spent(self, now: int, limit: int) -> int:
        """Forget packages that were handed out long ago."""
        for gone in range(limit):  # from the one that was written longest ago on
            message = await self._link.following(self.name, self._subject("spent.*"), 1)
            if message is None or _number(message) > now - SPENT_FOR:
                return gone
            await self.drop(self.key(message))
        return limit

    # ---------------------------------------------------------------------------------------------- charges

    async def charge(self, w: Charge) -> Result:
        """See `Charge`."""
        key = f"charge.{w.day}.{w.agency}"
        for _ in range(_TRIES):
            there = await self.get(key)
            size = w.size + (_number(there) if there else 0)
            try:
                await self.put(key, size.to_bytes(8, "big"), there.sequence if there else 0)
            except Behindhand:
                await asyncio.sleep(random.uniform(0, _PAUSE))  # noqa: S311 - so as not to meet again
                continue
            return Made()
        raise StoreFailed("others write the same record all the time", retry_after=1.0)

    async def charges(self, since: int) -> dict[str, int]:
        """See `Store.charges`."""
        total: dict[str, int] = {}
        for message in await self.all("charge.*.*"):
            _, day, agency = self.key(message).split(".")
            if not day.isdecimal() or len(message.data) != _SIZE:
                self.unreadable(message, "it is no number of bytes on a day")
            elif int(day) >= since:
                total[agency] = total.get(agency, 0) + _number(message)
        return total

    async def forget_charges(self, now: int, limit: int) -> int:
        """Forget charges of long ago."""
        before = (now - CHARGED_FOR) // 86400
        keys = [subject.removeprefix(self._subject("")) for subject in await self._there("charge.*.*")]
        old = [key for key in keys if (day := key.split(".")[1]).isdecimal() and int(day) < before][:limit]
        for key in old:
            await self.drop(key)
        return len(old)


def _number(message: Message) -> int:
    return int.from_bytes(message.data, "big")
