"""The handshake: a client proves who it is to a relay it knows, and a recorder learns nothing, now or later.

Noise NK with KEMs instead of Diffie-Hellman, and a signature by the client (design: proved in the symbolic model).
Relay key, suite and federation are known before; nothing is negotiated, so nothing can be downgraded.

    client                                            relay
    Greeting ── Hello { H1, cookie } ──────────────→  Door        tag and cookie are checked before any encapsulation
        ↑  ←──────────── Reply { Retry cookie } ───── Turned      under load: come again with this, once
        │  ←──────────── Reply { Turned code } ────── Turned      no keys in common: a hint, not authenticated
        └─ ←──────────── Reply { H2 } ─────────────── Answered    box2 = Welcome { limits, time }
    Proving ── H3 = box3 { Proof } ────────────────→  DeviceClaim | GuestClaim | OfficeClaim
        └─ ←──────────── H4 = box4 { Verdict } ────── accept → Session | refuse
    Session

    H1  = version ‖ suite ‖ key id[16] ‖ n_c[32] ‖ pk_E[1216] ‖ ct_R[1120] ‖ tag[32]      (ct_R, ss_R) = Encap(pk_R)
    H2  = n_r[32] ‖ ct_E[1120] ‖ box2                                                     (ct_E, ss_E) = Encap(pk_E)

    Transcript (Hash = SHA-384)                              Keys (HKDF-SHA-384)
    p0  = Hash("securechan/1 hs" ‖ root id ‖ name ‖ pk_R)    s1  = Extract(p0, ss_R)
    h1  = Hash(p0 ‖ H1 without tag)                          tag = HMAC(Expand(s1, "tag", 48), h1)[:32]
    h1' = Hash(h1 ‖ n_r ‖ ct_E)                              s2  = Extract(Expand(s1, "next", 48), ss_E)
    h2  = Hash(h1' ‖ box2)                                   k_c = Expand(s2, "c hs" ‖ h1', 44)    key[32] ‖ iv[12]
    h3  = Hash(h2 ‖ box3)                                    k_r = Expand(s2, "r hs" ‖ h1', 44)
                                                             session = Expand(s2, "session" ‖ h3, 48)
    Boxes (AES-256-GCM)      under   nonce       associated data   length
    box2                     k_r     iv          h1'               as long as Welcome
    box3                     k_c     iv          h2                6,144 + 16: a guest looks like a device
    box4                     k_r     iv xor 1    h3                512 + 16: and a refusal like a welcome

Devices and offices sign h2 (context "securechan/1 handshake"); a guest shows HMAC-SHA-384(box's key, context ‖ h2).
As in the model, box4 repeats h3 inside. The cookie is no part of the transcript: it says only that the address answers.

Everything received may come from anyone: it ends in `Malformed`, `Invalid`, `CannotOpen`, `BadSignature` or `Refused`.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Annotated, Final, assert_never

from securechan.codec import U8, U16, U32, U64, Enum8, Struct, fixed, opaque, select, text
from securechan.crypto import kem
from securechan.crypto.aead import AES256GCM
from securechan.crypto.contexts import HANDSHAKE
from securechan.crypto.kdf import SHA384
from securechan.crypto.kem import KemKey
from securechan.crypto.secret import Secret
from securechan.crypto.signature import COMPOSITE, SigningKey
from securechan.errors import BadSignature, CannotOpen, Malformed, Misuse, Refused
from securechan.wire.chain import CHAIN_SIZE, ChainValue, Position
from securechan.wire.frames import DeviceName, TopicId
from securechan.wire.padding import fill, unfill
from securechan.wire.session import Limits, Session

VERSION: Final = 1
SUITE: Final = 0x0001  # X-Wing (0x647a), HKDF-SHA-384, AES-256-GCM, ML-DSA-65 + Ed25519
KEM: Final = kem.MLKEM768_X25519
KEY_ID_SIZE: Final = 16
TAG_SIZE: Final = 32
PROOF_SIZE: Final = 6144
VERDICT_SIZE: Final = 512
COOKIE_LIFETIME: Final = 30  # seconds

LABEL: Final = b"securechan/1 hs"
LABEL_TAG: Final = b"tag"
LABEL_NEXT: Final = b"next"
LABEL_CLIENT: Final = b"c hs"
LABEL_RELAY: Final = b"r hs"
LABEL_SESSION: Final = b"session"
LABEL_COOKIE: Final = b"securechan/1 cookie"

Random = Callable[[int], bytes]
PublicKey = Annotated[bytes, fixed(1952 + 32)]
Signature = Annotated[bytes, fixed(3309 + 64)]


def key_id(kem_public: bytes) -> bytes:
    """The 16 bytes that name a relay's KEM key."""
    return hashlib.sha384(kem_public).digest()[:KEY_ID_SIZE]


