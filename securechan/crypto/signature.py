"""Signatures: who signs is one object, what for is its context, and to verify is to raise or to return.

    scheme                     private         public   signature        source
    ED25519                    32 (seed)           32          64        RFC 8032
    ED448                      57                  57         114        RFC 8032
    ECDSA_P256/P384/P521       32/48/66      65/97/133   DER, ≤ 72…139   RFC 9420 §5.1.2
    MLDSA44/65/87              32 (seed ξ)   1312/1952/2592   2420/3309/4627   FIPS 204, pure, hedged
    COMPOSITE                  64                1984        3373        id-MLDSA65-Ed25519-SHA512

The composite (draft-ietf-lamps-pq-composite-sigs) verifies only if both of its halves do, and its halves sign a framed
digest that neither would sign alone: so it is worth as much as the stronger half, and halves can't be lifted out.

Contexts are for domain separation. The schemes of RFC 9420 have none; they take ``b""`` and nothing else. A private key
is bytes, or a ``SigningKey`` that ``load`` made of them: expanding an ML-DSA key takes a sixth of a signature's time.
Public keys are bytes; those that came last are kept made up, since who speaks, speaks again.
"""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, mldsa

from securechan.crypto import curves
from securechan.crypto.curves import Curve
from securechan.crypto.secret import Secret
from securechan.errors import BadSignature, Invalid, Malformed, Misuse

# The primes, and y of every point whose order divides the cofactor (8 and 4).
_P25519: Final = 2**255 - 19
_P448: Final = 2**448 - 2**224 - 1
_Y8: Final = int("05fc536d880238b13933c6d305acdfd5f098eff289f4c345b027b2c28f95e826", 16)
_SMALL25519: Final = frozenset((0, 1, _P25519 - 1, _Y8, _P25519 - _Y8))
_SMALL448: Final = frozenset((0, 1, _P448 - 1))

_EdPublic = ed25519.Ed25519PublicKey | ed448.Ed448PublicKey
_EdPrivate = ed25519.Ed25519PrivateKey | ed448.Ed448PrivateKey
_MlDsaPublic = mldsa.MLDSA44PublicKey | mldsa.MLDSA65PublicKey | mldsa.MLDSA87PublicKey
_MlDsaPrivate = mldsa.MLDSA44PrivateKey | mldsa.MLDSA65PrivateKey | mldsa.MLDSA87PrivateKey


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class SigningKey:
    """A private key made ready for use. ``public`` is its other half."""

    scheme: Scheme
    private: Secret
    public: bytes
    parts: tuple[Any, ...]  # what the scheme's own _load put there

    def __repr__(self) -> str:
        return f"SigningKey({self.scheme.name})"


class Scheme(ABC):
    """One signature scheme; lengths in bytes (``signature_length`` is an upper bound for ECDSA, exact otherwise)."""

    name: str
    private_length: int
    public_length: int
    signature_length: int
    has_context: bool

    def __repr__(self) -> str:
        return f"<{self.name}>"

    def generate(self) -> tuple[Secret, bytes]:
        """A fresh key pair (private, public)."""
        key = self.load(Secret.random(self.private_length))
        return key.private, key.public

    def load(self, private: bytes | SigningKey) -> SigningKey:
        """A key object to keep; one that is loaded already is itself. Raises Misuse where ``private`` is no private key
        of this scheme."""
        if isinstance(private, SigningKey):
            if private.scheme is not self:
                raise Misuse(f"a key of {private.scheme.name} does not sign by {self.name}")
            return private
        if len(private) != self.private_length:
            raise Misuse(f"a private key of {self.name} has {self.private_length} bytes, not {len(private)}")
        return self._load(Secret(private))

    def public(self, private: bytes | SigningKey) -> bytes:
        """The public key that belongs to ``private``."""
        return self.load(private).public

    def check_public(self, public: bytes) -> None:
        """Raises Malformed (size) or Invalid (no such key)."""
        if len(public) != self.public_length:
            raise Malformed(f"a public key of {self.name} has {self.public_length} bytes, not {len(public)}")
        _kept(self, public)

    def sign(self, key: bytes | SigningKey, context: bytes, message: bytes) -> bytes:
        """A signature over ``message`` for the use that ``context`` (≤ 255 bytes) names."""
        self._check_context(context)
        return self._sign(self.load(key), context, message)

    def verify(self, public: bytes, context: bytes, message: bytes, signature: bytes) -> None:
        """Returns if the signature is good. Raises BadSignature; Malformed or Invalid where ``public`` is no key."""
        self._check_context(context)
        if len(public) != self.public_length:
            raise Malformed(f"a public key of {self.name} has {self.public_length} bytes, not {len(public)}")
        key = _kept(self, public)
        if not self._fits(signature) or not self._good(key, context, message, signature):
            raise BadSignature(
                f"a signature by {self.name} does not verify",
                hint="it was forged, altered, made for another use or by another key",
            )

    def _check_context(self, context: bytes) -> None:
        if context and not self.has_context:
            raise Misuse(f"{self.name} as RFC 9420 uses it has no context")
        if len(context) > 255:
            raise Misuse("a context has at most 255 bytes (FIPS 204 §5.2)")

    def _fits(self, signature: bytes) -> bool:
        return len(signature) == self.signature_length

    @abstractmethod
    def _load(self, private: Secret) -> SigningKey: ...
    @abstractmethod
    def made_up(self, public: bytes) -> Any:
        """A public key of the right length, made up for `_good`; it may be kept. Raises Invalid where it is no key."""

    @abstractmethod
    def _sign(self, key: SigningKey, context: bytes, message: bytes, /) -> bytes: ...
    @abstractmethod
    def _good(self, key: Any, context: bytes, message: bytes, signature: bytes, /) -> bool:
        """Whether the signature is good under what `made_up` made; sizes are checked."""


