"""Groups that come of groups: the whole flow of a branch and of a re-initialisation, by each of their members."""

from __future__ import annotations

import pytest

from securechan.crypto.suite import SUITES, by_number
from securechan.errors import CannotOpen, Invalid, Misuse
from securechan.mls.extensions import Extension
from securechan.mls.group import Group
from securechan.mls.lineage import same_identity
from securechan.mls.nodes import Capabilities, LeafNode
from securechan.mls.outcomes import Committed
from securechan.mls.proposals import ReInit
from securechan.mls.registry import ProtocolVersion
from securechan.mls.rules import Rule
from securechan.mls.succession import branch, succeed
from securechan.mls.terms import Terms
from tests.support.mls import NOW, agree, bundle, follow, found, keys, taken

SUITE = by_number(1)
HYBRID = SUITES["hybrid"]
POLICY = Extension(0xF001, b"who belongs")


def test_a_branch_is_a_subgroup_that_only_members_can_join() -> None:
    alice, bob, carol = found("alice", "bob", "carol", suite=SUITE)
    new = bundle("carol", SUITE)
    step = branch(alice, keys("alice", SUITE), [new.key_package], group_id=b"two of us", now=NOW)
    assert (step.next.group_id, step.next.epoch) == (b"two of us", 1)
    joined = Group.join(step.welcomes[0], new, now=NOW, parents=[carol], others={carol.group_id})
    agree([step.next, joined])
    agree(follow(joined.commit(), [step.next]))
    agree([alice, bob, carol])  # the old group goes on
    with pytest.raises(CannotOpen) as caught:
        Group.join(step.welcomes[0], new, now=NOW)
    assert caught.value.rule == Rule.WELCOME_PSK_HELD
    assert "parent" in caught.value.hint
    with pytest.raises(Misuse, match="new group id"):
        branch(alice, keys("alice", SUITE), [], group_id=alice.group_id, now=NOW)


def test_a_branch_is_joined_though_its_group_has_moved_on() -> None:
    alice, _, carol = found("alice", "bob", "carol", suite=SUITE)
    new = bundle("carol", SUITE)
    step = branch(alice, keys("alice", SUITE), [new.key_package], group_id=b"two of us", now=NOW)
    carol = taken(carol.receive(alice.commit().commit))
    agree([step.next, Group.join(step.welcomes[0], new, now=NOW, parents=[carol])])


def test_a_branch_keeps_the_extensions_of_its_group_unless_given_others() -> None:
    able = Capabilities((1,), (SUITE.number,), (0xF001,), (), (1,))
    alice = Group.create(SUITE, b"group", keys("alice", SUITE), now=NOW, extensions=(POLICY,))
    for extensions, wanted in ((None, (POLICY,)), ((), ())):
        step = branch(alice, keys("alice", SUITE), [], group_id=b"alone", now=NOW, extensions=extensions)
        assert step.next.context_extensions == wanted
    assert able.extensions == (0xF001,)


def test_a_group_is_followed_by_another_in_another_suite() -> None:
    alice, bob, carol = found("alice", "bob", "carol", suite=SUITE)
    able = Capabilities((1,), (HYBRID.number,), (POLICY.kind,), (), (1,))
    end = ReInit(b"the next group", ProtocolVersion.MLS10, HYBRID.number, (POLICY,))
    alice, proposal = alice.propose(end)
    bob, carol = taken(bob.receive(proposal)), taken(carol.receive(proposal))
    alice, bob, carol = follow(alice.commit(by_reference=[alice.pending[0].ref], path=False), [bob, carol])
    assert alice.reinit == bob.reinit == carol.reinit == end
    # bob founds the next, not alice who ended it (§11.2 leaves it to any member)
    new = {name: bundle(name, HYBRID, capabilities=able) for name in ("alice", "carol")}
    step = succeed(bob, keys("bob", HYBRID), [each.key_package for each in new.values()], now=NOW)
    assert (step.next.suite, step.next.group_id, step.next.epoch) == (HYBRID, b"the next group", 1)
    assert step.next.context_extensions == (POLICY,)
    joined = [
        Group.join(welcome, each, now=NOW, parents=[old])
        for welcome, each, old in zip(step.welcomes, new.values(), (alice, carol), strict=True)
    ]
    agree([step.next, *joined])
    agree(follow(joined[0].commit(), [step.next, joined[1]]))


def test_a_reinit_by_value_ends_the_group_for_its_committer_too() -> None:
    alice, bob = found("alice", "bob", suite=SUITE)
    step = alice.commit(reinit=ReInit(b"next", ProtocolVersion.MLS10, SUITE.number, ()), path=False)
    outcome = bob.receive(step.commit)
    assert isinstance(outcome, Committed)
    assert outcome.group.reinit == step.next.reinit
    assert step.current.reinit is None
    saved = Group.decode(step.next.encode_epoch(), step.next.encode_ratchets())
    new = bundle("bob", SUITE)
    after = succeed(saved, keys("alice", SUITE), [new.key_package], now=NOW)
    agree([after.next, Group.join(after.welcomes[0], new, now=NOW, parents=[outcome.group])])


def test_who_is_the_same_client_is_the_applications_to_say() -> None:
    alice, bob = found("alice@phone", "bob@phone", suite=SUITE)

    def one_person(one: LeafNode, other: LeafNode) -> bool:
        return one.identity.split(b"@")[0] == other.identity.split(b"@")[0]

    new = bundle("bob@desk", SUITE)
    with pytest.raises(Invalid) as caught:
        branch(alice, keys("alice@desk", SUITE), [new.key_package], group_id=b"desks", now=NOW)
    assert caught.value.rule == Rule.BRANCH_MEMBERS
    step = branch(alice, keys("alice@desk", SUITE), [new.key_package], group_id=b"desks", now=NOW, alike=one_person)
    with pytest.raises(Invalid):
        Group.join(step.welcomes[0], new, now=NOW, parents=[bob], alike=same_identity)
    agree([step.next, Group.join(step.welcomes[0], new, now=NOW, parents=[bob], alike=one_person)])


def test_a_branch_of_an_epoch_that_is_kept_is_held_to_its_members() -> None:
    """Who founded it may have known of a member that was removed meanwhile: where the epoch is kept, that is seen."""
    alice, bob, carol = found("alice", "bob", "carol", suite=SUITE)
    new = {name: bundle(name, SUITE) for name in ("bob", "carol")}
    packages = [each.key_package for each in new.values()]
    step = branch(alice, keys("alice", SUITE), packages, group_id=b"all of us", now=NOW)
    removal = alice.commit(removes=[carol.own_leaf]).commit
    keeping = Group.decode(bob.encode_epoch(), bob.encode_ratchets(), Terms(past_epochs=1))
    agree([step.next, Group.join(step.welcomes[0], new["bob"], now=NOW, parents=[taken(keeping.receive(removal))])])
    with pytest.raises(Invalid) as caught:
        Group.join(step.welcomes[0], new["bob"], now=NOW, parents=[taken(bob.receive(removal))])
    assert caught.value.rule == Rule.BRANCH_MEMBERS


def test_what_has_not_ended_has_no_successor() -> None:
    alice, _ = found("alice", "bob", suite=SUITE)
    with pytest.raises(Misuse):
        succeed(alice, keys("alice", SUITE), [], now=NOW)
