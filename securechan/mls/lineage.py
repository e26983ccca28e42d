"""RFC 9420 §11.2, §11.3, §12.4.3.1: what a joiner demands of a group that says to come of another.

A Welcome says so by a resumption key of usage reinit or branch. Its holder has been a member of the old group, and so
has whoever wrote the Welcome; what else must hold is checked here against the old group itself, the *parent*.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING

from securechan.errors import CannotOpen, Invalid
from securechan.mls.context import GroupContext
from securechan.mls.nodes import LeafNode
from securechan.mls.psk import EpochId, PreSharedKeyID, ResumptionPSK
from securechan.mls.registry import ResumptionUsage
from securechan.mls.rules import Rule
from securechan.mls.tree import RatchetTree

if TYPE_CHECKING:
    from securechan.mls.group import Group

Alike = Callable[[LeafNode, LeafNode], bool]
"""Whether two leaves are of one client, which is the application's to say (§11.3): a pure function of both."""


def same_identity(one: LeafNode, other: LeafNode) -> bool:
    """They present the same credential."""
    return one.credential == other.credential


def strangers(leaves: Iterable[LeafNode], members: Iterable[LeafNode], alike: Alike) -> list[LeafNode]:
    """Those among the leaves that are like no member."""
    known = tuple(members)
    return [leaf for leaf in leaves if not any(alike(leaf, member) for member in known)]


def link_of(psks: Sequence[PreSharedKeyID]) -> PreSharedKeyID | None:
    """The key by which a Welcome names the group that its group comes of. Raises `Invalid` for more than one."""
    links = [psk for psk in psks if psk.links]
    if len(links) > 1:
        raise Invalid("a group comes of one other, not of several", rule=Rule.ONE_LINK)
    return links[0] if links else None


def parent_of(link: PreSharedKeyID, parents: Sequence[Group]) -> Group:
    """The group that a link names. Raises `CannotOpen` where it isn't among the parents."""
    for parent in parents:
        if link.name in parent.resumption_keys():
            return parent
    raise CannotOpen(
        "the group comes of another that isn't here", hint="hand in that group as a parent", rule=Rule.WELCOME_PSK_HELD
    )


def check_descent(
    link: PreSharedKeyID | None, parents: Sequence[Group], context: GroupContext, tree: RatchetTree, alike: Alike
) -> None:
    """§12.4.3.1: the new group is what the old one allows it to be. Raises `Invalid`, `CannotOpen`."""
    for parent in parents:
        if parent.reinit is not None and parent.reinit.group_id == context.group_id:
            _check_linked(link, parent)
    if link is None or not isinstance(link.psk, ResumptionPSK):
        return
    parent = parent_of(link, parents)
    if context.epoch != 1:
        raise Invalid(f"a group that comes of another, in epoch {context.epoch}", rule=Rule.FIRST_EPOCH)
    now = [leaf for _, leaf in tree.members()]
    if link.psk.usage is ResumptionUsage.REINIT:
        _check_reinit(link.psk, parent, context, now, alike)
    else:
        _check_branch(link.psk, parent, context, now, alike)


def _check_linked(link: PreSharedKeyID | None, parent: Group) -> None:
    last = EpochId(parent.group_id, parent.epoch)
    right = link is not None and isinstance(link.psk, ResumptionPSK) and link.psk.usage is ResumptionUsage.REINIT
    if link is None or not right or link.name != last:
        raise Invalid("the successor of a group, without its last epoch's key", rule=Rule.REINIT_LINKED)


def _check_reinit(
    psk: ResumptionPSK, parent: Group, context: GroupContext, now: Sequence[LeafNode], alike: Alike
) -> None:
    """§11.2."""
    end = parent.reinit
    if end is None or psk.psk_epoch != parent.epoch:
        raise Invalid("the successor of a group that hasn't ended", rule=Rule.REINIT_ENDED)
    if context.group_id != end.group_id:
        raise Invalid("a successor under another group id", rule=Rule.REINIT_GROUP_ID)
    if context.version != end.version:
        raise Invalid("a successor in another version", rule=Rule.REINIT_VERSION)
    if context.cipher_suite != end.cipher_suite:
        raise Invalid("a successor in another cipher suite", rule=Rule.REINIT_SUITE)
    if context.extensions != end.extensions:
        raise Invalid("a successor with other extensions", rule=Rule.REINIT_EXTENSIONS)
    if strangers((member.leaf_node for member in parent.members()), now, alike):
        raise Invalid("a successor without some of the members", rule=Rule.REINIT_MEMBERS)


def _check_branch(
    psk: ResumptionPSK, parent: Group, context: GroupContext, now: Sequence[LeafNode], alike: Alike
) -> None:
    """§11.3. The members are those of the epoch that the key is of, where it is kept; else those of the parent now."""
    before = parent.state.context
    if (context.version, context.cipher_suite) != (before.version, before.cipher_suite):
        raise Invalid("a branch in another version or cipher suite", rule=Rule.BRANCH_SUITE)
    then = next((kept.leaves.values() for kept in parent.past if kept.epoch == psk.psk_epoch), None)
    if strangers(now, then or (member.leaf_node for member in parent.members()), alike):
        raise Invalid("a branch with a member that its group doesn't have", rule=Rule.BRANCH_MEMBERS)
