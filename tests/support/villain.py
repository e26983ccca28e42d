"""A device that is a member by right and whose code is somebody else's.

    async with Villain.take(dora, topic) as villain:      dora stops; who took her vault speaks in her name
        await villain.say(words)                          a payload, with any authenticated data
        await villain.commit(adds=…, access=…)            a commit of anything, with any hash
        await villain.append(garbage, claim)              any bytes at all
        await villain.until(lambda: villain.epoch == 7)   it reads on, as members do

It has what the vault held: the group's value, the device's key, the cursor. It shakes hands as the device and speaks
raw requests, so the relay and everyone else meet it as they would meet a bent client. What an honest client never
makes is made with the engine's own parts.
"""

from __future__ import annotations

import asyncio
import contextlib
import secrets
from collections.abc import AsyncIterator, Callable, Collection, Iterator
from dataclasses import dataclass, field, replace
from typing import Any, Self
from unittest import mock

from clients.clock import SystemClock
from clients.connection import Connection, Ended, Route, connect
from clients.vault import Vault
from securechan.agent.agent import Agent
from securechan.agent.claims import Claim
from securechan.agent.founding import FOUNDING
from securechan.agent.policy import POLICY, Officer
from securechan.agent.state import CONVERSATIONS, GROUPS, TABLES, Conversation
from securechan.agent.turn import access_hash, access_secret
from securechan.bulletin.payload import (
    Control,
    ControlKind,
    DeviceConfirmation,
    Payload,
    PayloadBody,
    RosterDocument,
    RosterNotice,
    Text,
)
from securechan.bulletin.tlp import Tlp
from securechan.crypto.suite import HYBRID
from securechan.mls import commit as commits
from securechan.mls.framing import PrivateMessage
from securechan.mls.group import Group
from securechan.mls.keypackage import KeyPackage, KeyPackageBundle, LeafKeys, new_key_package
from securechan.mls.labels import HPKECiphertext
from securechan.mls.message import MLSMessage, encode_message
from securechan.mls.nodes import BasicCredential, Capabilities
from securechan.mls.outcomes import Application, Committed
from securechan.mls.protection import open_content, open_sender, seal
from securechan.mls.registry import CredentialType, ProtocolVersion
from securechan.mls.send import Step
from securechan.mls.treekem import NewPath, UpdatePath, UpdatePathNode
from securechan.mls.treemath import LeafIndex
from securechan.wire.chain import Position, advance
from securechan.wire.frames import (
    Answer,
    AnswerBody,
    Append,
    Appended,
    CommitClaim,
    Entries,
    Entry,
    EntryKind,
    Halt,
    Request,
    RequestBody,
    Show,
    Subscribe,
)
from securechan.wire.handshake import DeviceCredential, RelayIdentity
from tests.support.stage import PASSPHRASE, PATIENCE, RELAY, Live


def garbage_hash() -> bytes:
    """An access hash that is nobody's. (The relay takes each but once.)"""
    return secrets.token_bytes(32)


class Wire:
    """A raw session: requests are awaited, entries handed on as they come, one run after the other."""

    def __init__(self, connection: Connection, hear: Callable[[Entries], None]) -> None:
        self._connection = connection
        self._hear = hear
        self._numbers = 0
        self._asked: dict[int, asyncio.Future[AnswerBody]] = {}
        self.ended: Ended | None = None
        self.changed = asyncio.Event()
        self._reader = asyncio.create_task(self._read())

    @classmethod
    @contextlib.asynccontextmanager
    async def open(cls, route: Route, hear: Callable[[Entries], None]) -> AsyncIterator[Self]:
        wire = cls(await connect(route, route.urls[0], SystemClock()), hear)
        try:
            yield wire
        finally:
            wire._reader.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await wire._reader
            await wire._connection.close()

    def send(self, body: RequestBody) -> asyncio.Future[AnswerBody]:
        """Ask; the answer is the future's."""
        self._numbers += 1
        future: asyncio.Future[AnswerBody] = asyncio.get_running_loop().create_future()
        self._asked[self._numbers] = future
        self._connection.send(Request.of(self._numbers, body))
        return future

    async def ask(self, body: RequestBody) -> AnswerBody:
        async with asyncio.timeout(PATIENCE):
            return await self.send(body)

    async def _read(self) -> None:
        try:
            while True:
                for frame in await self._connection.receive():
                    match frame:
                        case Answer(number, _, body):
                            future = self._asked.pop(number)
                            if not future.done():
                                future.set_result(body)
                        case Entries():
                            self._hear(frame)
                        case _:
                            pass  # signed heads: it knows what it did
                self._wake()
        except Ended as ended:
            self.ended = ended
            for future in self._asked.values():
                if not future.done():
                    future.set_exception(ended)
        finally:
            self._wake()

    def _wake(self) -> None:
        changed, self.changed = self.changed, asyncio.Event()
        changed.set()


