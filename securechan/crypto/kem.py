"""Key encapsulation: DHKEM over five curves, ML-KEM, and X-Wing that joins the two kinds.

    number   KEM                 private            public   enc     ss
    0x0010   DHKEM P-256         32 (scalar)            65     65    32    RFC 9180 §4.1
    0x0011   DHKEM P-384         48                     97     97    48
    0x0012   DHKEM P-521         66                    133    133    64
    0x0020   DHKEM X25519        32                     32     32    32
    0x0021   DHKEM X448          56                     56     56    64
    0x0041   ML-KEM-768          64 (d ‖ z)           1184   1088    32    FIPS 203, draft-ietf-hpke-pq
    0x0042   ML-KEM-1024         64 (d ‖ z)           1568   1568    32
    0x647a   MLKEM768-X25519     32 (seed)            1216   1120    32    "X-Wing"
    0xf057   the same, numbered otherwise by rine-mls

How a key pair comes from keying material (**DeriveKeyPair**) differs between implementations of one and the same KEM,
so it is a value of the row (``rule``), and the suite table names it.

A private key is its bytes, or a ``KemKey`` that ``load`` made of them: expanding an ML-KEM key costs as much as using
it, so key objects that are used more than once are worth keeping.

Errors, the same for all: a public key or encapsulation of the wrong length is ``Malformed``; one that isn't a valid
point or key is ``Invalid``; a private key of the wrong length or range is ``Misuse``, as it is our own.
"""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final, Literal, assert_never

from cryptography.hazmat.primitives.asymmetric import ec, mlkem, x448, x25519

from securechan.crypto import curves, kdf
from securechan.crypto.curves import Curve
from securechan.crypto.kdf import Hkdf
from securechan.crypto.secret import Secret
from securechan.errors import Invalid, Malformed, Misuse

Rule = Literal["rfc9180", "hpke-pq", "cfrg", "raw", "f057"]

_VERSION: Final = b"HPKE-v1"
_XWING_LABEL: Final = bytes.fromhex("5c2e2f2f5e5c")

_MlKemPrivate = mlkem.MLKEM768PrivateKey | mlkem.MLKEM1024PrivateKey
_MlKemPublic = mlkem.MLKEM768PublicKey | mlkem.MLKEM1024PublicKey


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class KemKey:
    """A private key made ready for use: keep it to decapsulate at half the cost. ``public`` is its other half."""

    kem: Kem
    private: Secret
    public: bytes
    parts: tuple[Any, ...]  # what the KEM's own _load put there

    def __repr__(self) -> str:
        return f"KemKey({self.kem.name})"


