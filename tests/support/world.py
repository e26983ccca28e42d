"""A whole federation in one process without a socket: real agents, a real mailroom over its memory store, one clock.

    world = World("cert-hr", "cert-si")
    ana = world.enrol("cert-hr", "ana-laptop", "ana", "liaison", "desk")
    ana.connect(); …; topic = ana.do(CreateConversation(policy)); world.run()

Time stands still until `World.pass_time` or `World.run` moves it; `World.run` carries every request to the mailroom and
every frame back until nothing more happens, and then, if asked to, moves time on to whatever somebody waits for. An
`Actor` keeps what a vault would keep, so it can be killed and loaded again between any two inputs, or after the writes
and before the effects.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections import deque
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cache
from random import Random
from typing import Any, Final, TypeVar

from relay.heads import OnlineKey
from relay.mailroom import Mailroom
from relay.member import Member
from relay.people import Device as DeviceWho
from relay.store.memory import MemoryStore
from relay.trust_topic import TrustTopic
from securechan.agent.agent import Agent, Enrolled
from securechan.agent.asks import Ask
from securechan.agent.effects import Emit, Reconnect, Send, Wake
from securechan.agent.events import Event
from securechan.agent.inputs import Answered, Command, Connected, Disconnected, Input, Received, Tick
from securechan.agent.policy import AgencyScope, Kind, Policy
from securechan.agent.state import ARCHIVE, TABLES
from securechan.agent.tables import Write
from securechan.bulletin.tlp import Tlp
from securechan.crypto.kem import MLKEM768_X25519
from securechan.crypto.signature import COMPOSITE
from securechan.trust import authority
from securechan.trust.authority import Application
from securechan.trust.bundle import Bundle
from securechan.trust.draft import Draft
from securechan.trust.keys import Kind as KeyKind
from securechan.trust.keys import TrustSigner, generate
from securechan.trust.records import AgencyRecord, CommunityBinding, DeviceRecord, RelayRecord, made
from securechan.trust.view import View
from securechan.wire.frames import Answer, Entries, Frame, Heads, Reason, TrustDocument
from tests.support.federation import Device, make_device, root_signer

NOW: Final = 1_800_000_000
RELAY: Final = "relay-1"
_KEYS: Final[dict[str, bytes]] = {}

E = TypeVar("E", bound=Event)


def private_key(role: str) -> bytes:
    """The private key of an office: one for each, all process long, since to make one costs more than a test."""
    if role not in _KEYS:
        _KEYS[role] = generate(KeyKind.COMPOSITE)[0]
    return _KEYS[role]


def signer(role: str) -> TrustSigner:
    """The same, for signing."""
    return TrustSigner(KeyKind.COMPOSITE, private_key(role))


def application(agency: str, now: int, first_roster: Draft | None = None) -> Application:
    """An agency's papers, signed."""
    papers = authority.application(
        made(AgencyRecord, agency=agency, title=f"Agency {agency}", country="EU"),
        keys=[signer(agency).public],
        threshold=1,
        roster_keys=[signer(f"{agency}-roster").public],
        roster_threshold=1,
        now=now,
        first_roster=first_roster,
    )
    return authority.sign_application(papers, signer(agency))


def first_root(online: bytes, now: int) -> Draft:
    """A federation's first root, signed."""
    return authority.root_init(
        root_keys=[root_signer().public],
        root_threshold=1,
        targets_keys=[signer("targets").public],
        targets_threshold=1,
        online=[online],
        now=now,
    ).sign(root_signer())


@cache
def founding(agencies: tuple[str, ...], online: bytes) -> tuple[bytes, bytes]:
    """(root version 1, the federation's first bundle) of agencies without devices. A root signature takes half a
    second, so each federation is founded once a process."""
    papers = [application(agency, NOW) for agency in agencies]
    root = first_root(online, NOW)
    kem = MLKEM768_X25519.generate()[1]
    relay = RelayRecord.make(RELAY, ["ws://127.0.0.1:1"], [kem], [online], publisher=True)
    targets = authority.federation(None, now=NOW, admit=papers, relays=[relay]).sign(signer("targets"))
    bundle = Bundle.of([root, targets, *(draft for paper in papers for draft in paper.documents)])
    return bundle.root, bundle.encode()


