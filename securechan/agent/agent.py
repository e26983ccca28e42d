"""A member's mind as a value: rows that last, a session that doesn't, and one function over both.

    (agent, input, now) ──on──► Transition(agent', writes, effects, answer)

Adopt the writes in one transaction, go on with the new agent, then perform the effects, in this order. To lose an agent
between any two of these costs nothing: `Agent.load` over what was adopted gives the same mind, disconnected, and what
has to be done it asks for again. Commands raise, and then the agent that was stays; nothing from outside raises.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Final, assert_never

from securechan.agent import (
    answers,
    blobs,
    claims,
    commands,
    forwards,
    inbox,
    letters,
    look,
    packages,
    reading,
    receipts,
    reconcile,
    rotation,
    sending,
    setback,
    trustlog,
)
from securechan.agent.asks import Comparing, Following
from securechan.agent.effects import Effect, Wake
from securechan.agent.events import BoxRead
from securechan.agent.inputs import Answered, Connected, Disconnected, Input, Received, Tick
from securechan.agent.memory import Memory
from securechan.agent.policy import agency_of
from securechan.agent.session import Session
from securechan.agent.state import (
    CONSENTS,
    CONVERSATIONS,
    KEYS,
    KINDS,
    ME,
    ONLY,
    OUTBOX,
    TRUST,
    ConsentRow,
    DeviceKey,
    KeyState,
    Me,
    Offer,
    Trust,
)
from securechan.agent.tables import Rows, Write
from securechan.agent.turn import Turn
from securechan.crypto.suite import HYBRID
from securechan.errors import Malformed, NotFound
from securechan.mls.join import Each, in_turn
from securechan.trust.records import key_hash
from securechan.trust.view import View
from securechan.wire.chain import Position, start
from securechan.wire.frames import TRUST_TOPIC, Entries, GetHeads, Halt, Heads, Subscribe, inbox_topic

HEADS_EVERY: Final = 300  # seconds between two comparisons of signed heads


@dataclass(frozen=True, slots=True)
class Enrolled:
    """What enrolment has made: who this device is, its keys, the root of its federation, and how its relay is reached
    before trust says so. ``root`` is root version 1."""

    device: str
    officer: str
    signature_private: bytes = field(repr=False)
    inbox_private: bytes = field(repr=False)
    inbox_public: bytes
    root: bytes
    root_id: bytes
    relay: str
    url: str
    relay_key: bytes


@dataclass(frozen=True, slots=True)
class Transition:
    """What an input has brought about."""

    agent: Agent
    writes: tuple[Write, ...]
    effects: tuple[Effect, ...]
    answer: object | None


@dataclass(frozen=True, slots=True)
class Agent:
    """``random`` gives the chance that isn't a key's: ids, topics, blob keys; ``each`` checks the members of a group
    that is joined, on as many cores as the caller lends."""

    rows: Rows
    session: Session = field(default_factory=Session)
    random: Callable[[int], bytes] = secrets.token_bytes
    memory: Memory = field(default_factory=Memory, repr=False, compare=False)
    each: Each = field(default=in_turn, repr=False, compare=False)

    @classmethod
    def enrol(cls, enrolled: Enrolled, now: int, random: Callable[[int], bytes] = secrets.token_bytes) -> Transition:
        """The first state of a new profile. Raises `Untrusted` or `Malformed` where the root isn't the one named."""
        place = start(TRUST_TOPIC)
        view = View.bootstrap(enrolled.root, root_id=enrolled.root_id, position=place)
        public = HYBRID.signature.public(enrolled.signature_private)
        me = Me(
            enrolled.device,
            enrolled.officer,
            HYBRID.number,
            enrolled.inbox_private,
            enrolled.inbox_public,
            enrolled.relay,
            enrolled.url,
            enrolled.relay_key,
            0,
        )
        draft = Rows().edit()
        draft.put(ME, ONLY, me)
        draft.put(TRUST, ONLY, Trust(view))
        key = DeviceKey(enrolled.signature_private, public, KeyState.CURRENT, now)
        draft.put(KEYS, key_hash(public).hex(), key)
        rows, writes = draft.seal()
        return Transition(cls(rows, Session(), random), writes, (), None)

    @classmethod
    def load(
        cls,
        records: Mapping[str, Mapping[str, bytes]],
        random: Callable[[int], bytes] = secrets.token_bytes,
        each: Each = in_turn,
    ) -> Agent:
        """The agent whose writes these tables (`state.TABLES`) have adopted. Raises `Malformed`."""
        rows = Rows.load(KINDS, records)
        if rows.get(ME, ONLY) is None or rows.get(TRUST, ONLY) is None:
            raise Malformed("these tables hold no agent")
        return cls(rows, Session(), random, each=each)

    def records(self) -> dict[str, dict[str, bytes]]:
        """Everything durable, as the tables that adopted every write hold it."""
        return self.rows.records(KINDS)

    def on(self, what: Input, now: int) -> Transition:
        """One input at ``now`` (Unix seconds). Raises for a command that can't be done, and for nothing else."""
        turn = Turn(self.rows, self.session, self.random, now, self.memory, self.each)
        answer: object | None = None
        match what:
            case Connected():
                _connected(turn, what)
            case Disconnected():
                turn.session = Session()
            case Received(frame):
                if turn.session.connected:
                    _received(turn, frame)
            case Answered(ref, body):
                answers.on_answer(turn, ref, body)
            case Tick():
                _ticked(turn)
            case _:
                answer = commands.run(turn, what)
        if 0 < turn.session.wake <= now:
            _ticked(turn)  # it is time for what somebody waits for, whatever input has come first
        _settle(turn)
        return self._sealed(turn, answer)

    # -------------------------------------------------------------------------------------------------------- looking

    @property
    def me(self) -> Me:
        return self.rows.all(ME)[ONLY]

    @property
    def device(self) -> str:
        """``"agency/device"``."""
        return self.me.device

    @property
    def officer(self) -> str:
        """``"officer@agency"``."""
        return self.me.officer

    @property
    def agency(self) -> str:
        return agency_of(self.me.device)

    @property
    def view(self) -> View:
        return self.rows.all(TRUST)[ONLY].view

    @property
    def trust_position(self) -> Position:
        place = self.view.position
        return Position(place.sequence, place.chain)

    @property
    def connected(self) -> bool:
        return self.session.connected

    @property
    def synced(self) -> bool:
        """Whether trust, inbox and every conversation have been read to the end in this session."""
        return next(look.unread(self.rows, self.session), None) is None

    @property
    def idle(self) -> bool:
        """Synced, and nothing of ours is on its way any more."""
        return self.synced and next(look.leaving(self.rows), None) is None

    def at_rest(self, now: int) -> bool:
        """As `idle`, but for commits that the relay does not want to see before some time has passed, and for messages
        that wait for other people. ``now`` in Unix seconds."""
        return self.synced and next(look.leaving(self.rows, now, self._away(now)), None) is None

    def under_way(self, now: int) -> tuple[str, ...]:
        """What is not at rest, each in a few words for people."""
        return (*look.unread(self.rows, self.session), *look.leaving(self.rows, now, self._away(now)))

    def _away(self, now: int) -> frozenset[bytes]:
        """Conversations in which what is queued waits for others."""
        queued = {item.topic for item in self.rows.all(OUTBOX).values()} & look.followed(self.rows)
        if not queued:
            return frozenset()
        turn = Turn(self.rows, self.session, self.random, now, self.memory)  # only looked at, never sealed
        rows = [turn.conversation(topic) for topic in queued]
        return frozenset(
            row.topic for row in rows if sending.waits_for_others(turn, row, reconcile.difference_of(turn, row.topic))
        )

    @property
    def next_wake(self) -> int:
        """When time is next of interest, Unix seconds; 0 for never."""
        return self.session.wake

    @property
    def inbox_private(self) -> bytes:
        return self.me.inbox_private

    def credential(self) -> tuple[str, bytes, bytes, Position]:
        """(device, private key, public key, trust position): what the handshake proves this device with. A new key
        speaks as soon as the roster lists it."""
        for wanted in (KeyState.ADOPTING, KeyState.CURRENT):
            for key in self.keys():
                if key.state is wanted:
                    return self.device, key.private, key.public, self.trust_position
        raise NotFound("this device has no signature key")

    def keys(self) -> tuple[DeviceKey, ...]:
        """Signature keys, the oldest first."""
        return tuple(sorted(self.rows.all(KEYS).values(), key=lambda key: (key.made, key.public)))

    def conversations(self, now: int = 0) -> tuple[look.ConversationSummary, ...]:
        """All conversations by name; with ``now``, also since when nobody was heard."""
        return look.conversations(self.rows, self.session, now)

    def conversation(self, topic: bytes, now: int = 0) -> look.ConversationSummary:
        """Raises `NotFound`."""
        row = self.rows.get(CONVERSATIONS, topic.hex())
        if row is None:
            raise NotFound("no such conversation", hint="list them with: securechan conversation ls")
        return look.conversation(self.rows, self.session, row, now)

    def offers(self) -> tuple[Offer, ...]:
        """Conversations that wait for a person's yes."""
        return look.offers(self.rows)

    def arriving(self) -> tuple[Offer, ...]:
        """Conversations that will be offered, or joined, once all of their invitation is here."""
        return look.arriving(self.rows)

    def outgoing(self, payload: bytes) -> str:
        """``queued``, ``sealed``, ``sent`` or ``unknown``."""
        return look.outgoing(self.rows, payload)

    def bulletins(self) -> tuple[look.BulletinSummary, ...]:
        return look.bulletins(self.rows)

    def consents(self) -> tuple[ConsentRow, ...]:
        """What was asked of us and by us, the newest first."""
        return tuple(sorted(self.rows.all(CONSENTS).values(), key=lambda each: (-each.time, each.bulletin)))

    def acks(self, bulletin: str, topic: bytes | None = None) -> tuple[look.AckList, ...]:
        """Who has received and acknowledged, and who hasn't. Raises `NotFound`."""
        return look.acks(self.rows, bulletin, topic)

    # --------------------------------------------------------------------------------------------------------- working

    def _sealed(self, turn: Turn, answer: object | None) -> Transition:
        effects = tuple(turn.effects)
        if turn.session.wake > turn.now and turn.session.wake != self.session.wake:
            effects = (*effects, Wake(turn.session.wake))
        rows, writes = turn.rows.seal()
        return Transition(replace(self, rows=rows, session=turn.session), (*writes, *turn.archive), effects, answer)


