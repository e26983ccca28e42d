"""The counter for what is fetched by name: blobs, and key packages of devices."""

from __future__ import annotations

from relay.access import device_tag
from relay.backroom import Backroom, device_of
from relay.blobs import Blobs, Spoiled
from relay.member import Member
from relay.outgoing import refusal
from relay.replies import Handled, Reply, full, over_quota, spoiled
from relay.store import base
from relay.store.base import PutPart, Result
from securechan.wire.frames import (
    MAX_CHUNK,
    AnswerBody,
    Code,
    Count,
    CountKeyPackages,
    Done,
    GetBlob,
    KeyPackageTaken,
    Piece,
    PutBlob,
    PutKeyPackages,
    TakeKeyPackage,
    inbox_topic,
)


class Depot:
    """Requests about blobs and key packages."""

    def __init__(self, room: Backroom) -> None:
        self._room = room
        self._blobs = Blobs(room.store, room.bounds)

    async def put_blob(self, member: Member, body: PutBlob) -> Reply:
        most = self._room.bounds.max_blob
        if body.total > most or body.offset + len(body.piece) > body.total:
            return refusal(Code.TOO_LARGE, f"a blob has at most {most} bytes, and no more than it says")
        if not body.piece:
            return refusal(Code.MALFORMED, "an empty piece")
        if self._room.full():
            return full()
        who = device_of(member)
        owner = device_tag(b"blob", who.name)
        now = self._room.clock() // 1000
        match await self._blobs.accept(owner, member.uploads, body, now):
            case int(have):
                return Count(have)
            case Spoiled():
                return await self._room.finished(base.DropUpload(owner, body.blob), spoiled)
            case PutPart() as part:
                if self._room.over_quota(who.agency, len(part.piece)):
                    member.uploads.pop(body.blob, None)
                    return over_quota()
                charged = who.agency, len(part.piece)
                return await self._room.finished(part, _count, charged)

    async def get_blob(self, member: Member, body: GetBlob) -> Reply:
        device_of(member)
        if member.outlet.congested and not await member.outlet.room():
            return refusal(Code.OVERLOADED, "nobody is there")
        total = await self._room.store.blob(body.blob)
        if total is None:
            return refusal(Code.NOT_FOUND, "no such blob")
        return Piece(total, body.offset, await self._room.store.piece(body.blob, body.offset, MAX_CHUNK))

    def put_packages(self, member: Member, number: int, body: PutKeyPackages) -> Handled:
        if self._room.full() and body.packages:
            return full()

        def finish(result: Result) -> AnswerBody:
            if isinstance(result, base.Counted):
                return Done()
            return refusal(Code.QUOTA, f"at most {most} key packages are kept")

        device, most = device_of(member).name, self._room.bounds.packages
        write = base.PutPackages(device, body.suite, body.packages, body.last_resort, bool(body.purge), most)
        return self._room.offer(member, number, None, write, finish)

    def take_package(self, member: Member, number: int, body: TakeKeyPackage) -> Handled:
        device_of(member)
        if inbox_topic(body.device) not in self._room.inboxes:
            return refusal(Code.NOT_FOUND, "no such device is admitted")

        def finish(result: Result) -> AnswerBody:
            if isinstance(result, base.Taken):
                return KeyPackageTaken(result.package, int(result.last_resort))
            return refusal(Code.NOT_FOUND, "no key package of that device is left")

        write = base.TakePackage(body.device, body.suite, self._room.clock() // 1000)
        return self._room.offer(member, number, None, write, finish, vital=True)

    async def count_packages(self, member: Member, body: CountKeyPackages) -> Reply:
        return Count(await self._room.store.packages(device_of(member).name, body.suite))


def _count(result: Result) -> AnswerBody:
    return Count(result.count if isinstance(result, base.Counted) else 0)
