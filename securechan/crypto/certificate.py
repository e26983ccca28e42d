"""X.509, as far as a protocol needs it that carries certificates and leaves chains to others: whose key is this?"""

from __future__ import annotations

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.ed448 import Ed448PublicKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA44PublicKey, MLDSA65PublicKey, MLDSA87PublicKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from securechan.errors import Malformed


def subject_key(der: bytes) -> bytes:
    """The public key that a DER certificate is about, encoded as our signature schemes have it (RFC 9420 §5.1.1): raw,
    or an uncompressed point. Says nothing of who issued it. Raises `Malformed`, also for a key of another algorithm."""
    try:
        public = x509.load_der_x509_certificate(der).public_key()
    except (ValueError, TypeError, UnsupportedAlgorithm, x509.InvalidVersion):
        raise Malformed("not a certificate of a key that is known here") from None
    match public:
        case EllipticCurvePublicKey():
            return public.public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
        case Ed25519PublicKey() | Ed448PublicKey() | MLDSA44PublicKey() | MLDSA65PublicKey() | MLDSA87PublicKey():
            return public.public_bytes_raw()
        case _:
            raise Malformed("a certificate of a key that no suite here signs with")
