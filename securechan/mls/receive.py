"""RFC 9420 §6, §12.1, §12.4.2: from bytes to a verdict.

    MLSMessage ─open─► Unverified ─verify─► Verified ─┬─ application ─► Application
      (group, epoch)     (sender)                     ├─ proposal ────► Proposed
                                                      └─ commit ──────► Committed, Removed, CannotFollow

Every fault of a message becomes `Void` here, once, with the rule it broke; nothing a stranger sends raises. A message
that is refused leaves no trace: the ratchets advance only in the value that a good one answers with.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Protocol, assert_never

from securechan.crypto.secret import Secret
from securechan.crypto.suite import Suite
from securechan.errors import CannotOpen, Invalid, Malformed, Misuse
from securechan.mls.commit import Effects, Expelled, Followed, Lost, process
from securechan.mls.context import GroupContext
from securechan.mls.framing import PrivateMessage, PublicMessage
from securechan.mls.message import MLSMessage
from securechan.mls.nodes import LeafNode
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
from securechan.mls.psk import PskStore
from securechan.mls.ratchets import Ratchets
from securechan.mls.registry import ContentType, SenderType
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


def receive(group: Group, message: bytes, *, now: int | None, psks: PskStore) -> Outcome:
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
    state = group.state
    context = state.context
    if group_id != context.group_id:
        return Void("a message of another group", Rule.GROUP_ID, None)
    if epoch < context.epoch:
        return _late(group, parsed, epoch)
    if epoch > context.epoch:
        return Future(epoch)
    signer: LeafIndex | None = None
    try:
        if state.reinit is not None:
            raise Invalid("the group has ended by a re-initialisation", rule=Rule.SILENT)
        if isinstance(parsed, PrivateMessage):
            opened = unseal(state.suite, state, group.ratchets, parsed, group.terms.skipped)
            if isinstance(opened, Own):
                return opened
            ratchets, verified, leaf = opened
            after = group.with_ratchets(ratchets)
            if parsed.content_type is ContentType.APPLICATION:
                return _application(after, verified, leaf)
        else:
            after, seen = group, _open_public(group, parsed)
            if isinstance(seen, Own):
                return seen
            verified = seen
        signer = verified.content.sender.leaf
        return _judge(after, verified, now, psks)
    except (Invalid, CannotOpen, Malformed) as fault:
        return _void(fault, signer)


def _void(fault: Invalid | CannotOpen | Malformed, signer: LeafIndex | None) -> Void:
    return Void(fault.message.removesuffix(f" ({fault.rule})"), fault.rule or Rule.PARSES, signer)


def _late(group: Group, message: PrivateMessage | PublicMessage, epoch: int) -> Outcome:
    """§15.3: of an epoch gone by only sealed application messages are taken, and only where that epoch is kept."""
    kept = next((kept for kept in group.past if kept.epoch == epoch), None)
    if kept is None or not isinstance(message, PrivateMessage) or message.content_type is not ContentType.APPLICATION:
        return Past(epoch)
    try:
        opened = unseal(group.suite, kept, kept.ratchets, message, group.terms.skipped)
        if isinstance(opened, Own):
            return opened
        ratchets, verified, leaf = opened
        return _application(group.with_past(replace(kept, ratchets=ratchets)), verified, leaf)
    except (Invalid, CannotOpen, Malformed) as fault:
        return _void(fault, None)


class Sealing(Protocol):
    """The epoch, open or gone by, that a private message is of."""

    @property
    def context(self) -> GroupContext: ...
    @property
    def sender_data(self) -> Secret: ...
    @property
    def own_leaf(self) -> LeafIndex: ...
    def find(self, index: LeafIndex) -> LeafNode | None: ...


def unseal(
    suite: Suite, epoch: Sealing, ratchets: Ratchets, message: PrivateMessage, keep: int
) -> tuple[Ratchets, Verified, LeafNode] | Own:
    """§6.3: (the ratchets with that key spent, the message, its sender's leaf), or that it is our own."""
    sender = open_sender(suite, epoch.sender_data, message)
    at = LeafIndex(sender.leaf_index)
    leaf = epoch.find(at)
    if leaf is None:
        raise Invalid(f"leaf {at} is no member", rule=Rule.SENDER_HAS_LEAF)
    is_own = at == epoch.own_leaf
    if is_own and sender.generation < ratchets.next_generation(at, message.content_type):
        return Own(message.content_type, sender.generation, proven=False)
    after, key = ratchets.take(suite, at, message.content_type, sender.generation, keep)
    verified = open_content(suite, key, sender, message).verify(suite, leaf.signature_key, epoch.context.encode())
    if is_own:
        said = verified.content.content
        plaintext = said if isinstance(said, bytes) else None
        return Own(message.content_type, sender.generation, True, plaintext, message.authenticated_data)
    return after, verified, leaf


def _open_public(group: Group, message: PublicMessage) -> Verified | Own:
    """§6.2: a message in the clear, or that it is our own."""
    state = group.state
    context = state.context.encode()
    unverified = read(state.suite, state.secrets.membership_key, message, context)
    verified = unverified.verify(state.suite, _public_key(group, unverified), context)
    if verified.content.sender.leaf == state.own_leaf:
        return Own(verified.content.content_type, None, proven=False)
    return verified


def _public_key(group: Group, unverified: Unverified) -> bytes:
    """§6.1: the key that the sender of a public message must have signed with. Raises `Invalid`, `Malformed`."""
    content = unverified.claim.content
    said = content.content
    match content.sender.kind:
        case SenderType.MEMBER:
            return group.state.leaf(LeafIndex(content.sender.index or 0)).signature_key
        case SenderType.EXTERNAL:
            if not isinstance(said, Proposal):
                raise Invalid("an external sender proposes and does nothing else", rule=Rule.EXTERNAL_PROPOSES)
            senders = ExternalSenders.of(group.context_extensions)
            index = content.sender.index or 0
            if index >= len(senders):
                raise Invalid(f"there is no external sender {index}", rule=Rule.SENDER_IS_LISTED)
            return senders[index].signature_key
        case SenderType.NEW_MEMBER_PROPOSAL:
            if not isinstance(said, Proposal) or not isinstance(said.body, Add):
                raise Invalid("a newcomer may propose nothing but its own addition", rule=Rule.NEWCOMER_PROPOSES)
            return said.body.key_package.leaf_node.signature_key
        case SenderType.NEW_MEMBER_COMMIT:
            if not isinstance(said, Commit):
                raise Invalid("a newcomer that commits sends no proposals", rule=Rule.NEWCOMER_COMMITS)
            if said.path is None:
                raise Invalid("a commit from outside without a path", rule=Rule.EXTERNAL_PATH)
            return said.path.leaf_node.signature_key
        case _:
            assert_never(content.sender.kind)


def _judge(group: Group, verified: Verified, now: int | None, psks: PskStore) -> Outcome:
    """What a signed message does."""
    content = verified.content
    sender = content.sender
    match content.content:
        case bytes():
            raise Misuse("only sealed messages have application data, and they went another way")
        case Proposal() as proposal:
            state = group.state
            longest = group.terms.max_lifetime
            check_proposal(state.suite, state.context, state.tree, proposal, sender, now, max_lifetime=longest)
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


def _application(group: Group, verified: Verified, leaf: LeafNode) -> Application:
    content = verified.content
    said, sender = content.content, content.sender.leaf
    if not isinstance(said, bytes) or sender is None or verified.generation is None:
        raise Misuse("only sealed application data comes here")
    return Application(
        group,
        sender,
        said,
        content.authenticated_data,
        verified.generation,
        content.epoch,
        leaf,
    )


def _judge_commit(group: Group, verified: Verified, now: int | None, psks: PskStore) -> Outcome:
    """§12.4.2."""
    pending = {kept.ref: Queued(kept.proposal, kept.sender, by_reference=True) for kept in group.pending}
    updates = {key.public: key for key in group.own_updates}
    data = verified.content.authenticated_data
    outcome = process(group.state, verified, pending, updates, psks, now, max_lifetime=group.terms.max_lifetime)
    match outcome:
        case Followed(epoch, ratchets, effects):
            return committed(group.entering(epoch, ratchets), effects, data)
        case Expelled(effects):
            return Removed(effects.committer, data, effects.has_path, effects)
        case Lost(reason, effects, rule):
            signer = None if effects.external else effects.committer
            return CannotFollow(reason.removesuffix(f" ({rule})"), signer, data, effects.has_path, effects, rule)
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
