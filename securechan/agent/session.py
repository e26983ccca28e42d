"""What an agent knows of the moment: gone with the connection, and never missed.

A session says what was asked, how far each conversation has caught up, and since when something waits. Whatever must
survive stands in the rows; after a restart or a reconnection everything here is found out again.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from securechan.agent.asks import Ask
from securechan.wire.frames import Entry, Halt


@dataclass(frozen=True, slots=True)
class Live:
    """One conversation in this session."""

    following: bool = False  # subscribed
    synced: bool = False  # read to the tail once: now something may be sealed
    halt: Halt = Halt.MORE  # why the last run of entries ended
    waiting: tuple[Entry, ...] = ()  # come, but the trust position that the first of them names isn't reached yet
    tried: int = -1  # the expectation that the pending commit was last offered with
    posted: frozenset[bytes] = frozenset()  # entry ids offered to the relay in this session
    change: bytes = b""  # the difference of membership that was noticed …
    since: int = 0  # … and when
    taking: Mapping[str, int] = field(default_factory=dict)  # device → when asked (0: answered)
    packages: Mapping[str, bytes] = field(default_factory=dict)  # key packages taken for the next commit
    absent: Mapping[str, tuple[int, int]] = field(default_factory=dict)  # device → (retry at, attempts)
    retry: int = 0  # send nothing before
    readded: Mapping[str, int] = field(default_factory=dict)  # device → not put out and in again before


@dataclass(frozen=True, slots=True)
class Session:
    """The moment."""

    connected: bool = False
    relay: str = ""
    offset: int = 0  # relay's clock minus ours, seconds
    trust_synced: bool = False
    inbox_synced: bool = False
    letters: tuple[Entry, ...] = ()  # read, but waiting for trust
    live: Mapping[bytes, Live] = field(default_factory=dict)
    asked: frozenset[Ask] = frozenset()
    partial: Mapping[str, bytes] = field(default_factory=dict)  # downloads so far
    uploaded: Mapping[str, int] = field(default_factory=dict)  # bytes of uploads that the relay counts
    doubts: Mapping[bytes, tuple[Entry, int]] = field(default_factory=dict)
    # conversation → the commit whose trust position isn't reached, and how far the relay has signed that trust goes
    compared: int = 0  # when heads were last asked for
    stocked: int = 0  # when key packages were last counted
    restocked: int = 0  # when they were last made anew because of one that isn't here
    refollow: Mapping[bytes, int] = field(default_factory=dict)  # conversation → when to subscribe again
    readds: Mapping[bytes, int] = field(default_factory=dict)  # conversation → when we may ask again to be added
    following: Mapping[tuple[bytes, str], tuple[int, bytes]] = field(default_factory=dict)
    # (conversation, bulletin's row) → when we bring it there if nobody else has, and its content
    boxes: frozenset[bytes] = frozenset()  # enrolment boxes that we read
    trimmed: int = 0  # up to where the relay has forgotten our inbox
    delivered: Mapping[str, frozenset[str]] = field(default_factory=dict)  # letter → devices whose copy the relay has
    receipted: int = 0  # when receipts were last sent
    letter_retry: int = 0
    blob_retry: int = 0
    pinged: int = 0
    wake: int = 0
