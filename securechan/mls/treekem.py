"""RFC 9420 §7.4–§7.6: one secret for all: how a committer renews the keys above its leaf and tells the others.

    path_secret[0] ──"path"──► path_secret[1] ──"path"──► … ──"path"──► commit_secret
          │ "node"                   │ "node"
          ▼                          ▼
      key pair of the            key pair of the
      lowest ancestor            next ancestor

Each path secret is sealed to the resolution of the child that the committer isn't under, so each member opens exactly
one and derives the rest. Making a path has two steps, since what is sealed is bound to the tree that the path makes:
`renew` gives the new tree, then `NewPath.seal` the message. Taking one has two as well, since everyone can judge the
public half (`merge`) and each member only its own share of the secret one (`follow`).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from securechan.codec import Opaque, Struct
from securechan.crypto.kem import KemKey
from securechan.crypto.secret import Secret
from securechan.crypto.signature import SigningKey
from securechan.crypto.suite import Suite
from securechan.errors import CannotOpen, Invalid
from securechan.mls.labels import HPKECiphertext, decrypt_with_label, derive_secret, encryptor
from securechan.mls.nodes import LeafNode, Node, ParentNode, parent_start
from securechan.mls.registry import LeafNodeSource
from securechan.mls.rules import Rule, held_to
from securechan.mls.tree import RatchetTree, parent_hash
from securechan.mls.treemath import LeafIndex, NodeIndex, covers, node_of

PrivateKeys = Mapping[NodeIndex, KemKey]


class UpdatePathNode(Struct):
    """§7.6."""

    encryption_key: Opaque
    encrypted_path_secret: tuple[HPKECiphertext, ...]


class UpdatePath(Struct):
    """§7.6."""

    leaf_node: LeafNode
    nodes: tuple[UpdatePathNode, ...]


def node_key(suite: Suite, path_secret: bytes) -> KemKey:
    """§7.4: the key pair of the node that a path secret stands for."""
    return suite.hpke.kem.derive_key(derive_secret(suite, path_secret, "node"))


def next_path_secret(suite: Suite, path_secret: bytes) -> Secret:
    """§7.4: the secret of the next node up; above the last one, the commit secret."""
    return derive_secret(suite, path_secret, "path")


@dataclass(frozen=True, slots=True)
class NewPath:
    """A renewed path: the tree with it merged, and the secrets that made it."""

    tree: RatchetTree
    leaf_node: LeafNode
    filtered: tuple[tuple[NodeIndex, NodeIndex], ...]
    path_secrets: Mapping[NodeIndex, Secret]
    private: PrivateKeys
    commit_secret: Secret

    def seal(self, context: bytes, added: Collection[LeafIndex]) -> UpdatePath:
        """§7.6: the path as sent, each secret sealed under the provisional group context; ``added`` get Welcomes."""
        encrypt = encryptor(self.tree.suite, "UpdatePathNode", context)
        nodes = []
        for index, beside in self.filtered:
            sealed = tuple(
                encrypt(node.encryption_key, self.path_secrets[index])
                for node in map(self.tree.nodes.__getitem__, recipients(self.tree, beside, added))
                if node is not None
            )
            nodes.append(UpdatePathNode(self.private[index].public, sealed))
        return UpdatePath(self.leaf_node, tuple(nodes))


def recipients(tree: RatchetTree, beside: NodeIndex, added: Collection[LeafIndex]) -> list[NodeIndex]:
    """§7.5: whom a path secret is sealed to: the resolution of ``beside`` but for the leaves just added."""
    reached = tree.resolution(beside)
    if not added:
        return reached
    new = {node_of(leaf) for leaf in added}
    return [index for index in reached if index not in new]


def renew(
    tree: RatchetTree,
    leaf: LeafIndex,
    old: LeafNode,
    key: bytes | SigningKey,
    group_id: bytes,
    *,
    path_secret: Secret | None = None,
    leaf_key: KemKey | None = None,
) -> NewPath:
    """§7.5: fresh keys for ``leaf`` and all above it; ``old`` gives the new leaf everything but keys and signature."""
    suite = tree.suite
    filtered = tuple(tree.filtered_path(leaf))
    secret = path_secret or suite.random(suite.hash_length)
    path_secrets: dict[NodeIndex, Secret] = {}
    private: dict[NodeIndex, KemKey] = {}
    for index, _ in filtered:
        path_secrets[index] = secret
        private[index] = node_key(suite, secret)
        secret = next_path_secret(suite, secret)
    own = leaf_key or suite.hpke.kem.fresh()
    private[node_of(leaf)] = own
    parents, linked = _linked(tree, [(at, beside, private[at].public) for at, beside in filtered])
    new_leaf = LeafNode(
        own.public,
        suite.signature.public(key),
        old.credential,
        old.capabilities,
        LeafNodeSource.COMMIT,
        linked,
        old.extensions,
        b"",
    ).signed(suite, key, group_id, leaf)
    made = _with_path(tree, leaf, new_leaf, parents)
    return NewPath(made, new_leaf, filtered, path_secrets, private, secret)


def _linked(
    tree: RatchetTree, path: list[tuple[NodeIndex, NodeIndex, bytes]]
) -> tuple[list[tuple[NodeIndex, Node]], bytes]:
    """§7.9: the parents of a path of (node, its child off the path, key), hash-linked from the root down."""
    parents: list[tuple[NodeIndex, Node]] = []  # none of them is below a node off the path, so its hash stays
    above = b""
    for index, beside, public in reversed(path):
        start = parent_start(public, above)
        parents.append((index, ParentNode(public, above, ()).known_as(start + b"\x00")))
        above = parent_hash(tree.suite, start, tree.node_hash(beside))
    return parents, above


def _with_path(
    tree: RatchetTree, leaf: LeafIndex, node: LeafNode, parents: list[tuple[NodeIndex, Node]]
) -> RatchetTree:
    """§7.5: the tree with a new leaf and new parents above it; those that the filtered path leaves out are blank."""
    changes: dict[NodeIndex, Node | None] = dict.fromkeys(tree.direct_path(leaf))
    changes.update(parents)
    changes[node_of(leaf)] = node
    return tree.with_nodes(changes.items())


def merge(tree: RatchetTree, leaf: LeafIndex, path: UpdatePath, added: Collection[LeafIndex]) -> RatchetTree:
    """§7.5, §12.4.2: the tree with a received path, judged by what all can see; the leaf is §7.3's to judge.

    Raises `Invalid` for a path of the wrong length, ciphertexts of the wrong number, keys that stood in the tree
    before, or a leaf whose parent hash doesn't fit.
    """
    filtered = tree.filtered_path(leaf)
    if len(filtered) != len(path.nodes):
        raise Invalid(f"a path of {len(path.nodes)} nodes where {len(filtered)} belong", rule=Rule.PATH_LENGTH)
    for (index, beside), node in zip(filtered, path.nodes, strict=True):
        reached = len(recipients(tree, beside, added))
        if len(node.encrypted_path_secret) != reached:
            raise Invalid(
                f"node {index}: {len(node.encrypted_path_secret)} secrets for {reached} recipients",
                rule=Rule.PATH_RECIPIENTS,
            )
    with held_to(Rule.KEY_OF_SUITE):
        for node in path.nodes:
            tree.suite.hpke.kem.check_public(node.encryption_key)
    keys = {path.leaf_node.encryption_key, *(node.encryption_key for node in path.nodes)}
    if len(keys) != len(path.nodes) + 1 or tree.roll.encryption_keys.has_any(keys):
        raise Invalid("a key of the path stands in the tree already", rule=Rule.PATH_KEYS)
    renewed = [(index, beside, node.encryption_key) for (index, beside), node in zip(filtered, path.nodes, strict=True)]
    parents, linked = _linked(tree, renewed)
    if path.leaf_node.parent_hash != linked:
        raise Invalid("the parent hash of the committer's leaf doesn't fit its path", rule=Rule.PARENT_HASH)
    return _with_path(tree, leaf, path.leaf_node, parents)


def follow(
    tree: RatchetTree,
    own: LeafIndex,
    private: PrivateKeys,
    sender: LeafIndex,
    path: UpdatePath,
    context: bytes,
    added: Collection[LeafIndex],
) -> tuple[PrivateKeys, Secret]:
    """§7.5: my share of a merged path: (all my private keys after it, the commit secret).

    ``tree`` has the path merged. What fails here fails for me alone: `CannotOpen` where no ciphertext is for me or it
    doesn't open, `Invalid` or `Malformed` where what it holds isn't what the tree shows.
    """
    for (index, beside), node in zip(tree.filtered_path(sender), path.nodes, strict=True):
        if not covers(beside, node_of(own)):
            continue
        for at, sealed in zip(recipients(tree, beside, added), node.encrypted_path_secret, strict=True):
            if at in private:
                secret = decrypt_with_label(tree.suite, private[at], "UpdatePathNode", context, sealed)
                return climb(tree, sender, index, secret, private)
        raise CannotOpen("no secret of the path is sealed to a key that I hold")
    raise CannotOpen("the path doesn't reach me")


def climb(
    tree: RatchetTree, sender: LeafIndex, start: NodeIndex, path_secret: bytes, private: PrivateKeys
) -> tuple[PrivateKeys, Secret]:
    """§7.4: from the path secret of ``start`` to the commit secret, along ``sender``'s path.

    ``private`` are keys that `retained` keeps of this tree. Raises `Invalid` where a derived key isn't the one that the
    tree shows.
    """
    suite = tree.suite
    if len(path_secret) != suite.hash_length:
        raise Invalid(f"a path secret of {len(path_secret)} bytes", rule=Rule.PATH_SECRET_FITS)
    kept = dict(private)
    secret = Secret(path_secret)
    above = tree.direct_path(sender)
    for index in above[above.index(start) :]:
        node = tree.parent(index)
        if node is None:
            continue
        key = node_key(suite, secret)
        if key.public != node.encryption_key:
            raise Invalid(f"the secret of node {index} makes another key than the tree", rule=Rule.PATH_SECRET_FITS)
        kept[index] = key
        secret = next_path_secret(suite, secret)
    return kept, secret


def retained(tree: RatchetTree, private: PrivateKeys) -> dict[NodeIndex, KemKey]:
    """The private keys whose nodes still stand in the tree with those keys; the others are to be forgotten (§9.2)."""
    kept = {}
    for index, key in private.items():
        node = tree.nodes[index] if index < len(tree.nodes) else None
        if node is not None and node.encryption_key == key.public:
            kept[index] = key
    return kept
