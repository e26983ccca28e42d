"""The second coat: TLS with a certificate of the operator's, around what is sealed already.

A certificate that is renewed is taken up by a reload: connections that are open keep the old one, new ones get the new.
Which key exchange TLS agrees on is the libraries' matter (OpenSSL 3.5 and later offer X25519MLKEM768 by themselves);
what must outlive it is sealed by the handshake inside.
"""

from __future__ import annotations

import ssl
from typing import Final

from cryptography import x509

from relay.config import Tls
from securechan.errors import Unfit

SOON: Final = 14 * 86_400  # seconds: who renews by themselves has done so by then


def expires(tls: Tls) -> int:
    """When the certificate's time is over, in Unix seconds. Raises `Unfit`."""
    try:
        return int(x509.load_pem_x509_certificate(tls.certificate.read_bytes()).not_valid_after_utc.timestamp())
    except (OSError, ValueError) as error:
        raise Unfit(f"tls: {tls.certificate} can't be read: {error}", hint="it must be PEM, the leaf first") from None


def warning(end: int, now: int) -> str:
    """What is to be said of a certificate that ends then; nothing while there is time."""
    left = end - now
    if left > SOON:
        return ""
    if left <= 0:
        return "the TLS certificate has expired: clients stay away"
    return f"the TLS certificate expires in {left // 86_400} d {left % 86_400 // 3600} h"


def context(tls: Tls) -> ssl.SSLContext:
    """What a server needs. Raises `Unfit` where certificate and key can't be used."""
    made = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    take_up(made, tls)
    return made


def renew(held: ssl.SSLContext, tls: Tls) -> None:
    """New connections through ``held`` get this certificate. Raises `Unfit`; then everything is as it was."""
    context(tls)  # a pair that doesn't fit would leave half of itself behind in the context that is in use
    take_up(held, tls)


def take_up(held: ssl.SSLContext, tls: Tls) -> None:
    """Load certificate and key. Raises `Unfit`."""
    try:
        held.load_cert_chain(tls.certificate, tls.key, password=_no_passphrase)
    except ssl.SSLError as error:
        raise Unfit(
            f"tls: {tls.certificate} and {tls.key} can't be used: {error.reason or error}",
            hint="the certificate's own PEM first, then the chain's; an unencrypted PEM key that belongs to it",
        ) from None
    except (OSError, ValueError) as error:
        raise Unfit(
            f"tls: {tls.certificate} and {tls.key} can't be read: {error}",
            hint="check the paths and who may read them; the key must not be encrypted",
        ) from None


def _no_passphrase() -> str:
    raise ValueError("the key is under a passphrase")
