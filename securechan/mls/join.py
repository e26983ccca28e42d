"""RFC 9420 §12.4.3: the ways into a group: by a Welcome, or from outside with one's own commit.

Nothing that a stranger sends is believed: the tree is the one that the signed group info names, every leaf in it has
signed itself, every parent was made by a member under it, and the confirmation tag shows that the epoch's secrets are
those of whoever signed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from securechan.crypto.secret import Secret
from securechan.crypto.signature import SigningKey
from securechan.crypto.suite import Suite
from securechan.errors import CannotOpen, Invalid
from securechan.mls.commit import open_epoch, provisional_context, with_transcript
from securechan.mls.context import GroupContext
from securechan.mls.epoch import Epoch
from securechan.mls.extensions import check_unique, find, find_as
from securechan.mls.framing import AuthenticatedContent, FramedContentAuthData, Sender
from securechan.mls.keypackage import KeyPackageBundle
from securechan.mls.nodes import LeafNode, Lifetime
from securechan.mls.proposals import Commit, ExternalInit, Proposal, ProposalOrRef, Remove
from securechan.mls.protection import framed, sign
from securechan.mls.psk import ExternalPSK, PreSharedKeyID, psk_secret
from securechan.mls.ratchets import Ratchets
from securechan.mls.registry import ExtensionType, SenderType, WireFormat
from securechan.mls.rules import Rule
from securechan.mls.schedule import (
    ExternalPub,
    Intermediate,
    check_confirmation_tag,
    confirmation_tag,
    derive_epoch,
    external_init,
)
from securechan.mls.transcript import confirmed_hash, interim_hash
from securechan.mls.tree import RatchetTree
from securechan.mls.treekem import PrivateKeys, climb, renew
from securechan.mls.treemath import LeafIndex, common_ancestor, node_of
from securechan.mls.validation import check_among, check_leaf_alone, check_supports
from securechan.mls.welcome import GroupInfo, Welcome, open_group_info, open_secrets


def join(
    suite: Suite,
    welcome: Welcome,
    bundle: KeyPackageBundle,
    *,
    now: int | None,
    ratchet_tree: bytes | None,
    psks: Mapping[bytes, bytes],
) -> tuple[Epoch, Ratchets]:
    """§12.4.3.1. Raises `Invalid`, `Malformed`, `CannotOpen`, `BadSignature`."""
    if welcome.cipher_suite != suite.number or bundle.key_package.cipher_suite != suite.number:
        raise Invalid(f"a welcome of suite {welcome.cipher_suite:#06x} in {suite.name}", rule=Rule.WELCOME_SUITE)
    origin = bundle.key_package.leaf_node.origin
    if now is not None and isinstance(origin, Lifetime) and not origin.holds(now):
        raise Invalid("our key package is outside its lifetime", rule=Rule.LIFETIME, hint="publish a fresh one")
    sealed = welcome.secrets_for(bundle.reference(suite))
    secrets = open_secrets(suite, bundle.init_private, sealed, welcome.encrypted_group_info)
    joiner = secrets.joiner_secret
    if len(set(secrets.psks)) != len(secrets.psks):
        raise Invalid("a pre-shared key used twice", rule=Rule.PSK_ONCE)
    psk = psk_secret(suite, _held(secrets.psks, psks))
    between = Intermediate.of(suite, joiner, psk)
    info = open_group_info(suite, between.welcome_secret, welcome.encrypted_group_info)
    tree = trusted_tree(suite, info, ratchet_tree)
    context = info.group_context

    own = _place(tree, bundle.key_package.leaf_node)
    check_supports(bundle.key_package.leaf_node, context.extensions)
    encryption = suite.hpke.kem.load(bundle.encryption_private)
    if encryption.public != bundle.key_package.leaf_node.encryption_key:
        raise Invalid("the private key kept for this key package is another's", rule=Rule.MY_KEYS)
    private: PrivateKeys = {node_of(own): encryption}
    signer = LeafIndex(info.signer)
    if secrets.path_secret is not None:
        start = common_ancestor(own, signer)
        private, _ = climb(tree, signer, start, secrets.path_secret.path_secret, {node_of(own): encryption})

    epoch_secrets, encryption_secret = derive_epoch(suite, between.epoch_secret(context.encode()))
    check_confirmation_tag(suite, epoch_secrets, context, info.confirmation_tag)
    epoch = Epoch(
        suite,
        context,
        tree,
        epoch_secrets,
        interim_hash(suite, context.confirmed_transcript_hash, info.confirmation_tag),
        info.confirmation_tag,
        own,
        suite.signature.load(bundle.signature_private),
        private,
        (),
    )
    return epoch, Ratchets.start(tree.leaf_count, encryption_secret)


def trusted_tree(suite: Suite, info: GroupInfo, ratchet_tree: bytes | None) -> RatchetTree:
    """§12.4.3.1: the ratchet tree of a group info, and both found good. Raises as `join`."""
    context = info.group_context
    if context.cipher_suite != suite.number:
        raise Invalid(f"a group of suite {context.cipher_suite:#06x} in {suite.name}", rule=Rule.INFO_SUITE)
    check_unique(info.extensions)
    check_unique(context.extensions)
    inside = find(info.extensions, ExtensionType.RATCHET_TREE)
    data = inside if inside is not None else ratchet_tree
    if data is None:
        raise Invalid("neither the group info nor anything beside it has the tree", rule=Rule.TREE_GIVEN)
    tree = RatchetTree.decode(suite, data)
    signer = tree.leaf(LeafIndex(info.signer))
    if signer is None:
        raise Invalid("the group info is signed by no member", rule=Rule.INFO_SIGNER)
    info.verify(suite, signer.signature_key)
    check_tree(tree, context)
    return tree


def check_tree(tree: RatchetTree, context: GroupContext) -> None:
    """§12.4.3.1: the tree of ``context`` as a whole. Raises `Invalid`, `Malformed`, `BadSignature`."""
    if tree.tree_hash != context.tree_hash:
        raise Invalid("the tree isn't the one that the group context names", rule=Rule.TREE_HASH)
    tree.check_unmerged()
    tree.check_parent_hashes()
    for at, leaf in tree.members():
        check_leaf_alone(tree.suite, leaf, group_id=context.group_id, at=at)
    check_among(tree, [at for at, _ in tree.members()], context.extensions)


def _held(ids: Sequence[PreSharedKeyID], psks: Mapping[bytes, bytes]) -> list[tuple[PreSharedKeyID, bytes]]:
    held = []
    for psk_id in ids:
        if not isinstance(psk_id.psk, ExternalPSK) or psk_id.psk.psk_id not in psks:
            raise CannotOpen("a pre-shared key that the welcome calls for isn't known here")
        held.append((psk_id, psks[psk_id.psk.psk_id]))
    return held


def _place(tree: RatchetTree, leaf: LeafNode) -> LeafIndex:
    for at, candidate in tree.members():
        if candidate == leaf:
            return at
    raise Invalid("the tree doesn't hold the leaf of our key package", rule=Rule.MY_LEAF)


# ----------------------------------------------------------------------------------------------------- from outside


def join_from_outside(
    suite: Suite,
    info: GroupInfo,
    signing: SigningKey,
    leaf: LeafNode,
    *,
    ratchet_tree: bytes | None,
    replacing: LeafIndex | None,
    authenticated_data: bytes,
) -> tuple[Epoch, Ratchets, AuthenticatedContent]:
    """§12.4.3.2: (first epoch, ratchets, the external commit); ``leaf`` gives the new leaf all but keys and signature.

    ``replacing`` removes an earlier leaf of the same client. Raises as `join`, and `Invalid` where the group info
    doesn't invite.
    """
    tree = trusted_tree(suite, info, ratchet_tree)
    before = info.group_context
    invitation = find_as(info.extensions, ExtensionType.EXTERNAL_PUB, ExternalPub)
    if invitation is None:
        raise Invalid("a group info without an external key invites nobody", rule=Rule.EXTERNAL_PUB)
    kem_output, init = external_init(suite, invitation.external_pub)
    bodies: list[ExternalInit | Remove] = [ExternalInit(kem_output)]
    if replacing is not None:
        if tree.leaf(replacing) is None:
            raise Invalid(f"leaf {replacing} is no member to replace", rule=Rule.REMOVES_A_MEMBER)
        bodies.append(Remove(replacing))
        tree = tree.remove(replacing)
    tree, (own,) = tree.with_room()
    path = renew(tree, own, leaf, signing, before.group_id)
    tree = path.tree
    check_among(tree, [own], before.extensions)
    provisional = provisional_context(before, tree, before.extensions)
    items = tuple(ProposalOrRef.of(Proposal.of(body)) for body in bodies)
    content = framed(
        before.group_id,
        before.epoch,
        Sender(SenderType.NEW_MEMBER_COMMIT, None),
        authenticated_data,
        Commit(items, path.seal(provisional.encode(), ())),
    )
    signature = sign(suite, signing, WireFormat.PUBLIC_MESSAGE, content, before.encode())
    unconfirmed = AuthenticatedContent(WireFormat.PUBLIC_MESSAGE, content, FramedContentAuthData(signature, b""))
    interim = interim_hash(suite, before.confirmed_transcript_hash, info.confirmation_tag)
    context = with_transcript(provisional, confirmed_hash(suite, interim, unconfirmed))
    opened = open_epoch(suite, init, path.commit_secret, Secret(bytes(suite.hash_length)), context)
    tag = confirmation_tag(suite, opened.secrets, context.confirmed_transcript_hash)
    epoch = Epoch(
        suite,
        context,
        tree,
        opened.secrets,
        interim_hash(suite, context.confirmed_transcript_hash, tag),
        tag,
        own,
        signing,
        path.private,
        (),
    )
    message = AuthenticatedContent(WireFormat.PUBLIC_MESSAGE, content, FramedContentAuthData(signature, tag))
    return epoch, Ratchets.start(tree.leaf_count, opened.encryption_secret), message
