"""What stories are played on: a relay in a process of its own, a federation, and devices with real vaults.

    with Stage(folder) as stage:                       the relay runs, and serves a federation of two agencies
        async with stage.live("ana") as ana:           a runtime in this process, over a socket, on a vault file
            topic = await stage.community(ana, …)      founded, and everyone named is in
            await ana.say(topic, "hello")              it stands in the log

Nothing here stands in for a part of ours: agents, vaults, runtimes, transports and the relay are the product's. Only
the keys of the cast are made once a process, since they cost more than a story; every stage has its own relay on its
own folder, and every device a vault of its own. To see a client die at a chosen moment, use `tests.support.
stage_process`; to disturb its line, a `tests.support.stage_cable.Cable`.

Whatever is awaited is an event or a state, with a limit; nothing sleeps.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import shutil
import tempfile
import time
from collections.abc import Callable, Iterable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self, TypeVar

from clients.clock import SystemClock
from clients.connection import Route
from clients.locked import Cost
from clients.profile import Profile
from clients.runtime import Runtime
from clients.transport import Transport
from clients.vault import Vault
from relay import keys as keyring
from relay.heads import OnlineKey
from securechan.agent.agent import Agent, Enrolled
from securechan.agent.effects import Effect
from securechan.agent.events import Alarm, Event, MessageReceived
from securechan.agent.inputs import Command, CreateConversation, SendText
from securechan.agent.look import ConversationSummary
from securechan.agent.policy import AgencyScope, Kind, Policy
from securechan.agent.state import ARCHIVE, TABLES
from securechan.bulletin.tlp import Tlp
from securechan.trust import authority
from securechan.trust.bundle import Bundle
from securechan.trust.records import CommunityBinding, RelayRecord, made
from securechan.wire.handshake import DeviceCredential, RelayIdentity
from tests.support.federation import Device, make_device
from tests.support.relayproc import RelayProcess
from tests.support.stage_actor import soon
from tests.support.stage_ledger import Ledger
from tests.support.world import application, first_root, signer

PATIENCE: Final = 30.0  # seconds that anything may take on a busy machine
PASSPHRASE: Final = "correct horse battery staple"
CHEAP: Final = Cost(64, 1, 1)  # Argon2id, as little as it takes
RELAY: Final = "relay-1"
CAST: Final = {"ana": "cert-hr", "bor": "cert-hr", "cene": "cert-si", "dora": "cert-si"}
"""Officers, and the agency of each; the device of ``ana`` is ``cert-hr/ana-laptop``."""
COMMUNITY: Final = "eu-csirts"
"""The federation binds this name to ana's device as its founder."""

E = TypeVar("E", bound=Event)
T = TypeVar("T")


# ------------------------------------------------------------------------------------------------------ the federation


@dataclass(frozen=True)
class Founding:
    """A relay's folder with its keys, ready to be copied; its federation, and the devices that are in it."""

    folder: Path
    bundle: bytes
    root: bytes
    root_id: bytes
    kem: bytes
    devices: dict[str, Device]
    _keeper: Any  # the folder goes with it


Cast = tuple[tuple[str, str], ...]


@cache
def founding(extras: Cast = ()) -> Founding:
    """The same federation for every stage of this process: two agencies, their devices, one bound community."""
    cast = (*CAST.items(), *extras)
    keeper = tempfile.TemporaryDirectory(prefix="securechan-stage-", ignore_cleanup_errors=True)
    folder, now = Path(keeper.name) / "relay", int(time.time())
    keyring.make_home(folder)
    keys = keyring.make(folder, now)
    online = OnlineKey(keys.online).public
    devices = {name: make_device(home, f"{name}-laptop", name, "liaison", "desk", now=now) for name, home in cast}
    papers = []
    for agency in sorted(set(CAST.values())):
        records = [devices[name].record for name, home in cast if home == agency]
        roster = authority.roster(None, agency, now=now, add=records).sign(signer(f"{agency}-roster"))
        papers.append(application(agency, now, roster))
    root = first_root(online, now)
    relay = RelayRecord.make(RELAY, ["ws://127.0.0.1:1"], [keys.newest.public], [online], publisher=True)
    bound = made(CommunityBinding, name=COMMUNITY, founders=(devices["ana"].name,), group=None)
    targets = authority.federation(None, now=now, admit=papers, relays=[relay], communities=[bound])
    bundle = Bundle.of([root, targets.sign(signer("targets")), *(each for paper in papers for each in paper.documents)])
    return Founding(
        folder, bundle.encode(), bundle.root, hashlib.sha384(bundle.root).digest(), keys.newest.public, devices, keeper
    )


