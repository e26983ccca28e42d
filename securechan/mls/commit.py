"""RFC 9420 §12.3, §12.4: a commit closes an epoch and opens the next, for its maker and for those who receive it.

    proposals ─check─► queue ─apply─► provisional tree ─┬─ maker: renew, seal ─┬─► next epoch
                                                        └─ taker: merge, follow ┘

A receiver's verdict has two halves. What every member can judge alike, from the epoch they share, *raises*: bad
proposals, a path that doesn't fit the tree, a wrong confirmation tag. What only this member can see is an answer,
`Lost`: the path secret sealed for it doesn't open or isn't the one that the tree shows, or a pre-shared key is missing.

The confirmation tag stands on the public side. A member that followed the path to the root holds a path secret whose
key pair is the one in the tree, and no two secrets make one key pair; so all who can follow derive the same commit
secret, and a tag that is wrong for one is wrong for all of them. (Where pre-shared keys are mixed in, it isn't so, and
the tag is on the private side.)
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from securechan.crypto.kem import KemKey
from securechan.crypto.secret import Secret
from securechan.crypto.signature import SigningKey
from securechan.crypto.suite import Suite
from securechan.errors import CannotOpen, Invalid, Malformed, Misuse
from securechan.mls.apply import Applied, Change, apply, check_result, member, needs_path
from securechan.mls.context import GroupContext
from securechan.mls.epoch import Epoch
from securechan.mls.extensions import Extension
from securechan.mls.framing import AuthenticatedContent, FramedContentAuthData, Sender
from securechan.mls.nodes import LeafNode
from securechan.mls.proposals import (
    Commit,
    Proposal,
    ProposalOrRef,
    ReInit,
)
from securechan.mls.protection import Verified, framed, sign
from securechan.mls.psk import PskStore
from securechan.mls.ratchets import Ratchets
from securechan.mls.registry import LeafNodeSource, ResumptionUsage, SenderType, WireFormat
from securechan.mls.rules import Rule, held_to
from securechan.mls.schedule import (
    EpochSecrets,
    Intermediate,
    check_confirmation_tag,
    confirmation_tag,
    derive_epoch,
    follow_external_init,
    joiner_secret,
)
from securechan.mls.transcript import confirmed_hash, interim_hash
from securechan.mls.tree import RatchetTree
from securechan.mls.treekem import NewPath, PrivateKeys, UpdatePath, follow, merge, renew, retained
from securechan.mls.treemath import LeafIndex, node_of
from securechan.mls.validation import (
    Queued,
    check_external_list,
    check_leaf_alone,
    check_list,
    check_proposal,
    check_self,
)

LAST_EPOCH: Final = (1 << 64) - 1


@dataclass(frozen=True, slots=True)
class Effects:
    """What a commit changed, for those who judge it by more than MLS knows."""

    committer: LeafIndex
    applied: Applied
    own_change: Change | None  # the committer's leaf, where there is a path and it was there before
    has_path: bool
    external: bool  # by one who joined with it


@dataclass(frozen=True, slots=True)
class Followed:
    """The next epoch."""

    epoch: Epoch
    ratchets: Ratchets
    effects: Effects


@dataclass(frozen=True, slots=True)
class Expelled:
    """A commit, valid as far as those who leave can see, that removes this member."""

    effects: Effects


@dataclass(frozen=True, slots=True)
class Lost:
    """Nothing that all can see speaks against the commit, but this member can't derive the next epoch."""

    reason: str
    effects: Effects
    rule: str


def provisional_context(before: GroupContext, tree: RatchetTree, extensions: tuple[Extension, ...]) -> GroupContext:
    """§12.4.1: the context that path secrets are sealed under: the new one but for the transcript."""
    if before.epoch >= LAST_EPOCH:
        raise Invalid("the group has come to its last epoch", rule=Rule.LAST_EPOCH)
    return GroupContext(
        before.version,
        before.cipher_suite,
        before.group_id,
        before.epoch + 1,
        tree.tree_hash,
        before.confirmed_transcript_hash,
        extensions,
    )


def with_transcript(context: GroupContext, confirmed: bytes) -> GroupContext:
    """§12.4.1: the provisional context, completed with the commit's own transcript hash."""
    return GroupContext(
        context.version,
        context.cipher_suite,
        context.group_id,
        context.epoch,
        context.tree_hash,
        confirmed,
        context.extensions,
    )


@dataclass(frozen=True, slots=True)
class Opened:
    """§8: the secrets of a new epoch, and those on the way, which a Welcome needs."""

    joiner_secret: Secret
    between: Intermediate
    secrets: EpochSecrets
    encryption_secret: Secret


def open_epoch(suite: Suite, init: bytes, commit: bytes, psk: bytes, context: GroupContext) -> Opened:
    """§8: from the init, commit and pre-shared secrets to the epoch of ``context``."""
    joiner = joiner_secret(suite, init, commit, context.encode())
    between = Intermediate.of(suite, joiner, psk)
    secrets, encryption = derive_epoch(suite, between.epoch_secret(context.encode()))
    return Opened(joiner, between, secrets, encryption)


