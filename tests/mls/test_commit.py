"""§12.4: the edges of a commit that no honest group comes to, and what each of its makers must do afresh."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from securechan.errors import Invalid, Misuse
from securechan.mls.commit import LAST_EPOCH, process
from securechan.mls.framing import AuthenticatedContent, FramedContentAuthData, Sender
from securechan.mls.group import Group
from securechan.mls.outcomes import Application, CannotFollow, Void
from securechan.mls.proposals import ReInit
from securechan.mls.protection import Verified, framed
from securechan.mls.psk import EpochId, PskName
from securechan.mls.registry import ProtocolVersion, WireFormat
from securechan.mls.rules import Rule
from securechan.mls.send import external_psk
from securechan.mls.treemath import LeafIndex
from tests.support.mls import FAST, NOW, agree, bundle, found, keys, taken


def test_only_a_commit_is_processed_as_one() -> None:
    (alice,) = found("alice")
    content = framed(alice.group_id, alice.epoch, Sender.member(LeafIndex(0)), b"", b"payload")
    message = AuthenticatedContent(WireFormat.PRIVATE_MESSAGE, content, FramedContentAuthData(b""))
    with pytest.raises(Misuse):
        process(alice.state, Verified(message, 0), {}, {}, {})


def test_an_update_whose_private_key_is_gone_cannot_be_followed() -> None:
    alice, bob = found("alice", "bob")
    bob, update = bob.propose_update()
    alice = taken(alice.receive(update))
    step = alice.commit(by_reference=[alice.pending[0].ref])
    forgetful = replace(bob, own_updates=())
    outcome = forgetful.receive(step.commit)
    assert isinstance(outcome, CannotFollow)
    assert "private key" in outcome.reason
    taken(bob.receive(step.commit))


def test_epochs_end_before_their_numbers_do() -> None:
    """A founder may start a group at any epoch; the last one can be talked in but not left, and nothing breaks."""
    alice, bob = found("alice", "bob")
    context = type(alice.state.context)(
        **{
            **{name: value for name, value in alice.state.context.__dict__.items() if name != "_wire"},
            "epoch": LAST_EPOCH,
        }
    )
    alice, bob = (replace(group, state=replace(group.state, context=context)) for group in (alice, bob))
    _, message = alice.protect(b"still here")
    assert isinstance(bob.receive(message), Application)
    with pytest.raises(Invalid, match="last epoch"):
        alice.commit()


def test_a_group_that_has_ended_judges_nothing() -> None:
    from securechan.mls.proposals import ReInit
    from securechan.mls.registry import ProtocolVersion

    alice, bob = found("alice", "bob")
    alice, proposal = alice.propose(ReInit(b"next", ProtocolVersion.MLS10, alice.suite.number, ()))
    bob = taken(bob.receive(proposal))
    step = bob.commit(by_reference=[bob.pending[0].ref], path=False)
    alice = taken(alice.receive(step.commit))
    going_on = replace(step.next, state=replace(step.next.state, reinit=None))
    outcome = alice.receive(going_on.protect(b"as if nothing had happened")[1])
    assert isinstance(outcome, Void)
    assert outcome.rule == "RFC 9420 §11.2 #8"


def test_what_must_be_fresh_is_fresh() -> None:
    """§7.5, §8.4, §11: two commits of one value, two groups of one founder, two uses of one key."""
    alice, *_ = found("alice", "bob", "carol")
    keys_of_commits = [
        {node.encryption_key for node in (*step.next.state.tree.parents(), step.next.state.own_leaf_node)}
        for step in (alice.commit(), alice.commit())
    ]
    assert len(keys_of_commits[0]) == 3
    assert keys_of_commits[0].isdisjoint(keys_of_commits[1])
    founder = keys("alice")
    groups = [Group.create(FAST, b"group", founder, now=NOW) for _ in range(2)]
    assert groups[0].epoch_authenticator != groups[1].epoch_authenticator
    assert groups[0].state.own_leaf_node.encryption_key != groups[1].state.own_leaf_node.encryption_key
    nonces = {external_psk(FAST, name).psk.psk_nonce for name in (b"id", b"id", EpochId(b"group", 1))}
    assert len(nonces) == 3
    assert {len(nonce) for nonce in nonces} == {FAST.hash_length}


def test_keys_go_into_a_welcome_in_the_order_of_the_commit() -> None:
    alice, bob = found("alice", "bob")
    psks: dict[PskName, bytes] = {name: b"a secret " + name for name in (b"one", b"two", b"three")}
    new = bundle("carol")
    step = alice.commit(adds=[new.key_package], psk_ids=[b"two", b"one", b"three"], psks=psks)
    committed = bob.receive(step.commit, psks=psks)
    agree([step.next, taken(committed), Group.join(step.welcomes[0], new, now=NOW, psks=psks)])


def test_a_committer_keeps_the_rules_of_lists_itself() -> None:
    alice, bob = found("alice", "bob")
    new = bundle("carol").key_package
    renewal = bob.propose_update()[0].pending[0]
    own = replace(bob, pending=(renewal,))
    end = ReInit(b"next", ProtocolVersion.MLS10, FAST.number, ())
    attempts: list[tuple[Rule, Callable[[], object]]] = [
        (Rule.OWN_REMOVE, lambda: alice.commit(removes=[alice.own_leaf])),
        (Rule.OWN_UPDATE, lambda: own.commit(by_reference=[renewal.ref])),
        (Rule.ONE_CHANGE_A_LEAF, lambda: alice.commit(removes=[bob.own_leaf, bob.own_leaf])),
        (Rule.ADDED_ONCE, lambda: alice.commit(adds=[new, new])),
        (Rule.REINIT_ALONE, lambda: alice.commit(adds=[new], reinit=end)),
    ]
    for rule, attempt in attempts:
        with pytest.raises(Invalid) as caught:
            attempt()
        assert caught.value.rule == rule
