"""Does the TLS at an address take a post-quantum key exchange? One question, asked without finishing a handshake.

    → ClientHello (TLS 1.3, X25519MLKEM768 as its only group, no key share)
    ← HelloRetryRequest that names that group: yes          ← an alert: no
    ← nothing, where it answers the same with X25519: no    (asyncio's servers hang up without an alert)

Before Python 3.15 nothing tells which group a connection agreed on. A server that takes the group, and a library here
that offers it first, agree on it. RFC 8446 §4.1.2, §4.1.4, §4.2.7, §4.2.8 (a client may send no share and be asked for
one); draft-ietf-tls-ecdhe-mlkem for the group.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
from typing import Final
from urllib.parse import urlsplit

from clients.line import Line
from clients.sockets import is_address
from securechan.errors import SecurechanError

PATIENCE: Final = 5.0  # seconds
X25519_MLKEM768: Final = 0x11EC
X25519: Final = 0x001D
_RETRY: Final = bytes.fromhex("cf21ad74e59a6111be1d8c021e65b891c2a211167abb8c5e079e09e2c8a8339c")
_SCHEMES: Final = (0x0403, 0x0503, 0x0804, 0x0805, 0x0806, 0x0401, 0x0501, 0x0601, 0x0807)
_ALERT: Final = 21
_HANDSHAKE: Final = 22
_LONGEST: Final = 1 << 14  # bytes of a record


async def takes_post_quantum(url: str, line: Line) -> bool | None:
    """Whether the server at ``url`` (``wss://…``) takes X25519MLKEM768; None where that can't be found out."""
    taken = await _takes(url, line, X25519_MLKEM768)
    if taken is None and await _takes(url, line, X25519):
        return False
    return taken


async def _takes(url: str, line: Line, group: int) -> bool | None:
    parts = urlsplit(url)
    host, port = parts.hostname or "", parts.port or 443
    writer: asyncio.StreamWriter | None = None
    try:
        async with asyncio.timeout(PATIENCE):
            connected = await line.dial(url)
            if connected is None:
                reader, writer = await asyncio.open_connection(host, port)
            else:
                reader, writer = await asyncio.open_connection(sock=connected)
            writer.write(hello(host, group))
            kind, _, _, high, low = await reader.readexactly(5)
            length = high << 8 | low
            return None if length > _LONGEST else answered(kind, await reader.readexactly(length), group)
    except (SecurechanError, OSError, TimeoutError, asyncio.IncompleteReadError):
        return None
    finally:
        if writer is not None:
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()


def hello(host: str, group: int) -> bytes:
    """The ClientHello's record."""
    extensions = [
        (10, _list(2, _numbers(group))),  # supported_groups
        (13, _list(2, _numbers(*_SCHEMES))),  # signature_algorithms
        (43, _list(1, _numbers(0x0304))),  # supported_versions: TLS 1.3 alone
        (51, _list(2, b"")),  # key_share: none, so that the server asks for one
    ]
    with contextlib.suppress(ValueError, UnicodeError):
        if not is_address(host):
            extensions.append((0, _list(2, b"\0" + _list(2, host.encode("idna")))))  # server_name
    body = b"".join(
        (
            _numbers(0x0303),
            os.urandom(32),
            _list(1, os.urandom(32)),  # a session id, as middleboxes want it
            _list(2, _numbers(0x1301, 0x1302, 0x1303)),
            _list(1, b"\0"),
            _list(2, b"".join(_numbers(kind) + _list(2, content) for kind, content in extensions)),
        )
    )
    return bytes((_HANDSHAKE, 3, 1)) + _list(2, b"\x01" + _list(3, body))


def answered(kind: int, record: bytes, group: int) -> bool | None:
    """Whether the first record of the answer, of this type and content, asks for a share of ``group``."""
    if kind == _ALERT:
        return False
    if kind != _HANDSHAKE or len(record) < 40 or record[:1] != b"\x02" or record[6:38] != _RETRY:
        return None
    at = 39 + record[38] + 3  # session id, cipher suite, compression
    at, end = at + 2, at + 2 + int.from_bytes(record[at : at + 2], "big")
    while at + 4 <= min(end, len(record)):
        name, length = int.from_bytes(record[at : at + 2], "big"), int.from_bytes(record[at + 2 : at + 4], "big")
        if name == 51:
            return int.from_bytes(record[at + 4 : at + 6], "big") == group
        at += 4 + length
    return None


def _numbers(*values: int) -> bytes:
    return b"".join(value.to_bytes(2, "big") for value in values)


def _list(width: int, content: bytes) -> bytes:
    return len(content).to_bytes(width, "big") + content
