"""What the one thread that writes the embedded store's file does there: a batch is one transaction.

    begin ─▶ each write ─▶ entries and heads that were collected ─▶ ids, a turn ─▶ journal ─▶ commit: one fsync
                 └───────────────────── whatever goes wrong ──────────┴─▶ roll back, forget the heads it touched

It remembers the heads of the topics it wrote lately, so that an append costs one lookup (was this id used?
`relay.store.ids`) and its part of one insert (`relay.store.many`). After a batch that failed the file is as it was, and
the next batch starts from the file. What the writes about topics do is here, the others are in `relay.store.shelves`.
"""

from __future__ import annotations

import os
import sqlite3
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol

from relay.store import base
from relay.store.base import (
    Behind,
    Box,
    Clash,
    CommitRow,
    Counted,
    Made,
    Missing,
    Overfull,
    Placed,
    Result,
    Stored,
    StoreFailed,
    StoreFull,
    TopicKind,
    Trimmed,
    Write,
)
from relay.store.ids import Ids
from relay.store.many import insert
from relay.store.news import Added, Confirmed, Created, Dropped, Shortened
from relay.store.schema import LAST, SHIFT, bring_up, connect
from relay.store.shelves import Shelves
from relay.store.wal import FULL, lay_ahead, lay_out
from securechan.wire.chain import Position, advance, start

_HEADS: Final = 8192  # heads that are remembered
_PAGE: Final = 4096
_LOG: Final = FULL // _PAGE  # pages of the log after which each goes into the file: some change often


@dataclass(slots=True)
class _Head:
    """What is known of a topic. ``number`` is its row."""

    number: int
    kind: TopicKind
    last: Position
    commit: int
    commit_id: bytes
    trimmed: Position
    count: int

    @property
    def low(self) -> int:
        return self.number << SHIFT

    @property
    def high(self) -> int:
        return self.low | LAST


class Journal(Protocol):
    """Where each batch stands before it is committed: `relay.mirror`. Called by the writing thread alone."""

    def write(self, batch: Sequence[Write]) -> None: ...
    def settle(self) -> None: ...
    def undo(self) -> None: ...
    def close(self) -> None: ...


def _opened(path: Path) -> sqlite3.Connection:
    """The file, made if need be. Raises what `bring_up` does."""
    fresh = not path.exists()
    if fresh:
        path.touch(mode=0o600)
    db = connect(
        path,
        (
            f"page_size={_PAGE}",
            "journal_mode=wal",
            "synchronous=full",
            f"wal_autocheckpoint={_LOG}",
            "cache_size=-32768",
            "temp_store=memory",
            "busy_timeout=10000",
        ),
    )
    try:
        bring_up(db, path)
    except BaseException:
        db.close()
        raise
    if fresh:
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)  # a new file's name must be durable too
        finally:
            os.close(folder)
    return db


