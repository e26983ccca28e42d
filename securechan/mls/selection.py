"""RFC 9420 §12.2, §12.4: which of the proposals that wait a member's next commit takes up.

It should be all of them, but they may contradict each other, and a list that does is void. Where they do, the RFC's
preference decides: a removal over an update, the newest update, anything over a new beginning. What a committer can't
take up itself (its own update, its own removal, a key that it doesn't hold) is left to others.
"""

from __future__ import annotations

from collections.abc import Container, Sequence
from typing import TYPE_CHECKING

from securechan.mls.proposals import Add, ExternalInit, GroupContextExtensions, PreSharedKey, ReInit, Remove, Update
from securechan.mls.psk import PreSharedKeyID, PskName
from securechan.mls.treemath import LeafIndex

if TYPE_CHECKING:
    from securechan.mls.rest import Pending
    from securechan.mls.tree import RatchetTree


def selected(
    pending: Sequence[Pending], tree: RatchetTree, committer: LeafIndex, held: Container[PskName]
) -> tuple[bytes, ...]:
    """The references to give to a commit, in the order in which the proposals came."""
    changed: dict[LeafIndex, Pending] = {}
    added: dict[bytes, Pending] = {}
    psks: dict[PreSharedKeyID, Pending] = {}
    context: Pending | None = None
    end: Pending | None = None
    for kept in pending:
        match kept.proposal.body:
            case Remove(at) if at != committer:
                changed[at] = kept
            case Update() if kept.sender.leaf is not None and kept.sender.leaf != committer:
                if not _removes(changed.get(kept.sender.leaf)):
                    changed[kept.sender.leaf] = kept
            case Add(package):
                added.setdefault(package.leaf_node.signature_key, kept)
            case PreSharedKey(psk) if psk.name in held:
                psks.setdefault(psk, kept)
            case GroupContextExtensions():
                context = kept
            case ReInit():
                end = kept
            case Remove() | Update() | PreSharedKey() | ExternalInit():
                pass  # not this member's to take up
    leaving = {at for at, kept in changed.items() if _removes(kept)}
    staying = {leaf.signature_key for at, leaf in tree.members() if at not in leaving}
    new = [kept for key, kept in added.items() if key not in staying]
    chosen = [*changed.values(), *new, *psks.values(), *([] if context is None else [context])]
    if not chosen and end is not None:
        chosen = [end]
    refs = {kept.ref for kept in chosen}
    return tuple(kept.ref for kept in pending if kept.ref in refs)


def _removes(kept: Pending | None) -> bool:
    return kept is not None and isinstance(kept.proposal.body, Remove)