class Wire:
    """The way from the mailroom to an actor: an outlet that decodes what it is sent."""

    def __init__(self) -> None:
        self.frames: deque[Answer | Entries | Heads] = deque()
        self.ended: Reason | None = None

    @property
    def congested(self) -> bool:
        return False

    def send(self, frames: bytes, /) -> None:
        body = Frame.decode(frames).body
        if isinstance(body, Answer | Entries | Heads):
            self.frames.append(body)

    async def room(self) -> bool:
        return self.ended is None

    def end(self, reason: Reason, /) -> None:
        self.ended = reason


@dataclass
class Actor:
    """A device with its agent, what its vault would hold, and everything it has been told."""

    world: World
    device: Device
    officer: str
    agent: Agent
    tables: dict[str, dict[str, bytes]] = field(default_factory=dict)
    events: list[Event] = field(default_factory=list)
    wire: Wire | None = None
    member: Member | None = None
    wake: int = 0
    asked: dict[int, Ask] = field(default_factory=dict)
    number: int = 0
    compared: int = 0
    careful: bool = False
    """hold what the vault would give back against the living agent after every single input"""
    dead: bool = False
    ahead: int = 0
    """seconds by which its clock is ahead; the world wakes nobody whose clock is wrong"""

    @property
    def name(self) -> str:
        return self.device.name

    # -------------------------------------------------------------------------------------------------- driving

    def adopt(self, writes: Iterable[Write]) -> None:
        for write in writes:
            rows = self.tables.setdefault(write.table, {})
            if write.value is None:
                rows.pop(write.id, None)
            else:
                rows[write.id] = write.value

    def give(self, what: Input, *, lose_effects: bool = False) -> object | None:
        """One input: adopt, go on, perform. With ``lose_effects`` the process dies between adopting and performing."""
        step = self.agent.on(what, self.world.now + self.ahead)
        self.adopt(step.writes)
        self.agent = step.agent
        if self.careful:
            self.compare()
        if lose_effects:
            self.restart()
            return step.answer
        for effect in step.effects:
            match effect:
                case Send(body, ref):
                    if self.member is not None:
                        self.number += 1
                        self.asked[self.number] = ref
                        self.member.ask(self.number, body)
                case Emit(event):
                    self.events.append(event)
                case Wake(at):
                    self.wake = at
                case Reconnect():
                    self.world.later(self.reconnect)
        return step.answer

    def do(self, command: Command) -> Any:
        """A command; its answer. Raises what it raises."""
        return self.world.inside(lambda: self.give(command))

    def connect(self) -> Actor:
        """Shake hands, as it were, and say so."""
        self.world.inside(self._connect)
        return self

    def _connect(self) -> None:
        record = self.world.view.find(self.name)
        if record is None or self.dead:
            return
        self._drop()
        self.wire = Wire()
        who = DeviceWho(self.name, record.agency, frozenset(record.roles), record.hashes()[-1], record.not_after)
        self.member = self.world.mailroom.enter(who, self.wire)
        self.give(Connected(RELAY, self.world.now * 1000))

    def disconnect(self) -> Actor:
        """The network goes."""
        self.world.inside(self._disconnect)
        return self

    def _disconnect(self) -> None:
        self._drop()
        self.give(Disconnected("test"))

    def _drop(self) -> None:
        if self.member is not None:
            self.member.leave()
        self.member, self.wire, self.asked = None, None, {}

    def reconnect(self) -> None:
        if self.member is not None:
            self._disconnect()
            self._connect()

    def restart(self) -> Actor:
        """Killed, and started again from what was adopted; not connected yet."""
        self.world.inside(self._restart)
        return self

    def _restart(self) -> None:
        self._drop()
        self.wake = 0
        self.agent = Agent.load({name: self.tables[name] for name in TABLES if name in self.tables}, self.world.chance)

    def compare(self) -> None:
        """What was adopted, loaded, is this agent; every row of it."""
        durable = {name: rows for name, rows in self.tables.items() if name != ARCHIVE and rows}
        assert self.agent.records() == durable
        self.compared += 1
        if self.compared % 5 == 0:  # loading verifies all of trust again, which takes its time
            loaded = Agent.load(durable, self.world.chance)
            assert loaded.records() == durable

    def snapshot(self) -> dict[str, dict[str, bytes]]:
        """What a backup of the vault would hold."""
        return {name: dict(rows) for name, rows in self.tables.items()}

    def restore(self, backup: dict[str, dict[str, bytes]]) -> Actor:
        """Yesterday's vault."""
        self.tables = {name: dict(rows) for name, rows in backup.items()}
        return self.restart()

    def pump(self) -> bool:
        """One frame from the relay, if there is one."""
        if self.wire is None:
            return False
        if self.wire.frames:
            frame = self.wire.frames.popleft()
            match frame:
                case Answer(number, _, body):
                    ref = self.asked.pop(number, None)
                    if ref is not None:
                        self.give(Answered(ref, body))
                case Entries() | Heads():
                    self.give(Received(frame))
            return True
        if self.wire.ended is not None:
            self._disconnect()
            return True
        return False

    # -------------------------------------------------------------------------------------------------- looking

    def told(self, kind: type[E], topic: bytes | None = None) -> list[E]:
        """The events of a kind, in order."""
        return [
            each
            for each in self.events
            if isinstance(each, kind) and (topic is None or getattr(each, "conversation", topic) == topic)
        ]

    @property
    def archive(self) -> dict[str, bytes]:
        return self.tables.get(ARCHIVE, {})


