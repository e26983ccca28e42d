"""RFC 9420 §11, §12.4.3.1, broken: successors and branches that are not what their groups allow."""

from __future__ import annotations

from dataclasses import replace
from typing import Any
from unittest import mock

from securechan.crypto.suite import by_number
from securechan.mls.extensions import Extension
from securechan.mls.group import Group
from securechan.mls.keypackage import KeyPackageBundle
from securechan.mls.negotiate import best_suite, check_choice
from securechan.mls.nodes import Capabilities
from securechan.mls.proposals import (
    Add,
    Body,
    GroupContextExtensions,
    PreSharedKey,
)
from securechan.mls.psk import EpochId, PreSharedKeyID
from securechan.mls.registry import (
    ExtensionType,
    ResumptionUsage,
)
from securechan.mls.rules import Rule
from securechan.mls.send import Step
from securechan.mls.send import commit as send_commit
from securechan.mls.succession import branch, succeed
from tests.support.forgeries.base import (
    ABLE,
    NH,
    REINIT,
    SUITE,
    UNKNOWN,
    Attempt,
    Heard,
    Tried,
    bob,
    breaks,
    commits,
    ended,
    link,
    resumption,
    trio,
)
from tests.support.mls import NOW, bundle, keys
from tests.support.mls_forge import Forger, changed


def packages(*names: str, suite: int = 1, **options: Any) -> dict[str, KeyPackageBundle]:
    return {name: bundle(name, by_number(suite), **options) for name in names}


def founded(
    parent: Group,
    *links: PreSharedKeyID,
    names: tuple[str, ...] = ("bob", "carol"),
    group_id: bytes = REINIT.group_id,
    extensions: tuple[Extension, ...] = (),
    suite: int = 1,
    epoch: int = 1,
    psks: dict[Any, bytes] | None = None,
) -> Tried:
    """Bob is welcomed to a group that alice founded with these links and without any check."""
    chosen = by_number(suite)
    able = Capabilities((1,), (suite,), tuple(each.kind for each in extensions), (), (1,))
    new = packages(*names, suite=suite, capabilities=able)
    group = Group.create(chosen, group_id, keys("alice", chosen), now=NOW, extensions=extensions)
    while group.epoch + 1 < epoch:
        group = group.commit().next
    bodies: list[Body] = [Add(each.key_package) for each in new.values()]
    bodies += [PreSharedKey(link) for link in links]
    with mock.patch("securechan.mls.commit.check_proposal"):
        step = first_commit(group, bodies, {**parent.resumption_keys(), **(psks or {})})
    return Tried(
        lambda: Group.join(step.welcomes[0], new[names[0]], now=NOW, suite=chosen, parents=[parent], psks=psks),
        (parent,),
    )


def first_commit(group: Group, bodies: list[Body], psks: Any) -> Step:
    return send_commit(
        group,
        bodies,
        by_reference=(),
        psks=psks,
        path=True,
        authenticated_data=b"",
        private=True,
        padding=0,
        new_signature=None,
        tree_in_welcome=True,
        group_info_extensions=(),
        now=NOW,
    )


def reinitialised(parent: Group | None = None, **options: Any) -> Tried:
    old = parent or ended()[1]
    return founded(old, link(ResumptionUsage.REINIT, old), **options)


def earlier(old: Group) -> PreSharedKeyID:
    """A key of usage reinit, of the epoch before the one that the ReInit opened."""
    name = EpochId(old.group_id, old.epoch - 1)
    assert name in old.resumption_keys()
    return PreSharedKeyID.fresh(SUITE, name, ResumptionUsage.REINIT)


@breaks(Rule.BEST_SUITE)
def a_worse_suite_than_all_support() -> Attempt:
    both = changed(ABLE, cipher_suites=(1, 3))
    new = [each.key_package for each in packages("bob", "carol", suite=3, capabilities=both).values()]
    return Tried(lambda: check_choice(by_number(3), (by_number(1), by_number(3)), new))


@breaks(Rule.BEST_SUITE)
def a_suite_for_nobody() -> Attempt:
    new = [bundle("bob", by_number(3)).key_package, bundle("carol", SUITE).key_package]
    return Tried(lambda: best_suite((SUITE, by_number(3)), new))


@breaks(Rule.REQUIREMENTS_PARSE)
def requirements_that_do_not_parse() -> Attempt:
    return commits(GroupContextExtensions((Extension(ExtensionType.REQUIRED_CAPABILITIES, b"\xff"),)))


