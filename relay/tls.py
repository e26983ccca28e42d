"""The second coat: TLS with a certificate of the operator's, around what is sealed already.

A certificate that is renewed is taken up by a reload: connections that are open keep the old one, new ones get the new.
Which key exchange TLS agrees on is the libraries' matter (OpenSSL 3.5 and later offer X25519MLKEM768 by themselves);
what must outlive it is sealed by the handshake inside.
"""

from __future__ import annotations

import ssl

from relay.config import Tls
from securechan.errors import Unfit


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
