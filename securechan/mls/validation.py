"""RFC 9420 §7.3, §12.1, §12.2: the rules for leaves and for lists of proposals, each where it can be cited.

Nothing here looks at a clock unless the caller hands one in, and nothing here knows trust: every member that runs these
checks on the same epoch comes to the same verdict.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from securechan.codec import Opaque, Struct
from securechan.crypto.suite import Suite
from securechan.errors import Invalid, Malformed
from securechan.mls.context import GroupContext
from securechan.mls.extensions import Extension, check_unique, find, required_capabilities
from securechan.mls.framing import Sender
from securechan.mls.keypackage import KeyPackage
from securechan.mls.nodes import Credential, LeafNode, Lifetime
from securechan.mls.proposals import (
    EXTERNAL,
    Add,
    ExternalInit,
    GroupContextExtensions,
    PreSharedKey,
    Proposal,
    ReInit,
    Remove,
    Update,
)
from securechan.mls.psk import PreSharedKeyID, ResumptionPSK
from securechan.mls.registry import (
    DEFAULT_EXTENSIONS,
    DEFAULT_PROPOSALS,
    GREASE,
    ExtensionType,
    LeafNodeSource,
    ProtocolVersion,
    ResumptionUsage,
    SenderType,
)
from securechan.mls.rules import Rule, held_to
from securechan.mls.tree import RatchetTree
from securechan.mls.treemath import LeafIndex


class ExternalSender(Struct):
    """§12.1.8.1."""

    signature_key: Opaque
    credential: Credential


class ExternalSenders(Struct):
    """§12.1.8.1: who may propose from outside."""

    senders: tuple[ExternalSender, ...]

    @classmethod
    def of(cls, extensions: tuple[Extension, ...]) -> tuple[ExternalSender, ...]:
        """Those that a GroupContext admits. Raises `Malformed`."""
        data = find(extensions, ExtensionType.EXTERNAL_SENDERS)
        return () if data is None else cls.decode(data).senders


# -------------------------------------------------------------------------------------------------------- §7.3: leaves


def check_leaf_alone(
    suite: Suite,
    leaf: LeafNode,
    *,
    group_id: bytes = b"",
    at: LeafIndex | None = None,
    now: int | None = None,
    max_lifetime: int | None = None,
) -> None:
    """§7.2, §7.3: what a leaf says of itself, whatever group it is in. Raises `Invalid`, `BadSignature`.

    ``max_lifetime``, in seconds, is what the application allows a key package to live from end to end.
    """
    able = leaf.capabilities
    if ProtocolVersion.MLS10 not in able.versions:
        raise Invalid("a leaf that doesn't list version mls10", rule=Rule.LISTS_VERSION)
    if suite.number not in able.cipher_suites:
        raise Invalid("a leaf that doesn't list the group's cipher suite", rule=Rule.LISTS_SUITE)
    if leaf.credential.kind not in able.credentials:
        raise Invalid("a leaf that doesn't list its own credential type", rule=Rule.LISTS_CREDENTIAL)
    check_unique(leaf.extensions)
    for extension in leaf.extensions:
        if extension.kind not in DEFAULT_EXTENSIONS and extension.kind not in able.extensions:
            raise Invalid(f"a leaf doesn't list its own extension {extension.kind:#06x}", rule=Rule.LISTS_EXTENSIONS)
    check_encryption_key(suite, leaf.encryption_key)
    with held_to(Rule.LEAF_SIGNED):
        leaf.verify(suite, group_id, at if at is not None else LeafIndex(0))
    if not isinstance(leaf.origin, Lifetime):
        return
    if max_lifetime is not None and leaf.origin.length > max_lifetime:
        raise Invalid(f"a leaf that lives {leaf.origin.length} seconds", rule=Rule.TOTAL_LIFETIME)
    if now is not None and not leaf.origin.holds(now):
        raise Invalid(
            "a leaf outside its lifetime", rule=Rule.LIFETIME, hint="check both clocks; ask for a fresh key package"
        )


def check_encryption_key(suite: Suite, public: bytes) -> None:
    """§5.1.1: a public key of the suite's KEM, and one that can be used. Raises `Invalid`."""
    try:
        suite.hpke.kem.check_public(public)
    except (Invalid, Malformed) as fault:
        raise Invalid(fault.message, rule=Rule.KEY_OF_SUITE) from None


def check_context(extensions: tuple[Extension, ...]) -> None:
    """§11.1, §12.1.8.1, §13.4: a GroupContext's extensions by themselves. Raises `Invalid`, `Malformed`."""
    check_unique(extensions)
    with held_to(Rule.REQUIREMENTS_PARSE):
        required_capabilities(extensions)
    with held_to(Rule.SENDERS_PARSE):
        ExternalSenders.of(extensions)


