"""The wire between client and relay: frames, records, and the five messages of a handshake, on both sides.

Boxes are sealed with the right keys around the fuzzer's plaintext, since a bent client or relay has them: what stops it
is the format. Each input meets a session of its own.
"""

from __future__ import annotations

import hashlib
import hmac
from random import Random
from typing import Any

from securechan.crypto.contexts import HEAD
from securechan.crypto.secret import Secret
from securechan.crypto.signature import COMPOSITE
from securechan.errors import BadSignature, CannotOpen, Invalid, Malformed, Refused, Stale
from securechan.wire.chain import Position
from securechan.wire.door import Answered as AnsweredState
from securechan.wire.door import DeviceClaim, Door, GuestClaim, OfficeClaim, TurnedAway
from securechan.wire.frames import (
    Append,
    Bye,
    CommitClaim,
    Entries,
    Entry,
    EntryKind,
    Frame,
    GetHeads,
    Halt,
    HeadLeaf,
    Heads,
    Reason,
    Request,
    Subscribe,
)
from securechan.wire.handshake import KEM, Greeting, Opened, Proving, _proof, prologue
from securechan.wire.handshake_formats import (
    PROOF_SIZE,
    VERDICT_SIZE,
    Accepted,
    Denial,
    Hello,
    Proof,
    Reply,
    Verdict,
    VerdictKind,
    Welcome,
)
from securechan.wire.heads import Tree, leaf_hash, signed_part, verify_heads
from securechan.wire.plaintext import LoneAppend, RecordBody, Then
from securechan.wire.session import Session
from tests.fuzz.mutation import after, damaged, of_struct
from tests.fuzz.target import Target, canonical, refused, target
from tests.wire.flows import ADDRESS, DEVICE, GUEST, LIMITS, NOW, OFFICE, Relay, prove

TOPIC = hashlib.sha256(b"topic").digest()


def frames() -> tuple[Frame, ...]:
    entry = Entry(7, EntryKind.COMMIT, TOPIC, NOW * 1000, b"body" * 30, CommitClaim(6, TOPIC))
    head = HeadLeaf(TOPIC, 7, bytes(48), 0, ())
    return (
        Frame.of(Request.of(1, Append(TOPIC, TOPIC, b"body" * 40, CommitClaim(6, TOPIC)))),
        Frame.of(Request.of(2, Subscribe(TOPIC, 3))),
        Frame.of(Request.of(3, GetHeads((TOPIC, TOPIC)))),
        Frame.of(Entries(TOPIC, (entry, entry), Halt.TAIL)),
        Frame.of(Heads("relay-1", NOW * 1000, 1, bytes(48), bytes(3373), (head,))),
        Frame.of(Bye(Reason.DONE)),
    )


@target("wire.frame")
def frame() -> Target:
    return Target(lambda data: canonical(Frame, data), tuple(each.encode() for each in frames()), of_struct(Frame))


def sessions() -> tuple[Session, Session]:
    secret = Secret(bytes(48))
    return Session("client", secret, LIMITS, 0, NOW), Session("relay", secret, LIMITS, 0, NOW)


@target("wire.record")
def record() -> Target:
    """First byte 0: the record as it is; 1: its plaintext, sealed as the peer seals."""
    client, _ = sessions()
    whole = client.seal(frames()[:3], NOW)
    plain = RecordBody(Then.STAY, frames()).encode()
    lone = RecordBody(Then.STAY, (Frame.of(Request.of(7, Append(bytes(32), bytes(32), bytes(100), None))),)).encode()

    def run(data: bytes) -> None:
        peer, here = sessions()
        sealed = data[1:] if data[:1] == b"\0" else peer._out.seal(data[1:])
        try:
            found = here.open(sealed, NOW)
        except (Malformed, Invalid, CannotOpen, Stale):
            relay = sessions()[1]
            for opened, kinds in (
                (here.open, (CannotOpen,)),
                (relay.open_asked, (Malformed, Invalid, CannotOpen, Stale)),
                (relay.open_asked, (CannotOpen,)),
            ):
                with refused(*kinds):
                    opened(sealed, NOW)
                    raise AssertionError("a session that failed opens more") from None
            return
        asked = sessions()[1].open_asked(sealed, NOW)
        if found != ((Frame.of(Request.of(*asked)),) if isinstance(asked, LoneAppend) else asked):
            raise AssertionError("a relay reads something else")
        rest = data[1 + len(RecordBody(Then.STAY, found).encode()) :] if data[:1] == b"\1" else b""
        if any(rest):
            raise AssertionError("something hides in the padding")

    seeds = (b"\0" + whole, b"\1" + plain, b"\1" + plain + bytes(100), b"\1" + lone + bytes(69))
    return Target(run, seeds, after(1, of_struct(RecordBody)))


