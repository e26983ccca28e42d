"""The relay's side of the handshake: from a stranger at the door to a claim, and from a proven claim to a session.

    Door ──Hello──► Answered ──H3──► DeviceClaim | GuestClaim | OfficeClaim ──► accept → Session | refuse
      └──► TurnedAway    tag, version and (under load) cookie are checked before any encapsulation

Transcript and keys are those of `securechan.wire.handshake`. The cookie is no part of the transcript: it says only that
the address answers.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, assert_never

from securechan.crypto.aead import AES256GCM
from securechan.crypto.contexts import HANDSHAKE
from securechan.crypto.kem import KemKey
from securechan.crypto.secret import Secret
from securechan.crypto.signature import COMPOSITE
from securechan.errors import BadSignature, CannotOpen, Malformed
from securechan.wire.chain import Position
from securechan.wire.handshake import KEM, Keyed, Opened, Random, guest_mac, prologue
from securechan.wire.handshake_formats import (
    COOKIE_LIFETIME,
    H1,
    H2,
    PROOF_SIZE,
    SUITE,
    VERDICT_SIZE,
    VERSION,
    Accepted,
    Denial,
    Denied,
    DeviceProof,
    GuestProof,
    Hello,
    OfficeProof,
    Proof,
    Reply,
    ReplyKind,
    Retry,
    Turned,
    Verdict,
    VerdictKind,
    Welcome,
    Why,
)
from securechan.wire.padding import fill, unfill
from securechan.wire.session import Limits, Session

LABEL_COOKIE: Final = b"securechan/1 cookie"


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
        if not hmac.compare_digest(guest_mac(mac_key, self._stage.h2), self.proof.mac):
            raise CannotOpen("the guest does not hold this box's code")

    def accept(self, mac_key: bytes, limits: Limits, now: int) -> tuple[Session, bytes]:
        """The session and H4, once proven. Raises as `prove`; nothing may be refused after it."""
        self.prove(mac_key)
        return self._stage.accept(limits, now)


Claim = DeviceClaim | GuestClaim | OfficeClaim
