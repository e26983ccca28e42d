"""Who and what stands in a ratchet tree, by key: the register that answers "is this key there already?" at once.

RFC 9420 §7.3 and §12.4.2 forbid keys to come twice and demand that all members understand each other's credentials. To
look through a thousand leaves for each commit costs more than the commit's cryptography, so a tree carries a `Roll`
along: counted once, then changed leaf by leaf with the tree. Like the tree's hashes it says nothing the nodes don't.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass
from typing import Final, Generic, TypeVar

from securechan.mls.nodes import LeafNode, Node, ParentNode

K = TypeVar("K", bytes, int)

_OVERLAY: Final = 256  # keys that differ from the shared counts before these are written anew


class Counts(Generic[K]):
    """How often each key occurs. A value whose next ones share all that they don't change: a commit in a tree of a
    thousand changes a dozen keys and copies no more than the changes since the counts were last written out."""

    __slots__ = ("_changed", "_shared", "distinct")

    def __init__(self, shared: Mapping[K, int] | None = None, changed: dict[K, int] | None = None, distinct: int = 0):
        self._shared: Mapping[K, int] = shared or {}
        self._changed: dict[K, int] = changed or {}  # overrides; zero where the key is gone
        self.distinct = distinct  # keys that occur at all

    def __getitem__(self, key: K) -> int:
        found = self._changed.get(key)
        return self._shared.get(key, 0) if found is None else found

    def __contains__(self, key: K) -> bool:
        return self[key] > 0

    def has_any(self, keys: Set[K]) -> bool:
        """Whether one of them occurs."""
        if self._shared.keys().isdisjoint(keys) and self._changed.keys().isdisjoint(keys):
            return False
        return any(self[key] > 0 for key in keys)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Counts) and self._flat() == other._flat()

    def __hash__(self) -> int:
        return hash(frozenset(self._flat().items()))

    def __iter__(self) -> Iterator[K]:
        return iter(self._flat())

    def __repr__(self) -> str:
        return f"Counts({self.distinct} keys)"

    def stepped(self, steps: Sequence[tuple[K, int]]) -> Counts[K]:
        """The counts after each key occurs so many times more, or less."""
        if not steps:
            return self
        changed, shared, distinct = dict(self._changed), self._shared, self.distinct
        for key, step in steps:
            found = changed.get(key)
            before = shared.get(key, 0) if found is None else found
            changed[key] = before + step
            distinct += (before + step > 0) - (before > 0)
        made = Counts(shared, changed, distinct)
        return Counts(made._flat(), None, distinct) if len(changed) > _OVERLAY else made

    def _flat(self) -> dict[K, int]:
        return {key: count for key, count in {**self._shared, **self._changed}.items() if count}


def _same_but_key(before: Node, after: Node) -> bool:
    """Whether a node that replaces another changes nothing in a roll but its encryption key: those of most commits."""
    if isinstance(before, ParentNode):
        return isinstance(after, ParentNode)
    return (
        isinstance(after, LeafNode)
        and before.signature_key == after.signature_key
        and before.credential.kind == after.credential.kind
        and before.capabilities.credentials == after.capabilities.credentials
    )


@dataclass(frozen=True, slots=True)
class Roll:
    """How often each key and credential type occurs."""

    members: int
    nodes: int  # members and parents
    signature_keys: Counts[bytes]
    encryption_keys: Counts[bytes]  # of members and parents
    credentials_used: Counts[int]
    credentials_understood: Counts[int]

    @classmethod
    def of(cls, nodes: Iterable[Node | None]) -> Roll:
        """Counted from scratch."""
        return cls(0, 0, Counts(), Counts(), Counts(), Counts()).changed((None, node) for node in nodes)

    def changed(self, changes: Iterable[tuple[Node | None, Node | None]]) -> Roll:
        """The roll after each node (before) became another (after); None is a blank."""
        members, count = self.members, self.nodes
        encryption: list[tuple[bytes, int]] = []
        signing: list[tuple[bytes, int]] = []
        used: list[tuple[int, int]] = []
        understood: list[tuple[int, int]] = []
        for before, after in changes:
            if before is not None and after is not None and _same_but_key(before, after):
                encryption += ((before.encryption_key, -1), (after.encryption_key, 1))
                continue
            for node, step in ((before, -1), (after, 1)):
                if node is None:
                    continue
                count += step
                encryption.append((node.encryption_key, step))
                if isinstance(node, LeafNode):
                    members += step
                    signing.append((node.signature_key, step))
                    used.append((node.credential.kind, step))
                    understood += ((kind, step) for kind in set(node.capabilities.credentials))
        return Roll(
            members,
            count,
            self.signature_keys.stepped(signing),
            self.encryption_keys.stepped(encryption),
            self.credentials_used.stepped(used),
            self.credentials_understood.stepped(understood),
        )

    @property
    def signs_twice(self) -> bool:
        """Whether two members have one signature key."""
        return self.signature_keys.distinct != self.members

    @property
    def encrypts_twice(self) -> bool:
        """Whether two nodes have one encryption key."""
        return self.encryption_keys.distinct != self.nodes

    @property
    def understands_all(self) -> bool:
        """Whether every credential type in use is supported by every member."""
        return all(self.credentials_understood[kind] == self.members for kind in self.credentials_used)
