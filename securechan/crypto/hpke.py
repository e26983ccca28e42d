"""HPKE (RFC 9180), base mode: seal to a public key, open with the private one, export secrets.

    sender                                   receiver
      setup_sender(public, info)               setup_receiver(private, enc, info)
          ├── enc ──────────────────────────────────►┤
          ▼                                          ▼
      Context.seal / .export                     Context.open / .export

``seal``, ``open``, ``send_export`` and ``receive_export`` are the single-shot forms (§6). Contexts count their
messages; each is one direction and belongs to one owner. The KDF is HKDF (two-stage, RFC 9180 §5.1) or a SHAKE
(one-stage, draft-ietf-hpke-hpke): the schedule differs, the interface doesn't.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from securechan.crypto.aead import Aead
from securechan.crypto.kdf import Hkdf, OneStage
from securechan.crypto.kem import Kem, KemKey
from securechan.crypto.secret import Secret
from securechan.errors import Misuse

Sealer = Callable[[bytes, bytes, bytes], tuple[bytes, bytes]]
"""(public key, AAD, plaintext) → (enc, ciphertext)"""

_VERSION = b"HPKE-v1"
_BASE = b"\x00"


@dataclass(frozen=True, slots=True)
class Hpke:
    """One HPKE suite. Errors: those of the KEM for bad keys and encapsulations, CannotOpen for failed decryption."""

    kem: Kem
    kdf: Hkdf | OneStage
    aead: Aead
    suite_id: bytes = field(init=False, repr=False)
    _context: bytes = field(init=False, repr=False)

    def __post_init__(self) -> None:
        numbers = (self.kem.id, self.kdf.id, self.aead.id)
        object.__setattr__(self, "suite_id", b"HPKE" + b"".join(n.to_bytes(2, "big") for n in numbers))
        # psk_id is empty in base mode, so its hash is a constant of the suite.
        start = b""
        if isinstance(self.kdf, Hkdf):
            start = _BASE + bytes(self._extract(self.kdf, b"", b"psk_id_hash", b""))
        object.__setattr__(self, "_context", start)

    def seal(self, public: bytes, info: bytes, aad: bytes, plaintext: bytes) -> tuple[bytes, bytes]:
        """(enc, ciphertext) of one message to ``public``."""
        return self.sealer(info)(public, aad, plaintext)

    def sealer(self, info: bytes) -> Sealer:
        """``seal`` for many recipients of messages with one ``info``, which is hashed once."""
        bound = self._bound(info)

        def seal(public: bytes, aad: bytes, plaintext: bytes) -> tuple[bytes, bytes]:
            shared, enc = self.kem.encap(public)
            key, nonce, _ = self._message(shared, bound)
            return enc, self.aead.seal(key, nonce, aad, plaintext)

        return seal

    def open(self, private: bytes | KemKey, enc: bytes, info: bytes, aad: bytes, ciphertext: bytes) -> bytes:
        """The plaintext of one message. Raises CannotOpen; Malformed or Invalid where ``enc`` itself is bad."""
        key, nonce, _ = self._message(self.kem.decap(private, enc), self._bound(info))
        return self.aead.open(key, nonce, aad, ciphertext)

    def send_export(self, public: bytes, info: bytes, exporter_context: bytes, length: int) -> tuple[bytes, Secret]:
        """(enc, secret): ``length`` bytes that only the holder of the private key will know too."""
        enc, context = self.setup_sender(public, info)
        return enc, context.export(exporter_context, length)

    def receive_export(
        self, private: bytes | KemKey, enc: bytes, info: bytes, exporter_context: bytes, length: int
    ) -> Secret:
        """What ``send_export`` gave the sender of ``enc``."""
        return self.setup_receiver(private, enc, info).export(exporter_context, length)

    def setup_sender(self, public: bytes, info: bytes) -> tuple[bytes, Context]:
        """SetupBaseS (§5.1.1)."""
        shared, enc = self.kem.encap(public)
        return enc, self.schedule(shared, info)

    def setup_receiver(self, private: bytes | KemKey, enc: bytes, info: bytes) -> Context:
        """SetupBaseR (§5.1.1)."""
        return self.schedule(self.kem.decap(private, enc), info)

    def schedule(self, shared: bytes, info: bytes) -> Context:
        """KeySchedule in base mode (§5.1) over the KEM's shared secret."""
        bound = self._bound(info)
        key, nonce, exporter = self._message(shared, bound)
        kdf = self.kdf
        if isinstance(kdf, Hkdf):
            exporter = self._expand(kdf, exporter, b"exp", bound, kdf.length)
        return Context(self, key, nonce, exporter)

    def _bound(self, info: bytes) -> bytes:
        """What the schedule binds its keys to (``key_schedule_context``)."""
        if isinstance(self.kdf, Hkdf):
            return self._context + bytes(self._extract(self.kdf, b"", b"info_hash", info))  # a hash, no secret
        return _BASE + _prefixed(b"") + _prefixed(info)

    def _message(self, shared: bytes, bound: bytes) -> tuple[Secret, Secret, Secret]:
        """§5.1: key and first nonce, and what the exporter secret comes from: with HKDF the schedule's own secret, of
        which one who sends a single message expands no more than it needs; else the exporter secret itself."""
        kdf, aead = self.kdf, self.aead
        if isinstance(kdf, Hkdf):
            secret = self._extract(kdf, shared, b"secret", b"")
            key = self._expand(kdf, secret, b"key", bound, aead.key_length)
            return key, self._expand(kdf, secret, b"base_nonce", bound, aead.nonce_length), secret
        secrets = _prefixed(b"") + _prefixed(shared)
        sizes = aead.key_length, aead.nonce_length
        secret = self._derive(kdf, secrets, b"secret", bound, sum(sizes) + kdf.length)
        return secret[: sizes[0]], secret[sizes[0] : sum(sizes)], secret[sum(sizes) :]

    def export(self, exporter_secret: bytes, exporter_context: bytes, length: int) -> Secret:
        """Context.Export (§5.3)."""
        if isinstance(self.kdf, Hkdf):
            return self._expand(self.kdf, exporter_secret, b"sec", exporter_context, length)
        return self._derive(self.kdf, exporter_secret, b"sec", exporter_context, length)

    def _extract(self, kdf: Hkdf, salt: bytes, label: bytes, ikm: bytes) -> Secret:
        return kdf.extract(salt, _VERSION + self.suite_id + label + ikm)

    def _expand(self, kdf: Hkdf, prk: bytes, label: bytes, info: bytes, length: int) -> Secret:
        return kdf.expand(prk, _two(length) + _VERSION + self.suite_id + label + info, length)

    def _derive(self, kdf: OneStage, ikm: bytes, label: bytes, context: bytes, length: int) -> Secret:
        return kdf.derive(ikm + _VERSION + self.suite_id + _prefixed(label) + _two(length) + context, length)


