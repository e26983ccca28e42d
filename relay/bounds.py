"""How much of everything: the numbers that keep one peer from taking what belongs to all. Sizes are bytes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from securechan.wire.frames import MAX_BLOB, MAX_ENTRY

DAY: Final = 86400


@dataclass(frozen=True, slots=True)
class Bounds:
    """What the mailroom holds its guests to."""

    sessions: int = 10_000
    topics_per_session: int = 1024  # subscribed, or secrets shown
    requests_in_flight: int = 1024  # of one session, before it is told OVERLOADED
    max_entry: int = MAX_ENTRY
    max_blob: int = MAX_BLOB
    inbox_entries: int = 10_000
    box_entries: int = 16
    box_lifetime: int = 14 * DAY  # seconds from now that a box may be opened for
    packages: int = 200  # per device and suite
    uploads: int = 16  # that one session has hashed half
    blob_lifetime: int = 90 * DAY  # seconds
    upload_lifetime: int = 2 * DAY
    retention: int = 180 * DAY  # seconds that entries of groups and inboxes are kept
    stored_per_agency: int = 20 << 30  # brought in by an agency's devices during the retention
    stored_by_agency: Mapping[str, int] = field(default_factory=dict)  # those for whom it is more, or less
    pending: int = 64 << 20  # waiting for a group commit
    batch: int = 8 << 20  # of one group commit
    batch_writes: int = 2048
    run: int = 256 << 10  # of entries in one frame
    tail: int = 512 << 10  # of newest entries kept in memory, per topic
    tails: int = 64 << 20  # of all of them together
    topics_open: int = 8192  # heads kept in memory while nobody uses them
    reserve: float = 0.05  # of the disk: below it appends are refused
    head_every: float = 10.0  # seconds between signed heads of one topic
