"""The record layer: what follows a handshake, until someone says bye.

Each direction is a *lane* with keys of its own, derived from the session secret and ratcheted forward; a record is one
AES-256-GCM box and nothing else. There is no header: the number of a record is its place on the lane, so a record that
is replayed, dropped, reordered, reflected or brought from another session does not open, and a session whose lane
failed once opens nothing more.

    lane secret   S(0) = Expand(session, "c" | "r")     S(n+1) = Expand(S(n), "rekey")           48 bytes
    keys          key = Expand(S(n), "key") 32 bytes    iv = Expand(S(n), "iv") 12 bytes
    record        AES-256-GCM(key, iv xor number, no associated data, RecordBody ‖ zeros to the bucket)

The sender marks the last record under its keys (inside, so nobody sees when): after 2^20 records or one hour. A session
lives 24 hours; then hands are shaken anew. The last frame either way is ``Bye``: a connection that closes without one
was cut, and `Session.ended` says so.

A session is a cell, not a value: a nonce must never come back, so nothing here can be copied or rewound.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, Literal, NoReturn, SupportsIndex

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from securechan.codec import U16, U32, Struct
from securechan.crypto.kdf import SHA384
from securechan.crypto.secret import Secret
from securechan.errors import CannotOpen, Invalid, Malformed, Misuse, SecurechanError, Stale
from securechan.wire.frames import MOST_FRAMES, Bye, Frame, FrameKind, Reason
from securechan.wire.padding import unfill
from securechan.wire.plaintext import LoneAppend, RecordBody, Then, filled, lone_append, rekeying

RECORDS_PER_KEY: Final = 1 << 20
SECONDS_PER_KEY: Final = 3600
SESSION_LIFETIME: Final = 24 * 3600  # seconds
LATE: Final = 60  # seconds for what was under way when the relay said bye
MAX_PLAINTEXT: Final = 4 << 20  # the bucket of the longest frames
MAX_RECORD: Final = MAX_PLAINTEXT + 16  # bytes, tag included

Role = Literal["client", "relay"]


class Limits(Struct):
    """What a relay allows one session; all sustained rates have bursts of a minute's worth."""

    max_entry: U32  # bytes of an entry's body
    max_record: U32  # bytes of a record
    max_blob: U32  # bytes of a blob
    in_flight: U16  # requests without an answer yet; the relay stops reading beyond
    appends: U32  # entries a minute
    bandwidth: U32  # bytes of requests a second
    idle: U32  # seconds of silence after which the relay says bye; ping within a third of it
    lifetime: U32  # seconds until the session ends with bye EXPIRED


class _Lane:
    """One direction's keys and the number of its next record."""

    __slots__ = ("_aead", "_iv", "_secret", "closed", "number", "since")

    def __init__(self, secret: Secret, now: int) -> None:
        self.closed = False
        self._enter(secret, now)

    def _enter(self, secret: Secret, now: int) -> None:
        self._secret = secret
        self._aead = AESGCM(SHA384.expand(secret, b"key", 32))
        self._iv = int.from_bytes(SHA384.expand(secret, b"iv", 12), "big")
        self.number = 0
        self.since = now

    def advance(self, now: int) -> None:
        """On to the next keys; the old secret is forgotten."""
        self._enter(SHA384.expand(self._secret, b"rekey", 48), now)

    def seal(self, plaintext: bytes) -> bytes:
        nonce = (self._iv ^ self.number).to_bytes(12, "big")
        self.number += 1
        return self._aead.encrypt(nonce, plaintext, None)

    def open(self, record: bytes) -> bytes:
        nonce = (self._iv ^ self.number).to_bytes(12, "big")
        try:
            plaintext = self._aead.decrypt(nonce, record, None)
        except InvalidTag:
            raise CannotOpen(
                f"record {self.number} does not open: altered, replayed, missing one before it, or of another session",
                hint="close the connection and shake hands again",
            ) from None
        self.number += 1
        return plaintext


