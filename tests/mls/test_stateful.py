"""Small groups under a bad network: whatever comes in whatever order, those who follow agree, and nothing ever raises.

Members add, remove, renew, talk, save and load. Messages of an epoch reach each member late, twice, out of order,
damaged or never (commits, which a log orders, only late). Removed members go on listening.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from securechan.mls.group import Group
from securechan.mls.outcomes import Application, CannotFollow, Committed, Own, Past, Proposed, Removed, Void
from tests.support.mls import NOW, agree, bundle, found

MOST = 8
BUNDLES = [bundle(f"spare {number}") for number in range(40)]  # made once: making keys is what costs


@dataclass
class Seat:
    """One member: its group, and what it still may hear."""

    group: Group
    mail: list[tuple[bytes, bytes]] = field(default_factory=list)  # (message, payload)
    heard: set[bytes] = field(default_factory=set)


class Life(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.seats: list[Seat] = []
        self.gone: list[Group] = []
        self.spare = list(BUNDLES)
        self.count = 0

    @initialize(size=st.integers(1, 4))
    def start(self, size: int) -> None:
        self.seats = [Seat(group) for group in found(*(f"member {number}" for number in range(size)))]

    def seat(self, data: st.DataObject) -> Seat:
        return data.draw(st.sampled_from(self.seats))

    def enter(self, committer: Seat, commit: bytes, after: Group, removed: Seat | None = None) -> None:
        """All take the commit; messages of the epoch before are late from now on."""
        for seat in self.seats:
            if seat is committer:
                seat.group = after
                continue
            outcome = seat.group.receive(commit)
            if seat is removed:
                assert isinstance(outcome, Removed)
                self.gone.append(seat.group)
                continue
            assert isinstance(outcome, Committed), outcome
            seat.group = outcome.group
        if removed is not None:
            self.seats.remove(removed)
        for seat in self.seats:
            for message, _ in seat.mail:
                assert isinstance(seat.group.receive(message), Past)
            seat.mail.clear()

    @rule(data=st.data(), private=st.booleans(), padding=st.integers(0, 300))
    def renew(self, data: st.DataObject, private: bool, padding: int) -> None:
        seat = self.seat(data)
        step = seat.group.commit(private=private, padding=padding)
        self.enter(seat, step.commit, step.next)

    @precondition(lambda self: len(self.seats) < MOST and len(self.spare) > 2)
    @rule(data=st.data(), many=st.integers(1, 2), path=st.booleans(), inside=st.booleans())
    def add(self, data: st.DataObject, many: int, path: bool, inside: bool) -> None:
        seat = self.seat(data)
        new = [self.spare.pop() for _ in range(many)]
        adds = [each.key_package for each in new]
        step = seat.group.commit(adds=adds, path=path, tree_in_welcome=inside)
        self.enter(seat, step.commit, step.next)
        tree = None if inside else step.ratchet_tree
        for welcome, each in zip(step.welcomes, new, strict=True):
            self.seats.append(Seat(Group.join(welcome, each, now=NOW, ratchet_tree=tree)))

    @precondition(lambda self: len(self.seats) > 1)
    @rule(data=st.data())
    def remove(self, data: st.DataObject) -> None:
        seat = self.seat(data)
        victim = data.draw(st.sampled_from([other for other in self.seats if other is not seat]))
        step = seat.group.commit(removes=[victim.group.own_leaf])
        self.enter(seat, step.commit, step.next, removed=victim)

    @precondition(lambda self: len(self.seats) > 1)
    @rule(data=st.data(), private=st.booleans())
    def renew_by_proposal(self, data: st.DataObject, private: bool) -> None:
        proposer = self.seat(data)
        committer = data.draw(st.sampled_from([other for other in self.seats if other is not proposer]))
        proposer.group, message = proposer.group.propose_update(private=private)
        for seat in self.seats:
            if seat is not proposer:
                outcome = seat.group.receive(message)
                assert isinstance(outcome, Proposed), outcome
                seat.group = outcome.group
        refs = [kept.ref for kept in committer.group.pending if kept.sender.leaf != committer.group.own_leaf][-1:]
        step = committer.group.commit(by_reference=refs)
        self.enter(committer, step.commit, step.next)

    @rule(data=st.data())
    def lose_a_race(self, data: st.DataObject) -> None:
        """A commit is made and loses: its maker goes on from `current`."""
        loser, winner = self.seat(data), self.seat(data)
        lost = loser.group.commit()
        loser.group = lost.current
        step = winner.group.commit()
        assert step.commit != lost.commit
        self.enter(winner, step.commit, step.next)

    @rule(data=st.data(), words=st.binary(max_size=40))
    def talk(self, data: st.DataObject, words: bytes) -> None:
        seat = self.seat(data)
        self.count += 1
        payload = b"%d %s" % (self.count, words)
        seat.group, message = seat.group.protect(payload)
        assert isinstance(seat.group.receive(message), Own)
        for other in self.seats:
            if other is not seat:
                other.mail.append((message, payload))
        for group in self.gone:
            assert not isinstance(group.receive(message), Application)

    @precondition(lambda self: any(seat.mail for seat in self.seats))
    @rule(data=st.data(), twice=st.booleans(), at=st.integers(0, 1 << 20))
    def hear(self, data: st.DataObject, twice: bool, at: int) -> None:
        seat = data.draw(st.sampled_from([seat for seat in self.seats if seat.mail]))
        message, payload = seat.mail.pop(data.draw(st.integers(0, len(seat.mail) - 1)))
        damaged = bytearray(message)
        damaged[at % len(message)] ^= 1 << at % 8
        before = seat.group.encode_ratchets()
        assert not isinstance(seat.group.receive(bytes(damaged)), Application | Committed | CannotFollow)
        assert seat.group.encode_ratchets() == before
        outcome = seat.group.receive(message)
        assert isinstance(outcome, Application), outcome
        assert outcome.plaintext == payload
        seat.group = outcome.group
        if twice:
            assert isinstance(seat.group.receive(message), Void)

    @precondition(lambda self: any(seat.mail for seat in self.seats))
    @rule(data=st.data())
    def lose(self, data: st.DataObject) -> None:
        seat = data.draw(st.sampled_from([seat for seat in self.seats if seat.mail]))
        seat.mail.pop(data.draw(st.integers(0, len(seat.mail) - 1)))

    @rule(data=st.data())
    def save_and_load(self, data: st.DataObject) -> None:
        seat = self.seat(data)
        saved = seat.group.encode_epoch(), seat.group.encode_ratchets()
        seat.group = Group.decode(*saved)
        assert (seat.group.encode_epoch(), seat.group.encode_ratchets()) == saved

    @invariant()
    def all_agree(self) -> None:
        if self.seats:
            agree([seat.group for seat in self.seats])
            seated = sorted(seat.group.own_leaf for seat in self.seats)
            assert seated == [member.leaf for member in self.seats[0].group.members()]
            first = self.seats[0].group.state
            assert first.tree.tree_hash == first.context.tree_hash

    def teardown(self) -> None:
        for seat in self.seats:
            seat.group.state.tree.check_parent_hashes()
            seat.group.state.tree.check_unmerged()
            for at, key in seat.group.state.private.items():
                node = seat.group.state.tree.nodes[at]
                assert node is not None
                assert node.encryption_key == key.public


Life.TestCase.settings = settings(max_examples=15, stateful_step_count=25, deadline=None)
TestLife = Life.TestCase


def test_a_member_who_returns_is_a_new_member() -> None:
    alice, bob = found("alice", "bob")
    step = alice.commit(removes=[bob.own_leaf])
    back = bundle("bob")
    again = step.next.commit(adds=[back.key_package])
    agree([again.next, Group.join(again.welcomes[0], back, now=NOW)])
