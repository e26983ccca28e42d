"""§12.4: the edges of a commit that no honest group comes to."""

from __future__ import annotations

from dataclasses import replace

import pytest

from securechan.errors import Invalid, Misuse
from securechan.mls.commit import LAST_EPOCH, process
from securechan.mls.framing import AuthenticatedContent, FramedContentAuthData, Sender
from securechan.mls.outcomes import Application, CannotFollow, Void
from securechan.mls.protection import Verified, framed
from securechan.mls.registry import WireFormat
from securechan.mls.treemath import LeafIndex
from tests.support.mls import found, taken


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
