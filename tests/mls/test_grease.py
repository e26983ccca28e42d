"""§13.5: what means nothing is sent where it may be, passed over where it comes, and taken for support by nobody."""

from __future__ import annotations

from securechan.crypto.suite import by_number
from securechan.mls import grease
from securechan.mls.group import Group
from securechan.mls.nodes import Capabilities
from securechan.mls.registry import GREASE, is_grease
from tests.support.mls import NOW, agree, bundle, follow, found

SUITE = by_number(1)


def test_there_are_fifteen_values_and_all_come_up() -> None:
    assert len(GREASE) == 15
    assert {grease.value(SUITE) for _ in range(500)} == set(GREASE)
    assert is_grease(0x0A0A)
    assert is_grease(0xEAEA)
    assert not is_grease(0xFAFA)


def test_a_greased_member_is_a_member_like_any_other() -> None:
    (alice,) = found("alice", suite=SUITE)
    new = bundle("bob", SUITE, grease=True)
    leaf = new.key_package.leaf_node
    able = leaf.capabilities
    for listed in (able.cipher_suites, able.extensions, able.proposals, able.credentials):
        assert any(is_grease(kind) for kind in listed)
    for carried in (leaf.extensions, new.key_package.extensions):
        assert [is_grease(each.kind) for each in carried] == [True]
    assert leaf.extensions[0].kind in able.extensions
    step = alice.commit(adds=[new.key_package], now=NOW, group_info_extensions=(grease.extension(SUITE),))
    bob = Group.join(step.welcomes[0], new, now=NOW)
    agree([step.next, bob])
    agree(follow(bob.commit(), [step.next]))


def test_the_versions_are_left_alone() -> None:
    able = grease.greased(SUITE, Capabilities((1,), (1,), (), (), (1,)))
    assert able.versions == (1,)
    assert [len(each) for each in (able.cipher_suites, able.extensions, able.proposals, able.credentials)] == [
        2,
        1,
        1,
        2,
    ]
