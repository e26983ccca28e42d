"""One session: from the handshake to the last bye.

    read     records → requests, in order → mailroom, in the turn in which they arrive. Not reading on is the
             backpressure: while as many requests are under way as the limits allow, or for a moment after many were
             refused, what has come is held, the socket fills, and TCP does the rest.
    write    answers and entries → outlet → records.       What is sent before the loop turns leaves as one record, one
             seal, one write (`relay.departures`). Who reads slowly is sent no more than fits its buffer, and catches
             up from the log; who has stopped reading, or lets even answers pile up, is dropped with bye SLOW and
             resumes from its cursor.

A session ends once, for one reason, and says so: DONE when the client does, PROTOCOL when a record does not open or
means nothing, IDLE, EXPIRED after 24 hours, SLOW, SHUTDOWN, and REPLACED or REVOKED when the mailroom says so.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, assert_never

from websockets.exceptions import ConnectionClosed

from relay.departures import Departures
from relay.limits import Budget, Guard, Quotas
from relay.logs import event
from relay.mailroom import Mailroom
from relay.member import Member
from relay.metrics import Metrics
from relay.people import Device, Guest, Office, Who
from relay.websocket import Socket
from securechan.errors import CannotOpen, Malformed, Misuse, Refused, SecurechanError, Stale, Untrusted
from securechan.wire.door import Claim, Door, GuestClaim, TurnedAway
from securechan.wire.frames import (
    MAX_FRAMES,
    MOST_FRAMES,
    REQUESTS,
    Answer,
    Append,
    Bye,
    Code,
    CreateTopic,
    Deliver,
    Error,
    Frame,
    Publish,
    PutBlob,
    PutKeyPackages,
    Reason,
    Request,
    RequestBody,
)
from securechan.wire.handshake_formats import PROOF_SIZE, Denial, Why
from securechan.wire.plaintext import LoneAppend, filled
from securechan.wire.session import MAX_RECORD, Limits, Session

log = logging.getLogger("relay.connection")

HELLO_MAX: Final = PROOF_SIZE + 1024  # bytes of any message before there is a session
RECORD_TARGET: Final = 1 << 20  # bytes of frames after which a record is sealed though more wait
SMALL: Final = 64  # bytes that a request weighs which brings nothing to store
REFUSED: Final = 32  # refusals in a second after which a session is read no further for a moment …
REST: Final = 0.5  # … of this many seconds

_KINDS: Final = {body: kind.name.lower() for kind, body in REQUESTS.items()}
_REFUSALS: Final = {
    "expired": Denial.EXPIRED,
    "invite-expired": Denial.EXPIRED,
    "revoked": Denial.REVOKED,
    "overloaded": Denial.OVERLOADED,
    "closed": Denial.CLOSED,
}


@dataclass(frozen=True, slots=True)
class House:
    """What all connections share. ``door`` is None while the relay serves no federation."""

    mailroom: Mailroom
    door: Callable[[], Door | None]
    limits: Limits
    quotas: Quotas
    guard: Guard
    budget: Budget
    metrics: Metrics
    departures: Departures
    clock: Callable[[], int]  # Unix milliseconds


class Connection:
    """A client's connection; towards the mailroom it is the `Outlet`."""

    def __init__(self, socket: Socket, house: House) -> None:
        self._socket = socket
        self._house = house
        self._loop = asyncio.get_running_loop()
        self._session: Session | None = None
        self._buffer = house.quotas.buffer
        self._most = house.limits.in_flight
        self._pending: deque[bytes] = deque()
        self._waiting = 0  # bytes in _pending
        self._flush_due = False
        self._room = asyncio.Event()
        self._room.set()
        self._end: asyncio.Future[Reason] = self._loop.create_future()
        self._heard = self._loop.time()
        self._watching: asyncio.TimerHandle | None = None
        self._member: Member | None = None
        self._sender = self._agency = ""
        self._held: deque[bytes | Frame | LoneAppend] = deque()  # what must wait for answers to what came before
        self._unholding: asyncio.Task[None] | None = None
        self._resting = False  # it goes on asking though it was refused
        self._refused = 0
        self._refused_since = 0.0
        self._draining = False
        self._cut = False  # the client is gone without a bye
        self.closed = asyncio.Event()  # set by the server once everything here has ended

    # ---------------------------------------------------------------------------------------------- the mailroom's side

    def send(self, frames: bytes) -> None:
        """Let these encoded frames leave with the next record. Never waits."""
        if len(frames) > MAX_FRAMES:
            raise Misuse(f"a frame of {len(frames)} bytes where a record takes {MAX_FRAMES}")
        if self._end.done():
            return
        self._pending.append(frames)
        self._waiting += len(frames)
        if self._waiting > self._buffer // 2:
            if self._waiting > self._buffer:
                self.end(Reason.SLOW)
                return
            self._room.clear()
        if not self._flush_due:
            self._flush_due = True
            self._house.departures.due(self)

    @property
    def congested(self) -> bool:
        """Whether more waits than half of what may."""
        return self._waiting > self._buffer // 2

    async def room(self) -> bool:
        """Return when there is room again: True; or when there is no one any more: False."""
        await self._room.wait()
        return not self._end.done()

    def end(self, reason: Reason) -> None:
        """End the session; the first reason holds."""
        if not self._end.done():
            self._end.set_result(reason)
            self._room.set()

    def writable(self) -> None:
        """The socket's buffer has emptied, or the socket is gone."""
        self._flush()

    def depart(self) -> None:
        """What was sent in this turn leaves."""
        self._flush_due = False
        try:
            self._flush()
        except Exception:
            event(log, "session failed", level=logging.ERROR, error=True)
            self.end(Reason.SHUTDOWN)

    def _flush(self) -> None:
        """Seal and write what waits, as long as the socket takes it."""
        house, session, socket, pending = self._house, self._session, self._socket, self._pending
        if session is None or session.said_bye:
            return
        while pending and not socket.choked:
            frame = pending.popleft()
            size, count = len(frame), 1
            if pending:
                chunks = [frame]
                while pending and size + len(pending[0]) <= RECORD_TARGET and len(chunks) < MOST_FRAMES:
                    chunks.append(pending.popleft())
                    size += len(chunks[-1])
                plain, count = filled(chunks), len(chunks)
            else:
                plain = house.departures.plain(frame)
            self._waiting -= size
            try:
                record = session.seal_filled(plain, house.clock() // 1000)
            except Stale:  # the timer that says so is late
                self.end(Reason.EXPIRED)
                return
            house.metrics.sent(count, len(record))
            socket.post(record)
        if not self._room.is_set() and not self.congested:
            self._room.set()

    # ------------------------------------------------------------------------------------------------ the server's side

    def drain(self) -> None:
        """Read no more; what was asked is still answered."""
        self._draining = True
        self._held.clear()

    def shut(self) -> None:
        """The relay goes down: bye SHUTDOWN, or the end of a handshake that isn't done."""
        if self._session is None:
            self._socket.transport.abort()
        else:
            self.end(Reason.SHUTDOWN)

    # ------------------------------------------------------------------------------------------------------ the story

    async def run(self) -> None:
        """From the first message to the closed socket."""
        house, socket = self._house, self._socket
        started = self._loop.time()
        outcome = "cut"
        try:
            async with asyncio.timeout(house.quotas.handshake_timeout):
                met = await self._meet()
            outcome = met if isinstance(met, str) else "accepted"
        except TimeoutError:
            met = outcome = "timeout"
        except ConnectionClosed:
            met = outcome
        except SecurechanError as error:
            met = outcome = error.code
        finally:
            socket.pass_door()
            house.metrics.count("handshakes", outcome)
            house.metrics.handshake(self._loop.time() - started)
        if isinstance(met, str):
            event(log, "handshake failed", level=logging.DEBUG, outcome=outcome)
            socket.close(1008)
            await socket.closed()
            return
        await self._serve(*met)

    async def _meet(self) -> tuple[Member, Session, Who] | str:
        """The handshake: someone the mailroom knows, or one word on why not."""
        house, socket = self._house, self._socket
        wait = house.guard.knock(socket.address)
        door = house.door()
        for attempt in range(2):
            message = await socket.message()
            if wait:
                return self._turn_away(Why.OVERLOADED, wait)
            if door is None:
                return self._turn_away(Why.CLOSED, 5000)
            guarded = house.guard.alert or attempt > 0
            match door.open(
                message, house.limits, now_ms=house.clock(), address=socket.address.encode(), guarded=guarded
            ):
                case TurnedAway() as away:
                    socket.post(away.reply)
                    if not away.again:
                        return "turned-away"
                case answered:
                    socket.post(answered.reply)
                    claim = answered.receive(await socket.message())
                    return await self._admit(claim)
        return "no-cookie"

    def _turn_away(self, why: Why, retry_after: int) -> str:
        self._socket.post(TurnedAway.because(why, retry_after).reply)
        return why.name.lower()

    async def _admit(self, claim: Claim) -> tuple[Member, Session, Who] | str:
        house = self._house
        try:
            known = await house.mailroom.identify(claim)
            try:
                house.mailroom.room(known.who)
            except Refused:
                claim.prove(known.key)  # who can't hears nothing of who else is here
                raise
            session, h4 = claim.accept(known.key, house.limits, self._now())
        except (Untrusted, Refused, CannotOpen) as error:
            self._socket.post(_refusal(claim, error))
            return error.code
        # From here on nothing refuses: the verdict is sealed, and its key seals one.
        self._session = session
        self._sender, self._agency = _account(known.who)
        member = self._member = house.mailroom.enter(known.who, self)  # there is room: nobody else had a turn meanwhile
        self._socket.allow(MAX_RECORD)
        self._socket.post(h4)  # before anything the mailroom sends, which leaves when the loop turns
        self._socket.answer_at(self)
        return member, session, known.who

    async def _serve(self, member: Member, session: Session, who: Who) -> None:
        metrics = self._house.metrics
        kind = type(who).__name__.lower()
        metrics.count("sessions_opened", kind)
        started = self._loop.time()
        self._watch(session)
        try:
            reason = await self._end
        finally:
            if self._watching is not None:
                self._watching.cancel()
            if self._unholding is not None:
                self._unholding.cancel()
            member.leave()
        ended = "cut" if self._cut else reason.name.lower()
        metrics.count("sessions_ended", ended)
        event(log, "session ended", kind=kind, reason=ended, seconds=round(self._loop.time() - started, 1))
        await self._farewell(session, reason)

    async def _farewell(self, session: Session, reason: Reason) -> None:
        """Send what may still be sent and the bye, and close."""
        if reason is not Reason.SLOW:
            self._flush()
        self._pending.clear()
        self._waiting = 0
        bye = b"" if session.said_bye else session.farewell(reason, self._now())
        if bye:
            self._house.metrics.sent(1, len(bye))
        self._socket.close(1002 if reason is Reason.PROTOCOL else 1000, bye)
        await self._socket.closed()

    # ------------------------------------------------------------------------------------------------------- inwards

    def heard(self, messages: Sequence[bytes]) -> None:
        """Records have come, all that one read brought."""
        if self._end.done() or self._draining:
            return
        self._heard = self._loop.time()
        metrics = self._house.metrics
        metrics.count("records_in", amount=len(messages))
        metrics.count("bytes_in", amount=sum(map(len, messages)))
        if self._held or self._resting:
            self._held.extend(messages)
        else:
            self._take_in(messages)

    def gone(self) -> None:
        """The socket has closed."""
        self._flush()
        if not self._end.done():
            self._cut = True
            self.end(Reason.DONE)  # nobody is left to hear it

    def _take_in(self, items: Sequence[bytes | Frame | LoneAppend]) -> None:
        """Take records or frames, until one makes the rest wait; whatever is wrong with one ends the session."""
        now = self._now()
        try:
            for place, item in enumerate(items):
                if isinstance(item, bytes):
                    self._open(item, now)
                else:
                    self._take(item)
                if self._held or self._resting or self._end.done():
                    self._held.extend(items[place + 1 :])
                    return
        except SecurechanError as error:
            event(log, "record refused", level=logging.WARNING, cause=error.code)
            self.end(Reason.PROTOCOL)
        except Exception:
            event(log, "session failed", level=logging.ERROR, error=True)
            self.end(Reason.SHUTDOWN)

    def _open(self, record: bytes, now: int) -> None:
        """Take the frames of a record, as many as may be under way; the others are held."""
        session, member = self._session, self._member
        if session is None or member is None:
            raise Misuse("there is no session yet")
        asked = session.open_asked(record, now)
        frames: Sequence[Frame | LoneAppend] = (asked,) if isinstance(asked, LoneAppend) else asked
        for place, frame in enumerate(frames):
            if self._resting or member.inflight >= self._most:
                self._held.extendleft(reversed(frames[place:]))
                self._read_no_further()
                return
            self._take(frame)

    def _take(self, frame: Frame | LoneAppend) -> None:
        if isinstance(frame, LoneAppend):
            self._ask(frame.number, frame.append)
            return
        body = frame.body
        if type(body) is Request:
            self._ask(body.number, body.body)
        elif type(body) is Bye:
            self.end(Reason.DONE)
        else:
            raise Malformed("a client sends requests and a bye, nothing else")

    def _read_no_further(self) -> None:
        """Until everything that is held was taken."""
        if self._unholding is None and self._member is not None:
            self._unholding = self._loop.create_task(self._unhold(self._member))

    async def _unhold(self, member: Member) -> None:
        self._socket.listen(False)
        while (self._held or self._resting) and not self._end.done():
            if self._resting:
                await asyncio.sleep(REST)
                self._resting, self._refused = False, 0
            await member.below(self._most)
            if self._held and not self._end.done():
                self._take_in((self._held.popleft(),))
        self._unholding = None
        self._socket.listen(True)

    def _ask(self, number: int, body: RequestBody) -> None:
        house, kind = self._house, _KINDS[type(body)]
        house.metrics.count("requests", kind)
        appends, stored = _weight(body)
        wait = house.budget.take(self._sender, self._agency, appends, stored or SMALL, stored)
        if not wait:
            assert self._member is not None  # a record was opened
            self._member.ask(number, body)
            return
        metrics = house.metrics
        metrics.count("requests_refused", kind)
        self._mind_refusal()
        refusal = Error(Code.QUOTA, wait, "quota used up", 0, bytes(32))
        self.send(Frame.of(Answer.of(number, refusal)).encode())

    def _mind_refusal(self) -> None:
        """Whoever asks on and on in spite of what it is told, costs others no more than a few answers a second."""
        at = self._loop.time()
        if at - self._refused_since > 1.0:
            self._refused_since, self._refused = at, 0
        self._refused += 1
        if self._refused > REFUSED:
            self._resting = True
            self._read_no_further()

    def _watch(self, session: Session) -> None:
        """End the session when its time is over or nothing has come for too long; look again when it may be so."""
        idle, stall = self._house.limits.idle, self._house.quotas.stall
        now = self._loop.time()
        left = session.expires - self._now()
        if left <= 0:
            self.end(Reason.EXPIRED)
        quiet = now - self._heard
        if quiet >= idle:
            self.end(Reason.IDLE)
        choked = self._socket.choked
        if choked and now - choked >= stall:
            self.end(Reason.SLOW)
        if not self._end.done():
            again = max(0.05, min(left, idle - quiet, stall / 2))
            self._watching = self._loop.call_later(again, self._watch, session)

    def _now(self) -> int:
        return self._house.clock() // 1000


def _refusal(claim: Claim, error: Untrusted | Refused | CannotOpen) -> bytes:
    """H4 that says no; a cause is named only to one who holds the key it shows."""
    wait = int((error.retry_after or 0) * 1000) if isinstance(error, Refused) else 0
    denial = _REFUSALS.get(error.code, Denial.UNKNOWN)
    if denial in (Denial.OVERLOADED, Denial.CLOSED):
        return claim.refuse(denial, error.message, wait)
    if isinstance(claim, GuestClaim):  # who knows the box's id, 32 bytes of the code's making, may hear of its end
        known = denial is Denial.EXPIRED
        return claim.refuse(denial if known else Denial.NO_PROOF, "the invite is used up, expired or unknown")
    if isinstance(error, CannotOpen):
        return claim.refuse(Denial.NO_PROOF, "the relay does not know you")
    try:
        claim.check()
    except CannotOpen:
        return claim.refuse(Denial.NO_PROOF, "the relay does not know you")
    return claim.refuse(denial, error.message.encode()[:400].decode(errors="ignore"), wait)


def _account(who: Who) -> tuple[str, str]:
    """Whose buckets are drawn from: (sender, agency)."""
    match who:
        case Device():
            return who.name, who.agency
        case Guest():
            return f"box {who.box.hex()}", ""  # a stranger with an invite must not use up what its agency has
        case Office():
            return f"office {who.role} {who.key_id}", ""
        case _:
            assert_never(who)


def _weight(body: RequestBody) -> tuple[int, int]:
    """(entries added, bytes to be stored) by a request."""
    match body:
        case Append() | Deliver():
            return 1, len(body.body)
        case CreateTopic():
            return 1, SMALL
        case Publish():
            return 1, sum(len(document.content) for document in body.documents)
        case PutBlob():
            return 0, len(body.piece)
        case PutKeyPackages():
            return 0, sum(map(len, body.packages)) + len(body.last_resort or b"")
        case _:
            return 0, 0
