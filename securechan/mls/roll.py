"""Who and what stands in a ratchet tree, by key: the register that answers "is this key there already?" at once.

RFC 9420 §7.3 and §12.4.2 forbid keys to come twice and demand that all members understand each other's credentials. To
look through a thousand leaves for each commit costs more than the commit's cryptography, so a tree carries a `Roll`
along: counted once, then changed leaf by leaf with the tree. Like the tree's hashes it says nothing the nodes don't.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TypeVar

from securechan.mls.nodes import LeafNode, Node

K = TypeVar("K", bytes, int)


@dataclass(frozen=True, slots=True)
class Roll:
    """How often each key and credential type occurs. A value; the counts are never zero."""

    members: int
    nodes: int  # members and parents
    signature_keys: dict[bytes, int]
    encryption_keys: dict[bytes, int]  # of members and parents
    credentials_used: dict[int, int]
    credentials_understood: dict[int, int]

    @classmethod
    def of(cls, nodes: Iterable[Node | None]) -> Roll:
        """Counted from scratch."""
        return cls(0, 0, {}, {}, {}, {}).changed((None, node) for node in nodes)

    def changed(self, changes: Iterable[tuple[Node | None, Node | None]]) -> Roll:
        """The roll after each node (before) became another (after); None is a blank."""
        members, count = self.members, self.nodes
        signing, encryption = dict(self.signature_keys), dict(self.encryption_keys)
        used, understood = dict(self.credentials_used), dict(self.credentials_understood)
        for before, after in changes:
            for node, step in ((before, -1), (after, 1)):
                if node is None:
                    continue
                count += step
                _count(encryption, node.encryption_key, step)
                if isinstance(node, LeafNode):
                    members += step
                    _count(signing, node.signature_key, step)
                    _count(used, node.credential.kind, step)
                    for kind in set(node.capabilities.credentials):
                        _count(understood, kind, step)
        return Roll(members, count, signing, encryption, used, understood)

    @property
    def signs_twice(self) -> bool:
        """Whether two members have one signature key."""
        return len(self.signature_keys) != self.members

    @property
    def encrypts_twice(self) -> bool:
        """Whether two nodes have one encryption key."""
        return len(self.encryption_keys) != self.nodes

    @property
    def understands_all(self) -> bool:
        """Whether every credential type in use is supported by every member."""
        return all(self.credentials_understood.get(kind) == self.members for kind in self.credentials_used)


def _count(counts: dict[K, int], key: K, step: int) -> None:
    left = counts.get(key, 0) + step
    if left:
        counts[key] = left
    else:
        del counts[key]
