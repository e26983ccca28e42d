"""The second implementation has the interface we think it has: 0.x of it had another."""

from __future__ import annotations

import pytest

from securechan.crypto import second


@pytest.mark.parametrize(
    ("name", "public", "private", "enc"), [("ml_kem_768", 1184, 2400, 1088), ("ml_kem_1024", 1568, 3168, 1568)]
)
def test_kems(name: str, public: int, private: int, enc: int) -> None:
    kem = second.kem(name)
    made = kem.keygen()
    assert tuple(map(len, made)) == (public, private)
    wrapped, shared = kem.encaps(made[0])
    assert (len(wrapped), len(shared)) == (enc, 32)
    assert kem.decaps(made[1], wrapped) == shared


@pytest.mark.parametrize("name", ["ml_dsa_44", "ml_dsa_65", "ml_dsa_87"])
def test_signatures(name: str) -> None:
    scheme = second.signature(name)
    public, private = scheme.keygen()
    signed = scheme.sign(private, b"message", b"context")
    scheme.verify(public, b"message", signed, b"context")
    for message, context in ((b"messagf", b"context"), (b"message", b"")):
        with pytest.raises(ValueError, match="verification failed"):
            scheme.verify(public, message, signed, context)
