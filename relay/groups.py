"""The counter for group topics: made, appended to, shown secrets of, read.

Who may append and how far who reads is `relay.access`; here requests meet it.
"""

from __future__ import annotations

from collections.abc import Coroutine
from typing import Final

from relay.access import Rung, claim_of, device_tag
from relay.backroom import Backroom, device_of
from relay.heads import HeadBook
from relay.letters import keeps_box
from relay.member import Member
from relay.outgoing import refusal
from relay.people import Device, Guest
from relay.replies import Handled, Reply, crowded, full, made, over_quota
from relay.store import base
from relay.store.base import Result, TopicKind
from relay.topics import OpenTopic, Reader, State
from securechan.wire.frames import (
    TRUST_TOPIC,
    AnswerBody,
    Append,
    Code,
    CreateTopic,
    Done,
    EntryKind,
    Error,
    GetHeads,
    Show,
    Subscribe,
    Unsubscribe,
    inbox_topic,
)

_APPLICATION: Final = EntryKind.APPLICATION


class Groups:
    """Requests about GROUP topics, and subscriptions of any topic."""

    def __init__(self, room: Backroom, heads: HeadBook | None) -> None:
        self._room = room
        self._heads = heads

    def create(self, member: Member, number: int, body: CreateTopic, topic: OpenTopic) -> Handled:
        who = device_of(member)
        if self._room.full() and topic.kind is None:
            return full()
        if topic.kind not in (None, TopicKind.GROUP) or topic.id in self._room.inboxes or topic.id == TRUST_TOPIC:
            return refusal(Code.CONFLICT, "the topic exists")
        now = self._room.clock() // 1000
        founder = device_tag(body.topic, who.name)

        return self._room.offer(member, number, topic, base.NewTopic(body.topic, body.access, founder, now), made)

    def append(self, member: Member, number: int, body: Append, topic: OpenTopic) -> Handled:
        if topic.kind is not TopicKind.GROUP or topic.access is None or not isinstance(member.who, Device):
            return refusal(Code.UNKNOWN_TOPIC, "no such group topic")
        room, size = self._room, len(body.body)
        kind = _APPLICATION if body.commit is None else EntryKind.COMMIT
        write = room.entry(kind, body.topic, body.entry_id, body.body, body.commit)
        reader = member.readers.get(body.topic)
        access = topic.access
        if reader is None or not access.appends(reader.shown):
            return room.unless_known(write, self._closed_to(topic, reader))
        if size > room.bounds.max_entry:
            return refusal(Code.TOO_LARGE, f"an entry has at most {room.bounds.max_entry} bytes")
        if room.full():
            return room.unless_known(write, full())
        if body.commit is None:  # commits go on: a removal must not wait for a quota
            if room.over_quota(member.who.agency, size):
                return room.unless_known(write, over_quota())
            return room.offer_entry(member, number, topic, write, size)
        tag = device_tag(topic.id, member.who.name)
        wait = access.wait(tag, write.at // 1000)
        if wait:
            late = refusal(Code.QUOTA, "too many unconfirmed commits in an hour", retry_after=wait * 1000)
            return room.unless_known(write, late)
        commit = base.Append(
            write.topic, write.kind, write.entry_id, write.body, write.tail, write.at, body.commit, tag
        )
        return room.offer_entry(member, number, topic, commit)

    async def _closed_to(self, topic: OpenTopic, reader: Reader | None) -> Error:
        """Why a session can't append: it showed nothing, what it showed lapsed, or was closed by a commit."""
        if reader is None or reader.top < 0:
            return refusal(Code.ACCESS_DENIED, "show an access secret first")
        if reader.limit() is None:
            return refusal(Code.ACCESS_DENIED, "this secret has lapsed: show a later one")
        run = await self._room.store.read(topic.id, reader.closed_by - 1, reader.closed_by, 1)
        entry_id = run.entries[0].entry_id if run.entries else bytes(32)
        return refusal(Code.STALE, "a later epoch is confirmed", sequence=reader.closed_by, entry_id=entry_id)

    # ---------------------------------------------------------------------------------------------- access

    def show(self, member: Member, number: int, body: Show, topic: OpenTopic) -> Handled:
        if topic.kind is None:
            return self._show_unheard(member, number, body, topic)
        if topic.kind is not TopicKind.GROUP or topic.access is None:
            return refusal(Code.UNKNOWN_TOPIC, "no such group topic")
        claim = claim_of(body.secret)
        rung = topic.access.find(claim)
        if rung is not None:
            return self._shown(member, number, topic, rung)
        return self._show_old(member, number, claim, topic)

    async def _show_unheard(self, member: Member, number: int, body: Show, topic: OpenTopic) -> Reply:
        """There is no such topic, unless it was created through another relay a moment ago."""
        await self._room.store.settle()
        if topic.kind is None:
            return refusal(Code.UNKNOWN_TOPIC, "no such group topic")
        handled = self.show(member, number, body, topic)
        return await handled if isinstance(handled, Coroutine) else handled

    async def _show_old(self, member: Member, number: int, claim: bytes, topic: OpenTopic) -> Reply:
        """A secret that is not on the ladder: closed, lapsed long ago, claimed through another relay a moment ago, or
        unknown."""
        await self._room.store.settle()
        rung = None if topic.access is None else topic.access.find(claim)
        if rung is not None:
            return self._shown(member, number, topic, rung)
        known = await self._room.store.known(topic.id, claim)
        if known is None or topic.access is None:
            return refusal(Code.ACCESS_DENIED, "the relay does not know this secret")
        row, ladder = known.row, topic.access
        if row.sequence >= ladder.base.sequence:
            rung = ladder.find(claim) or Rung(row.sequence, row.access, row.committer, row.at, lapsed=True)
            return self._shown(member, number, topic, rung)
        reader = self._room.reader(member, topic)
        if reader is None:
            return crowded()
        reader.top = max(reader.top, row.sequence)
        reader.closed_by = max(reader.closed_by, known.closed_by or topic.closes)  # it may not be stored yet
        self._go_on(reader)
        return Done()

    def _shown(self, member: Member, number: int, topic: OpenTopic, rung: Rung) -> Reply:
        reader = self._room.reader(member, topic)
        if reader is None or topic.access is None:
            return crowded()
        tag = device_tag(topic.id, device_of(member).name)
        confirms = topic.access.witnessed(tag, topic.witnesses.get(tag, frozenset()), rung)
        if not rung.lapsed or confirms:
            topic.remember(tag, rung.sequence)
            topic.access = topic.access.shown_by(tag)
        reader.shown.add(rung.sequence)
        reader.top = max(reader.top, rung.sequence)
        if confirms:
            # What it derived the secret from, it had read by the commit it halted at; of a session that did not halt,
            # the last commit entry is as far as it can have been.
            closes = max(reader.cursor, rung.sequence) if reader.state is State.HALTED else topic.commit
            topic.unsaved = base.Confirm(topic.id, rung.sequence, closes)
            self._room.hearing.confirm(topic, rung, closes)
        self._go_on(reader)
        return self._save(member, number, topic)

    def _save(self, member: Member, number: int, topic: OpenTopic) -> Reply:
        """Done, once the newest confirmation is durable."""
        unsaved = topic.unsaved
        if unsaved is None:
            return Done()

        def finish(_: Result) -> AnswerBody:
            if topic.unsaved is unsaved:
                topic.unsaved = None
            return Done()

        return self._room.offer(member, number, topic, unsaved, finish, vital=True)

    def _go_on(self, reader: Reader) -> None:
        """A secret was shown: what waited for one goes on."""
        if reader.state in (State.HALTED, State.ENDED):
            self._room.catchup.lag(reader)

    # ---------------------------------------------------------------------------------------------- reading

    def subscribe(self, member: Member, body: Subscribe, topic: OpenTopic) -> Handled:
        refused = self._may_read(member, topic)
        if refused is not None:
            return refused
        last, trimmed = topic.last.sequence, topic.trimmed.sequence
        if body.after > last:
            return self._subscribe_beyond(member, body, topic)
        if body.after < trimmed and topic.kind is not TopicKind.INBOX:
            return refusal(Code.TRIMMED, "entries after that are gone", sequence=trimmed)
        reader = self._room.reader(member, topic)
        if reader is None:
            return crowded()
        reader.cursor = max(body.after, trimmed)
        self._room.catchup.lag(reader)
        return Done()

    async def _subscribe_beyond(self, member: Member, body: Subscribe, topic: OpenTopic) -> Reply:
        """It has read further than this relay has heard: through another relay, or in a log that was lost since."""
        await self._room.store.settle()
        last = topic.last.sequence
        if body.after > last:
            return refusal(Code.STALE, "the topic does not reach that far", sequence=last)
        handled = self.subscribe(member, body, topic)
        return await handled if isinstance(handled, Coroutine) else handled

    def unsubscribe(self, member: Member, body: Unsubscribe) -> Done:
        if body.topic in member.readers:
            member.readers[body.topic].state = State.IDLE
        return Done()

    def _may_read(self, member: Member, topic: OpenTopic) -> Error | None:
        """Why this session may not read the topic; None when it may."""
        who = member.who
        if topic.id == TRUST_TOPIC:
            return None
        if isinstance(who, Device) and topic.id == inbox_topic(who.name):
            return None
        match topic.kind:
            case TopicKind.GROUP if isinstance(who, Device):
                reader = member.readers.get(topic.id)
                shown = reader is not None and reader.top >= 0
                return None if shown else refusal(Code.ACCESS_DENIED, "show an access secret first")
            case TopicKind.BOX if isinstance(who, Guest):
                return None if topic.id == who.box else refusal(Code.FORBIDDEN, "not this guest's box")
            case TopicKind.BOX if isinstance(who, Device):
                return None if keeps_box(who, topic) else refusal(Code.FORBIDDEN, "not this agency's box")
            case TopicKind.INBOX:
                return refusal(Code.FORBIDDEN, "another device's inbox")
            case _:
                return refusal(Code.UNKNOWN_TOPIC, "no such topic")

    def heads(self, member: Member, body: GetHeads) -> Handled:
        if self._heads is None:
            return refusal(Code.NOT_FOUND, "this relay signs no heads")
        wanted = []
        for name in dict.fromkeys(body.topics):
            topic = self._room.topics.get(name)
            reader = member.readers.get(name)
            if topic is None or reader is None or reader.limit() is not None or topic.kind is None:
                return refusal(Code.ACCESS_DENIED, "heads are given of topics that this session reads to the tail")
            wanted.append(topic)
        self._heads.ask(member, wanted)
        return Done()
