"""RFC 9420 §6, §12.1, §12.4.1, §12.4.3: from what a member wants to say to the bytes that say it.

    payload  ─┐                              ┌─ PrivateMessage (a key spent)
    proposal ─┼─ framed ─ signed ─ enveloped ┤
    commit   ─┘                              └─ PublicMessage

Each function answers with the group after it, in which the key that sealed the message is no more. A commit answers
with a `Step` of two groups, since only the log decides which of them lives on.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from securechan.crypto.suite import Suite
from securechan.errors import Invalid, Misuse, Stale
from securechan.mls.commit import Made, create
from securechan.mls.epoch import Epoch
from securechan.mls.extensions import Extension
from securechan.mls.framing import AuthenticatedContent, Sender
from securechan.mls.keypackage import LeafKeys
from securechan.mls.message import encode_message
from securechan.mls.nodes import Credential, LeafNode
from securechan.mls.proposals import (
    Body,
    GroupContextExtensions,
    PreSharedKey,
    Proposal,
    ProposalOrRef,
    Update,
    proposal_ref,
)
from securechan.mls.protection import authenticated, framed, seal, show
from securechan.mls.psk import PreSharedKeyID, PskName, PskStore
from securechan.mls.receive import committed
from securechan.mls.registry import ExtensionType, LeafNodeSource, ResumptionUsage, WireFormat
from securechan.mls.rules import Rule
from securechan.mls.step import Step
from securechan.mls.treemath import common_ancestor
from securechan.mls.validation import Queued, check_proposal, check_self
from securechan.mls.welcome import GroupInfo, GroupSecrets, PathSecret, gathered, seal_group_info, secrets_sealer

if TYPE_CHECKING:
    from securechan.mls.group import Group


def protect(group: Group, plaintext: bytes, *, authenticated_data: bytes, padding: int) -> tuple[Group, bytes]:
    """§6.3: an application message. Raises `Invalid` while a proposal waits for a commit (§12.4)."""
    _check_alive(group)
    if group.pending:
        waiting = f"{len(group.pending)} proposals wait for a commit"
        raise Invalid(waiting, rule=Rule.COMMIT_FIRST, hint="commit, or wait for another's commit, then send")
    message = _signed(group, plaintext, authenticated_data, private=True)
    return _enveloped(group, message, padding)


def propose(
    group: Group, body: Body, *, authenticated_data: bytes, private: bool, padding: int, now: int | None = None
) -> tuple[Group, bytes]:
    """§12.1: a proposal, which this member's own next commit may refer to as well."""
    proposal, sender, state = Proposal.of(body), Sender.member(group.own_leaf), group.state
    longest = group.terms.max_lifetime
    check_proposal(state.suite, state.context, state.tree, proposal, sender, now, max_lifetime=longest)
    if isinstance(body, GroupContextExtensions):
        check_self(state.own_leaf_node, body.extensions)
    message = _signed(group, proposal, authenticated_data, private=private)
    after, wire = _enveloped(group, message, padding)
    return after.with_pending(proposal_ref(state.suite, message.encode()), proposal, sender), wire


def propose_update(group: Group, *, authenticated_data: bytes, private: bool, padding: int) -> tuple[Group, bytes]:
    """§12.1.2: fresh encryption key, all else as it was; the private key waits for the commit that takes it up."""
    suite, old = group.suite, group.state.own_leaf_node
    key = suite.hpke.kem.fresh()
    leaf = LeafNode(
        key.public,
        old.signature_key,
        old.credential,
        old.capabilities,
        LeafNodeSource.UPDATE,
        None,
        old.extensions,
        b"",
    ).signed(suite, group.state.signing, group.group_id, group.own_leaf)
    after, wire = propose(group, Update(leaf), authenticated_data=authenticated_data, private=private, padding=padding)
    return replace(after, own_updates=(*after.own_updates, key)), wire


def external_psk(suite: Suite, name: PskName) -> PreSharedKey:
    """§12.1.4: the proposal to mix in a key from outside, or the resumption key of an epoch."""
    return PreSharedKey(PreSharedKeyID.fresh(suite, name))


