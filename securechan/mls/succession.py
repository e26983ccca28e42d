"""RFC 9420 §11.2, §11.3: groups that come of groups: a successor after a ReInit, and branches.

    group ──commit(reinit=…)──► ended group ──succeed──► Step of the successor, epoch 1
    group ──branch───────────────────────────────────► Step of a subgroup, epoch 1; the group goes on

Both are a new group of one and its first commit, which adds the others and mixes in the old group's resumption key:
only who was a member can found it or join it. `Step.commit` has no readers and needs no sending; `Step.next` is the new
group at once, and the Welcomes go to those whose key packages were given. They join with the old group as a parent:
``Group.join(welcome, bundle, parents=[old], …)``.
"""

from __future__ import annotations

from collections.abc import Sequence

from securechan.crypto.suite import Suite, by_number
from securechan.errors import Invalid, Misuse
from securechan.mls.extensions import Extension
from securechan.mls.group import Group
from securechan.mls.keypackage import KeyPackage, LeafKeys
from securechan.mls.lineage import Alike, same_identity, strangers
from securechan.mls.nodes import Capabilities
from securechan.mls.proposals import Add, Body, PreSharedKey
from securechan.mls.psk import EpochId, PreSharedKeyID
from securechan.mls.registry import ResumptionUsage
from securechan.mls.rules import Rule
from securechan.mls.send import commit
from securechan.mls.step import Step


def succeed(
    old: Group,
    keys: LeafKeys,
    packages: Sequence[KeyPackage],
    *,
    now: int,
    suite: Suite | None = None,
    alike: Alike = same_identity,
    capabilities: Capabilities | None = None,
    tree_in_welcome: bool = True,
) -> Step:
    """§11.2: the group that follows ``old``, as its ReInit says, with all its members and no one else.

    ``keys`` are this member's in the new group, for its suite; ``suite`` is needed only where the number in the ReInit
    is that of several rows. Raises `Misuse` where ``old`` hasn't ended, `Invalid` where its members aren't the same.
    """
    end = old.reinit
    if end is None:
        raise Misuse("a group is followed by another once a ReInit has ended it")
    chosen = suite or by_number(end.cipher_suite)
    if chosen.number != end.cipher_suite:
        raise Invalid(f"the ReInit names suite {end.cipher_suite:#06x}", rule=Rule.REINIT_SUITE)
    group = _of_one(old, chosen, end.group_id, end.extensions, keys, now, capabilities)
    leaves = [package.leaf_node for package in packages]
    before = [member.leaf_node for member in old.members()]
    if strangers(before, [*leaves, group.state.own_leaf_node], alike) or strangers(leaves, before, alike):
        raise Invalid("a successor has the members of the group before it", rule=Rule.REINIT_MEMBERS)
    return _founded(old, group, packages, ResumptionUsage.REINIT, now, tree_in_welcome=tree_in_welcome)


def branch(
    old: Group,
    keys: LeafKeys,
    packages: Sequence[KeyPackage],
    *,
    group_id: bytes,
    now: int,
    extensions: tuple[Extension, ...] | None = None,
    alike: Alike = same_identity,
    capabilities: Capabilities | None = None,
    tree_in_welcome: bool = True,
) -> Step:
    """§11.3: a group of some of ``old``'s members, of the same suite and, if not given others, the same extensions.

    Raises `Invalid` for a key package of somebody who is no member.
    """
    same = old.context_extensions if extensions is None else extensions
    group = _of_one(old, old.suite, group_id, same, keys, now, capabilities)
    leaves = [*(package.leaf_node for package in packages), group.state.own_leaf_node]
    if strangers(leaves, (member.leaf_node for member in old.members()), alike):
        raise Invalid("a branch has members of its group only", rule=Rule.BRANCH_MEMBERS)
    return _founded(old, group, packages, ResumptionUsage.BRANCH, now, tree_in_welcome=tree_in_welcome)


def _of_one(
    old: Group,
    suite: Suite,
    group_id: bytes,
    extensions: tuple[Extension, ...],
    keys: LeafKeys,
    now: int,
    capabilities: Capabilities | None,
) -> Group:
    if group_id == old.group_id:
        raise Misuse("a new group needs a new group id")
    return Group.create(
        suite, group_id, keys, now=now, extensions=extensions, capabilities=capabilities, terms=old.terms
    )


def _founded(
    old: Group,
    group: Group,
    packages: Sequence[KeyPackage],
    usage: ResumptionUsage,
    now: int,
    *,
    tree_in_welcome: bool,
) -> Step:
    link = PreSharedKeyID.fresh(group.suite, EpochId(old.group_id, old.epoch), usage)
    bodies: list[Body] = [*(Add(package) for package in packages), PreSharedKey(link)]
    return commit(
        group,
        bodies,
        by_reference=(),
        psks=old.resumption_keys(),
        path=True,
        authenticated_data=b"",
        private=True,
        padding=0,
        new_signature=None,
        tree_in_welcome=tree_in_welcome,
        group_info_extensions=(),
        now=now,
        founding=usage,
    )
