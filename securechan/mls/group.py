"""RFC 9420 §11, §12, §15: a group as a value: what one member holds, and everything it can do with it.

    Group.create ─┐                     ┌─ protect ──► (Group', message)
    Group.join   ─┼─► Group (frozen) ───┼─ commit  ──► Step(next Group', commit, welcomes)
    Group.decode ─┘                     ├─ propose ──► (Group', message)
                                        └─ receive ──► Outcome (with the Group' to adopt, if there is one)

Nothing here changes a group: each operation answers with the next value, and whoever holds the old one decides whether
to adopt it. *An old value must never be used again once a later one was*: it would use a key twice. `Step.current` is
for that: a commit spends a key of the epoch that it closes, and if it loses the race, the epoch goes on with that.

Which fault is whose: `Void` is what all members see alike, from the epoch that they share: bytes that don't parse,
don't open under the epoch's keys or aren't signed by who they say, proposals against the rules, a path that doesn't
fit, a wrong confirmation tag. `CannotFollow` is what only this member sees: its own share of the path's secret, or a
pre-shared key that it lacks. See `commit` for why the tag is on the public side.
"""

from __future__ import annotations

from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass, replace

from securechan.crypto.kem import KemKey
from securechan.crypto.secret import Secret
from securechan.crypto.suite import Suite, by_number
from securechan.errors import Malformed
from securechan.mls import rest
from securechan.mls.context import GroupContext
from securechan.mls.epoch import Epoch
from securechan.mls.extensions import Extension
from securechan.mls.framing import Sender
from securechan.mls.join import Each, in_turn, join, join_from_outside
from securechan.mls.keypackage import (
    CLOCK_SKEW,
    DEFAULT_LIFETIME,
    KeyPackage,
    KeyPackageBundle,
    LeafKeys,
    capabilities_for,
    new_leaf,
)
from securechan.mls.lineage import Alike, same_identity
from securechan.mls.message import MLSMessage, encode_message
from securechan.mls.nodes import Capabilities, Credential, LeafNode, Lifetime
from securechan.mls.outcomes import Outcome
from securechan.mls.past import PastEpoch
from securechan.mls.proposals import Add, GroupContextExtensions, Proposal, ReInit, Remove
from securechan.mls.proposals import Body as ProposalBody
from securechan.mls.protection import show
from securechan.mls.psk import PskName, PskStore
from securechan.mls.ratchets import Ratchets
from securechan.mls.receive import receive
from securechan.mls.registry import ExtensionType, LeafNodeSource, ProtocolVersion
from securechan.mls.rest import Pending
from securechan.mls.schedule import ExternalPub, confirmation_tag, derive_epoch, export, external_key
from securechan.mls.selection import selected
from securechan.mls.send import commit, external_psk, propose, propose_update, protect, signed_info
from securechan.mls.step import Step
from securechan.mls.terms import DEFAULT, Terms
from securechan.mls.transcript import interim_hash
from securechan.mls.tree import RatchetTree
from securechan.mls.treemath import LeafIndex, node_of
from securechan.mls.validation import check_among, check_context, check_self
from securechan.mls.welcome import GroupInfo, Welcome


@dataclass(frozen=True, slots=True)
class Member:
    """A leaf of the tree and where it stands."""

    leaf: LeafIndex
    leaf_node: LeafNode

    @property
    def identity(self) -> bytes:
        return self.leaf_node.identity

    @property
    def signature_key(self) -> bytes:
        return self.leaf_node.signature_key

    @property
    def encryption_key(self) -> bytes:
        return self.leaf_node.encryption_key


