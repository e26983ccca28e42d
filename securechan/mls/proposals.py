"""RFC 9420 §12.1, §12.4: the proposals, one struct each, and the commit that gathers them."""

from __future__ import annotations

from typing import Annotated, Final

from securechan.codec import U16, Kept, Opaque, Struct, select
from securechan.crypto.suite import Suite
from securechan.mls.extensions import Extensions
from securechan.mls.keypackage import KeyPackage
from securechan.mls.labels import ref_hash
from securechan.mls.nodes import LeafNode
from securechan.mls.psk import PreSharedKeyID
from securechan.mls.registry import ProposalOrRefType, ProposalType, ProtocolVersion
from securechan.mls.treekem import UpdatePath
from securechan.mls.treemath import LeafIndex


class Add(Struct):
    """§12.1.1."""

    key_package: KeyPackage


class Update(Struct):
    """§12.1.2."""

    leaf_node: LeafNode


class Remove(Struct):
    """§12.1.3."""

    removed: LeafIndex


class PreSharedKey(Struct):
    """§12.1.4."""

    psk: PreSharedKeyID


class ReInit(Struct):
    """§12.1.5."""

    group_id: Opaque
    version: ProtocolVersion
    cipher_suite: U16
    extensions: Extensions


class ExternalInit(Struct):
    """§12.1.6."""

    kem_output: Opaque


class GroupContextExtensions(Struct):
    """§12.1.7."""

    extensions: Extensions


Body = Add | Update | Remove | PreSharedKey | ReInit | ExternalInit | GroupContextExtensions

_BODIES: Final[dict[int, type[Body]]] = {
    ProposalType.ADD: Add,
    ProposalType.UPDATE: Update,
    ProposalType.REMOVE: Remove,
    ProposalType.PSK: PreSharedKey,
    ProposalType.REINIT: ReInit,
    ProposalType.EXTERNAL_INIT: ExternalInit,
    ProposalType.GROUP_CONTEXT_EXTENSIONS: GroupContextExtensions,
}
_KINDS: Final = {body: kind for kind, body in _BODIES.items()}
EXTERNAL: Final = (Add, Remove, PreSharedKey, ReInit, GroupContextExtensions)  # §12.1.8: who isn't a member may propose
PATHLESS: Final = (Add, PreSharedKey, ReInit)  # §12.4: a commit of these alone may do without a path


class Proposal(Struct):
    """§12.1. A type that isn't among the seven cannot be parsed on, so it is malformed to all alike."""

    kind: U16
    body: Annotated[Body, select("kind", _BODIES)]

    @classmethod
    def of(cls, body: Body) -> Proposal:
        return cls(_KINDS[type(body)], body)


class ProposalOrRef(Struct):
    """§12.4: the proposal itself, or the hash that names one sent before."""

    kind: ProposalOrRefType
    value: Annotated[
        Proposal | bytes,
        select("kind", {ProposalOrRefType.PROPOSAL: Proposal, ProposalOrRefType.REFERENCE: Opaque}),
    ]

    @classmethod
    def of(cls, value: Proposal | bytes) -> ProposalOrRef:
        kind = ProposalOrRefType.PROPOSAL if isinstance(value, Proposal) else ProposalOrRefType.REFERENCE
        return cls(kind, value)


class Commit(Kept):
    """§12.4."""

    proposals: tuple[ProposalOrRef, ...]
    path: UpdatePath | None


def proposal_ref(suite: Suite, authenticated_content: bytes) -> bytes:
    """§5.2: ``ProposalRef`` of the encoded AuthenticatedContent that carried a proposal."""
    return ref_hash(suite, "MLS 1.0 Proposal Reference", authenticated_content)