# ----------------------------------------------------------------------------------------------------------- a device


@dataclass
class Live:
    """A device at work in this process; while it isn't, its vault is all there is of it.

    ``events`` is everything its screens were told, in all its lives; `archive` is what its vault shows.
    """

    name: str
    profile: Profile
    root_id: bytes
    kem: bytes
    url: str
    ledger: Ledger
    events: list[Event] = field(default_factory=list)
    before_effect: Callable[[Effect], None] | None = None
    _runtime: Runtime | None = None
    _exits: AsyncExitStack | None = None

    @property
    def runtime(self) -> Runtime:
        assert self._runtime is not None, f"{self.name} is not at work"
        return self._runtime

    @property
    def agent(self) -> Agent:
        return self.runtime.agent

    @property
    def device(self) -> str:
        """``cert-hr/ana-laptop``."""
        return self.agent.device

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._exits is not None:
            await self.stop()

    async def start(self) -> Self:
        """Open the vault, and go online as soon as the relay answers."""
        async with AsyncExitStack() as exits:
            vault = exits.enter_context(Vault.open(self.profile.vault, PASSPHRASE))
            agent = Agent.load({table: vault.all(table) for table in TABLES})
            transport = Transport(lambda: self._route(runtime.agent), SystemClock(), backoff=soon)
            runtime = Runtime(vault, agent, transport, SystemClock(), before_effect=self._watch)
            runtime.listen(self.events.append)
            self._runtime = runtime
            await exits.enter_async_context(runtime)
            self._exits = exits.pop_all()
        return self

    async def stop(self) -> None:
        """Say bye, and close the vault."""
        exits, self._exits, self._runtime = self._exits, None, None
        if exits is not None:
            await exits.aclose()

    def _route(self, agent: Agent) -> Route:
        return Route(RelayIdentity(self.root_id, RELAY, self.kem), (self.url,), DeviceCredential(*agent.credential()))

    def _watch(self, effect: Effect) -> None:
        self.ledger.note(self.runtime.agent, effect)
        if self.before_effect is not None:
            self.before_effect(effect)

    # ------------------------------------------------------------------------------------------------------- doing

    async def do(self, command: Command) -> Any:
        """A command; its answer."""
        async with asyncio.timeout(PATIENCE):
            return await self.runtime.do(command)

    async def until(self, predicate: Callable[[Agent], T | None], patience: float = PATIENCE) -> T:
        """Wait until the agent's state is so."""
        return await self.runtime.until(predicate, patience)

    async def heard(self, kind: type[E], count: int = 1, where: Callable[[E], bool] = lambda _: True) -> list[E]:
        """Wait until so many events of this kind have been told."""

        def found(_: Agent) -> list[E] | None:
            told = [each for each in self.told(kind) if where(each)]
            return told if len(told) >= count else None

        return await self.until(found)

    async def idle(self) -> None:
        """Everything is read, and everything of ours is in the log."""
        await self.until(lambda agent: agent.idle)

    async def say(self, topic: bytes, body: str) -> None:
        """Send a text, and wait until it stands in the log."""
        identity = await self.do(SendText(topic, body, Tlp.GREEN))
        await self.until(lambda agent: agent.outgoing(identity) == "sent")

    # ----------------------------------------------------------------------------------------------------- looking

    def told(self, kind: type[E]) -> list[E]:
        """Events of a kind, in order."""
        return [each for each in self.events if isinstance(each, kind)]

    def talk(self, topic: bytes) -> ConversationSummary:
        return self.agent.conversation(topic)

    def alarms(self) -> list[Alarm]:
        return self.told(Alarm)

    def words(self, topic: bytes) -> list[str]:
        """The texts that the vault's archive shows of a conversation, in order."""
        return [each["body"] for each in self.archive(topic) if each["event"] == "message-received"]

    def heard_words(self, topic: bytes) -> list[str]:
        """The texts that screens were told, in order."""
        return [each.body for each in self.told(MessageReceived) if each.conversation == topic]

    def archive(self, topic: bytes) -> list[dict[str, Any]]:
        """What the vault shows of a conversation."""
        return archive(self.runtime.vault, topic)


def archive(vault: Vault, topic: bytes) -> list[dict[str, Any]]:
    """A conversation's events as they stand in a vault."""
    return [json.loads(value) for _, value in vault.range(ARCHIVE, topic.hex(), limit=100_000)]


