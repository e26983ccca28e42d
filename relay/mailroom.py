"""The relay without its sockets: requests come in from members, answers and entries go out through their outlets.

    member.ask ─▶ lane of its topic ─▶ may it? ─▶ heartbeat ─▶ durable ─▶ answer ┐
                                          │                        └▶ fan-out ───┼─▶ outlet, one record a turn
                                          └ read only ─▶ answer, catch-up ───────┘

Requests of one member about one topic are begun in the order they came, so a client may send `Show`, `Subscribe` and
`Append` in one record. What the store must be asked before a request can be judged is asked in a *lane*, a task that
lives while it has something to do; everything else happens at once, in the caller's turn.

Two rules run through it. *Known before judged*: an append whose id and content are in the log gets its old answer, even
where access, quota or disk would refuse it now, since its sender only missed the acknowledgement. *Durable before
told*: no answer and no entry leaves before its batch is on the disk.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
from collections import deque
from collections.abc import Callable, Coroutine
from typing import Any, Final, assert_never

from relay.access import Rung, claim_of, device_tag
from relay.blobs import Blobs, Spoiled
from relay.bounds import Bounds
from relay.catchup import Catchup
from relay.heads import HeadBook, HeadSigner
from relay.hearing import Hearing
from relay.heartbeat import Heartbeat
from relay.ledger import Ledger
from relay.logs import event
from relay.member import Member, Outlet
from relay.outgoing import refusal
from relay.people import Device, Guest, Identified, Office, Who
from relay.store import base
from relay.store.base import Outcome, Placed, PutPart, Result, Store, StoreFailed, StoreFull, TopicKind, Write, tail_of
from relay.topics import OpenTopic, Reader, State, Topics
from relay.trust_topic import TrustTopic
from securechan.errors import Invalid, Malformed, Refused, Stale, Untrusted
from securechan.trust.view import View
from securechan.wire.door import Claim, DeviceClaim, GuestClaim, OfficeClaim
from securechan.wire.frames import (
    MAX_CHUNK,
    TRUST_TOPIC,
    AnswerBody,
    Append,
    Appended,
    Code,
    Count,
    CountKeyPackages,
    CreateBox,
    CreateTopic,
    Deliver,
    Done,
    EntryKind,
    Error,
    GetBlob,
    GetHeads,
    KeyPackageTaken,
    Piece,
    Ping,
    Publish,
    PutBlob,
    PutKeyPackages,
    Reason,
    RequestBody,
    Show,
    Subscribe,
    TakeKeyPackage,
    Trim,
    Unsubscribe,
    inbox_topic,
)

log = logging.getLogger("relay.mailroom")

CHORES: Final = 60.0  # seconds between two rounds of what must be done now and then
FULL_WAIT: Final = 30_000  # milliseconds after which to ask a full relay again
BUSY_WAIT: Final = 1_000
QUOTA_WAIT: Final = 3_600_000
AGED: Final = 512  # topics that are looked at for old entries in one round
LANES_END: Final = 5.0  # seconds that requests under way get at the end

Reply = AnswerBody | None  # None: the answer follows when something is durable
Handled = Reply | Coroutine[Any, Any, Reply]  # a coroutine goes on in the lane


class Mailroom:
    """What a relay does. ``clock`` gives Unix milliseconds; ``disk`` the fraction of the disk that is free."""

    def __init__(
        self,
        store: Store,
        *,
        relay: str,
        clock: Callable[[], int],
        trust: TrustTopic,
        bounds: Bounds | None = None,
        signer: HeadSigner | None = None,
        disk: Callable[[], float] | None = None,
        timed: Callable[[float, float], None] | None = None,
    ) -> None:
        self.bounds = bounds or Bounds()
        self._store = store
        self._clock = clock
        self._trust = trust
        self._disk = disk
        self._topics = Topics(store, self.bounds)
        self._catchup = Catchup(store, self.bounds)
        self._heads = None if signer is None else HeadBook(relay, signer, clock, self.bounds)
        self._hearing = Hearing(
            self._topics,
            self._catchup,
            self._heads,
            self.bounds,
            trust=trust.grown,
            elsewhere=self._on_elsewhere,
            lost=self._on_lost,
        )
        self._heartbeat = Heartbeat(store, self.bounds, self._hearing.send, timed)
        self._blobs = Blobs(store, self.bounds)
        self._ledger = Ledger(store, self.bounds)
        self._members: dict[Member, None] = {}
        self._named: dict[bytes, Member] = {}  # those of whom there is one session at a time
        self._inboxes: dict[bytes, str] = {}
        self._lanes: dict[tuple[Member, bytes], deque[tuple[int, RequestBody]]] = {}
        self._lane_tasks: set[asyncio.Task[None]] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._beating: asyncio.Task[None] | None = None
        self.failed = asyncio.Event()  # a part of it is dead: the process must end and be started anew
        self._stopping = False
        self._aged = b""  # topics up to here were looked at in this round
        self._is_full = False
        self._full_known_until = float("-inf")
        self._refused_full = 0

    # ---------------------------------------------------------------------------------------------- life

    async def start(self) -> None:
        """Begin to work; requests may come from now on."""
        await self._ledger.load(self._clock() // 1000)
        self._store.listen(self._hearing.hear)
        async with self._topics.use(TRUST_TOPIC) as trust:
            trust.users += 1  # always open
        self._trust.attach(self._post, self._on_trust)
        self._trust.grown()  # it may have, since it was loaded
        if self._trust.view is not None:
            self._index(self._trust.view)
        self._beating = asyncio.create_task(self._heartbeat.run())
        self._beating.add_done_callback(self._ended)
        self._keep(self._catchup.run())
        self._keep(self._chores())
        self._keep(self._trust.run())
        if self._heads is not None:
            self._keep(self._heads.run())

    async def stop(self) -> None:
        """Finish what was asked, answer it, close the store. Requests that come later are refused."""
        self._stopping = True
        if self._lane_tasks:  # they end by themselves, unless one waits for a reader that does not read
            await asyncio.wait(self._lane_tasks, timeout=LANES_END)
        self._book()
        self._heartbeat.stop()
        if self._beating is not None:
            await self._beating
        rest = [*self._tasks, *self._lane_tasks]
        for task in rest:
            task.cancel()
        await asyncio.gather(*rest, return_exceptions=True)
        await self._store.close()

    def _keep(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.critical("a part of the mailroom failed", exc_info=error)
            self._fail()

    def _fail(self) -> None:
        self.failed.set()
        for member in list(self._members):
            member.outlet.end(Reason.SHUTDOWN)

    async def _chores(self) -> None:
        while True:
            await asyncio.sleep(CHORES)
            now = self._clock() // 1000
            for member in list(self._members):
                if not self._still_admitted(member.who, now):
                    member.outlet.end(Reason.REVOKED)
            self._heartbeat.offer(base.Sweep(now), _unheard, vital=True)
            self._book()
            try:
                await self._forget_old(now)
                await self._ledger.load(now)
            except StoreFailed as error:
                event(log, "old entries not looked up", level=logging.ERROR, cause=error.code)
            try:
                await self._trust.renew(now)
            except (Refused, Untrusted) as error:
                event(log, "timestamp not renewed", level=logging.ERROR, cause=error.code)

    def _book(self) -> None:
        for charge in self._ledger.charges(self._clock() // 1000):
            self._heartbeat.offer(charge, _unheard, vital=True)

    async def _forget_old(self, now: int) -> None:
        """Trim what is older than the retention, some topics at a time."""
        some = await self._store.aged(self._aged, AGED, (now - self.bounds.retention) * 1000)
        self._aged = some.cursor
        for topic, upto in some.topics:
            if upto and topic != TRUST_TOPIC:
                self._heartbeat.offer(base.TrimTo(topic, upto), _unheard, vital=True)

    def rebound(self, bounds: Bounds) -> None:
        """From now on within these: how many sessions, how long entries are kept, how much an agency may store. The
        others hold from start to end."""
        self.bounds = bounds
        self._ledger.rebound(bounds)

    def stored(self) -> dict[str, int]:
        """Bytes that each agency has brought in; for the operator alone."""
        return self._ledger.held()

    async def usage(self) -> int:
        """Bytes in the store. Raises `StoreFailed`."""
        return await self._store.usage()

    @property
    def free(self) -> float | None:
        """The fraction of the disk that is free; None where there is no disk."""
        return None if self._disk is None else self._disk()

    @property
    def takes_entries(self) -> bool:
        """Whether there is room on the disk, and nothing here has failed or is about to end."""
        return not (self._stopping or self.failed.is_set() or self._low())

    def stats(self) -> dict[str, int]:
        """Counts, for those who watch."""
        return {
            **self._hearing.counts,
            "refused_full": self._refused_full,
            "sessions": len(self._members),
            "topics_open": len(self._topics),
            "subscriptions": sum(r.subscribed for m in self._members for r in m.readers.values()),
            "batches": self._heartbeat.batches,
            "writes": self._heartbeat.writes,
            "commit_failures": self._heartbeat.failures,
            "caught_up": self._catchup.sent,
            "head_signatures": self._heads.signatures if self._heads else 0,
        }

    # ---------------------------------------------------------------------------------------------- people

    async def identify(self, claim: Claim) -> Identified:
        """Who a claim would be, and the key that must prove it. Raises `Refused` or `Untrusted`: ``untrusted``,
        ``unknown-device``, ``revoked``, ``expired``, ``not-found``, ``closed``."""
        view = self._trust.view
        if view is None:
            raise Refused("this relay serves no federation yet", code="closed", retry_after=5.0)
        now = self._clock() // 1000
        match claim:
            case DeviceClaim():
                record = view.device(claim.device)
                key_hash = hashlib.sha384(claim.public).digest()
                if key_hash not in record.hashes():
                    raise Untrusted("the device's record has another key", code="untrusted")
                if record.not_after is not None and record.not_after <= now:
                    raise Untrusted("the device's admission has expired", code="expired")
                who: Who = Device(record.name, record.agency, frozenset(record.roles), key_hash, record.not_after)
                return Identified(claim.public, who)
            case GuestClaim():
                box = await self._store.box(claim.box)
                if box is None:
                    raise Refused("no such box", code="not-found", hint="ask for a new invite")
                if box.not_after <= now:
                    raise Refused("the invite has expired", code="expired", hint="ask for a new invite")
                return Identified(box.mac_key, Guest(claim.box, box.agency, box.not_after))
            case OfficeClaim():
                return Identified(view.office(claim.role, claim.key_id), Office(claim.role, claim.key_id))
            case _:
                assert_never(claim)

    def room(self, who: Who) -> None:
        """Returns if there is a place for another session, or an older one to take it from. Raises `Refused`
        (``overloaded``)."""
        taken = len(self._members) - (self._older(who) is not None)
        if self._stopping or taken >= self.bounds.sessions:
            raise Refused("the relay takes no more sessions now", code="overloaded", retry_after=5.0)

    def _older(self, who: Who) -> Member | None:
        return self._named.get(_name(who))

    def enter(self, who: Who, outlet: Outlet) -> Member:
        """A session begins. An older one of the same device, or by the same invite, ends: nobody takes the places of
        others. Raises `Refused` (``overloaded``) where `room` does."""
        self.room(who)
        older = self._older(who)
        if older is not None:
            older.outlet.end(Reason.REPLACED)
            older.leave()
        member = Member(who, outlet, self)
        self._members[member] = None
        if name := _name(who):
            self._named[name] = member
            self._store.announce(name)
        return member

    def _on_elsewhere(self, name: bytes) -> None:
        """The same device, or the same invite, has come in through another relay."""
        older = self._named.get(name)
        if older is not None:
            older.outlet.end(Reason.REPLACED)
            older.leave()

    def _on_lost(self) -> None:
        log.critical("the store has lost track of what others wrote")
        self._fail()

    def left(self, member: Member) -> None:
        """The session is over: its readers go."""
        self._members.pop(member, None)
        if self._named.get(name := _name(member.who)) is member:
            del self._named[name]
        for reader in member.readers.values():
            reader.state = State.IDLE
            reader.topic.readers.pop(member, None)
        member.readers.clear()

    def _on_trust(self, view: View) -> None:
        """A publication is durable: whoever is not admitted any more goes at once."""
        self._index(view)
        now = self._clock() // 1000
        for member in list(self._members):
            if not self._still_admitted(member.who, now):
                member.outlet.end(Reason.REVOKED)
                member.leave()

    def _index(self, view: View) -> None:
        self._inboxes = {inbox_topic(record.name): record.name for record in view.devices()}

    def _still_admitted(self, who: Who, now: int) -> bool:
        view = self._trust.view
        if view is None:
            return False
        match who:
            case Device():
                record = view.find(who.name)
                fits = record is not None and who.key_hash in record.hashes()
                return fits and (who.not_after is None or who.not_after > now)
            case Guest():
                return who.not_after > now
            case Office():
                try:
                    view.office(who.role, who.key_id)
                except Untrusted:
                    return False
                return True
            case _:
                assert_never(who)

    # ---------------------------------------------------------------------------------------------- requests

    def take(self, member: Member, number: int, body: RequestBody) -> None:
        """A member asks. See `Member.ask`."""
        if self._stopping or member.inflight > self.bounds.requests_in_flight:
            member.answer(number, refusal(Code.OVERLOADED, "too many requests at once", retry_after=BUSY_WAIT))
            return
        place = _place_of(body)
        lane = self._lanes.get((member, place))
        if lane is not None:
            lane.append((number, body))
            return
        topic = self._topics.get(place)
        if topic is None and _has_topic(body):
            self._open_lane(member, place, number, body)
            return
        handled = self._handle(member, number, body, topic)
        if isinstance(handled, Coroutine):
            self._open_lane(member, place, number, _holding(topic, handled))
        elif handled is not None:
            member.answer(number, handled)

    def _open_lane(
        self, member: Member, place: bytes, number: int, first: RequestBody | Coroutine[Any, Any, Reply]
    ) -> None:
        self._lanes[member, place] = deque()
        task = asyncio.create_task(self._lane(member, place, number, first))
        self._lane_tasks.add(task)
        task.add_done_callback(self._lane_tasks.discard)

    async def _lane(
        self, member: Member, place: bytes, number: int, first: RequestBody | Coroutine[Any, Any, Reply]
    ) -> None:
        """Requests of one member about one thing, each judged after the one before."""
        waiting = self._lanes[member, place]
        work: RequestBody | Coroutine[Any, Any, Reply] = first
        try:
            while True:
                reply = await self._in_lane(member, place, number, work)
                if reply is not None:
                    member.answer(number, reply)
                if not waiting:
                    return
                number, work = waiting.popleft()
        finally:
            del self._lanes[member, place]

    async def _in_lane(
        self, member: Member, place: bytes, number: int, work: RequestBody | Coroutine[Any, Any, Reply]
    ) -> Reply:
        try:
            if isinstance(work, Coroutine):
                return await work
            if not _has_topic(work):
                handled = self._handle(member, number, work, None)
                return await handled if isinstance(handled, Coroutine) else handled
            async with self._topics.use(place) as topic:
                handled = self._handle(member, number, work, topic)
                return await handled if isinstance(handled, Coroutine) else handled
        except (StoreFull, StoreFailed) as error:
            return _store_refusal(error)
        except Exception:
            event(log, "request failed", level=logging.ERROR, error=True)
            return refusal(Code.INTERNAL, "the relay failed at this request")

    def _handle(self, member: Member, number: int, body: RequestBody, topic: OpenTopic | None) -> Handled:
        """Judge a request: its answer, or None when that follows, or what remains to be awaited."""
        match member.who:
            case Guest() if not isinstance(body, Append | Subscribe | Unsubscribe | Ping):
                return refusal(Code.FORBIDDEN, "a guest may use its box, nothing else")
            case Office() if not isinstance(body, Subscribe | Unsubscribe | Publish | GetHeads | Ping):
                return refusal(Code.FORBIDDEN, "an office reads trust and publishes, nothing else")
            case _:
                pass
        if topic is not None and topic.id in self._inboxes and topic.kind not in (None, TopicKind.INBOX):
            return self._evict(member, number, body, topic)
        match body:
            case Append():
                return self._append(member, number, body, _there(topic))
            case Ping():
                return Done()
            case Show():
                return self._show(member, number, body, _there(topic))
            case Subscribe():
                return self._subscribe(member, body, _there(topic))
            case Unsubscribe():
                if body.topic in member.readers:
                    member.readers[body.topic].state = State.IDLE
                return Done()
            case Deliver():
                return self._deliver(member, number, body, _there(topic))
            case CreateTopic():
                return self._create_topic(member, number, body, _there(topic))
            case Trim():
                return self._trim(member, number, body, _there(topic))
            case Publish():
                return self._publish(body)
            case PutBlob():
                return self._put_blob(member, body)
            case GetBlob():
                return self._get_blob(member, body)
            case PutKeyPackages():
                return self._put_packages(member, number, body)
            case TakeKeyPackage():
                return self._take_package(member, number, body)
            case CountKeyPackages():
                return self._count_packages(member, body)
            case CreateBox():
                return self._create_box(member, number, body, _there(topic))
            case GetHeads():
                return self._get_heads(member, body)
            case _:
                assert_never(body)

    def _offer(
        self,
        member: Member,
        number: int,
        topic: OpenTopic | None,
        write: Write,
        finish: Callable[[Result], AnswerBody],
        *,
        vital: bool = False,
    ) -> Reply:
        """Queue a write; ``finish`` makes the answer of its result."""

        def done(outcome: Outcome) -> None:
            if topic is not None:
                topic.users -= 1
            member.answer(number, _answered(outcome, finish))

        if not self._heartbeat.offer(write, done, vital=vital):
            return refusal(Code.OVERLOADED, "more waits for the disk than may", retry_after=BUSY_WAIT)
        if topic is not None:
            topic.users += 1  # stays open until its head is up to date again
        return None

    async def _post(self, write: Write) -> Result:
        """A vital write of the relay's own."""
        answered: asyncio.Future[Result] = asyncio.get_running_loop().create_future()

        def done(outcome: Outcome) -> None:
            if isinstance(outcome, StoreFull | StoreFailed):
                answered.set_exception(outcome)
            else:
                answered.set_result(outcome)

        if not self._heartbeat.offer(write, done, vital=True):
            raise StoreFailed("the relay is going down", retry_after=5.0)
        return await answered

    # ---------------------------------------------------------------------------------------------- group topics

    def _create_topic(self, member: Member, number: int, body: CreateTopic, topic: OpenTopic) -> Handled:
        who = _device(member)
        if self._full() and topic.kind is None:
            return _full()
        if topic.kind not in (None, TopicKind.GROUP) or topic.id in self._inboxes or topic.id == TRUST_TOPIC:
            return refusal(Code.CONFLICT, "the topic exists")
        now = self._clock() // 1000
        founder = device_tag(body.topic, who.name)

        def finish(result: Result) -> AnswerBody:
            if isinstance(result, base.Clash):
                return refusal(Code.CONFLICT, result.what)
            return Done()

        return self._offer(member, number, topic, base.NewTopic(body.topic, body.access, founder, now), finish)

    def _append(self, member: Member, number: int, body: Append, topic: OpenTopic) -> Handled:
        if topic.kind is TopicKind.BOX:
            return self._append_to_box(member, number, body, topic)
        if topic.kind is not TopicKind.GROUP or topic.access is None or not isinstance(member.who, Device):
            return refusal(Code.UNKNOWN_TOPIC, "no such group topic")
        kind = EntryKind.APPLICATION if body.commit is None else EntryKind.COMMIT
        write = self._entry(kind, body.topic, body.entry_id, body.body, body)
        reader = member.readers.get(body.topic)
        access = topic.access
        if reader is None or not access.appends(reader.shown):
            return self._unless_known(write, self._closed_to(topic, reader))
        if len(body.body) > self.bounds.max_entry:
            return refusal(Code.TOO_LARGE, f"an entry has at most {self.bounds.max_entry} bytes")
        if self._full():
            return self._unless_known(write, _full())
        if body.commit is None:  # commits go on: a removal must not wait for a quota
            if self._over_quota(member.who.agency, len(body.body)):
                return self._unless_known(write, _over_quota())
            return self._offer(member, number, topic, write, _appended)
        tag = device_tag(topic.id, member.who.name)
        wait = access.wait(tag, write.at // 1000)
        if wait:
            late = refusal(Code.QUOTA, "too many unconfirmed commits in an hour", retry_after=wait * 1000)
            return self._unless_known(write, late)
        commit = base.Append(
            write.topic, write.kind, write.entry_id, write.body, write.tail, write.at, body.commit, tag
        )
        return self._offer(member, number, topic, commit, _appended)

    def _entry(
        self, kind: EntryKind, topic: bytes, entry_id: bytes, body: bytes, said: Append | None = None
    ) -> base.Append:
        tail = tail_of(body, said.commit if said else None)
        return base.Append(topic, kind, entry_id, body, tail, self._clock())

    async def _unless_known(self, write: base.Append, judged: Error | Coroutine[Any, Any, Error]) -> Reply:
        """The old answer of an entry that is in the log, else the refusal."""
        stored = await self._store.entry(write.topic, write.entry_id)
        if stored is not None:
            if isinstance(judged, Coroutine):
                judged.close()
            if stored.says(write.kind, write.tail):
                return Appended(stored.sequence)
            return refusal(Code.CONFLICT, "the entry id was used for something else")
        return await judged if isinstance(judged, Coroutine) else judged

    async def _closed_to(self, topic: OpenTopic, reader: Reader | None) -> Error:
        """Why a session can't append: it showed nothing, what it showed lapsed, or was closed by a commit."""
        if reader is None or reader.top < 0:
            return refusal(Code.ACCESS_DENIED, "show an access secret first")
        if reader.limit() is None:
            return refusal(Code.ACCESS_DENIED, "this secret has lapsed: show a later one")
        run = await self._store.read(topic.id, reader.closed_by - 1, reader.closed_by, 1)
        entry_id = run.entries[0].entry_id if run.entries else bytes(32)
        return refusal(Code.STALE, "a later epoch is confirmed", sequence=reader.closed_by, entry_id=entry_id)

    # ---------------------------------------------------------------------------------------------- access

    def _reader(self, member: Member, topic: OpenTopic) -> Reader | None:
        """The member's reader of a topic, new or not; None when it has as many as it may."""
        reader = member.readers.get(topic.id)
        if reader is None and len(member.readers) < self.bounds.topics_per_session:
            reader = member.readers[topic.id] = topic.reader(member)
        return reader

    def _show(self, member: Member, number: int, body: Show, topic: OpenTopic) -> Handled:
        if topic.kind is not TopicKind.GROUP or topic.access is None:
            return refusal(Code.UNKNOWN_TOPIC, "no such group topic")
        claim = claim_of(body.secret)
        rung = topic.access.find(claim)
        if rung is not None:
            return self._shown(member, number, topic, rung)
        return self._show_old(member, number, claim, topic)

    async def _show_old(self, member: Member, number: int, claim: bytes, topic: OpenTopic) -> Reply:
        """A secret that is not on the ladder: closed, lapsed long ago, or unknown."""
        known = await self._store.known(topic.id, claim)
        if known is None or topic.access is None:
            return refusal(Code.ACCESS_DENIED, "the relay does not know this secret")
        row, ladder = known.row, topic.access
        if row.sequence >= ladder.base.sequence:
            rung = ladder.find(claim) or Rung(row.sequence, row.access, row.committer, row.at, lapsed=True)
            return self._shown(member, number, topic, rung)
        reader = None if member.gone else self._reader(member, topic)
        if reader is None:
            return _crowded()
        reader.top = max(reader.top, row.sequence)
        reader.closed_by = max(reader.closed_by, known.closed_by or topic.commit)
        self._go_on(reader)
        return Done()

    def _shown(self, member: Member, number: int, topic: OpenTopic, rung: Rung) -> Reply:
        reader = None if member.gone else self._reader(member, topic)
        if reader is None or topic.access is None:
            return _crowded()
        tag = device_tag(topic.id, _device(member).name)
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
            self._hearing.confirm(topic, rung, closes)
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

        return self._offer(member, number, topic, unsaved, finish, vital=True)

    def _go_on(self, reader: Reader) -> None:
        """A secret was shown: what waited for one goes on."""
        if reader.state in (State.HALTED, State.ENDED):
            self._catchup.lag(reader)

    def _subscribe(self, member: Member, body: Subscribe, topic: OpenTopic) -> Handled:
        refused = self._may_read(member, topic)
        if refused is not None:
            return refused
        last, trimmed = topic.last.sequence, topic.trimmed.sequence
        if body.after > last:
            return refusal(Code.STALE, "the topic does not reach that far", sequence=last)
        if body.after < trimmed and topic.kind is not TopicKind.INBOX:
            return refusal(Code.TRIMMED, "entries after that are gone", sequence=trimmed)
        reader = self._reader(member, topic)
        if reader is None:
            return _crowded()
        reader.cursor = max(body.after, trimmed)
        self._catchup.lag(reader)
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
                return None if self._keeps_box(who, topic) else refusal(Code.FORBIDDEN, "not this agency's box")
            case TopicKind.INBOX:
                return refusal(Code.FORBIDDEN, "another device's inbox")
            case _:
                return refusal(Code.UNKNOWN_TOPIC, "no such topic")

    def _get_heads(self, member: Member, body: GetHeads) -> Handled:
        if self._heads is None:
            return refusal(Code.NOT_FOUND, "this relay signs no heads")
        wanted = []
        for name in dict.fromkeys(body.topics):
            topic = self._topics.get(name)
            reader = member.readers.get(name)
            if topic is None or reader is None or reader.limit() is not None or topic.kind is None:
                return refusal(Code.ACCESS_DENIED, "heads are given of topics that this session reads to the tail")
            wanted.append(topic)
        self._heads.ask(member, wanted)
        return Done()

    # ---------------------------------------------------------------------------------------------- inboxes, boxes

    async def _evict(self, member: Member, number: int, body: RequestBody, topic: OpenTopic) -> Reply:
        """Whoever guessed a device's name before it was admitted may have made a topic in the place of its inbox, so
        as to read its letters and to keep them from it. The place is its own now; then the request goes on."""

        failed = await self._finished(base.DropTopic(topic.id), _done)
        if isinstance(failed, Error):
            return failed
        if topic.kind not in (None, TopicKind.INBOX):
            return refusal(Code.INTERNAL, "the inbox could not be cleared")
        event(log, "a topic in an inbox's place was dropped", level=logging.WARNING)
        handled = self._handle(member, number, body, topic)
        return await handled if isinstance(handled, Coroutine) else handled

    def _deliver(self, member: Member, number: int, body: Deliver, topic: OpenTopic) -> Handled:
        who = _device(member)
        if body.topic not in self._inboxes:
            return refusal(Code.NOT_FOUND, "no inbox of a device that is admitted")
        if len(body.body) > self.bounds.max_entry:
            return refusal(Code.TOO_LARGE, f"an entry has at most {self.bounds.max_entry} bytes")
        write = base.Append(
            body.topic,
            EntryKind.INBOX,
            body.entry_id,
            body.body,
            tail_of(body.body, None),
            self._clock(),
            creates=TopicKind.INBOX,
            room=self.bounds.inbox_entries,
        )
        if self._full():
            return self._unless_known(write, _full())
        if self._over_quota(who.agency, len(body.body)):
            return self._unless_known(write, _over_quota())
        return self._offer(member, number, topic, write, _appended)

    def _trim(self, member: Member, number: int, body: Trim, topic: OpenTopic) -> Handled:
        if body.topic != inbox_topic(_device(member).name):
            return refusal(Code.FORBIDDEN, "only one's own inbox is trimmed")
        if topic.kind is None:
            return Done()

        return self._offer(member, number, topic, base.TrimTo(body.topic, body.upto), _done, vital=True)

    def _create_box(self, member: Member, number: int, body: CreateBox, topic: OpenTopic) -> Handled:
        who = _device(member)
        now = self._clock() // 1000
        if "admin" not in who.roles:
            return refusal(Code.FORBIDDEN, "an administrator opens boxes")
        if not now < body.not_after <= now + self.bounds.box_lifetime:
            return refusal(Code.EXPIRED, f"a box lives at most {self.bounds.box_lifetime} s from now")
        if topic.id in self._inboxes or topic.id == TRUST_TOPIC:
            return refusal(Code.CONFLICT, "the topic exists")
        if self._full():
            return _full()
        box = base.Box(body.mac_key, who.agency, body.not_after)

        def finish(result: Result) -> AnswerBody:
            if isinstance(result, base.Clash):
                return refusal(Code.CONFLICT, result.what)
            return Done()

        return self._offer(member, number, topic, base.NewBox(body.box, box), finish)

    def _keeps_box(self, who: Device, topic: OpenTopic) -> bool:
        return topic.box is not None and topic.box.agency == who.agency and "admin" in who.roles

    def _append_to_box(self, member: Member, number: int, body: Append, topic: OpenTopic) -> Handled:
        who = member.who
        if body.commit is not None:
            return refusal(Code.MALFORMED, "a box has no commits")
        write = base.Append(
            body.topic,
            EntryKind.BOX,
            body.entry_id,
            body.body,
            tail_of(body.body, None),
            self._clock(),
            after=0 if isinstance(who, Guest) else None,
            room=self.bounds.box_entries,
        )
        match who:
            case Guest():
                if topic.id != who.box:
                    return refusal(Code.FORBIDDEN, "not this guest's box")
            case Device() if self._keeps_box(who, topic):
                if topic.last.sequence == 0:
                    return refusal(Code.FORBIDDEN, "the guest speaks first")
            case _:
                return refusal(Code.UNKNOWN_TOPIC, "no such topic")
        if topic.box is None or topic.box.not_after <= write.at // 1000:
            return refusal(Code.EXPIRED, "the box is closed")
        if len(body.body) > self.bounds.max_entry:
            return refusal(Code.TOO_LARGE, f"an entry has at most {self.bounds.max_entry} bytes")
        if self._full():
            return self._unless_known(write, _full())
        return self._offer(member, number, topic, write, _boxed(who))

    # ---------------------------------------------------------------------------------------------- trust

    async def _publish(self, body: Publish) -> Reply:
        try:
            return Appended(await self._trust.publish(body.expected, body.documents))
        except Stale as error:
            view = self._trust.view
            return refusal(Code.STALE, error.message, sequence=view.position.sequence if view else 0)
        except (Untrusted, Malformed, Invalid) as error:
            return refusal(Code.UNTRUSTED, f"{error.code}: {error.message}"[:400])

    # ---------------------------------------------------------------------------------------------- blobs, packages

    async def _put_blob(self, member: Member, body: PutBlob) -> Reply:
        if body.total > self.bounds.max_blob or body.offset + len(body.piece) > body.total:
            return refusal(Code.TOO_LARGE, f"a blob has at most {self.bounds.max_blob} bytes, and no more than it says")
        if not body.piece:
            return refusal(Code.MALFORMED, "an empty piece")
        if self._full():
            return _full()
        who = _device(member)
        owner = device_tag(b"blob", who.name)
        now = self._clock() // 1000
        match await self._blobs.accept(owner, member.uploads, body, now):
            case int(have):
                return Count(have)
            case Spoiled():
                return await self._finished(base.DropUpload(owner, body.blob), _spoiled)
            case PutPart() as part:
                if self._over_quota(who.agency, len(part.piece)):
                    member.uploads.pop(body.blob, None)
                    return _over_quota()
                return await self._finished(part, lambda r: Count(r.count if isinstance(r, base.Counted) else 0))

    async def _finished(self, write: Write, finish: Callable[[Result], AnswerBody]) -> AnswerBody:
        """Wait until a write is durable: for what must not begin again before."""
        answered: asyncio.Future[AnswerBody] = asyncio.get_running_loop().create_future()

        def done(outcome: Outcome) -> None:
            answered.set_result(_answered(outcome, finish))

        if not self._heartbeat.offer(write, done):
            return refusal(Code.OVERLOADED, "more waits for the disk than may", retry_after=BUSY_WAIT)
        return await answered

    async def _get_blob(self, member: Member, body: GetBlob) -> Reply:
        _device(member)
        if member.outlet.congested and not await member.outlet.room():
            return refusal(Code.OVERLOADED, "nobody is there")
        total = await self._store.blob(body.blob)
        if total is None:
            return refusal(Code.NOT_FOUND, "no such blob")
        return Piece(total, body.offset, await self._store.piece(body.blob, body.offset, MAX_CHUNK))

    def _put_packages(self, member: Member, number: int, body: PutKeyPackages) -> Handled:
        if self._full() and body.packages:
            return _full()

        def finish(result: Result) -> AnswerBody:
            if isinstance(result, base.Counted):
                return Done()
            return refusal(Code.QUOTA, f"at most {self.bounds.packages} key packages are kept")

        write = base.PutPackages(
            _device(member).name, body.suite, body.packages, body.last_resort, bool(body.purge), self.bounds.packages
        )
        return self._offer(member, number, None, write, finish)

    def _take_package(self, member: Member, number: int, body: TakeKeyPackage) -> Handled:
        _device(member)
        if inbox_topic(body.device) not in self._inboxes:
            return refusal(Code.NOT_FOUND, "no such device is admitted")

        def finish(result: Result) -> AnswerBody:
            if isinstance(result, base.Taken):
                return KeyPackageTaken(result.package, int(result.last_resort))
            return refusal(Code.NOT_FOUND, "no key package of that device is left")

        write = base.TakePackage(body.device, body.suite, self._clock() // 1000)
        return self._offer(member, number, None, write, finish, vital=True)

    async def _count_packages(self, member: Member, body: CountKeyPackages) -> Reply:
        return Count(await self._store.packages(_device(member).name, body.suite))

    # ---------------------------------------------------------------------------------------------- the disk

    def _over_quota(self, agency: str, size: int) -> bool:
        """Whether the agency has brought in as much as it may; else it is charged."""
        if self._ledger.exceeds(agency, size):
            return True
        self._ledger.add(agency, size)
        return False

    def _full(self) -> bool:
        """Whether this request must be refused because only the last part of the disk is left."""
        low = self._low()
        self._refused_full += low
        return low

    def _low(self) -> bool:
        """Whether only the last part of the disk is left: looked up at most once a second."""
        if self._disk is None:
            return False
        now = asyncio.get_running_loop().time()
        if now >= self._full_known_until:
            self._is_full = self._disk() < self.bounds.reserve
            self._full_known_until = now + 1.0
        return self._is_full


def _place_of(body: RequestBody) -> bytes:
    """What a request is about, for the sake of order: its topic, its blob, or its kind."""
    match body:
        case CreateBox():
            return body.box
        case PutBlob():
            return b"put" + body.blob
        case Publish():
            return b"publish"
        case GetBlob():
            return b"get"
        case PutKeyPackages() | CountKeyPackages() | TakeKeyPackage():
            return b"packages"
        case GetHeads():
            return b"heads"
        case Ping():
            return b""
        case _:
            return body.topic


def _has_topic(body: RequestBody) -> bool:
    return isinstance(body, Append | Show | Subscribe | Unsubscribe | Deliver | CreateTopic | Trim | CreateBox)


def _appended(result: Result) -> AnswerBody:
    """How the result of an append is answered."""
    match result:
        case Placed():
            return Appended(result.stored.sequence)
        case base.Behind():
            return refusal(Code.STALE, "another came first", sequence=result.sequence, entry_id=result.entry_id)
        case base.Clash():
            return refusal(Code.CONFLICT, result.what)
        case base.Overfull():
            return refusal(Code.QUOTA, "it holds as many entries as it may", retry_after=FULL_WAIT)
        case _:
            return refusal(Code.UNKNOWN_TOPIC, "no such topic")


def _boxed(who: Who) -> Callable[[Result], AnswerBody]:
    """How the result of an append to a box is answered."""

    def finish(result: Result) -> AnswerBody:
        if isinstance(result, base.Behind) and isinstance(who, Guest):
            return refusal(Code.CONFLICT, "the box has its request", sequence=1)
        return _appended(result)

    return finish


def _done(_: Result) -> AnswerBody:
    return Done()


def _name(who: Who) -> bytes:
    """What stands for those of whom there is one session at a time; empty for an office."""
    match who:
        case Device():
            return b"device " + who.name.encode()
        case Guest():
            return b"guest " + who.box
        case Office():
            return b""
        case _:
            assert_never(who)


def _there(topic: OpenTopic | None) -> OpenTopic:
    assert topic is not None  # `take` opens it for every request that has one
    return topic


def _device(member: Member) -> Device:
    assert isinstance(member.who, Device)  # `_handle` has refused all others
    return member.who


async def _holding(topic: OpenTopic | None, work: Coroutine[Any, Any, Reply]) -> Reply:
    """``work``, with its topic kept open."""
    if topic is None:
        return await work
    topic.users += 1
    try:
        return await work
    finally:
        topic.users -= 1


def _answered(outcome: Outcome, finish: Callable[[Result], AnswerBody]) -> AnswerBody:
    if isinstance(outcome, StoreFull | StoreFailed):
        return _store_refusal(outcome)
    return finish(outcome)


def _full() -> Error:
    return refusal(Code.FULL, "the relay's disk is nearly full", retry_after=FULL_WAIT)


def _over_quota() -> Error:
    return refusal(Code.QUOTA, "the agency has stored as much as it may", retry_after=QUOTA_WAIT)


def _unheard(_: Outcome) -> None:
    """For writes that nobody waits for; the heartbeat reports batches that fail."""


def _crowded() -> Error:
    return refusal(Code.QUOTA, "this session uses as many topics as it may")


def _spoiled(_: Result) -> AnswerBody:
    return refusal(Code.CONFLICT, "the blob does not have the hash that names it: send it again from the start")


def _store_refusal(error: StoreFull | StoreFailed) -> Error:
    if isinstance(error, StoreFull):
        return refusal(Code.FULL, "the relay's disk is full", retry_after=FULL_WAIT)
    return refusal(Code.INTERNAL, "the relay could not store it", retry_after=BUSY_WAIT)