@dataclass
class Villain:
    """The state that was in a vault, and a session in its device's name."""

    agent: Agent
    group: Group
    row: Conversation
    wire: Wire | None = None
    secrets: list[bytes] = field(default_factory=list)  # access secrets, the oldest first
    cursor: Position = field(init=False)
    last_commit: int = field(init=False)
    own: dict[bytes, Step] = field(default_factory=dict)  # commits of its own that the others will take
    entries: list[Entry] = field(default_factory=list)
    texts: list[str] = field(default_factory=list)
    halt: Halt = Halt.MORE
    shown: set[bytes] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.cursor, self.last_commit = self.row.cursor, self.row.last_commit

    @classmethod
    @contextlib.asynccontextmanager
    async def take(cls, live: Live, topic: bytes) -> AsyncIterator[Self]:
        """Stop a device and go on in its name. It shows its secrets and reads along."""
        await live.stop()
        agent = cls.vault(live)
        group, row = agent.rows.get(GROUPS, topic.hex()), agent.rows.get(CONVERSATIONS, topic.hex())
        assert group is not None
        assert row is not None
        villain = cls(agent, group, row)
        villain.secrets = [access_secret(group)]
        async with Wire.open(cls.route(live, agent), villain._hear) as wire:
            villain.wire = wire
            villain.show(*villain.secrets)
            await villain.ask(Subscribe(topic, villain.cursor.sequence))
            await villain.until(lambda: villain.halt in (Halt.TAIL, Halt.END))
            yield villain

    @staticmethod
    def vault(live: Live) -> Agent:
        """What the vault of a device holds that isn't at work."""
        with Vault.open(live.profile.vault, PASSPHRASE) as vault:
            return Agent.load({table: vault.all(table) for table in TABLES})

    @staticmethod
    def route(live: Live, agent: Agent) -> Route:
        relay = RelayIdentity(live.root_id, RELAY, live.kem)
        return Route(relay, (live.url,), DeviceCredential(*agent.credential()))

    # ------------------------------------------------------------------------------------------------------- speaking

    @property
    def topic(self) -> bytes:
        return self.row.topic

    @property
    def device(self) -> str:
        return self.agent.device

    @property
    def epoch(self) -> int:
        return self.group.epoch

    @property
    def claim(self) -> Claim:
        """What an honest sender would say of the log and of trust now."""
        return Claim(self.cursor, self.agent.trust_position)

    async def ask(self, body: RequestBody) -> AnswerBody:
        assert self.wire is not None
        return await self.wire.ask(body)

    async def append(self, message: bytes, commit: CommitClaim | None = None, entry_id: bytes = b"") -> int:
        """Any bytes, as a payload or in the place of a commit; the sequence at which they stand."""
        answer = await self.ask(Append(self.topic, entry_id or secrets.token_bytes(32), message, commit))
        assert isinstance(answer, Appended), answer
        return answer.sequence

    def sealed(self, content: PayloadBody | bytes, *, data: bytes | None = None, identity: bytes = b"") -> bytes:
        """A message of its own, with any payload and any authenticated data."""
        if not isinstance(content, bytes):
            content = Payload.of(identity or secrets.token_bytes(16), 0, content).encode()
        honest = self.claim.encode()
        self.group, message = self.group.protect(content, authenticated_data=honest if data is None else data)
        return message

    async def say(self, content: PayloadBody | bytes | str, *, data: bytes | None = None) -> int:
        """A payload that the others can decrypt."""
        body = Text(Tlp.GREEN, content) if isinstance(content, str) else content
        return await self.append(self.sealed(body, data=data))

    def made(self, *, data: bytes | None = None, bent: Collection[int] | None = None, **changes: Any) -> Step:
        """A commit of anything. ``bent``: nodes of the path, counted from below, whose secrets nobody can open."""
        with bending(bent) if bent is not None else contextlib.nullcontext():
            step = self.group.commit(
                authenticated_data=self.claim.encode() if data is None else data, tree_in_welcome=False, **changes
            )
        self.group = step.current
        return step

    async def offer(self, step: Step, *, access: bytes | None = None, counts: bool = True) -> int:
        """Put a commit into the log with this access hash. ``counts``: the others will take it, so will we."""
        if counts:
            self.own[step.commit] = step
        claim = CommitClaim(self.last_commit, access or access_hash(access_secret(step.next)))
        return await self.append(step.commit, claim)

    # -------------------------------------------------------------------------------------------------------- reading

    async def until(self, so: Callable[[], bool]) -> None:
        """Read on until it is so."""
        assert self.wire is not None
        async with asyncio.timeout(PATIENCE):
            while not so():
                if self.wire.ended is not None:
                    raise self.wire.ended
                await self.wire.changed.wait()

    def _hear(self, run: Entries) -> None:
        if run.topic != self.topic:
            return
        for entry in run.entries:
            if entry.sequence > self.cursor.sequence:
                self._read(entry)
        self.halt = run.halt
        fresh = [secret for secret in self.secrets if secret not in self.shown]
        if fresh or run.halt is Halt.SHOW:
            self.halt = Halt.MORE  # there is more to come
            self.show(*self.secrets)

    def show(self, *secrets: bytes) -> None:
        """Show these, without waiting for what the relay says."""
        assert self.wire is not None
        for secret in secrets:
            self.shown.add(secret)
            self.wire.send(Show(self.topic, secret)).add_done_callback(lambda done: done.exception())

    def _read(self, entry: Entry) -> None:
        self.entries.append(entry)
        self.cursor = advance(self.cursor, entry.kind, entry.entry_id, entry.sequence, entry.body)
        if entry.kind is EntryKind.COMMIT:
            self.last_commit = entry.sequence
        if entry.body in self.own:
            self.group = self.own[entry.body].next
            self.secrets = [*self.secrets, access_secret(self.group)][-8:]
            return
        match self.group.receive(entry.body):
            case Committed(group) if entry.kind is EntryKind.COMMIT:
                self.group = group
                self.secrets = [*self.secrets, access_secret(self.group)][-8:]
            case Application(group, _, plaintext):
                self.group = group
                with contextlib.suppress(Exception):
                    body = Payload.decode(plaintext).body
                    if isinstance(body, Text):
                        self.texts.append(body.body)
            case _:
                pass