class Session:
    """An established session. ``limits`` and ``relay_time`` (Unix milliseconds) are what the relay said of itself;
    ``expires`` is in Unix seconds."""

    __slots__ = ("_broken", "_in", "_out", "expires", "limits", "relay_time")

    def __init__(self, role: Role, secret: Secret, limits: Limits, relay_time: int, now: int) -> None:
        client, relay = (_Lane(SHA384.expand(secret, label, 48), now) for label in (b"c", b"r"))
        self._out, self._in = (client, relay) if role == "client" else (relay, client)
        self._broken = False
        self.limits = limits
        self.relay_time = relay_time
        self.expires = now + min(limits.lifetime, SESSION_LIFETIME)

    # ------------------------------------------------------------------------------------------------------- outwards

    def seal(self, frames: Sequence[Frame], now: int) -> bytes:
        """One record of these frames. A ``Bye`` must be the last; after it nothing more can be sealed.

        Raises `Misuse` where they exceed `MAX_FRAMES` bytes or `MOST_FRAMES`, or the lane has ended, `Stale` once the
        session expired.
        """
        farewell = bool(frames) and frames[-1].kind is FrameKind.BYE
        if any(frame.kind is FrameKind.BYE for frame in frames[:-1]):
            raise Misuse("nothing follows a bye")
        if now >= self.expires and not farewell:
            raise Stale("the session has lived its 24 hours", hint="shake hands again")
        if len(frames) > MOST_FRAMES:
            raise Misuse(f"{len(frames)} frames where a record takes {MOST_FRAMES}", hint="split them")
        record = self._seal(filled([frame.encode() for frame in frames]), now)
        self._out.closed = farewell
        return record

    def seal_encoded(self, chunks: Sequence[bytes], now: int) -> bytes:
        """As `seal`, of frames that are encoded already, at most `MOST_FRAMES` and no ``Bye`` among them."""
        return self.seal_filled(filled(chunks), now)

    def seal_filled(self, plain: bytes, now: int) -> bytes:
        """As `seal_encoded`, of what `filled` gave, which may have been sealed for others too: one AES-GCM call."""
        if now >= self.expires:
            raise Stale("the session has lived its 24 hours", hint="shake hands again")
        return self._seal(plain, now)

    def farewell(self, reason: Reason, now: int) -> bytes:
        """The record that ends this side, expired or not."""
        return self.seal((Frame.of(Bye(reason)),), now)

    @property
    def said_bye(self) -> bool:
        """Whether this side has sealed its last record."""
        return self._out.closed

    def _seal(self, plain: bytes, now: int) -> bytes:
        lane = self._out
        if lane.closed:
            raise Misuse("nothing follows a bye")
        if lane.number < RECORDS_PER_KEY - 1 and now - lane.since < SECONDS_PER_KEY:
            return lane.seal(plain)
        record = lane.seal(rekeying(plain))
        lane.advance(now)
        return record

    # -------------------------------------------------------------------------------------------------------- inwards

    def open(self, record: bytes, now: int) -> tuple[Frame, ...]:
        """The frames of the peer's next record. Raises `CannotOpen`, `Malformed`, `Invalid` or `Stale`; whichever it
        was, the session opens nothing more: close the connection."""
        if self._broken:
            raise CannotOpen("an earlier record of this session failed", hint="shake hands again")
        try:
            return self._frames(self._plain(record), now)
        except SecurechanError:
            self._broken = True
            raise

    def open_asked(self, record: bytes, now: int) -> LoneAppend | tuple[Frame, ...]:
        """As `open`, for a relay: what most of a client's records hold is read in one go."""
        if self._broken:
            return self.open(record, now)  # which says so
        try:
            plain = self._plain(record)
            lone = lone_append(plain)
            return self._frames(plain, now) if lone is None or now >= self.expires + LATE else lone
        except SecurechanError:
            self._broken = True
            raise

    def _plain(self, record: bytes) -> bytes:
        lane = self._in
        if lane.closed:
            raise Malformed("a record after the bye")
        if len(record) > MAX_RECORD:
            raise Malformed(f"a record of {len(record)} bytes where at most {MAX_RECORD} are allowed")
        if lane.number >= RECORDS_PER_KEY:
            raise Invalid("the peer used its keys for more than 2^20 records")
        return lane.open(record)

    def _frames(self, plain: bytes, now: int) -> tuple[Frame, ...]:
        lane = self._in
        body = unfill(RecordBody, plain)
        frames = body.frames
        if frames and frames[-1].kind is FrameKind.BYE:
            lane.closed = True
        elif now >= self.expires + LATE:
            raise Stale("the session has lived its 24 hours", hint="shake hands again")
        if len(frames) > 1 and any(frame.kind is FrameKind.BYE for frame in frames[:-1]):
            raise Malformed("frames after the bye")
        if body.then is Then.REKEY:
            lane.advance(now)
        return frames

    @property
    def heard_bye(self) -> bool:
        """Whether the peer has said its last."""
        return self._in.closed

    def ended(self) -> None:
        """To be called when the transport has closed. Raises `CannotOpen` where the peer said no bye: cut short."""
        if not self._in.closed:
            raise CannotOpen(
                "the connection was cut: the peer had not said bye", hint="connect again and resume", code="truncated"
            )

    def __reduce_ex__(self, protocol: SupportsIndex) -> NoReturn:
        raise Misuse("a session cannot be copied: its nonces would come back")
