"""A device in a `World`: its agent, what its vault would keep, and its way to the mailroom.

So it can be killed and loaded again between any two inputs, or after the writes and before the effects.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, TypeVar

from relay.member import Member
from relay.people import Device as DeviceWho
from securechan.agent.agent import Agent
from securechan.agent.asks import Ask
from securechan.agent.effects import Emit, Reconnect, Send, Wake
from securechan.agent.events import Event
from securechan.agent.inputs import Answered, Command, Connected, Disconnected, Input, Received
from securechan.agent.state import ARCHIVE, TABLES
from securechan.agent.tables import Write
from securechan.wire.frames import Answer, Entries, Frame, Heads, Reason
from tests.support.federation import Device

if TYPE_CHECKING:
    from tests.support.world import World

RELAY: Final = "relay-1"

E = TypeVar("E", bound=Event)


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