class Kem(ABC):
    """One KEM with its DeriveKeyPair rule; sizes in bytes, names as in RFC 9180 §4 and §7.1."""

    id: int
    name: str
    rule: Rule
    secret_length: int
    enc_length: int
    public_length: int
    private_length: int

    def __repr__(self) -> str:
        return f"<{self.name}, {self.rule}>"

    @property
    def suite_id(self) -> bytes:
        """What binds derivations inside the KEM to it: ``"KEM" ‖ I2(id)``."""
        return b"KEM" + self.id.to_bytes(2, "big")

    def load(self, private: bytes) -> KemKey:
        """A key object to keep. Raises Misuse where ``private`` is no private key of this KEM."""
        if len(private) != self.private_length:
            raise Misuse(f"a private key of {self.name} has {self.private_length} bytes, not {len(private)}")
        return self._load(Secret(private))

    def generate(self) -> tuple[Secret, bytes]:
        """A fresh key pair (private, public)."""
        key = self.fresh()
        return key.private, key.public

    def fresh(self) -> KemKey:
        """As ``generate``, but the key object made on the way."""
        return self.derive_key(Secret.random(max(self.private_length, 64)))

    def derive_key_pair(self, ikm: bytes) -> tuple[Secret, bytes]:
        """DeriveKeyPair (RFC 9180 §4): the key pair (private, public) that ``ikm`` stands for, by this row's rule."""
        key = self.derive_key(ikm)
        return key.private, key.public

    def derive_key(self, ikm: bytes) -> KemKey:
        """As ``derive_key_pair``, but the key object made on the way."""
        return self.load(self._derive(ikm))

    def public(self, private: bytes | KemKey) -> bytes:
        """The public key that belongs to ``private``."""
        return self._key(private).public

    def check_public(self, public: bytes) -> None:
        """Raises Malformed or Invalid where ``public`` is no public key of this KEM."""
        self._sized(public, self.public_length, "a public key")
        self._check_public(public)

    def encap(self, public: bytes) -> tuple[Secret, bytes]:
        """A fresh shared secret and its encapsulation to ``public``."""
        self._sized(public, self.public_length, "a public key")
        return self._encap(public)

    def decap(self, private: bytes | KemKey, enc: bytes) -> Secret:
        """The shared secret in ``enc``. ML-KEM never fails here: what wasn't made for this key gives another secret."""
        key = self._key(private)
        self._sized(enc, self.enc_length, "an encapsulation")
        return self._decap(key, enc)

    def _key(self, private: bytes | KemKey) -> KemKey:
        if not isinstance(private, KemKey):
            return self.load(private)
        if private.kem is not self:
            raise Misuse(f"a key of {private.kem!r} is no key of {self!r}")
        return private

    def _sized(self, data: bytes, length: int, what: str) -> None:
        if len(data) != length:
            raise Malformed(f"{what} of {self.name} has {length} bytes, not {len(data)}")

    def _derive(self, ikm: bytes) -> Secret:
        """The private key that ``ikm`` stands for, for the KEMs whose private keys are seeds."""
        length = self.private_length
        match self.rule:
            case "hpke-pq":  # LabeledDerive of SHAKE256 with an empty context
                label = b"DeriveKeyPair"
                prefixed = len(label).to_bytes(2, "big") + label + length.to_bytes(2, "big")
                return Secret(hashlib.shake_256(b"".join((ikm, _VERSION, self.suite_id, prefixed))).digest(length))
            case "cfrg":
                return Secret(hashlib.shake_256(ikm).digest(length))
            case "raw":
                if len(ikm) != length:
                    raise Misuse(
                        f"this row's keying material is the private key itself: {length} bytes, not {len(ikm)}"
                    )
                return Secret(ikm)
            case "f057":
                prk = kdf.SHA256.extract(b"", _VERSION + self.suite_id + b"dkp_prk" + ikm)
                return Secret(hashlib.shake_256(prk).digest(length))
            case "rfc9180":
                raise Misuse(f"RFC 9180 gives {self.name} no DeriveKeyPair")
            case _:
                assert_never(self.rule)

    @abstractmethod
    def _load(self, private: Secret) -> KemKey: ...
    @abstractmethod
    def _check_public(self, public: bytes) -> None: ...
    @abstractmethod
    def _encap(self, public: bytes) -> tuple[Secret, bytes]: ...
    @abstractmethod
    def _decap(self, key: KemKey, enc: bytes) -> Secret: ...


