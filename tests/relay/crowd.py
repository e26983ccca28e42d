"""Clients that believe nothing: what a relay sends them is held against what it may send.

A `Caller` is one session's outlet. It asks without waiting, reacts as a client does (shows the next secret where the
relay halted, asks again what was not stored), and checks each frame as it comes:

    an answer    to a question that is open, once
    entries      of a topic that is subscribed, each after the cursor once and in order, none left out but what its
                 owner trimmed from an inbox; none that the secrets shown do not open; none behind a commit whose secret
                 is to be shown first
    TAIL         only where nothing more has been heard
"""

from __future__ import annotations

import asyncio
import hashlib
import json
from dataclasses import dataclass, field
from typing import Any

from relay.mailroom import Mailroom
from relay.member import Member
from relay.people import Device
from securechan.wire.frames import (
    Answer,
    Append,
    Appended,
    Code,
    Deliver,
    Done,
    Entries,
    Error,
    Frame,
    Halt,
    Reason,
    RequestBody,
    Show,
    Subscribe,
    Unsubscribe,
)
from tests.relay.wayward import Chance, View

AGAIN = 8  # times that a request is repeated which the store could not serve


def claim(secret: bytes) -> bytes:
    return hashlib.sha256(secret).digest()


@dataclass
class Person:
    """A device: what it keeps from session to session."""

    name: str
    inbox: bytes
    secrets: dict[bytes, dict[int, bytes]] = field(default_factory=dict)  # by topic and the place of their commit
    cursors: dict[bytes, int] = field(default_factory=dict)
    caller: Caller | None = None

    @property
    def who(self) -> Device:
        return Device(self.name, self.name.partition("/")[0], frozenset(), bytes(48), None)


@dataclass
class Post:
    """One relay: its mailroom, what it was told, and the confirmations that it has made or heard of."""

    mailroom: Mailroom
    view: View
    chance: Chance
    confirmed: dict[bytes, dict[int, int]] = field(default_factory=dict)  # topic → place of the commit → closes
    callers: dict[Caller, None] = field(default_factory=dict)
    faults: list[AssertionError] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.view.dropped = self._dropped
        confirm = self.mailroom._hearing.confirm

        def heard(topic: Any, rung: Any, closes: int) -> None:
            self.mailroom._hearing.send()  # what was heard before may still go to all
            made = self.confirmed.setdefault(topic.id, {})
            made[rung.sequence] = max(closes, made.get(rung.sequence, 0))
            confirm(topic, rung, closes)

        self.mailroom._hearing.confirm = heard  # type: ignore[method-assign] # to know what it knows

    def _dropped(self, topic: bytes) -> None:
        self.confirmed.pop(topic, None)
        for caller in self.callers:
            caller.reading.pop(topic, None)
            caller.shown.pop(topic, None)
            caller.proven.pop(topic, None)

    def opens(self, topic: bytes, shown: set[int]) -> int | None:
        """How far these secrets read; None: to the tail."""
        made = self.confirmed.get(topic, {})
        base = max(made, default=0)
        if any(place >= base for place in shown):
            return None
        return max((made[min(p for p in made if p > place)] for place in shown), default=-1)


@dataclass
class Reading:
    """A subscription as its owner knows it."""

    cursor: int
    halt: Halt = Halt.MORE
    halted: int = 0  # the commit after which a secret is to be shown