def again(group: Group, message: bytes, generation: int) -> bytes:
    """A member's message of this epoch, signature and all, sealed anew under a later generation of that member's keys.
    Whoever is in the epoch has these keys, and the signature covers no generation (RFC 9420 §6.1, §6.3.1). ``group``
    is the value before that message was read."""
    private = MLSMessage.decode(message).body
    assert isinstance(private, PrivateMessage)
    suite, state = group.suite, group.state
    sender = open_sender(suite, state.secrets.sender_data, private)
    leaf = LeafIndex(sender.leaf_index)
    ratchets, key = group.ratchets.take(suite, leaf, private.content_type, sender.generation)
    content = open_content(suite, key, sender, private)
    verified = content.verify(suite, state.leaf(leaf).signature_key, state.context.encode())
    while (number := ratchets.next_generation(leaf, private.content_type)) < generation:
        ratchets, _ = ratchets.take(suite, leaf, private.content_type, number)
    _, forged = seal(suite, state.secrets.sender_data, ratchets, leaf, verified.message, 0)
    return encode_message(forged)


def notice(role: str, content: bytes) -> PayloadBody:
    """A signed roster, told in a conversation."""
    return Control(ControlKind.ROSTER, RosterNotice((RosterDocument(role, content),)))


def vouching(device: str, key: bytes) -> bytes:
    """A payload that vouches for a device with this key hash."""
    return Payload.of(
        secrets.token_bytes(16), 0, Control(ControlKind.CONFIRM, DeviceConfirmation(device, key))
    ).encode()


def bundle(device: str, officer: str, now: int, private: bytes | None = None) -> KeyPackageBundle:
    """A key package that says to be of this device, with its private keys."""
    keys = LeafKeys(private or HYBRID.signature.generate()[0], BasicCredential(device.encode()))
    able = Capabilities((ProtocolVersion.MLS10,), (HYBRID.number,), (POLICY, FOUNDING), (), (CredentialType.BASIC,))
    return new_key_package(HYBRID, keys, now=now, leaf_extensions=(Officer(officer).extension(),), capabilities=able)


def package(device: str, officer: str, now: int, private: bytes | None = None) -> KeyPackage:
    """A key package that says to be of this device."""
    return bundle(device, officer, now, private).key_package


@contextlib.contextmanager
def bending(levels: Collection[int]) -> Iterator[None]:
    """Commits made in here carry path secrets that can't be opened, at these nodes of the path; empty: at none."""
    honest = commits.renew

    def renew(*given: Any, **named: Any) -> NewPath:
        return BentPath.of(honest(*given, **named), levels)

    with mock.patch.object(commits, "renew", renew):
        yield


@dataclass(frozen=True, slots=True)
class BentPath(NewPath):
    """A path whose secrets, at some nodes, are sealed to nobody."""

    levels: frozenset[int] = frozenset()

    @classmethod
    def of(cls, path: NewPath, levels: Collection[int]) -> BentPath:
        return cls(
            path.tree,
            path.leaf_node,
            path.filtered,
            path.path_secrets,
            path.private,
            path.commit_secret,
            frozenset(levels),
        )

    def seal(self, context: bytes, added: Collection[LeafIndex]) -> UpdatePath:
        honest = NewPath.seal(self, context, added)
        nodes = [
            replace(node, encrypted_path_secret=_spoiled(node)) if level in self.levels else node
            for level, node in enumerate(honest.nodes)
        ]
        return UpdatePath(honest.leaf_node, tuple(nodes))


def _spoiled(node: UpdatePathNode) -> tuple[HPKECiphertext, ...]:
    return tuple(
        HPKECiphertext(each.kem_output, bytes([each.ciphertext[0] ^ 1]) + each.ciphertext[1:])
        for each in node.encrypted_path_secret
    )
