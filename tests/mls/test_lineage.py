"""Who is like whom, and which group a key names; the rules themselves are broken in ``tests/support/forgeries``."""

from __future__ import annotations

import pytest

from securechan.crypto.suite import by_number
from securechan.errors import CannotOpen, Invalid
from securechan.mls.lineage import link_of, parent_of, same_identity, strangers
from securechan.mls.psk import EpochId, PreSharedKeyID
from securechan.mls.registry import ResumptionUsage
from tests.support.mls import bundle, found

SUITE = by_number(1)


def test_leaves_are_alike_where_their_credentials_are() -> None:
    alice, bob = found("alice", "bob", suite=SUITE)
    again = bundle("alice", SUITE).key_package.leaf_node
    assert same_identity(alice.state.own_leaf_node, again)
    assert not same_identity(bob.state.own_leaf_node, again)
    everyone = [member.leaf_node for member in alice.members()]
    assert strangers([again], everyone, same_identity) == []
    other = bundle("mallory", SUITE).key_package.leaf_node
    assert strangers([again, other], iter(everyone), same_identity) == [other]


def test_a_link_names_its_group_and_is_alone() -> None:
    alice, _ = found("alice", "bob", suite=SUITE)
    name = EpochId(alice.group_id, alice.epoch)
    links = [PreSharedKeyID.fresh(SUITE, name, usage) for usage in (ResumptionUsage.BRANCH, ResumptionUsage.REINIT)]
    plain = [PreSharedKeyID.fresh(SUITE, name), PreSharedKeyID.fresh(SUITE, b"from outside")]
    assert [psk.links for psk in (*links, *plain)] == [True, True, False, False]
    assert [psk.name for psk in (*links, *plain)] == [name, name, name, b"from outside"]
    assert link_of(plain) is None
    assert link_of([plain[0], links[0], plain[1]]) == links[0]
    with pytest.raises(Invalid):
        link_of(links)
    assert parent_of(links[0], [alice]) is alice
    with pytest.raises(CannotOpen, match="isn't here"):
        parent_of(PreSharedKeyID.fresh(SUITE, EpochId(b"elsewhere", 1), ResumptionUsage.BRANCH), [alice])
