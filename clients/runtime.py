"""The only place that waits: a member's mind, its memory, its line to the relay, and time.

    relay ─┐                     ┌─► Transition: agent', writes, effects, answer
    clock ─┼─► inbox ─► agent.on ┤
    user ──┘     ▲               └─► vault.adopt(writes)  one transaction  ─► agent := agent' ─► effects ─► answers
                 └───────────────────────────────────────────────────────────────────────────────────┘

The order is the whole point. Nothing leaves before the state that caused it is durable, so a crash between any two
effects loses nothing and repeats nothing that matters: the next agent finds what has to leave in its rows. Inputs that
have gathered while the disk was busy are thought through one after the other and adopted together, which is what makes
catching up on a thousand entries cost a few transactions. What nobody waits for (`patient`: a letter is delivered, a
receipt has come) is kept back for a second at most and adopted with what comes next; to crash before is to crash before
it arrived.

Where adopting fails (a full disk, say) the old agent stays, nothing is sent, and the runtime ends with that error:
whatever the relay had delivered is delivered again after the next start.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import AsyncGenerator, Awaitable, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Self, TypeVar, assert_never

from clients.clock import Clock
from clients.connection import Up
from clients.transport import Arrived, Down, Transport
from clients.vault import Vault
from securechan.agent.asks import Ask, Committing, Created, Posting, Uploading
from securechan.agent.effects import Effect, Emit, Reconnect, Send, Wake, Write, patient
from securechan.agent.events import Event
from securechan.agent.inputs import Answered, Command, Connected, Disconnected, Input, Received, Tick
from securechan.errors import Refused, SecurechanError, TimedOut, Unreachable
from securechan.wire.frames import Answer, AnswerBody, Code, Entries, Error, Heads, Request

if TYPE_CHECKING:
    from securechan.agent.agent import Agent

BATCH: Final = 64  # inputs adopted together at most
NO_ROOM: Final = 20_000  # milliseconds: a relay that wants to be asked later than that has no room, not a busy moment
PATIENCE: Final = 1.0  # seconds for which writes that nobody waits for are kept back
BACKLOG: Final = 256  # inputs that wait before the relay is read no further

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class _Item:
    """An input and who waits for its answer. ``session``: the number of the session that a `Connected` stands for."""

    given: Input
    answer: asyncio.Future[Any] | None = None
    session: int = 0


@dataclass(frozen=True, slots=True)
class Refusing:
    """The relay can keep nothing, though it answers: its store is away, say, and what it has can still be read."""

    error: Error
    since: float  # Unix seconds


class Runtime:
    """A device at work. Use as ``async with Runtime(...) as runtime``.

    ``transport`` None means offline: commands are adopted, nothing leaves. ``before_effect`` is called before each
    effect, after its state is durable; stories of sudden death hang on it.
    """

    def __init__(
        self,
        vault: Vault,
        agent: Agent,
        transport: Transport | None,
        clock: Clock,
        *,
        before_effect: Callable[[Effect], None] | None = None,
    ) -> None:
        self.vault = vault
        self.agent = agent
        self.link: Up | Down | None = None
        self._transport = transport
        self._clock = clock
        self._before_effect = before_effect
        self._inbox: deque[_Item] = deque()
        self._ready = asyncio.Event()
        self._room = asyncio.Event()
        self._changed = asyncio.Event()
        self._asks: dict[int, Ask] = {}
        self._number = 0
        self._session = 0  # of the transport
        self._known = 0  # of the agent: it may lag behind
        self._kept: list[Write] = []  # thought, and not adopted yet …
        self._then: list[tuple[int, Effect]] = []  # … with what is to be done when they are
        self._due: asyncio.TimerHandle | None = None
        self._overdue = False  # they have waited long enough
        self._alarm: asyncio.Task[None] | None = None
        self._tasks: list[asyncio.Task[None]] = []
        self._listeners: list[Callable[[Event], None]] = []
        self._link_listeners: list[Callable[[Up | Down], None]] = []
        self._failure: BaseException | None = None
        self.no_room: Error | None = None  # the relay's answer to the last thing that it was to keep, if it was that
        self.refusing: Refusing | None = None  # likewise, if it could not keep it

    # --------------------------------------------------------------------------------------------------- beginning, end

    async def __aenter__(self) -> Self:
        self._tasks = [asyncio.create_task(self._guard(self._work))]
        self._post(_Item(Tick()))  # what stands in the rows may want something by now
        self._tasks.append(asyncio.create_task(self._guard(self._pump)))
        return self

    async def __aexit__(self, *_: object) -> None:
        """Say bye and stop. What is adopted stays; what waits in the inbox is forgotten, as if it had not arrived."""
        await self._cancel(*reversed(self._tasks), *([self._alarm] if self._alarm else []))
        self._tasks = []
        writes, self._kept = self._kept, []
        if writes and self._failure is None:
            await asyncio.to_thread(self.vault.adopt, writes)
        self._settle(Unreachable("the client is closing", code="closing"))

    @staticmethod
    async def _cancel(*tasks: asyncio.Task[None]) -> None:
        for task in tasks:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task

    async def _guard(self, work: Callable[[], Awaitable[None]]) -> None:
        """What stops one part stops all, and everyone who waits hears why."""
        try:
            await work()
        except Exception as e:
            self._failure = e
            self._settle(e)
            for task in self._tasks:
                if task is not asyncio.current_task():
                    task.cancel()

    def _settle(self, error: BaseException) -> None:
        for item in self._inbox:
            if item.answer is not None and not item.answer.done():
                item.answer.set_exception(error)
        self._inbox.clear()
        self._wake_waiters()

    async def ended(self) -> None:
        """Return when this runtime can do no more: raises what ended it, or the relay's final word."""
        while True:
            changed = self._changed
            self._check()
            if isinstance(self.link, Down) and self.link.retry_in is None:
                raise self.link.error
            await changed.wait()

    # -------------------------------------------------------------------------------------------------------- for users

    async def do(self, command: Command) -> Any:
        """Have a command carried out as far as this device alone can; its answer, once it is durable. Raises what the
        agent raises (and then nothing has changed), or what ended the runtime."""
        self._check()
        answer: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._post(_Item(command, answer))
        return await answer

    async def until(self, predicate: Callable[[Agent], T | None], timeout: float | None) -> T:
        """Wait until the predicate finds something in the agent's state (something true); that something.

        ``timeout`` in seconds. Raises TimedOut, or what ended the runtime.
        """
        with _limit(timeout):
            async with asyncio.timeout(timeout):
                while True:
                    changed = self._changed
                    self._check()
                    found = predicate(self.agent)
                    if found:
                        return found
                    await changed.wait()

    async def online(self, timeout: float | None, *, patient: bool = False) -> Up:
        """Wait for a session. Unless ``patient``, the first failure to get one is raised. Raises also TimedOut."""
        with _limit(timeout):
            async with asyncio.timeout(timeout):
                while True:
                    changed = self._changed
                    self._check()
                    match self.link:
                        case Up() as up:
                            return up
                        case Down(error, _, retry_in) if retry_in is None or not (patient or error.code == "restarted"):
                            raise error
                        case _ if self._transport is None:
                            raise Unreachable("this command runs offline", code="offline")
                        case _:
                            await changed.wait()

    def listen(self, hear: Callable[[Event], None]) -> Callable[[], None]:
        """Have every event told to ``hear``, at once and in order; the return value ends that."""
        self._listeners.append(hear)
        return lambda: self._listeners.remove(hear)

    def listen_link(self, hear: Callable[[Up | Down], None]) -> Callable[[], None]:
        """Have every session won or lost told to ``hear``; the return value ends that."""
        self._link_listeners.append(hear)
        return lambda: self._link_listeners.remove(hear)

    async def events(self) -> AsyncGenerator[Event, None]:
        """Events from now on. Raises what ended the runtime, or the relay's final word."""
        heard: asyncio.Queue[Event] = asyncio.Queue()
        stop = self.listen(heard.put_nowait)
        ending = asyncio.create_task(self.ended())
        try:
            while True:
                hearing = asyncio.create_task(heard.get())
                try:
                    await asyncio.wait((hearing, ending), return_when=asyncio.FIRST_COMPLETED)
                    if not hearing.done():
                        ending.result()
                        return
                    yield hearing.result()
                finally:
                    hearing.cancel()
        finally:
            stop()
            ending.cancel()
            with contextlib.suppress(asyncio.CancelledError, SecurechanError):
                await ending

    def _check(self) -> None:
        if self._failure is not None:
            raise self._failure
        if not self._tasks:
            raise Unreachable("the client is not running", code="closing")

    # ----------------------------------------------------------------------------------------------------- what arrives

    def _post(self, item: _Item) -> None:
        self._inbox.append(item)
        self._ready.set()

    async def _pump(self) -> None:
        """Turn what the transport says into inputs; read no further while too many of them wait."""
        transport = self._transport
        if transport is None:
            return
        async with contextlib.aclosing(transport.events()) as events:
            async for event in events:
                match event:
                    case Up():
                        self._session += 1
                        self._linked(event)
                        self._post(_Item(Connected(event.relay, event.relay_time), session=self._session))
                        self._wake_waiters()
                    case Arrived(frames):
                        for frame in frames:
                            self._take(frame, transport)
                    case Down(error, _, _):
                        self._asks.clear()
                        self._session += 1
                        self._linked(event)
                        self._post(_Item(Disconnected(error.code)))
                        self._wake_waiters()
                    case _:
                        assert_never(event)
                while len(self._inbox) > BACKLOG:
                    self._room.clear()
                    await self._room.wait()

    def _linked(self, link: Up | Down) -> None:
        self.link = link
        for hear in tuple(self._link_listeners):
            hear(link)

    def _take(self, frame: Answer | Entries | Heads, transport: Transport) -> None:
        match frame:
            case Answer(number, _, body):
                ask = self._asks.pop(number, None)
                if ask is None:
                    transport.restart()  # it answers what was never asked: start anew with it
                else:
                    self._heed(ask, body)
                    self._post(_Item(Answered(ask, body)))
            case Entries() | Heads():
                self._post(_Item(Received(frame)))
            case _:
                assert_never(frame)

    def _heed(self, ask: Ask, body: AnswerBody) -> None:
        """Note whether the relay keeps what it is given. The agent offers again what was refused; people may not want
        to wait."""
        if not isinstance(ask, Posting | Committing | Created | Uploading):
            return
        match body:
            case Error(code=Code.FULL | Code.QUOTA, retry_after=wait) if wait >= NO_ROOM:
                self.no_room = body
                self._wake_waiters()
            case Error(code=Code.FULL | Code.QUOTA | Code.INTERNAL | Code.OVERLOADED):
                since = self._clock.time() if self.refusing is None else self.refusing.since
                self.refusing = Refusing(body, since)
                self._wake_waiters()
            case Error():
                pass
            case _:
                self.no_room = self.refusing = None

    # ------------------------------------------------------------------------------------------------ think, adopt, act

    async def _work(self) -> None:
        while True:
            await self._ready.wait()
            self._ready.clear()
            while self._inbox or self._overdue:
                await self._turn()
                self._room.set()

    async def _turn(self) -> None:
        """Some inputs, thought through in order, adopted together."""
        agent = self.agent
        writes: list[Write] = []
        effects: list[tuple[int, Effect]] = []
        asked: list[asyncio.Future[Any]] = []
        answers: list[tuple[asyncio.Future[Any], Any]] = []
        known = self._known
        try:
            for _ in range(min(BATCH, len(self._inbox))):
                item = self._inbox.popleft()
                if item.session:
                    known = item.session
                if item.answer is not None:
                    asked.append(item.answer)
                try:
                    step = agent.on(item.given, int(self._clock.time()))
                except SecurechanError as e:
                    if item.answer is None:
                        raise
                    if not item.answer.done():
                        item.answer.set_exception(e)
                    continue
                agent = step.agent
                writes += step.writes
                effects += [(known, effect) for effect in step.effects]
                if item.answer is not None:
                    answers.append((item.answer, step.answer))
            if not (self._overdue or asked) and all(patient(effect) for _, effect in effects):
                self.agent, self._known = agent, known
                self._keep_back(writes, effects)
                self._wake_waiters()
                return
            writes, effects = self._released(writes, effects)
            if writes:
                await asyncio.to_thread(self.vault.adopt, writes)
        except Exception as e:
            for future in asked:
                if not future.done():
                    future.set_exception(e)
            raise
        self.agent, self._known = agent, known
        for session, effect in effects:
            self._perform(session, effect)
        for future, answer in answers:
            if not future.done():  # who asked may have gone
                future.set_result(answer)
        self._wake_waiters()

    def _keep_back(self, writes: list[Write], effects: list[tuple[int, Effect]]) -> None:
        self._kept += writes
        for session, effect in effects:
            if isinstance(effect, Wake):
                self._perform(session, effect)  # of which nothing has to be durable
            else:
                self._then.append((session, effect))
        if self._due is None and (self._kept or self._then):
            self._due = asyncio.get_running_loop().call_later(PATIENCE, self._enough)

    def _enough(self) -> None:
        self._overdue = True
        self._ready.set()

    def _released(
        self, writes: list[Write], effects: list[tuple[int, Effect]]
    ) -> tuple[list[Write], list[tuple[int, Effect]]]:
        """These, after what was kept back."""
        writes, effects = self._kept + writes, self._then + effects
        self._kept, self._then, self._overdue = [], [], False
        if self._due is not None:
            self._due.cancel()
            self._due = None
        return writes, effects

    def _perform(self, session: int, effect: Effect) -> None:
        if self._before_effect is not None:
            self._before_effect(effect)
        match effect:
            case Send(body, ref):
                self._send(session, body, ref)
            case Emit(event):
                for hear in tuple(self._listeners):
                    hear(event)
            case Wake(at):
                if self._alarm is not None:
                    self._alarm.cancel()
                self._alarm = asyncio.create_task(self._ring(at))
            case Reconnect():
                if self._transport is not None:
                    self._transport.restart()
            case _:
                assert_never(effect)

    def _send(self, session: int, body: Any, ref: Ask) -> None:
        if self._transport is None or session != self._session:
            return  # meant for a session that is over: the agent hears of that and asks again
        self._number = self._number % 0x7FFF_FFFF + 1
        try:
            if self._transport.send(Request.of(self._number, body)):
                self._asks[self._number] = ref
        except Refused as e:
            self._post(_Item(Answered(ref, Error(Code.TOO_LARGE, 0, e.message[:400], 0, bytes(32)))))

    async def _ring(self, at: int) -> None:
        await self._clock.sleep(max(0.0, at - self._clock.time()))
        self._post(_Item(Tick()))

    def _wake_waiters(self) -> None:
        changed, self._changed = self._changed, asyncio.Event()
        changed.set()


@contextlib.contextmanager
def _limit(seconds: float | None) -> Any:
    try:
        yield
    except TimeoutError:
        raise too_late(seconds or 0.0) from None


def too_late(seconds: float) -> TimedOut:
    """What is raised where a wait of so many seconds was in vain."""
    return TimedOut(
        f"nothing came of it within {seconds:.0f} s",
        hint="what was queued stays queued: securechan sync, or wait longer (--timeout)",
    )
