"""The history chain of a topic: what two readers compare to know that they read the same log.

    H(0) = SHA-384(label ‖ " start" ‖ topic)
    H(n) = SHA-384(label ‖ H(n-1) ‖ kind ‖ id ‖ sequence ‖ length ‖ SHA-384(body))

Clients compute it for themselves; the relay computes it too, so that its signed heads convict it when they differ.
"""

from __future__ import annotations

import hashlib
import struct
from typing import Annotated, Final

from securechan.codec import U64, Struct, fixed

CHAIN_SIZE: Final = 48
LABEL: Final = b"securechan/1 chain"
_ENTRY: Final = struct.Struct(">B32sQQ")  # kind, id, sequence, length

ChainValue = Annotated[bytes, fixed(CHAIN_SIZE)]


class Position(Struct):
    """A place in a topic's log: the sequence number of an entry and the chain value after it. 56 bytes."""

    sequence: U64
    chain: ChainValue


def start(topic: bytes) -> Position:
    """The position before the first entry of ``topic`` (32 bytes)."""
    return Position(0, hashlib.sha384(LABEL + b" start" + topic).digest())


def advance(position: Position, kind: int, entry_id: bytes, sequence: int, body: bytes) -> Position:
    """The position after one more entry. ``entry_id`` is 32 bytes."""
    about = _ENTRY.pack(kind, entry_id, sequence, len(body))
    joined = b"".join((LABEL, position.chain, about, hashlib.sha384(body).digest()))
    made = Position.__new__(Position)
    made.__dict__.update(sequence=sequence, chain=hashlib.sha384(joined).digest())  # which fit: __init__ checks nothing
    return made