# ----------------------------------------------------------------------------------------------------------- handshake


class Hands:
    """A handshake up to its third message, with both sides' keys."""

    def __init__(self) -> None:
        self.relay = Relay()
        self.answered, self.proving, self.h3 = prove(self.relay)
        self.greeting, self.hello = Greeting.start(self.relay.identity, DEVICE)
        self.door: Door = self.relay.door


@target("wire.hello")
def hello() -> Target:
    """What anyone may send first. First byte 0: as it is, 1: with a tag that fits, 2: to a door that wants cookies."""
    hands = Hands()
    key = hands.relay.key
    p0 = prologue(hands.relay.root_id, hands.relay.name, key.public)
    shared = {hands.greeting.hello.ct_r: hands.greeting.opened}

    def run(data: bytes) -> None:
        message = data[1:]
        with refused(Malformed, Invalid):
            if data[:1] == b"\1":
                message = tagged(message)
            guarded = data[:1] == b"\2"
            reply = hands.door.open(message, LIMITS, now_ms=NOW * 1000, address=ADDRESS, guarded=guarded)
            if not isinstance(reply, TurnedAway | AnsweredState):
                raise AssertionError(f"{reply!r} is no answer of a door")
            Reply.decode(reply.reply)

    def tagged(message: bytes) -> bytes:
        asked = Hello.decode(message)
        if asked.h1.ct_r not in shared:
            return message
        opened = Opened.of(p0, asked.h1, KEM.decap(key, asked.h1.ct_r))
        changed = {**asked.h1.__dict__, "tag": opened.tag}
        return Hello(type(asked.h1)(**changed), asked.cookie).encode()

    cookie = hands.door.cookies.make(ADDRESS, hands.greeting.hello, NOW)
    guarded = Hello(hands.greeting.hello, cookie).encode()
    seeds = (b"\0" + hands.hello, b"\1" + hands.hello, b"\2" + hands.hello, b"\2" + guarded)
    return Target(run, seeds, after(1, of_struct(Hello)))


@target("wire.reply")
def reply() -> Target:
    """What the relay, or anyone on the path, answers. First byte 1: the plaintext of box 2, sealed as it should be."""
    hands = Hands()
    answered = hands.door.open(hands.hello, LIMITS, now_ms=NOW * 1000, address=ADDRESS)
    assert isinstance(answered, AnsweredState)
    h2: Any = Reply.decode(answered.reply).body
    turned = hands.door.open(b"\2" + hands.hello[1:], LIMITS, now_ms=NOW * 1000, address=ADDRESS)
    retry = hands.door.open(hands.hello, LIMITS, now_ms=NOW * 1000, address=ADDRESS, guarded=True)

    def run(data: bytes) -> None:
        message = data[1:]
        if data[:1] == b"\1":
            box2 = answered.keyed.relay.seal(0, answered.keyed.h1b, data[1:1000])
            message = Reply(Reply.decode(answered.reply).kind, type(h2)(h2.n_r, h2.ct_e, box2)).encode()
        with refused(Malformed, Invalid, CannotOpen, Refused):
            state, _ = hands.greeting.answer(message)
            if isinstance(state, Proving) and data[:1] == b"\0" and message != answered.reply:
                raise AssertionError("an answer that was altered was taken")

    seeds = (b"\0" + answered.reply, b"\0" + turned.reply, b"\0" + retry.reply, b"\1" + Welcome(LIMITS, 5).encode())
    return Target(run, seeds, lambda data, random: _form(data, random, Reply, Welcome))


