"""The embedded store: one SQLite file in WAL mode with full sync, written by one thread, read by a few others.

A batch is one transaction and one fsync of the log (`relay.store.wal`). The writer thread keeps the heads of the topics
it wrote lately, so that an append costs one lookup (was this id used? `relay.store.ids`) and one insert; entries go
into the table in the order of their key, ``topic number << 40 | sequence``, so a topic's run lies together and is read
without an index.

Whatever goes wrong in a batch (disk full, I/O) rolls the transaction back and forgets the cached heads it touched: the
file is as it was, and the next batch starts from the file. One process owns the file: a lock beside it says so.
"""

from __future__ import annotations

import asyncio
import fcntl
import hashlib
import os
import sqlite3
import threading
from collections import OrderedDict
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final, Protocol, Self, TypeVar

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
    StoreFailed,
    StoreFull,
    Taken,
    Topic,
    TopicKind,
    Trimmed,
    Upload,
    Write,
)
from relay.store.ids import Ids, far
from relay.store.local import LocalStore
from relay.store.many import insert
from relay.store.news import Added, Confirmed, Created, Dropped, Shortened
from relay.store.schema import bring_up
from relay.store.thread import Thread
from relay.store.wal import FULL, PAUSE, SOON, lay_ahead, lay_out
from securechan.errors import Conflict, NotReady
from securechan.wire.chain import Position, advance, start

T = TypeVar("T")

_SHIFT: Final = 40  # sequences below 2^40, topic numbers below 2^23
_LAST: Final = (1 << _SHIFT) - 1
_HEADS: Final = 8192  # heads that the writer remembers
_PAGE: Final = 4096
_LOG: Final = FULL // _PAGE  # pages of the log after which each goes into the file: some change often
_READERS: Final = 2
_RUNGS: Final = 64  # commits that are loaded with a head


@dataclass(slots=True)
class _Head:
    """What the writer knows of a topic. ``number`` is its row."""

    number: int
    kind: TopicKind
    last: Position
    commit: int
    commit_id: bytes
    trimmed: Position
    count: int

    @property
    def low(self) -> int:
        return self.number << _SHIFT

    @property
    def high(self) -> int:
        return self.low | _LAST


sqlite3.register_adapter(bytes, bytes)  # else each one that is bound is asked for an adapter it lacks: 0.2 to 0.3 µs


def _nothing() -> None:
    """What is done when all before it is."""


def _connect(path: Path, pragmas: Sequence[str]) -> sqlite3.Connection:
    db = sqlite3.connect(path, isolation_level=None, check_same_thread=False, cached_statements=256)
    for pragma in pragmas:
        db.execute(f"pragma {pragma}")
    return db


class Journal(Protocol):
    """Where each batch stands before it is committed: `relay.mirror`. Called by the writing thread alone."""

    def write(self, batch: Sequence[Write]) -> None: ...
    def settle(self) -> None: ...
    def undo(self) -> None: ...
    def close(self) -> None: ...


