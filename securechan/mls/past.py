"""RFC 9420 §9.2, §15.3: epochs gone by, kept for application messages that come late.

What is kept of an epoch is what opens such a message and no more: its context, the secret of the sender data, who was a
member, and the ratchets, of which each key goes with its message. Nothing of a past epoch seals, commits or joins.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated

from securechan.codec import U32, Struct, opaque, vec
from securechan.crypto.secret import Secret
from securechan.errors import Malformed
from securechan.mls.context import GroupContext
from securechan.mls.extensions import TREE_BOUND
from securechan.mls.labels import SecretBytes
from securechan.mls.nodes import LeafNode
from securechan.mls.ratchets import Ratchets
from securechan.mls.tree import RatchetTree
from securechan.mls.treemath import LeafIndex

if TYPE_CHECKING:
    from securechan.mls.group import Group


class Then(Struct):
    """A leaf as it was in that epoch, where it isn't so now; None where it was blank."""

    leaf: U32
    node: LeafNode | None


class PastState(Struct):
    """How a past epoch is kept at rest: beside the tree of the group's epoch, from which most of its leaves come."""

    context: GroupContext
    sender_data: SecretBytes
    own_leaf: U32
    differing: Annotated[tuple[Then, ...], vec(max=TREE_BOUND)]
    ratchets: Annotated[bytes, opaque(max=1 << 29)] = field(repr=False)


@dataclass(frozen=True, slots=True)
class PastEpoch:
    """An epoch that is closed."""

    context: GroupContext
    sender_data: Secret
    own_leaf: LeafIndex
    leaves: Mapping[LeafIndex, LeafNode]
    ratchets: Ratchets

    @classmethod
    def of(cls, group: Group) -> PastEpoch:
        """The group's epoch, which is about to be closed."""
        state = group.state
        leaves = dict(state.tree.members())
        return cls(state.context, state.secrets.sender_data, state.own_leaf, leaves, group.ratchets)

    @property
    def epoch(self) -> int:
        return self.context.epoch

    def find(self, index: LeafIndex) -> LeafNode | None:
        """Who was there; None where the leaf was blank."""
        return self.leaves.get(index)

    def encode(self, tree: RatchetTree) -> bytes:
        """At rest, beside this tree: holds message keys."""
        now = dict(tree.members())
        then = [
            Then(at, self.leaves.get(at))
            for at in sorted({*now, *self.leaves})
            if now.get(at) is not self.leaves.get(at) and now.get(at) != self.leaves.get(at)
        ]
        return PastState(self.context, self.sender_data, self.own_leaf, tuple(then), self.ratchets.encode()).encode()

    @classmethod
    def decode(cls, data: bytes, tree: RatchetTree) -> PastEpoch:
        """From rest, beside the same tree. Raises `Malformed`."""
        state = PastState.decode(data)
        leaves = dict(tree.members())
        for then in state.differing:
            if then.node is None:
                leaves.pop(LeafIndex(then.leaf), None)
            else:
                leaves[LeafIndex(then.leaf)] = then.node
        if state.own_leaf not in leaves:
            raise Malformed("a past epoch without our own leaf")
        return cls(state.context, state.sender_data, LeafIndex(state.own_leaf), leaves, Ratchets.decode(state.ratchets))
