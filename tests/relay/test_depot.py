"""Key packages leave once; blobs come in pieces and are what their name says."""

from __future__ import annotations

import hashlib

from relay.bounds import Bounds
from securechan.wire.frames import (
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
)
from tests.relay.desk import digest, open_desk

T = digest("topic")
S0, S1, S2, S3 = (digest("secret", n) for n in range(4))


async def test_key_packages_are_handed_out_once() -> None:
    async with open_desk(bounds=Bounds(packages=3)) as desk:
        owner, taker = desk.client("cert-hr/a"), desk.client("cert-si/c")
        assert await owner.ask(PutKeyPackages(1, 0, (b"k1", b"k2"), b"last")) == Done()
        assert await owner.ask(CountKeyPackages(1)) == Count(2)
        numbers = [taker.send(TakeKeyPackage("cert-hr/a", 1)) for _ in range(4)]
        taken = [await taker.answer(n) for n in numbers]
        assert taken == [
            KeyPackageTaken(b"k1", 0),
            KeyPackageTaken(b"k2", 0),
            KeyPackageTaken(b"last", 1),
            KeyPackageTaken(b"last", 1),
        ]
        assert (await taker.refused(TakeKeyPackage("cert-hr/a", 2))).code is Code.NOT_FOUND
        assert (await taker.refused(TakeKeyPackage("cert-hr/nobody", 1))).code is Code.NOT_FOUND
        assert (await owner.refused(PutKeyPackages(1, 0, (b"1", b"2", b"3", b"4"), None))).code is Code.QUOTA
        assert await owner.ask(PutKeyPackages(1, 1, (b"5",), None)) == Done()
        assert await owner.ask(CountKeyPackages(1)) == Count(1)


async def test_a_blob_comes_in_pieces_over_two_sessions() -> None:
    async with open_desk() as desk:
        one, two = desk.client("cert-hr/a"), desk.client("cert-si/c")
        content = digest("blob") * 1000
        name = hashlib.sha256(content).digest()

        def piece(offset: int, size: int) -> PutBlob:
            return PutBlob(name, len(content), offset, content[offset : offset + size])

        numbers = [one.send(piece(offset, 10_000)) for offset in (0, 10_000)]
        assert [await one.answer(n) for n in numbers] == [Count(10_000), Count(20_000)]
        assert (await two.refused(GetBlob(name, 0))).code is Code.NOT_FOUND
        one = desk.client("cert-hr/a")  # the connection was lost, and with it how far the relay had hashed
        assert await one.ask(piece(0, 10_000)) == Count(20_000)
        assert await one.ask(piece(20_000, 10_000)) == Count(30_000)
        assert await one.ask(piece(30_000, 10_000)) == Count(32_000)
        assert await two.ask(piece(0, 100)) == Count(32_000)  # all there: nothing to send
        got = await two.ask(GetBlob(name, 1000))
        assert got == Piece(32_000, 1000, content[1000:])
        assert await two.ask(GetBlob(name, 40_000)) == Piece(32_000, 40_000, b"")


async def test_nobody_spoils_a_blob() -> None:
    async with open_desk(bounds=Bounds(max_blob=1000)) as desk:
        one, bad = desk.client("cert-hr/a"), desk.client("cert-si/c")
        content = b"x" * 600
        name = hashlib.sha256(content).digest()
        assert await bad.ask(PutBlob(name, 600, 0, b"y" * 300)) == Count(300)
        assert await one.ask(PutBlob(name, 600, 0, content[:400])) == Count(400)
        assert (await bad.refused(PutBlob(name, 600, 300, b"y" * 300))).code is Code.CONFLICT
        assert await bad.ask(PutBlob(name, 600, 5, b"y")) == Count(0)  # from the start again
        assert await one.ask(PutBlob(name, 600, 400, content[400:])) == Count(600)
        assert await bad.ask(GetBlob(name, 0)) == Piece(600, 0, content)
        assert (await bad.refused(PutBlob(name, 1001, 0, b"y"))).code is Code.TOO_LARGE
        assert (await bad.refused(PutBlob(digest(1), 3, 2, b"yy"))).code is Code.TOO_LARGE
        assert (await bad.refused(PutBlob(digest(1), 3, 0, b""))).code is Code.MALFORMED