class World:
    """The federation, its relay, and everyone in it."""

    def __init__(self, *agencies: str, seed: int = 1, online: str = "online") -> None:
        self.now = NOW
        self.rng = Random(seed)
        self.actors: dict[str, Actor] = {}
        signer(online)
        self.heads = OnlineKey(COMPOSITE.load(_KEYS[online]))
        self._pending: deque[Callable[[], None]] = deque()
        self._running = False
        self.loop = asyncio.new_event_loop()
        self.agencies = agencies or ("cert-hr", "cert-si")
        self.root, bundle = founding(self.agencies, self.heads.public)
        self.root_id = hashlib.sha384(self.root).digest()
        self.loop.run_until_complete(self._open(bundle))

    async def _open(self, bundle: bytes) -> None:
        self.store = MemoryStore()
        self.trust = await TrustTopic.load(self.store, online=self.heads, clock=lambda: self.now * 1000)
        await self.trust.adopt(bundle)
        self.mailroom = Mailroom(
            self.store, relay=RELAY, clock=lambda: self.now * 1000, trust=self.trust, signer=self.heads
        )
        await self.mailroom.start()

    def close(self) -> None:
        """Everything ends."""
        self.loop.run_until_complete(self.mailroom.stop())
        for task in asyncio.all_tasks(self.loop):
            task.cancel()
        with suppress(asyncio.CancelledError):
            self.loop.run_until_complete(asyncio.sleep(0))
        self.loop.run_until_complete(self.loop.shutdown_default_executor())
        self.loop.close()

    @property
    def view(self) -> View:
        assert self.trust.view is not None
        return self.trust.view

    def chance(self, size: int) -> bytes:
        return self.rng.randbytes(size)

    # ---------------------------------------------------------------------------------------------------- its people

    def publish(self, *drafts: Draft) -> int:
        """Publish signed documents, as an office does."""
        documents = [TrustDocument(*draft.pair()) for draft in drafts]
        return self.loop.run_until_complete(self.trust.publish(self.view.position.sequence, documents))

    def roster(self, agency: str, **changes: Any) -> Draft:
        """A signed roster."""
        return authority.roster(self.view, agency, now=self.now, **changes).sign(signer(f"{agency}-roster"))

    def enrol(self, agency: str, device: str, officer: str, *roles: str) -> Actor:
        """A new device, listed, with an agent that has never been connected."""
        made_device = make_device(agency, device, officer, *(roles or ("liaison", "desk")), now=self.now)
        self.publish(self.roster(agency, add=[made_device.record]))
        return self.actor(made_device)

    def enrol_all(self, agency: str, *names: str) -> list[Actor]:
        """Several at once: device ``x-laptop`` of officer ``x`` for each name."""
        devices = [make_device(agency, f"{name}-laptop", name, "liaison", "desk", now=self.now) for name in names]
        self.publish(self.roster(agency, add=[each.record for each in devices]))
        return [self.actor(each) for each in devices]

    def actor(self, device: Device) -> Actor:
        record: DeviceRecord = device.record
        step = Agent.enrol(
            Enrolled(
                record.name,
                record.address,
                bytes(device.key.private),
                bytes(device.inbox.private),
                device.inbox.public,
                self.root,
                self.root_id,
                RELAY,
                "ws://127.0.0.1:1",
                b"",
            ),
            self.now,
            self.chance,
        )
        actor = Actor(self, device, record.address, step.agent)
        actor.adopt(step.writes)
        self.actors[record.name] = actor
        return actor

    def revoke(self, actor: Actor, reason: str = "lost") -> None:
        """Its agency's next roster buries it."""
        record = actor.device.record
        self.publish(self.roster(record.agency, revoke={record.device: reason}))

    def bind(self, name: str, *, founders: tuple[str, ...] = (), group: bytes | None = None) -> None:
        """The federation binds a community's name."""
        binding = made(CommunityBinding, name=name, founders=founders, group=group)
        draft = authority.federation(self.view, now=self.now, communities=[binding]).sign(signer("targets"))
        self.publish(draft)

    def community(self, name: str, *agencies: str, stewards: tuple[str, ...], **changes: Any) -> Policy:
        """A community of whole agencies."""
        fields: dict[str, Any] = {
            "name": name,
            "kind": Kind.COMMUNITY,
            "agencies": tuple(AgencyScope(agency, ()) for agency in agencies or self.agencies),
            "officers": (),
            "stewards": stewards,
            "ceiling": Tlp.AMBER,
            "renewal": 7 * 86400,
        }
        return Policy(**{**fields, **changes})

    def direct(self, name: str, *officers: str) -> Policy:
        """A conversation of named officers."""
        return Policy(name, Kind.DIRECT, (), officers, officers[:1], Tlp.RED, 7 * 86400)

    # ----------------------------------------------------------------------------------------------------- its time

    def later(self, work: Callable[[], None]) -> None:
        self._pending.append(work)

    def inside(self, work: Callable[[], Any]) -> Any:
        """Run ``work`` where the mailroom's loop runs, since a request begins at once."""
        if self._running:
            return work()

        async def go() -> Any:
            return work()

        self._running = True
        try:
            return self.loop.run_until_complete(go())
        finally:
            self._running = False

    def run(self, seconds: int = 0) -> World:
        """Until nothing happens any more; then move time on to whatever somebody waits for, for ``seconds`` at most."""
        end = self.now + seconds
        while True:
            self._running = True
            try:
                self.loop.run_until_complete(self._quiet())
            finally:
                self._running = False
            due = [actor.wake for actor in self.actors.values() if actor.wake and actor.wake > self.now]
            at = min(due, default=end)
            if self.now >= end:
                return self
            self.now = min(max(at, self.now + 1), end)
            self.inside(self._tick)

    def _tick(self) -> None:
        for actor in list(self.actors.values()):
            if actor.wake and actor.wake <= self.now:
                actor.wake = 0
                actor.give(Tick())

    async def _quiet(self) -> None:
        still = 0
        while still < 12:
            moved = False
            while self._pending:
                self._pending.popleft()()
                moved = True
            actors = list(self.actors.values())
            self.rng.shuffle(actors)
            for actor in actors:
                moved = actor.pump() or moved
            busy = any(actor.member is not None and actor.member.inflight for actor in actors)
            still = 0 if moved or busy else still + 1
            await asyncio.sleep(0 if moved or not busy else 0.0005)
