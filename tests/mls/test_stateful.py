"""Histories of groups under a bad network, drawn by Hypothesis and checked against a model of what must come of them.

Members come (by Welcome, from outside, back in their own place), go, renew, propose, race each other's commits, mix in
pre-shared keys, end the group and go on in its successor, meet apart, talk. Commits reach each member late, words late,
twice, out of order, altered or never; states are saved and loaded at any point, a waiting commit included. Removed
members go on listening. What must hold is in ``tests/support/mls_log.py`` and ``mls_town.py``.

A rule draws one number, the seed of its step: so a history of hundreds of steps costs few bytes.
``make soak`` runs the long walks: groups of up to 50 members, thousands of steps.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from random import Random
from typing import Any, ClassVar

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule, run_state_machine_as_test

from securechan.crypto.suite import Suite, by_number
from securechan.mls.group import Group
from securechan.mls.protection import Unverified, Verified
from securechan.mls.ratchets import MessageKey, Ratchets
from tests.support.mls import FAST, NOW, agree, bundle, found
from tests.support.mls_log import Seat
from tests.support.mls_town import Town

DICE = st.integers(0, (1 << 32) - 1)


class Life(RuleBasedStateMachine):
    """A town and what may happen in it."""

    suite: ClassVar[Suite] = by_number(1)
    most: ClassVar[int] = 10
    first: ClassVar[int] = 4

    def __init__(self) -> None:
        super().__init__()
        self.town = Town(self.suite, self.most)

    @initialize(size=st.integers(1, 4), dice=DICE)
    def start(self, size: int, dice: int) -> None:
        self.town.found(min(size * self.first // 4 or 1, self.most), Random(dice))

    def anyone(self, random: Random) -> Seat:
        return random.choice((*self.town.seats, *self.town.exiles))

    @precondition(lambda self: len(self.town.names) < self.most)
    @rule(dice=DICE)
    def add(self, dice: int) -> None:
        random = Random(dice)
        self.town.add(self.town.committer(random), random)

    @precondition(lambda self: len(self.town.names) > 2)
    @rule(dice=DICE)
    def remove(self, dice: int) -> None:
        random = Random(dice)
        self.town.remove(self.town.committer(random), random)

    @rule(dice=DICE, rivals=st.integers(1, 3))
    def renew(self, dice: int, rivals: int) -> None:
        random = Random(dice)
        for _ in range(rivals):
            self.town.renew(self.town.committer(random), random)

    @rule(dice=DICE)
    def the_log_decides(self, dice: int) -> None:
        self.town.log_decides(Random(dice))

    @rule(dice=DICE)
    def commit_too_late(self, dice: int) -> None:
        """By whoever, wherever it stands in the log."""
        random = Random(dice)
        self.town.renew(random.choice(self.town.seats), random)

    @rule(dice=DICE)
    def propose(self, dice: int) -> None:
        random = Random(dice)
        self.town.propose(self.town.head(random), random)

    @rule(dice=DICE)
    def come_from_outside(self, dice: int) -> None:
        self.town.come_from_outside(Random(dice))

    @precondition(lambda self: self.town.epoch > 5)
    @rule(dice=DICE)
    def end_and_go_on(self, dice: int) -> None:
        random = Random(dice)
        if random.random() < 0.3:
            self.town.everybody_reads()
            self.town.reinit(random)

    @rule(dice=DICE)
    def meet_apart(self, dice: int) -> None:
        self.town.branch(Random(dice))

    @rule(dice=DICE)
    def read(self, dice: int) -> None:
        random = Random(dice)
        seat = random.choice(self.town.seats)
        for _ in range(random.randint(1, 4)):
            if not seat.gone and seat.at < len(self.town.log):
                self.town.read(seat)

    @rule(dice=DICE)
    def say(self, dice: int) -> None:
        random = Random(dice)
        seat = random.choice(self.town.seats)
        for _ in range(random.choice((1, 1, 1, 5))):
            self.town.say(seat, random)

    @rule(dice=DICE)
    def mail_comes_or_is_lost(self, dice: int) -> None:
        random = Random(dice)
        for _ in range(3):
            seat = self.anyone(random)
            if seat.box and random.random() < 0.2:
                self.town.lose(seat, random)
            elif seat.box:
                self.town.deliver(seat, random)

    @rule(dice=DICE)
    def forge(self, dice: int) -> None:
        random = Random(dice)
        for _ in range(4):
            self.town.forge(self.anyone(random), random)

    @rule(dice=DICE)
    def replay(self, dice: int) -> None:
        random = Random(dice)
        self.town.replay(self.anyone(random), random)

    @rule(dice=DICE)
    def restart(self, dice: int) -> None:
        random = Random(dice)
        self.town.restart(self.anyone(random))

    def teardown(self) -> None:
        if hasattr(self.town, "seats"):
            self.town.end(Random(1))


class HybridLife(Life):
    """The same in the suite that the product uses."""

    suite = FAST
    most = 6


class Crowd(Life):
    """Many."""

    most = 50
    first = 40


def history(examples: int, steps: int) -> settings:
    """So many histories of so many steps. Keys are fresh in each run, which is no hindrance to reading the steps of a
    failure, but to shrinking them: put `Phase.shrink` back by hand where the last steps don't tell enough."""
    return settings(
        max_examples=examples,
        stateful_step_count=steps,
        deadline=None,
        phases=(Phase.explicit, Phase.reuse, Phase.generate),
        suppress_health_check=list(HealthCheck),
    )