# ---------------------------------------------------------------------------------------------------------- the formats


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


# ----------------------------------------------------------------------------------------------------- the key schedule


@dataclass(frozen=True, slots=True)
class Box:
    """The AEAD of one direction during the handshake; each number seals once."""

    secret: Secret

    def _nonce(self, number: int) -> bytes:
        return (int.from_bytes(self.secret[32:], "big") ^ number).to_bytes(12, "big")

    def seal(self, number: int, transcript: bytes, content: bytes) -> bytes:
        return AES256GCM.seal(self.secret[:32], self._nonce(number), transcript, content)

    def open(self, number: int, transcript: bytes, box: bytes) -> bytes:
        return AES256GCM.open(self.secret[:32], self._nonce(number), transcript, box)


@dataclass(frozen=True, slots=True)
class Opened:
    """What both sides hold after H1."""

    h1: bytes
    s1: Secret

    @classmethod
    def of(cls, p0: bytes, hello: H1, ss_r: Secret) -> Opened:
        """The ``tag`` of ``hello`` plays no part."""
        untagged = hello.encode()[:-TAG_SIZE]
        return cls(hashlib.sha384(p0 + untagged).digest(), SHA384.extract(p0, ss_r))

    @property
    def tag(self) -> bytes:
        return hmac.digest(SHA384.expand(self.s1, LABEL_TAG, 48), self.h1, "sha384")[:TAG_SIZE]


@dataclass(frozen=True, slots=True)
class Keyed:
    """What both sides hold after H2 but for its box."""

    h1b: bytes
    s2: Secret
    client: Box
    relay: Box

    @classmethod
    def of(cls, opened: Opened, n_r: bytes, ct_e: bytes, ss_e: Secret) -> Keyed:
        h1b = hashlib.sha384(opened.h1 + n_r + ct_e).digest()
        s2 = SHA384.extract(SHA384.expand(opened.s1, LABEL_NEXT, 48), ss_e)
        client, relay = (Box(SHA384.expand(s2, label + h1b, 44)) for label in (LABEL_CLIENT, LABEL_RELAY))
        return cls(h1b, s2, client, relay)

    def h2(self, box2: bytes) -> bytes:
        return hashlib.sha384(self.h1b + box2).digest()

    def session(self, h3: bytes) -> Secret:
        return SHA384.expand(self.s2, LABEL_SESSION + h3, 48)


def prologue(root_id: bytes, name: str, kem_public: bytes) -> bytes:
    """p0: federation, relay and key in 48 bytes. Raises `Misuse` for a root id that is not 48 bytes."""
    if len(root_id) != CHAIN_SIZE:
        raise Misuse(f"a root id has {CHAIN_SIZE} bytes, not {len(root_id)}")
    return hashlib.sha384(LABEL + root_id + name.encode() + kem_public).digest()


def _guest_mac(mac_key: bytes, h2: bytes) -> bytes:
    return hmac.digest(mac_key, HANDSHAKE + h2, "sha384")


# ----------------------------------------------------------------------------------------------------------- the client


@dataclass(frozen=True, slots=True)
class RelayIdentity:
    """The relay as the trust record (for a guest: the card, checked against the invite) names it."""

    root_id: bytes  # 48: SHA-384 of root version 1
    name: str
    kem_public: bytes  # 1,216


@dataclass(frozen=True, slots=True)
class DeviceCredential:
    device: str  # "agency/device"
    key: SigningKey | bytes = field(repr=False)
    public: bytes
    trust: Position


@dataclass(frozen=True, slots=True)
class GuestCredential:
    box: bytes  # 32
    mac_key: bytes = field(repr=False)  # 32


@dataclass(frozen=True, slots=True)
class OfficeCredential:
    role: str  # TUF role name: "targets", "cert-hr", …
    key_id: str
    key: SigningKey | bytes = field(repr=False)
    public: bytes


Credential = DeviceCredential | GuestCredential | OfficeCredential


