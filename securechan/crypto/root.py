"""The root pair: SLH-DSA-SHA2-192s and Ed25519 over the same bytes, both must verify.

Root keys sign a few times a year and must hold for decades, so one half rests on nothing but a hash function (FIPS 205)
and the other covers for that half's young implementation. Signing takes about half a second and a signature has 16 KB:
nothing else uses it.

    private     128 = SLH-DSA key (96) ‖ Ed25519 seed (32)
    public       80 = SLH-DSA key (48) ‖ Ed25519 key (32)
    signature 16288 = SLH-DSA (16224) ‖ Ed25519 (64)

Both halves sign M' = label ‖ len(context) ‖ context ‖ message, and SLH-DSA's own context is the label: neither half
means anything elsewhere.
"""

from __future__ import annotations

from typing import Final

from securechan.crypto import second
from securechan.crypto.second import SecondSignature
from securechan.crypto.secret import Secret
from securechan.crypto.signature import ED25519, Scheme, SigningKey
from securechan.errors import BadSignature

_LABEL: Final = b"securechan/1 root pair SLH-DSA-SHA2-192s Ed25519"
_PUBLIC: Final = 48
_PRIVATE: Final = 96
_SIGNATURE: Final = 16224


def _slhdsa() -> SecondSignature:
    return second.signature("slh_dsa_sha2_192s")


class RootPair(Scheme):
    """The scheme of TUF root keys; sizes above, errors as of every scheme."""

    name = "SLH-DSA-SHA2-192s+Ed25519"
    has_context = True
    private_length = _PRIVATE + 32
    public_length = _PUBLIC + 32
    signature_length = _SIGNATURE + 64

    def generate(self) -> tuple[Secret, bytes]:
        """A fresh key pair (private, public); takes some 60 ms."""
        _, private = _slhdsa().keygen()
        key = self.load(Secret(private) + Secret.random(32))
        return key.private, key.public

    def _load(self, private: Secret) -> SigningKey:
        # FIPS 205 §9.1: sk = SK.seed ‖ SK.prf ‖ PK.seed ‖ PK.root, and pk is its second half.
        curve = ED25519.load(private[_PRIVATE:])
        return SigningKey(self, private, private[_PRIVATE - _PUBLIC : _PRIVATE] + curve.public, (curve,))

    def made_up(self, public: bytes) -> tuple[bytes, bytes]:
        hashed, curve = public[:_PUBLIC], public[_PUBLIC:]
        ED25519.check_public(curve)
        return hashed, curve

    def _sign(self, key: SigningKey, context: bytes, message: bytes, /) -> bytes:
        curve: SigningKey = key.parts[0]
        framed = _framed(context, message)
        slow = _slhdsa().sign(bytes(key.private[:_PRIVATE]), framed, _LABEL)
        signature = slow + ED25519.sign(curve, b"", framed)
        # A private key whose halves don't belong together would make signatures that nobody can verify.
        self.verify(key.public, context, message, signature)
        return signature

    def _good(self, key: tuple[bytes, bytes], context: bytes, message: bytes, signature: bytes, /) -> bool:
        hashed, curve = key
        framed = _framed(context, message)
        good = True
        try:
            _slhdsa().verify(hashed, framed, signature[:_SIGNATURE], _LABEL)
        except ValueError:
            good = False
        try:
            ED25519.verify(curve, b"", framed, signature[_SIGNATURE:])
        except BadSignature:
            good = False
        return good


def _framed(context: bytes, message: bytes) -> bytes:
    return _LABEL + bytes([len(context)]) + context + message


ROOT: Final = RootPair()
