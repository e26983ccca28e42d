"""A group's life as a model: a log and its readers, and a network that mangles what they say.

The model knows beforehand what each message must come to, for each reader, and every step checks it: a plaintext opens
once and for whom it was sealed, what was altered opens for nobody, whoever is out stays out, and a refusal leaves the
reader's state as it was, byte for byte. The caller brings the chance: a `Random` for each step.
"""

from __future__ import annotations

from random import Random

from securechan.errors import Invalid, Stale
from securechan.mls.group import Group
from securechan.mls.outcomes import Application, Committed, Future, Own, Past, Proposed, Void
from securechan.mls.proposals import ReInit
from securechan.mls.registry import ProtocolVersion
from securechan.mls.step import Step
from securechan.mls.succession import branch, succeed
from securechan.mls.terms import Terms
from tests.support.mls import NOW, keys
from tests.support.mls_log import MOST_MAIL, Log, Mail, Seat


class Town(Log):
    """What else happens to those who read one log."""

    # -------------------------------------------------------------------------------------------------- successors

    def reinit(self, random: Random) -> None:
        """The group ends, and all who are in it go on in another."""
        founder = self.head(random)
        end = ReInit(self.name().encode(), ProtocolVersion.MLS10, self.suite.number, founder.group.context_extensions)
        step = founder.group.commit(reinit=end, path=random.random() < 0.5)
        founder.group, founder.waiting = step.current, step
        self.decide(founder, step)
        self.everybody_reads()
        for seat in self.seats:
            assert seat.group.reinit == end
            try:
                seat.group.protect(b"after the end")
            except Stale:
                continue
            raise AssertionError("an ended group spoke")
        others = [(seat, self.new(seat.name)) for seat in self.seats if seat is not founder]
        packages = [each.key_package for _, each in others]
        old = founder.group
        made = succeed(
            old, keys(founder.name, self.suite), packages, now=NOW, suite=self.suite, capabilities=self.able()
        )
        names = self.names
        self.settle(Seat(founder.name, made.next, 0, made.next.epoch, founder.terms))
        for welcome, (seat, each) in zip(made.welcomes, others, strict=True):
            group = Group.join(welcome, each, now=NOW, suite=self.suite, parents=[seat.group], terms=seat.terms)
            self.seats.append(Seat(seat.name, group, 0, group.epoch, seat.terms))
            self.stands(self.seats[-1])
        self.names = names
        assert {member.identity.decode() for member in made.next.members()} == names

    def branch(self, random: Random) -> None:
        """Some of those who are here meet apart; this group goes on."""
        founder = self.head(random)
        level = [seat for seat in self.heads() if seat is not founder and seat.group.epoch == founder.group.epoch]
        some = random.sample(level, min(len(level), 3))
        bundles = [self.new(seat.name) for seat in some]
        made = branch(
            founder.group,
            keys(founder.name, self.suite),
            [each.key_package for each in bundles],
            group_id=self.name().encode(),
            now=NOW,
            capabilities=self.able(),
        )
        for seat, each, welcome in zip(some, bundles, made.welcomes, strict=True):
            joined = Group.join(welcome, each, now=NOW, suite=self.suite, parents=[seat.group])
            assert joined.epoch_authenticator == made.next.epoch_authenticator
            assert joined.tree_hash == made.next.tree_hash
        _, words = made.next.protect(b"apart")
        self.keep(words)

    # ------------------------------------------------------------------------------------------------------- words

    def say(self, seat: Seat, random: Random) -> None:
        """An application message, on its way to everyone who is or was here."""
        self.count += 1
        payload = b"%d %s" % (self.count, random.randbytes(random.choice((0, 5, 400))))
        epoch = seat.group.epoch
        try:
            seat.group, message = seat.group.protect(payload, padding=random.choice((0, 0, 64)))
        except Invalid:
            assert seat.group.pending, "words were refused, and nothing that was proposed waits for a commit"
            return
        assert not seat.group.pending
        assert isinstance(self.hears(seat, message), Own)
        mail = Mail(message, payload, epoch)
        self.keep(message)
        for other in (*self.seats, *self.exiles):
            if other is not seat and len(other.box) < MOST_MAIL:
                other.box.append(mail)

    def deliver(self, seat: Seat, random: Random) -> None:
        """One of the messages that may come, in any order; it is lost now, or comes again."""
        mail = random.choice(seat.box)
        expected = seat.expects(mail)
        outcome = self.hears(seat, mail.message)
        assert isinstance(outcome, expected), (outcome, expected)
        if isinstance(outcome, Application):
            assert outcome.plaintext == mail.payload
            seat.group = outcome.group
            seat.heard.add(mail)
            assert isinstance(self.hears(seat, mail.message), Void), "a plaintext opened twice"
        if random.random() < 0.5 and not isinstance(outcome, Future):
            seat.box.remove(mail)

    def lose(self, seat: Seat, random: Random) -> None:
        seat.box.remove(random.choice(seat.box))

    # ------------------------------------------------------------------------------------------------------- forgers

    def forge(self, seat: Seat, random: Random) -> None:
        """Something that was never said: bits turned, pieces of two messages, halves; nobody is moved by it."""
        unread = [entry.message for entry in self.log[seat.at : seat.at + 1]]
        whole, other = random.choice(unread if unread and random.random() < 0.5 else self.old), random.choice(self.old)
        altered = bytearray(whole)
        match random.randrange(4):
            case 0 | 1 if altered:
                at = random.randrange(8 * len(altered))
                altered[at // 8] ^= 1 << at % 8
            case 2:
                cut = random.randint(0, len(altered))
                altered[cut:] = other[cut:]
            case _:
                del altered[random.randint(0, len(altered)) :]
        if bytes(altered) in self.old:
            return
        outcome = self.hears(seat, bytes(altered))
        assert isinstance(outcome, Void | Past | Future | Own), outcome
        assert not (isinstance(outcome, Own) and outcome.proven), outcome

    def replay(self, seat: Seat, random: Random) -> None:
        """Something old, to somebody, now; whatever it comes to, it isn't adopted."""
        self.hears(seat, random.choice(self.old))

    # ------------------------------------------------------------------------------------------------------ at rest

    def restart(self, seat: Seat) -> None:
        """Saved and loaded, with the commit that it waits for."""
        seat.group = self.loaded(seat.group, seat.terms)
        if seat.waiting is not None:
            step = seat.waiting
            next_group = self.loaded(step.next, seat.terms)
            seat.waiting = Step(next_group, seat.group, step.commit, step.welcomes, step.committed)

    def loaded(self, group: Group, terms: Terms) -> Group:
        saved = group.encode_epoch(), group.encode_ratchets()
        again = Group.decode(*saved, terms)
        assert (again.encode_epoch(), again.encode_ratchets()) == saved
        assert again.epoch_authenticator == group.epoch_authenticator
        return again

    # ----------------------------------------------------------------------------------------------------- at the end

    def end(self, random: Random) -> None:
        """All read everything, agree, and hear each other; a stranger finds the tree in order; the exiles hear
        nothing."""
        self.everybody_reads()
        speaker = random.choice(self.seats)
        speaker.waiting = None  # whatever it was, the log hasn't taken it
        self.offer(speaker, random)
        self.log_decides(random)
        self.everybody_reads()
        speaker = random.choice(self.seats)
        assert {seat.group.epoch for seat in self.seats} == {self.epoch}
        assert len({seat.group.own_leaf for seat in self.seats}) == len(self.seats)
        for seat in self.seats:
            self.stands(seat)
            tree = seat.group.state.tree
            for at, key in seat.group.state.private.items():
                node = tree.nodes[at]
                assert node is not None
                assert node.encryption_key == key.public
        tree = speaker.group.state.tree
        tree.check_parent_hashes()
        tree.check_unmerged()
        info = speaker.group.group_info()
        stranger, _ = Group.join_from_outside(self.suite, info, keys("stranger", self.suite), capabilities=self.able())
        assert stranger.epoch == self.epoch + 1
        speaker.group, message = speaker.group.protect(b"at last")
        for seat in self.seats:
            if seat is not speaker:
                outcome = self.hears(seat, message)
                assert isinstance(outcome, Application)
                assert outcome.plaintext == b"at last"
        for seat in self.exiles:
            assert not isinstance(self.hears(seat, message), Application | Committed | Proposed)
