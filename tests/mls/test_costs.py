"""What each operation costs, counted in primitives in a settled group of a thousand: nothing is done twice, and nothing
grows with the group that needn't.

Times are for the bench; these numbers are the same on every machine, and a change that makes them grow is to say why.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any
from unittest import mock

import pytest

from securechan.crypto.kem import MontgomeryKem
from securechan.crypto.signature import ED25519, EdDsa
from securechan.crypto.suite import Suite, by_number
from securechan.mls.group import Group
from securechan.mls.keypackage import LeafKeys, new_key_package
from securechan.mls.nodes import BasicCredential
from securechan.mls.outcomes import Application
from tests.support.mls import NOW, bundle, taken
from tests.support.settled import Settled, settled

MEMBERS = 1000
DEPTH = 10  # of a tree of a thousand
PLAIN = by_number(1)  # the same work in all suites
HUNDRED = 100

COUNTED: tuple[tuple[str, type[Any], str], ...] = (
    ("sign", EdDsa, "_sign"),
    ("verify", EdDsa, "_good"),
    ("load", EdDsa, "_load"),
    ("encap", MontgomeryKem, "encap"),
    ("decap", MontgomeryKem, "decap"),
    ("pair", MontgomeryKem, "_load"),
    ("check", MontgomeryKem, "check_public"),
    ("hash", Suite, "hash"),
)


@contextmanager
def counting() -> Iterator[Counter[str]]:
    counts: Counter[str] = Counter()

    def counted(name: str, act: Callable[..., object]) -> Callable[..., object]:
        def wrapped(*args: object) -> object:
            counts[name] += 1
            return act(*args)

        return wrapped

    patches = [mock.patch.object(owner, name, counted(what, getattr(owner, name))) for what, owner, name in COUNTED]
    for patch in patches:
        patch.start()
    try:
        yield counts
    finally:
        for patch in patches:
            patch.stop()


@cache
def group() -> Settled:
    return settled(PLAIN, MEMBERS)


@cache
def pair() -> tuple[Group, Group]:
    """Two members whose paths meet two below the root's children, and who have spoken."""
    alice, bob = group().member(0), group().member(MEMBERS // 2)
    alice, message = alice.protect(b"hello")
    return alice, taken(bob.receive(message))


def test_a_commit_hashes_one_path_and_seals_once_for_each_of_its_nodes() -> None:
    alice, bob = pair()
    with counting() as made:
        step = alice.commit()
    # pairs: a node each, the leaf, and an ephemeral key for each recipient
    assert made == {"sign": 2, "encap": DEPTH, "pair": 2 * DEPTH + 1, "hash": 2 * DEPTH + 3}
    with counting() as processed:
        taken(bob.receive(step.commit))
    assert processed == {"verify": 2, "decap": 1, "pair": 2, "check": DEPTH + 1, "hash": 2 * DEPTH + 3}


def test_a_newcomer_checks_each_member_once() -> None:
    alice, _ = pair()
    newcomer = bundle("newcomer", PLAIN)
    step = alice.commit(adds=[newcomer.key_package], tree_in_welcome=False)
    with counting() as joined:
        Group.join(step.welcomes[0], newcomer, now=NOW, suite=PLAIN, ratchet_tree=step.ratchet_tree)
    nodes = len(step.next.state.tree.nodes)
    parents = sum(each is not None for each in list(step.next.state.tree.nodes)[1::2])
    assert joined["verify"] == MEMBERS + 1 + 1  # leaves, and the group info
    assert joined["check"] == MEMBERS + 1 + parents  # every encryption key of the tree
    assert joined["sign"] == joined["encap"] == 0
    assert joined["decap"] == 1
    # every node's hash, of a parent's two children at most two parent hashes, those as they were before the newcomer
    assert joined["hash"] <= nodes + 2 * parents + 2 * DEPTH + 2


def test_each_of_a_hundred_newcomers_is_checked_once_and_hashed_once() -> None:
    alice, bob = pair()
    packages = [bundle(f"newcomer {number}", PLAIN).key_package for number in range(HUNDRED)]
    with counting() as made:
        step = alice.commit(adds=packages, tree_in_welcome=False)
    with counting() as processed:
        taken(bob.receive(step.commit))
    assert made["verify"] == 2 * HUNDRED
    assert made["sign"] == 2 + 1  # and the group info, one for all
    assert made["encap"] == DEPTH + HUNDRED
    assert processed["verify"] == 2 * HUNDRED + 2
    assert processed["check"] == 2 * HUNDRED + DEPTH + 2
    grown = len(step.next.state.tree.nodes) - len(alice.state.tree.nodes)
    above = 2 * HUNDRED + DEPTH  # nodes over the newcomers
    assert made["hash"] <= grown + HUNDRED + above + 2 * DEPTH + 5
    assert processed["hash"] <= made["hash"]


def test_a_message_is_signed_once_verified_once_and_hashes_no_tree() -> None:
    alice, bob = pair()
    with counting() as sealed:
        _, message = alice.protect(b"again")
    with counting() as opened:
        assert isinstance(bob.receive(message), Application)
    assert sealed == {"sign": 1}
    assert opened == {"verify": 1}


@pytest.mark.parametrize("loaded", [True, False])
def test_a_key_package_costs_two_signatures_and_two_key_pairs(loaded: bool) -> None:
    private = ED25519.generate()[0]
    keys = LeafKeys(ED25519.load(private) if loaded else private, BasicCredential(b"somebody"))
    with counting() as made:
        new_key_package(PLAIN, keys, now=NOW)
    assert made == Counter({"sign": 2, "pair": 2}) + Counter({"load": 0 if loaded else 1})


def test_what_is_saved_and_read_again_hashes_and_verifies_nothing() -> None:
    alice, bob = pair()
    step = alice.commit()
    with counting() as stored:
        changes = taken(bob.receive(step.commit)).changes(bob)
    assert stored["verify"] == 2
    with counting() as read:
        Group.of_pieces({name: data for name, data in bob.changes(None).items() if data is not None})
    assert read == {"load": 1, "pair": len(bob.state.private)}
    assert sum(name.startswith("node.") for name in changes) == DEPTH + 1
