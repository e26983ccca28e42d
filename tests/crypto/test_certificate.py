"""Whose key a certificate is about, in the encoding of each signature scheme that X.509 knows."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, mldsa, rsa
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from securechan.crypto.certificate import subject_key
from securechan.crypto.signature import ECDSA_P256, ECDSA_P384, ECDSA_P521, ED448, ED25519, MLDSA44, MLDSA65, MLDSA87
from securechan.errors import Malformed


def certified(key: Any, digest: Any = None) -> bytes:
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "somebody")])
    since = datetime(2027, 1, 1, tzinfo=UTC)
    builder = x509.CertificateBuilder(name, name, key.public_key(), 1, since, since + timedelta(days=1))
    return builder.sign(key, digest).public_bytes(Encoding.DER)


@pytest.mark.parametrize(
    ("made", "scheme"),
    [
        (ed25519.Ed25519PrivateKey.generate, ED25519),
        (ed448.Ed448PrivateKey.generate, ED448),
        (mldsa.MLDSA44PrivateKey.generate, MLDSA44),
        (mldsa.MLDSA65PrivateKey.generate, MLDSA65),
        (mldsa.MLDSA87PrivateKey.generate, MLDSA87),
    ],
    ids=lambda value: getattr(value, "name", ""),
)
def test_a_raw_key(made: Any, scheme: Any) -> None:
    key = made()
    found = subject_key(certified(key))
    assert found == key.public_key().public_bytes_raw()
    assert len(found) == scheme.public_length


@pytest.mark.parametrize(
    ("curve", "scheme"), [(ec.SECP256R1(), ECDSA_P256), (ec.SECP384R1(), ECDSA_P384), (ec.SECP521R1(), ECDSA_P521)]
)
def test_a_point(curve: ec.EllipticCurve, scheme: Any) -> None:
    key = ec.generate_private_key(curve)
    found = subject_key(certified(key, SHA256()))
    assert found == key.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
    assert len(found) == scheme.public_length


def test_what_is_no_certificate_or_of_no_suite_is_malformed() -> None:
    good = certified(ed25519.Ed25519PrivateKey.generate())
    other = certified(rsa.generate_private_key(65537, 2048), SHA256())
    for bad in (b"", b"der", good[:-1], good + b"\0", other):
        with pytest.raises(Malformed):
            subject_key(bad)
