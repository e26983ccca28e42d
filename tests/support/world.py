"""A whole federation in one process without a socket: real agents, a real mailroom over its memory store, one clock.

    world = World("cert-hr", "cert-si")
    ana = world.enrol("cert-hr", "ana-laptop", "ana", "liaison", "desk")
    ana.connect(); …; topic = ana.do(CreateConversation(policy)); world.run()

Time stands still until `World.run` moves it, which carries every request to the mailroom and every frame back until
nothing more happens, and then, if asked to, moves time on to whatever somebody waits for.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from functools import cache
from random import Random
from typing import Any, Final

from relay.heads import OnlineKey
from relay.mailroom import Mailroom
from relay.store.memory import MemoryStore
from relay.trust_topic import TrustTopic
from securechan.agent.agent import Agent, Enrolled
from securechan.agent.inputs import Tick
from securechan.agent.policy import AgencyScope, Kind, Policy
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
from securechan.wire.frames import TrustDocument
from tests.support.actor import RELAY, Actor
from tests.support.federation import Device, make_device, root_signer

NOW: Final = 1_800_000_000
_KEYS: Final[dict[str, bytes]] = {}


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