class DhKem(Kem):
    """DHKEM (RFC 9180 §4.1): a Diffie-Hellman secret, bound by HKDF to both public keys."""

    rule = "rfc9180"

    def __init__(self, number: int, name: str, hkdf: Hkdf, public_length: int, private_length: int) -> None:
        self.id = number
        self.name = name
        self.hkdf = hkdf
        self.secret_length = hkdf.length
        self.public_length = self.enc_length = public_length
        self.private_length = private_length

    @abstractmethod
    def _exchange(self, key: KemKey, public: bytes) -> bytes:
        """The Diffie-Hellman secret; raises Invalid for a bad point or an all-zero secret (RFC 9180 §7.1.4)."""

    def _extract(self, label: bytes, ikm: bytes) -> Secret:
        return self.hkdf.extract(b"", _VERSION + self.suite_id + label + ikm)

    def _expand(self, prk: bytes, label: bytes, info: bytes, length: int) -> Secret:
        labelled = length.to_bytes(2, "big") + _VERSION + self.suite_id + label + info
        return self.hkdf.expand(prk, labelled, length)

    def _derive(self, ikm: bytes) -> Secret:
        return self._expand(self._extract(b"dkp_prk", ikm), b"sk", b"", self.private_length)

    def _encap(self, public: bytes) -> tuple[Secret, bytes]:
        return self.encap_with(self.fresh(), public)

    def encap_with(self, ephemeral: KemKey, public: bytes) -> tuple[Secret, bytes]:
        """Encap with an ephemeral key of the caller's choice. Use it once: this is for known-answer tests."""
        enc = ephemeral.public
        return self._shared(self._exchange(ephemeral, public), enc, public), enc

    def _decap(self, key: KemKey, enc: bytes) -> Secret:
        return self._shared(self._exchange(key, enc), enc, key.public)

    def _shared(self, dh: bytes, enc: bytes, public: bytes) -> Secret:
        return self._expand(self._extract(b"eae_prk", dh), b"shared_secret", enc + public, self.secret_length)


class MontgomeryKem(DhKem):
    """DHKEM over X25519 or X448 (RFC 7748)."""

    def __init__(self, number: int, name: str, hkdf: Hkdf, length: int) -> None:
        super().__init__(number, name, hkdf, length, length)
        self._x448 = length == 56

    def _load(self, private: Secret) -> KemKey:
        cls = x448.X448PrivateKey if self._x448 else x25519.X25519PrivateKey
        key = cls.from_private_bytes(private)
        return KemKey(self, private, key.public_key().public_bytes_raw(), (key,))

    def fresh(self) -> KemKey:  # any bytes are a private key: no derivation needed
        return self._load(Secret.random(self.private_length))

    def _check_public(self, public: bytes) -> None:
        if not self._x448:
            if public in _SMALL:  # every secret with it is zero (RFC 7748 §6.1)
                raise _small_order(self.name)
            return
        # RFC 7748 takes any bytes; a point of small order shows itself only by a zero secret.
        self._exchange(_probe(self), public)

    def _exchange(self, key: KemKey, public: bytes) -> bytes:
        if not self._x448:
            return _x25519(key.parts[0], public, self.name)
        mine: x448.X448PrivateKey = key.parts[0]
        try:
            return mine.exchange(x448.X448PublicKey.from_public_bytes(public))
        except ValueError:
            raise _small_order(self.name) from None


class NistKem(DhKem):
    """DHKEM over P-256, P-384 or P-521; public keys are uncompressed points (RFC 9180 §7.1.1)."""

    def __init__(self, number: int, hkdf: Hkdf, curve: Curve) -> None:
        super().__init__(number, f"DHKEM {curve.name}", hkdf, curve.point_length, curve.size)
        self.curve = curve

    def _load(self, private: Secret) -> KemKey:
        key = self.curve.private(private)
        return KemKey(self, private, self.curve.point(key), (key,))

    def _derive(self, ikm: bytes) -> Secret:
        prk = self._extract(b"dkp_prk", ikm)
        mask = 0x01 if self.curve.size == 66 else 0xFF
        for counter in range(256):
            candidate = self._expand(prk, b"candidate", bytes([counter]), self.private_length)
            candidate = bytes([candidate[0] & mask]) + candidate[1:]
            if self.curve.has(candidate):
                return candidate
        raise Invalid("no scalar of the curve in this keying material", rule="RFC 9180 §7.1.3")

    def _check_public(self, public: bytes) -> None:
        self.curve.public(public)

    def _exchange(self, key: KemKey, public: bytes) -> bytes:
        mine: ec.EllipticCurvePrivateKey = key.parts[0]
        return mine.exchange(ec.ECDH(), self.curve.public(public))


