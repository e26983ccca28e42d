"""RFC 9420 §13, broken, and what the engine bounds."""

from __future__ import annotations

from dataclasses import replace
from typing import Final
from unittest import mock

from securechan.mls import tree as trees
from securechan.mls.extensions import Extension
from securechan.mls.group import Group
from securechan.mls.proposals import (
    Add,
    GroupContextExtensions,
    Remove,
)
from securechan.mls.receive import MAX_PENDING
from securechan.mls.registry import (
    GREASE,
)
from securechan.mls.rules import Rule
from tests.support.forgeries.base import (
    ABLE,
    CAROL,
    REINIT,
    SUITE,
    UNKNOWN,
    Attempt,
    Heard,
    Tried,
    adds,
    breaks,
    commits,
    dora,
    forger,
    inviter,
    joins,
    pending,
    trio,
    updates,
)
from tests.support.mls import NOW, bundle, keys
from tests.support.mls_forge import Forger, Inviter, changed, resigned

TWICE: Final = (UNKNOWN, UNKNOWN)


@breaks(Rule.ONE_OF_A_TYPE)
def an_extension_twice_in_a_leaf() -> Attempt:
    return updates(extensions=TWICE, capabilities=changed(ABLE, extensions=(UNKNOWN.kind,)))


@breaks(Rule.ONE_OF_A_TYPE)
def an_extension_twice_in_a_key_package() -> Attempt:
    return adds(resigned(dora().key_package, SUITE, dora().signature_private, extensions=TWICE))


@breaks(Rule.ONE_OF_A_TYPE)
def an_extension_twice_in_a_new_context() -> Attempt:
    return commits(GroupContextExtensions(TWICE))


@breaks(Rule.ONE_OF_A_TYPE)
def an_extension_twice_in_a_reinit() -> Attempt:
    return commits(changed(REINIT, extensions=TWICE))


@breaks(Rule.ONE_OF_A_TYPE)
def an_extension_twice_in_a_group_info() -> Attempt:
    return joins(inviter().welcome(inviter().signed(extensions=inviter().info.extensions * 2)))


@breaks(Rule.ONE_OF_A_TYPE)
def an_extension_twice_in_a_context() -> Attempt:
    return joins(inviter().welcome(inviter().context(extensions=TWICE)))


@breaks(Rule.CONTEXT_SUPPORTED)
def a_context_that_members_do_not_support() -> Attempt:
    return commits(GroupContextExtensions((UNKNOWN,)))


@breaks(Rule.CONTEXT_SUPPORTED)
def a_context_that_only_its_committer_supports() -> Attempt:
    able = changed(ABLE, extensions=(UNKNOWN.kind,))
    return commits(GroupContextExtensions((UNKNOWN,)), leaf={"capabilities": able})


@breaks(Rule.CONTEXT_SUPPORTED)
def a_newcomer_who_does_not_support_the_context() -> Attempt:
    alice = Group.create(SUITE, b"with a policy", keys("alice", SUITE), now=NOW, extensions=(UNKNOWN,))
    able = bundle("bob", SUITE, capabilities=changed(ABLE, extensions=(UNKNOWN.kind,)))
    step = alice.commit(adds=[able.key_package])
    other = Group.join(step.welcomes[0], able, now=NOW)
    return Heard(other, Forger(step.next).commit(Add(dora().key_package)))


@breaks(Rule.JOINER_SUPPORTS)
def a_context_of_grease() -> Attempt:
    """All leaves list the type, and none means it (§13.5)."""
    able = changed(ABLE, extensions=(GREASE[3],))
    alice = Group.create(SUITE, b"greasy", keys("alice", SUITE), now=NOW, capabilities=able)
    newcomer = bundle("bob", SUITE, capabilities=able)
    honest = Inviter(alice.commit(adds=[newcomer.key_package]), newcomer)
    return joins(honest.welcome(honest.context(extensions=(Extension(GREASE[3], b""),))), newcomer)


@breaks(Rule.JOINER_SUPPORTS)
def a_change_to_grease() -> Attempt:
    able = changed(ABLE, extensions=(GREASE[3],))
    alice = Group.create(SUITE, b"greasy", keys("alice", SUITE), now=NOW, capabilities=able)
    return Tried(lambda: alice.commit(extensions=(Extension(GREASE[3], b""),)), (alice,))


@breaks(Rule.JOINER_SUPPORTS)
def a_proposal_of_grease() -> Attempt:
    able = changed(ABLE, extensions=(GREASE[3],))
    alice = Group.create(SUITE, b"greasy", keys("alice", SUITE), now=NOW, capabilities=able)
    return Tried(lambda: alice.propose(GroupContextExtensions((Extension(GREASE[3], b""),))), (alice,))


@breaks(Rule.JOINER_SUPPORTS)
def a_context_that_a_newcomer_does_not_know() -> Attempt:
    alice = Group.create(SUITE, b"with a policy", keys("alice", SUITE), now=NOW, extensions=(UNKNOWN,))
    info, who = alice.group_info(), keys("eve", SUITE)
    return Tried(lambda: Group.join_from_outside(SUITE, info, who), (alice,))


@breaks(Rule.LEAVES)
def a_tree_beyond_the_bound() -> Attempt:
    welcome = inviter().welcome()

    def join() -> Group:
        with mock.patch.object(trees, "MAX_LEAVES", 2):
            return Group.join(welcome, dora(), now=NOW)

    return Tried(join)


@breaks(Rule.LEAVES)
def a_member_beyond_the_bound() -> Attempt:
    newcomers = [bundle(name, SUITE).key_package for name in ("dora", "emil")]

    def commit() -> object:
        with mock.patch.object(trees, "MAX_LEAVES", 4):
            return trio()[0].commit(adds=newcomers)

    return Tried(commit, (trio()[0],))


@breaks(Rule.PROPOSALS)
def one_proposal_too_many() -> Attempt:
    _, member = pending(forger().proposal(Remove(CAROL)))
    full = replace(member, pending=member.pending * MAX_PENDING)
    return Heard(full, forger().proposal(Add(dora().key_package)))
