"""A relay and its clients at arm's length: handshakes without sockets, for the tests of the wire."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from securechan.crypto.kem import MLKEM768_X25519, KemKey
from securechan.crypto.secret import Secret
from securechan.crypto.signature import COMPOSITE
from securechan.wire.chain import Position
from securechan.wire.door import Answered, Cookies, Door, GuestClaim
from securechan.wire.handshake import (
    DeviceCredential,
    Greeting,
    GuestCredential,
    OfficeCredential,
    Proving,
    RelayIdentity,
    key_id,
)
from securechan.wire.handshake_formats import DeviceProof
from securechan.wire.session import Limits, Session

NOW: Final = 1_795_000_000
LIMITS: Final = Limits(2 << 20, (4 << 20) + 16, 64 << 20, 64, 600, 1 << 20, 180, 86400)
ROOT: Final = bytes(range(48))
ADDRESS: Final = b"\x7f\0\0\1"
_SIGNING: Final = COMPOSITE.load(bytes(range(64)))  # expanding keys is dear; no test depends on which ones they are
_KEM: Final = MLKEM768_X25519.load(bytes(range(32)))


@dataclass
class Relay:
    """A door, and the records it holds claims against."""

    name: str = "relay-1"
    root_id: bytes = ROOT
    key: KemKey = _KEM
    public: bytes = _SIGNING.public
    boxes: dict[bytes, bytes] = field(default_factory=lambda: {bytes(32): b"m" * 32})

    @property
    def identity(self) -> RelayIdentity:
        return RelayIdentity(self.root_id, self.name, self.key.public)

    @property
    def door(self) -> Door:
        return Door(self.root_id, self.name, {key_id(self.key.public): self.key}, Cookies(Secret(b"c" * 32)))

    def answer(self, hello: bytes) -> Answered:
        answered = self.door.open(hello, LIMITS, now_ms=NOW * 1000 + 5, address=ADDRESS)
        assert isinstance(answered, Answered)
        return answered

    def judge(self, answered: Answered, h3: bytes) -> tuple[Session, bytes]:
        claim = answered.receive(h3)
        if isinstance(claim, GuestClaim):
            return claim.accept(self.boxes.get(claim.box, b"no such box"), LIMITS, NOW)
        return claim.accept(self.public, LIMITS, NOW)


DEVICE: Final = DeviceCredential("cert-hr/laptop", _SIGNING, _SIGNING.public, Position(3, bytes(48)))
GUEST: Final = GuestCredential(bytes(32), b"m" * 32)
OFFICE: Final = OfficeCredential("cert-hr", "ab" * 48, _SIGNING, _SIGNING.public)
Credential = DeviceCredential | GuestCredential | OfficeCredential


def prove(relay: Relay, credential: Credential = DEVICE) -> tuple[Answered, Proving, bytes]:
    """Up to and including H3."""
    greeting, hello = Greeting.start(relay.identity, credential)
    answered = relay.answer(hello)
    proving, h3 = greeting.answer(answered.reply)
    assert isinstance(proving, Proving)
    return answered, proving, h3


def connect(relay: Relay | None = None, credential: Credential = DEVICE) -> tuple[Session, Session]:
    """(client's session, relay's session)."""
    relay = relay or Relay()
    answered, proving, h3 = prove(relay, credential)
    theirs, h4 = relay.judge(answered, h3)
    return proving.finish(h4, NOW), theirs


__all__ = ["ADDRESS", "DEVICE", "GUEST", "LIMITS", "NOW", "OFFICE", "ROOT", "DeviceProof", "Relay", "connect", "prove"]
