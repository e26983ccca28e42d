"""The store that forgets: topics in lists and dictionaries, for tests, trials and as the model of what a store is.

Nothing here waits, so a batch is applied in one go on the event loop. To apply all or nothing without copying, every
write records how to undo itself; a fault anywhere in the batch runs those backwards.
"""

from __future__ import annotations

import hashlib
from bisect import bisect_right
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import TypeVar

from relay.store import base
from relay.store.base import (
    CHARGED_FOR,
    SPENT_FOR,
    Aged,
    Behind,
    Box,
    Clash,
    CommitRow,
    Counted,
    Known,
    Made,
    Missing,
    Overfull,
    Placed,
    Result,
    Run,
    Stored,
    StoreFull,
    Taken,
    Topic,
    TopicKind,
    Trimmed,
    Upload,
    Write,
)
from relay.store.local import LocalStore, LocalWrites
from relay.store.news import Added, Confirmed, Created, Dropped, Shortened
from securechan.wire.chain import Position, advance, start

Undo = Callable[[], None]
K = TypeVar("K")
V = TypeVar("V")


@dataclass(slots=True)
class _Topic:
    kind: TopicKind
    last: Position
    trimmed: Position
    commit: int = 0
    commit_id: bytes = bytes(32)
    sequences: list[int] = field(default_factory=list)
    entries: list[tuple[Stored, bytes]] = field(default_factory=list)  # with the chain value after each
    ids: dict[bytes, int] = field(default_factory=dict)  # entry id → sequence
    commits: dict[int, CommitRow] = field(default_factory=dict)
    by_access: dict[bytes, int] = field(default_factory=dict)

    def at(self, sequence: int) -> tuple[Stored, bytes]:
        return self.entries[bisect_right(self.sequences, sequence) - 1]

    def base(self) -> int:
        return max((row.sequence for row in self.commits.values() if row.closes is not None), default=0)


@dataclass(slots=True)
class _Blob:
    total: int
    data: bytearray
    expires: int


@dataclass(slots=True)
class _Packages:
    once: list[bytes] = field(default_factory=list)
    last_resort: bytes | None = None