@dataclass(frozen=True, slots=True)
class Greeting:
    """The client has said H1 and waits for a reply."""

    hello: H1
    opened: Opened
    ephemeral: KemKey
    credential: Credential = field(repr=False)
    retried: bool = False

    @classmethod
    def start(
        cls, relay: RelayIdentity, credential: Credential, *, random: Random = secrets.token_bytes
    ) -> tuple[Greeting, bytes]:
        """The greeting and the message to send. Raises `Malformed` or `Invalid` where the relay's key is no key."""
        n_c = random(32)
        ephemeral = KEM.load(random(KEM.private_length))
        ss_r, ct_r = KEM.encap(relay.kem_public)
        p0 = prologue(relay.root_id, relay.name, relay.kem_public)
        untagged = H1(VERSION, SUITE, key_id(relay.kem_public), n_c, ephemeral.public, ct_r, bytes(TAG_SIZE))
        opened = Opened.of(p0, untagged, ss_r)
        hello = H1(VERSION, SUITE, untagged.key_id, n_c, ephemeral.public, ct_r, opened.tag)
        return cls(hello, opened, ephemeral, credential), Hello(hello, b"").encode()

    def answer(self, reply: bytes) -> tuple[Greeting | Proving, bytes]:
        """The next state and the message to send.

        Another ``Greeting`` where the relay wants its cookie back (once); otherwise ``Proving``. Raises `Malformed`,
        `CannotOpen` where the relay does not hold its key, `Refused` where it (or someone who says so) turns us away.
        """
        body = Reply.decode(reply).body
        match body:
            case H2():
                return self._prove(body)
            case Retry():
                if self.retried:
                    raise Refused("the relay asks for its cookie twice", code="refused-overloaded", retry_after=5)
                again = Greeting(self.hello, self.opened, self.ephemeral, self.credential, retried=True)
                return again, Hello(self.hello, body.cookie).encode()
            case Turned():
                raise _turned_away(body)
            case _:
                assert_never(body)

    def _prove(self, reply: H2) -> tuple[Proving, bytes]:
        keyed = Keyed.of(self.opened, reply.n_r, reply.ct_e, KEM.decap(self.ephemeral, reply.ct_e))
        welcome = Welcome.decode(keyed.relay.open(0, keyed.h1b, reply.box2))
        h2 = keyed.h2(reply.box2)
        proof = _proof(self.credential, h2)
        box3 = keyed.client.seal(0, h2, fill(proof.encode(), PROOF_SIZE))
        return Proving(keyed, hashlib.sha384(h2 + box3).digest(), welcome), box3


@dataclass(frozen=True, slots=True)
class Proving:
    """The client has proved itself and waits for the verdict. ``welcome`` is authentic already."""

    keyed: Keyed
    h3: bytes
    welcome: Welcome

    def finish(self, h4: bytes, now: int) -> Session:
        """The session. Raises `Refused` where the relay says no, `CannotOpen` where it was not the relay that spoke.
        ``now`` is in Unix seconds."""
        verdict = unfill(Verdict, self.keyed.relay.open(1, self.h3, h4)).body
        match verdict:
            case Accepted():
                if not hmac.compare_digest(verdict.h3, self.h3):
                    raise CannotOpen("the relay accepted another handshake than this one")
                return Session("client", self.keyed.session(self.h3), verdict.limits, self.welcome.time, now)
            case Denied():
                raise Refused(
                    f"the relay refuses the session: {verdict.message}",
                    retry_after=verdict.retry_after / 1000 or None,
                    hint=_DENIED_HINT[verdict.denial],
                    code=f"refused-{verdict.denial.name.lower().replace('_', '-')}",
                )
            case _:
                assert_never(verdict)


def _proof(credential: Credential, h2: bytes) -> Proof:
    match credential:
        case DeviceCredential():
            signature = COMPOSITE.sign(credential.key, HANDSHAKE, h2)
            device = DeviceProof(credential.device, credential.public, credential.trust, signature)
            return Proof(ProofKind.DEVICE, device)
        case GuestCredential():
            return Proof(ProofKind.GUEST, GuestProof(credential.box, _guest_mac(credential.mac_key, h2)))
        case OfficeCredential():
            signature = COMPOSITE.sign(credential.key, HANDSHAKE, h2)
            office = OfficeProof(credential.role, credential.key_id, credential.public, signature)
            return Proof(ProofKind.OFFICE, office)
        case _:
            assert_never(credential)


_TURNED: Final[Mapping[Why, tuple[str, str]]] = {
    Why.VERSION: ("the relay speaks another version of the protocol", "update the older side"),
    Why.KEY: (
        "the relay does not hold the key that the trust record gives for it",
        "sync the trust records; if it lasts, ask the relay's operator",
    ),
    Why.TAG: (
        "the relay belongs to another federation or has another name",
        "check the relay's address against the trust record",
    ),
    Why.OVERLOADED: ("the relay is overloaded", "wait; the client tries again by itself"),
    Why.CLOSED: ("the relay serves no federation now", "wait, or ask its operator"),
}