class Writing(Shelves):
    """The writes of one file, and its connection. All but `near` is for the thread that writes."""

    def __init__(self, path: Path) -> None:
        """Open or make the file. Raises `NotReady` for one of a later version, sqlite3.DatabaseError for one that is no
        store."""
        super().__init__()
        self._path = path
        self._log = Path(f"{path}-wal")
        self._laid = 0  # bytes of the log
        self._db = _opened(path)
        self._ids = Ids(self._db)
        self._broken = False  # the connection, since a batch that failed
        self._heads: OrderedDict[bytes, _Head] = OrderedDict()
        # of the batch that is being applied
        self._dirty: dict[bytes, _Head] = {}
        self._rows: list[tuple[int, bytes, bytes, bytes]] = []
        self._new: dict[tuple[bytes, bytes], Stored] = {}
        self._unused: set[bytes] = set()  # ids that no entry had when the batch began

    def near(self, entry_id: bytes) -> tuple[int, ...]:
        """See `Ids.near`."""
        return self._ids.near(entry_id)

    def lay_ahead(self) -> bool:
        """Lay out a piece more of the log; whether there was room for one."""
        before, self._laid = self._laid, lay_ahead(self._log)
        return self._laid > before

    def close(self) -> None:
        self._db.close()

    # ---------------------------------------------------------------------------------------------- a batch

    def transact(self, batch: Sequence[Write], journal: Journal | None) -> list[Result]:
        """Apply the writes and make them durable. Raises `StoreFull` or `StoreFailed`: then none of them is."""
        try:
            if self._broken:
                self._reopen()
            db = self._db
            db.execute("begin immediate")
            self._unused = self._ids.unused([write.entry_id for write in batch if type(write) is base.Append])
            results = [self._append(w) if type(w) is base.Append else self._apply(w) for w in batch]
            self._flush()
            self._ids.take_turn()
            if journal is not None:
                journal.write(batch)
            db.execute("commit")
        except Exception as error:  # whatever it was: the batch is undone whole, and who asked may ask again
            self._abandon()
            if journal is not None:
                journal.undo()
            if getattr(error, "sqlite_errorcode", 0) & 0xFF == sqlite3.SQLITE_FULL:
                raise StoreFull("the disk is full", retry_after=30.0) from error
            raise StoreFailed(f"the batch could not be stored: {error}", retry_after=1.0) from error
        if journal is not None:
            journal.settle()
        self._ids.settle()
        self._laid = lay_out(self._log, self._laid)
        self._dirty.clear()
        self._new.clear()
        while len(self._heads) > _HEADS:
            self._heads.popitem(last=False)
        return results

    def _abandon(self) -> None:
        for topic in self._dirty:
            self._heads.pop(topic, None)
        self._dirty.clear()
        self._rows.clear()
        self._new.clear()
        self._news.clear()
        try:
            if self._db.in_transaction:  # SQLite rolls back by itself on some errors
                self._db.execute("rollback")
            self._ids = Ids(self._db)
        except sqlite3.Error:  # a connection in an unknown state is worth nothing: the file knows what stands
            self._db.close()
            self._broken = True

    def _reopen(self) -> None:
        self._db = _opened(self._path)
        self._ids = Ids(self._db)
        self._broken = False

    def _flush(self) -> None:
        """Write the collected entries and heads into the running transaction."""
        if self._rows:
            insert(self._db, "insert into entry", self._rows)
            self._ids.add([(row[1], row[0]) for row in self._rows])
            self._rows.clear()
        for head in self._dirty.values():
            self._db.execute(
                "update topic set last = ?, chain = ?, commit_at = ?, commit_id = ?, trimmed = ?, trimmed_chain = ?,"
                " count = ? where number = ?",
                (
                    head.last.sequence,
                    head.last.chain,
                    head.commit,
                    head.commit_id,
                    head.trimmed.sequence,
                    head.trimmed.chain,
                    head.count,
                    head.number,
                ),
            )

    # ---------------------------------------------------------------------------------------------- topics

    def _head(self, topic: bytes) -> _Head | None:
        head = self._heads.get(topic)
        if head is not None:
            self._heads.move_to_end(topic)
            return head
        row = self._one(
            "select number, kind, last, chain, commit_at, commit_id, trimmed, trimmed_chain, count from topic"
            " where topic = ?",
            topic,
        )
        if row is None:
            return None
        head = _Head(
            row[0], TopicKind(row[1]), Position(row[2], row[3]), row[4], row[5], Position(row[6], row[7]), row[8]
        )
        self._heads[topic] = head
        return head

    def _make_topic(self, topic: bytes, kind: TopicKind) -> _Head:
        first = start(topic)
        number = self._db.execute(
            "insert into topic (topic, kind, last, chain, commit_at, commit_id, trimmed, trimmed_chain, count)"
            " values (?, ?, 0, ?, 0, ?, 0, ?, 0)",
            (topic, kind, first.chain, bytes(32), first.chain),
        ).lastrowid
        assert number is not None
        head = self._heads[topic] = _Head(number, kind, first, 0, bytes(32), first, 0)
        self._dirty[topic] = head
        return head

    def _new_topic(self, w: base.NewTopic) -> Result:
        head = self._head(w.topic)
        if head is not None:
            row = self._one("select access, committer from claim where key = ?", head.low)
            return Made() if row == (w.access, w.founder) else Clash("the topic exists")
        head = self._make_topic(w.topic, TopicKind.GROUP)
        self._db.execute(
            "insert into claim values (?, ?, ?, ?, ?, 0)", (head.low, head.number, w.access, w.founder, w.at)
        )
        row = CommitRow(0, w.access, w.founder, w.at, closes=0)
        self._news.append(Created(w.topic, TopicKind.GROUP, row=row))
        return Made()

    def _new_box(self, w: base.NewBox) -> Result:
        row = self._one("select mac_key, agency, not_after from box where topic = ?", w.topic)
        if row is not None:
            return Made() if Box(*row) == w.box else Clash("the box exists")
        if self._head(w.topic) is not None:
            return Clash("the topic exists")
        self._make_topic(w.topic, TopicKind.BOX)
        box = w.box
        self._db.execute("insert into box values (?, ?, ?, ?)", (w.topic, box.mac_key, box.agency, box.not_after))
        self._news.append(Created(w.topic, TopicKind.BOX, box=box))
        return Made()

    def _find(self, topic: bytes, head: _Head, entry_id: bytes) -> Stored | None:
        found = self._new.get((topic, entry_id))
        if found is not None or entry_id in self._unused:
            return found
        for key in self._ids.keys(entry_id):
            if head.low <= key <= head.high:
                row = self._one("select wire from entry where key = ? and entry_id = ?", key, entry_id)
                if row is not None:
                    return Stored(key & LAST, row[0])
        return None

    def _append(self, w: base.Append) -> Result:
        head = self._head(w.topic)
        if head is None and w.creates is None:
            return Missing()
        if head is not None:
            found = self._find(w.topic, head, w.entry_id)
            if found is not None:
                if not found.says(w.kind, w.tail):
                    return Clash("the entry id was used for something else")
                return Placed(found, None)
        if w.after is not None and w.after != (head.last.sequence if head else 0):
            return Behind(head.last.sequence if head else 0, self._last_id(w.topic, head))
        if head is not None:
            if w.commit is not None:
                if w.commit.expected != head.commit:
                    return Behind(head.commit, head.commit_id)
                taken = "select 1 from claim where topic = ? and access = ?"
                if self._one(taken, head.number, w.commit.next_access):
                    return Clash("the access hash was claimed before")
            if w.room is not None and head.count >= w.room:
                return Overfull()
        if head is None:
            assert w.creates is not None
            head = self._make_topic(w.topic, w.creates)
        return self._place(head, w)

    def _place(self, head: _Head, w: base.Append) -> Placed:
        topic, entry_id = w.topic, w.entry_id
        sequence = head.last.sequence + 1
        key = head.low | sequence
        stored = Stored.make(sequence, w.kind, entry_id, w.at, w.tail)
        self._dirty[topic] = head
        head.last = last = advance(head.last, w.kind, entry_id, sequence, w.body)
        head.count += 1
        if w.commit is not None:
            head.commit, head.commit_id = sequence, entry_id
            self._db.execute(
                "insert into claim values (?, ?, ?, ?, ?, null)",
                (key, head.number, w.commit.next_access, w.committer, w.at // 1000),
            )
        self._rows.append((key, entry_id, last.chain, stored.wire))
        self._new[topic, entry_id] = stored
        self._news.append(Added(topic, head.kind, stored, last, w.committer if w.commit else b""))
        return Placed(stored, last)

    def _last_id(self, topic: bytes, head: _Head | None) -> bytes:
        for (where, entry_id), stored in self._new.items():
            if head is not None and where == topic and stored.sequence == head.last.sequence:
                return entry_id
        row = self._one("select entry_id from entry where key = ?", head.low | head.last.sequence) if head else None
        return row[0] if row else bytes(32)

    def _confirm(self, w: base.Confirm) -> Result:
        head = self._head(w.topic)
        if head is None:
            return Missing()
        key = head.low | w.sequence
        row = self._one("select access, committer, at, closes from claim where key = ?", key)
        if row is None:
            return Missing()
        if row[3] is None:
            self._db.execute("update claim set closes = ? where key = ?", (w.closes, key))
            self._news.append(Confirmed(w.topic, CommitRow(w.sequence, row[0], row[1], row[2], w.closes)))
        return Made()

    def _trim(self, w: base.TrimTo) -> Result:
        self._flush()
        head = self._head(w.topic)
        if head is None:
            return Missing()
        upto = min(w.upto, head.commit - 1 if head.commit else head.last.sequence)
        row = self._one(
            "select key, chain from entry where key between ? and ? order by key desc limit 1",
            head.low,
            head.low | max(upto, 0),
        )
        if row is None:
            return Trimmed(head.trimmed)
        self._dirty[w.topic] = head
        head.trimmed = Position(row[0] & LAST, row[1])
        self._ids.drop(head.low, row[0])
        head.count -= self._db.execute("delete from entry where key between ? and ?", (head.low, row[0])).rowcount
        self._new = {name: found for name, found in self._new.items() if name[0] != w.topic}
        self._unused.clear()  # what stays of the batch is in the file now
        self._db.execute(
            "delete from claim where key between ? and ? and key < (select max(key) from claim where topic = ? and"
            " closes is not null)",
            (head.low, row[0], head.number),
        )
        self._news.append(Shortened(w.topic, head.trimmed))
        return Trimmed(head.trimmed)

    def _drop_topic(self, w: base.DropTopic) -> Result:
        head = self._head(w.topic)
        if head is None or head.kind is TopicKind.INBOX:
            return Missing()
        self._flush()
        self._db.execute("delete from box where topic = ?", (w.topic,))
        self._forget(w.topic, head)
        return Made()

    def _forget(self, topic: bytes, head: _Head) -> None:
        """Delete a topic; what the batch has collected is written already."""
        self._ids.drop(head.low, head.high)
        self._db.execute("delete from entry where key between ? and ?", (head.low, head.high))
        self._db.execute("delete from claim where topic = ?", (head.number,))
        self._db.execute("delete from topic where number = ?", (head.number,))
        self._heads.pop(topic, None)
        self._dirty.pop(topic, None)
        self._new = {name: found for name, found in self._new.items() if name[0] != topic}
        self._unused.clear()
        self._news.append(Dropped(topic))

    def _sweep(self, w: base.Sweep) -> Result:
        self._flush()
        boxes = self._db.execute("select topic from box where not_after <= ? limit ?", (w.now, w.limit)).fetchall()
        for (topic,) in boxes:
            self._db.execute("delete from box where topic = ?", (topic,))
            head = self._head(topic)
            if head is not None:
                self._forget(topic, head)
        return Counted(self._clear(w) + len(boxes))