@breaks(Rule.REINIT_GROUP_ID)
def a_successor_under_another_id() -> Attempt:
    return reinitialised(group_id=b"not what was said")


@breaks(Rule.REINIT_VERSION)
def a_successor_in_another_version() -> Attempt:
    old = ended()[1]
    later = replace(old, state=replace(old.state, reinit=changed(REINIT, version=2)))  # of a protocol yet to come
    return reinitialised(later)


@breaks(Rule.REINIT_SUITE)
def a_successor_in_another_suite() -> Attempt:
    old = ended()[1]
    return founded(old, link(ResumptionUsage.REINIT, old, 3), suite=3)


@breaks(Rule.REINIT_SUITE)
def a_successor_made_in_another_suite() -> Attempt:
    alice = ended()[0]
    return Tried(lambda: succeed(alice, keys("alice", SUITE), [], now=NOW, suite=by_number(3)), (alice,))


@breaks(Rule.REINIT_EXTENSIONS)
def a_successor_with_other_extensions() -> Attempt:
    return reinitialised(extensions=(UNKNOWN,))


@breaks(Rule.REINIT_LINKED)
def a_successor_without_the_old_key() -> Attempt:
    return founded(ended()[1])


@breaks(Rule.REINIT_LINKED)
def a_successor_that_says_to_be_a_branch() -> Attempt:
    old = ended()[1]
    return founded(old, link(ResumptionUsage.BRANCH, old))


@breaks(Rule.REINIT_LINKED)
def a_successor_of_an_epoch_before_the_last() -> Attempt:
    old = ended()[1]
    return founded(old, earlier(old))


@breaks(Rule.REINIT_ENDED)
def a_successor_of_an_epoch_before_the_last_under_another_id() -> Attempt:
    old = ended()[1]
    return founded(old, earlier(old), group_id=b"not what was said")


@breaks(Rule.REINIT_ENDED)
def a_successor_of_a_group_that_goes_on() -> Attempt:
    return reinitialised(bob())


@breaks(Rule.REINIT_MEMBERS)
def a_successor_without_carol() -> Attempt:
    return reinitialised(names=("bob",))


@breaks(Rule.REINIT_MEMBERS)
def a_successor_made_without_carol() -> Attempt:
    alice = ended()[0]
    new = packages("bob")
    return Tried(lambda: succeed(alice, keys("alice", SUITE), [new["bob"].key_package], now=NOW), (alice,))


@breaks(Rule.REINIT_MEMBERS)
def a_successor_made_with_a_stranger() -> Attempt:
    alice, new = ended()[0], packages("bob", "carol", "mallory").values()
    return Tried(lambda: succeed(alice, keys("alice", SUITE), [each.key_package for each in new], now=NOW), (alice,))


@breaks(Rule.SILENT)
def a_message_to_a_group_that_ended() -> Attempt:
    alice, member, _ = ended()
    return Heard(member, Forger(alice).private(b"as if nothing had happened"))


@breaks(Rule.SILENT)
def a_message_from_a_group_that_ended() -> Attempt:
    return Tried(lambda: ended()[0].protect(b"one more thing"), (ended()[0],))


@breaks(Rule.BRANCH_SUITE)
def a_branch_in_another_suite() -> Attempt:
    return founded(bob(), link(ResumptionUsage.BRANCH, bob(), 3), suite=3)


@breaks(Rule.BRANCH_MEMBERS)
def a_branch_with_a_stranger() -> Attempt:
    return founded(bob(), link(ResumptionUsage.BRANCH, bob()), names=("bob", "mallory"))


@breaks(Rule.BRANCH_MEMBERS)
def a_branch_made_with_a_stranger() -> Attempt:
    alice, new = trio()[0], packages("mallory")["mallory"].key_package
    return Tried(lambda: branch(alice, keys("alice", SUITE), [new], group_id=b"few", now=NOW), (alice,))


@breaks(Rule.FIRST_EPOCH)
def a_branch_that_lived_before() -> Attempt:
    return founded(bob(), link(ResumptionUsage.BRANCH, bob()), epoch=2)


@breaks(Rule.ONE_LINK)
def a_group_that_comes_of_two() -> Attempt:
    two = (link(ResumptionUsage.BRANCH, bob()), resumption(ResumptionUsage.BRANCH, bob(), b"\x01" * NH))
    return founded(bob(), *two)