class SqliteStore(LocalStore):
    """A `Store` in one file. Make it with `open`. ``journal``, set before the first commit, has every batch first."""

    journal: Journal | None = None

    def __init__(self, path: Path, lock: int) -> None:
        super().__init__()
        self._path = path
        self._lock = lock
        self._log = Path(f"{path}-wal")
        self._laid = 0  # bytes of the log
        self._laying: asyncio.Task[None] | None = None
        self._turn = asyncio.Lock()
        self._writer = Thread("store-write")
        self._readers = ThreadPoolExecutor(_READERS, thread_name_prefix="store-read")
        self._local = threading.local()
        self._connections: list[sqlite3.Connection] = []
        self._db: sqlite3.Connection
        self._ids: Ids
        self._heads: OrderedDict[bytes, _Head] = OrderedDict()
        # of the batch that is being applied
        self._dirty: dict[bytes, _Head] = {}
        self._rows: list[tuple[int, bytes, bytes, bytes]] = []
        self._new: dict[tuple[bytes, bytes], Stored] = {}
        self._unused: set[bytes] = set()  # ids that no entry had when the batch began

    @classmethod
    async def open(cls, path: Path) -> Self:
        """Open or make the file. Raises `Conflict` when another process has it, `NotReady` for a file of a later
        version or one that is no store."""
        path.parent.mkdir(parents=True, exist_ok=True)
        lock = os.open(f"{path}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(lock)
            raise Conflict(f"another process has {path} open", hint="stop that relay first") from None
        store = cls(path, lock)
        try:
            await store._write(store._prepare)
        except sqlite3.DatabaseError as error:
            await store.close()
            raise NotReady(f"{path} is no store: {error}", hint="restore a backup, or give another folder") from None
        except NotReady:
            await store.close()
            raise
        store._laying = asyncio.create_task(store._lay_ahead())
        return store

    def _prepare(self) -> None:
        fresh = not self._path.exists()
        if fresh:
            self._path.touch(mode=0o600)
        self._db = _connect(
            self._path,
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
        self._connections.append(self._db)
        bring_up(self._db, self._path)
        self._ids = Ids(self._db)
        if fresh:
            folder = os.open(self._path.parent, os.O_RDONLY)
            try:
                os.fsync(folder)  # a new file's name must be durable too
            finally:
                os.close(folder)

    # ---------------------------------------------------------------------------------------------- threads

    async def _write(self, work: Callable[[], T]) -> T:
        return await self._writer.run(work)

    async def _read(self, query: Callable[[sqlite3.Connection], T]) -> T:
        def work() -> T:
            db: sqlite3.Connection | None = getattr(self._local, "db", None)
            if db is None:
                db = self._local.db = _connect(self._path, ("query_only=on", "busy_timeout=10000"))
                self._connections.append(db)
            return query(db)

        try:
            return await asyncio.get_running_loop().run_in_executor(self._readers, work)
        except sqlite3.Error as error:
            raise StoreFailed(f"reading failed: {error}", retry_after=1.0) from error

    async def _lay_ahead(self) -> None:
        """Lay out the log to its full length, in the pauses between batches."""

        def piece() -> bool:
            before, self._laid = self._laid, lay_ahead(self._log)
            return self._laid > before

        pause = SOON
        while True:
            await asyncio.sleep(pause)
            if not await self._writer.run(piece):
                return
            pause = PAUSE

    async def close(self) -> None:
        if self._laying is not None:
            self._laying.cancel()
            await asyncio.wait([self._laying])
        async with self._turn:
            self._readers.shutdown(wait=True)
            self._writer.stop()
            for db in self._connections:
                db.close()
            self._connections.clear()
            if self.journal is not None:
                self.journal.close()
            if self._lock >= 0:
                os.close(self._lock)
                self._lock = -1

    # ---------------------------------------------------------------------------------------------- writing

    async def commit(self, batch: Sequence[Write]) -> Sequence[Result]:
        async with self._turn:
            try:
                return await self._writer.run(partial(self._transaction, batch))
            except asyncio.CancelledError:
                await self._writer.run(_nothing)  # which is done once the batch is: only then are its news complete
                raise
            finally:
                self._tell()

    def _transaction(self, batch: Sequence[Write]) -> Sequence[Result]:
        db = self._db
        try:
            db.execute("begin immediate")
            self._unused = self._ids.unused([write.entry_id for write in batch if type(write) is base.Append])
            results = [self._append(w) if type(w) is base.Append else self._apply(w) for w in batch]
            self._flush()
            self._ids.take_turn()
            if self.journal is not None:
                self.journal.write(batch)
            db.execute("commit")
        except Exception as error:  # whatever it was: the batch is undone whole, and who asked may ask again
            self._abandon()
            if self.journal is not None:
                self.journal.undo()
            if getattr(error, "sqlite_errorcode", 0) & 0xFF == sqlite3.SQLITE_FULL:
                raise StoreFull("the disk is full", retry_after=30.0) from error
            raise StoreFailed(f"the batch could not be stored: {error}", retry_after=1.0) from error
        if self.journal is not None:
            self.journal.settle()
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
            self._connections.remove(self._db)
            self._db.close()
            self._prepare()

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

    def _one(self, sql: str, *values: object) -> Any:
        return self._db.execute(sql, values).fetchone()

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
                    return Stored(key & _LAST, row[0])
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
        head.trimmed = Position(row[0] & _LAST, row[1])
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

    # ---------------------------------------------------------------------------------------------- the rest

    def _put_packages(self, w: base.PutPackages) -> Result:
        db, key = self._db, (w.device, w.suite)
        there = (
            set()
            if w.purge
            else {row[0] for row in db.execute("select body from package where device = ? and suite = ?", key)}
        )
        new = []
        for package in w.packages:
            if package in there or self._one("select 1 from spent where hash = ?", hashlib.sha256(package).digest()):
                continue
            there.add(package)
            new.append(package)
        if len(there) > w.room:
            return Overfull()
        if w.purge:
            db.execute("delete from package where device = ? and suite = ?", key)
            db.execute("delete from last_resort where device = ? and suite = ?", key)
        db.executemany("insert into package (device, suite, body) values (?, ?, ?)", [(*key, body) for body in new])
        if w.last_resort is not None:
            db.execute("insert or replace into last_resort values (?, ?, ?)", (*key, w.last_resort))
        return Counted(len(there))

    def _take_package(self, w: base.TakePackage) -> Result:
        row = self._one(
            "select number, body from package where device = ? and suite = ? order by number limit 1", w.device, w.suite
        )
        if row is not None:
            self._db.execute("delete from package where number = ?", (row[0],))
            self._db.execute("insert or replace into spent values (?, ?)", (hashlib.sha256(row[1]).digest(), w.at))
            return Taken(row[1], last_resort=False)
        row = self._one("select body from last_resort where device = ? and suite = ?", w.device, w.suite)
        return Missing() if row is None else Taken(row[0], last_resort=True)

    def _put_part(self, w: base.PutPart) -> Result:
        done = self._one("select total from blob where blob = ? and done = 1", w.blob)
        if done is not None:
            return Counted(done[0])
        row = self._one("select number, total, have from blob where blob = ? and owner = ?", w.blob, w.owner)
        have = row[2] if row else 0
        if w.offset != have or (row is not None and row[1] != w.total):
            return Counted(have)
        now_have = have + len(w.piece)
        if row is None:
            number = self._db.execute(
                "insert into blob (owner, blob, total, have, done, expires) values (?, ?, ?, ?, ?, ?)",
                (w.owner, w.blob, w.total, now_have, w.done, w.expires),
            ).lastrowid
        else:
            number = row[0]
            self._db.execute(
                "update blob set have = ?, done = ?, expires = ? where number = ?",
                (now_have, w.done, w.expires, number),
            )
        self._db.execute("insert into part values (?, ?, ?)", (number, have, w.piece))
        return Counted(now_have)

    def _drop_upload(self, w: base.DropUpload) -> Result:
        self._drop_blobs("select number from blob where owner = ? and blob = ?", (w.owner, w.blob))
        return Made()

    def _charge(self, w: base.Charge) -> Result:
        self._db.execute(
            "insert into charge values (?, ?, ?) on conflict (day, agency) do update set size = size + excluded.size",
            (w.day, w.agency, w.size),
        )
        return Made()

    def _drop_blobs(self, numbers: str, values: tuple[object, ...]) -> int:
        rows = self._db.execute(numbers, values).fetchall()
        self._db.executemany("delete from part where number = ?", rows)
        self._db.executemany("delete from blob where number = ?", rows)
        return len(rows)

    def _sweep(self, w: base.Sweep) -> Result:
        self._flush()
        gone = self._drop_blobs("select number from blob where expires <= ? limit ?", (w.now, w.limit))
        boxes = self._db.execute("select topic from box where not_after <= ? limit ?", (w.now, w.limit)).fetchall()
        for (topic,) in boxes:
            self._db.execute("delete from box where topic = ?", (topic,))
            head = self._head(topic)
            if head is not None:
                self._forget(topic, head)
        spent = self._db.execute(
            "delete from spent where hash in (select hash from spent where at <= ? limit ?)",
            (w.now - SPENT_FOR, w.limit),
        ).rowcount
        charges = self._db.execute("delete from charge where day < ?", ((w.now - CHARGED_FOR) // 86400,)).rowcount
        return Counted(gone + len(boxes) + spent + charges)

    # ---------------------------------------------------------------------------------------------- reading

    async def topic(self, topic: bytes) -> Topic | None:
        def query(db: sqlite3.Connection) -> Topic | None:
            db.execute("begin")  # head and claims of one moment
            try:
                row = db.execute(
                    "select number, kind, last, chain, commit_at, commit_id, trimmed, trimmed_chain, count from topic"
                    " where topic = ?",
                    (topic,),
                ).fetchone()
                if row is None:
                    return None
                rungs = db.execute(
                    "select key, access, committer, at, closes from claim where topic = ? and key >="
                    " (select max(key) from claim where topic = ? and closes is not null) order by key desc limit ?",
                    (row[0], row[0], _RUNGS),
                ).fetchall()
                base = db.execute(
                    "select key, access, committer, at, closes from claim where topic = ? and closes is not null"
                    " order by key desc limit 1",
                    (row[0],),
                ).fetchall()
            finally:
                db.execute("commit")
            if len(rungs) == _RUNGS and rungs[-1][0] != base[0][0]:
                rungs += base
            return Topic(
                TopicKind(row[1]),
                Position(row[2], row[3]),
                row[4],
                row[5],
                Position(row[6], row[7]),
                row[8],
                tuple(CommitRow(r[0] & _LAST, r[1], r[2], r[3], r[4]) for r in reversed(rungs)),
            )

        return await self._read(query)

    async def read(self, topic: bytes, after: int, upto: int | None, size: int) -> Run:
        def query(db: sqlite3.Connection) -> Run:
            row = db.execute("select number from topic where topic = ?", (topic,)).fetchone()
            if row is None:
                return Run((), more=False)
            low = row[0] << _SHIFT
            taken: list[Stored] = []
            held = 0
            rows = db.execute(
                "select key, wire from entry where key between ? and ? order by key",
                (low + min(after, _LAST) + 1, low | (_LAST if upto is None else min(upto, _LAST))),
            )
            try:
                for key, wire in rows:
                    held += len(wire)
                    if held > size and taken:
                        return Run(tuple(taken), more=True)
                    taken.append(Stored(key & _LAST, wire))
            finally:
                rows.close()
            return Run(tuple(taken), more=False)

        return await self._read(query)

    async def entry(self, topic: bytes, entry_id: bytes) -> Stored | None:
        near = self._ids.near(entry_id)  # before the table is asked: what moves there meanwhile is in both

        def query(db: sqlite3.Connection) -> Stored | None:
            row = db.execute("select number from topic where topic = ?", (topic,)).fetchone()
            for key in (*near, *far(db, entry_id)):
                if row is not None and key >> _SHIFT == row[0]:
                    found = db.execute("select wire from entry where key = ? and entry_id = ?", (key, entry_id))
                    if (wire := found.fetchone()) is not None:
                        return Stored(key & _LAST, wire[0])
            return None

        return await self._read(query)

    async def _fetch(self, sql: str, *values: object) -> Any:
        return await self._read(lambda db: db.execute(sql, values).fetchone())

    async def known(self, topic: bytes, access: bytes) -> Known | None:
        row = await self._fetch(
            "select c.key, c.access, c.committer, c.at, c.closes, (select l.closes from claim l where l.topic = c.topic"
            " and l.closes is not null and l.key > c.key order by l.key limit 1) from claim c"
            " join topic t on c.topic = t.number where t.topic = ? and c.access = ?",
            topic,
            access,
        )
        if row is None:
            return None
        return Known(CommitRow(row[0] & _LAST, row[1], row[2], row[3], row[4]), row[5])

    async def box(self, topic: bytes) -> Box | None:
        row = await self._fetch("select mac_key, agency, not_after from box where topic = ?", topic)
        return Box(*row) if row else None

    async def packages(self, device: str, suite: int) -> int:
        row = await self._fetch("select count(*) from package where device = ? and suite = ?", device, suite)
        return int(row[0])

    async def blob(self, blob: bytes) -> int | None:
        row = await self._fetch("select total from blob where blob = ? and done = 1", blob)
        return row[0] if row else None

    async def piece(self, blob: bytes, offset: int, size: int) -> bytes:
        return await self._parts("select number from blob where blob = ? and done = 1", (blob,), offset, size)

    async def upload(self, owner: bytes, blob: bytes) -> Upload | None:
        row = await self._fetch("select total, have from blob where blob = ? and owner = ? and done = 0", blob, owner)
        return Upload(*row) if row else None

    async def upload_piece(self, owner: bytes, blob: bytes, offset: int, size: int) -> bytes:
        return await self._parts("select number from blob where blob = ? and owner = ?", (blob, owner), offset, size)

    async def _parts(self, which: str, values: tuple[bytes, ...], offset: int, size: int) -> bytes:
        def query(db: sqlite3.Connection) -> bytes:
            row = db.execute(which, values).fetchone()
            if row is None:
                return b""
            out = bytearray()
            first = db.execute("select max(at) from part where number = ? and at <= ?", (row[0], offset)).fetchone()[0]
            parts = db.execute(
                "select at, piece from part where number = ? and at >= ? and at < ? order by at",
                (row[0], first, offset + size),
            )
            for at, piece in parts:
                out += piece[max(offset - at, 0) : offset + size - at]
            return bytes(out)

        return await self._read(query)

    async def usage(self) -> int:
        def query(db: sqlite3.Connection) -> int:
            pages = db.execute("pragma page_count").fetchone()[0] - db.execute("pragma freelist_count").fetchone()[0]
            return int(pages * db.execute("pragma page_size").fetchone()[0])

        return await self._read(query)

    async def charges(self, since: int) -> dict[str, int]:
        rows = await self._read(
            lambda db: db.execute(
                "select agency, sum(size) from charge where day >= ? group by agency", (since,)
            ).fetchall()
        )
        return dict(rows)

    async def aged(self, cursor: bytes, limit: int, before: int) -> Aged:
        def query(db: sqlite3.Connection) -> Aged:
            found = []
            topics = db.execute(
                "select topic, number from topic where topic > ? order by topic limit ?", (cursor, limit)
            ).fetchall()
            for topic, number in topics:
                old = 0
                entries = db.execute(
                    "select key, substr(wire, 42, 8) from entry where key between ? and ? order by key",
                    (number << _SHIFT, number << _SHIFT | _LAST),
                )
                for key, at in entries:
                    if int.from_bytes(at, "big") >= before:
                        break
                    old = key & _LAST
                entries.close()
                found.append((topic, old))
            return Aged(tuple(found), found[-1][0] if len(found) == limit else b"")

        return await self._read(query)
