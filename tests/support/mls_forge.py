"""A forge: a member that holds every key of its epoch and keeps no rule, and an inviter that lies.

They encode what the engine's own makers refuse to make. Nothing of the engine's checks runs here: a `Forger` signs and
seals whatever it is told, and computes the rest of a message (paths, hashes, tags) as an honest member would, so that
each forgery breaks the one rule that it means to break.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields, replace
from typing import Any

from securechan.crypto.secret import Secret
from securechan.crypto.signature import SigningKey
from securechan.crypto.suite import Suite
from securechan.errors import Invalid
from securechan.mls.apply import Applied, apply
from securechan.mls.commit import open_epoch, with_transcript
from securechan.mls.context import GroupContext
from securechan.mls.epoch import Epoch
from securechan.mls.extensions import Extension
from securechan.mls.framing import (
    AuthenticatedContent,
    FramedContent,
    FramedContentAuthData,
    PrivateContentAAD,
    PrivateMessage,
    PublicMessage,
    Sender,
    SenderData,
    SenderDataAAD,
    pack_private,
)
from securechan.mls.group import Group
from securechan.mls.keypackage import KeyPackage, KeyPackageBundle
from securechan.mls.labels import sign_with_label
from securechan.mls.message import MLSMessage, encode_message
from securechan.mls.nodes import LeafNode, Node, ParentNode
from securechan.mls.proposals import Body, Commit, ExternalInit, Proposal, ProposalOrRef
from securechan.mls.protection import framed, membership_tag, sender_data_key, sign
from securechan.mls.psk import PreSharedKeyID, psk_secret
from securechan.mls.registry import ExtensionType, LeafNodeSource, SenderType, WireFormat
from securechan.mls.schedule import Intermediate, confirmation_tag, external_init, external_key
from securechan.mls.send import Step
from securechan.mls.transcript import confirmed_hash
from securechan.mls.tree import ParentHashInput, RatchetTree
from securechan.mls.treekem import UpdatePath, renew
from securechan.mls.treemath import LeafIndex, NodeIndex, node_of
from securechan.mls.validation import Queued
from securechan.mls.welcome import (
    GroupInfo,
    GroupSecrets,
    Welcome,
    open_group_info,
    open_secrets,
    seal_group_info,
    seal_secrets,
)


def changed(struct: Any, **values: Any) -> Any:
    """The same struct with other values, and no memory of its wire form."""
    return type(struct)(**{**{each.name: getattr(struct, each.name) for each in fields(struct)}, **values})


def resigned(package: KeyPackage, suite: Suite, key: bytes | SigningKey, **values: Any) -> KeyPackage:
    """A key package with other values under a good signature."""
    bare = changed(package, **values, signature=b"")
    return changed(bare, signature=sign_with_label(suite, key, "KeyPackageTBS", bare.to_be_signed()))


def releafed(bundle: KeyPackageBundle, suite: Suite, **values: Any) -> KeyPackage:
    """A key package whose leaf has other values, both under good signatures."""
    leaf = changed(bundle.key_package.leaf_node, **values).signed(suite, bundle.signature_private)
    return resigned(bundle.key_package, suite, bundle.signature_private, leaf_node=leaf)


class Forger:
    """A member of ``group`` without scruples; ``data`` is the authenticated data of all that it says."""

    def __init__(self, group: Group, data: bytes = b"") -> None:
        self.group, self.data = group, data
        self.state: Epoch = group.state
        self.suite = group.suite
        self.context = group.state.context.encode()

    @property
    def me(self) -> Sender:
        return Sender.member(self.group.own_leaf)

    def leaf(self, *, key: bytes | SigningKey | None = None, **values: Any) -> LeafNode:
        """An Update of this member's leaf with a fresh key and these values, signed."""
        fresh = self.suite.hpke.kem.generate()[1]
        bare = {"encryption_key": fresh, "source": LeafNodeSource.UPDATE, "origin": None, **values}
        leaf: LeafNode = changed(self.state.own_leaf_node, **bare)
        return leaf.signed(self.suite, key or self.state.signing, self.group.group_id, self.group.own_leaf)

    # ---------------------------------------------------------------------------------------------------- envelopes

    def framed(self, content: bytes | Proposal | Commit, sender: Sender | None = None) -> FramedContent:
        return framed(self.group.group_id, self.group.epoch, sender or self.me, self.data, content)

    def public(
        self,
        content: bytes | Proposal | Commit,
        *,
        sender: Sender | None = None,
        key: bytes | SigningKey | None = None,
        tag: bytes = b"",
        membership: bytes | None = None,
    ) -> bytes:
        """In the clear, signed with ``key``."""
        body = self.framed(content, sender)
        signature = sign(self.suite, key or self.state.signing, WireFormat.PUBLIC_MESSAGE, body, self.context)
        auth = FramedContentAuthData(signature, tag if isinstance(content, Commit) else None)
        message = AuthenticatedContent(WireFormat.PUBLIC_MESSAGE, body, auth)
        return self.shown(message, membership)

    def shown(self, message: AuthenticatedContent, membership: bytes | None = None) -> bytes:
        tag = None
        if message.content.sender.kind is SenderType.MEMBER:
            tag = membership or membership_tag(self.suite, self.state.secrets.membership_key, message, self.context)
        return encode_message(PublicMessage(message.content, message.auth, tag))

    def private(
        self,
        content: bytes | Proposal,
        *,
        at: LeafIndex | None = None,
        generation: int = 0,
        plaintext: Callable[[bytes], bytes] = bytes,
        key: bytes | None = None,
        signing: SigningKey | None = None,
    ) -> bytes:
        """Sealed, as if by ``at`` in ``generation``; ``plaintext`` may spoil what is sealed, ``key`` the key."""
        suite, leaf = self.suite, self.group.own_leaf if at is None else at
        body = self.framed(content, Sender.member(leaf))
        signature = sign(suite, signing or self.state.signing, WireFormat.PRIVATE_MESSAGE, body, self.context)
        auth = FramedContentAuthData(signature)
        inside = pack_private(AuthenticatedContent(WireFormat.PRIVATE_MESSAGE, body, auth), 0)
        _, good = self.group.ratchets.take(suite, leaf, body.content_type, min(generation, 100))
        aad = PrivateContentAAD(body.group_id, body.epoch, body.content_type, self.data).encode()
        sealed = suite.aead_seal(key or good.key, good.nonce, aad, plaintext(inside))  # a guard of zeros
        data_key, data_nonce = sender_data_key(suite, self.state.secrets.sender_data, sealed)
        data_aad = SenderDataAAD(body.group_id, body.epoch, body.content_type).encode()
        data = suite.aead_seal(data_key, data_nonce, data_aad, SenderData(leaf, generation, 0).encode())
        return encode_message(PrivateMessage(body.group_id, body.epoch, body.content_type, self.data, data, sealed))

    def proposal(self, body: Body, **options: Any) -> bytes:
        return self.public(Proposal.of(body), **options)

    # ------------------------------------------------------------------------------------------------------- commits

    def commit(
        self,
        *bodies: Body,
        refs: Sequence[bytes] = (),
        path: bool = True,
        leaf: Mapping[str, Any] | None = None,
        sealed: Callable[[UpdatePath], UpdatePath] = lambda path: path,
        secret_of: Callable[[Secret], Secret] = lambda secret: secret,
        tag: bytes | None = None,
        psk: bytes | None = None,
    ) -> bytes:
        """A public commit. ``leaf`` spoils the new leaf, ``sealed`` the path, ``secret_of`` the secrets in it."""
        suite, state = self.suite, self.state
        pending = {kept.ref: Queued(kept.proposal, kept.sender, by_reference=True) for kept in self.group.pending}
        queue = [pending[ref] for ref in refs if ref in pending]
        queue += [Queued(Proposal.of(body), self.me, by_reference=False) for body in bodies]
        try:
            applied = apply(state.tree, state.context.extensions, queue)
        except Invalid:  # nothing comes of it: the list is refused before anyone applies it
            applied = Applied(state.tree, state.context.extensions)
        tree, secret, update = applied.tree, Secret(bytes(suite.hash_length)), None
        context = _next(state.context, tree, applied.extensions)
        if path:
            new = renew(tree, self.group.own_leaf, state.own_leaf_node, state.signing, self.group.group_id)
            context = _next(state.context, new.tree, applied.extensions)
            told = {index: secret_of(each) for index, each in new.path_secrets.items()}
            update = sealed(replace(new, path_secrets=told).seal(context.encode(), applied.new_leaves))
            secret = new.commit_secret
            if leaf is not None:
                spoiled = changed(update.leaf_node, **leaf)
                signed = spoiled.signed(suite, state.signing, self.group.group_id, self.group.own_leaf)
                update = UpdatePath(signed, update.nodes)
        items = tuple(ProposalOrRef.of(ref) for ref in refs) + tuple(
            ProposalOrRef.of(Proposal.of(body)) for body in bodies
        )
        return self._confirmed(self.me, Commit(items, update), state.signing, context, secret, tag=tag, psk=psk)

    def external(
        self,
        *bodies: Body,
        keys: bytes,
        init: bool = True,
        output: Callable[[bytes], bytes] = bytes,
        refs: Sequence[bytes] = (),
        path: bool = True,
        leaf: Mapping[str, Any] | None = None,
        signed_by: SigningKey | None = None,
    ) -> bytes:
        """A commit from outside, by somebody with the signature key ``keys`` who looks like this member otherwise."""
        suite, state = self.suite, self.state
        kem_output, secret = external_init(suite, external_key(suite, state.secrets.external).public)
        inside: list[Body] = [*([ExternalInit(output(kem_output))] if init else []), *bodies]
        queue = [Queued(Proposal.of(body), self.me, by_reference=False) for body in inside]
        try:
            applied = apply(state.tree, state.context.extensions, queue)
        except Invalid:
            applied = Applied(state.tree, state.context.extensions)
        tree, (own,) = applied.tree.with_room()
        key = suite.signature.load(keys)
        new = renew(tree, own, state.own_leaf_node, key, self.group.group_id)
        context = _next(state.context, new.tree, applied.extensions)
        update = new.seal(context.encode(), ())
        if leaf is not None:
            signed = changed(update.leaf_node, **leaf).signed(suite, key, self.group.group_id, own)
            update = UpdatePath(signed, update.nodes)
        items = tuple(ProposalOrRef.of(Proposal.of(body)) for body in inside) + tuple(map(ProposalOrRef.of, refs))
        content = Commit(items, update if path else None)
        sender = Sender(SenderType.NEW_MEMBER_COMMIT, None)
        return self._confirmed(sender, content, signed_by or key, context, new.commit_secret, init=secret)

    def _confirmed(
        self,
        sender: Sender,
        content: Commit,
        key: SigningKey,
        context: GroupContext,
        secret: Secret,
        *,
        init: bytes | None = None,
        tag: bytes | None = None,
        psk: bytes | None = None,
    ) -> bytes:
        suite, state = self.suite, self.state
        body = self.framed(content, sender)
        signature = sign(suite, key, WireFormat.PUBLIC_MESSAGE, body, self.context)
        bare = AuthenticatedContent(WireFormat.PUBLIC_MESSAGE, body, FramedContentAuthData(signature, b""))
        context = with_transcript(context, confirmed_hash(suite, state.interim_transcript_hash, bare))
        none = Secret(bytes(suite.hash_length))
        opened = open_epoch(suite, init or state.secrets.init, secret, psk or none, context)
        good = confirmation_tag(suite, opened.secrets, context.confirmed_transcript_hash)
        auth = FramedContentAuthData(signature, good if tag is None else tag)
        return self.shown(AuthenticatedContent(WireFormat.PUBLIC_MESSAGE, body, auth))


