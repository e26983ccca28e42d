"""RFC 9420 §6, §12.1, §12.4.2: from bytes to a verdict.

    MLSMessage ─open─► Unverified ─verify─► Verified ─┬─ application ─► Application
      (group, epoch)     (sender)                     ├─ proposal ────► Proposed
                                                      └─ commit ──────► Committed, Removed, CannotFollow

Every fault of a message becomes `Void` here, once, with the rule it broke; nothing a stranger sends raises. A message
that is refused leaves no trace: the ratchets advance only in the value that a good one answers with.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, assert_never

from securechan.errors import CannotOpen, Invalid, Malformed
from securechan.mls.commit import Effects, Expelled, Followed, Lost, process
from securechan.mls.framing import PrivateMessage, PublicMessage
from securechan.mls.message import MLSMessage
from securechan.mls.outcomes import (
    Application,
    CannotFollow,
    Committed,
    Future,
    Outcome,
    Own,
    Past,
    Peek,
    Proposed,
    Removed,
    Void,
)
from securechan.mls.proposals import Add, Commit, Proposal, proposal_ref
from securechan.mls.protection import Unverified, Verified, open_content, open_sender, read
from securechan.mls.registry import SenderType
from securechan.mls.rules import Rule
from securechan.mls.treemath import LeafIndex
from securechan.mls.validation import ExternalSenders, Queued, check_proposal

if TYPE_CHECKING:
    from securechan.mls.group import Group

MAX_PENDING = 1024  # proposals kept for an epoch's commit to refer to


def peek(message: bytes) -> Peek:
    """The group, epoch, content type and authenticated data that a message shows. Raises `Malformed`."""
    match MLSMessage.decode(message).body:
        case PublicMessage(content):
            return Peek(
                content.group_id,
                content.epoch,
                content.content_type,
                content.authenticated_data,
                content.sender.kind,
            )
        case PrivateMessage(group_id, epoch, content_type, authenticated_data):
            return Peek(group_id, epoch, content_type, authenticated_data, None)
        case _:
            raise Malformed("neither a public nor a private message of a group")


def receive(group: Group, message: bytes, *, now: int | None, psks: Mapping[bytes, bytes]) -> Outcome:
    """The verdict on one message; see `outcomes`."""
    try:
        parsed = MLSMessage.decode(message).body
    except Malformed as fault:
        return Void(fault.message, Rule.PARSES, None)
    match parsed:
        case PublicMessage(content):
            group_id, epoch = content.group_id, content.epoch
        case PrivateMessage(group_id, epoch):
            pass
        case _:
            return Void("not a message to a group", Rule.TO_A_GROUP, None)
    if group_id != group.group_id:
        return Void("a message of another group", Rule.GROUP_ID, None)
    if epoch < group.epoch:
        return Past(epoch)
    if epoch > group.epoch:
        return Future(epoch)
    if group.state.reinit is not None:
        return Void("the group has ended by a re-initialisation", Rule.SILENT, None)
    signer: LeafIndex | None = None
    try:
        opened = _open_private(group, parsed) if isinstance(parsed, PrivateMessage) else _open_public(group, parsed)
        if isinstance(opened, Own):
            return opened
        after, verified = opened
        signer = verified.content.sender.leaf
        return _judge(after, verified, now, psks)
    except Invalid as fault:
        return Void(fault.message.removesuffix(f" ({fault.rule})"), fault.rule, signer)
    except (CannotOpen, Malformed) as fault:
        return Void(fault.message, fault.rule or Rule.SIGNED, signer)


def _open_private(group: Group, message: PrivateMessage) -> tuple[Group, Verified] | Own:
    """§6.3: (the group with that key spent, the message), or that it is our own."""
    state = group.state
    suite = state.suite
    sender = open_sender(suite, state.secrets.sender_data, message)
    leaf = LeafIndex(sender.leaf_index)
    public = state.leaf(leaf).signature_key
    if leaf == state.own_leaf and sender.generation < group.ratchets.next_generation(leaf, message.content_type):
        return Own(message.content_type, sender.generation, proven=False)
    ratchets, key = group.ratchets.take(suite, leaf, message.content_type, sender.generation)
    verified = open_content(suite, key, sender, message).verify(suite, public, state.context.encode())
    if leaf == state.own_leaf:
        said = verified.content.content
        plaintext = said if isinstance(said, bytes) else None
        return Own(message.content_type, sender.generation, True, plaintext, message.authenticated_data)
    return replace(group, ratchets=ratchets), verified


def _open_public(group: Group, message: PublicMessage) -> tuple[Group, Verified] | Own:
    """§6.2: the same for a message in the clear."""
    state = group.state
    context = state.context.encode()
    unverified = read(state.suite, state.secrets.membership_key, message, context)
    verified = unverified.verify(state.suite, _public_key(group, unverified), context)
    if verified.content.sender.leaf == state.own_leaf:
        return Own(verified.content.content_type, None, proven=False)
    return group, verified


def _public_key(group: Group, unverified: Unverified) -> bytes:
    """§6.1: the key that the sender of a public message must have signed with. Raises `Invalid`, `Malformed`."""
    content = unverified.claim.content
    match content.sender.kind, content.content:
        case SenderType.MEMBER, _:
            return group.state.leaf(LeafIndex(content.sender.index or 0)).signature_key
        case SenderType.EXTERNAL, Proposal():
            senders = ExternalSenders.of(group.context_extensions)
            index = content.sender.index or 0
            if index >= len(senders):
                raise Invalid(f"there is no external sender {index}", rule=Rule.SENDER_IS_LISTED)
            return senders[index].signature_key
        case SenderType.NEW_MEMBER_PROPOSAL, Proposal(_, Add(package)):
            return package.leaf_node.signature_key
        case SenderType.NEW_MEMBER_COMMIT, Commit(_, path) if path is not None:
            return path.leaf_node.signature_key
        case _:
            raise Invalid("a sender who may not send this", rule=Rule.NEWCOMER_COMMITS)


def _judge(group: Group, verified: Verified, now: int | None, psks: Mapping[bytes, bytes]) -> Outcome:
    """What a signed message does."""
    content = verified.content
    sender = content.sender
    match content.content:
        case bytes() as plaintext:
            if sender.leaf is None or verified.generation is None:
                raise Invalid("application data that no member sealed", rule=Rule.SEALED_DATA)
            return Application(group, sender.leaf, plaintext, content.authenticated_data, verified.generation)
        case Proposal() as proposal:
            state = group.state
            check_proposal(state.suite, state.context, state.tree, proposal, sender, now)
            if len(group.pending) >= MAX_PENDING:
                raise Invalid(f"more than {MAX_PENDING} proposals in an epoch", rule=Rule.PROPOSALS)
            ref = proposal_ref(state.suite, verified.message.encode())
            return Proposed(
                group.with_pending(ref, proposal, sender), sender.leaf, proposal, ref, content.authenticated_data
            )
        case Commit():
            return _judge_commit(group, verified, now, psks)
        case _:
            assert_never(content.content)


def _judge_commit(group: Group, verified: Verified, now: int | None, psks: Mapping[bytes, bytes]) -> Outcome:
    """§12.4.2."""
    pending = {kept.ref: Queued(kept.proposal, kept.sender, by_reference=True) for kept in group.pending}
    updates = {key.public: key for key in group.own_updates}
    data = verified.content.authenticated_data
    outcome = process(group.state, verified, pending, updates, psks, now)
    match outcome:
        case Followed(epoch, ratchets, effects):
            return committed(group.entering(epoch, ratchets), effects, data)
        case Expelled(effects):
            return Removed(effects.committer, data, effects.has_path, effects)
        case Lost(reason, effects):
            signer = None if effects.external else effects.committer
            return CannotFollow(reason, signer, data, effects.has_path, effects)
        case _:
            assert_never(outcome)


def committed(group: Group, effects: Effects, authenticated_data: bytes) -> Committed:
    """A commit's effects as its receivers are told; ``group`` is the next."""
    applied = effects.applied
    own = () if effects.own_change is None else (effects.own_change,)
    return Committed(
        group,
        effects.committer,
        applied.new_leaves,
        tuple((leaf, node.identity) for leaf, node in applied.removed),
        (*applied.updated, *own),
        applied.extensions_changed,
        authenticated_data,
        effects.has_path,
        effects.external,
        effects,
    )
