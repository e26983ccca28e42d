"""Confirmed access: a group with a malicious member, played by Hypothesis on a real mailroom.

In the play, entries say in the clear what MLS would let members find out: whether a commit is valid, for which epoch,
and which secret the next one has. Members follow the rules that SPEC gives to clients. Whatever the malicious member
does: who is honest and not removed reads to the tail and appends, at once or after the next honest commit; and who was
removed reads nothing that is said once two honest members have committed after it.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Coroutine
from dataclasses import dataclass, field
from typing import Any, TypeVar

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from relay.access import LIVE_MAX, RATE_SPAN, claim_of
from relay.bounds import Bounds
from relay.mailroom import Mailroom
from relay.people import Device
from relay.store.memory import MemoryStore
from relay.trust_topic import TrustTopic
from securechan.wire.frames import (
    Append,
    Appended,
    Code,
    CommitClaim,
    CreateTopic,
    Done,
    Entry,
    Error,
    Halt,
    Show,
    Subscribe,
)
from tests.relay.desk import NAME, Client, Clock, Desk, digest, online

T = TypeVar("T")
A, B, C, M = (name * 16 for name in (b"a", b"b", b"c", b"m"))
NOW = 1_800_000_000

TOPIC = digest("the group")
HONEST = ("a", "b", "c", "d")


@dataclass
class Member:
    """Someone in the play. ``secrets`` as a client keeps them: of the last eight epochs, the newest last."""

    name: str
    epoch: int = -1
    cursor: int = 0
    commit: int = 0
    secrets: list[bytes] = field(default_factory=list)
    session: Client | None = None
    taken: int = 0  # runs of the session that were processed
    removed: bool = False

    @property
    def joined(self) -> bool:
        return self.epoch >= 0 and not self.removed

    def learn(self, secret: bytes) -> None:
        self.secrets = [*self.secrets, secret][-LIVE_MAX:]


class Group(RuleBasedStateMachine):
    """Honest members, one malicious, one relay."""

    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.clock = Clock(NOW * 1000)
        self.people = {name: Member(name) for name in (*HONEST, "m")}
        self.epoch = 0
        self.members = {"a", "m"}
        self.said = 0
        self.planned = digest("planned", 0)  # the secret of m's next valid commit
        self.kept: list[bytes] = []  # secrets behind m's garbage
        self.claimed: set[bytes] = set()
        self.garbage = 0

    def run(self, story: Coroutine[Any, Any, T]) -> T:
        async def bounded() -> T:
            async with asyncio.timeout(60):  # as long as a busy machine may take: what hangs, hangs for ever
                return await story

        return self.loop.run_until_complete(bounded())

    @initialize()
    def found(self) -> None:
        async def story() -> None:
            store = MemoryStore()
            trust = await TrustTopic.load(store, online=online(), clock=self.clock)
            mailroom = Mailroom(store, relay=NAME, clock=self.clock, trust=trust, bounds=Bounds(tail=200))
            await mailroom.start()
            self.desk = Desk(mailroom, store, trust, self.clock)
            first = digest("secret", 0)
            founder = self.people["a"]
            await self.connect(founder)
            assert founder.session is not None
            assert await founder.session.ask(CreateTopic(TOPIC, claim_of(first))) == Done()
            for person in (founder, self.people["m"]):
                person.epoch = 0
                person.learn(first)
            for name in ("b", "c"):
                await self.honest_commit(founder, adds=name)

        self.run(story())

    def teardown(self) -> None:
        if hasattr(self, "desk"):
            self.run(self.desk.mailroom.stop())
        self.loop.close()

    # ------------------------------------------------------------------------------------------ what a client does

    async def connect(self, person: Member) -> None:
        who = Device(f"cert-hr/{person.name}", "cert-hr", frozenset(), bytes(48), None)
        person.session = Client(self.desk, who)
        person.taken = 0
        for secret in person.secrets:
            await person.session.ask(Show(TOPIC, secret))
        if person.secrets:
            answer = await person.session.ask(Subscribe(TOPIC, person.cursor))
            assert answer == Done(), (person, answer)

    async def sync(self, person: Member) -> None:
        """Read to the tail, as SPEC tells a client to."""
        if person.session is None:
            await self.connect(person)
        elif not person.session.runs(TOPIC):
            for secret in person.secrets:
                await person.session.ask(Show(TOPIC, secret))
            assert await person.session.ask(Subscribe(TOPIC, person.cursor)) == Done()
        session = person.session
        assert session is not None
        while not person.removed:
            last = await self.desk.store.topic(TOPIC)
            assert last is not None
            if person.cursor >= last.last.sequence and person.taken and session.runs(TOPIC)[-1].halt is Halt.TAIL:
                return
            await session.outlet.until(lambda: len(session.runs(TOPIC)) > person.taken)
            run = session.runs(TOPIC)[person.taken]
            person.taken += 1
            for entry in run.entries:
                assert entry.sequence > person.cursor
                self.process(person, entry)
            assert run.halt is not Halt.END, f"{person.name} is locked out"
            if run.halt is Halt.SHOW and not person.removed:
                await self.show_newest(person)

    def process(self, person: Member, entry: Entry) -> None:
        person.cursor = entry.sequence
        if entry.commit is None:
            return
        person.commit = entry.sequence
        what = json.loads(entry.body)
        if what.get("epoch") != person.epoch:
            return  # void
        if person.name in what["removes"]:
            person.removed = True
            return
        person.epoch += 1
        person.learn(bytes.fromhex(what["secret"]))

    async def show_newest(self, person: Member) -> None:
        assert person.session is not None
        for secret in reversed(person.secrets):
            if await person.session.show(TOPIC, secret) == Done():
                return
        raise AssertionError(f"{person.name} has no secret that the relay knows")

    async def commit(
        self, person: Member, body: dict[str, Any], access: bytes, *, expected: int | None = None
    ) -> Appended | Error:
        """Append a commit entry; wait out the hourly limit."""
        assert person.session is not None
        content = json.dumps(body).encode()
        last = person.commit if expected is None else expected
        request = Append(TOPIC, digest(person.name, content), content, CommitClaim(last, access))
        while True:
            answer = await person.session.ask(request)
            if isinstance(answer, Error) and answer.code is Code.QUOTA:
                self.clock.now += answer.retry_after
                continue
            assert isinstance(answer, Appended | Error)
            return answer

    async def honest_commit(self, person: Member, adds: str = "", removes: str = "") -> None:
        await self.sync(person)
        secret = digest("secret", self.epoch + 1, person.name, removes, adds, self.said)
        body = {"epoch": self.epoch, "secret": secret.hex(), "removes": [removes] if removes else [], "by": person.name}
        answer = await self.commit(person, body, claim_of(secret))
        assert isinstance(answer, Appended), (person, answer)
        self.epoch += 1
        self.members -= {removes}
        await self.sync(person)
        assert person.epoch == self.epoch
        if adds:
            self.members.add(adds)
            new = self.people[adds]
            new.epoch, new.cursor, new.commit = self.epoch, answer.sequence, answer.sequence
            new.learn(secret)

    def honest(self) -> list[Member]:
        return [self.people[name] for name in HONEST if self.people[name].joined and name in self.members]

    # ------------------------------------------------------------------------------------------ the honest

    @rule(which=st.integers(0, 3))
    def says(self, which: int) -> None:
        person = self.honest()[which % len(self.honest())]

        async def story() -> None:
            await self.sync(person)
            assert person.session is not None
            self.said += 1
            answer = await person.session.say(TOPIC, b"%d" % self.said, digest("said", self.said))
            assert isinstance(answer, Appended), (person, answer)

        self.run(story())

    @rule(which=st.integers(0, 3))
    def reads(self, which: int) -> None:
        self.run(self.sync(self.honest()[which % len(self.honest())]))

    @rule(which=st.integers(0, 3))
    def updates(self, which: int) -> None:
        self.run(self.honest_commit(self.honest()[which % len(self.honest())]))

    @rule(which=st.integers(0, 3), who=st.sampled_from(HONEST))
    def adds(self, which: int, who: str) -> None:
        if self.people[who].epoch < 0 and who not in self.members:
            self.run(self.honest_commit(self.honest()[which % len(self.honest())], adds=who))

    @rule(which=st.integers(0, 3), who=st.sampled_from((*HONEST, "m")))
    def removes(self, which: int, who: str) -> None:
        person = self.honest()[which % len(self.honest())]
        if who in self.members and who != person.name and self.people[who].epoch >= 0:
            self.run(self.honest_commit(person, removes=who))

    @rule(who=st.sampled_from(HONEST))
    def loses_its_connection(self, who: str) -> None:
        session = self.people[who].session
        if session is not None:
            session.member.leave()
            self.people[who].session = None

    @rule()
    def an_hour_passes(self) -> None:
        self.clock.now += RATE_SPAN * 1000

    # ------------------------------------------------------------------------------------------ the malicious one

    async def as_member(self) -> Member:
        mallory = self.people["m"]
        await self.sync(mallory)
        return mallory

    def free(self, access: bytes) -> bytes:
        """That claim, unless it was made before: then a random one."""
        self.garbage += 1
        wanted = claim_of(digest("nobody's", self.garbage)) if access in self.claimed else access
        self.claimed.add(wanted)
        return wanted

    @precondition(lambda self: "m" in self.members)
    @rule(kind=st.sampled_from(("random", "own", "planned")))
    def commits_garbage(self, kind: str) -> None:
        async def story() -> None:
            mallory = await self.as_member()
            own = digest("own", self.garbage)
            access = self.free(
                {"random": claim_of(digest(own)), "own": claim_of(own)}.get(kind, claim_of(self.planned))
            )
            body = {"epoch": None, "n": self.garbage}
            answer = await self.commit(mallory, body, access)
            assert isinstance(answer, Appended), answer
            self.kept.append(own)
            await self.sync(mallory)
            for secret in self.kept:
                assert mallory.session is not None
                await mallory.session.show(TOPIC, secret)

        self.run(story())

    @precondition(lambda self: "m" in self.members)
    @rule(wrong=st.booleans())
    def commits_validly(self, wrong: bool) -> None:
        """A valid commit of the malicious member, its access hash right or wrong."""

        async def story() -> None:
            mallory = await self.as_member()
            secret = self.planned
            access = self.free(digest("wrong", self.garbage) if wrong else claim_of(secret))
            body = {"epoch": self.epoch, "secret": secret.hex(), "removes": []}
            answer = await self.commit(mallory, body, access)
            assert isinstance(answer, Appended), answer
            self.epoch += 1
            self.planned = digest("planned", self.epoch, self.garbage)
            await self.sync(mallory)

        self.run(story())

    # ------------------------------------------------------------------------------------------ what must hold

    @rule()
    def all_are_well(self) -> None:
        """Everyone honest reads to the tail and appends."""

        async def story() -> None:
            for person in self.honest():
                await self.sync(person)
                assert person.epoch == self.epoch
                assert person.session is not None
                self.said += 1
                answer = await person.session.say(TOPIC, b"%d" % self.said, digest("said", self.said))
                assert isinstance(answer, Appended), (person, answer)

        self.run(story())

    def out(self) -> list[Member]:
        return [p for p in self.people.values() if p.epoch >= 0 and p.name not in self.members]

    @precondition(lambda self: len(self.honest()) >= 2 and self.out())
    @rule()
    def the_removed_hear_nothing_new(self) -> None:
        async def story() -> None:
            for person in self.honest()[:2]:
                await self.honest_commit(person)
                for other in self.honest():
                    await self.sync(other)
            head = await self.desk.store.topic(TOPIC)
            assert head is not None
            person = self.honest()[0]
            assert person.session is not None
            self.said += 1
            await person.session.say(TOPIC, b"secret", digest("said", self.said))
            for removed in self.out():
                await self.connect(removed)
                session = removed.session
                assert session is not None
                secrets = removed.secrets + (self.kept if removed.name == "m" else [])
                while True:  # show whatever there is for as long as that yields anything
                    await session.outlet.until(
                        lambda s=session: s.runs(TOPIC) and s.runs(TOPIC)[-1].halt is not Halt.MORE
                    )
                    before = len(session.entries(TOPIC))
                    for secret in secrets:
                        await session.show(TOPIC, secret)
                        await asyncio.sleep(0)
                    await asyncio.sleep(0)
                    if len(session.entries(TOPIC)) == before:
                        break
                assert max((e.sequence for e in session.entries(TOPIC)), default=0) <= head.commit
                answer = await session.say(TOPIC, b"from the grave", digest("grave", removed.name, self.said))
                assert isinstance(answer, Error)

        self.run(story())

    @invariant()
    def the_ladder_is_short(self) -> None:
        if hasattr(self, "desk"):
            topic = self.desk.mailroom._topics.get(TOPIC)
            if topic is not None and topic.access is not None:
                assert sum(not r.lapsed for r in topic.access.rungs) <= LIVE_MAX


Group.TestCase.settings = settings(
    max_examples=50, stateful_step_count=40, deadline=None, suppress_health_check=list(HealthCheck)
)
test_a_group_with_a_malicious_member = Group.TestCase