# ----------------------------------------------------------------------------------------------------- taking a commit


def process(
    epoch: Epoch,
    verified: Verified,
    pending: Mapping[bytes, Queued],
    own_updates: Mapping[bytes, KemKey],
    psks: PskStore,
    now: int | None = None,
    *,
    max_lifetime: int | None = None,
) -> Followed | Expelled | Lost:
    """§12.4.2: another's commit of this epoch.

    ``pending`` are the proposals of the epoch by reference; ``own_updates`` the private keys of this member's own
    update proposals by public key. Raises `Invalid`, `Malformed`, `CannotOpen` for what all members see alike.
    """
    suite, content = epoch.suite, verified.content
    commit = content.content
    if not isinstance(commit, Commit):
        raise Misuse("only a commit can be processed as one")
    external = content.sender.kind is SenderType.NEW_MEMBER_COMMIT
    queue = resolve(commit, content.sender, pending)
    if external:
        check_external_list(queue)
    else:
        check_list(queue, _committer(content.sender))
    for item in queue:
        if not item.by_reference:
            check_proposal(suite, epoch.context, epoch.tree, item.proposal, item.sender, now, max_lifetime=max_lifetime)
    if commit.path is None and needs_path(queue):
        raise Invalid("a commit without the path that its proposals need", rule=Rule.PATH_REQUIRED)

    applied = apply(epoch.tree, epoch.context.extensions, queue)
    tree, committer, own_change = _merged(epoch, applied, commit.path, content.sender)
    check_result(applied, tree, None if commit.path is None else committer)
    provisional = provisional_context(epoch.context, tree, applied.extensions)
    confirmed = confirmed_hash(suite, epoch.interim_transcript_hash, verified.message)
    context = with_transcript(provisional, confirmed)
    effects = Effects(committer, applied, own_change, commit.path is not None, external)
    init = epoch.secrets.init
    if applied.external_init is not None:
        with held_to(Rule.EXTERNAL_INIT_OPENS):
            init = follow_external_init(suite, epoch.secrets, applied.external_init)
    tag = verified.message.auth.confirmation_tag or b""
    if any(leaf == epoch.own_leaf for leaf, _ in applied.removed):
        return Expelled(effects)

    try:
        private: PrivateKeys = retained(tree, {**epoch.private, **_own_update(epoch, applied, own_updates)})
        commit_secret = Secret(bytes(suite.hash_length))
        if commit.path is not None:
            private, commit_secret = follow(
                tree, epoch.own_leaf, private, committer, commit.path, provisional.encode(), applied.new_leaves
            )
        psk = epoch.psk_secret(applied.psks, psks)
    except (CannotOpen, Invalid, Malformed) as fault:
        return Lost(fault.message, effects, fault.rule or Rule.PATH_SECRET_OPENS)
    opened = open_epoch(suite, init, commit_secret, psk, context)
    try:
        check_confirmation_tag(suite, opened.secrets, context, tag)
    except CannotOpen as fault:
        if applied.psks:
            return Lost(f"{fault.message}; a pre-shared key may differ", effects, Rule.CONFIRMED)
        raise Invalid(fault.message, rule=Rule.CONFIRMED) from None
    return Followed(
        _next_epoch(epoch, context, tree, opened, tag, epoch.signing, private, applied.reinit),
        Ratchets.start(tree.leaf_count, opened.encryption_secret),
        effects,
    )


def _merged(
    epoch: Epoch, applied: Applied, path: UpdatePath | None, sender: Sender
) -> tuple[RatchetTree, LeafIndex, Change | None]:
    """§12.4.2: (the tree with the path, the committer's leaf, how that leaf changed)."""
    if sender.kind is SenderType.NEW_MEMBER_COMMIT:
        tree, (committer,) = applied.tree.with_room()
        before = None
    else:
        tree, committer = applied.tree, _committer(sender)
        before = member(tree, committer)
    if path is None:
        return tree, committer, None
    if path.leaf_node.source is not LeafNodeSource.COMMIT:
        raise Invalid("the leaf of a path isn't made for one", rule=Rule.SOURCE_COMMIT)
    check_leaf_alone(epoch.suite, path.leaf_node, group_id=epoch.context.group_id, at=committer)
    if before is not None and path.leaf_node.encryption_key == before.encryption_key:
        raise Invalid("a path that keeps its committer's encryption key", rule=Rule.COMMITTER_KEY)
    if before is None and any(old.encryption_key == path.leaf_node.encryption_key for _, old in applied.removed):
        raise Invalid("a newcomer with the encryption key of the leaf it replaces", rule=Rule.RESYNC_KEY)
    merged = merge(tree, committer, path, applied.new_leaves)
    return merged, committer, None if before is None else Change(committer, before, path.leaf_node)


def _committer(sender: Sender) -> LeafIndex:
    if sender.leaf is None:
        raise Invalid("a commit by one who may not commit", rule=Rule.MEMBER_SENDS)
    return sender.leaf


