"""RFC 9420 appendix C: where the nodes of a left-balanced binary tree lie in an array.

Leaves stand at the even places, parents at the odd ones; a node's level is the number of its trailing one bits. A tree
always has 2^d leaves and so 2^(d+1) - 1 nodes (§7.7), which makes every answer one line of arithmetic. Kinds of number
are kinds of type: a `LeafIndex` counts leaves, a `NodeIndex` counts all nodes.
"""

from __future__ import annotations

from typing import NewType

from securechan.codec import U32
from securechan.errors import Misuse

LeafIndex = NewType("LeafIndex", U32)
NodeIndex = NewType("NodeIndex", U32)


def node_of(leaf: LeafIndex) -> NodeIndex:
    """The node of a leaf."""
    return NodeIndex(2 * leaf)


def leaf_of(node: NodeIndex) -> LeafIndex:
    """The leaf of an even node."""
    if node & 1:
        raise Misuse(f"node {node} is no leaf")
    return LeafIndex(node >> 1)


def is_leaf(node: NodeIndex) -> bool:
    return not node & 1


def level(node: NodeIndex) -> int:
    """0 for a leaf, one more than its children for a parent."""
    return ((node + 1) & ~node).bit_length() - 1


def width(leaves: int) -> int:
    """How many nodes a tree of so many leaves (a power of two) has."""
    return 2 * leaves - 1


def root(leaves: int) -> NodeIndex:
    """The root of a tree of so many leaves (a power of two)."""
    return NodeIndex(leaves - 1)


def left(node: NodeIndex) -> NodeIndex:
    return NodeIndex(node - _reach(node))


def right(node: NodeIndex) -> NodeIndex:
    return NodeIndex(node + _reach(node))


def children(node: NodeIndex) -> tuple[NodeIndex, NodeIndex]:
    """Both, the left one first."""
    reach = _reach(node)
    return NodeIndex(node - reach), NodeIndex(node + reach)


def _reach(node: NodeIndex) -> int:
    """How far a parent's children lie from it: half of 2^level."""
    reach = ((node & ~(node + 1)) + 1) >> 1
    if not reach:
        raise Misuse(f"node {node} is a leaf and has no children")
    return reach


def parent(node: NodeIndex) -> NodeIndex:
    """The node above; that of a root is the root of the next larger tree."""
    k = level(node)
    return NodeIndex((node | (1 << k)) & ~(1 << (k + 1)))


def sibling(node: NodeIndex) -> NodeIndex:
    """The other child of the parent."""
    return NodeIndex(node ^ (2 << level(node)))


def direct_path(node: NodeIndex, leaves: int) -> list[NodeIndex]:
    """The ancestors, from the parent up to and including the root."""
    top = root(leaves)
    path = []
    step = 1 << level(node)  # the bit that a node has and its parent's first child hasn't
    while node != top:
        node = NodeIndex((node | step) & ~(step << 1))
        step <<= 1
        path.append(node)
    return path


def leaves_under(node: NodeIndex) -> range:
    """The leaf indices of the subtree."""
    span = node & ~(node + 1)
    return range((node - span) >> 1, ((node + span) >> 1) + 1)


def covers(ancestor: NodeIndex, node: NodeIndex) -> bool:
    """Whether ``node`` lies in the subtree of ``ancestor`` (itself included)."""
    span = ancestor & ~(ancestor + 1)  # the low one bits: 2^level - 1
    return ancestor - span <= node <= ancestor + span


def common_ancestor(a: LeafIndex, b: LeafIndex) -> NodeIndex:
    """The lowest node above both (§7.4); a leaf's own node where they are the same."""
    k = (a ^ b).bit_length()
    return NodeIndex(((a >> k) << (k + 1)) + (1 << k) - 1)