# --------------------------------------------------------------------------------------------------------- the inputs


def _connected(turn: Turn, what: Connected) -> None:
    offset = what.relay_time // 1000 - turn.now
    turn.session = Session(connected=True, relay=what.relay, offset=offset)
    setback.mend(turn)
    turn.send(Subscribe(TRUST_TOPIC, turn.trust_position.sequence), Following(TRUST_TOPIC))


def _received(turn: Turn, frame: Entries | Heads) -> None:
    match frame:
        case Heads():
            claims.on_heads(turn, frame)
            for topic in list(turn.session.doubts):
                reading.go_on(turn, topic)
        case Entries(topic) if topic == TRUST_TOPIC:
            trustlog.on_entries(turn, frame)
        case Entries(topic) if topic == inbox_topic(turn.me.device):
            inbox.on_entries(turn, frame)
        case Entries(topic, entries, halt) if topic in turn.session.boxes:
            for entry in entries:
                turn.emit(BoxRead(topic, entry.sequence, entry.body))
            if halt is Halt.TAIL:
                turn.emit(BoxRead(topic, 0, b""))
        case Entries():
            reading.on_entries(turn, frame)
        case _:
            assert_never(frame)


def _ticked(turn: Turn) -> None:
    turn.set_session(wake=0)
    turn.everything = True
    if turn.able:
        inbox.go_on(turn)
        _compare(turn)
        for topic in list(turn.session.doubts):
            reading.go_on(turn, topic)
    for topic, at in list(turn.session.refollow.items()):
        if at <= turn.now:
            turn.set_session(refollow={k: v for k, v in turn.session.refollow.items() if k != topic})
            turn.set_live(topic, following=False)
        else:
            turn.wake(at)


