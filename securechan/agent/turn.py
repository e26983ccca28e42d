"""One transition at work: the rows and the session being changed, and what is to be done when they are adopted.

Handlers take a `Turn` and change it; `agent.Agent.on` makes it, and seals it into the next agent, the writes and the
effects. A turn that raises is thrown away, so a command that can't be done has done nothing.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import Any, Final

from securechan.agent import past
from securechan.agent.archive import kept, to_json
from securechan.agent.asks import Ask
from securechan.agent.effects import Effect, Emit, Reconnect, Send
from securechan.agent.events import Alarm, AlarmKind, Event
from securechan.agent.memory import Memory
from securechan.agent.policy import Policy, Seat, policy_of, seats_of
from securechan.agent.session import Live, Session
from securechan.agent.state import (
    ARCHIVE,
    CONVERSATIONS,
    COUNTERS,
    GROUPS,
    KEYS,
    ME,
    ONLY,
    TRUST,
    Conversation,
    Counters,
    DeviceKey,
    KeyState,
    Me,
)
from securechan.agent.tables import Draft, Rows, Write
from securechan.crypto.secret import Secret
from securechan.crypto.signature import SigningKey
from securechan.crypto.suite import PROFILES, Suite, by_number
from securechan.errors import NotFound
from securechan.mls.group import Group
from securechan.mls.join import Each, in_turn
from securechan.mls.keypackage import LeafKeys
from securechan.mls.nodes import BasicCredential
from securechan.trust.view import View
from securechan.wire.chain import Position
from securechan.wire.frames import Entry, EntryKind, RequestBody

ACCESS_LABEL: Final = "securechan access"


class Turn:
    """The workbench of one input."""

    def __init__(
        self,
        rows: Rows,
        session: Session,
        random: Callable[[int], bytes],
        now: int,
        memory: Memory | None = None,
        each: Each = in_turn,
    ) -> None:
        self.rows: Draft = rows.edit()
        self.memory = memory or Memory()
        self.each = each
        self.session = session
        self.random = random
        self.now = now
        self.effects: list[Effect] = []
        self.archive: list[Write] = []
        self.dirty: set[bytes] = set()  # conversations to look at before the turn ends
        self.everything = False  # … or all of them
        self.news: list[tuple[str, bytes]] = []  # bulletins that have come, by row, with their content

    # ------------------------------------------------------------------------------------------------------- looking

    @property
    def me(self) -> Me:
        return self.rows.need(ME, ONLY)

    @property
    def agency(self) -> str:
        return self.me.device.partition("/")[0]

    @property
    def suite(self) -> Suite:
        return by_number(self.me.suite, PROFILES)

    @property
    def view(self) -> View:
        return self.rows.need(TRUST, ONLY).view

    @property
    def trust_position(self) -> Position:
        place = self.view.position
        return Position(place.sequence, place.chain)

    @property
    def ms(self) -> int:
        return self.now * 1000

    def key(self, *states: KeyState) -> DeviceKey | None:
        """The first of our signature keys in one of these states, in that order."""
        for state in states:
            for _, key in self.rows.items(KEYS):
                if key.state is state:
                    return key
        return None

    @property
    def signing(self) -> DeviceKey:
        """The signature key that speaks for this device now."""
        found = self.key(KeyState.ADOPTING, KeyState.CURRENT)
        if found is None:
            raise NotFound("this device has no signature key")
        return found

    @property
    def signer(self) -> SigningKey:
        """The same key, ready to sign."""
        return self.memory.signing(self.signing)

    def leaf_keys(self, key: DeviceKey) -> LeafKeys:
        return LeafKeys(self.memory.signing(key), BasicCredential(self.me.device.encode()))

    def conversation(self, topic: bytes) -> Conversation:
        """Raises `NotFound`."""
        found = self.rows.get(CONVERSATIONS, topic.hex())
        if found is None:
            raise NotFound("no such conversation", hint="list them with: securechan conversation ls")
        return found

    def conversations(self) -> Iterator[Conversation]:
        for _, each in self.rows.items(CONVERSATIONS):
            yield each

    def group(self, topic: bytes) -> Group:
        return self.rows.need(GROUPS, topic.hex())

    def policy(self, topic: bytes) -> Policy:
        return policy_of(self.group(topic).context_extensions)

    def seats(self, topic: bytes) -> Mapping[int, Seat]:
        return seats_of(self.group(topic))

    def live(self, topic: bytes) -> Live:
        return self.session.live.get(topic, Live())

    def shuffle(self, topic: bytes, name: str) -> bytes:
        """An order of names that nobody chose, and that differs from device to device."""
        return hashlib.sha256(topic + self.me.device.encode() + b"\0" + name.encode()).digest()

    # ------------------------------------------------------------------------------------------------------ changing

    def put(self, conversation: Conversation) -> None:
        self.rows.put(CONVERSATIONS, conversation.topic.hex(), conversation)
        self.dirty.add(conversation.topic)

    def change(self, topic: bytes, **changes: Any) -> Conversation:
        """The conversation with these fields changed, stored."""
        changed = replace(self.conversation(topic), **changes)
        self.put(changed)
        return changed

    def set_group(self, topic: bytes, group: Group) -> None:
        self.rows.put(GROUPS, topic.hex(), group)
        self.dirty.add(topic)

    def set_live(self, topic: bytes, **changes: Any) -> Live:
        changed = replace(self.live(topic), **changes)
        self.session = replace(self.session, live={**self.session.live, topic: changed})
        self.dirty.add(topic)
        return changed

    def session_forget(self, topic: bytes) -> None:
        """Begin a conversation's session anew."""
        live = {each: value for each, value in self.session.live.items() if each != topic}
        doubts = {each: value for each, value in self.session.doubts.items() if each != topic}
        self.session = replace(self.session, live=live, doubts=doubts)
        self.dirty.add(topic)

    def set_session(self, **changes: Any) -> None:
        self.session = replace(self.session, **changes)

    def next_row(self) -> str:
        """A row name that sorts after all that were made before."""
        counters = self._counters
        self.rows.put(COUNTERS, ONLY, replace(counters, queued=counters.queued + 1))
        return f"{counters.queued:016d}"

    @property
    def _counters(self) -> Counters:
        return self.rows.get(COUNTERS, ONLY) or Counters(0, 0)

    def move(self, topic: bytes, entry: Entry, position: Position) -> None:
        """One more entry of a conversation is read."""
        conversation = self.conversation(topic)
        last = entry.sequence if entry.kind is EntryKind.COMMIT else conversation.last_commit
        read = past.advanced(self.rows, conversation, position)
        self.put(replace(read, last_commit=last, spoke=self.now))

    # ------------------------------------------------------------------------------------------------------- effects

    def send(self, body: RequestBody, ask: Ask) -> bool:
        """Ask the relay, unless the same is asked already or nobody listens. Whether it went out."""
        if not self.session.connected or ask in self.session.asked:
            return False
        self.set_session(asked=self.session.asked | {ask})
        self.effects.append(Send(body, ask))
        return True

    def answered(self, ask: Ask) -> bool:
        """Whether that was asked in this session; it isn't any more."""
        if ask not in self.session.asked:
            return False
        self.set_session(asked=self.session.asked - {ask})
        return True

    def emit(self, event: Event) -> None:
        """Tell people; what is worth keeping is archived in the same transaction."""
        if kept(event):
            counters = self._counters
            self.rows.put(COUNTERS, ONLY, replace(counters, archived=counters.archived + 1))
            data = {"at": self.now, **to_json(event)}
            text = json.dumps(data, ensure_ascii=False, separators=(",", ":"))
            shelf = data.get("conversation") or "-"
            self.archive.append(Write(ARCHIVE, f"{shelf}/{counters.archived:012d}", text.encode("utf-8", "replace")))
        self.effects.append(Emit(event))

    def alarm(self, kind: AlarmKind, text: str, *, topic: bytes = b"", who: str = "", entry: int = 0) -> None:
        self.emit(Alarm(kind, topic, who, entry, text[:1000]))

    def reconnect(self, reason: str) -> None:
        self.effects.append(Reconnect(reason))

    def wake(self, at: int) -> None:
        """Be woken at ``at`` at the latest."""
        at = max(at, self.now + 1)
        if self.session.wake <= self.now or at < self.session.wake:
            self.set_session(wake=at)

    @property
    def able(self) -> bool:
        """Whether anything may be sealed at all: connected, and trust read to its head."""
        return self.session.connected and self.session.trust_synced


def access_secret(group: Group) -> Secret:
    """What shows the relay that we are in this epoch (32 bytes)."""
    return group.export(ACCESS_LABEL, b"", 32)


def access_hash(secret: bytes) -> bytes:
    return hashlib.sha256(secret).digest()