def _next(before: GroupContext, tree: RatchetTree, extensions: tuple[Extension, ...]) -> GroupContext:
    """The next provisional context, whatever its epoch comes to."""
    epoch = (before.epoch + 1) % (1 << 64)
    return changed(before, epoch=epoch, tree_hash=tree.tree_hash, extensions=extensions)


def with_forged_path(
    tree: RatchetTree, at: LeafIndex, key: SigningKey, group_id: bytes, publics: Mapping[NodeIndex, bytes]
) -> RatchetTree:
    """The tree with a path of ``at`` whose parents have these keys, hash-linked and signed as §7.9 wants it."""
    suite, old = tree.suite, tree.leaf(at)
    above, nodes = b"", dict[NodeIndex, Node]()
    for index, beside in reversed(tree.filtered_path(at)):
        node = ParentNode(publics[index], above, ())
        nodes[index] = node
        above = suite.hash(ParentHashInput(node.encryption_key, above, tree.node_hash(beside)).encode())
    leaf = changed(old, source=LeafNodeSource.COMMIT, origin=above).signed(suite, key, group_id, at)
    return tree.with_nodes([(node_of(at), leaf), *nodes.items()])


class Inviter:
    """A member who has added one newcomer, and writes the Welcome again as it likes."""

    def __init__(self, step: Step, bundle: KeyPackageBundle, psks: Sequence[tuple[PreSharedKeyID, bytes]] = ()) -> None:
        self.step, self.bundle = step, bundle
        self.suite = step.next.suite
        self.psks = psks
        body = MLSMessage.decode(step.welcomes[0]).body
        assert isinstance(body, Welcome)
        self.reference = bundle.reference(self.suite)
        sealed = body.secrets_for(self.reference)
        self.secrets = open_secrets(self.suite, bundle.init_private, sealed, body.encrypted_group_info)
        self.info = open_group_info(self.suite, self.welcome_secret(self.secrets), body.encrypted_group_info)

    def welcome_secret(self, secrets: GroupSecrets) -> Secret:
        psk = psk_secret(self.suite, self.psks)
        return Intermediate.of(self.suite, secrets.joiner_secret, psk).welcome_secret

    @property
    def tree(self) -> RatchetTree:
        return self.step.next.state.tree

    def signed(self, **values: Any) -> GroupInfo:
        """The group info with other values, under a good signature."""
        info = changed(self.info, **values)
        signer = self.step.next.state.signing
        return GroupInfo.signed(
            self.suite, signer, info.group_context, info.extensions, info.confirmation_tag, info.signer
        )

    def context(self, **values: Any) -> GroupInfo:
        """The group info with another group context."""
        return self.signed(group_context=changed(self.info.group_context, **values))

    def planted(self, tree: RatchetTree | bytes, **context: Any) -> GroupInfo:
        """The group info with another tree, whose hash it names."""
        data = tree if isinstance(tree, bytes) else tree.encode()
        if isinstance(tree, RatchetTree):
            context = {"tree_hash": tree.tree_hash, **context}
        return self.signed(
            group_context=changed(self.info.group_context, **context),
            extensions=(Extension(ExtensionType.RATCHET_TREE, data),),
        )

    def welcome(
        self,
        info: GroupInfo | None = None,
        secrets: GroupSecrets | None = None,
        *,
        number: int | None = None,
        reference: bytes | None = None,
        seal: Callable[[bytes], bytes] = bytes,
    ) -> bytes:
        """The Welcome anew; ``seal`` may spoil the sealed group info."""
        secrets = secrets or self.secrets
        sealed_info = seal(seal_group_info(self.suite, self.welcome_secret(secrets), info or self.info))
        entry = seal_secrets(
            self.suite, reference or self.reference, self.bundle.key_package.init_key, secrets, sealed_info
        )
        return encode_message(Welcome(self.suite.number if number is None else number, (entry,), sealed_info))
