"""Small helpers that the tests of the MLS engine share: groups of given names, and pieces of vectors as values."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any, Final

from securechan.crypto.secret import Secret
from securechan.crypto.suite import SUITES, Suite, by_number
from securechan.mls.context import GroupContext
from securechan.mls.group import Group
from securechan.mls.keypackage import KeyPackage, KeyPackageBundle, LeafKeys, new_key_package
from securechan.mls.message import MLSMessage
from securechan.mls.nodes import BasicCredential
from securechan.mls.outcomes import Application, Committed, Outcome, Proposed
from securechan.mls.registry import ProtocolVersion
from securechan.mls.send import Step
from tests.support.corpus import load

NOW: Final = 1_800_000_000
FAST: Final = SUITES["hybrid"]  # what the product uses is fast enough to be what most tests use
RFC_SUITES: Final = (1, 2, 3, 4, 5, 6, 7)

unhex = bytes.fromhex


@cache
def cases(name: str) -> tuple[dict[str, Any], ...]:
    """The cases of one official file, parsed once."""
    return tuple(load(f"mls/{name}.json"))


def of_suite(name: str, number: int) -> list[tuple[Suite, dict[str, Any]]]:
    """The cases for one suite; there is at least one, or the file isn't what it should be."""
    found = [(by_number(number), case) for case in cases(name) if case["cipher_suite"] == number]
    assert found, f"{name} has no case for suite {number}"
    return found


def kem_private(suite: Suite, text: str) -> Secret:
    """A private KEM key of a vector: some files drop the leading zeros of a P-521 scalar."""
    return Secret(unhex(text).rjust(suite.hpke.kem.private_length, b"\0"))


def context_of(suite: Suite, case: Mapping[str, Any], epoch: int, tree_hash: str, confirmed: str) -> GroupContext:
    return GroupContext(
        ProtocolVersion.MLS10, suite.number, unhex(case["group_id"]), epoch, unhex(tree_hash), unhex(confirmed), ()
    )


def key_package_of(message: bytes) -> KeyPackage:
    body = MLSMessage.decode(message).body
    assert isinstance(body, KeyPackage)
    return body


def keys(name: str, suite: Suite = FAST) -> LeafKeys:
    """Fresh keys of a member called ``name``."""
    return LeafKeys(suite.signature.generate()[0], BasicCredential(name.encode()))


def bundle(name: str, suite: Suite = FAST, **options: Any) -> KeyPackageBundle:
    return new_key_package(suite, keys(name, suite), now=NOW, **options)


def found(*names: str, suite: Suite = FAST, **options: Any) -> list[Group]:
    """A group of these members, all in one epoch; the first founded it."""
    first = Group.create(suite, b"a group of the tests", keys(names[0], suite), now=NOW, **options)
    if len(names) == 1:
        return [first]
    bundles = [bundle(name, suite) for name in names[1:]]
    step = first.commit(adds=[each.key_package for each in bundles], now=NOW)
    joined = [
        Group.join(welcome, each, now=NOW, suite=suite) for welcome, each in zip(step.welcomes, bundles, strict=True)
    ]
    return [step.next, *joined]


def taken(outcome: Outcome) -> Group:
    """The next group of an outcome that has one."""
    assert isinstance(outcome, Application | Proposed | Committed), outcome
    return outcome.group


def follow(step: Step, others: Sequence[Group]) -> list[Group]:
    """The committer's next group and those of all others, who took its commit."""
    return [step.next, *(taken(other.receive(step.commit)) for other in others)]


def agree(groups: Sequence[Group]) -> None:
    """All are in the same epoch of the same group."""
    assert len({group.epoch_authenticator.hex() for group in groups}) == 1
    assert len({group.tree_hash for group in groups}) == 1