def _compare(turn: Turn) -> None:
    """Ask for signed heads now and then: they are what convicts a relay that shows us another log."""
    if turn.session.compared + HEADS_EVERY > turn.now:
        turn.wake(turn.session.compared + HEADS_EVERY)
        return
    turn.set_session(compared=turn.now)
    following = [topic for topic, live in turn.session.live.items() if live.synced]
    turn.send(GetHeads((TRUST_TOPIC, *following[:64])), Comparing())
    turn.wake(turn.now + HEADS_EVERY)


def _settle(turn: Turn) -> None:
    """Look at whatever this input has touched, until nothing more follows from it."""
    if turn.able:
        if turn.everything:
            rotation.look(turn)
            forwards.stand_in(turn)
        forwards.follow(turn)
        receipts.post(turn)
    for _ in range(16):
        if turn.everything:
            turn.everything = False
            turn.dirty.update(each.topic for each in turn.conversations())
        if not turn.dirty:
            break
        topics, turn.dirty = sorted(turn.dirty), set()
        for topic in topics:
            if turn.rows.get(CONVERSATIONS, topic.hex()) is not None:
                reconcile.settle(turn, topic)
    if turn.able:
        packages.look(turn)
    if turn.session.connected:
        letters.deliver(turn)
        blobs.run(turn)