def test_life() -> None:
    run_state_machine_as_test(Life, settings=history(25, 30))


def test_life_in_the_hybrid_suite() -> None:
    run_state_machine_as_test(HybridLife, settings=history(5, 15))


@pytest.mark.slow
@pytest.mark.timeout(7200)
def test_a_long_life_of_fifty() -> None:
    run_state_machine_as_test(Crowd, settings=history(12, 350))


@pytest.mark.slow
@pytest.mark.timeout(7200)
def test_a_long_life_in_the_hybrid_suite() -> None:
    run_state_machine_as_test(HybridLife, settings=history(6, 300))


# ---------------------------------------------------------------------------------------------- does the model notice?


def key_is_not_spent(patch: pytest.MonkeyPatch) -> None:
    take = Ratchets.take

    def kept(self: Ratchets, *how: Any, **more: Any) -> tuple[Ratchets, MessageKey]:
        return self, take(self, *how, **more)[1]

    patch.setattr(Ratchets, "take", kept)


def any_signature_will_do(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Unverified, "verify", lambda self, *_: Verified(self.claim, self.generation))


def proposals_outlive_their_epoch(patch: pytest.MonkeyPatch) -> None:
    entering = Group.entering
    patch.setattr(Group, "entering", lambda self, *to: replace(entering(self, *to), pending=self.pending))


def asking_changes_a_group(patch: pytest.MonkeyPatch) -> None:
    encode = Group.encode_ratchets
    patch.setattr(Group, "encode_ratchets", lambda self: encode(self) + os.urandom(1))


@pytest.mark.parametrize(
    "fault",
    [key_is_not_spent, any_signature_will_do, proposals_outlive_their_epoch, asking_changes_a_group],
)
def test_an_engine_with_a_fault_is_found_out(fault: Callable[[pytest.MonkeyPatch], None]) -> None:
    """Else all the histories above prove nothing."""
    with pytest.MonkeyPatch.context() as patch:
        fault(patch)
        with pytest.raises(AssertionError):
            walks(200, 30)


def walks(count: int, steps: int) -> None:
    """Histories by plain chance."""
    for seed in range(count):
        walk(Life(), Random(seed), steps)


def walk(life: Life, random: Random, steps: int) -> None:
    life.start(random.randint(1, 4), random.getrandbits(32))
    for _ in range(steps):
        may = [each for each in life.rules if all(fits(life) for fits in each.preconditions)]
        chosen, dice = random.choice(may), random.getrandbits(32)
        extra = {"rivals": 1 + dice % 3} if "rivals" in chosen.arguments else {}
        chosen.function(life, dice=dice, **extra)
    life.teardown()


def test_a_member_who_returns_is_a_new_member() -> None:
    alice, bob = found("alice", "bob")
    step = alice.commit(removes=[bob.own_leaf])
    back = bundle("bob")
    again = step.next.commit(adds=[back.key_package])
    agree([again.next, Group.join(again.welcomes[0], back, now=NOW)])
