"""RFC 9420 §12.4.3: the ways into a group: by a Welcome, or from outside with one's own commit.

Nothing that a stranger sends is believed: the tree is the one that the signed group info names, every leaf in it has
signed itself, every parent was made by a member under it, and the confirmation tag shows that the epoch's secrets are
those of whoever signed.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable, Sequence
from typing import TYPE_CHECKING, Final, Protocol, TypeVar

from securechan.crypto.kem import KemKey
from securechan.crypto.signature import SigningKey
from securechan.crypto.suite import Suite
from securechan.errors import CannotOpen, Invalid, Misuse
from securechan.mls.commit import open_epoch, provisional_context, with_transcript
from securechan.mls.context import GroupContext
from securechan.mls.epoch import Epoch
from securechan.mls.extensions import check_unique, find, find_as
from securechan.mls.framing import AuthenticatedContent, FramedContentAuthData, Sender
from securechan.mls.keypackage import KeyPackageBundle
from securechan.mls.lineage import Alike, check_descent, link_of, same_identity
from securechan.mls.nodes import LeafNode, Lifetime
from securechan.mls.proposals import Commit, ExternalInit, PreSharedKey, Proposal, ProposalOrRef, Remove
from securechan.mls.protection import framed, sign
from securechan.mls.psk import PreSharedKeyID, PskName, PskStore, psk_secret
from securechan.mls.ratchets import Ratchets
from securechan.mls.registry import ExtensionType, SenderType, WireFormat
from securechan.mls.rules import Rule, held_to
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
from securechan.mls.validation import (
    check_among,
    check_context,
    check_encryption_key,
    check_leaf_alone,
    check_nonce,
    check_self,
)
from securechan.mls.welcome import GroupInfo, Welcome, open_group_info, open_secrets

if TYPE_CHECKING:
    from securechan.mls.group import Group

T = TypeVar("T")
_AT_ONCE: Final = 32  # leaves that one call checks: ten milliseconds' work


class Each(Protocol):
    """How the leaves of a tree are checked: like `map`, in turn or at once, one failure raising. Nearly all of that
    work is in primitives that let other threads run, so that a caller with cores to spare may lend them."""

    def __call__(self, act: Callable[[T], None], items: Sequence[T], /) -> Iterable[None]: ...


def in_turn(act: Callable[[T], None], items: Sequence[T], /) -> Iterable[None]:
    """On the caller's own thread."""
    return map(act, items)


def join(
    suite: Suite,
    welcome: Welcome,
    bundle: KeyPackageBundle,
    *,
    now: int | None,
    ratchet_tree: bytes | None,
    psks: PskStore,
    parents: Sequence[Group] = (),
    alike: Alike = same_identity,
    others: Container[bytes] = (),
    max_lifetime: int | None = None,
    each: Each = in_turn,
) -> tuple[Epoch, Ratchets]:
    """§12.4.3.1. Raises `Invalid`, `Malformed`, `CannotOpen`, `BadSignature`."""
    if welcome.cipher_suite != suite.number or bundle.key_package.cipher_suite != suite.number:
        raise Invalid(f"a welcome of suite {welcome.cipher_suite:#06x} in {suite.name}", rule=Rule.WELCOME_SUITE)
    origin = bundle.key_package.leaf_node.origin
    if now is not None and isinstance(origin, Lifetime) and not origin.holds(now):
        raise Invalid("our key package is outside its lifetime", rule=Rule.LIFETIME, hint="publish a fresh one")
    with held_to(Rule.WELCOME_FOR_ME):
        sealed = welcome.secrets_for(bundle.reference(suite))
    with held_to(Rule.SECRETS_OPEN):
        secrets = open_secrets(suite, bundle.init_private, sealed, welcome.encrypted_group_info)
    joiner = secrets.joiner_secret
    link = link_of(secrets.psks)
    psk = psk_secret(suite, _held(suite, secrets.psks, psks, parents))
    between = Intermediate.of(suite, joiner, psk)
    with held_to(Rule.INFO_OPENS):
        info = open_group_info(suite, between.welcome_secret, welcome.encrypted_group_info)
    context = info.group_context
    _check_new(context, others)
    tree = trusted_tree(suite, info, ratchet_tree, max_lifetime, each=each)

    own = _place(tree, bundle.key_package.leaf_node)
    check_self(bundle.key_package.leaf_node, context.extensions)
    encryption, signing = _own_keys(suite, bundle)
    private: PrivateKeys = {node_of(own): encryption}
    signer = LeafIndex(info.signer)
    if secrets.path_secret is not None:
        start = common_ancestor(own, signer)
        if tree.parent(start) is None:
            raise Invalid("a path secret of a blank node", rule=Rule.PATH_SECRET_PLACE)
        private, _ = climb(tree, signer, start, secrets.path_secret.path_secret, {node_of(own): encryption})

    epoch_secrets, encryption_secret = derive_epoch(suite, between.epoch_secret(context.encode()))
    with held_to(Rule.WELCOME_CONFIRMED):
        check_confirmation_tag(suite, epoch_secrets, context, info.confirmation_tag)
    check_descent(link, parents, context, tree, alike)
    tree.settle()
    epoch = Epoch(
        suite,
        context,
        tree,
        epoch_secrets,
        interim_hash(suite, context.confirmed_transcript_hash, info.confirmation_tag),
        info.confirmation_tag,
        own,
        signing,
        private,
        (),
    )
    return epoch, Ratchets.start(tree.leaf_count, encryption_secret)


