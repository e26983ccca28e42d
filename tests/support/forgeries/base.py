"""The table of forgeries, and the scenes that they play in: a forgery is a function marked with the rule it breaks."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache
from typing import Any, Final

from securechan.crypto.suite import by_number
from securechan.mls.extensions import Extension, RequiredCapabilities
from securechan.mls.group import Group
from securechan.mls.keypackage import KeyPackage, KeyPackageBundle
from securechan.mls.nodes import Capabilities, Credential
from securechan.mls.proposals import (
    Add,
    Body,
    ReInit,
    Update,
)
from securechan.mls.psk import ExternalPSK, PreSharedKeyID, ResumptionPSK
from securechan.mls.registry import (
    ExtensionType,
    ProtocolVersion,
    PSKType,
    ResumptionUsage,
)
from securechan.mls.rules import Rule
from securechan.mls.treekem import UpdatePath
from securechan.mls.treemath import LeafIndex
from securechan.mls.validation import ExternalSender, ExternalSenders
from tests.support.mls import NOW, bundle, found, keys, taken
from tests.support.mls_forge import Forger, Inviter, changed

SUITE: Final = by_number(1)
ALICE, BOB, CAROL, DORA = LeafIndex(0), LeafIndex(1), LeafIndex(2), LeafIndex(3)
NH: Final = SUITE.hash_length
ZERO_KEY: Final = bytes(32)  # of X25519: whatever it meets, the secret is zero


@dataclass(frozen=True)
class Heard:
    """A message that ``by`` takes."""

    by: Group
    message: bytes
    options: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Tried:
    """A deed, and the groups that it must leave as they were."""

    deed: Callable[[], object]
    groups: tuple[Group, ...] = ()


Attempt = Heard | Tried
FORGERIES: Final[list[tuple[Rule, Callable[[], Attempt]]]] = []


def breaks(rule: Rule) -> Callable[[Callable[[], Attempt]], Callable[[], Attempt]]:
    def marked(forgery: Callable[[], Attempt]) -> Callable[[], Attempt]:
        FORGERIES.append((rule, forgery))
        return forgery

    return marked


def saved(group: Group) -> tuple[bytes, bytes]:
    return group.encode_epoch(), group.encode_ratchets()


@cache
def trio() -> tuple[Group, Group, Group]:
    alice, bob, carol = found("alice", "bob", "carol", suite=SUITE)
    return alice, bob, carol


def forger() -> Forger:
    return Forger(trio()[0])


def bob() -> Group:
    return trio()[1]


@cache
def dora() -> KeyPackageBundle:
    return bundle("dora", SUITE)


WATCHER_PRIVATE, WATCHER = SUITE.signature.generate()
SENDERS: Final = Extension(
    ExtensionType.EXTERNAL_SENDERS,
    ExternalSenders((ExternalSender(WATCHER, Credential.of(keys("w", SUITE).credential)),)).encode(),
)
REQUIRED: Final = Extension(
    ExtensionType.REQUIRED_CAPABILITIES, RequiredCapabilities((0xF0F1,), (0xF0F2,), (2,)).encode()
)
ABLE: Final = Capabilities((1,), (SUITE.number,), (0xF0F1,), (0xF0F2,), (1, 2))
UNKNOWN: Final = Extension(0xF0F0, b"")
REINIT: Final = ReInit(b"the next group", ProtocolVersion.MLS10, SUITE.number, ())


@cache
def watched() -> tuple[Group, Group]:
    alice, bob_ = found("alice", "bob", suite=SUITE, extensions=(SENDERS,))
    return alice, bob_


@cache
def demanding() -> tuple[Group, Group]:
    """A group that requires an extension, a proposal type and a credential type."""
    alice = Group.create(SUITE, b"demanding", keys("alice", SUITE), now=NOW, extensions=(REQUIRED,), capabilities=ABLE)
    able = bundle("bob", SUITE, capabilities=ABLE)
    step = alice.commit(adds=[able.key_package])
    return step.next, Group.join(step.welcomes[0], able, now=NOW)


@cache
def inviter() -> Inviter:
    """Alice, who has added dora without a path: dora is unmerged at the root."""
    step = trio()[0].commit(adds=[dora().key_package], path=False)
    return Inviter(step, dora())


@cache
def inviter_by_path() -> Inviter:
    return Inviter(trio()[0].commit(adds=[dora().key_package]), dora())


@cache
def ended() -> tuple[Group, Group, Group]:
    """The trio, after a ReInit."""
    alice, bob_, carol = trio()
    step = alice.commit(reinit=REINIT, path=False)
    return step.next, taken(bob_.receive(step.commit)), taken(carol.receive(step.commit))


def joins(welcome: bytes, who: KeyPackageBundle | None = None, **options: Any) -> Tried:
    return Tried(lambda: Group.join(welcome, who or dora(), now=NOW, suite=SUITE, **options))


def external_psk(nonce: int = NH) -> PreSharedKeyID:
    return PreSharedKeyID(PSKType.EXTERNAL, ExternalPSK(b"id"), bytes(nonce))


def resumption(usage: ResumptionUsage, group: Group, nonce: bytes = bytes(NH)) -> PreSharedKeyID:
    return PreSharedKeyID(PSKType.RESUMPTION, ResumptionPSK(usage, group.group_id, group.epoch), nonce)


def commits(*bodies: Body, **options: Any) -> Heard:
    return Heard(bob(), forger().commit(*bodies, **options))


def updates(**values: Any) -> Heard:
    return Heard(bob(), forger().proposal(Update(forger().leaf(**values))))


def adds(package: KeyPackage) -> Heard:
    return commits(Add(package))


def with_nodes(path: UpdatePath, **values: Any) -> UpdatePath:
    return UpdatePath(path.leaf_node, tuple(changed(node, **values) for node in path.nodes))


def link(usage: ResumptionUsage, parent: Group, suite: int = 1) -> PreSharedKeyID:
    return resumption(usage, parent, bytes(by_number(suite).hash_length))


def pending(*messages: bytes) -> tuple[Group, Group]:
    """(alice, bob) after these proposals."""
    alice, member, _ = trio()
    for message in messages:
        member = taken(member.receive(message))
        outcome = alice.receive(message)
        alice = alice if type(outcome).__name__ == "Own" else taken(outcome)
    return alice, member
