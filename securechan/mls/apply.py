"""RFC 9420 §12.3: what a list of proposals makes of a group, before any path.

The order is the RFC's and doesn't follow the list: the group context's extensions, then updates, removes, adds. What
touches no tree (pre-shared keys, an external init, a new beginning) is only noted.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from securechan.errors import Invalid
from securechan.mls.extensions import Extension
from securechan.mls.keypackage import KeyPackage
from securechan.mls.nodes import LeafNode
from securechan.mls.proposals import (
    PATHLESS,
    Add,
    ExternalInit,
    GroupContextExtensions,
    PreSharedKey,
    ReInit,
    Remove,
    Update,
)
from securechan.mls.psk import PreSharedKeyID
from securechan.mls.rules import Rule
from securechan.mls.tree import RatchetTree
from securechan.mls.treemath import LeafIndex
from securechan.mls.validation import Queued, check_among, check_supports


@dataclass(frozen=True, slots=True)
class Change:
    """A leaf before and after."""

    leaf: LeafIndex
    before: LeafNode
    after: LeafNode


@dataclass(frozen=True, slots=True)
class Applied:
    """§12.3: what a list of proposals makes of a group, before any path."""

    tree: RatchetTree
    extensions: tuple[Extension, ...]
    added: tuple[tuple[LeafIndex, KeyPackage], ...] = ()
    removed: tuple[tuple[LeafIndex, LeafNode], ...] = ()
    updated: tuple[Change, ...] = ()
    psks: tuple[PreSharedKeyID, ...] = ()
    external_init: bytes | None = None
    reinit: ReInit | None = None
    extensions_changed: bool = False

    @property
    def new_leaves(self) -> tuple[LeafIndex, ...]:
        return tuple([leaf for leaf, _ in self.added]) if self.added else ()


def apply(tree: RatchetTree, extensions: tuple[Extension, ...], queue: Sequence[Queued]) -> Applied:
    """§12.3: in the order that the RFC gives: context, updates, removes, adds; the rest touches no tree."""
    if not queue:
        return Applied(tree, extensions)
    changed = False
    updated: list[Change] = []
    removed: list[tuple[LeafIndex, LeafNode]] = []
    psks: list[PreSharedKeyID] = []
    kem_output: bytes | None = None
    reinit: ReInit | None = None
    for item in queue:
        match item.proposal.body:
            case GroupContextExtensions(replaced):
                changed = changed or replaced != extensions
                extensions = replaced
            case PreSharedKey(psk):
                psks.append(psk)
            case ExternalInit(output):
                kem_output = output
            case ReInit() as end:
                reinit = end
            case _:
                pass
    for item in queue:
        at = item.sender.leaf
        if isinstance(item.proposal.body, Update) and at is not None:
            updated.append(Change(at, member(tree, at), item.proposal.body.leaf_node))
    for item in queue:
        if isinstance(item.proposal.body, Remove):
            at = item.proposal.body.removed
            removed.append((at, member(tree, at)))
    packages = [item.proposal.body.key_package for item in queue if isinstance(item.proposal.body, Add)]
    shrunk = tree.blank_paths([*((each.leaf, each.after) for each in updated), *((at, None) for at, _ in removed)])
    if removed:
        shrunk = shrunk.truncated()
    after, places = shrunk.add_all([package.leaf_node for package in packages])
    added = tuple(zip(places, packages, strict=True))
    return Applied(after, extensions, added, tuple(removed), tuple(updated), tuple(psks), kem_output, reinit, changed)


def member(tree: RatchetTree, at: LeafIndex) -> LeafNode:
    leaf = tree.leaf(at)
    if leaf is None:
        raise Invalid(f"leaf {at} is no member", rule=Rule.MEMBER_SENDS)
    return leaf


def needs_path(queue: Sequence[Queued]) -> bool:
    """§12.4: whether a commit of these must carry a path."""
    return not queue or not all(isinstance(item.proposal.body, PATHLESS) for item in queue)


def check_result(applied: Applied, tree: RatchetTree, committer: LeafIndex | None) -> None:
    """§7.3, §12.1.7: the group as it will be: new and changed leaves fit in, and all support the new context."""
    changed = {*applied.new_leaves, *(change.leaf for change in applied.updated)}
    if committer is not None:
        changed.add(committer)
    if any(tree.roll.signature_keys[package.leaf_node.signature_key] > 1 for _, package in applied.added):
        raise Invalid("a member is added again, or another with its signature key", rule=Rule.NOT_A_MEMBER)
    check_among(tree, changed, applied.extensions)
    if applied.extensions_changed:
        for at, leaf in tree.members():
            if at not in changed:
                _check_stays(at, leaf, applied.extensions)


def _check_stays(at: LeafIndex, leaf: LeafNode, extensions: tuple[Extension, ...]) -> None:
    """§12.1.7: who was there before supports what is required from now on."""
    try:
        check_supports(leaf, extensions)
    except Invalid as fault:
        if fault.rule == Rule.CONTEXT_SUPPORTED:
            raise
        raise Invalid(f"member {at} lacks what would be required", rule=Rule.ALL_CAPABLE) from None
