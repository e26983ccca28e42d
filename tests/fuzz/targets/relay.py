"""The relay's counter: whatever a client may ask once its handshake has said who it is.

An input is a run of request frames, as a record holds them, before a mailroom of its own that serves a small federation
from memory; the first byte says who asks. Each request gets exactly one answer, none of them says ``INTERNAL``, and no
part of the mailroom dies.
"""

from __future__ import annotations

import asyncio
import hashlib
from functools import cache
from random import Random
from typing import Annotated, Final

from relay.people import Guest, Office, Who
from securechan.codec import Struct, vec
from securechan.errors import Malformed, Refused, Untrusted
from securechan.trust.names import roster_role
from securechan.wire.door import DeviceClaim, GuestClaim, OfficeClaim
from securechan.wire.frames import (
    MAX_FRAMES,
    Answer,
    Append,
    Code,
    CommitClaim,
    CountKeyPackages,
    CreateBox,
    CreateTopic,
    Deliver,
    Error,
    GetBlob,
    GetHeads,
    Ping,
    Publish,
    PutBlob,
    PutKeyPackages,
    Request,
    RequestBody,
    Show,
    Subscribe,
    TakeKeyPackage,
    Trim,
    TrustDocument,
    Unsubscribe,
    inbox_topic,
)
from securechan.wire.handshake_formats import Proof
from tests.fuzz.mutation import after, of_struct
from tests.fuzz.target import Target, refused, target
from tests.fuzz.targets.wire import Hands, _proof
from tests.relay.desk import DEVICES, Clock, Desk, Listener, digest, online, open_desk
from tests.wire.flows import DEVICE, GUEST, OFFICE

TOPIC: Final = digest("topic")
BLOB: Final = digest("blob")
BOX: Final = bytes(32)
SECRET: Final = bytes(32)
TURNS: Final = 2000  # of the event loop, until what was asked must be answered


class Asked(Struct):
    """An input, after its first byte."""

    requests: Annotated[tuple[Request, ...], vec(MAX_FRAMES, 64)]


@cache
def loop() -> asyncio.AbstractEventLoop:
    return asyncio.new_event_loop()


def person(desk: Desk, first: int) -> Who:
    """Two devices, one of them an administrator's, a guest, an office."""
    match first % 4:
        case 0:
            return desk.device(DEVICES[0])
        case 1:
            return desk.device(DEVICES[2])
        case 2:
            return Guest(BOX, "cert-hr", desk.clock() // 1000 + 3600)
        case _:
            return Office(roster_role("cert-hr"), "00" * 48)


async def asked(first: int, requests: tuple[Request, ...]) -> None:
    async with open_desk(clock=Clock(), signer=online()) as desk:
        outlet = Listener()
        member = desk.mailroom.enter(person(desk, first), outlet)
        for each in requests:
            if outlet.ended is None:
                member.ask(each.number, each.body)
        for _ in range(TURNS):
            if not member.inflight or desk.mailroom.failed.is_set():
                break
            await asyncio.sleep(0 if _ < TURNS // 2 else 0.001)
        if desk.mailroom.failed.is_set():
            raise AssertionError("a part of the mailroom died")
        if member.inflight:
            raise AssertionError(f"{member.inflight} requests got no answer")
        answers = [frame for frame in outlet.frames if isinstance(frame, Answer)]
        if sorted(each.number for each in answers) != sorted(each.number for each in requests):
            raise AssertionError("answers to other requests than were asked")
        for each in answers:
            if isinstance(each.body, Error) and each.body.code is Code.INTERNAL:
                raise AssertionError(f"the relay doesn't know what happened: {each.body.message}")


def numbered(*bodies: RequestBody) -> bytes:
    return Asked(tuple(Request.of(number, body) for number, body in enumerate(bodies))).encode()


@target("relay.requests")
def requests() -> Target:
    """What the store can't hold, or the trust log won't have, is refused like anything else."""
    claim = digest_of(SECRET)
    inbox = inbox_topic(DEVICES[0])
    runs: tuple[tuple[RequestBody, ...], ...] = (
        (CreateTopic(TOPIC, claim), Show(TOPIC, SECRET), Subscribe(TOPIC, 0), Append(TOPIC, TOPIC, b"said", None)),
        (
            CreateTopic(TOPIC, claim),
            Show(TOPIC, SECRET),
            Append(TOPIC, TOPIC, b"commit", CommitClaim(0, digest_of(b"next" * 8))),
            Append(TOPIC, BLOB, b"rival", CommitClaim(0, digest_of(b"rival" * 8))),
            Subscribe(TOPIC, 0),
            Unsubscribe(TOPIC),
        ),
        (Deliver(inbox, TOPIC, b"letter"), Subscribe(inbox, 0), Trim(inbox, 1), Trim(inbox, 1 << 63)),
        (PutBlob(digest_of(b"piece"), 5, 0, b"piece"), GetBlob(digest_of(b"piece"), 2), GetBlob(BLOB, 0)),
        (PutBlob(BLOB, 9, 0, b"pie"), PutBlob(BLOB, 9, 3, b"ces"), PutBlob(BLOB, 9, 6, b"bad")),
        (
            PutKeyPackages(1, 1, (b"one", b"two"), b"last"),
            CountKeyPackages(1),
            TakeKeyPackage(DEVICES[0], 1),
            TakeKeyPackage(DEVICES[2], 1),
        ),
        (CreateBox(BOX, b"m" * 32, 1 << 40), Append(BOX, TOPIC, b"request", None), Subscribe(BOX, 0)),
        (GetHeads((TOPIC, inbox)), Ping(), Ping()),
        (Publish(1, (TrustDocument("cert-hr-roster", b"{}"),)), Publish(0, ())),
    )

    def run(data: bytes) -> None:
        with refused(Malformed):
            found = Asked.decode(data[1:])
            loop().run_until_complete(asked(data[0] if data else 0, found.requests))

    seeds = [bytes([n % 4]) + numbered(*bodies) for n, bodies in enumerate(runs)]
    seeds += [b"\2" + numbered(*runs[6]), b"\3" + numbered(*runs[8]), b"\0" + numbered(*runs[7])]
    return Target(run, tuple(seeds), after(1, of_struct(Asked)))


def digest_of(secret: bytes) -> bytes:
    return hashlib.sha256(secret).digest()


@target("relay.identify")
def identify() -> Target:
    """Who somebody claims to be, before it is proved: names, keys and boxes that may be anything."""
    hands = Hands()
    answered = hands.answered

    desk = loop().run_until_complete(open_desk(clock=Clock()).__aenter__())  # for as long as the process lives

    def run(data: bytes) -> None:
        content = data[:6144].ljust(6144, b"\0")
        with refused(Malformed):
            claim = answered.receive(answered.keyed.client.seal(0, answered.h2, content))
            if not isinstance(claim, DeviceClaim | GuestClaim | OfficeClaim):
                raise AssertionError(f"{claim!r} is no claim")
            with refused(Refused, Untrusted):
                loop().run_until_complete(desk.mailroom.identify(claim))

    seeds = tuple(_proof(each, answered.h2).encode() for each in (DEVICE, GUEST, OFFICE))

    def form(data: bytes, random: Random) -> bytes:
        return of_struct(Proof)(data, random)

    return Target(run, seeds, form)