class Caller:
    """A session."""

    def __init__(self, person: Person, post: Post) -> None:
        self.person = person
        self.post = post
        self.congested = False
        self.ended: Reason | None = None
        self.reading: dict[bytes, Reading] = {}
        self.shown: dict[bytes, set[int]] = {}  # places of the commits whose secrets were sent
        self.proven: dict[bytes, set[int]] = {}  # … and taken
        self.open: dict[int, RequestBody] = {}
        self.stored: dict[tuple[bytes, bytes], int] = {}
        self._number = 0
        self._tries: dict[RequestBody, int] = {}
        self._room = asyncio.Event()
        self._later: set[asyncio.Task[None]] = set()
        self.member: Member = post.mailroom.enter(person.who, self)
        person.caller = self
        post.callers[self] = None

    # ---------------------------------------------------------------------------------------------- asking

    def ask(self, body: RequestBody) -> None:
        if self.ended is not None or self.member.gone:
            return
        if isinstance(body, Show):
            for place, secret in self.person.secrets.get(body.topic, {}).items():
                if secret == body.secret:
                    self.shown.setdefault(body.topic, set()).add(place)
            if (reading := self.reading.get(body.topic)) is not None:
                reading.halted = 0  # any secret does: the commit may be void
        self._number += 1
        self.open[self._number] = body
        self.member.ask(self._number, body)

    def _soon(self, body: RequestBody) -> None:
        async def story() -> None:
            await self.post.chance.turns()
            self.ask(body)

        task = asyncio.get_running_loop().create_task(story())
        self._later.add(task)
        task.add_done_callback(self._later.discard)

    # ---------------------------------------------------------------------------------------------- the outlet

    def send(self, frames: bytes, /) -> None:
        if self.ended is not None:
            return
        body = Frame.decode(frames).body
        try:
            assert not self.member.gone, "something is sent to one who has left"
            match body:
                case Answer():
                    self._answered(self.open.pop(body.number), body.body)
                case Entries():
                    self._got(body)
                case _:
                    raise AssertionError(body)
        except AssertionError as fault:  # for the test: the relay is not to stumble over it
            self.post.faults.append(fault)

    async def room(self) -> bool:
        while self.congested and self.ended is None:
            self._room.clear()
            await self._room.wait()
        return self.ended is None

    def relieve(self) -> None:
        self.congested = False
        self._room.set()

    def end(self, reason: Reason, /) -> None:
        if self.ended is None:
            self.ended = reason
            self._room.set()

            async def farewell() -> None:
                await self.post.chance.turns()
                self.leave()

            task = asyncio.get_running_loop().create_task(farewell())
            self._later.add(task)
            task.add_done_callback(self._later.discard)

    def leave(self) -> None:
        """The connection is gone."""
        self.ended = self.ended or Reason.DONE
        self._room.set()
        self.member.leave()
        if self.person.caller is self:
            self.person.caller = None

    # ---------------------------------------------------------------------------------------------- answers

    def _answered(self, asked: RequestBody, told: Any) -> None:
        if isinstance(told, Error):
            assert "failed at this" not in told.message, told
            if told.code in (Code.INTERNAL, Code.OVERLOADED) and self._tries.get(asked, 0) < AGAIN:
                self._tries[asked] = self._tries.get(asked, 0) + 1
                self._soon(asked)
            if isinstance(asked, Subscribe) and told.code is Code.TRIMMED:
                self.person.cursors[asked.topic] = told.sequence
                self._soon(Subscribe(asked.topic, told.sequence))
            return
        match asked:
            case Subscribe(topic=topic, after=after):
                assert told == Done()
                self.reading[topic] = Reading(after)
            case Unsubscribe(topic=topic):
                self.reading.pop(topic, None)
            case Append(topic=topic, entry_id=entry_id) | Deliver(topic=topic, entry_id=entry_id):
                assert isinstance(told, Appended)
                truth = self.post.view.truth(topic)
                assert any(life.get(told.sequence) == entry_id for life in truth.lives), "acknowledged, not there"
                self.stored[topic, entry_id] = told.sequence
            case Show(topic=topic, secret=secret):
                assert told == Done()
                places = {p for p, known in self.person.secrets.get(topic, {}).items() if known == secret}
                self.proven.setdefault(topic, set()).update(places)
            case _:
                pass

    # ---------------------------------------------------------------------------------------------- entries

    def _got(self, run: Entries) -> None:
        topic, person, view = run.topic, self.person, self.post.view
        reading = self.reading.get(topic)
        assert reading is not None, f"{person.name} is sent what it does not read"
        life = view.truth(topic).lives[view.life.get(topic, 0)]
        shown = self.shown.get(topic, set())
        grouped = bool(view.truth(topic).commits[view.life.get(topic, 0)]) or topic in person.secrets
        limit = None if topic == person.inbox else self.post.opens(topic, shown)
        for entry in run.entries:
            at = entry.sequence
            assert at > reading.cursor, f"{person.name} is sent {at} again, behind {reading.cursor}"
            if topic == person.inbox:
                missing = [p for p in life if reading.cursor < p < at and p > view.trimmed(topic)]
            else:
                missing = [p for p in life if reading.cursor < p < at]
            assert not missing, f"{person.name} misses {missing} before {at}"
            assert life.get(at) == entry.entry_id, f"{at} is another entry"
            assert not reading.halted, "sent on behind a commit"
            assert limit is None or at <= limit, f"{at} is closed to {person.name}: it reads to {limit}"
            reading.cursor = at
            if entry.commit is not None and topic != person.inbox and grouped:
                self._learn(topic, at, entry.body)
                reading.halted = at if at > max(shown, default=-1) else 0
        reading.halt = run.halt
        person.cursors[topic] = reading.cursor
        match run.halt:
            case Halt.TAIL:
                heard = view.last.get(topic, 0)
                assert max(reading.cursor, view.trimmed(topic)) >= heard, f"TAIL at {reading.cursor} of {heard}"
                assert limit is None, "TAIL for one to whom it is closed"
            case Halt.SHOW:
                assert run.entries[-1].commit is not None, "SHOW where there is nothing to show"
                reading.halted = reading.cursor
                secret = person.secrets.get(topic, {}).get(reading.halted)
                if secret is not None:
                    self._soon(Show(topic, secret))
            case Halt.END:
                proven = self.proven.get(topic, set())
                closed = max(proven, default=0) < view.base(topic) or self.post.opens(topic, proven) is not None
                assert closed, "END for one who reads to the tail"
            case _:
                pass

    def _learn(self, topic: bytes, at: int, body: bytes) -> None:
        said = json.loads(body)
        if self.person.name not in said["not"]:
            self.person.secrets.setdefault(topic, {})[at] = bytes.fromhex(said["secret"])

    # ---------------------------------------------------------------------------------------------- at the end

    def reckon(self) -> None:
        """When all is quiet: it has everything that it may have, and nothing is owed."""
        person, view = self.person, self.post.view
        assert not self.open, f"{person.name} waits for {self.open}"
        for topic, reading in self.reading.items():
            life = view.truth(topic).lives[-1]
            last = max(life, default=0)
            where = f"{person.name} at {reading.cursor} of {last}, {reading.halt.name}"
            match reading.halt:
                case Halt.TAIL:
                    assert reading.cursor >= last or last <= view.trimmed(topic), where
                case Halt.SHOW:
                    gone = reading.halted <= view.trimmed(topic)
                    assert gone or reading.halted not in person.secrets.get(topic, {}), where
                case Halt.END:
                    limit = self.post.opens(topic, self.proven.get(topic, set()))
                    assert limit is None or len(view.fellows) > 1 or reading.cursor >= limit, f"{where}, until {limit}"
                case _:
                    raise AssertionError(where)
