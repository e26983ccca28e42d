"""§12.4.3: the ways in. What a lying inviter is caught at is in ``tests/support/forgeries``; here is what a joiner gets
where all is well, which error where it isn't, and what it may show from the past."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, TypeVar

import pytest

from securechan.crypto.suite import SUITES
from securechan.errors import BadSignature, CannotOpen, Invalid, Misuse, SecurechanError
from securechan.mls.group import Group
from securechan.mls.join import check_tree
from securechan.mls.nodes import Credential
from securechan.mls.outcomes import CannotFollow, Committed
from securechan.mls.psk import EpochId
from securechan.mls.treemath import LeafIndex, NodeIndex, node_of
from tests.support.mls import FAST, NOW, agree, bundle, follow, found, keys
from tests.support.mls_forge import Inviter, changed

T = TypeVar("T")


@pytest.fixture(scope="module")
def inviter() -> Inviter:
    """Of carol, by alice, in a group with bob."""
    alice, _ = found("alice", "bob")
    new = bundle("carol")
    return Inviter(alice.commit(adds=[new.key_package]), new)


def test_an_honest_welcome_written_again_is_good(inviter: Inviter) -> None:
    agree([inviter.step.next, Group.join(inviter.welcome(), inviter.bundle, now=NOW)])
    agree([inviter.step.next, Group.join(inviter.welcome(), inviter.bundle, now=None, suite=FAST)])


def test_a_signature_or_a_tag_that_does_not_fit_is_of_its_own_kind(inviter: Inviter) -> None:
    with pytest.raises(BadSignature):
        Group.join(inviter.welcome(inviter.signed(signer=1)), inviter.bundle, now=NOW)  # alice signs as bob
    with pytest.raises(CannotOpen, match="confirmation tag"):
        Group.join(inviter.welcome(inviter.context(epoch=77)), inviter.bundle, now=NOW)
    with pytest.raises(Invalid, match="suite"):
        Group.join(inviter.welcome(), inviter.bundle, now=NOW, suite=SUITES["cnsa"])
    with pytest.raises(CannotOpen, match="other key packages"):
        Group.join(inviter.welcome(), bundle("dora"), now=NOW)


def test_a_tree_is_judged_whole_wherever_it_comes_from(inviter: Inviter) -> None:
    context = inviter.info.group_context
    check_tree(inviter.tree, context)
    alice = inviter.tree.nodes[0]
    posing = changed(alice, credential=Credential.of(keys("the minister").credential))
    forged = inviter.tree.with_nodes([(NodeIndex(0), posing)])
    with pytest.raises(SecurechanError):
        check_tree(forged, changed(context, tree_hash=forged.tree_hash))
    bare = inviter.welcome(inviter.signed(extensions=()))
    agree([inviter.step.next, Group.join(bare, inviter.bundle, now=NOW, ratchet_tree=inviter.tree.encode())])


def test_the_leaves_are_checked_by_whoever_the_caller_names(inviter: Inviter) -> None:
    """All of them, each once, and what fails elsewhere fails here."""
    seen: list[int] = []

    def backwards(act: Callable[[T], None], items: Sequence[T], /) -> Iterable[None]:
        seen.append(len(items))
        return [act(item) for item in reversed(items)]

    (welcome,) = inviter.step.welcomes
    joined = Group.join(welcome, inviter.bundle, now=NOW, suite=FAST, each=backwards)
    agree([inviter.step.next, joined])
    assert seen == [1]

    tree = inviter.tree
    wrong = changed(tree.leaf(LeafIndex(1)), signature=bytes(FAST.signature.signature_length))
    blank = [(NodeIndex(at), None) for at in range(1, len(tree.nodes), 2)]
    forged = tree.with_nodes([*blank, (node_of(LeafIndex(1)), wrong)])
    with pytest.raises(BadSignature):
        check_tree(forged, changed(inviter.info.group_context, tree_hash=forged.tree_hash), each=backwards)


def test_a_newcomer_may_get_no_path_secret(inviter: Inviter) -> None:
    group = Group.join(inviter.welcome(secrets=changed(inviter.secrets, path_secret=None)), inviter.bundle, now=NOW)
    assert set(group.state.private) == {4}  # legal, if unkind: this member holds its own key only


def test_our_own_key_package_must_be_alive(inviter: Inviter) -> None:
    for now in (NOW - 7200, NOW + 29 * 86400):
        with pytest.raises(Invalid, match="lifetime"):
            Group.join(inviter.welcome(), inviter.bundle, now=now)


def test_every_flipped_bit_is_refused(inviter: Inviter) -> None:
    welcome = inviter.welcome()
    for at in range(0, len(welcome), len(welcome) // 100):
        flipped = bytearray(welcome)
        flipped[at] ^= 1 << at % 8
        with pytest.raises(SecurechanError):
            Group.join(bytes(flipped), inviter.bundle, now=NOW)


def test_who_comes_from_outside_may_show_that_it_was_there() -> None:
    """§12.4.3.2: a resync that mixes in the resumption key of an epoch that both sides went through."""
    alice, bob = found("alice", "bob")
    keys_of_then = bob.resumption_keys()
    then = EpochId(bob.group_id, bob.epoch)
    options: dict[str, Any] = {"replacing": bob.own_leaf, "psk_ids": [then, b"named"]}
    with pytest.raises(Misuse, match="not handed in"):
        Group.join_from_outside(FAST, alice.group_info(), keys("bob"), **options, psks=keys_of_then)
    named = {b"named": b"from outside"}
    back, commit = Group.join_from_outside(
        FAST, alice.group_info(), keys("bob"), **options, psks={**keys_of_then, **named}
    )
    outcome = alice.receive(commit, psks=named)
    assert isinstance(outcome, Committed)
    assert outcome.effects is not None
    assert [psk.name for psk in outcome.effects.applied.psks] == [then, b"named"]
    agree([outcome.group, back])
    assert isinstance(alice.receive(commit), CannotFollow)


def test_resumption_keys_go_from_group_to_group() -> None:
    """§8.4, §8.6: of this group's epochs, and of another's."""
    alice, bob = found("alice", "bob")
    first = EpochId(alice.group_id, alice.epoch)
    alice, bob = follow(alice.commit(), [bob])
    alice, bob = follow(alice.commit(psk_ids=[first]), [bob])
    agree([alice, bob])
    other = Group.create(FAST, b"another group", keys("alice"), now=NOW)
    new = bundle("bob")
    made = other.commit(adds=[new.key_package], psk_ids=[first], psks=alice.resumption_keys())
    with pytest.raises(CannotOpen, match="isn't known here"):
        Group.join(made.welcomes[0], new, now=NOW)
    agree([made.next, Group.join(made.welcomes[0], new, now=NOW, psks=bob.resumption_keys())])
