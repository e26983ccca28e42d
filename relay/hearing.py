"""What the relay does when it hears that something is durable: heads up to date, entries to those who read.

    store ── news ──▶ hear ──▶ the open topic's head ──▶ fresh ──┐ once a turn, or when a batch is answered
                                                                 └▶ send: one frame a reader, at TAIL

It makes no difference here who wrote it: a member of this relay, one of another relay on the same store, or the relay
itself. News may repeat what a head had in it when it was loaded; then they change nothing.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable
from typing import assert_never

from relay.access import Access, Rung
from relay.bounds import Bounds
from relay.catchup import Catchup
from relay.heads import HeadBook
from relay.store import news
from relay.store.base import Stored
from relay.topics import OpenTopic, State, Topics, cut, frame_of
from securechan.wire.chain import start
from securechan.wire.frames import TRUST_TOPIC, Halt


class Hearing:
    """Applies news to the open topics. ``trust`` is called when the trust topic has grown, ``elsewhere`` with whoever
    has begun a session through another relay, ``lost`` when something was missed."""

    def __init__(
        self,
        topics: Topics,
        catchup: Catchup,
        heads: HeadBook | None,
        bounds: Bounds,
        *,
        trust: Callable[[], None],
        elsewhere: Callable[[bytes], None],
        lost: Callable[[], None],
    ) -> None:
        self._topics = topics
        topics.apply = self._apply
        self._catchup = catchup
        self._heads = heads
        self._bounds = bounds
        self._trust = trust
        self._elsewhere = elsewhere
        self._lost = lost
        self._fresh: dict[OpenTopic, list[Stored]] = {}  # durable, not yet sent
        self._due: asyncio.Handle | None = None
        self.counts = Counter(appends=0, pushed=0)

    def hear(self, heard: news.News) -> None:
        """Take one piece of news."""
        if type(heard) is news.Added:  # by far the most
            topic = self._topics.get(heard.topic)
            if topic is None:
                self._topics.hear(heard)
            else:
                self._added(topic, heard)
            if heard.topic == TRUST_TOPIC:
                self._trust()
            return
        match heard:
            case news.Elsewhere(who):
                self._elsewhere(who)
            case news.Lost():
                self._lost()
            case _:
                self._topics.hear(heard)

    def _apply(self, topic: OpenTopic, heard: news.OfTopic) -> None:
        match heard:
            case news.Added():
                self._added(topic, heard)
            case news.Created():
                if topic.kind is None:
                    topic.kind, topic.box = heard.kind, heard.box
                    topic.last = topic.trimmed = start(topic.id)
                    if heard.row is not None:
                        topic.access = Access.restored((heard.row,))
            case news.Confirmed(_, row):
                if topic.access is not None and row.sequence > topic.access.base.sequence:
                    rung = topic.access.find(row.access)
                    self.confirm(topic, rung or Rung(row.sequence, row.access, row.committer, row.at), row.closes or 0)
            case news.Shortened(_, trimmed):
                if trimmed.sequence > topic.trimmed.sequence:
                    topic.trimmed = trimmed
            case news.Dropped():
                self._fresh.pop(topic, None)
                self._topics.blank(topic)
            case _:
                assert_never(heard)

    def _added(self, topic: OpenTopic, heard: news.Added) -> None:
        if topic.kind is None:
            topic.kind = heard.kind
            topic.last = topic.trimmed = start(topic.id)
        stored = heard.stored
        if stored.sequence <= topic.last.sequence:
            return
        access = topic.access
        if stored.is_commit and access is not None:  # before anything is changed: what fails here is told once more
            claim = stored.entry().commit
            assert claim is not None  # a commit entry has one
            access = access.committed(stored.sequence, claim.next_access, heard.committer, stored.at // 1000)
            topic.commit, topic.commit_id = stored.sequence, stored.entry_id
        topic.access = access
        self.counts["appends"] += 1
        self._topics.placed(topic, stored, heard.position)
        fresh = self._fresh.get(topic)
        if fresh is not None:
            fresh.append(stored)
            return
        self._fresh[topic] = [stored]
        if self._due is None:
            self._due = asyncio.get_running_loop().call_soon(self.send)

    def confirm(self, topic: OpenTopic, rung: Rung, closes: int) -> None:
        """The commit of ``rung`` is confirmed: readers whose secrets it closes end at ``closes``."""
        self.send()  # what they may still have
        assert topic.access is not None  # only topics with rungs have confirmations
        topic.access, topic.closes = topic.access.confirmed(rung), closes
        for other in topic.closed(rung.sequence, closes):
            if other.state is State.TAIL and other.limit() is not None:
                other.state = State.ENDED
                other.member.outlet.send(frame_of(topic, (), Halt.END))

    def send(self) -> None:
        """Fresh entries go to all who have everything before them."""
        if self._due is not None:
            self._due.cancel()
            self._due = None
        fresh, self._fresh = self._fresh, {}
        for topic, entries in fresh.items():
            if self._heads is not None:
                self._heads.changed(topic)
            self._push(topic, entries)

    def _push(self, topic: OpenTopic, entries: list[Stored]) -> None:
        readers = [reader for reader in topic.readers.values() if reader.state is State.TAIL]
        if not readers:
            return
        if sum(len(entry.wire) for entry in entries) > 2 * self._bounds.run:
            for reader in readers:  # more than one frame should carry: in runs, as room allows
                self._catchup.lag(reader)
            return
        frames: dict[tuple[int, bool], bytes] = {}
        first, last = entries[0].sequence, entries[-1].sequence
        stops = topic.access is not None and any(entry.is_commit for entry in entries)
        for reader in readers:
            outlet = reader.member.outlet
            if outlet.congested or first <= reader.cursor < last:
                self._catchup.lag(reader)
                continue
            if reader.cursor >= last:  # caught up since they were heard
                continue
            taken, stopped = cut(reader, entries) if stops else (entries, False)
            frame = frames.get((len(taken), stopped))
            if frame is None:
                frame = frames[len(taken), stopped] = frame_of(topic, taken, Halt.SHOW if stopped else Halt.TAIL)
            reader.cursor = taken[-1].sequence if stopped else last
            if stopped:
                reader.state = State.HALTED
            outlet.send(frame)
            self.counts["pushed"] += len(taken)