@target("wire.proof")
def proof() -> Target:
    """The client's proof, sealed with the client's key: device, guest and office."""
    hands = Hands()
    answered = hands.answered

    def run(data: bytes) -> None:
        if data[:1] == b"\0":
            h3 = data[1:]
        else:
            content = data[1 : 1 + PROOF_SIZE].ljust(PROOF_SIZE, b"\0")
            h3 = answered.keyed.client.seal(0, answered.h2, content)
        with refused(Malformed, CannotOpen):
            claim = answered.receive(h3)
            with refused(BadSignature):
                match claim:
                    case DeviceClaim():
                        _ = claim.device, claim.trust
                        claim.accept(hands.relay.public, LIMITS, NOW)
                    case OfficeClaim():
                        _ = claim.role, claim.key_id
                        claim.accept(hands.relay.public, LIMITS, NOW)
                    case GuestClaim():
                        claim.accept(hands.relay.boxes.get(claim.box, b"none"), LIMITS, NOW)
            claim.refuse(Denial.NO_PROOF, "no", 5)

    proofs = [_proof(each, answered.h2).encode() for each in (DEVICE, GUEST, OFFICE)]
    seeds = (b"\0" + hands.h3, *(b"\1" + each for each in proofs))
    return Target(run, seeds, lambda data, random: _form(data, random, Proof, Proof))


@target("wire.verdict")
def verdict() -> Target:
    """The relay's last word, sealed with the relay's key."""
    hands = Hands()
    _, h4 = hands.relay.judge(hands.answered, hands.h3)
    proving = hands.proving

    def run(data: bytes) -> None:
        message = data[1:]
        if data[:1] != b"\0":
            content = data[1 : 1 + VERDICT_SIZE].ljust(VERDICT_SIZE, b"\0")
            message = proving.keyed.relay.seal(1, proving.h3, content)
        with refused(Malformed, CannotOpen, Refused):
            session = proving.finish(message, NOW)
            session.seal((Frame.of(Bye(Reason.DONE)),), NOW)

    accepted = Verdict(VerdictKind.ACCEPTED, Accepted(proving.h3, LIMITS)).encode()
    denied = hands.answered.receive(hands.h3).refuse(Denial.NO_PROOF, "why", 9)
    plain = proving.keyed.relay.open(1, proving.h3, denied)
    return Target(run, (b"\0" + h4, b"\1" + accepted, b"\1" + plain), lambda d, r: _form(d, r, Verdict, Verdict))


def _form(data: bytes, random: Random, sealed: type[Any], plain: type[Any]) -> bytes:
    if data[:1] == b"\0" and random.random() < 0.5:
        return data[:1] + damaged(data[1:], random)
    return data[:1] + of_struct(sealed if data[:1] == b"\0" else plain)(data[1:], random)


@target("wire.heads")
def heads() -> Target:
    """Signed heads; first byte 1: signed anew, as a relay that lies signs them."""
    key = COMPOSITE.load(bytes(range(64)))
    leaves = [Position(number, hashlib.sha384(b"%d" % number).digest()) for number in range(5)]
    batch = Tree([leaf_hash(TOPIC, leaf) for leaf in leaves])
    listed = tuple(
        HeadLeaf(TOPIC, leaf.sequence, leaf.chain, index, batch.path(index)) for index, leaf in enumerate(leaves)
    )
    unsigned = Heads("relay-1", NOW * 1000, len(leaves), batch.root, b"", listed)

    def signed(value: Heads) -> Heads:
        signature = COMPOSITE.sign(key, HEAD, signed_part(value))
        return Heads(value.relay, value.time, value.count, value.root, signature, value.leaves)

    good = signed(unsigned)

    def run(data: bytes) -> None:
        value = canonical(Heads, data[1:])
        if value is None:
            return
        if data[:1] == b"\1" and not hmac.compare_digest(signed_part(value), signed_part(good)):
            value = signed(value)
        with refused(Invalid, BadSignature):
            proved = verify_heads(value, key.public, "relay-1")
            if value.root == good.root and not set(proved.values()) <= set(leaves):
                raise AssertionError("a head was proved that isn't in the batch")

    return Target(run, (b"\0" + good.encode(), b"\1" + good.encode()), after(1, of_struct(Heads)))
