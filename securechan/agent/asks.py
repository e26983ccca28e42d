"""What the agent asked the relay and awaits: one value per kind of question, so that its answer finds its place.

An ask lives as long as the session. It is never stored: what it is about stands in the rows.
"""

from __future__ import annotations

from dataclasses import dataclass

from securechan.wire.frames import TrustDocument


@dataclass(frozen=True, slots=True)
class Created:
    """Made a topic."""

    topic: bytes


@dataclass(frozen=True, slots=True)
class Shown:
    """Showed the access secret of ``back`` epochs ago, having read up to ``sequence``; with ``walk`` an older one is
    shown where the relay doesn't know it."""

    topic: bytes
    sequence: int
    back: int
    walk: bool


@dataclass(frozen=True, slots=True)
class Following:
    """Subscribed."""

    topic: bytes


@dataclass(frozen=True, slots=True)
class Dropped:
    """Unsubscribed."""

    topic: bytes


@dataclass(frozen=True, slots=True)
class Committing:
    """Appended the pending commit of a conversation."""

    topic: bytes
    entry_id: bytes


@dataclass(frozen=True, slots=True)
class Posting:
    """Appended an outbox row."""

    topic: bytes
    row: str


@dataclass(frozen=True, slots=True)
class Delivering:
    """Put a letter into an inbox."""

    row: str
    device: str


@dataclass(frozen=True, slots=True)
class Trimming:
    """Trimmed the own inbox."""

    upto: int


@dataclass(frozen=True, slots=True)
class Taking:
    """Took a key package of a device, to add it to a conversation."""

    topic: bytes
    device: str


@dataclass(frozen=True, slots=True)
class Counting:
    """Counted the own key packages."""


@dataclass(frozen=True, slots=True)
class Stocking:
    """Stored own key packages."""

    rows: tuple[str, ...]
    purge: bool


@dataclass(frozen=True, slots=True)
class Uploading:
    """Stored one piece of a blob, up to ``upto``."""

    row: str
    upto: int


@dataclass(frozen=True, slots=True)
class Downloading:
    """Asked for one piece of a blob."""

    row: str
    offset: int


@dataclass(frozen=True, slots=True)
class Comparing:
    """Asked for signed heads."""


@dataclass(frozen=True, slots=True)
class Doubting:
    """Asked for the trust log's signed head, because a commit names a position beyond what was read."""


@dataclass(frozen=True, slots=True)
class Publishing:
    """Asked the publisher to publish documents."""

    documents: tuple[TrustDocument, ...]


@dataclass(frozen=True, slots=True)
class Boxing:
    """Opened an enrolment box, or wrote into one."""

    box: bytes


@dataclass(frozen=True, slots=True)
class Trying:
    """Began an upload that is none, to see whether the relay keeps it; or gave it up, when ``begun``."""

    blob: bytes
    begun: bool


@dataclass(frozen=True, slots=True)
class Pinging:
    """Kept the session alive."""


Ask = (
    Created
    | Shown
    | Following
    | Dropped
    | Committing
    | Posting
    | Delivering
    | Trimming
    | Taking
    | Counting
    | Stocking
    | Uploading
    | Downloading
    | Comparing
    | Doubting
    | Publishing
    | Boxing
    | Trying
    | Pinging
)