class MlKem(Kem):
    """ML-KEM-768 or ML-KEM-1024 (FIPS 203) as HPKE takes it: no further hashing; private keys are the seed d ‖ z."""

    private_length = 64
    secret_length = 32

    def __init__(self, number: int, bits: Literal[768, 1024], rule: Rule) -> None:
        self.id = number
        self.bits = bits
        self.name = f"ML-KEM-{bits}"
        self.rule = rule
        self.public_length, self.enc_length = (1184, 1088) if bits == 768 else (1568, 1568)

    def _load(self, private: Secret) -> KemKey:
        key = _mlkem_private(self.bits, private)
        return KemKey(self, private, key.public_key().public_bytes_raw(), (key,))

    def _check_public(self, public: bytes) -> None:
        _check_modulus(self.bits, public)

    def _encap(self, public: bytes) -> tuple[Secret, bytes]:
        secret, enc = _mlkem_public(self.bits, public).encapsulate()
        return Secret(secret), enc

    def _decap(self, key: KemKey, enc: bytes) -> Secret:
        mine: _MlKemPrivate = key.parts[0]
        return Secret(mine.decapsulate(enc))


class XWing(Kem):
    """MLKEM768-X25519: safe while either half is. ss = SHA3-256(ssM ‖ ssX ‖ ctX ‖ pkX ‖ label)."""

    private_length = 32
    secret_length = 32
    public_length = 1184 + 32
    enc_length = 1088 + 32

    def __init__(self, number: int, rule: Rule) -> None:
        self.id = number
        self.name = "MLKEM768-X25519"
        self.rule = rule

    def _load(self, private: Secret) -> KemKey:
        expanded = hashlib.shake_256(private).digest(96)
        lattice = mlkem.MLKEM768PrivateKey.from_seed_bytes(expanded[:64])
        curve = x25519.X25519PrivateKey.from_private_bytes(expanded[64:])
        public = lattice.public_key().public_bytes_raw() + curve.public_key().public_bytes_raw()
        return KemKey(self, private, public, (lattice, curve))

    def _check_public(self, public: bytes) -> None:
        _check_modulus(768, public[:1184])
        if public[1184:] in _SMALL:
            raise _small_order(self.name)

    def _encap(self, public: bytes) -> tuple[Secret, bytes]:
        lattice_secret, lattice_enc = _mlkem_public(768, public[:1184]).encapsulate()
        ephemeral = x25519.X25519PrivateKey.generate()
        theirs = public[1184:]
        curve_secret = _x25519(ephemeral, theirs, self.name)
        curve_enc = ephemeral.public_key().public_bytes_raw()
        return _combine(lattice_secret, curve_secret, curve_enc, theirs), lattice_enc + curve_enc

    def _decap(self, key: KemKey, enc: bytes) -> Secret:
        lattice: mlkem.MLKEM768PrivateKey
        curve: x25519.X25519PrivateKey
        lattice, curve = key.parts
        curve_enc = enc[1088:]
        curve_secret = _x25519(curve, curve_enc, self.name)
        return _combine(lattice.decapsulate(enc[:1088]), curve_secret, curve_enc, key.public[1184:])


def _combine(lattice: bytes, curve: bytes, curve_enc: bytes, curve_public: bytes) -> Secret:
    return Secret(hashlib.sha3_256(lattice + curve + curve_enc + curve_public + _XWING_LABEL).digest())


def _x25519(mine: x25519.X25519PrivateKey, public: bytes, name: str) -> bytes:
    try:
        return mine.exchange(x25519.X25519PublicKey.from_public_bytes(public))
    except ValueError:  # OpenSSL refuses the all-zero secret
        raise _small_order(name) from None


