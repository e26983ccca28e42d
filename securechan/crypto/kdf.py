"""Key derivation: HKDF (RFC 5869) for everything we do, and the one-stage XOFs that HPKE also allows.

HPKE knows both kinds. A *two-stage* KDF extracts and then expands; a *one-stage* KDF takes everything at once
(draft-ietf-hpke-hpke §4, used with SHAKE128 and SHAKE256). Only HKDF serves MLS and our handshake.
"""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import dataclass, field
from typing import Final, Literal, Protocol

from securechan.crypto.secret import Secret
from securechan.errors import Misuse

HashName = Literal["sha256", "sha384", "sha512"]

_SIZES: Final[dict[HashName, int]] = {"sha256": 32, "sha384": 48, "sha512": 64}
_IDS: Final[dict[HashName, int]] = {"sha256": 0x0001, "sha384": 0x0002, "sha512": 0x0003}


@dataclass(frozen=True, slots=True)
class Hkdf:
    """HKDF with one hash. ``id`` is HPKE's number for it (RFC 9180 §7.2), ``length`` its Nh in bytes."""

    hash_name: HashName
    id: int = field(init=False)
    length: int = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "id", _IDS[self.hash_name])
        object.__setattr__(self, "length", _SIZES[self.hash_name])

    def extract(self, salt: bytes, ikm: bytes) -> Secret:
        """HKDF-Extract: Nh bytes. An empty salt stands for Nh zero bytes, which HMAC's own padding makes of it."""
        return Secret(hmac.digest(salt, ikm, self.hash_name))

    def expand(self, prk: bytes, info: bytes, length: int) -> Secret:
        """HKDF-Expand: ``length`` bytes, at most 255 × Nh (Misuse beyond)."""
        size = self.length
        if 0 < length <= size:  # one block is by far the common case
            return Secret(hmac.digest(prk, info + b"\x01", self.hash_name)[:length])
        if not 0 <= length <= 255 * size:
            raise Misuse(f"HKDF-Expand gives 0 to {255 * size} bytes, {length} were asked for")
        out, block = bytearray(), b""
        for counter in range(1, -(-length // size) + 1):
            block = hmac.digest(prk, block + info + bytes([counter]), self.hash_name)
            out += block
        return Secret(out[:length])


class OneStage(Protocol):
    """A KDF that takes everything at once: what HPKE needs to know of it."""

    @property
    def id(self) -> int:
        """HPKE's number"""

    @property
    def length(self) -> int:
        """Nh, in bytes"""

    def derive(self, ikm: bytes, length: int) -> Secret:
        """``length`` bytes from ``ikm``"""


@dataclass(frozen=True, slots=True)
class Shake:
    """A one-stage KDF: SHAKE128 (id 0x0010, Nh 32) or SHAKE256 (id 0x0011, Nh 64)."""

    bits: Literal[128, 256]

    @property
    def id(self) -> int:
        return 0x0010 if self.bits == 128 else 0x0011

    @property
    def length(self) -> int:
        return self.bits // 4

    def derive(self, ikm: bytes, length: int) -> Secret:
        """The first ``length`` bytes of the XOF over ``ikm``."""
        if length < 0:
            raise Misuse("a length is not negative")
        xof = hashlib.shake_128 if self.bits == 128 else hashlib.shake_256
        return Secret(xof(ikm).digest(length))


SHA256: Final = Hkdf("sha256")
SHA384: Final = Hkdf("sha384")
SHA512: Final = Hkdf("sha512")
SHAKE128: Final = Shake(128)
SHAKE256: Final = Shake(256)
