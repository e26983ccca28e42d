"""The relay without its sockets: requests come in from members, answers and entries go out through their outlets.

    member.ask ─▶ lane of its topic ─▶ may it? ─▶ heartbeat ─▶ durable ─▶ answer ┐
                                          │                        └▶ fan-out ───┼─▶ outlet, one record a turn
                                          └ read only ─▶ answer, catch-up ───────┘

Requests of one member about one topic are begun in the order they came (`relay.lanes`), so a client may send `Show`,
`Subscribe` and `Append` in one record. Each goes to the counter for its kind: `relay.groups`, `relay.letters` (inboxes
and boxes), `relay.depot` (blobs, key packages), the trust topic; `relay.admission` says who may be here.

Two rules run through it. *Known before judged*: an append whose id and content are in the log gets its old answer, even
where access, quota or disk would refuse it now, since its sender only missed the acknowledgement. *Durable before
told*: no answer and no entry leaves before its batch is on the disk.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine
from functools import partial
from typing import Any, Final, assert_never

from relay.admission import identify, name_of, still_admitted
from relay.backroom import Backroom, there
from relay.bounds import Bounds
from relay.catchup import Catchup
from relay.depot import Depot
from relay.groups import Groups
from relay.heads import HeadBook, HeadSigner
from relay.hearing import Hearing
from relay.heartbeat import Heartbeat
from relay.lanes import Lanes
from relay.ledger import Ledger
from relay.letters import Letters
from relay.logs import event
from relay.member import Member, Outlet
from relay.outgoing import refusal
from relay.people import Device, Guest, Identified, Office, Who
from relay.replies import BUSY_WAIT, Handled, Reply
from relay.store import base
from relay.store.base import Outcome, Store, StoreFailed, StoreFull, TopicKind
from relay.topics import OpenTopic, State, Topics
from relay.trust_topic import TrustTopic
from securechan.errors import Invalid, Malformed, Refused, Stale, Untrusted
from securechan.trust.view import View
from securechan.wire.door import Claim
from securechan.wire.frames import (
    TRUST_TOPIC,
    Append,
    Appended,
    Code,
    CountKeyPackages,
    CreateBox,
    CreateTopic,
    Deliver,
    Done,
    GetBlob,
    GetHeads,
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
AGED: Final = 512  # topics that are looked at for old entries in one round


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
        self._ledger = Ledger(store, self.bounds)
        self._room = Backroom(
            store,
            self.bounds,
            clock,
            disk,
            self._topics,
            self._catchup,
            self._hearing,
            self._heartbeat,
            self._ledger,
        )
        self._groups = Groups(self._room, self._heads)
        self._letters = Letters(self._room)
        self._depot = Depot(self._room)
        self._lanes = Lanes(self._topics, self._handle)
        self._members: dict[Member, None] = {}
        self._named: dict[bytes, Member] = {}  # those of whom there is one session at a time
        self._tasks: set[asyncio.Task[None]] = set()
        self._beating: asyncio.Task[None] | None = None
        self.failed = asyncio.Event()  # a part of it is dead: the process must end and be started anew
        self._stopping = False
        self._aged = b""  # topics up to here were looked at in this round

    # ---------------------------------------------------------------------------------------------- life

    async def start(self) -> None:
        """Begin to work; requests may come from now on."""
        await self._ledger.load(self._clock() // 1000)
        self._store.listen(self._hearing.hear)
        async with self._topics.use(TRUST_TOPIC) as trust:
            trust.users += 1  # always open
        self._trust.attach(self._room.post, self._on_trust)
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
        await self._lanes.finish()
        self._book()
        self._heartbeat.stop()
        if self._beating is not None:
            await self._beating
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, *self._lanes.cancel(), return_exceptions=True)
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
                if not still_admitted(self._trust.view, member.who, now):
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
            self._heartbeat.offer(charge, partial(self._booked, charge), vital=True)

    def _booked(self, charge: base.Charge, outcome: Outcome) -> None:
        if isinstance(outcome, StoreFull | StoreFailed):
            self._ledger.unwritten(charge)

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
        self.bounds = self._room.bounds = bounds
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
        disk = self._room.disk
        return None if disk is None else disk()

    @property
    def takes_entries(self) -> bool:
        """Whether there is room on the disk, and nothing here has failed or is about to end."""
        return not (self._stopping or self.failed.is_set() or self._room.low())

    @property
    def trouble(self) -> str:
        """Why the store can't serve now; empty when it can."""
        return self._store.health().trouble

    def stats(self) -> dict[str, int]:
        """Counts, for those who watch."""
        return {
            **self._hearing.counts,
            "refused_full": self._room.refused_full,
            "sessions": len(self._members),
            "topics_open": len(self._topics),
            "subscriptions": sum(r.subscribed for m in self._members for r in m.readers.values()),
            "batches": self._heartbeat.batches,
            "writes": self._heartbeat.writes,
            "commit_failures": self._heartbeat.failures,
            "caught_up": self._catchup.sent,
            "head_signatures": self._heads.signatures if self._heads else 0,
            "store_unreadable": self._store.health().unreadable,
        }

    # ---------------------------------------------------------------------------------------------- people

    async def identify(self, claim: Claim) -> Identified:
        """Who a claim would be, and the key that must prove it: see `relay.admission`."""
        return await identify(self._trust.view, self._store, claim, self._clock() // 1000)

    def room(self, who: Who) -> None:
        """Returns if there is a place for another session, or an older one to take it from. Raises `Refused`
        (``overloaded``)."""
        taken = len(self._members) - (self._older(who) is not None)
        if self._stopping or taken >= self.bounds.sessions:
            raise Refused("the relay takes no more sessions now", code="overloaded", retry_after=5.0)

    def _older(self, who: Who) -> Member | None:
        return self._named.get(name_of(who))

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
        if name := name_of(who):
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
        if self._named.get(name := name_of(member.who)) is member:
            del self._named[name]
            self._store.retract(name)
        for reader in member.readers.values():
            reader.state = State.IDLE
            reader.topic.readers.pop(member, None)
        member.readers.clear()

    def _on_trust(self, view: View) -> None:
        """A publication is durable: whoever is not admitted any more goes at once."""
        self._index(view)
        now = self._clock() // 1000
        for member in list(self._members):
            if not still_admitted(self._trust.view, member.who, now):
                member.outlet.end(Reason.REVOKED)
                member.leave()

    def _index(self, view: View) -> None:
        self._room.inboxes = {inbox_topic(record.name): record.name for record in view.devices()}

    # ---------------------------------------------------------------------------------------------- requests

    def take(self, member: Member, number: int, body: RequestBody) -> None:
        """A member asks. See `Member.ask`."""
        if self._stopping or member.inflight > self.bounds.requests_in_flight:
            member.answer(number, refusal(Code.OVERLOADED, "too many requests at once", retry_after=BUSY_WAIT))
        else:
            self._lanes.take(member, number, body)

    def _handle(self, member: Member, number: int, body: RequestBody, topic: OpenTopic | None) -> Handled:
        """Judge a request: its answer, or None when that follows, or what remains to be awaited."""
        if (  # by far the most
            type(body) is Append
            and type(member.who) is Device
            and topic is not None
            and topic.kind is TopicKind.GROUP
            and topic.id not in self._room.inboxes
        ):
            return self._groups.append(member, number, body, topic)
        match member.who:
            case Device():
                pass
            case Guest() if not isinstance(body, Append | Subscribe | Unsubscribe | Ping):
                return refusal(Code.FORBIDDEN, "a guest may use its box, nothing else")
            case Office() if not isinstance(body, Subscribe | Unsubscribe | Publish | GetHeads | Ping):
                return refusal(Code.FORBIDDEN, "an office reads trust and publishes, nothing else")
            case _:
                pass
        if topic is not None and self._letters.misplaced(topic):
            return self._letters.evict(topic, lambda: self._handle(member, number, body, topic))
        match body:
            case Append():
                if there(topic).kind is TopicKind.BOX:
                    return self._letters.append_to_box(member, number, body, there(topic))
                return self._groups.append(member, number, body, there(topic))
            case Ping():
                return Done()
            case Show():
                return self._groups.show(member, number, body, there(topic))
            case Subscribe():
                return self._groups.subscribe(member, body, there(topic))
            case Unsubscribe():
                return self._groups.unsubscribe(member, body)
            case Deliver():
                return self._letters.deliver(member, number, body, there(topic))
            case CreateTopic():
                return self._groups.create(member, number, body, there(topic))
            case Trim():
                return self._letters.trim(member, number, body, there(topic))
            case Publish():
                return self._publish(body)
            case PutBlob():
                return self._depot.put_blob(member, body)
            case GetBlob():
                return self._depot.get_blob(member, body)
            case PutKeyPackages():
                return self._depot.put_packages(member, number, body)
            case TakeKeyPackage():
                return self._depot.take_package(member, number, body)
            case CountKeyPackages():
                return self._depot.count_packages(member, body)
            case CreateBox():
                return self._letters.create_box(member, number, body, there(topic))
            case GetHeads():
                return self._groups.heads(member, body)
            case _:
                assert_never(body)

    async def _publish(self, body: Publish) -> Reply:
        try:
            return Appended(await self._trust.publish(body.expected, body.documents))
        except Stale as error:
            view = self._trust.view
            return refusal(Code.STALE, error.message, sequence=view.position.sequence if view else 0)
        except (Untrusted, Malformed, Invalid) as error:
            return refusal(Code.UNTRUSTED, f"{error.code}: {error.message}"[:400])


def _unheard(_: Outcome) -> None:
    """For writes that nobody waits for; the heartbeat reports batches that fail."""