def check_self(leaf: LeafNode, extensions: tuple[Extension, ...]) -> None:
    """§13.4, §13.5: a joiner supports what the group uses, and what it lists as GREASE it doesn't support."""
    able = set(leaf.capabilities.extensions) - set(GREASE)
    if not {extension.kind for extension in extensions} - DEFAULT_EXTENSIONS <= able:
        raise Invalid("the group uses an extension that we don't support", rule=Rule.JOINER_SUPPORTS)


def check_supports(leaf: LeafNode, extensions: tuple[Extension, ...]) -> None:
    """§7.3, §11.1, §13.4: the leaf supports what the group requires and uses. Raises `Invalid`, `Malformed`."""
    required = required_capabilities(extensions)
    able = leaf.capabilities
    if not {extension.kind for extension in extensions} - DEFAULT_EXTENSIONS <= set(able.extensions):
        raise Invalid("a leaf lacks an extension that the group uses", rule=Rule.CONTEXT_SUPPORTED)
    if not set(required.extensions) - DEFAULT_EXTENSIONS <= set(able.extensions):
        raise Invalid("a leaf lacks an extension that the group requires", rule=Rule.REQUIRED_EXTENSION)
    if not set(required.proposals) - DEFAULT_PROPOSALS <= set(able.proposals):
        raise Invalid("a leaf lacks a proposal type that the group requires", rule=Rule.REQUIRED_PROPOSAL)
    if not set(required.credentials) <= set(able.credentials):
        raise Invalid("a leaf lacks a credential type that the group requires", rule=Rule.REQUIRED_CREDENTIAL)


def check_among(tree: RatchetTree, changed: Collection[LeafIndex], extensions: tuple[Extension, ...]) -> None:
    """§7.3: leaves that are new or changed, against the whole group as it will be.

    Keys are unique; each supports what the group needs; all support each other's credential types.
    """
    roll = tree.roll
    if roll.signs_twice:
        raise Invalid("a signature key belongs to two members", rule=Rule.SIGNATURE_KEYS)
    if roll.encrypts_twice:
        leaves = [leaf.encryption_key for _, leaf in tree.members()]
        if len(set(leaves)) != len(leaves):
            raise Invalid("an encryption key belongs to two members", rule=Rule.ENCRYPTION_KEYS)
        raise Invalid("the encryption key of a parent stands in the tree twice", rule=Rule.PARENT_KEYS)
    if not roll.understands_all:
        raise Invalid("a member's credential type isn't supported by all", rule=Rule.CREDENTIAL_FOR_ALL)
    for at in changed:
        new = tree.leaf(at)
        if new is not None:
            check_supports(new, extensions)


def check_key_package(
    suite: Suite, package: KeyPackage, now: int | None = None, *, max_lifetime: int | None = None
) -> None:
    """§10.1: a key package as such. Raises `Invalid`, `BadSignature`."""
    with held_to(Rule.PACKAGE_SIGNED):
        package.verify(suite)
    check_unique(package.extensions)
    check_encryption_key(suite, package.init_key)
    check_leaf_alone(suite, package.leaf_node, now=now, max_lifetime=max_lifetime)


# ---------------------------------------------------------------------------------------------- §12: lists of proposals


@dataclass(frozen=True, slots=True)
class Queued:
    """A proposal as a commit takes it up."""

    proposal: Proposal
    sender: Sender
    by_reference: bool


