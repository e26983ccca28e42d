"""The second implementation, seen through types.

pqcrypto makes its modules at run time and has no type information, so this is the one place that names it. It serves
for SLH-DSA, which OpenSSL's bindings lack, and for cross-checks of ML-KEM and ML-DSA (``selftest``, the tests); never
for a hot path. It is imported when first used: a client that only talks needs none of it.
"""

from __future__ import annotations

import importlib
from typing import Protocol, cast


class SecondKem(Protocol):
    """A KEM of pqcrypto; private keys are FIPS 203's expanded form, whose last 32 bytes are z."""

    def keygen(self) -> tuple[bytes, bytes]:
        """(public, private)"""

    def encaps(self, public: bytes, /) -> tuple[bytes, bytes]:
        """(enc, shared secret)"""

    def decaps(self, private: bytes, enc: bytes, /) -> bytes:
        """The shared secret"""


class SecondSignature(Protocol):
    """A signature scheme of pqcrypto. ``verify`` raises ValueError or its subclass InvalidSignatureError."""

    def keygen(self) -> tuple[bytes, bytes]:
        """(public, private)"""

    def sign(self, private: bytes, message: bytes, context: bytes, /) -> bytes:
        """A hedged signature"""

    def verify(self, public: bytes, message: bytes, signature: bytes, context: bytes, /) -> None:
        """Returns, or raises ValueError"""


def kem(name: str) -> SecondKem:
    """``ml_kem_768``, ``ml_kem_1024``."""
    return cast("SecondKem", getattr(importlib.import_module("pqcrypto.kem"), name))


def signature(name: str) -> SecondSignature:
    """``ml_dsa_44``, ``ml_dsa_65``, ``ml_dsa_87``, ``slh_dsa_sha2_192s``."""
    return cast("SecondSignature", getattr(importlib.import_module("pqcrypto.sign"), name))