_DENIED_HINT: Final[Mapping[Denial, str]] = {
    Denial.NO_PROOF: "check that this profile belongs to this federation",
    Denial.UNKNOWN: "ask your administrator whether the device has been approved",
    Denial.REVOKED: "the device has been revoked: ask your administrator",
    Denial.EXPIRED: "ask your administrator to renew it",
    Denial.OVERLOADED: "wait; the client tries again by itself",
    Denial.CLOSED: "wait, or ask the relay's operator",
    Denial.INTERNAL: "ask the relay's operator to look into its log",
}


def _turned_away(turned: Turned) -> Refused:
    message, hint = _TURNED[turned.why]
    wait = turned.retry_after / 1000 or None
    return Refused(message, retry_after=wait, hint=hint, code=f"turned-{turned.why.name.lower()}")


# ------------------------------------------------------------------------------------------------------------ the relay


@dataclass(frozen=True, slots=True)
class Cookies:
    """Stateless proof that an address answers: time ‖ HMAC(secret, address, time, H1)."""

    secret: Secret

    def make(self, address: bytes, hello: H1, now: int) -> bytes:
        """40 bytes. ``now`` in Unix seconds."""
        return now.to_bytes(8, "big") + self._mac(address, hello, now)

    def good(self, cookie: bytes, address: bytes, hello: H1, now: int) -> bool:
        """Whether ``cookie`` was made for this address and this H1 within `COOKIE_LIFETIME`."""
        if len(cookie) != 40:
            return False
        made = int.from_bytes(cookie[:8], "big")
        fresh = 0 <= now - made <= COOKIE_LIFETIME
        return fresh and hmac.compare_digest(cookie[8:], self._mac(address, hello, made))

    def _mac(self, address: bytes, hello: H1, made: int) -> bytes:
        about = len(address).to_bytes(2, "big") + address + made.to_bytes(8, "big") + hello.encode()
        return hmac.digest(self.secret, LABEL_COOKIE + about, "sha384")[:32]


@dataclass(frozen=True, slots=True)
class TurnedAway:
    """Not let in, and nothing is kept of it: send ``reply``. ``again``: it may come back on this connection."""

    reply: bytes
    again: bool

    @classmethod
    def because(cls, why: Why, retry_after: int = 0) -> TurnedAway:
        return cls(Reply(ReplyKind.TURNED, Turned(why, retry_after)).encode(), again=False)


