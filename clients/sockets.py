"""Why a socket could not be had, in words for the person who waits for it.

What the system says (``[Errno 111] Connect call failed ('127.0.0.1', 1)``) is for programmers; an address may also have
failed in several ways at once, once for IPv4 and once for IPv6. Here it becomes a reason and what to do about it.
"""

from __future__ import annotations

import errno
import ipaddress
import os
import re
import socket
import ssl
from typing import Final

from securechan.errors import Unreachable

_NETWORK: Final = "check the network and the relay's address"
_KNOWN: Final[dict[int, tuple[str, str]]] = {
    errno.ECONNREFUSED: (
        "the connection was refused",
        "nothing listens there: is the relay running? check the network and the relay's address and port",
    ),
    errno.ENETUNREACH: ("there is no way to that network", _NETWORK),
    errno.EHOSTUNREACH: ("there is no way to that host", _NETWORK),
    errno.ECONNRESET: ("the connection was cut at once", "check the relay's address, and who stands between"),
    errno.ETIMEDOUT: ("it did not answer in time", _NETWORK),
}
_ONE_OF_SEVERAL: Final = re.compile(r"\[Errno (\d+)\]")


def unreachable(url: str, e: OSError) -> Unreachable:
    """The error of the house for a connection to ``url`` that failed with ``e``."""
    if isinstance(e, ssl.SSLCertVerificationError):
        return Unreachable(
            f"the TLS certificate of {url} is not good: {e.verify_message}",
            hint="check the relay's address and this machine's certificate store",
            code="tls",
        )
    if isinstance(e, ssl.SSLError):
        plain = e.reason in ("WRONG_VERSION_NUMBER", "RECORD_LAYER_FAILURE")
        said = "what answers there does not speak TLS" if plain else str(e.reason or e).replace("_", " ").lower()
        hint = "without TLS an address begins with ws://" if plain else "check the relay's address"
        return Unreachable(f"no TLS with {url}: {said}", hint=hint, code="tls")
    reason, hint = _reason(e)
    return Unreachable(f"no relay answers at {url}: {reason}", hint=hint)


def _reason(e: OSError) -> tuple[str, str]:
    if isinstance(e, socket.gaierror):
        if e.errno == socket.EAI_AGAIN:
            return "its name can't be looked up now", "check the network: no name server (DNS) answers"
        return "there is no host of that name", "check the relay's address"
    if isinstance(e, TimeoutError):
        return _KNOWN[errno.ETIMEDOUT]
    numbers = [e.errno] if e.errno else [int(number) for number in _ONE_OF_SEVERAL.findall(str(e))]
    found = list(dict.fromkeys(_KNOWN.get(number, (os.strerror(number).lower(), _NETWORK)) for number in numbers))
    if not found:
        return str(e) or type(e).__name__, _NETWORK
    return "; ".join(reason for reason, _ in found), found[0][1]


def is_address(host: str) -> bool:
    """Whether a host is named by its IP address."""
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True
