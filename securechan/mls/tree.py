"""RFC 9420 §4, §7.7–§7.9: the public ratchet tree as a value.

A `RatchetTree` is an array of nodes that never changes; adding, updating, removing answer with the next tree, which
shares all nodes it didn't touch. Beside each node stands its tree hash, filled in when first asked for and dropped
along a changed leaf's path only, so that a commit in a tree of n leaves hashes O(log n) nodes.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice, pairwise
from typing import Annotated, Final

from securechan.codec import Opaque, Struct, decode, vec, write_vector
from securechan.crypto.suite import Suite
from securechan.errors import Invalid, Misuse
from securechan.mls.extensions import TREE_BOUND
from securechan.mls.nodes import LeafNode, Node, ParentNode, TreeSlot, parent_start
from securechan.mls.roll import Roll
from securechan.mls.row import Row
from securechan.mls.rules import Rule
from securechan.mls.treemath import (
    LeafIndex,
    NodeIndex,
    children,
    covers,
    direct_path,
    is_leaf,
    leaf_of,
    leaves_under,
    left,
    level,
    node_of,
    parent,
    right,
    root,
    width,
)

MAX_LEAVES: Final = 1 << 17  # a bound against hostile trees; far above any community

_Slots = Annotated[tuple[TreeSlot | None, ...], vec(max=TREE_BOUND)]
_ABSENT: Final = b"\x00"
_PRESENT: Final = b"\x01"


class ParentHashInput(Struct):
    """§7.9."""

    encryption_key: Opaque
    parent_hash: Opaque
    original_sibling_tree_hash: Opaque


def parent_hash(suite: Suite, start: bytes, original_sibling: bytes) -> bytes:
    """§7.9: the hash of a `ParentHashInput`, whose ``start`` is `parent_start` of the node."""
    out = bytearray(start)
    write_vector(out, original_sibling)
    return suite.hash(out)


class RatchetTree:
    """A tree of 2^d leaves. ``nodes[i]`` is the node at index i, None where blank."""

    __slots__ = ("_fresh", "_hashes", "_roll", "nodes", "suite")

    def __init__(
        self,
        suite: Suite,
        nodes: Iterable[Node | None],
        hashes: Row[bytes | None] | None = None,
        roll: Roll | None = None,
        *,
        fresh: bool = False,
    ) -> None:
        self.suite = suite
        self.nodes: Row[Node | None] = nodes if isinstance(nodes, Row) else Row(nodes)
        self._roll = roll
        self._fresh = fresh  # from the wire, and all of it still to be checked
        # A cache that says nothing which the nodes don't.
        self._hashes: Row[bytes | None] = Row([None] * len(self.nodes)) if hashes is None else hashes

    def __eq__(self, other: object) -> bool:
        return isinstance(other, RatchetTree) and self.suite is other.suite and self.nodes == other.nodes

    def __hash__(self) -> int:
        return hash(self.tree_hash)

    def __repr__(self) -> str:
        return f"RatchetTree({self.leaf_count} leaves, {sum(1 for _ in self.members())} members)"

    # ------------------------------------------------------------------------------------------------------- looking

    @property
    def leaf_count(self) -> int:
        """Leaves, blank ones included: a power of two."""
        return (len(self.nodes) + 1) // 2

    @property
    def root(self) -> NodeIndex:
        return root(self.leaf_count)

    def leaf(self, index: LeafIndex) -> LeafNode | None:
        """The leaf there; None where it is blank or beyond the tree."""
        node = self.nodes[2 * index] if 0 <= index < self.leaf_count else None
        return node if isinstance(node, LeafNode) else None

    def parent(self, index: NodeIndex) -> ParentNode | None:
        node = self.nodes[index]
        return node if isinstance(node, ParentNode) else None

    @property
    def roll(self) -> Roll:
        """Which keys stand in the tree, counted when first asked for and carried along from then on."""
        if self._roll is None:
            self._roll = Roll.of(self.nodes)
        return self._roll

    def members(self) -> Iterator[tuple[LeafIndex, LeafNode]]:
        """All leaves that aren't blank, from left to right."""
        for index, node in enumerate(islice(self.nodes, 0, None, 2)):
            if isinstance(node, LeafNode):
                yield LeafIndex(index), node

    def parents(self) -> Iterator[ParentNode]:
        """All parents that aren't blank, from left to right."""
        return (node for node in islice(self.nodes, 1, None, 2) if isinstance(node, ParentNode))

    def direct_path(self, leaf: LeafIndex) -> list[NodeIndex]:
        return direct_path(node_of(leaf), self.leaf_count)

    def resolution(self, index: NodeIndex) -> list[NodeIndex]:
        """§4.1.1: the fewest nodes that together reach every member under ``index``."""
        top = self.nodes[index]
        if isinstance(top, ParentNode) and not top.unmerged_leaves:
            return [index]
        found: list[NodeIndex] = []
        todo = [index]
        while todo:
            at = todo.pop()
            node = self.nodes[at]
            if isinstance(node, ParentNode):
                found.append(at)
                found.extend(node_of(leaf) for leaf in node.unmerged_leaves)
            elif node is not None:
                found.append(at)
            elif not is_leaf(at):
                todo += (right(at), left(at))
        return found

    def is_empty(self, index: NodeIndex) -> bool:
        """Whether the resolution of ``index`` is empty: no member under it."""
        if self.nodes[index] is not None:
            return False
        span = (1 << level(index)) - 1
        return all(self.nodes[at] is None for at in range(index - span, index + span + 1))

    def filtered_path(self, leaf: LeafIndex) -> list[tuple[NodeIndex, NodeIndex]]:
        """§4.1.2: (ancestor, its child off the path) from the leaf's parent up, where that child reaches anybody."""
        path = []
        below, other = node_of(leaf), 2  # the bit in which siblings differ
        for up in self.direct_path(leaf):
            beside = NodeIndex(below ^ other)
            if not self.is_empty(beside):
                path.append((up, beside))
            below, other = up, other << 1
        return path

    # ------------------------------------------------------------------------------------------------------- hashing

    @property
    def tree_hash(self) -> bytes:
        """§7.8: the hash of the whole tree."""
        return self.node_hash(self.root)

    def node_hash(self, index: NodeIndex) -> bytes:
        """§7.8: the hash of the subtree under ``index``."""
        known = self._hashes[index]
        if known is None:
            node = self.nodes[index]
            if is_leaf(index):
                known = self._leaf_hash(index, node)
            else:
                lower, upper = children(index)
                below = self._hashes[lower] or self.node_hash(lower), self._hashes[upper] or self.node_hash(upper)
                known = self._parent_hash(node, *below)
            self._hashes.note(index, known)
            if node is not None and not self._fresh:
                node.settle()  # what is hashed is seldom wanted on the wire again, and would be half of the memory
        return known

    def _leaf_hash(self, index: NodeIndex, node: Node | None) -> bytes:
        head = b"\x01" + leaf_of(index).to_bytes(4, "big")
        return self.suite.hash(head + (_ABSENT if node is None else _PRESENT + node.encode()))

    def _parent_hash(self, node: Node | None, left_hash: bytes, right_hash: bytes) -> bytes:
        out = bytearray(b"\x02")
        if node is None:
            out += _ABSENT
        else:
            out += _PRESENT
            out += node.encode()
        write_vector(out, left_hash)
        write_vector(out, right_hash)
        return self.suite.hash(out)

    def original_hash(self, index: NodeIndex, without: Sequence[LeafIndex]) -> bytes:
        """§7.9: the tree hash of ``index`` as it was before the leaves ``without`` (in order) were added."""
        under = leaves_under(index)
        here = without[bisect_left(without, under.start) : bisect_left(without, under.stop)]
        if not here:
            return self.node_hash(index)
        if is_leaf(index):
            return self._leaf_hash(index, None)
        node = self.nodes[index]
        if isinstance(node, ParentNode):
            kept = tuple(leaf for leaf in node.unmerged_leaves if leaf not in here)
            node = ParentNode(node.encryption_key, node.parent_hash, kept)
        return self._parent_hash(node, self.original_hash(left(index), here), self.original_hash(right(index), here))

    def parent_hash_of(self, index: NodeIndex, beside: NodeIndex) -> bytes:
        """§7.9: the parent hash that ``index`` gives to a child, ``beside`` being its other child."""
        node = self.parent(index)
        if node is None:
            raise Misuse(f"node {index} is blank and has no parent hash to give")
        original = self.original_hash(beside, node.unmerged_leaves)
        return parent_hash(self.suite, parent_start(node.encryption_key, node.parent_hash), original)

    # ------------------------------------------------------------------------------------------------------ changing

    def with_nodes(self, changes: Iterable[tuple[NodeIndex, Node | None]]) -> RatchetTree:
        """The tree with some nodes replaced; hashes above them are forgotten."""
        fresh = dict(changes)
        top = self.root
        stale: dict[int, None] = {}
        for index in fresh:
            at = index
            while at not in stale:
                stale[at] = None
                if at == top:
                    break
                at = parent(at)
        roll = self.roll.changed((self.nodes[index], node) for index, node in fresh.items())
        # The rows share hashes between trees: those of all nodes above a change stand in chunks of their own.
        hashes = self._hashes.replaced(stale.items())
        return RatchetTree(self.suite, self.nodes.replaced(fresh.items()), hashes, roll)

    def blank_path(self, leaf: LeafIndex, node: LeafNode | None) -> RatchetTree:
        """§12.1.2, §12.1.3: the leaf replaced or blanked, and all above it blanked."""
        return self.blank_paths([(leaf, node)])

    def blank_paths(self, leaves: Sequence[tuple[LeafIndex, LeafNode | None]]) -> RatchetTree:
        """§12.1.2, §12.1.3: several leaves replaced or blanked, and all above them blanked."""
        if not leaves:
            return self
        changes: dict[NodeIndex, Node | None] = {up: None for leaf, _ in leaves for up in self.direct_path(leaf)}
        changes |= {node_of(leaf): node for leaf, node in leaves}
        return self.with_nodes(changes.items())

    def free_leaf(self) -> LeafIndex:
        """§12.1.1: where the next member goes: the leftmost blank leaf, or the first one of a tree made larger."""
        leaves = list(islice(self.nodes, 0, None, 2))
        try:
            return LeafIndex(leaves.index(None))
        except ValueError:
            return LeafIndex(len(leaves))

    def with_room(self, members: int = 1) -> tuple[RatchetTree, list[LeafIndex]]:
        """§12.1.1: the tree, made larger until so many more fit, and their places: the leftmost blank leaves.

        Raises `Invalid` beyond the bound.
        """
        leaves = list(islice(self.nodes, 0, None, 2))
        count, blank = len(leaves), leaves.count(None)
        while blank < members:
            blank += count
            count *= 2
        free = (LeafIndex(at) for at in range(count) if at >= len(leaves) or leaves[at] is None)
        return self.grown(count), list(islice(free, members))

    def grown(self, leaves: int) -> RatchetTree:
        """§7.7: the tree with room for at least so many leaves. Raises `Invalid` beyond the bound."""
        count = self.leaf_count
        while count < leaves:
            count *= 2
        if count == self.leaf_count:
            return self
        if count > MAX_LEAVES:
            raise Invalid(f"a tree has at most {MAX_LEAVES} leaves", rule=Rule.LEAVES)
        more = width(count) - len(self.nodes)
        hashes = Row([*self._hashes, *[None] * more])
        return RatchetTree(self.suite, [*self.nodes, *[None] * more], hashes, self._roll)

    def add(self, node: LeafNode) -> tuple[RatchetTree, LeafIndex]:
        """§12.1.1: the tree with one more member, and where it stands. Raises `Invalid` beyond the bound."""
        tree, (at,) = self.add_all([node])
        return tree, at

    def add_all(self, nodes: Sequence[LeafNode]) -> tuple[RatchetTree, list[LeafIndex]]:
        """§12.1.1: the tree with more members, and where they stand, in order. Raises `Invalid` beyond the bound."""
        if not nodes:
            return self, []
        tree, places = self.with_room(len(nodes))
        unmerged: dict[NodeIndex, list[LeafIndex]] = {}
        for at in places:
            for up in tree.direct_path(at):
                unmerged.setdefault(up, []).append(at)
        changes: list[tuple[NodeIndex, Node | None]] = [
            (node_of(at), node) for at, node in zip(places, nodes, strict=True)
        ]
        for up, new in unmerged.items():
            above = tree.parent(up)
            if above is not None:
                listed = tuple(sorted((*above.unmerged_leaves, *new)))
                changes.append((up, ParentNode(above.encryption_key, above.parent_hash, listed)))
        return tree.with_nodes(changes), places

    def remove(self, leaf: LeafIndex) -> RatchetTree:
        """§12.1.3: the tree without that member, as small as its last member allows (§7.7)."""
        return self.blank_path(leaf, None).truncated()

    def truncated(self) -> RatchetTree:
        """§7.7: while the right half holds no member, only the left half remains."""
        size = len(self.nodes)
        while size > 1 and all(self.nodes[at] is None for at in range(size - 1, size // 2, -2)):
            size //= 2
        if size == len(self.nodes):
            return self
        more = any(self.nodes[at] is not None for at in range(size, len(self.nodes)))
        roll = None if more else self._roll  # parents without members: only in a tree not yet checked
        hashes = Row(islice(self._hashes, size))
        return RatchetTree(self.suite, islice(self.nodes, size), hashes, roll)

    # ------------------------------------------------------------------------------------------------ on the wire

    def encode(self) -> bytes:
        """§12.4.3.3: the content of a ``ratchet_tree`` extension, without the blanks at its end."""
        body = bytearray()
        blanks = 0
        for node in self.nodes:
            if node is None:
                blanks += 1
                continue
            body += b"\x00" * blanks
            blanks = 0
            body += b"\x01\x01" if isinstance(node, LeafNode) else b"\x01\x02"
            body += node.encode()
        out = bytearray()
        write_vector(out, body)
        return bytes(out)

    @classmethod
    def decode(cls, suite: Suite, data: bytes) -> RatchetTree:
        """From a ``ratchet_tree`` extension. Raises `Malformed`, and `Invalid` where a node stands out of place."""
        slots: tuple[TreeSlot | None, ...] = decode(_Slots, data)
        if not slots or slots[-1] is None:
            raise Invalid("a ratchet tree is empty or ends in a blank node", rule=Rule.TREE_ENDS)
        nodes = {index: slot.node for index, slot in enumerate(slots) if slot is not None}
        for index, node in nodes.items():
            if isinstance(node, LeafNode) != (index % 2 == 0):
                raise Invalid(f"node {index} of the ratchet tree is of the wrong kind", rule=Rule.TREE_KINDS)
        return cls.of_nodes(suite, nodes, fresh=True)

    def settle(self) -> None:
        """The tree was checked and stays: its nodes give back the memory of their wire forms."""
        self._fresh = False
        for node in self.nodes:
            if node is not None:
                node.settle()

    @classmethod
    def of_nodes(cls, suite: Suite, nodes: Mapping[int, Node], *, fresh: bool = False) -> RatchetTree:
        """The smallest tree that these nodes fit into, by index. Raises `Invalid` beyond the bound."""
        leaves, last = 1, max(nodes, default=0)
        while width(leaves) <= last:
            leaves *= 2
        if leaves > MAX_LEAVES:
            raise Invalid(f"a tree has at most {MAX_LEAVES} leaves", rule=Rule.LEAVES)
        return cls(suite, tuple(nodes.get(index) for index in range(width(leaves))), fresh=fresh)

    @classmethod
    def of_one(cls, suite: Suite, leaf: LeafNode) -> RatchetTree:
        """§11: a tree of a single member."""
        return cls(suite, (leaf,))

    # ------------------------------------------------------------------------------------------------------ checking

    def check_parent_hashes(self) -> None:
        """§7.9.2: every parent was made by a commit of a member now under it. Raises `Invalid`."""
        for index in range(1, len(self.nodes), 2):
            node = self.parent(NodeIndex(index))
            if node is not None and not self._is_covered(NodeIndex(index), node):
                raise Invalid(f"node {index} has no parent-hash link to a node below", rule=Rule.PARENT_HASHES)

    def _is_covered(self, index: NodeIndex, node: ParentNode) -> bool:
        unmerged = {node_of(leaf) for leaf in node.unmerged_leaves}
        for child, beside in ((left(index), right(index)), (right(index), left(index))):
            links = [at for at in self.resolution(child) if at not in unmerged]
            if len(links) == 1:
                below = self.nodes[links[0]]
                if below is not None and below.parent_hash and below.parent_hash == self.parent_hash_of(index, beside):
                    return True
        return False

    def check_unmerged(self) -> None:
        """§12.4.3.1: unmerged leaves are members below, in order, listed by all parents between. Raises `Invalid`."""
        for number in range(1, len(self.nodes), 2):
            index = NodeIndex(number)
            node = self.parent(index)
            if node is None:
                continue
            listed = node.unmerged_leaves
            if any(a >= b for a, b in pairwise(listed)):
                raise Invalid(f"node {index} lists unmerged leaves out of order", rule=Rule.UNMERGED_ORDER)
            for leaf in listed:
                if self.leaf(leaf) is None or not covers(index, node_of(leaf)):
                    raise Invalid(f"node {index} lists leaf {leaf}, no member below it", rule=Rule.UNMERGED_BELOW)
                for between in self.direct_path(leaf):
                    if between == index:
                        break
                    above = self.parent(between)
                    if above is not None and leaf not in above.unmerged_leaves:
                        raise Invalid(f"node {between} doesn't list leaf {leaf}", rule=Rule.UNMERGED_BETWEEN)
