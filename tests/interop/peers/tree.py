"""As much of RFC 9420's presentation language as it takes to see who sits where, with the standard library alone.

The mls-rs bindings show a tree only as bytes and a sender only as an opaque object; their driver reads leaf numbers,
names and epochs here.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

PUBLIC_MESSAGE, PRIVATE_MESSAGE = 1, 2
LEAF, PARENT = 1, 2
MEMBER, COMMIT = 1, 3


@dataclass
class Reader:
    """A place in some bytes."""

    data: bytes
    at: int = 0

    def take(self, length: int) -> bytes:
        if self.at + length > len(self.data):
            raise ValueError("cut short")
        self.at += length
        return self.data[self.at - length : self.at]

    def number(self, length: int) -> int:
        return int.from_bytes(self.take(length), "big")

    def vector(self) -> bytes:
        """§2.1.2: a length of 1, 2 or 4 bytes, told apart by its first two bits, and so many bytes."""
        first = self.number(1)
        more = (1 << (first >> 6)) - 1
        return self.take(int.from_bytes(bytes([first & 0x3F]) + self.take(more), "big"))

    @property
    def ended(self) -> bool:
        return self.at == len(self.data)


@dataclass(frozen=True)
class Leaf:
    index: int
    identity: bytes
    signature_key: bytes


def leaves(tree: bytes) -> Iterator[Leaf]:
    """§7.8: the leaves of a ``ratchet_tree`` extension that aren't blank."""
    nodes = Reader(Reader(tree).vector())
    index = 0
    while not nodes.ended:
        if nodes.number(1):
            kind = nodes.number(1)
            if kind == LEAF:
                yield _leaf(nodes, index // 2)
            else:
                for _ in range(3):  # encryption key, parent hash, unmerged leaves
                    nodes.vector()
        index += 1


def _leaf(nodes: Reader, index: int) -> Leaf:
    """§7.2."""
    nodes.vector()
    signature_key = nodes.vector()
    if nodes.number(2) != 1:
        raise ValueError("not a basic credential")
    identity = nodes.vector()
    for _ in range(5):  # capabilities
        nodes.vector()
    source = nodes.number(1)
    if source == 1:
        nodes.take(16)  # lifetime
    elif source == 3:
        nodes.vector()  # parent hash
    nodes.vector()  # extensions
    nodes.vector()  # signature
    return Leaf(index, identity, signature_key)


@dataclass(frozen=True)
class Envelope:
    """What an MLSMessage of a group shows to all: §6."""

    private: bool
    group_id: bytes
    epoch: int
    sender: int | None  # the leaf of a member in a PublicMessage
    authenticated_data: bytes


def envelope(message: bytes) -> Envelope:
    reader = Reader(message)
    _, kind = reader.number(2), reader.number(2)
    if kind not in {PUBLIC_MESSAGE, PRIVATE_MESSAGE}:
        raise ValueError("not a message of a group")
    group_id, epoch = reader.vector(), reader.number(8)
    sender = None
    if kind == PUBLIC_MESSAGE:
        who = reader.number(1)
        if who == MEMBER:
            sender = reader.number(4)
        elif who == 2:
            reader.take(4)
    else:
        reader.number(1)
    return Envelope(kind == PRIVATE_MESSAGE, group_id, epoch, sender, reader.vector())