class MemoryStore(LocalStore, LocalWrites):
    """A `Store` that lives as long as its process. ``capacity`` bounds the bytes of entries and blobs."""

    def __init__(self, capacity: int | None = None) -> None:
        super().__init__()
        self._capacity = capacity
        self._topics: dict[bytes, _Topic] = {}
        self._boxes: dict[bytes, Box] = {}
        self._packages: dict[tuple[str, int], _Packages] = {}
        self._spent: dict[bytes, int] = {}  # SHA-256 of a package → when it was handed out
        self._blobs: dict[bytes, _Blob] = {}
        self._uploads: dict[tuple[bytes, bytes], _Blob] = {}
        self._charges: dict[tuple[int, str], int] = {}  # (day, agency) → bytes
        self._bytes = 0
        self._undo: list[Undo] = []

    async def commit(self, batch: Sequence[Write]) -> Sequence[Result]:
        self._undo = []
        try:
            results = [self._apply(write) for write in batch]
        except BaseException:
            self._news.clear()
            for undo in reversed(self._undo):
                undo()
            raise
        self._tell(self.told())
        return results

    def _charge(self, w: base.Charge) -> Result:
        key = (w.day, w.agency)
        before = self._charges.get(key, 0)
        self._charges[key] = before + w.size
        self._undo.append(lambda: self._charges.__setitem__(key, before))
        return Made()

    def _hold(self, size: int) -> None:
        if self._capacity is not None and self._bytes + size > self._capacity:
            raise StoreFull("the store holds as much as it may")
        self._bytes += size

        def undo() -> None:
            self._bytes -= size

        self._undo.append(undo)

    # ---------------------------------------------------------------------------------------------- topics

    def _make_topic(self, topic: bytes, kind: TopicKind) -> _Topic:
        first = start(topic)
        made = self._topics[topic] = _Topic(kind, first, first)
        self._undo.append(lambda: self._topics.__delitem__(topic))
        return made

    def _new_topic(self, w: base.NewTopic) -> Result:
        there = self._topics.get(w.topic)
        if there is not None:
            row = there.commits.get(0)
            same = row is not None and (row.access, row.committer) == (w.access, w.founder)
            return Made() if same else Clash("the topic exists")
        made = self._make_topic(w.topic, TopicKind.GROUP)
        row = made.commits[0] = CommitRow(0, w.access, w.founder, w.at, closes=0)
        made.by_access[w.access] = 0
        self._news.append(Created(w.topic, TopicKind.GROUP, row=row))
        return Made()

    def _new_box(self, w: base.NewBox) -> Result:
        there = self._boxes.get(w.topic)
        if there is not None:
            return Made() if there == w.box else Clash("the box exists")
        if w.topic in self._topics:
            return Clash("the topic exists")
        self._make_topic(w.topic, TopicKind.BOX)
        self._boxes[w.topic] = w.box
        self._undo.append(lambda: self._boxes.__delitem__(w.topic))
        self._news.append(Created(w.topic, TopicKind.BOX, box=w.box))
        return Made()

    def _append(self, w: base.Append) -> Result:
        t = self._topics.get(w.topic)
        if t is None and w.creates is None:
            return Missing()
        if t is not None and w.entry_id in t.ids:
            stored, _ = t.at(t.ids[w.entry_id])
            if not stored.says(w.kind, w.tail):
                return Clash("the entry id was used for something else")
            return Placed(stored, None)
        if w.after is not None and w.after != (t.last.sequence if t else 0):
            last = t.entries[-1][0].entry_id if t and t.entries else bytes(32)
            return Behind(t.last.sequence if t else 0, last)
        if t is not None:
            if w.commit is not None:
                if w.commit.expected != t.commit:
                    return Behind(t.commit, t.commit_id)
                if w.commit.next_access in t.by_access:
                    return Clash("the access hash was claimed before")
            if w.room is not None and len(t.entries) >= w.room:
                return Overfull()
        if t is None:
            assert w.creates is not None
            t = self._make_topic(w.topic, w.creates)
        return self._place(t, w)

    def _place(self, t: _Topic, w: base.Append) -> Placed:
        before = (t.last, t.commit, t.commit_id)
        sequence = t.last.sequence + 1
        stored = Stored.make(sequence, w.kind, w.entry_id, w.at, w.tail)
        self._hold(len(stored.wire))
        t.last = advance(t.last, w.kind, w.entry_id, sequence, w.body)
        t.sequences.append(sequence)
        t.entries.append((stored, t.last.chain))
        t.ids[w.entry_id] = sequence
        if w.commit is not None:
            t.commit, t.commit_id = sequence, w.entry_id
            t.commits[sequence] = CommitRow(sequence, w.commit.next_access, w.committer, w.at // 1000, closes=None)
            t.by_access[w.commit.next_access] = sequence

        def undo() -> None:
            t.last, t.commit, t.commit_id = before
            t.sequences.pop()
            t.entries.pop()
            del t.ids[w.entry_id]
            if w.commit is not None:
                del t.commits[sequence]
                del t.by_access[w.commit.next_access]

        self._undo.append(undo)
        self._news.append(Added(w.topic, t.kind, stored, t.last, w.committer if w.commit else b""))
        return Placed(stored, t.last)

    def _confirm(self, w: base.Confirm) -> Result:
        t = self._topics.get(w.topic)
        row = t.commits.get(w.sequence) if t else None
        if t is None or row is None:
            return Missing()
        if row.closes is None:
            commits = t.commits
            commits[w.sequence] = replace(row, closes=w.closes)
            self._undo.append(lambda: commits.__setitem__(w.sequence, row))
            self._news.append(Confirmed(w.topic, commits[w.sequence]))
        return Made()

    def _trim(self, w: base.TrimTo) -> Result:
        t = self._topics.get(w.topic)
        if t is None:
            return Missing()
        upto = min(w.upto, t.commit - 1) if t.commit else w.upto
        cut = bisect_right(t.sequences, upto)
        if cut == 0:
            return Trimmed(t.trimmed)
        gone = t.entries[:cut]
        before = (t.trimmed, t.sequences[:cut])
        t.trimmed = Position(gone[-1][0].sequence, gone[-1][1])
        del t.sequences[:cut], t.entries[:cut]
        for stored, _ in gone:
            del t.ids[stored.entry_id]
        self._hold(-sum(len(stored.wire) for stored, _ in gone))
        lost = [row for row in t.commits.values() if row.sequence < t.base() and row.sequence <= t.trimmed.sequence]
        for row in lost:
            del t.commits[row.sequence]
            del t.by_access[row.access]

        def undo() -> None:
            t.trimmed = before[0]
            t.sequences[:0] = before[1]
            t.entries[:0] = gone
            for stored, _ in gone:
                t.ids[stored.entry_id] = stored.sequence
            for row in lost:
                t.commits[row.sequence] = row
                t.by_access[row.access] = row.sequence

        self._undo.append(undo)
        self._news.append(Shortened(w.topic, t.trimmed))
        return Trimmed(t.trimmed)

    # ---------------------------------------------------------------------------------------------- the rest

    def _put_packages(self, w: base.PutPackages) -> Result:
        key = (w.device, w.suite)
        there = self._packages.get(key)
        once = [] if w.purge or there is None else list(there.once)
        last = None if w.purge or there is None else there.last_resort
        held = set(once)
        for package in w.packages:
            if package not in held and hashlib.sha256(package).digest() not in self._spent:
                held.add(package)
                once.append(package)
        if len(once) > w.room:
            return Overfull()
        self._replace_packages(key, _Packages(once, w.last_resort or last))
        return Counted(len(once))

    def _replace_packages(self, key: tuple[str, int], value: _Packages) -> None:
        there = self._packages.get(key)
        self._packages[key] = value

        def undo() -> None:
            if there is None:
                del self._packages[key]
            else:
                self._packages[key] = there

        self._undo.append(undo)

    def _take_package(self, w: base.TakePackage) -> Result:
        there = self._packages.get((w.device, w.suite))
        if there is None:
            return Missing()
        if there.once:
            self._replace_packages((w.device, w.suite), _Packages(there.once[1:], there.last_resort))
            spent = hashlib.sha256(there.once[0]).digest()
            self._spent[spent] = w.at
            self._undo.append(lambda: self._spent.__delitem__(spent))
            return Taken(there.once[0], last_resort=False)
        return Missing() if there.last_resort is None else Taken(there.last_resort, last_resort=True)

    def _put_part(self, w: base.PutPart) -> Result:
        key = (w.owner, w.blob)
        done = self._blobs.get(w.blob)
        if done is not None:
            return Counted(done.total)
        upload = self._uploads.get(key)
        have = len(upload.data) if upload else 0
        if w.offset != have or (upload is not None and upload.total != w.total):
            return Counted(have)
        if upload is None:
            upload = self._uploads[key] = _Blob(w.total, bytearray(), w.expires)
            self._undo.append(lambda: self._uploads.__delitem__(key))
        self._hold(len(w.piece))
        upload.data += w.piece
        grown = upload

        def shrink() -> None:
            del grown.data[have:]

        self._undo.append(shrink)
        if w.done:
            del self._uploads[key]
            self._blobs[w.blob] = _Blob(w.total, upload.data, w.expires)

            def back() -> None:
                del self._blobs[w.blob]
                self._uploads[key] = grown

            self._undo.append(back)
        return Counted(have + len(w.piece))

    def _drop(self, where: dict[K, V], key: K) -> V | None:
        gone = where.pop(key, None)
        if gone is not None:
            self._undo.append(lambda: where.__setitem__(key, gone))
        return gone

    def _drop_upload(self, w: base.DropUpload) -> Result:
        self._forget_upload((w.owner, w.blob))
        return Made()

    def _forget_upload(self, key: tuple[bytes, bytes]) -> None:
        gone = self._drop(self._uploads, key)
        if gone is not None:
            self._hold(-len(gone.data))

    def _drop_topic(self, w: base.DropTopic) -> Result:
        there = self._topics.get(w.topic)
        if there is None or there.kind is TopicKind.INBOX:
            return Missing()
        self._drop(self._boxes, w.topic)
        self._drop(self._topics, w.topic)
        self._hold(-sum(len(stored.wire) for stored, _ in there.entries))
        self._news.append(Dropped(w.topic))
        return Made()

    def _sweep(self, w: base.Sweep) -> Result:
        blobs = [key for key, blob in self._blobs.items() if blob.expires <= w.now][: w.limit]
        uploads = [key for key, blob in self._uploads.items() if blob.expires <= w.now][: w.limit]
        boxes = [key for key, box in self._boxes.items() if box.not_after <= w.now][: w.limit]
        spent = [key for key, at in self._spent.items() if at + SPENT_FOR <= w.now][: w.limit]
        for blob in blobs:
            gone = self._drop(self._blobs, blob)
            self._hold(-len(gone.data) if gone else 0)
        for upload in uploads:
            self._forget_upload(upload)
        for box in boxes:
            self._drop(self._boxes, box)
            topic = self._drop(self._topics, box)
            self._news.append(Dropped(box))
            self._hold(-sum(len(stored.wire) for stored, _ in topic.entries) if topic else 0)
        for package in spent:
            self._drop(self._spent, package)
        charges = [key for key in self._charges if key[0] < (w.now - CHARGED_FOR) // 86400][: w.limit]
        for charge in charges:
            self._drop(self._charges, charge)
        return Counted(len(blobs) + len(uploads) + len(boxes) + len(spent) + len(charges))

    # ---------------------------------------------------------------------------------------------- reading

    async def topic(self, topic: bytes) -> Topic | None:
        t = self._topics.get(topic)
        if t is None:
            return None
        base = t.base()
        rungs = tuple(row for sequence, row in sorted(t.commits.items()) if sequence >= base)
        return Topic(t.kind, t.last, t.commit, t.commit_id, t.trimmed, len(t.entries), rungs)

    async def read(self, topic: bytes, after: int, upto: int | None, size: int) -> Run:
        t = self._topics.get(topic)
        if t is None:
            return Run((), more=False)
        first = bisect_right(t.sequences, after)
        end = len(t.entries) if upto is None else bisect_right(t.sequences, upto)
        taken: list[Stored] = []
        held = 0
        for stored, _ in t.entries[first:end]:
            if taken and held + len(stored.wire) > size:
                return Run(tuple(taken), more=True, trimmed=t.trimmed.sequence)
            taken.append(stored)
            held += len(stored.wire)
        return Run(tuple(taken), more=False, trimmed=t.trimmed.sequence)

    async def entry(self, topic: bytes, entry_id: bytes) -> Stored | None:
        t = self._topics.get(topic)
        if t is None or entry_id not in t.ids:
            return None
        return t.at(t.ids[entry_id])[0]

    async def known(self, topic: bytes, access: bytes) -> Known | None:
        t = self._topics.get(topic)
        if t is None or access not in t.by_access:
            return None
        row = t.commits[t.by_access[access]]
        later = [
            (r.sequence, r.closes) for r in t.commits.values() if r.closes is not None and r.sequence > row.sequence
        ]
        return Known(row, min(later)[1] if later else None)

    async def box(self, topic: bytes) -> Box | None:
        return self._boxes.get(topic)

    async def packages(self, device: str, suite: int) -> int:
        there = self._packages.get((device, suite))
        return len(there.once) if there else 0

    async def blob(self, blob: bytes) -> int | None:
        there = self._blobs.get(blob)
        return there.total if there else None

    async def piece(self, blob: bytes, offset: int, size: int) -> bytes:
        there = self._blobs.get(blob)
        return bytes(there.data[offset : offset + size]) if there else b""

    async def upload(self, owner: bytes, blob: bytes) -> Upload | None:
        there = self._uploads.get((owner, blob))
        return Upload(there.total, len(there.data)) if there else None

    async def upload_piece(self, owner: bytes, blob: bytes, offset: int, size: int) -> bytes:
        there = self._uploads.get((owner, blob))
        return bytes(there.data[offset : offset + size]) if there else b""

    async def usage(self) -> int:
        return self._bytes

    async def charges(self, since: int) -> dict[str, int]:
        total: dict[str, int] = {}
        for (day, agency), size in self._charges.items():
            if day >= since:
                total[agency] = total.get(agency, 0) + size
        return total

    async def aged(self, cursor: bytes, limit: int, before: int) -> Aged:
        found = []
        for topic in sorted(topic for topic in self._topics if topic > cursor)[:limit]:
            old = 0
            for stored, _ in self._topics[topic].entries:
                if stored.at >= before:
                    break
                old = stored.sequence
            found.append((topic, old))
        return Aged(tuple(found), found[-1][0] if len(found) == limit else b"")

    async def close(self) -> None:
        """Nothing is held that would need releasing."""
