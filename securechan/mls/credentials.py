"""RFC 9420 §5.3: the credentials that come into a group, for the application to judge.

The engine carries credentials, basic and X.509 alike, and believes none. Whether a name goes with a key, whether a
chain of certificates leads to a root and its end-entity key is the leaf's, whether a new credential may follow an old
one: that is the Authentication Service's to say, which is the application's. §5.3.1 lists when it must be asked;
`presented` says so of an outcome before it is adopted, `members` of a group that was just joined.
"""

from __future__ import annotations

from dataclasses import dataclass

from securechan.crypto.certificate import subject_key
from securechan.errors import Invalid
from securechan.mls.extensions import Extension
from securechan.mls.group import Group
from securechan.mls.nodes import Credential, LeafNode, Lifetime, X509Credential
from securechan.mls.outcomes import Committed, Outcome, Proposed
from securechan.mls.proposals import Add, GroupContextExtensions, Update
from securechan.mls.rules import Rule, held_to
from securechan.mls.treemath import LeafIndex
from securechan.mls.validation import ExternalSenders


@dataclass(frozen=True, slots=True)
class Presented:
    """Somebody says: this credential is mine, and so is this signature key."""

    credential: Credential
    signature_key: bytes
    leaf: LeafIndex | None  # where it stands or would stand; None for who has no place yet, or never will
    before: LeafNode | None = None  # what it would replace: §5.3.1 wants it to be a valid successor


def presented(outcome: Outcome) -> tuple[Presented, ...]:
    """All that an outcome brings and that must be judged before its group is adopted."""
    match outcome:
        case Proposed(group, sender, proposal):
            return _of_proposal(group, sender, proposal.body)
        case Committed(group):
            return _of_commit(group, outcome)
        case _:
            return ()


def members(group: Group) -> tuple[Presented, ...]:
    """All that a joiner must judge: the members, and the external senders."""
    leaves = tuple(_of_leaf(member.leaf_node, member.leaf) for member in group.members())
    return (*leaves, *_senders(group.context_extensions))


def check_end_entity(shown: Presented) -> None:
    """§5.3: the first certificate of an X.509 credential is about the leaf's signature key; basic ones have none.

    The first step of judging a chain, and the only one that needs no root. Raises `Invalid`, `Malformed`.
    """
    body = shown.credential.body
    if not isinstance(body, X509Credential):
        return
    if not body.certificates:
        raise Invalid("a chain of no certificates", rule=Rule.END_ENTITY)
    with held_to(Rule.END_ENTITY):
        certified = subject_key(body.certificates[0])
    if certified != shown.signature_key:
        raise Invalid("the certificate is about another key than the leaf's", rule=Rule.END_ENTITY)


def expired(group: Group, now: int) -> tuple[LeafIndex, ...]:
    """§7.3: members whose leaf is still that of a key package, and outside its lifetime.

    RFC 9420 recommends a look at them when joining and leaves the verdict open: who was added in time and hasn't
    committed since is no worse a member.
    """
    return tuple(
        member.leaf
        for member in group.members()
        if isinstance(member.leaf_node.origin, Lifetime) and not member.leaf_node.origin.holds(now)
    )


def _of_proposal(group: Group, sender: LeafIndex | None, body: object) -> tuple[Presented, ...]:
    match body:
        case Add(package):
            return (_of_leaf(package.leaf_node, None),)
        case Update(leaf) if sender is not None:
            return _changed(group.state.leaf(sender), leaf, sender)
        case GroupContextExtensions(extensions):
            return _senders(extensions)
        case _:
            return ()


def _of_commit(group: Group, outcome: Committed) -> tuple[Presented, ...]:
    found = [_of_leaf(group.state.leaf(at), at) for at in outcome.added]
    for change in outcome.updated:
        found += _changed(change.before, change.after, change.leaf)
    if outcome.external:
        removed = () if outcome.effects is None else outcome.effects.applied.removed
        before = next((leaf for _, leaf in removed), None)
        found.append(_of_leaf(group.state.leaf(outcome.committer), outcome.committer, before))
    if outcome.extensions_changed:
        found += _senders(group.context_extensions)
    return tuple(found)


def _changed(before: LeafNode, after: LeafNode, leaf: LeafIndex) -> tuple[Presented, ...]:
    """Nothing, where a leaf keeps its credential and the signature key that goes with it."""
    if (before.credential, before.signature_key) == (after.credential, after.signature_key):
        return ()
    return (_of_leaf(after, leaf, before),)


def _of_leaf(node: LeafNode, leaf: LeafIndex | None, before: LeafNode | None = None) -> Presented:
    return Presented(node.credential, node.signature_key, leaf, before)


def _senders(extensions: tuple[Extension, ...]) -> tuple[Presented, ...]:
    return tuple(Presented(each.credential, each.signature_key, None) for each in ExternalSenders.of(extensions))
