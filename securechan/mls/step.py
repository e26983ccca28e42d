"""A commit that is made but not decided: the group before it, the group after it, and what to send.

Only whoever orders the messages decides (RFC 9420 §14): if the commit is taken, `Step.next` is the group, and its
Welcomes may go out; if another's is, go on from `Step.current`, which is the epoch that the commit would have closed
with the key spent that sealed it. A step can be saved and read again like a group, at any moment.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated

from securechan.codec import U8, U32, Opaque, Struct, opaque, vec
from securechan.crypto.suite import Suite
from securechan.mls.apply import Change
from securechan.mls.extensions import TREE_BOUND
from securechan.mls.nodes import LeafNode
from securechan.mls.outcomes import Committed
from securechan.mls.terms import DEFAULT, Terms
from securechan.mls.treemath import LeafIndex

if TYPE_CHECKING:
    from securechan.mls.group import Group

_Large = Annotated[bytes, opaque(max=1 << 29)]


class Gone(Struct):
    """A member that the commit removes."""

    leaf: U32
    identity: Opaque


class Renewed(Struct):
    """A leaf that the commit changes."""

    leaf: U32
    before: LeafNode
    after: LeafNode


class StepState(Struct):
    """How a step is kept at rest: the group, how the next differs from it, the messages, and what the commit does."""

    epoch: _Large = field(repr=False)
    ratchets: _Large = field(repr=False)
    advance: _Large = field(repr=False)
    commit: Annotated[bytes, opaque(max=TREE_BOUND)]
    welcomes: Annotated[tuple[_Large, ...], vec(max=(1 << 30) - 1)]
    added: tuple[U32, ...]
    removed: Annotated[tuple[Gone, ...], vec(max=TREE_BOUND)]
    updated: Annotated[tuple[Renewed, ...], vec(max=TREE_BOUND)]
    extensions_changed: U8
    authenticated_data: Opaque
    has_path: U8


@dataclass(frozen=True, slots=True)
class Step:
    """A commit, made but not yet decided: adopt ``next`` if the log takes it, go on from ``current`` if it doesn't."""

    next: Group
    current: Group  # the epoch that the commit would close, with the key that sealed it spent
    commit: bytes
    welcomes: tuple[bytes, ...]  # one for each who was added, in the order of ``adds``
    committed: Committed  # what the commit does, as its receivers will see it

    @property
    def ratchet_tree(self) -> bytes:
        """The tree for those whose Welcome comes without it: the content of a ``ratchet_tree`` extension."""
        return self.next.tree_bytes()

    def encode(self) -> bytes:
        """For the vault: it holds the private keys of both epochs."""
        done = self.committed
        return StepState(
            self.current.encode_epoch(),
            self.current.encode_ratchets(),
            self.current.advance_to(self.next),
            self.commit,
            self.welcomes,
            done.added,
            tuple(Gone(leaf, identity) for leaf, identity in done.removed),
            tuple(Renewed(each.leaf, each.before, each.after) for each in done.updated),
            int(done.extensions_changed),
            done.authenticated_data,
            int(done.has_path),
        ).encode()

    @classmethod
    def decode(cls, data: bytes, terms: Terms = DEFAULT, *, suite: Suite | None = None) -> Step:
        """From the vault: exactly the step that was, but for ``committed.effects``; ``suite`` as in `Group.decode`.
        Raises `Malformed`."""
        from securechan.mls.group import Group  # noqa: PLC0415 - a group makes steps, and a step holds groups

        state = StepState.decode(data)
        current = Group.decode(state.epoch, state.ratchets, terms, suite=suite)
        after = current.advanced(state.advance)
        committed = Committed(
            after,
            current.own_leaf,
            tuple(LeafIndex(leaf) for leaf in state.added),
            tuple((LeafIndex(each.leaf), each.identity) for each in state.removed),
            tuple(Change(LeafIndex(each.leaf), each.before, each.after) for each in state.updated),
            bool(state.extensions_changed),
            state.authenticated_data,
            bool(state.has_path),
            external=False,
        )
        return cls(after, current, state.commit, state.welcomes, committed)