def resolve(commit: Commit, sender: Sender, pending: Mapping[bytes, Queued]) -> list[Queued]:
    """§12.4.2: the proposals of a commit. A reference to nothing that was sent in this epoch is `Invalid` to all alike,
    since all read the same log."""
    queue = []
    for item in commit.proposals:
        if isinstance(item.value, Proposal):
            queue.append(Queued(item.value, sender, by_reference=False))
        elif item.value in pending:
            queue.append(pending[item.value])
        else:
            raise Invalid("a commit refers to a proposal that wasn't sent before it", rule=Rule.REFERENCE_KNOWN)
    return queue


def _own_update(epoch: Epoch, applied: Applied, own_updates: Mapping[bytes, KemKey]) -> PrivateKeys:
    """The private key of this member's own update proposal, where the commit took it up."""
    for change in applied.updated:
        if change.leaf == epoch.own_leaf:
            key = own_updates.get(change.after.encryption_key)
            if key is None:
                raise CannotOpen("the commit takes up an update of mine whose private key isn't here")
            return {node_of(epoch.own_leaf): key}
    return {}


def _next_epoch(
    epoch: Epoch,
    context: GroupContext,
    tree: RatchetTree,
    opened: Opened,
    tag: bytes,
    signing: SigningKey,
    private: PrivateKeys,
    reinit: ReInit | None,
) -> Epoch:
    return Epoch(
        epoch.suite,
        context,
        tree,
        opened.secrets,
        interim_hash(epoch.suite, context.confirmed_transcript_hash, tag),
        tag,
        epoch.own_leaf,
        signing,
        private,
        epoch.resumptions_for_next(),
        reinit,
    )


# ----------------------------------------------------------------------------------------------------- making a commit


@dataclass(frozen=True, slots=True)
class Made:
    """A commit of one's own: the next epoch, to be adopted once the log has it, and what newcomers need."""

    epoch: Epoch
    ratchets: Ratchets
    message: AuthenticatedContent
    effects: Effects
    path: NewPath | None
    opened: Opened


def create(
    epoch: Epoch,
    queue: Sequence[tuple[ProposalOrRef, Queued]],
    *,
    wire_format: WireFormat,
    authenticated_data: bytes = b"",
    path: bool = True,
    psks: PskStore | None = None,
    signing: SigningKey | None = None,
    leaf: LeafNode | None = None,
    now: int | None = None,
    max_lifetime: int | None = None,
    founding: ResumptionUsage | None = None,
) -> Made:
    """§12.4.1: a commit by this member; ``signing`` and ``leaf`` renew its own signature key and leaf content.

    Raises `Invalid` where the proposals break a rule, `Misuse` for a commit that must have a path and shall not.
    """
    suite = epoch.suite
    items = [item for _, item in queue]
    check_list(items, epoch.own_leaf)
    for item in items:
        if not item.by_reference:
            check_proposal(
                suite,
                epoch.context,
                epoch.tree,
                item.proposal,
                item.sender,
                now,
                max_lifetime=max_lifetime,
                founding=founding,
            )
    if not path and (needs_path(items) or signing is not None or leaf is not None):
        raise Misuse("these proposals need a commit with a path")
    applied = apply(epoch.tree, epoch.context.extensions, items)

    signer = signing or epoch.signing
    renewed: NewPath | None = None
    tree, private, commit_secret = applied.tree, retained(applied.tree, epoch.private), Secret(bytes(suite.hash_length))
    own_change: Change | None = None
    if path:
        old = leaf or epoch.own_leaf_node
        renewed = renew(applied.tree, epoch.own_leaf, old, signer, epoch.context.group_id)
        tree, commit_secret = renewed.tree, renewed.commit_secret
        private = retained(tree, {**private, **renewed.private})
        own_change = Change(epoch.own_leaf, epoch.own_leaf_node, member(tree, epoch.own_leaf))
    check_result(applied, tree, epoch.own_leaf if path else None)
    if applied.extensions_changed:
        check_self(member(tree, epoch.own_leaf), applied.extensions)
    provisional = provisional_context(epoch.context, tree, applied.extensions)
    sealed = None if renewed is None else renewed.seal(provisional.encode(), applied.new_leaves)

    content = framed(
        epoch.context.group_id,
        epoch.context.epoch,
        Sender.member(epoch.own_leaf),
        authenticated_data,
        Commit(tuple(item for item, _ in queue), sealed),
    )
    signature = sign(suite, epoch.signing, wire_format, content, epoch.context.encode())
    unconfirmed = AuthenticatedContent(wire_format, content, FramedContentAuthData(signature, b""))
    context = with_transcript(provisional, confirmed_hash(suite, epoch.interim_transcript_hash, unconfirmed))
    opened = open_epoch(suite, epoch.secrets.init, commit_secret, epoch.psk_secret(applied.psks, psks or {}), context)
    tag = confirmation_tag(suite, opened.secrets, context.confirmed_transcript_hash)
    return Made(
        _next_epoch(epoch, context, tree, opened, tag, signer, private, applied.reinit),
        Ratchets.start(tree.leaf_count, opened.encryption_secret),
        AuthenticatedContent(wire_format, content, FramedContentAuthData(signature, tag)),
        Effects(epoch.own_leaf, applied, own_change, path, external=False),
        renewed,
        opened,
    )