def _check_new(context: GroupContext, others: Container[bytes]) -> None:
    """§12.4.3: no group that we are in has this id."""
    if context.group_id in others:
        raise Invalid("we are in a group of that id already", rule=Rule.GROUP_ID_UNIQUE)


def _own_keys(suite: Suite, bundle: KeyPackageBundle) -> tuple[KemKey, SigningKey]:
    """(encryption key, signing key) of a key package's leaf."""
    leaf = bundle.key_package.leaf_node
    encryption, signing = suite.hpke.kem.load(bundle.encryption_private), suite.signature.load(bundle.signature_private)
    if encryption.public != leaf.encryption_key or suite.signature.public(signing) != leaf.signature_key:
        raise Invalid("the private keys kept for this key package are another's", rule=Rule.MY_KEYS)
    return encryption, signing


def trusted_tree(
    suite: Suite,
    info: GroupInfo,
    ratchet_tree: bytes | None,
    max_lifetime: int | None = None,
    *,
    each: Each = in_turn,
) -> RatchetTree:
    """§12.4.3.1: the ratchet tree of a group info, and both found good. Raises as `join`."""
    context = info.group_context
    if context.cipher_suite != suite.number:
        raise Invalid(f"a group of suite {context.cipher_suite:#06x} in {suite.name}", rule=Rule.INFO_SUITE)
    check_unique(info.extensions)
    check_context(context.extensions)
    inside = find(info.extensions, ExtensionType.RATCHET_TREE)
    data = inside if inside is not None else ratchet_tree
    if data is None:
        raise Invalid("neither the group info nor anything beside it has the tree", rule=Rule.TREE_GIVEN)
    with held_to(Rule.TREE_GIVEN):
        tree = RatchetTree.decode(suite, data)
    signer = tree.leaf(LeafIndex(info.signer))
    if signer is None:
        raise Invalid("the group info is signed by no member", rule=Rule.INFO_SIGNER)
    with held_to(Rule.INFO_SIGNED):
        info.verify(suite, signer.signature_key)
    check_tree(tree, context, max_lifetime, each=each)
    return tree


