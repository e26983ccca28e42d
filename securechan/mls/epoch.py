"""An epoch of a group as one member sees it: what all agree on, the secrets, and this member's private keys.

An `Epoch` changes with commits only; what changes with each message is in `ratchets`. Both are values, and each has a
form at rest.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Annotated, Final, TypeVar

from securechan.codec import U32, U64, Opaque, Struct, Text, vec
from securechan.crypto.secret import Secret
from securechan.crypto.signature import SigningKey
from securechan.crypto.suite import SUITES, Suite
from securechan.errors import CannotOpen, Invalid, Malformed, Misuse
from securechan.mls.context import GroupContext
from securechan.mls.labels import SecretBytes
from securechan.mls.nodes import LeafNode
from securechan.mls.proposals import ReInit
from securechan.mls.psk import EpochId, PreSharedKeyID, PskName, PskStore, psk_secret
from securechan.mls.rules import Rule
from securechan.mls.schedule import EpochSecrets
from securechan.mls.tree import RatchetTree
from securechan.mls.treekem import PrivateKeys
from securechan.mls.treemath import LeafIndex, NodeIndex

K = TypeVar("K")

KEPT_RESUMPTIONS: Final = 16  # how many epochs back a resumption key can be called for (§8.6)


def kept_key(load: Callable[[bytes], K], private: bytes) -> K:
    """A private key from rest, loaded. Raises `Malformed` where it is none."""
    try:
        return load(private)
    except Misuse as fault:
        raise Malformed(f"a key that was kept: {fault.message}") from None


class NodePrivate(Struct):
    """A private key of the tree that this member holds."""

    node: U32
    private: SecretBytes


class Resumption(Struct):
    """§8.6: the resumption key of an epoch gone by."""

    epoch: U64
    secret: SecretBytes


class EpochState(Struct):
    """How an epoch is kept at rest, but for its tree, which is large and of which a commit changes little."""

    suite: Text
    context: GroupContext
    secrets: EpochSecrets
    interim_transcript_hash: Opaque
    confirmation_tag: Opaque
    own_leaf: U32
    signature_private: SecretBytes
    private: Annotated[tuple[NodePrivate, ...], vec(max=1 << 16)]
    resumptions: tuple[Resumption, ...]
    reinit: ReInit | None


@dataclass(frozen=True, slots=True)
class Epoch:
    """One epoch. ``private`` holds key objects, made once and used for as long as their nodes stand."""

    suite: Suite
    context: GroupContext
    tree: RatchetTree
    secrets: EpochSecrets
    interim_transcript_hash: bytes
    confirmation_tag: bytes
    own_leaf: LeafIndex
    signing: SigningKey
    private: PrivateKeys
    resumptions: tuple[Resumption, ...]
    reinit: ReInit | None = None  # §12.1.5: the group has ended and lives on elsewhere

    @property
    def own_leaf_node(self) -> LeafNode:
        """This member's own leaf."""
        return self.leaf(self.own_leaf)

    @property
    def sender_data(self) -> Secret:
        """§6.3.2: the secret under which senders stand in private messages."""
        return self.secrets.sender_data

    def find(self, index: LeafIndex) -> LeafNode | None:
        """Who stands there; None where the leaf is blank."""
        return self.tree.leaf(index)

    def leaf(self, index: LeafIndex) -> LeafNode:
        """A member's leaf. Raises `Invalid` where there is none."""
        found = self.tree.leaf(index)
        if found is None:
            raise Invalid(f"leaf {index} is no member", rule=Rule.MEMBER_SENDS)
        return found

    def psk_secret(self, ids: Sequence[PreSharedKeyID], held: PskStore) -> Secret:
        """§8.4: of the keys that a commit calls for. Raises `CannotOpen` for one that isn't held here."""
        own = self.resumption_keys() if ids else {}
        keys = []
        for psk_id in ids:
            key = held[psk_id.name] if psk_id.name in held else own.get(psk_id.name)
            if key is None:
                raise CannotOpen("a pre-shared key that the commit calls for isn't known here", rule=Rule.PSK_HELD)
            keys.append((psk_id, key))
        return psk_secret(self.suite, keys)

    def resumption_keys(self) -> dict[PskName, Secret]:
        """§8.6: the resumption keys of this epoch and of those before it, as far back as they are kept."""
        group_id = self.context.group_id
        kept: dict[PskName, Secret] = {EpochId(group_id, each.epoch): each.secret for each in self.resumptions}
        kept[EpochId(group_id, self.context.epoch)] = self.secrets.resumption_psk
        return kept

    def resumptions_for_next(self) -> tuple[Resumption, ...]:
        """The resumption keys that the next epoch keeps."""
        this = Resumption(self.context.epoch, self.secrets.resumption_psk)
        return (*self.resumptions, this)[-KEPT_RESUMPTIONS:]

    def at_rest(self) -> EpochState:
        """All but the tree: holds private keys."""
        return EpochState(
            self.suite.name,
            self.context,
            self.secrets,
            self.interim_transcript_hash,
            self.confirmation_tag,
            self.own_leaf,
            self.signing.private,
            tuple(NodePrivate(node, key.private) for node, key in sorted(self.private.items())),
            self.resumptions,
            self.reinit,
        )

    @classmethod
    def woken(cls, state: EpochState, tree_of: Callable[[Suite], RatchetTree], suite: Suite | None = None) -> Epoch:
        """From rest, with the tree that ``tree_of`` has for the epoch's suite; ``suite`` is for one that no table has.

        Raises `Malformed`; what is inside is our own and isn't judged again.
        """
        if suite is None or suite.name != state.suite:
            suite = SUITES.get(state.suite)
        if suite is None or suite.number != state.context.cipher_suite:
            raise Malformed(f"a state of the suite {state.suite[:32]!r}, which this version doesn't have")
        return cls(
            suite,
            state.context,
            tree_of(suite),
            state.secrets,
            state.interim_transcript_hash,
            state.confirmation_tag,
            LeafIndex(state.own_leaf),
            kept_key(suite.signature.load, state.signature_private),
            {NodeIndex(kept.node): kept_key(suite.hpke.kem.load, kept.private) for kept in state.private},
            state.resumptions,
            state.reinit,
        )
