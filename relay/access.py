"""Who may read a group's topic, decided by what they can show and never by a list of members.

Every epoch of a group exports an *access secret*. The relay holds SHA-256 of some of them, in the order in which commit
entries claimed them; a member proves itself by showing the secret. The relay can't tell a good commit from garbage, so
it must not believe a claim: a commit entry with a wrong hash would lock everyone out. It waits for a *confirmation*.

    ┌ base ─────────┐   commit 7    commit 9    commit 12
    │ confirmed, or │  ─ live ───── live ────── live ─────▶     every rung of this ladder is a secret that reads to the
    │ the creation  │                                           tail and appends
    └───────────────┘
              someone shows 9, is not 9's committer, and has shown base or 7 before
                                        │
                                        ▼
                                  ┌ base: 9 ┐ ── 12 ─▶          base and 7 are *closed*: they read up to and including
                                                                entry 9, and append nothing

**Why a second device, and one that has shown an earlier secret.** The committer can name any hash and show its secret,
so its own showing says nothing. A device that never showed a live secret before may be an outsider whom the committer
handed the secret. A member that knew an earlier secret *and* derives the new one has processed the commit: it is good.
What two colluding members can do to a group, the successor undoes; one member alone can do nothing lasting.

**Closing.** Sequence numbers order the ladder, and confirming a rung closes all rungs below it: its ancestors, whose
members can follow (the closing commit is the last thing they read, and the way to the next secret leads through it),
and its rivals, void claims that an honest commit stands after. Rungs above stay live: they may be honest successors or
garbage, and nothing is known of them yet. Thus a removed member, whose newest secret is that of an ancestor, reads its
removal and no more.

**How far the closed read.** Not up to the rung, but up to the commit entry at which whoever confirmed it had halted (if
its session had not halted at one: up to the last commit entry there is). The two differ when a committer claims the
secret of a commit that it has not sent yet, on a void entry: the secret is then found on the void entry's rung, and
who was asleep would read up to that and never see the commit itself. What the one who confirmed had read is enough to
derive the secret, for everybody.

**Nobody honest is locked out.** A garbage commit's hash can be shown by nobody, so it confirms nothing and the secret
before it stays live: members skip the void entry, show the old secret again, and commit again, expecting the garbage
entry's sequence, for it *is* the last commit entry. The same holds for a valid commit with a wrong hash: its members
have moved to an epoch whose secret the relay does not know, go on with the secret they hold, and the next honest
commit mends it. That is why a client keeps the access secrets of its last eight epochs, and shows them all, the oldest
first, when a session begins. A hash is claimed once in a topic, so no later claim can take a secret's place.

**The founder** created the topic and knows its first secret, so the creation is the first base. **A joiner** shows the
secret of the epoch it joined at: that reads and appends, but confirms nothing, for it has shown nothing before; from
its next epoch on it confirms. In a group of two each confirms the other's commits. A founder alone is confirmed by
nobody and need not be.

**Flooding.** A device may have three unconfirmed commits in an hour. At most eight rungs are live; one more makes the
oldest rung of the device with the most unconfirmed ones *lapse* (never the base). A lapsed secret still reads to the
tail and can still be confirmed, but appends nothing. So a malicious member crowds out its own rungs, not another's; a
member who is alone awake can go on committing; and the ladder stays short. While the founder alone has ever shown a
secret, nobody can be harmed and the hourly limit waits.

Only hashes are kept, and devices are 16-byte tags that mean nothing outside their topic. An `Access` is a value.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Container, Iterable
from dataclasses import dataclass, replace
from typing import Final, Self

from relay.store.base import TAG_SIZE, CommitRow

LIVE_MAX: Final = 8  # rungs that append
RATE_MAX: Final = 3  # unconfirmed commits of one device …
RATE_SPAN: Final = 3600  # … in this many seconds
LAPSED_MAX: Final = 64  # lapsed rungs that are remembered here; older ones are found in the store


def claim_of(secret: bytes) -> bytes:
    """What the relay stores of an access secret: its SHA-256."""
    return hashlib.sha256(secret).digest()


def device_tag(topic: bytes, device: str) -> bytes:
    """16 bytes that stand for a device within one topic."""
    return hashlib.sha256(b"securechan/1 committer" + topic + device.encode()).digest()[:TAG_SIZE]


@dataclass(frozen=True, slots=True)
class Rung:
    """A secret that is not closed: where it was claimed, by whom, when (Unix seconds)."""

    sequence: int
    claim: bytes
    committer: bytes
    at: int
    lapsed: bool = False


@dataclass(frozen=True, slots=True)
class Access:
    """The ladder of one topic: ``rungs[0]`` is the base, the others follow in the order of their entries. ``shared``
    once a device other than the founder has shown a live secret."""

    rungs: tuple[Rung, ...]
    shared: bool = False

    @classmethod
    def created(cls, claim: bytes, founder: bytes, at: int) -> Self:
        return cls((Rung(0, claim, founder, at),))

    @classmethod
    def restored(cls, rows: Iterable[CommitRow]) -> Self:
        """The ladder from what the store remembers: the last confirmed commit and all after it. What had lapsed may
        come back to life by this, never the other way round."""
        first, *others = (Rung(row.sequence, row.access, row.committer, row.at) for row in rows)
        access = cls((first,), shared=first.sequence > 0)
        for rung in others:
            access = access._with(rung)
        return access

    @property
    def base(self) -> Rung:
        return self.rungs[0]

    def find(self, claim: bytes) -> Rung | None:
        """The rung of that claim, live or lapsed; None also for what is closed or lapsed long ago."""
        return next((rung for rung in self.rungs if rung.claim == claim), None)

    def appends(self, shown: Container[int]) -> bool:
        """Whether a session that has shown the secrets of these commits may append."""
        for rung in self.rungs:  # noqa: SIM110 - asked for each append; a generator takes five times as long
            if rung.sequence in shown and not rung.lapsed:
                return True
        return False

    def reads(self, shown: Iterable[int]) -> bool:
        """Whether it reads to the tail."""
        return any(sequence >= self.base.sequence for sequence in shown)

    def wait(self, committer: bytes, now: int) -> int:
        """Seconds until this device may commit again; 0: at once."""
        if not self.shared:
            return 0
        recent = sorted(r.at for r in self.rungs[1:] if r.committer == committer and r.at > now - RATE_SPAN)
        return 0 if len(recent) < RATE_MAX else max(recent[-RATE_MAX] + RATE_SPAN - now, 1)

    def committed(self, sequence: int, claim: bytes, committer: bytes, at: int) -> Self:
        """The ladder after one more commit entry was stored."""
        return self._with(Rung(sequence, claim, committer, at))

    def _with(self, rung: Rung) -> Self:
        rungs = [*self.rungs, rung]
        live = [r for r in rungs[1:] if not r.lapsed]
        if len(live) >= LIVE_MAX:
            held = Counter(r.committer for r in live)
            most = max(held.values())
            oldest = next(r for r in live if held[r.committer] == most)
            rungs[rungs.index(oldest)] = replace(oldest, lapsed=True)
        lapsed = [r for r in rungs if r.lapsed]
        forgotten = set(lapsed[: max(len(lapsed) - LAPSED_MAX, 0)])
        return replace(self, rungs=tuple(r for r in rungs if r not in forgotten))

    def witnessed(self, device: bytes, earlier: Iterable[int], rung: Rung) -> bool:
        """Whether this device, by showing the secret of ``rung`` now, confirms it. ``earlier``: the commits whose
        secrets it showed before."""
        if rung.sequence <= self.base.sequence or rung.committer == device:
            return False
        live = {r.sequence for r in self.rungs if not r.lapsed and r.sequence < rung.sequence}
        return any(sequence in live for sequence in earlier)

    def shown_by(self, device: bytes) -> Self:
        """The ladder after ``device`` showed a live secret."""
        if self.shared or (self.base.sequence == 0 and device == self.base.committer):
            return self
        return replace(self, shared=True)

    def confirmed(self, rung: Rung) -> Self:
        """The ladder with ``rung`` as its base: everything below is closed."""
        above = tuple(r for r in self.rungs if r.sequence > rung.sequence)
        return replace(self, rungs=(replace(rung, lapsed=False), *above))
