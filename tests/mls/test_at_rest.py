"""A state saved at any point resumes exactly: everybody's, after every single act, an undecided commit included."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import pytest

from securechan.crypto.suite import by_number
from securechan.mls.group import Group
from securechan.mls.outcomes import Application, Committed, Own, Proposed, Removed, Void
from securechan.mls.proposals import Add
from securechan.mls.step import Step
from securechan.mls.terms import Terms
from securechan.mls.treemath import LeafIndex
from tests.support.mls import NOW, agree, bundle, found, keys, taken

SUITE = by_number(1)
TERMS = Terms(past_epochs=2)
PSKS = {b"named": b"from outside"}


@dataclass
class Town:
    """Some groups by name, each of which may be put to rest and woken between any two acts."""

    rest: Callable[[Group], Group]
    groups: dict[str, Group] = field(default_factory=dict)
    acts: int = 0

    def adopt(self, name: str, group: Group) -> None:
        self.groups[name] = group
        self.acts += 1
        for each, held in self.groups.items():
            self.groups[each] = self.rest(held)

    def hear(self, message: bytes, *names: str, psks: dict[bytes, bytes] | None = None) -> None:
        for name in names:
            outcome = self.groups[name].receive(message, psks=psks)
            assert isinstance(outcome, Application | Proposed | Committed), (name, outcome)
            self.adopt(name, outcome.group)


def woken(group: Group) -> Group:
    saved = group.encode_epoch(), group.encode_ratchets()
    again = Group.decode(*saved, group.terms)
    assert (again.encode_epoch(), again.encode_ratchets()) == saved
    return again


def through_the_vault(step: Step) -> Step:
    again = Step.decode(step.encode(), step.next.terms)
    assert again.encode() == step.encode()
    return again


@pytest.mark.parametrize("rest", [woken, lambda group: group], ids=["saved after every act", "never saved"])
def test_a_life_goes_on_whether_it_is_saved_or_not(rest: Callable[[Group], Group]) -> None:
    town = Town(rest)
    for name, group in zip(
        ("alice", "bob", "carol"), found("alice", "bob", "carol", suite=SUITE, terms=TERMS), strict=True
    ):
        town.adopt(name, Group.decode(group.encode_epoch(), group.encode_ratchets(), TERMS))

    # messages, one of which is late
    sent = []
    for number in range(4):
        after, message = town.groups["alice"].protect(b"%d" % number)
        town.adopt("alice", after)
        sent.append(message)
    town.hear(sent[3], "bob", "carol")
    town.hear(sent[0], "bob")
    assert isinstance(town.groups["bob"].receive(sent[0]), Void)

    # proposals wait, an update's private key among them, and are taken up with a key from outside
    after, update = town.groups["bob"].propose_update()
    town.adopt("bob", after)
    town.hear(update, "alice", "carol")
    new = bundle("dora", SUITE)
    after, addition = town.groups["carol"].propose(Add(new.key_package), private=False)
    town.adopt("carol", after)
    town.hear(addition, "alice", "bob")
    alice = town.groups["alice"]
    refs = [kept.ref for kept in alice.pending]
    assert len(refs) == 2
    step = through_the_vault(alice.commit(by_reference=refs, psk_ids=[b"named"], psks=PSKS))
    town.hear(step.commit, "bob", "carol", psks=PSKS)
    town.adopt("alice", step.next)
    dora = Group.join(step.welcomes[0], new, now=NOW, psks=PSKS, terms=TERMS)
    town.adopt("dora", dora)
    agree(list(town.groups.values()))

    # a race is lost, and what was late still opens
    mine, theirs = (through_the_vault(town.groups[name].commit()) for name in ("alice", "bob"))
    town.adopt("alice", mine.current)
    assert isinstance(town.groups["alice"].receive(mine.commit), Own)
    town.adopt("bob", theirs.next)
    town.hear(theirs.commit, "alice", "carol", "dora")
    town.hear(sent[1], "bob", "carol")
    assert isinstance(town.groups["carol"].receive(sent[1]), Void)

    # one leaves, one comes from outside, one renews its name
    step = through_the_vault(town.groups["dora"].commit(removes=[LeafIndex(1)], new_signature=keys("dora 2", SUITE)))
    assert isinstance(town.groups.pop("bob").receive(step.commit), Removed)
    town.adopt("dora", step.next)
    town.hear(step.commit, "alice", "carol")
    eve, commit = Group.join_from_outside(SUITE, town.groups["alice"].group_info(), keys("eve", SUITE))
    town.hear(commit, "alice", "carol", "dora")
    town.adopt("eve", eve)
    agree(list(town.groups.values()))
    assert town.acts > 25


def test_a_key_that_was_used_is_in_no_saved_state() -> None:
    alice, bob = found("alice", "bob", suite=SUITE)
    _, message = alice.protect(b"hello")
    from securechan.mls.registry import ContentType

    _, key = bob.ratchets.take(SUITE, LeafIndex(0), ContentType.APPLICATION, 0)
    opened, _ = bob.ratchets.take(SUITE, LeafIndex(0), ContentType.APPLICATION, 1)
    assert bytes(key.key) in opened.encode()  # kept, for it may still come
    after = taken(bob.receive(message))
    state = after.encode_epoch() + after.encode_ratchets()
    assert bytes(key.key) not in state
    _, root = next(iter(bob.ratchets.secrets.items()))
    assert bytes(root) not in state  # nor what it could be derived from again