class Context:
    """One direction of an HPKE exchange: it counts, so no nonce comes twice. Not to be copied, not to be shared."""

    __slots__ = ("_exporter", "_hpke", "_key", "_nonce", "_sequence")

    def __init__(self, hpke: Hpke, key: Secret, nonce: Secret, exporter: Secret) -> None:
        self._hpke = hpke
        self._key = key
        self._nonce = nonce
        self._exporter = exporter
        self._sequence = 0

    def seal(self, aad: bytes, plaintext: bytes) -> bytes:
        """The next message's ciphertext. Raises Misuse once the counter is spent (§5.2)."""
        ciphertext = self._hpke.aead.seal(self._key, self._next(), aad, plaintext)
        self._sequence += 1
        return ciphertext

    def open(self, aad: bytes, ciphertext: bytes) -> bytes:
        """The next message's plaintext. A failure (CannotOpen) doesn't count as a message."""
        plaintext = self._hpke.aead.open(self._key, self._next(), aad, ciphertext)
        self._sequence += 1
        return plaintext

    def export(self, exporter_context: bytes, length: int) -> Secret:
        """``length`` secret bytes for another use (§5.3), at most 255 × Nh with HKDF."""
        return self._hpke.export(self._exporter, exporter_context, length)

    def _next(self) -> bytes:
        length = self._hpke.aead.nonce_length
        if not length:
            raise Misuse("an export-only HPKE suite neither seals nor opens (RFC 9180 §5.3)")
        if self._sequence >= (1 << (8 * length)) - 1:
            raise Misuse("an HPKE context has sent all its messages (RFC 9180 §5.2)")
        return (int.from_bytes(self._nonce, "big") ^ self._sequence).to_bytes(length, "big")


def _two(number: int) -> bytes:
    if not 0 <= number < 1 << 16:
        raise Misuse(f"{number} is no two-byte number")
    return number.to_bytes(2, "big")


def _prefixed(data: bytes) -> bytes:
    return _two(len(data)) + data