@lru_cache(maxsize=64)
def _kept(scheme: Scheme, public: bytes) -> Any:
    """The public keys used last, made up. Raises Invalid."""
    return scheme.made_up(public)


class EdDsa(Scheme):
    """Ed25519 or Ed448 as RFC 9420 uses them: pure, no context."""

    has_context = False

    def __init__(self, name: str, length: int) -> None:
        self.name = name
        self.private_length = self.public_length = length
        self.signature_length = 2 * length
        self._ed448 = length == 57

    def _load(self, private: Secret) -> SigningKey:
        cls = ed448.Ed448PrivateKey if self._ed448 else ed25519.Ed25519PrivateKey
        key = cls.from_private_bytes(private)
        return SigningKey(self, private, key.public_key().public_bytes_raw(), (key,))

    def made_up(self, public: bytes) -> _EdPublic:
        # OpenSSL takes both of these. Under a key of small order one signature fits any message, so that its holder
        # has signed nothing and everything; under two encodings of one key there are two names for one signer.
        prime, small = (_P448, _SMALL448) if self._ed448 else (_P25519, _SMALL25519)
        y = int.from_bytes(public, "little") & ((1 << (8 * self.public_length - 1)) - 1)
        if y >= prime:
            raise Invalid(f"a public key of {self.name} has its y below the prime", rule="RFC 8032 §5.1.3, §5.2.3")
        if y in small:
            raise Invalid(f"a public key of {self.name} has small order: it binds no message")
        cls = ed448.Ed448PublicKey if self._ed448 else ed25519.Ed25519PublicKey
        try:
            return cls.from_public_bytes(public)
        except ValueError:
            raise Invalid(f"no public key of {self.name}", rule="RFC 8032 §5") from None

    def _sign(self, key: SigningKey, _context: bytes, message: bytes, /) -> bytes:
        mine: _EdPrivate = key.parts[0]
        return mine.sign(message)

    def _good(self, key: _EdPublic, _context: bytes, message: bytes, signature: bytes, /) -> bool:
        try:
            key.verify(signature, message)
        except InvalidSignature:
            return False
        return True


class Ecdsa(Scheme):
    """ECDSA as RFC 9420 has it: uncompressed points, DER signatures, private keys as big-endian scalars."""

    has_context = False

    def __init__(self, curve: Curve, hashed: hashes.HashAlgorithm) -> None:
        self.name = f"ECDSA {curve.name}"
        self.private_length = curve.size
        self.public_length = curve.point_length
        # SEQUENCE of two INTEGERs, each with a sign byte at most; P-521's outer length takes two bytes.
        self.signature_length = 2 * (curve.size + 3) + 2 + (curve.size > 60)
        self._curve = curve
        self._algorithm = ec.ECDSA(hashed)

    def generate(self) -> tuple[Secret, bytes]:
        scalar = ec.generate_private_key(self._curve.curve).private_numbers().private_value
        key = self.load(Secret(scalar.to_bytes(self.private_length, "big")))
        return key.private, key.public

    def _load(self, private: Secret) -> SigningKey:
        key = self._curve.private(private)
        return SigningKey(self, private, self._curve.point(key), (key,))

    def made_up(self, public: bytes) -> ec.EllipticCurvePublicKey:
        return self._curve.public(public)

    def _fits(self, signature: bytes) -> bool:
        return len(signature) <= self.signature_length

    def _sign(self, key: SigningKey, _context: bytes, message: bytes, /) -> bytes:
        mine: ec.EllipticCurvePrivateKey = key.parts[0]
        return mine.sign(message, self._algorithm)

    def _good(self, key: ec.EllipticCurvePublicKey, _context: bytes, message: bytes, signature: bytes, /) -> bool:
        try:
            key.verify(signature, message, self._algorithm)
        except InvalidSignature:
            return False
        return True


