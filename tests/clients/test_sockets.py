"""clients/sockets.py: a failed connection says why, and no line of it is the system's own jargon."""

from __future__ import annotations

import asyncio
import errno
import socket
import ssl

import pytest

from clients.sockets import unreachable

URL = "wss://relay.example.int"


@pytest.mark.parametrize(
    ("error", "said", "hint"),
    [
        (ConnectionRefusedError(errno.ECONNREFUSED, "Connect call failed ('::1', 1, 0, 0)"), "refused", "running"),
        (OSError(errno.ENETUNREACH, "Network is unreachable"), "no way to that network", "network"),
        (OSError(errno.EHOSTUNREACH, "No route to host"), "no way to that host", "network"),
        (ConnectionResetError(errno.ECONNRESET, "Connection reset by peer"), "cut at once", "address"),
        (TimeoutError("timed out"), "in time", "network"),
        (TimeoutError(errno.ETIMEDOUT, "Connection timed out"), "in time", "network"),
        (socket.gaierror(socket.EAI_NONAME, "Name or service not known"), "no host of that name", "address"),
        (socket.gaierror(socket.EAI_AGAIN, "Temporary failure"), "looked up now", "DNS"),
        (OSError(errno.EPERM, "x"), "operation not permitted", "network"),
        (OSError("something of its own"), "something of its own", "network"),
        (OSError(), "OSError", "network"),
    ],
)
def test_each_failure_has_its_words(error: OSError, said: str, hint: str) -> None:
    told = unreachable(URL, error)
    assert told.message.startswith(f"no relay answers at {URL}: ")
    assert said in told.message
    assert hint in told.hint
    assert "Errno" not in told.message
    assert "Connect call" not in told.message


def test_an_address_that_failed_in_two_ways() -> None:
    both = OSError("Multiple exceptions: [Errno 111] Connect call failed ('::1', 1), [Errno 101] Network unreachable")
    assert unreachable(URL, both).message.endswith("the connection was refused; there is no way to that network")


@pytest.mark.parametrize(
    ("reason", "said", "hint"),
    [("WRONG_VERSION_NUMBER", "does not speak TLS", "ws://"), ("TLSV1_ALERT_INTERNAL_ERROR", "tlsv1 alert", "address")],
)
def test_tls(reason: str, said: str, hint: str) -> None:
    error = ssl.SSLError(1, "[SSL] x")
    error.reason = reason
    told = unreachable(URL, error)
    assert (told.code, said in told.message, hint in told.hint) == ("tls", True, True)


def test_a_certificate() -> None:
    error = ssl.SSLCertVerificationError(1, "x")
    error.verify_message = "self-signed certificate"
    told = unreachable(URL, error)
    assert "self-signed certificate" in told.message
    assert "certificate store" in told.hint


def test_a_real_refusal() -> None:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]

    async def try_it() -> None:
        await asyncio.open_connection("localhost", port)

    with pytest.raises(OSError) as caught:  # noqa: PT011 - which one, is the system's
        asyncio.run(try_it())
    assert unreachable(URL, caught.value).message.endswith("the connection was refused")
