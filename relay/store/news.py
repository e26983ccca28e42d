"""What a store tells: everything that has become durable, in one order, whoever wrote it.

    commit([…]) here ────────┐
    another relay's commit ──┴──▶ store ──hear(news)──▶ mailroom: heads up to date, entries to the readers

There is one way by which a relay learns of entries, its own and those that came in through other relays: the news. They
are told after they are durable, and before the `commit` that caused them returns; those of one topic in the order of
its log. A store whose only writer is this process tells what it wrote itself; one that is shared tells what it reads
from the shared log.

News of a topic come from when `Store.topic` was asked for it until `Store.release`. Hearing a thing twice, or hearing
what a head from `Store.topic` has in it already, must do no harm.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from relay.store.base import Box, CommitRow, Stored, TopicKind
from securechan.wire.chain import Position


@dataclass(frozen=True, slots=True)
class Created:
    """There is a GROUP topic, with the row of its creation; or a BOX topic, with its box."""

    topic: bytes
    kind: TopicKind
    row: CommitRow | None = None
    box: Box | None = None


@dataclass(slots=True)  # one an entry: frozen, it would take three times as long to make
class Added:
    """An entry. ``position`` is the topic's after it, ``kind`` that of the topic, ``committer`` the tag of the device
    if it is a commit entry."""

    topic: bytes
    kind: TopicKind
    stored: Stored
    position: Position
    committer: bytes = b""


@dataclass(frozen=True, slots=True)
class Confirmed:
    """The commit entry of ``row`` is confirmed."""

    topic: bytes
    row: CommitRow


@dataclass(frozen=True, slots=True)
class Shortened:
    """The topic's entries up to there are gone."""

    topic: bytes
    trimmed: Position


@dataclass(frozen=True, slots=True)
class Dropped:
    """There is no such topic any more."""

    topic: bytes


@dataclass(frozen=True, slots=True)
class Elsewhere:
    """A session of ``who`` (as given to `Store.announce`) has begun through another relay, after those here."""

    who: bytes


@dataclass(frozen=True, slots=True)
class Lost:
    """Something was missed and can't be told any more: everything known of topics must be asked for again."""


OfTopic = Created | Added | Confirmed | Shortened | Dropped
News = OfTopic | Elsewhere | Lost
Hear = Callable[[News], None]


def unheard(_: News) -> None:
    """What hears before somebody listens."""