@dataclass(frozen=True, slots=True)
class Door:
    """The relay before anyone has come: its name, its KEM keys (the newest and those not yet retired) by `key_id`."""

    root_id: bytes
    name: str
    keys: Mapping[bytes, KemKey]
    cookies: Cookies
    random: Random = secrets.token_bytes

    def open(
        self, message: bytes, limits: Limits, *, now_ms: int, address: bytes, guarded: bool = False
    ) -> Answered | TurnedAway:
        """The reply to a client's first message; ``guarded`` demands a cookie first, and costs one HMAC.

        Raises `Malformed`; `Invalid` where a key or ciphertext in it is none. ``now_ms``: Unix milliseconds.
        """
        hello = Hello.decode(message)
        h1 = hello.h1
        if (h1.version, h1.suite) != (VERSION, SUITE):
            return TurnedAway.because(Why.VERSION)
        key = self.keys.get(h1.key_id)
        if key is None:
            return TurnedAway.because(Why.KEY)
        if guarded and not self.cookies.good(hello.cookie, address, h1, now_ms // 1000):
            cookie = self.cookies.make(address, h1, now_ms // 1000)
            return TurnedAway(Reply(ReplyKind.RETRY, Retry(cookie)).encode(), again=True)
        opened = Opened.of(prologue(self.root_id, self.name, key.public), h1, KEM.decap(key, h1.ct_r))
        if not hmac.compare_digest(opened.tag, h1.tag):
            return TurnedAway.because(Why.TAG)
        n_r = self.random(32)
        ss_e, ct_e = KEM.encap(h1.pk_e)
        keyed = Keyed.of(opened, n_r, ct_e, ss_e)
        box2 = keyed.relay.seal(0, keyed.h1b, Welcome(limits, now_ms).encode())
        reply = Reply(ReplyKind.ANSWER, H2(n_r, ct_e, box2)).encode()
        return Answered(reply, keyed, keyed.h2(box2), now_ms)


@dataclass(frozen=True, slots=True)
class Answered:
    """The relay has said H2 (``reply``) and waits for the client's proof."""

    reply: bytes = field(repr=False)
    keyed: Keyed
    h2: bytes
    time: int

    def receive(self, h3: bytes) -> Claim:
        """What the client claims to be; nothing is verified yet. Raises `CannotOpen` or `Malformed`."""
        if len(h3) != PROOF_SIZE + AES256GCM.tag_length:
            raise Malformed(f"a proof of {len(h3)} bytes where {PROOF_SIZE + AES256GCM.tag_length} belong")
        body = unfill(Proof, self.keyed.client.open(0, self.h2, h3)).body
        stage = _Claimed(self.keyed, self.h2, hashlib.sha384(self.h2 + h3).digest(), self.time)
        match body:
            case DeviceProof():
                return DeviceClaim(stage, body)
            case GuestProof():
                return GuestClaim(stage, body)
            case OfficeProof():
                return OfficeClaim(stage, body)
            case _:
                assert_never(body)


@dataclass(frozen=True, slots=True)
class _Claimed:
    """The relay's side after H3."""

    keyed: Keyed
    h2: bytes
    h3: bytes
    time: int

    def accept(self, limits: Limits, now: int) -> tuple[Session, bytes]:
        session = Session("relay", self.keyed.session(self.h3), limits, self.time, now)
        return session, self._say(Verdict(VerdictKind.ACCEPTED, Accepted(self.h3, limits)))

    def refuse(self, denial: Denial, message: str, retry_after: int) -> bytes:
        return self._say(Verdict(VerdictKind.DENIED, Denied(denial, retry_after, message)))

    def _say(self, verdict: Verdict) -> bytes:
        return self.keyed.relay.seal(1, self.h3, fill(verdict.encode(), VERDICT_SIZE))


@dataclass(frozen=True, slots=True)
class _Claim:
    _stage: _Claimed

    def refuse(self, denial: Denial, message: str = "", retry_after: int = 0) -> bytes:
        """H4 that says no; ``retry_after`` in milliseconds."""
        return self._stage.refuse(denial, message, retry_after)


@dataclass(frozen=True, slots=True)
class _SignedClaim(_Claim):
    proof: DeviceProof | OfficeProof

    @property
    def public(self) -> bytes:
        """The key (1,984 bytes) that the client says is its own."""
        return self.proof.public

    def check(self) -> None:
        """Returns if the client holds the key it shows; says nothing about whose key that is. Raises `BadSignature`."""
        COMPOSITE.verify(self.proof.public, HANDSHAKE, self._stage.h2, self.proof.signature)

    def prove(self, public: bytes) -> None:
        """Returns if the client is who it says. ``public`` is the key that *trust* gives for that.

        Raises `BadSignature` where the client shows another key or does not hold it.
        """
        if not hmac.compare_digest(public, self.proof.public):
            raise BadSignature("the client shows another key than its record")
        self.check()

    def accept(self, public: bytes, limits: Limits, now: int) -> tuple[Session, bytes]:
        """The session and H4, once proven. ``now``: Unix seconds. Raises as `prove`. After it nothing may be refused:
        the verdict's key has sealed its one message."""
        self.prove(public)
        return self._stage.accept(limits, now)


@dataclass(frozen=True, slots=True)
class DeviceClaim(_SignedClaim):
    """Someone says it is this device."""

    proof: DeviceProof

    @property
    def device(self) -> str:
        return self.proof.device

    @property
    def trust(self) -> Position:
        """How far the device has read the trust topic, as it says."""
        return self.proof.trust


@dataclass(frozen=True, slots=True)
class OfficeClaim(_SignedClaim):
    """Someone says it holds a key of this trust role."""

    proof: OfficeProof

    @property
    def role(self) -> str:
        return self.proof.role

    @property
    def key_id(self) -> str:
        return self.proof.key_id


@dataclass(frozen=True, slots=True)
class GuestClaim(_Claim):
    """Someone says it holds the invite to this box."""

    proof: GuestProof

    @property
    def box(self) -> bytes:
        return self.proof.box

    def prove(self, mac_key: bytes) -> None:
        """Returns if the client holds the invite. ``mac_key`` is the box's. Raises `CannotOpen` where the proof was
        made with another."""
        if not hmac.compare_digest(_guest_mac(mac_key, self._stage.h2), self.proof.mac):
            raise CannotOpen("the guest does not hold this box's code")

    def accept(self, mac_key: bytes, limits: Limits, now: int) -> tuple[Session, bytes]:
        """The session and H4, once proven. Raises as `prove`; nothing may be refused after it."""
        self.prove(mac_key)
        return self._stage.accept(limits, now)


Claim = DeviceClaim | GuestClaim | OfficeClaim
