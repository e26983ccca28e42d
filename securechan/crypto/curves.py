"""The NIST curves of RFC 9420's suites 2, 5 and 7: one place for their points, scalars and orders (SEC 1, SEC 2)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from securechan.errors import Invalid, Misuse


@dataclass(frozen=True, slots=True)
class Curve:
    """A curve. ``size`` is that of a coordinate and of a scalar, in bytes; ``order`` is n."""

    name: str
    size: int
    order: int
    curve: ec.EllipticCurve

    @property
    def point_length(self) -> int:
        """Bytes of an uncompressed point."""
        return 1 + 2 * self.size

    def has(self, scalar: bytes) -> bool:
        """Whether these bytes are a private key: 0 < scalar < n."""
        return len(scalar) == self.size and 0 < int.from_bytes(scalar, "big") < self.order

    def private(self, scalar: bytes) -> ec.EllipticCurvePrivateKey:
        """Raises Misuse where ``scalar`` is none."""
        if not self.has(scalar):
            raise Misuse(f"a private key of {self.name} lies between 0 and the order of the curve")
        return ec.derive_private_key(int.from_bytes(scalar, "big"), self.curve)

    def public(self, point: bytes) -> ec.EllipticCurvePublicKey:
        """Raises Invalid unless ``point`` is an uncompressed point of the curve."""
        if point[:1] != b"\x04" or len(point) != self.point_length:
            raise Invalid(f"a public key of {self.name} is an uncompressed point", rule="RFC 9180 §7.1.1")
        try:
            return ec.EllipticCurvePublicKey.from_encoded_point(self.curve, point)
        except ValueError:
            raise Invalid(f"a public key of {self.name} is not on its curve", rule="RFC 9180 §7.1.4") from None

    @staticmethod
    def point(key: ec.EllipticCurvePrivateKey) -> bytes:
        """The public key, as an uncompressed point."""
        return key.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)


_N256: Final = "ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551"
_N384: Final = "f" * 48 + "c7634d81f4372ddf581a0db248b0a77aecec196accc52973"
_N521: Final = "01ff" + "f" * 63 + "a51868783bf2f966b7fcc0148f709a5d03bb5c9b8899c47aebb6fb71e91386409"

P256: Final = Curve("P-256", 32, int(_N256, 16), ec.SECP256R1())
P384: Final = Curve("P-384", 48, int(_N384, 16), ec.SECP384R1())
P521: Final = Curve("P-521", 66, int(_N521, 16), ec.SECP521R1())