def check_proposal(
    suite: Suite,
    context: GroupContext,
    tree: RatchetTree,
    proposal: Proposal,
    sender: Sender,
    now: int | None = None,
    *,
    max_lifetime: int | None = None,
    founding: ResumptionUsage | None = None,
) -> None:
    """§12.1: one proposal alone, in the epoch it was made for. Raises `Invalid`, `BadSignature`.

    ``founding``: the commit is the first of a group that comes of another (§11.2, §11.3).
    """
    if sender.kind is SenderType.EXTERNAL and not isinstance(proposal.body, EXTERNAL):
        raise Invalid("a proposal of a type that external senders may not make", rule=Rule.EXTERNAL_TYPES)
    match proposal.body:
        case Add(package):
            check_key_package(suite, package, now, max_lifetime=max_lifetime)
        case Update(leaf):
            at = sender.leaf
            old = None if at is None else tree.leaf(at)
            if at is None or old is None:
                raise Invalid("only members update their leaves", rule=Rule.UPDATE_BY_MEMBER)
            if leaf.source is not LeafNodeSource.UPDATE:
                raise Invalid("the leaf of an update isn't made for one", rule=Rule.SOURCE_UPDATE)
            if leaf.encryption_key == old.encryption_key:
                raise Invalid("an update that keeps the encryption key", rule=Rule.FRESH_KEY)
            check_leaf_alone(suite, leaf, group_id=context.group_id, at=at)
        case Remove(removed):
            if tree.leaf(removed) is None:
                raise Invalid(f"leaf {removed} is no member to remove", rule=Rule.REMOVES_A_MEMBER)
        case PreSharedKey(psk):
            check_nonce(suite, psk)
            if isinstance(psk.psk, ResumptionPSK) and psk.psk.usage not in {ResumptionUsage.APPLICATION, founding}:
                rule = Rule.PSK_REINIT if psk.psk.usage is ResumptionUsage.REINIT else Rule.PSK_BRANCH
                raise Invalid("a resumption key for a new group, proposed in an old one", rule=rule)
        case ReInit(version=version, extensions=extensions):
            if version < context.version:
                raise Invalid("a new beginning in an older version", rule=Rule.REINIT_NOT_OLDER)
            check_context(extensions)
        case GroupContextExtensions(extensions):
            check_context(extensions)
        case ExternalInit():
            if sender.kind is not SenderType.NEW_MEMBER_COMMIT:
                raise Invalid("an external init outside an external commit", rule=Rule.EXTERNAL_INIT_PLACE)


def check_nonce(suite: Suite, psk: PreSharedKeyID) -> None:
    """§8.4: of the length that it must have. Raises `Invalid`."""
    if len(psk.psk_nonce) != suite.hash_length:
        raise Invalid(f"a nonce of {len(psk.psk_nonce)} bytes for a pre-shared key", rule=Rule.PSK_NONCE)


def check_list(queue: Sequence[Queued], committer: LeafIndex) -> None:
    """§12.2: the list of a member's commit, which applies as a whole or not at all. Raises `Invalid`."""
    touched: set[LeafIndex] = set()
    newcomers: set[bytes] = set()
    psks: set[PreSharedKeyID] = set()
    contexts = 0
    for item in queue:
        match item.proposal.body:
            case Update():
                at = item.sender.leaf
                if at is None or at == committer:
                    raise Invalid("a commit that takes up its committer's own update", rule=Rule.OWN_UPDATE)
                _once(touched, at)
            case Remove(removed):
                if removed == committer:
                    raise Invalid("a commit that removes its committer", rule=Rule.OWN_REMOVE)
                _once(touched, removed)
            case Add(package):
                if package.leaf_node.signature_key in newcomers:
                    raise Invalid("a client added twice", rule=Rule.ADDED_ONCE)
                newcomers.add(package.leaf_node.signature_key)
            case PreSharedKey(psk):
                if psk in psks:
                    raise Invalid("a pre-shared key used twice", rule=Rule.PSK_ONCE)
                psks.add(psk)
            case GroupContextExtensions():
                contexts += 1
                if contexts > 1:
                    raise Invalid("two changes of the group context's extensions", rule=Rule.ONE_CONTEXT)
            case ReInit():
                if len(queue) > 1:
                    raise Invalid("a new beginning beside other proposals", rule=Rule.REINIT_ALONE)
            case ExternalInit():
                raise Invalid("an external init in a member's commit", rule=Rule.NO_EXTERNAL_INIT)


def _once(touched: set[LeafIndex], leaf: LeafIndex) -> None:
    if leaf in touched:
        raise Invalid(f"leaf {leaf} is updated or removed twice", rule=Rule.ONE_CHANGE_A_LEAF)
    touched.add(leaf)


def check_external_list(queue: Sequence[Queued]) -> None:
    """§12.2: the list of a commit by one who joins with it. Raises `Invalid`."""
    inits = removes = 0
    psks: set[PreSharedKeyID] = set()
    for item in queue:
        if item.by_reference:
            raise Invalid("an external commit that refers to proposals", rule=Rule.EXTERNAL_BY_VALUE)
        match item.proposal.body:
            case ExternalInit():
                inits += 1
            case Remove():
                removes += 1
            case PreSharedKey(psk):
                if psk in psks:
                    raise Invalid("a pre-shared key used twice", rule=Rule.PSK_ONCE)
                psks.add(psk)
            case _:
                raise Invalid("an external commit with a proposal for members only", rule=Rule.EXTERNAL_LIST)
    if inits != 1:
        raise Invalid(f"an external commit with {inits} external inits", rule=Rule.ONE_EXTERNAL_INIT)
    if removes > 1:
        raise Invalid(f"an external commit that removes {removes} members", rule=Rule.ONE_REMOVE)
