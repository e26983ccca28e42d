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
from functools import lru_cache
from typing import Final, assert_never

from securechan.crypto import kem
from securechan.crypto.aead import AES256GCM
from securechan.crypto.contexts import HANDSHAKE
from securechan.crypto.kdf import SHA384
from securechan.crypto.kem import KemKey
from securechan.crypto.secret import Secret
from securechan.crypto.signature import COMPOSITE, SigningKey
from securechan.errors import CannotOpen, Misuse, Refused
from securechan.wire.chain import CHAIN_SIZE, Position
from securechan.wire.handshake_formats import (
    H1,
    H2,
    KEY_ID_SIZE,
    PROOF_SIZE,
    SUITE,
    TAG_SIZE,
    VERSION,
    Accepted,
    Denial,
    Denied,
    DeviceProof,
    GuestProof,
    Hello,
    OfficeProof,
    Proof,
    ProofKind,
    Reply,
    Retry,
    Turned,
    Verdict,
    Welcome,
    Why,
)
from securechan.wire.padding import fill, unfill
from securechan.wire.session import Session

KEM: Final = kem.MLKEM768_X25519

LABEL: Final = b"securechan/1 hs"
LABEL_TAG: Final = b"tag"
LABEL_NEXT: Final = b"next"
LABEL_CLIENT: Final = b"c hs"
LABEL_RELAY: Final = b"r hs"
LABEL_SESSION: Final = b"session"

Random = Callable[[int], bytes]


def key_id(kem_public: bytes) -> bytes:
    """The 16 bytes that name a relay's KEM key."""
    return hashlib.sha384(kem_public).digest()[:KEY_ID_SIZE]


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


@lru_cache(maxsize=8)
def prologue(root_id: bytes, name: str, kem_public: bytes) -> bytes:
    """p0: federation, relay and key in 48 bytes. Raises `Misuse` for a root id that is not 48 bytes."""
    if len(root_id) != CHAIN_SIZE:
        raise Misuse(f"a root id has {CHAIN_SIZE} bytes, not {len(root_id)}")
    return hashlib.sha384(LABEL + root_id + name.encode() + kem_public).digest()


def guest_mac(mac_key: bytes, h2: bytes) -> bytes:
    """48 bytes: that a guest holds the code of its box, in this handshake."""
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
            return Proof(ProofKind.GUEST, GuestProof(credential.box, guest_mac(credential.mac_key, h2)))
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
