"""What the two sides of a handshake say to each other, as bytes; `securechan.wire.handshake` says when and why.

client → relay   Hello { H1, cookie }
relay → client   Reply { H2 with box2 = Welcome | Retry | Turned }
client → relay   box3 = Proof, filled to `PROOF_SIZE`
relay → client   box4 = Verdict, filled to `VERDICT_SIZE`
"""

from __future__ import annotations

from typing import Annotated, Final

from securechan.codec import U8, U16, U32, U64, Enum8, Struct, fixed, opaque, select, text
from securechan.wire.chain import ChainValue, Position
from securechan.wire.frames import DeviceName, TopicId
from securechan.wire.session import Limits

VERSION: Final = 1
SUITE: Final = 0x0001  # X-Wing (0x647a), HKDF-SHA-384, AES-256-GCM, ML-DSA-65 + Ed25519
KEY_ID_SIZE: Final = 16
TAG_SIZE: Final = 32
PROOF_SIZE: Final = 6144
VERDICT_SIZE: Final = 512
COOKIE_LIFETIME: Final = 30  # seconds

PublicKey = Annotated[bytes, fixed(1952 + 32)]
Signature = Annotated[bytes, fixed(3309 + 64)]


class H1(Struct):
    """What the client opens with; ``tag`` proves that it encapsulated to this relay's key under this federation."""

    version: U8
    suite: U16
    key_id: Annotated[bytes, fixed(KEY_ID_SIZE)]
    n_c: Annotated[bytes, fixed(32)]
    pk_e: Annotated[bytes, fixed(1216)]
    ct_r: Annotated[bytes, fixed(1120)]
    tag: Annotated[bytes, fixed(TAG_SIZE)]


class Hello(Struct):
    """The first message: H1, and the cookie where the relay has asked for one."""

    h1: H1
    cookie: Annotated[bytes, opaque(64)]


class H2(Struct):
    n_r: Annotated[bytes, fixed(32)]
    ct_e: Annotated[bytes, fixed(1120)]
    box2: Annotated[bytes, opaque(1024)]


class Retry(Struct):
    """Come again with this cookie within `COOKIE_LIFETIME`."""

    cookie: Annotated[bytes, opaque(64)]


class Why(Enum8):
    """Why a relay turns a stranger away before there are keys."""

    VERSION = 1
    KEY = 2  # this KEM key is not (or no longer) the relay's
    TAG = 3  # another federation, another name, or altered on the way
    OVERLOADED = 4
    CLOSED = 5  # the relay serves no federation yet, or is going down


class Turned(Struct):
    """Turned away; ``retry_after`` in milliseconds. Anyone on the path can say this: it is a hint."""

    why: Why
    retry_after: U32


class ReplyKind(Enum8):
    ANSWER = 0
    RETRY = 1
    TURNED = 2


class Reply(Struct):
    kind: ReplyKind
    body: Annotated[
        H2 | Retry | Turned,
        select("kind", {ReplyKind.ANSWER: H2, ReplyKind.RETRY: Retry, ReplyKind.TURNED: Turned}),
    ]


class Welcome(Struct):
    """What box2 holds: the relay's limits for anyone, and its clock in Unix milliseconds."""

    limits: Limits
    time: U64


class DeviceProof(Struct):
    """A device of the roster. ``trust`` is how far it has read the trust topic."""

    device: DeviceName
    public: PublicKey
    trust: Position
    signature: Signature


class GuestProof(Struct):
    """Someone who holds an invite to this enrolment box."""

    box: TopicId
    mac: Annotated[bytes, fixed(48)]


class OfficeProof(Struct):
    """The holder of a trust role's key, who may read the trust topic and publish."""

    role: Annotated[str, text(128)]
    key_id: Annotated[str, text(128)]
    public: PublicKey
    signature: Signature


class ProofKind(Enum8):
    DEVICE = 1
    GUEST = 2
    OFFICE = 3


class Proof(Struct):
    """What box3 holds."""

    kind: ProofKind
    body: Annotated[
        DeviceProof | GuestProof | OfficeProof,
        select("kind", {ProofKind.DEVICE: DeviceProof, ProofKind.GUEST: GuestProof, ProofKind.OFFICE: OfficeProof}),
    ]


class Denial(Enum8):
    """Why a relay refuses a session. What names a cause is said only to one who has proved its own key."""

    NO_PROOF = 1  # unknown or wrong: a stranger learns no more
    UNKNOWN = 2  # a good signature by a key that the trust view does not hold
    REVOKED = 3
    EXPIRED = 4  # the device record's or the invite's time is over
    OVERLOADED = 5
    CLOSED = 6
    INTERNAL = 7


class Accepted(Struct):
    h3: ChainValue
    limits: Limits


class Denied(Struct):
    """``retry_after`` in milliseconds, 0 where waiting does not help."""

    denial: Denial
    retry_after: U32
    message: Annotated[str, text(400)]


class VerdictKind(Enum8):
    ACCEPTED = 0
    DENIED = 1


class Verdict(Struct):
    """What box4 holds."""

    kind: VerdictKind
    body: Annotated[Accepted | Denied, select("kind", {VerdictKind.ACCEPTED: Accepted, VerdictKind.DENIED: Denied})]