class MlDsa(Scheme):
    """ML-DSA (FIPS 204): pure, hedged, private keys as the 32-byte seed ξ."""

    has_context = True
    private_length = 32

    def __init__(
        self,
        name: str,
        private: type[_MlDsaPrivate],
        public: type[_MlDsaPublic],
        public_length: int,
        signature_length: int,
    ) -> None:
        self.name = name
        self.public_length = public_length
        self.signature_length = signature_length
        self._private_type = private
        self._public_type = public

    def _load(self, private: Secret) -> SigningKey:
        key = self._private_type.from_seed_bytes(private)
        return SigningKey(self, private, key.public_key().public_bytes_raw(), (key,))

    def made_up(self, public: bytes) -> _MlDsaPublic:
        try:
            return self._public_type.from_public_bytes(public)
        except ValueError:
            raise Invalid(f"no public key of {self.name}", rule="FIPS 204 §7.2") from None

    def _sign(self, key: SigningKey, context: bytes, message: bytes, /) -> bytes:
        mine: _MlDsaPrivate = key.parts[0]
        return mine.sign(message, context)

    def _good(self, key: _MlDsaPublic, context: bytes, message: bytes, signature: bytes, /) -> bool:
        try:
            key.verify(signature, message, context)
        except InvalidSignature:
            return False
        return True


class Composite(Scheme):
    """``id-MLDSA65-Ed25519-SHA512``: M' = prefix ‖ label ‖ len(ctx) ‖ ctx ‖ SHA-512(M); both halves sign M'.

    Private key = ML-DSA seed ‖ Ed25519 seed; public key and signature = the ML-DSA half ‖ the Ed25519 half. ML-DSA's
    own context is the label.
    """

    name = "ML-DSA-65+Ed25519"
    has_context = True
    private_length = 32 + 32
    public_length = 1952 + 32
    signature_length = 3309 + 64
    _PREFIX = b"CompositeAlgorithmSignatures2025"
    _LABEL = b"COMPSIG-MLDSA65-Ed25519-SHA512"

    def _load(self, private: Secret) -> SigningKey:
        lattice = mldsa.MLDSA65PrivateKey.from_seed_bytes(private[:32])
        curve = ed25519.Ed25519PrivateKey.from_private_bytes(private[32:])
        public = lattice.public_key().public_bytes_raw() + curve.public_key().public_bytes_raw()
        return SigningKey(self, private, public, (lattice, curve))

    def made_up(self, public: bytes) -> tuple[mldsa.MLDSA65PublicKey, ed25519.Ed25519PublicKey]:
        return MLDSA65.made_up(public[:1952]), ED25519.made_up(public[1952:])  # type: ignore[return-value]  # of those rows

    def _framed(self, context: bytes, message: bytes) -> bytes:
        digest = hashlib.sha512(message).digest()
        return self._PREFIX + self._LABEL + bytes([len(context)]) + context + digest

    def _sign(self, key: SigningKey, context: bytes, message: bytes, /) -> bytes:
        lattice: mldsa.MLDSA65PrivateKey
        curve: ed25519.Ed25519PrivateKey
        lattice, curve = key.parts
        framed = self._framed(context, message)
        return lattice.sign(framed, self._LABEL) + curve.sign(framed)

    def _good(
        self,
        key: tuple[mldsa.MLDSA65PublicKey, ed25519.Ed25519PublicKey],
        context: bytes,
        message: bytes,
        signature: bytes,
        /,
    ) -> bool:
        lattice, curve = key
        framed = self._framed(context, message)
        try:
            lattice.verify(signature[:3309], framed, self._LABEL)
            curve.verify(signature[3309:], framed)
        except InvalidSignature:
            return False
        return True


ED25519: Final = EdDsa("Ed25519", 32)
ED448: Final = EdDsa("Ed448", 57)
ECDSA_P256: Final = Ecdsa(curves.P256, hashes.SHA256())
ECDSA_P384: Final = Ecdsa(curves.P384, hashes.SHA384())
ECDSA_P521: Final = Ecdsa(curves.P521, hashes.SHA512())
MLDSA44: Final = MlDsa("ML-DSA-44", mldsa.MLDSA44PrivateKey, mldsa.MLDSA44PublicKey, 1312, 2420)
MLDSA65: Final = MlDsa("ML-DSA-65", mldsa.MLDSA65PrivateKey, mldsa.MLDSA65PublicKey, 1952, 3309)
MLDSA87: Final = MlDsa("ML-DSA-87", mldsa.MLDSA87PrivateKey, mldsa.MLDSA87PublicKey, 2592, 4627)
COMPOSITE: Final = Composite()
