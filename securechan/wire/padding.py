"""How long things look: what an observer may learn from sizes.

A record's plaintext is filled with zero bytes up to a *bucket*, a handshake box up to a size of its own, so that a
short text, an acknowledgement and a ping look alike, and a guest looks like a device.

    content            bucket
    ≤ 256              256
    ≤ 4,096            the next power of two
    above              the next multiple of an eighth of the power of two below: at most 12.5 % is added

The zeros are checked: padding is no hiding place, and no two plaintexts carry one content at one length.
"""

from __future__ import annotations

from typing import Final, TypeVar

from securechan.codec import Reader, Struct
from securechan.errors import Malformed, Misuse

SMALLEST: Final = 256

S = TypeVar("S", bound=Struct)


def bucket(size: int) -> int:
    """The length in bytes to which ``size`` bytes are filled."""
    if size <= SMALLEST:
        return SMALLEST
    bits = (size - 1).bit_length()
    step = 1 << bits if bits <= 12 else 1 << (bits - 4)
    return -(-size // step) * step


def fill(content: bytes | bytearray, size: int) -> bytes:
    """``content`` and zero bytes, ``size`` in all. Raises `Misuse` where it is longer."""
    if len(content) > size:
        raise Misuse(f"{len(content)} bytes do not fit into {size}")
    return bytes(content).ljust(size, b"\0")


def unfill(kind: type[S], data: bytes) -> S:
    """The one value at the front of ``data``. Raises `Malformed` where anything but zero bytes follows."""
    r = Reader(data)
    value = kind.read_from(r)
    if data[r.pos :] != bytes(r.left):
        raise Malformed(f"{kind.__name__}: the padding from offset {r.pos} is not zero")
    return value