_P25519: Final = 2**255 - 19
# The u-coordinates whose order divides the cofactor: 0, ±1 and the two of order 8.
_ORDER8: Final = (
    int("00b8495f16056286fdb1329ceb8d09da6ac49ff1fae35616aeb8413b7c7aebe0", 16),
    int("57119fd0dd4e22d8868e1c58c45c44045bef839c55b1d0b1248c50a3bc959c5f", 16),
)
# In all the ways in which 32 bytes are read as one of them: modulo the prime, the top bit passed over (RFC 7748 §5).
_SMALL: Final = frozenset(
    (u + (top << 255)).to_bytes(32, "little")
    for least in (0, 1, _P25519 - 1, *_ORDER8)
    for u in range(least, 1 << 255, _P25519)
    for top in (0, 1)
)


def _small_order(name: str) -> Invalid:
    return Invalid(f"a point of {name} has small order: it would make the secret known", rule="RFC 9180 §7.1.4")


def _probe(kem: MontgomeryKem) -> KemKey:
    return kem.load(Secret.random(kem.private_length))


def _mlkem_private(bits: Literal[768, 1024], seed: bytes) -> _MlKemPrivate:
    if bits == 768:
        return mlkem.MLKEM768PrivateKey.from_seed_bytes(seed)
    return mlkem.MLKEM1024PrivateKey.from_seed_bytes(seed)


def _mlkem_public(bits: Literal[768, 1024], public: bytes) -> _MlKemPublic:
    try:
        if bits == 768:
            return mlkem.MLKEM768PublicKey.from_public_bytes(public)
        return mlkem.MLKEM1024PublicKey.from_public_bytes(public)
    except ValueError:  # the length was checked: what is left is the modulus check
        raise _beyond_modulus(bits) from None


_MODULUS: Final = 3329


@lru_cache(maxsize=2)
def _lanes(coefficients: int) -> tuple[int, int, int]:
    """For numbers of 12 bits in lanes of 24: (all bits of the numbers, what lifts 3329 to 2^12, the bits of 2^12)."""
    ones = sum(1 << (24 * at) for at in range(coefficients // 2))
    return 0xFFF * ones, (4096 - _MODULUS) * ones, 4096 * ones


def _check_modulus(bits: Literal[768, 1024], public: bytes) -> None:
    """FIPS 203 §7.2: every coefficient lies below the modulus, told for all at once and without making a key of it.

    Coefficients are 12-bit numbers, packed; every other one has room above it to carry into.
    """
    coefficients = bits  # 256 for each row of the module
    packed = int.from_bytes(public[: coefficients * 3 // 2], "little")
    numbers, lift, carry = _lanes(coefficients)
    if ((packed & numbers) + lift | (packed >> 12 & numbers) + lift) & carry:
        raise _beyond_modulus(bits)


def _beyond_modulus(bits: int) -> Invalid:
    return Invalid(f"a public key of ML-KEM-{bits} has a coefficient ≥ 3329", rule="FIPS 203 §7.2")


P256: Final = NistKem(0x0010, kdf.SHA256, curves.P256)
P384: Final = NistKem(0x0011, kdf.SHA384, curves.P384)
P521: Final = NistKem(0x0012, kdf.SHA512, curves.P521)
X25519: Final = MontgomeryKem(0x0020, "DHKEM X25519", kdf.SHA256, 32)
X448: Final = MontgomeryKem(0x0021, "DHKEM X448", kdf.SHA512, 56)
MLKEM768: Final = MlKem(0x0041, 768, "hpke-pq")
MLKEM1024: Final = MlKem(0x0042, 1024, "hpke-pq")
MLKEM1024_RAW: Final = MlKem(0x0042, 1024, "raw")
MLKEM768_X25519: Final = XWing(0x647A, "hpke-pq")
MLKEM768_X25519_CFRG: Final = XWing(0x647A, "cfrg")
MLKEM768_X25519_F057: Final = XWing(0xF057, "f057")