def check_tree(
    tree: RatchetTree, context: GroupContext, max_lifetime: int | None = None, *, each: Each = in_turn
) -> None:
    """§12.4.3.1: the tree of ``context`` as a whole. Raises `Invalid`, `Malformed`, `BadSignature`."""
    if tree.tree_hash != context.tree_hash:
        raise Invalid("the tree isn't the one that the group context names", rule=Rule.TREE_HASH)
    tree.check_unmerged()
    tree.check_parent_hashes()
    members = list(tree.members())

    def check(some: Sequence[tuple[LeafIndex, LeafNode]]) -> None:
        for at, leaf in some:
            check_leaf_alone(tree.suite, leaf, group_id=context.group_id, at=at, max_lifetime=max_lifetime)

    for _ in each(check, [members[at : at + _AT_ONCE] for at in range(0, len(members), _AT_ONCE)]):
        pass  # what is wrong has raised
    # Those who were there refused a path with a key that is none (§5.1.1). A joiner that didn't would find it only when
    # a commit of its own has to be sealed to that parent, and could make none.
    for parent in tree.parents():
        check_encryption_key(tree.suite, parent.encryption_key)
    check_among(tree, [at for at, _ in members], context.extensions)


def _held(
    suite: Suite, ids: Sequence[PreSharedKeyID], psks: PskStore, parents: Sequence[Group]
) -> list[tuple[PreSharedKeyID, bytes]]:
    """The keys that a Welcome calls for; one that links to another group must be of a parent, which is checked next."""
    if len(set(ids)) != len(ids):
        raise Invalid("a pre-shared key used twice", rule=Rule.PSK_ONCE)
    known: dict[PskName, bytes] = {name: key for parent in parents for name, key in parent.resumption_keys().items()}
    held: list[tuple[PreSharedKeyID, bytes]] = []
    for psk_id in ids:
        check_nonce(suite, psk_id)
        if psk_id.name in known:
            held.append((psk_id, known[psk_id.name]))
        elif psk_id.name in psks and not psk_id.links:
            held.append((psk_id, psks[psk_id.name]))
        else:
            raise CannotOpen(
                "a pre-shared key that the welcome calls for isn't known here",
                hint="hand in the group that it is of as a parent" if psk_id.links else "",
                rule=Rule.WELCOME_PSK_HELD,
            )
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
    psk_ids: Sequence[PskName] = (),
    psks: PskStore | None = None,
    others: Container[bytes] = (),
) -> tuple[Epoch, Ratchets, AuthenticatedContent]:
    """§12.4.3.2: (first epoch, ratchets, the external commit); ``leaf`` gives the new leaf all but keys and signature.

    ``replacing`` removes an earlier leaf of the same client. Raises as `join`, and `Invalid` where the group info
    doesn't invite.
    """
    tree = trusted_tree(suite, info, ratchet_tree)
    tree.settle()
    before = info.group_context
    if replacing is None:
        _check_new(before, others)
    with held_to(Rule.EXTERNAL_PUB):
        invitation = find_as(info.extensions, ExtensionType.EXTERNAL_PUB, ExternalPub)
    if invitation is None:
        raise Invalid("a group info without an external key invites nobody", rule=Rule.EXTERNAL_PUB)
    check_encryption_key(suite, invitation.external_pub)
    kem_output, init = external_init(suite, invitation.external_pub)
    bodies: list[ExternalInit | Remove | PreSharedKey] = [ExternalInit(kem_output)]
    bodies += [PreSharedKey(PreSharedKeyID.fresh(suite, name)) for name in psk_ids]
    keys = [(body.psk, _key_of(body.psk, psks or {})) for body in bodies if isinstance(body, PreSharedKey)]
    if replacing is not None:
        if tree.leaf(replacing) is None:
            raise Invalid(f"leaf {replacing} is no member to replace", rule=Rule.REMOVES_A_MEMBER)
        bodies.append(Remove(replacing))
        tree = tree.remove(replacing)
    tree, (own,) = tree.with_room()
    path = renew(tree, own, leaf, signing, before.group_id)
    tree = path.tree
    check_self(path.leaf_node, before.extensions)
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
    opened = open_epoch(suite, init, path.commit_secret, psk_secret(suite, keys), context)
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


def _key_of(psk_id: PreSharedKeyID, psks: PskStore) -> bytes:
    if psk_id.name not in psks:
        raise Misuse("a pre-shared key is named and not handed in")
    return psks[psk_id.name]