@dataclass(frozen=True, slots=True)
class Group:
    """A member's group. ``state`` changes with commits, the rest with messages."""

    state: Epoch
    ratchets: Ratchets
    pending: tuple[Pending, ...] = ()
    own_updates: tuple[KemKey, ...] = ()
    past: tuple[PastEpoch, ...] = ()  # as many as the terms allow, the oldest first
    terms: Terms = DEFAULT

    # ------------------------------------------------------------------------------------------------------- looking

    @property
    def suite(self) -> Suite:
        return self.state.suite

    @property
    def group_id(self) -> bytes:
        return self.state.context.group_id

    @property
    def epoch(self) -> int:
        """The number of the epoch, from 0."""
        return self.state.context.epoch

    @property
    def own_leaf(self) -> LeafIndex:
        return self.state.own_leaf

    @property
    def context_extensions(self) -> tuple[Extension, ...]:
        return self.state.context.extensions

    @property
    def tree_hash(self) -> bytes:
        return self.state.context.tree_hash

    @property
    def epoch_authenticator(self) -> Secret:
        """§8.7: equal for two members if and only if they are in the same epoch of the same group."""
        return self.state.secrets.epoch_authenticator

    @property
    def reinit(self) -> ReInit | None:
        """§12.1.5: what the group lives on as, where it was re-initialised; it says and takes nothing more."""
        return self.state.reinit

    def resumption_keys(self) -> dict[PskName, Secret]:
        """§8.6: the resumption keys of this epoch and of up to 16 before it: hand them to another group as ``psks``."""
        return self.state.resumption_keys()

    def members(self) -> tuple[Member, ...]:
        """All members, by leaf."""
        return tuple(Member(leaf, node) for leaf, node in self.state.tree.members())

    def tree_bytes(self) -> bytes:
        """§12.4.3.3: the ratchet tree, as a joiner needs it."""
        return self.state.tree.encode()

    def export(self, label: str | bytes, context: bytes, length: int) -> Secret:
        """§8.5: a secret of this epoch for another use, ``length`` bytes."""
        text = label.decode() if isinstance(label, bytes) else label
        return export(self.suite, self.state.secrets.exporter, text, context, length)

    def group_info(
        self, *, with_tree: bool = True, invite: bool = True, extensions: tuple[Extension, ...] = ()
    ) -> bytes:
        """§12.4.3: a signed GroupInfo message; with ``invite`` it lets others join by their own commit."""
        if with_tree:
            extensions = (Extension(ExtensionType.RATCHET_TREE, self.tree_bytes()), *extensions)
        if invite:
            public = external_key(self.suite, self.state.secrets.external).public
            extensions = (*extensions, Extension(ExtensionType.EXTERNAL_PUB, ExternalPub(public).encode()))
        return encode_message(signed_info(self.state, extensions))

    # ------------------------------------------------------------------------------------------------------ beginning

    @classmethod
    def create(
        cls,
        suite: Suite,
        group_id: bytes,
        keys: LeafKeys,
        *,
        now: int,
        lifetime: int = DEFAULT_LIFETIME,
        extensions: tuple[Extension, ...] = (),
        leaf_extensions: tuple[Extension, ...] = (),
        capabilities: Capabilities | None = None,
        terms: Terms = DEFAULT,
    ) -> Group:
        """§11: a group of one, in epoch 0. The creator's leaf lists the extension types used here by itself."""
        check_context(extensions)
        signing = suite.signature.load(keys.signature_private)
        encryption = suite.hpke.kem.fresh()
        able = capabilities_for(suite, (*extensions, *leaf_extensions), capabilities)
        leaf = new_leaf(
            suite,
            signing,
            keys.credential,
            encryption.public,
            Lifetime(max(0, now - CLOCK_SKEW), now + lifetime),
            extensions=leaf_extensions,
            capabilities=able,
        )
        tree = RatchetTree.of_one(suite, leaf)
        check_among(tree, [LeafIndex(0)], extensions)
        check_self(leaf, extensions)
        context = GroupContext(ProtocolVersion.MLS10, suite.number, group_id, 0, tree.tree_hash, b"", extensions)
        secrets, encryption_secret = derive_epoch(suite, suite.random(suite.hash_length))
        tag = confirmation_tag(suite, secrets, b"")
        state = Epoch(
            suite,
            context,
            tree,
            secrets,
            interim_hash(suite, b"", tag),
            tag,
            LeafIndex(0),
            signing,
            {node_of(LeafIndex(0)): encryption},
            (),
        )
        return cls(state, Ratchets.start(1, encryption_secret), terms=terms)

    @classmethod
    def join(
        cls,
        welcome: bytes,
        bundle: KeyPackageBundle,
        *,
        now: int | None,
        ratchet_tree: bytes | None = None,
        psks: PskStore | None = None,
        suite: Suite | None = None,
        parents: Sequence[Group] = (),
        alike: Alike = same_identity,
        others: Container[bytes] = (),
        terms: Terms = DEFAULT,
        each: Each = in_turn,
    ) -> Group:
        """§12.4.3.1: by a Welcome message. ``ratchet_tree`` is for one that comes without it; without ``suite``, the
        one that has the key package's number.

        ``parents`` are groups that this one may come of by re-initialisation or branching (§11.2, §11.3), and ``alike``
        says whether two leaves are of one client; ``others`` are the ids of the groups that the client is in. ``each``
        may check the members' signatures on several cores: give it ``pool.map``.
        Raises `Malformed`, `Invalid`, `CannotOpen`, `BadSignature`.
        """
        body = MLSMessage.decode(welcome).body
        if not isinstance(body, Welcome):
            raise Malformed("not a welcome message")
        chosen = suite or by_number(bundle.key_package.cipher_suite)
        epoch, ratchets = join(
            chosen,
            body,
            bundle,
            now=now,
            ratchet_tree=ratchet_tree,
            psks=psks or {},
            parents=tuple(parents),
            alike=alike,
            others=others,
            max_lifetime=terms.max_lifetime,
            each=each,
        )
        return cls(epoch, ratchets, terms=terms)

    @classmethod
    def join_from_outside(
        cls,
        suite: Suite,
        group_info: bytes,
        keys: LeafKeys,
        *,
        ratchet_tree: bytes | None = None,
        replacing: LeafIndex | None = None,
        capabilities: Capabilities | None = None,
        authenticated_data: bytes = b"",
        psk_ids: Sequence[PskName] = (),
        psks: PskStore | None = None,
        others: Container[bytes] = (),
        terms: Terms = DEFAULT,
    ) -> tuple[Group, bytes]:
        """§12.4.3.2: (the group in its next epoch, the external commit that takes everyone there).

        ``capabilities`` must list the group's own extensions where it has any: nothing is taken for supported unsaid.
        ``replacing`` is the leaf that this client had (a resync); ``psk_ids`` of ``psks`` are mixed in, such as the
        resumption key of an epoch that it went through. Raises as `join`.
        """
        body = MLSMessage.decode(group_info).body
        if not isinstance(body, GroupInfo):
            raise Malformed("not a group info message")
        signing = suite.signature.load(keys.signature_private)
        leaf = LeafNode(
            b"",
            b"",
            Credential.of(keys.credential),
            capabilities_for(suite, (), capabilities),
            LeafNodeSource.UPDATE,
            None,
            (),
            b"",
        )
        epoch, ratchets, message = join_from_outside(
            suite,
            body,
            signing,
            leaf,
            ratchet_tree=ratchet_tree,
            replacing=replacing,
            authenticated_data=authenticated_data,
            psk_ids=psk_ids,
            psks=psks or {},
            others=others,
        )
        return cls(epoch, ratchets, terms=terms), encode_message(show(suite, b"", message, body.group_context.encode()))

    # ----------------------------------------------------------------------------------------------------- at rest

    def encode_epoch(self) -> bytes:
        """What changes with a commit: it holds private keys and the whole tree. See `changes` for large groups."""
        return rest.encode_epoch(self)

    def encode_ratchets(self) -> bytes:
        """What changes with a message: it holds message keys."""
        return rest.encode_ratchets(self)

    @classmethod
    def decode(cls, epoch: bytes, ratchets: bytes, terms: Terms = DEFAULT, *, suite: Suite | None = None) -> Group:
        """From the vault: exactly the group that was, but for past epochs that the terms no longer keep. ``suite`` is
        the group's where that isn't in the table. Raises `Malformed`."""
        return rest.decode(cls, epoch, ratchets, terms, suite)

    def changes(self, before: Group | None) -> dict[str, bytes | None]:
        """What a store that holds the pieces of ``before`` (nothing, where it is None) must write, by name, and erase,
        where it is None, to hold this group: all of it in one transaction. See `rest`."""
        return rest.changes(before, self)

    @classmethod
    def of_pieces(cls, pieces: Mapping[str, bytes], terms: Terms = DEFAULT, *, suite: Suite | None = None) -> Group:
        """From a store that wrote every `changes`: exactly the group that was, as `decode` has it. Raises
        `Malformed`."""
        return rest.group_of(cls, pieces, terms, suite)

    def advance_to(self, after: Group) -> bytes:
        """How ``after``, this group one commit later, differs from it: what a store keeps while nothing is decided."""
        return rest.advance(self, after)

    def advanced(self, advance: bytes) -> Group:
        """The group that `advance_to` was told of, this one being in the same epoch still. Raises `Malformed`."""
        return rest.advanced(self, advance)

    # ----------------------------------------------------------------------------------------------------- receiving

    def receive(self, message: bytes, *, now: int | None = None, psks: PskStore | None = None) -> Outcome:
        """The verdict on one MLSMessage; never raises for what a stranger sent.

        ``now`` makes an added leaf outside its lifetime a fault (§7.3). That is a local judgement: leave it out where
        all members must come to one verdict.
        """
        return receive(self, message, now=now, psks=psks or {})

    def entering(self, epoch: Epoch, ratchets: Ratchets) -> Group:
        """This group in its next epoch: what was pending in the last one is gone, and what it may keep is kept."""
        most = self.terms.past_epochs
        past = (*self.past, PastEpoch.of(self))[-most:] if most else ()
        return Group(epoch, ratchets, past=past, terms=self.terms)

    def with_ratchets(self, ratchets: Ratchets) -> Group:
        """This group with a message key spent."""
        return Group(self.state, ratchets, self.pending, self.own_updates, self.past, self.terms)

    def with_past(self, kept: PastEpoch) -> Group:
        """This group with a past epoch in which another key is spent."""
        return replace(self, past=tuple(kept if each.epoch == kept.epoch else each for each in self.past))

    def with_pending(self, ref: bytes, proposal: Proposal, sender: Sender) -> Group:
        """This group with one more proposal for a commit to refer to."""
        if any(kept.ref == ref for kept in self.pending):
            return self
        return replace(self, pending=(*self.pending, Pending(ref, proposal, sender)))

    # ------------------------------------------------------------------------------------------------------- sending

    def protect(self, plaintext: bytes, *, authenticated_data: bytes = b"", padding: int = 0) -> tuple[Group, bytes]:
        """§6.3: an application message; ``padding`` zero bytes hide its size, ``authenticated_data`` goes in clear."""
        return protect(self, plaintext, authenticated_data=authenticated_data, padding=padding)

    def propose(
        self,
        body: ProposalBody,
        *,
        authenticated_data: bytes = b"",
        private: bool = True,
        padding: int = 0,
        now: int | None = None,
    ) -> tuple[Group, bytes]:
        """§12.1: a proposal for someone's commit to take up. Raises `Invalid` where it breaks a rule; with ``now`` also
        for a key package outside its lifetime."""
        return propose(self, body, authenticated_data=authenticated_data, private=private, padding=padding, now=now)

    def propose_update(
        self, *, authenticated_data: bytes = b"", private: bool = True, padding: int = 0
    ) -> tuple[Group, bytes]:
        """§12.1.2: a proposal that renews this member's own encryption key."""
        return propose_update(self, authenticated_data=authenticated_data, private=private, padding=padding)

    def waiting(self, psks: PskStore | None = None) -> tuple[bytes, ...]:
        """§12.2, §12.4: the proposals that this member's next commit should take up: give them as ``by_reference``.

        All that wait, but where they contradict each other: then the RFC's choice; ``psks`` are the keys at hand.
        """
        held = {*(psks or {}), *self.resumption_keys()}
        return selected(self.pending, self.state.tree, self.own_leaf, held)

    def commit(
        self,
        *,
        adds: Sequence[KeyPackage] = (),
        removes: Sequence[LeafIndex] = (),
        extensions: tuple[Extension, ...] | None = None,
        psk_ids: Sequence[PskName] = (),
        reinit: ReInit | None = None,
        by_reference: Sequence[bytes] = (),
        psks: PskStore | None = None,
        path: bool = True,
        authenticated_data: bytes = b"",
        private: bool = True,
        padding: int = 0,
        new_signature: LeafKeys | None = None,
        tree_in_welcome: bool = True,
        group_info_extensions: tuple[Extension, ...] = (),
        now: int | None = None,
    ) -> Step:
        """§12.4.1: a commit, which closes this epoch if the log takes it.

        Proposals by value are ``adds``, ``removes``, ``extensions`` (the whole new list of the GroupContext),
        ``psk_ids`` (of ``psks``: names of keys from outside, or epochs) and ``reinit``; ``by_reference`` takes up
        pending ones. ``new_signature`` renews this member's own signature key; the commit itself is still signed with
        the old one. With ``now``, key packages outside their lifetime are refused. Raises `Invalid` where the proposals
        break a rule.
        """
        bodies: list[ProposalBody] = [Add(package) for package in adds]
        bodies += [Remove(leaf) for leaf in removes]
        bodies += [] if extensions is None else [GroupContextExtensions(extensions)]
        bodies += [external_psk(self.suite, psk_id) for psk_id in psk_ids]
        bodies += [] if reinit is None else [reinit]
        return commit(
            self,
            bodies,
            by_reference=by_reference,
            psks=psks or {},
            path=path,
            authenticated_data=authenticated_data,
            private=private,
            padding=padding,
            new_signature=new_signature,
            tree_in_welcome=tree_in_welcome,
            group_info_extensions=group_info_extensions,
            now=now,
        )
