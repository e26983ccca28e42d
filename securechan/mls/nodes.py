"""RFC 9420 §7.1, §7.2, §5.3: what stands in the ratchet tree.

A leaf node is a member: who it is, with which keys, and what it can do, under its own signature. A parent node is a key
that the members under it share, but for those in ``unmerged_leaves``, who came later and don't hold it yet.
"""

from __future__ import annotations

from typing import Annotated, Final

from securechan.codec import U16, U64, Kept, Nothing, Opaque, Struct, select, write_vector
from securechan.crypto.signature import SigningKey
from securechan.crypto.suite import Suite
from securechan.mls.extensions import Extensions
from securechan.mls.labels import sign_with_label, verify_with_label
from securechan.mls.registry import CredentialType, LeafNodeSource, NodeType
from securechan.mls.treemath import LeafIndex

_NOWHERE: Final = LeafIndex(0)  # a key package's leaf has no place yet


class BasicCredential(Struct):
    """§5.3: an identity that the application vouches for."""

    identity: Opaque


class X509Credential(Struct):
    """§5.3: a chain of DER certificates, the member's own first."""

    certificates: tuple[Opaque, ...]


class Credential(Struct):
    """§5.3."""

    kind: U16
    body: Annotated[
        BasicCredential | X509Credential,
        select("kind", {CredentialType.BASIC: BasicCredential, CredentialType.X509: X509Credential}),
    ]

    @classmethod
    def of(cls, body: BasicCredential | X509Credential) -> Credential:
        return cls(CredentialType.BASIC if isinstance(body, BasicCredential) else CredentialType.X509, body)


class Capabilities(Struct):
    """§7.2: what a client supports beyond the defaults; values it doesn't know (GREASE) are anyone's right."""

    versions: tuple[U16, ...]
    cipher_suites: tuple[U16, ...]
    extensions: tuple[U16, ...]
    proposals: tuple[U16, ...]
    credentials: tuple[U16, ...]


class Lifetime(Struct):
    """§7.2: unix seconds, both ends included."""

    not_before: U64
    not_after: U64

    @property
    def length(self) -> int:
        """Seconds from end to end."""
        return self.not_after - self.not_before

    def holds(self, now: int) -> bool:
        return self.not_before <= now <= self.not_after


class LeafNode(Kept):
    """§7.2. ``origin`` is a lifetime, nothing, or a parent hash, as ``source`` says."""

    encryption_key: Opaque
    signature_key: Opaque
    credential: Credential
    capabilities: Capabilities
    source: LeafNodeSource
    origin: Annotated[
        Lifetime | bytes | None,
        select(
            "source",
            {LeafNodeSource.KEY_PACKAGE: Lifetime, LeafNodeSource.UPDATE: Nothing, LeafNodeSource.COMMIT: Opaque},
        ),
    ]
    extensions: Extensions
    signature: Opaque

    @property
    def identity(self) -> bytes:
        """The basic credential's identity; for certificates, the encoding of the chain."""
        body = self.credential.body
        return body.identity if isinstance(body, BasicCredential) else body.encode()

    @property
    def parent_hash(self) -> bytes:
        """§7.9: empty unless the leaf came with a commit."""
        return self.origin if isinstance(self.origin, bytes) else b""

    def to_be_signed(self, group_id: bytes, leaf: LeafIndex) -> bytes:
        """§7.2: ``LeafNodeTBS``: all but the signature and, outside key packages, the leaf's place in the world."""
        signature = bytearray()
        write_vector(signature, self.signature)
        out = bytearray(self.encode()[: -len(signature)])
        if self.source is not LeafNodeSource.KEY_PACKAGE:
            write_vector(out, group_id)
            out += leaf.to_bytes(4, "big")
        return bytes(out)

    def verify(self, suite: Suite, group_id: bytes = b"", leaf: LeafIndex = _NOWHERE) -> None:
        """Raises `BadSignature`."""
        verify_with_label(suite, self.signature_key, "LeafNodeTBS", self.to_be_signed(group_id, leaf), self.signature)

    def signed(
        self, suite: Suite, key: bytes | SigningKey, group_id: bytes = b"", leaf: LeafIndex = _NOWHERE
    ) -> LeafNode:
        """The same leaf under a fresh signature."""
        values = {name: value for name, value in self.__dict__.items() if name != "_wire"}
        signature = sign_with_label(suite, key, "LeafNodeTBS", self.to_be_signed(group_id, leaf))
        return LeafNode(**{**values, "signature": signature})


class ParentNode(Kept):
    """§7.1."""

    encryption_key: Opaque
    parent_hash: Opaque
    unmerged_leaves: tuple[LeafIndex, ...]


def parent_start(encryption_key: bytes, parent_hash: bytes) -> bytes:
    """§7.1, §7.9: what an encoded `ParentNode` and the input of its parent hash both begin with."""
    out = bytearray()
    write_vector(out, encryption_key)
    write_vector(out, parent_hash)
    return bytes(out)


Node = LeafNode | ParentNode


class TreeSlot(Struct):
    """§7.8: a node as the ``ratchet_tree`` extension lists it."""

    kind: NodeType
    node: Annotated[Node, select("kind", {NodeType.LEAF: LeafNode, NodeType.PARENT: ParentNode})]

    @classmethod
    def of(cls, node: Node) -> TreeSlot:
        return cls(NodeType.LEAF if isinstance(node, LeafNode) else NodeType.PARENT, node)
