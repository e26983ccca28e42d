"""Signed heads: one signature a second says where every topic of a relay ends.

    leaf    SHA-384(0x00 ‖ topic ‖ sequence u64 ‖ chain value)          the tree of RFC 6962 §2.1 with SHA-384:
    node    SHA-384(0x01 ‖ left ‖ right)                                no leaf can be passed off as a node

The relay signs (its name, the time, the number of leaves, the root). A reader gets the leaves of its own topics with
their paths and learns of the others nothing but how many there are. What is signed convicts: two valid heads of one
topic with the same sequence and different chain values, or one that a chain computed from the entries contradicts.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Annotated, Final

from securechan.codec import U32, U64, Struct, text
from securechan.crypto.contexts import HEAD
from securechan.crypto.signature import COMPOSITE
from securechan.errors import Invalid
from securechan.wire.chain import ChainValue, Position
from securechan.wire.frames import HeadLeaf, Heads

_MAX_PATH: Final = 32  # a batch has fewer than 2^32 leaves


class HeadsSigned(Struct):
    """What the relay's online key signs, in the context ``securechan/1 head``."""

    relay: Annotated[str, text(128)]
    time: U64  # Unix milliseconds
    count: U32
    root: ChainValue


def leaf_hash(topic: bytes, position: Position) -> bytes:
    """The hash of one topic's head."""
    return hashlib.sha384(b"\x00" + topic + position.sequence.to_bytes(8, "big") + position.chain).digest()


def _node(left: bytes, right: bytes) -> bytes:
    return hashlib.sha384(b"\x01" + left + right).digest()


class Tree:
    """A Merkle tree over at least one leaf hash; all levels are kept, so that paths cost nothing."""

    def __init__(self, leaves: Sequence[bytes]) -> None:
        if not leaves:
            raise Invalid("a tree of heads without a leaf")
        self._levels = [list(leaves)]
        while len(self._levels[-1]) > 1:
            below = self._levels[-1]
            above = [_node(below[i], below[i + 1]) for i in range(0, len(below) - 1, 2)]
            if len(below) % 2:
                above.append(below[-1])  # an odd one rises as it is: RFC 6962's shape
            self._levels.append(above)

    @property
    def root(self) -> bytes:
        return self._levels[-1][0]

    def path(self, index: int) -> tuple[bytes, ...]:
        """The siblings of a leaf, upwards; a level at which it has none gives none."""
        siblings = []
        for level in self._levels[:-1]:
            if index ^ 1 < len(level):
                siblings.append(level[index ^ 1])
            index //= 2
        return tuple(siblings)


def root_from(leaf: bytes, index: int, count: int, path: Sequence[bytes]) -> bytes:
    """The root that a leaf and its path lead to (RFC 9162 §2.1.3.2). Raises `Invalid` where they fit no tree of
    ``count`` leaves."""
    if index >= count or len(path) > _MAX_PATH:
        raise Invalid(f"head {index} of a batch of {count}")
    last, value, rest = count - 1, leaf, list(path)
    while last:
        if index % 2:
            value = _node(_take(rest), value)
        elif index < last:
            value = _node(value, _take(rest))
        index //= 2
        last //= 2
    if rest:
        raise Invalid("the path of a head is too long")
    return value


def _take(path: list[bytes]) -> bytes:
    if not path:
        raise Invalid("the path of a head is too short")
    return path.pop(0)


def signed_part(heads: Heads) -> bytes:
    """The bytes under the signature of ``heads``."""
    return HeadsSigned(heads.relay, heads.time, heads.count, heads.root).encode()


def verify_heads(heads: Heads, public: bytes, relay: str) -> dict[bytes, Position]:
    """The positions that ``heads`` proves, by topic. ``public`` is the online key (1,984 bytes) that trust gives for
    the relay of that name. Raises `Invalid` for another relay's heads or a leaf outside the tree, `BadSignature`."""
    if heads.relay != relay:
        raise Invalid(f"heads of another relay than {relay}")
    COMPOSITE.verify(public, HEAD, signed_part(heads), heads.signature)
    proved = {}
    for leaf in heads.leaves:
        position = Position(leaf.sequence, leaf.chain)
        if root_from(leaf_hash(leaf.topic, position), leaf.index, heads.count, leaf.path) != heads.root:
            raise Invalid("a head that is not in the signed batch")
        proved[leaf.topic] = position
    return proved


def head_leaf(tree: Tree, topic: bytes, position: Position, index: int) -> HeadLeaf:
    """The leaf of one topic as it is sent."""
    return HeadLeaf(topic, position.sequence, position.chain, index, tree.path(index))