# ---------------------------------------------------------------------------------------------------------- the stage


class Stage:
    """A relay and the cast (``extras`` join those who are always there). ``environment`` adds ``SECURECHAN_RELAY_*``
    settings."""

    def __init__(self, folder: Path, extras: Cast = (), **environment: str) -> None:
        self.founding = founding(extras)
        self.folder = folder
        self.ledger = Ledger(folder / "ledger")
        home = folder / "relay"
        shutil.copytree(self.founding.folder, home)
        self.relay = RelayProcess(home, name=RELAY, environment=environment)

    def __enter__(self) -> Self:
        self.relay.start()
        self.relay.adopt(self.founding.bundle)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.relay.__exit__(kind, error, trace)
        self.ledger.close()

    def port(self) -> int:
        """Where the relay listens; for a cable."""
        return self.relay.port

    def profile(self, name: str) -> Profile:
        """The profile of one of the cast; enrolled, as if approved, where it is new."""
        profile = Profile(name, self.folder / name)
        if not profile.enrolled:
            profile.make()
            device = self.founding.devices[name]
            enrolled = Enrolled(
                device.name,
                device.record.address,
                bytes(device.key.private),
                bytes(device.inbox.private),
                device.inbox.public,
                self.founding.root,
                self.founding.root_id,
                RELAY,
                self.relay.url,
                self.founding.kem,
            )
            step = Agent.enrol(enrolled, int(time.time()))
            Vault.create(profile.vault, PASSPHRASE, writes=step.writes, cost=CHEAP).close()
        return profile

    def live(self, name: str, *, url: str = "") -> Live:
        """A device in this process. ``url``: where it takes the relay to be (a cable)."""
        profile, founded = self.profile(name), self.founding
        return Live(name, profile, founded.root_id, founded.kem, url or self.relay.url, self.ledger)

    @asynccontextmanager
    async def all(self, *names: str) -> Any:
        """Several devices at work."""
        async with AsyncExitStack() as exits:
            yield [await exits.enter_async_context(self.live(name)) for name in names]

    # ------------------------------------------------------------------------------------------------ conversations

    @staticmethod
    def community_policy(*agencies: str, name: str = COMMUNITY) -> Policy:
        """Of whole agencies, all of them by default."""
        named = agencies or tuple(sorted(set(CAST.values())))
        stewards = tuple(next(f"{who}@{home}" for who, home in CAST.items() if home == each) for each in named)
        scopes = tuple(AgencyScope(each, ()) for each in named)
        return Policy(name, Kind.COMMUNITY, scopes, (), stewards, Tlp.AMBER, 7 * 86400)

    @staticmethod
    def room_policy(name: str, agency: str = "cert-hr") -> Policy:
        """An agency's own room, which its devices join unasked."""
        steward = next(f"{who}@{home}" for who, home in CAST.items() if home == agency)
        return Policy(name, Kind.ROOM, (AgencyScope(agency, ()),), (), (steward,), Tlp.AMBER, 7 * 86400)

    async def found(self, founder: Live, others: Iterable[Live], policy: Policy | None = None) -> bytes:
        """Found a conversation, and wait until everyone there is a member in one epoch. Who belongs and isn't at work
        is not waited for. The answer is the topic."""
        everyone = [founder, *others]
        for each in everyone:
            await each.until(lambda agent: agent.synced)
        topic: bytes = await founder.do(CreateConversation(policy or self.community_policy()))
        await self.agree(topic, everyone)
        return topic

    @staticmethod
    async def agree(topic: bytes, everyone: Iterable[Live], *, epoch: int = 0) -> int:
        """Wait until all are members of the same epoch, not below ``epoch``, with nothing under way. Which one."""
        cast = list(everyone)
        devices = {each.device for each in cast}

        def settled(agent: Agent) -> int | None:
            row = next((each for each in agent.conversations() if each.topic == topic), None)
            if row is None or row.standing != "member" or not agent.idle or row.epoch < epoch:
                return None
            return row.epoch + 1 if devices <= {seat.device for seat in row.members} else None

        async with asyncio.timeout(PATIENCE):
            while True:
                reached = [await each.until(settled) - 1 for each in cast]
                newest = max(reached)
                for each in cast:
                    await each.until(lambda agent, least=newest: agent.conversation(topic).epoch >= least)
                if len({each.talk(topic).authenticator for each in cast}) == 1:
                    return newest
