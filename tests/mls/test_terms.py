"""What an application may choose, and not beyond the bounds; a group keeps its terms for life."""

from __future__ import annotations

from typing import Any

import pytest

from securechan.crypto.suite import by_number
from securechan.errors import Invalid, Misuse
from securechan.mls.group import Group
from securechan.mls.nodes import Lifetime
from securechan.mls.outcomes import Application, Void
from securechan.mls.rules import Rule
from securechan.mls.terms import DEFAULT, Terms
from securechan.mls.validation import check_key_package
from tests.support.mls import NOW, bundle, found, keys, taken

SUITE = by_number(1)


@pytest.mark.parametrize(
    "beyond", [{"past_epochs": 6}, {"past_epochs": -1}, {"skipped": 1001}, {"skipped": -1}, {"max_lifetime": 0}]
)
def test_terms_have_bounds(beyond: dict[str, Any]) -> None:
    with pytest.raises(Misuse):
        Terms(**beyond)


def test_by_default_no_epoch_is_kept() -> None:
    assert (DEFAULT.past_epochs, DEFAULT.skipped, DEFAULT.max_lifetime) == (0, 1000, None)
    alice, bob = found("alice", "bob", suite=SUITE)
    assert taken(bob.receive(alice.commit().commit)).past == ()


def test_terms_go_from_epoch_to_epoch_and_come_back_from_the_vault() -> None:
    terms = Terms(past_epochs=2, skipped=3)
    alice = Group.create(SUITE, b"group", keys("alice", SUITE), now=NOW, terms=terms)
    new = bundle("bob", SUITE)
    step = alice.commit(adds=[new.key_package])
    bob = Group.join(step.welcomes[0], new, now=NOW, terms=terms)
    bob = taken(bob.receive(step.next.commit().commit))
    assert bob.terms == step.next.terms == step.current.terms == terms
    assert Group.decode(*(bob.encode_epoch(), bob.encode_ratchets()), terms).terms == terms
    dora, commit = Group.join_from_outside(SUITE, bob.group_info(), keys("dora", SUITE), terms=terms)
    assert dora.terms == taken(bob.receive(commit)).terms == terms


@pytest.mark.parametrize("most", [0, 1, 3])
def test_as_many_skipped_keys_are_kept_as_one_wants(most: int) -> None:
    alice, bob = found("alice", "bob", suite=SUITE)
    bob = Group.decode(bob.encode_epoch(), bob.encode_ratchets(), Terms(skipped=most))
    messages = []
    for number in range(6):
        alice, message = alice.protect(b"%d" % number)
        messages.append(message)
    bob = taken(bob.receive(messages[5]))
    opened = [number for number in range(5) if isinstance(bob.receive(messages[number]), Application)]
    assert opened == list(range(5 - most, 5))
    assert isinstance(bob.receive(messages[0]), Void)


def test_a_lifetime_beyond_what_is_allowed_is_refused_before_it_is_sent() -> None:
    alice = Group.create(SUITE, b"group", keys("alice", SUITE), now=NOW, terms=Terms(max_lifetime=30 * 86400))
    alice.commit(adds=[bundle("bob", SUITE).key_package], now=NOW)
    with pytest.raises(Invalid) as caught:
        alice.commit(adds=[bundle("bob", SUITE, lifetime=31 * 86400).key_package], now=NOW)
    assert caught.value.rule == Rule.TOTAL_LIFETIME


def test_a_lifetime_may_be_as_long_as_is_allowed() -> None:
    package = bundle("bob", SUITE).key_package
    origin = package.leaf_node.origin
    assert isinstance(origin, Lifetime)
    check_key_package(SUITE, package, max_lifetime=origin.length)
    with pytest.raises(Invalid) as caught:
        check_key_package(SUITE, package, max_lifetime=origin.length - 1)
    assert caught.value.rule == Rule.TOTAL_LIFETIME
