"""A group's log as a model: it orders commits and proposals, and those who read it lag behind.

    Log.log       what the relay has: every proposal, and of rival commits the one that it took; each reads at its pace
    Log.rivals    commits that were offered, and of which it hasn't decided
    Log.epochs    what the first who stood in an epoch saw of it; all others must see the same
    Seat          a member: its group as a value, a commit that it waits for, the mail that may still reach it

The rest of a town's life is in ``mls_town``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Final

from securechan.crypto.suite import Suite
from securechan.errors import Invalid
from securechan.mls.extensions import Extension
from securechan.mls.group import Group
from securechan.mls.keypackage import KeyPackage, KeyPackageBundle
from securechan.mls.message import MLSMessage
from securechan.mls.nodes import Capabilities
from securechan.mls.outcomes import (
    Application,
    CannotFollow,
    Committed,
    Future,
    Outcome,
    Own,
    Past,
    Proposed,
    Removed,
    Void,
)
from securechan.mls.proposals import Add, Body, GroupContextExtensions, Remove
from securechan.mls.psk import EpochId, PskName, PskStore
from securechan.mls.registry import CredentialType, ProtocolVersion
from securechan.mls.send import external_psk
from securechan.mls.step import Step
from securechan.mls.terms import Terms
from securechan.mls.treemath import LeafIndex
from securechan.mls.welcome import Welcome
from tests.support.mls import NOW, bundle, keys

KIND: Final = 0xF0F0  # an extension that every member here understands
PSKS: Final[dict[PskName, bytes]] = {b"first": b"1" * 32, b"second": b"2" * 32}
VERDICTS: Final = (Application, CannotFollow, Committed, Future, Own, Past, Proposed, Removed, Void)
MOST_MAIL: Final = 12  # on the way to one member
MOST_OLD: Final = 60  # messages kept for those who replay and forge


@dataclass(frozen=True, eq=False)
class Mail:
    """An application message on its way."""

    message: bytes
    payload: bytes
    epoch: int


@dataclass(frozen=True, eq=False)
class Entry:
    """One entry of the log. ``step`` belongs to a commit by a member; ``removed`` are leaves that a commit frees."""

    message: bytes
    author: Seat | None
    step: Step | None
    commit: bool
    removed: tuple[LeafIndex, ...]


@dataclass(eq=False)
class Seat:
    """A member, or one who was."""

    name: str
    group: Group
    at: int  # entries of the log that it has read
    since: int  # the epoch that it came in with
    terms: Terms
    waiting: Step | None = None  # its own commit, of which the log hasn't decided
    box: list[Mail] = field(default_factory=list)
    heard: set[Mail] = field(default_factory=set)
    gone: bool = False

    def expects(self, mail: Mail) -> type[Outcome]:
        """What a message that nobody touched must come to."""
        now = self.group.epoch
        if mail.epoch > now:
            return Future
        open_here = mail.epoch == now or (mail.epoch >= self.since and now - mail.epoch <= self.terms.past_epochs)
        if not open_here:
            return Past
        return Void if mail in self.heard else Application


class Log:
    """One group, all who are or were in it, and what it reads."""

    def __init__(self, suite: Suite, most: int) -> None:
        self.suite, self.most = suite, most
        self.count = 0
        self.rivals: list[tuple[Seat, Step]] = []
        self.old: list[bytes] = [b""]
        self.invited: dict[bytes, KeyPackageBundle] = {}

    def found(self, size: int, random: Random) -> None:
        """A first group of so many members."""
        terms = self.terms(random)
        name = self.name()
        group = Group.create(
            self.suite,
            name.encode(),
            keys(name, self.suite),
            now=NOW,
            capabilities=self.able(),
            terms=terms,
        )
        self.settle(Seat(name, group, 0, 0, terms))
        while len(self.names) < size:
            self.add(self.head(random), random)
            self.log_decides(random)

    def settle(self, founder: Seat) -> None:
        """A new group and a new log."""
        self.log: list[Entry] = []
        self.seats: list[Seat] = [founder]
        self.exiles: list[Seat] = []
        self.rivals = []
        self.epochs: dict[int, tuple[bytes, bytes, bytes]] = {}
        self.names = {founder.name}
        self.stands(founder)

    # ------------------------------------------------------------------------------------------------------ small parts

    def name(self) -> str:
        self.count += 1
        return f"member {self.count}"

    def able(self) -> Capabilities:
        return Capabilities((ProtocolVersion.MLS10,), (self.suite.number,), (KIND,), (), (CredentialType.BASIC,))

    def terms(self, random: Random) -> Terms:
        return Terms(past_epochs=random.choice((0, 0, 1, 2, 5)))

    def new(self, name: str) -> KeyPackageBundle:
        return bundle(name, self.suite, capabilities=self.able())

    def keep(self, message: bytes) -> None:
        self.old = [*self.old[-MOST_OLD:], message]

    def psks(self, seat: Seat) -> PskStore:
        return {**PSKS, **seat.group.resumption_keys()}

    @property
    def epoch(self) -> int:
        """The newest one."""
        return max(self.epochs)

    def heads(self) -> list[Seat]:
        """Members who have read the whole log."""
        return [seat for seat in self.seats if seat.at == len(self.log)]

    def head(self, random: Random) -> Seat:
        """One of them; where there is none, somebody reads up."""
        if not self.heads():
            self.catch_up(random.choice(self.seats))
        found = self.heads() or self.seats  # whoever read up may have read of its own removal
        seat = random.choice(found)
        self.catch_up(seat)
        return seat if seat in self.seats else self.head(random)

    def committer(self, random: Random) -> Seat:
        """Who stands at the head of the log and waits for no commit of its own; where all do, the log decides."""
        free = [seat for seat in self.heads() if seat.waiting is None]
        if not free:
            self.log_decides(random)
            free = [seat for seat in self.heads() if seat.waiting is None] or [self.head(random)]
        return random.choice(free)

    def stands(self, seat: Seat) -> None:
        """What a member sees of its epoch is what everyone sees."""
        group = seat.group
        seen = (bytes(group.epoch_authenticator), group.tree_hash, bytes(group.export("town", b"context", 32)))
        assert self.epochs.setdefault(group.epoch, seen) == seen, f"{seat.name} stands in another epoch {group.epoch}"
        assert group.state.tree.tree_hash == group.tree_hash

    def hears(self, seat: Seat, message: bytes) -> Outcome:
        """A verdict of the closed set, and a state that asking hasn't changed."""
        before = seat.group.encode_epoch(), seat.group.encode_ratchets()
        outcome = seat.group.receive(message, psks=self.psks(seat))
        assert isinstance(outcome, VERDICTS)
        assert (seat.group.encode_epoch(), seat.group.encode_ratchets()) == before, "asking has changed a group"
        return outcome

    # ---------------------------------------------------------------------------------------------------------- the log

    def read(self, seat: Seat) -> None:
        """The next entry."""
        entry = self.log[seat.at]
        seat.at += 1
        if not entry.commit:
            outcome = self.hears(seat, entry.message)
            if entry.author is seat:
                assert isinstance(outcome, Own), outcome
                return
            assert isinstance(outcome, Proposed), outcome
            seat.group = outcome.group
            return
        if entry.author is seat and entry.step is not None:
            assert seat.waiting is not None
            assert seat.waiting.commit == entry.message
            assert isinstance(self.hears(seat, entry.message), Own)
            seat.group, seat.waiting = seat.waiting.next, None
            self.stands(seat)
            return
        outcome = self.hears(seat, entry.message)
        seat.waiting = None  # ours, if there was one, has lost
        if seat.group.own_leaf in entry.removed:
            assert isinstance(outcome, Removed), outcome
            self.seats.remove(seat)
            self.exiles = [*self.exiles[-8:], seat]
            seat.gone = True
            return
        assert isinstance(outcome, Committed), outcome
        seat.group = outcome.group
        self.stands(seat)
        assert isinstance(self.hears(seat, entry.message), Past)

    def catch_up(self, seat: Seat) -> None:
        while not seat.gone and seat.at < len(self.log):
            self.read(seat)

    def everybody_reads(self) -> None:
        for seat in list(self.seats):
            self.catch_up(seat)

    def append(self, entry: Entry) -> None:
        self.log.append(entry)
        self.keep(entry.message)

    # ---------------------------------------------------------------------------------------------------------- commits

    def offer(
        self,
        seat: Seat,
        random: Random,
        *,
        adds: Sequence[KeyPackage] = (),
        removes: Sequence[LeafIndex] = (),
        extensions: tuple[Extension, ...] | None = None,
    ) -> Step | None:
        """A commit by a member, offered to the log, which hasn't decided. What others proposed is taken up, where that
        fits. None where it would break a rule."""
        group = seat.group
        refs = [kept.ref for kept in group.pending if random.random() < 0.8]
        psk_ids: list[PskName] = []
        if random.random() < 0.2:
            psk_ids = random.sample([b"first", b"second", EpochId(group.group_id, group.epoch)], random.randint(1, 2))
        for by_reference in (refs, []):
            easy = (adds or psk_ids) and not removes and extensions is None and not by_reference
            try:
                step = group.commit(
                    adds=adds,
                    removes=removes,
                    extensions=extensions,
                    psk_ids=psk_ids,
                    by_reference=by_reference,
                    psks=self.psks(seat),
                    path=not easy or random.random() < 0.6,
                    private=random.random() < 0.7,
                    padding=random.choice((0, 0, 17, 300)),
                    tree_in_welcome=random.random() < 0.7,
                    now=NOW,
                )
            except Invalid:  # proposals that don't go together, or that would remove the committer
                continue
            seat.group, seat.waiting = step.current, step
            self.rivals.append((seat, step))
            self.keep(step.commit)
            return step
        return None

    def decide(self, seat: Seat, step: Step) -> None:
        """The log takes this commit; those whom it adds join at once by their Welcomes."""
        done = step.committed
        self.append(Entry(step.commit, seat, step, commit=True, removed=tuple(leaf for leaf, _ in done.removed)))
        self.rivals = []
        self.names -= {identity.decode() for _, identity in done.removed}
        for welcome in step.welcomes:
            self.welcome(welcome, step)
        assert {member.identity.decode() for member in step.next.members()} == self.names
        self.catch_up(seat)

    def welcome(self, message: bytes, step: Step) -> None:
        """Somebody comes in, and looks at the whole tree."""
        self.keep(message)
        body = MLSMessage.decode(message).body
        assert isinstance(body, Welcome)
        new = self.invited.pop(body.secrets[0].new_member)
        terms = Terms(past_epochs=(0, 1, 2, 5)[self.count % 4])
        known = {**PSKS, **step.current.resumption_keys()}  # given to it beforehand
        tree = step.ratchet_tree
        group = Group.join(message, new, now=NOW, suite=self.suite, ratchet_tree=tree, psks=known, terms=terms)
        seat = Seat(new.key_package.leaf_node.identity.decode(), group, len(self.log), group.epoch, terms)
        self.stands(seat)
        self.seats.append(seat)
        self.names.add(seat.name)

    def log_decides(self, random: Random) -> None:
        """Of the commits that wait for it and close the epoch, the log takes one. The others go on from where they
        stood."""
        good = [(seat, step) for seat, step in self.rivals if seat.waiting is step and not seat.gone]
        good = [(seat, step) for seat, step in good if seat.group.epoch == self.epoch]
        if good:
            self.decide(*random.choice(good))

    def invite(self) -> KeyPackage:
        """A newcomer's key package."""
        new = self.new(self.name())
        self.invited[new.reference(self.suite)] = new
        return new.key_package

    def add(self, seat: Seat, random: Random) -> None:
        """One to three newcomers, at once."""
        room = max(0, self.most - len(self.names))
        packages = [self.invite() for _ in range(min(room, random.choice((1, 1, 2, 3))))]
        self.offer(seat, random, adds=packages)

    def remove(self, seat: Seat, random: Random) -> None:
        members = [member.leaf for member in seat.group.members() if member.leaf != seat.group.own_leaf]
        self.offer(seat, random, removes=random.sample(members, min(len(members), random.choice((1, 1, 2)))))

    def renew(self, seat: Seat, random: Random) -> None:
        """A self-update, sometimes with another GroupContext."""
        other = () if random.random() < 0.4 else (Extension(KIND, random.randbytes(9)),)
        self.offer(seat, random, extensions=other if random.random() < 0.3 else None)

    # -------------------------------------------------------------------------------------------------------- proposals

    def propose(self, seat: Seat, random: Random) -> None:
        """A proposal into the log, for whoever commits next."""
        group, private = seat.group, random.random() < 0.7
        kind = random.randrange(6)
        if kind < 2:
            after, message = group.propose_update(private=private)
        else:
            others = [member.leaf for member in group.members() if member.leaf != group.own_leaf]
            body: Body = GroupContextExtensions((Extension(KIND, random.randbytes(5)),))
            if kind == 2 and others:
                body = Remove(random.choice(others))
            elif kind == 3:
                body = external_psk(self.suite, b"first")
            elif kind == 4 and len(self.names) < self.most:
                body = Add(self.invite())
            after, message = group.propose(body, private=private)
        seat.group = after
        self.append(Entry(message, seat, None, commit=False, removed=()))
        assert isinstance(self.hears(seat, message), Own)
        seat.at += seat.at == len(self.log) - 1

    # ---------------------------------------------------------------------------------------------- from outside

    def come_from_outside(self, random: Random) -> None:
        """By one's own commit: a stranger, or a member who has lost its state and comes back in its own place."""
        host = self.head(random)
        lost = random.choice(self.seats)
        again = random.random() < 0.4 and lost is not host and lost.name in self.names
        if not again and len(self.seats) >= self.most:
            return
        info = host.group.group_info()
        self.keep(info)
        terms, name = self.terms(random), lost.name if again else self.name()
        replacing = lost.group.own_leaf if again else None
        group, commit = Group.join_from_outside(
            self.suite, info, keys(name, self.suite), replacing=replacing, capabilities=self.able(), terms=terms
        )
        removed = () if replacing is None else (replacing,)
        if replacing is not None and lost.at < len(self.log):
            return  # it doesn't know which leaf is its own by now
        self.append(Entry(commit, None, None, commit=True, removed=removed))
        self.rivals = []
        self.names.add(name)
        seat = Seat(name, group, len(self.log), group.epoch, terms)
        self.stands(seat)
        if again:
            self.catch_up(lost)
        self.seats.append(seat)
