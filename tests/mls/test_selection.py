"""What waits is committed, all of it; where it contradicts itself, the RFC's choice, which every member accepts."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from securechan.crypto.suite import by_number
from securechan.mls.extensions import Extension
from securechan.mls.group import Group
from securechan.mls.keypackage import LeafKeys, new_key_package
from securechan.mls.outcomes import Committed, Removed
from securechan.mls.proposals import Add, Body, GroupContextExtensions, ReInit, Remove, Update
from securechan.mls.registry import ExtensionType, ProtocolVersion
from securechan.mls.send import external_psk
from securechan.mls.treemath import LeafIndex
from tests.support.mls import NOW, bundle, found, keys, taken
from tests.support.mls_forge import Forger

SUITE = by_number(1)
ALICE, BOB, CAROL = found("alice", "bob", "carol", suite=SUITE)
DORA = bundle("dora", SUITE).key_package
CAROL_AGAIN = new_key_package(
    SUITE, LeafKeys(CAROL.state.signing, keys("carol", SUITE).credential), now=NOW
).key_package
REINIT = ReInit(b"next", ProtocolVersion.MLS10, SUITE.number, ())
PSKS = {b"held": b"a key"}


def heard(*proposals: tuple[Group, Body]) -> list[Group]:
    """Alice, bob and carol after these proposals, in their order."""
    groups = [ALICE, BOB, CAROL]
    for proposer, body in proposals:
        message = Forger(proposer).proposal(body)
        for at, group in enumerate(groups):
            if group.own_leaf == proposer.own_leaf:
                groups[at], _ = group.propose(body, private=False) if not isinstance(body, Update) else (group, b"")
            else:
                groups[at] = taken(group.receive(message))
    return groups


def kinds(group: Group) -> list[str]:
    chosen = group.waiting(PSKS)
    by_ref = {kept.ref: type(kept.proposal.body).__name__ for kept in group.pending}
    return [by_ref[ref] for ref in chosen]


def test_all_that_waits_is_taken_up() -> None:
    alice, *_ = heard((BOB, Add(DORA)), (BOB, Update(Forger(BOB).leaf())), (CAROL, external_psk(SUITE, b"held")))
    assert kinds(alice) == ["Add", "Update", "PreSharedKey"]


def test_a_removal_goes_before_an_update_whichever_came_first() -> None:
    update = (CAROL, Update(Forger(CAROL).leaf()))
    for proposals in ((update, (BOB, Remove(LeafIndex(2)))), ((BOB, Remove(LeafIndex(2))), update)):
        assert kinds(heard(*proposals)[0]) == ["Remove"]


def test_the_newest_update_and_the_newest_context_are_taken() -> None:
    older, newer = Update(Forger(CAROL).leaf()), Update(Forger(CAROL).leaf())
    first = GroupContextExtensions((Extension(ExtensionType.APPLICATION_ID, b"first"),))
    last = GroupContextExtensions((Extension(ExtensionType.APPLICATION_ID, b"last"),))
    alice, *_ = heard((CAROL, older), (BOB, first), (CAROL, newer), (BOB, last))
    chosen = [kept.proposal.body for kept in alice.pending if kept.ref in alice.waiting()]
    assert chosen == [newer, last]


def test_what_a_committer_cannot_take_up_is_left_to_others() -> None:
    alice, bob, _ = heard((BOB, Remove(LeafIndex(0))), (CAROL, external_psk(SUITE, b"not held")))
    assert kinds(alice) == []
    assert kinds(bob) == ["Remove"]
    assert bob.waiting({b"not held": b""}) == tuple(kept.ref for kept in bob.pending)


def test_a_new_beginning_waits_for_everything_else() -> None:
    assert kinds(heard((BOB, REINIT))[0]) == ["ReInit"]
    assert kinds(heard((BOB, REINIT), (BOB, Add(DORA)))[0]) == ["Add"]


def test_who_is_there_is_not_added_again_unless_it_goes() -> None:
    removal, twin = (BOB, Remove(LeafIndex(2))), (BOB, Add(CAROL_AGAIN))
    assert kinds(heard(twin)[0]) == []
    for proposals in ((twin, removal), (removal, twin)):
        alice, bob, _ = heard(*proposals)
        assert sorted(kinds(alice)) == ["Add", "Remove"]
        assert isinstance(bob.receive(alice.commit(by_reference=alice.waiting()).commit), Committed)


def test_who_is_proposed_twice_is_added_once() -> None:
    other = bundle("carol", SUITE)  # of the same name and another key: another client
    assert kinds(heard((BOB, Add(other.key_package)), (CAROL, Add(other.key_package)))[0]) == ["Add"]


BODIES: list[tuple[Group, Body]] = [
    (BOB, Add(DORA)),
    (CAROL, Add(DORA)),
    (BOB, Add(CAROL_AGAIN)),
    (BOB, Remove(LeafIndex(2))),
    (CAROL, Remove(LeafIndex(1))),
    (BOB, Remove(LeafIndex(0))),
    (BOB, Update(Forger(BOB).leaf())),
    (CAROL, Update(Forger(CAROL).leaf())),
    (CAROL, Update(Forger(CAROL).leaf())),
    (BOB, GroupContextExtensions(())),
    (CAROL, external_psk(SUITE, b"held")),
    (BOB, external_psk(SUITE, b"not held")),
    (CAROL, REINIT),
]


@given(st.lists(st.sampled_from(BODIES), max_size=6, unique_by=id))
@settings(max_examples=40, deadline=None)
def test_whatever_waits_the_selection_is_a_valid_list(proposals: list[tuple[Group, Body]]) -> None:
    alice, bob, carol = heard(*proposals)
    step = alice.commit(by_reference=alice.waiting(PSKS), psks=PSKS)
    for group in (bob, carol):
        if any(isinstance(body, Update) and proposer.own_leaf == group.own_leaf for proposer, body in proposals):
            continue  # the forger keeps that key, so this member can't follow
        assert isinstance(group.receive(step.commit, psks=PSKS), Committed | Removed)
