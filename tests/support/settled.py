"""A group in which every member has committed, made without a single commit: for benches and for counting.

A real group of a thousand comes to that state by a thousand commits, each processed by all. Here each leaf renews its
path in the public tree, the private keys are noted where they belong, and any member's view of the result can be had;
what the members say and take from then on is all real.
"""

from __future__ import annotations

from dataclasses import dataclass

from securechan.crypto.kem import KemKey
from securechan.crypto.secret import Secret
from securechan.crypto.signature import SigningKey
from securechan.crypto.suite import Suite
from securechan.mls.context import GroupContext
from securechan.mls.epoch import Epoch
from securechan.mls.group import Group
from securechan.mls.keypackage import capabilities_for
from securechan.mls.nodes import BasicCredential, Credential, LeafNode
from securechan.mls.ratchets import Ratchets
from securechan.mls.registry import LeafNodeSource, ProtocolVersion
from securechan.mls.schedule import EpochSecrets, confirmation_tag, derive_epoch
from securechan.mls.transcript import interim_hash
from securechan.mls.tree import RatchetTree
from securechan.mls.treekem import renew
from securechan.mls.treemath import LeafIndex, NodeIndex, node_of

GROUP_ID = bytes(range(32))


@dataclass(frozen=True, slots=True)
class Settled:
    """One group, all its members' keys."""

    suite: Suite
    context: GroupContext
    tree: RatchetTree
    secrets: EpochSecrets
    encryption_secret: Secret
    signing: tuple[SigningKey, ...]
    private: dict[NodeIndex, KemKey]

    def member(self, at: int) -> Group:
        """The group as the member at leaf ``at`` holds it."""
        leaf = LeafIndex(at)
        nodes = [node_of(leaf), *self.tree.direct_path(leaf)]
        tag = confirmation_tag(self.suite, self.secrets, self.context.confirmed_transcript_hash)
        state = Epoch(
            self.suite,
            self.context,
            self.tree,
            self.secrets,
            interim_hash(self.suite, self.context.confirmed_transcript_hash, tag),
            tag,
            leaf,
            self.signing[at],
            {node: self.private[node] for node in nodes if node in self.private},
            (),
        )
        return Group(state, Ratchets.start(self.tree.leaf_count, self.encryption_secret))


def settled(suite: Suite, size: int) -> Settled:
    """``size`` members, no blank parent, no unmerged leaf."""
    width = 1
    while width < size:
        width *= 2
    signing = tuple(suite.signature.load(suite.signature.generate()[0]) for _ in range(size))
    able = capabilities_for(suite)
    nodes: list[LeafNode | None] = [None] * (2 * width - 1)
    for at, key in enumerate(signing):
        name = Credential.of(BasicCredential(f"member {at}".encode()))
        nodes[2 * at] = LeafNode(b"", key.public, name, able, LeafNodeSource.UPDATE, None, (), b"")
    tree = RatchetTree(suite, tuple(nodes))
    private: dict[NodeIndex, KemKey] = {}
    for at, key in enumerate(signing):
        leaf = LeafIndex(at)
        old = tree.leaf(leaf)
        if old is None:
            raise LookupError(f"leaf {at} was placed above")
        path = renew(tree, leaf, old, key, GROUP_ID)
        tree = path.tree
        private.update(path.private)
    context = GroupContext(
        ProtocolVersion.MLS10, suite.number, GROUP_ID, size, tree.tree_hash, bytes(suite.hash_length), ()
    )
    secrets, encryption_secret = derive_epoch(suite, suite.random(suite.hash_length))
    return Settled(suite, context, tree, secrets, encryption_secret, signing, private)