def commit(
    group: Group,
    bodies: Sequence[Body],
    *,
    by_reference: Sequence[bytes],
    psks: PskStore,
    path: bool,
    authenticated_data: bytes,
    private: bool,
    padding: int,
    new_signature: LeafKeys | None,
    tree_in_welcome: bool,
    group_info_extensions: tuple[Extension, ...],
    now: int | None,
    founding: ResumptionUsage | None = None,
) -> Step:
    """§12.4.1: see `Group.commit`; ``founding`` makes it the first of a group that comes of another."""
    _check_alive(group)
    state = group.state
    signing = leaf = None
    if new_signature is not None:
        signing = group.suite.signature.load(new_signature.signature_private)
        leaf = _with_credential(state.own_leaf_node, Credential.of(new_signature.credential))
    made = create(
        state,
        _queue(group, bodies, by_reference),
        wire_format=WireFormat.PRIVATE_MESSAGE if private else WireFormat.PUBLIC_MESSAGE,
        authenticated_data=authenticated_data,
        path=path,
        psks=psks,
        signing=signing,
        leaf=leaf,
        now=now,
        max_lifetime=group.terms.max_lifetime,
        founding=founding,
    )
    current, wire = _enveloped(group, made.message, padding)
    after = current.entering(made.epoch, made.ratchets)
    welcomes = _welcomes(made, group_info_extensions, tree_in_welcome=tree_in_welcome)
    return Step(after, current, wire, welcomes, committed(after, made.effects, authenticated_data))


def _queue(group: Group, bodies: Sequence[Body], by_reference: Sequence[bytes]) -> list[tuple[ProposalOrRef, Queued]]:
    """§12.4: the proposals of a commit: those that were sent before, then those it brings itself."""
    pending = {kept.ref: kept for kept in group.pending}
    queue = []
    for ref in by_reference:
        kept = pending.get(ref)
        if kept is None:
            raise Misuse("a reference to no pending proposal")
        queue.append((ProposalOrRef.of(ref), Queued(kept.proposal, kept.sender, by_reference=True)))
    for body in bodies:
        proposal = Proposal.of(body)
        sender = Sender.member(group.own_leaf)
        queue.append((ProposalOrRef.of(proposal), Queued(proposal, sender, by_reference=False)))
    return queue


def _with_credential(leaf: LeafNode, credential: Credential) -> LeafNode:
    return LeafNode(
        leaf.encryption_key,
        leaf.signature_key,
        credential,
        leaf.capabilities,
        leaf.source,
        leaf.origin,
        leaf.extensions,
        leaf.signature,
    )


def _welcomes(made: Made, extra: tuple[Extension, ...], *, tree_in_welcome: bool) -> tuple[bytes, ...]:
    """§12.4.3.1: one Welcome for each who was added; the group info in them is one and the same."""
    added, state = made.effects.applied.added, made.epoch
    if not added:
        return ()
    suite = state.suite
    if tree_in_welcome:
        extra = (Extension(ExtensionType.RATCHET_TREE, state.tree.encode()), *extra)
    sealed_info = seal_group_info(suite, made.opened.between.welcome_secret, signed_info(state, extra))
    seal_to = secrets_sealer(suite, sealed_info)
    welcomes = []
    for leaf, package in added:
        path_secret = None
        if made.path is not None:
            path_secret = PathSecret(made.path.path_secrets[common_ancestor(leaf, state.own_leaf)])
        secrets = GroupSecrets(made.opened.joiner_secret, path_secret, made.effects.applied.psks)
        entry = seal_to(package.reference(suite), package.init_key, secrets)
        welcomes.append(encode_message(gathered(suite, [entry], sealed_info)))
    return tuple(welcomes)


def signed_info(state: Epoch, extensions: tuple[Extension, ...]) -> GroupInfo:
    """§12.4.3: the group info of an epoch under this member's signature."""
    return GroupInfo.signed(
        state.suite, state.signing, state.context, extensions, state.confirmation_tag, state.own_leaf
    )


def _signed(
    group: Group, content: bytes | Proposal, authenticated_data: bytes, *, private: bool
) -> AuthenticatedContent:
    _check_alive(group)
    state = group.state
    form = WireFormat.PRIVATE_MESSAGE if private else WireFormat.PUBLIC_MESSAGE
    body = framed(group.group_id, group.epoch, Sender.member(group.own_leaf), authenticated_data, content)
    return authenticated(state.suite, state.signing, form, body, state.context.encode())


def _enveloped(group: Group, message: AuthenticatedContent, padding: int) -> tuple[Group, bytes]:
    """§6.2, §6.3: (the group with the key spent, the MLSMessage)."""
    suite, state = group.suite, group.state
    if message.wire_format is WireFormat.PUBLIC_MESSAGE:
        public = show(suite, state.secrets.membership_key, message, state.context.encode())
        return group, encode_message(public)
    ratchets, sealed = seal(suite, state.secrets.sender_data, group.ratchets, group.own_leaf, message, padding)
    return group.with_ratchets(ratchets), encode_message(sealed)


def _check_alive(group: Group) -> None:
    """§11.2: a group that was re-initialised says nothing more."""
    if group.state.reinit is not None:
        ended = "this group has ended by a re-initialisation"
        raise Stale(ended, hint="go on in the group that follows it", rule=Rule.SILENT)
