"""clients/runtime.py: adopt first, act afterwards, answer last; and whoever waits hears how it ended.

The mind here is a small one that does as the test says: what a real agent makes of its inputs has tests of its own.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any, cast

import pytest
from websockets.asyncio.server import ServerConnection

from clients.connection import Up
from clients.runtime import BACKLOG, Runtime
from clients.transport import Down, Transport
from clients.vault import Put, Vault
from securechan.agent.asks import Counting, Pinging
from securechan.agent.effects import Effect, Emit, Reconnect, Send, Wake
from securechan.agent.events import ReceiptReceived, RequestDone
from securechan.agent.inputs import Answered, Connected, Disconnected, Leave, Received, Tick
from securechan.errors import Denied, NotReady, Refused, SecurechanError, TimedOut, Unreachable
from securechan.wire.frames import (
    Answer,
    Append,
    Bye,
    Code,
    Count,
    CountKeyPackages,
    Done,
    Entries,
    Error,
    Frame,
    Halt,
    Ping,
    Reason,
    Request,
)
from securechan.wire.session import Session
from tests.clients.relay_peer import LIMITS, NOW, Peer, StillClock, run

Think = Callable[["Mind", Any, int], "Step"]


@dataclass(frozen=True)
class Mind:
    """Remembers its inputs; what it makes of them is the test's."""

    think: Think
    seen: tuple[Any, ...] = ()

    def on(self, given: Any, now: int) -> Step:
        step = self.think(self, given, now)
        return replace(step, agent=replace(self, seen=(*self.seen, given)))


@dataclass(frozen=True)
class Step:
    agent: Any = None
    writes: tuple[Put, ...] = ()
    effects: tuple[Effect, ...] = ()
    answer: Any = None


@dataclass
class Script:
    """What to do at each kind of input."""

    steps: dict[type, Callable[[Any], Step]] = field(default_factory=dict)

    def __call__(self, mind: Mind, given: Any, now: int) -> Step:
        step = self.steps.get(type(given))
        return Step() if step is None else step(given)


def runtime(
    vault: Vault,
    steps: dict[type, Callable[[Any], Step]],
    transport: Transport | None = None,
    clock: StillClock | None = None,
    before_effect: Callable[[Effect], None] | None = None,
) -> Runtime:
    mind = cast("Any", Mind(Script(steps)))
    return Runtime(vault, mind, transport, clock or StillClock(), before_effect=before_effect)


def seen(agent: Any, kind: type) -> list[Any]:
    return [given for given in agent.seen if type(given) is kind]


LEAVE = Leave(bytes(32))


# ---------------------------------------------------------------------------------------------------------- commands


def test_a_command_is_durable_before_it_acts_and_acts_before_it_answers(vault: Vault) -> None:
    order: list[str] = []

    def check(effect: Effect) -> None:
        assert vault.get("t", "a") == b"1"
        order.append(type(effect).__name__)

    def leave(_: Leave) -> Step:
        return Step(writes=(Put("t", "a", b"1"),), effects=(Emit(RequestDone("x", 1)), Reconnect("y")), answer="done")

    async def story() -> None:
        async with runtime(vault, {Leave: leave}, before_effect=check) as r:
            heard: list[Any] = []
            stop = r.listen(heard.append)
            assert await r.do(LEAVE) == "done"
            assert order == ["Emit", "Reconnect"]
            assert heard == [RequestDone("x", 1)]
            stop()
            await r.do(LEAVE)
            assert len(heard) == 1
            assert seen(r.agent, Leave) == [LEAVE, LEAVE]

    run(story())


def test_a_command_that_cannot_be_done_changes_nothing(vault: Vault) -> None:
    def refuse(_: Leave) -> Step:
        raise Denied("you may not", hint="ask")

    async def story() -> None:
        async with runtime(vault, {Leave: refuse}) as r:
            with pytest.raises(Denied, match="may not"):
                await r.do(LEAVE)
            assert seen(r.agent, Leave) == []
            with pytest.raises(Denied):  # and the runtime goes on
                await r.do(LEAVE)
        assert vault.generation == 0

    run(story())


def test_commands_that_come_together_are_adopted_together(vault: Vault) -> None:
    numbers = iter(range(100))

    def step(_: Leave) -> Step:
        n = next(numbers)
        return Step(writes=(Put("t", str(n), b""),), answer=n)

    async def story() -> None:
        async with runtime(vault, {Leave: step}) as r:
            assert await asyncio.gather(*(r.do(LEAVE) for _ in range(20))) == list(range(20))
        assert vault.tables() == {"t": 20}
        assert vault.generation < 20

    run(story())


def test_a_full_disk_sends_nothing_and_tells_everyone(vault: Vault) -> None:
    (pages,) = vault._db.execute("PRAGMA page_count").fetchone()
    vault._db.execute(f"PRAGMA max_page_count = {pages + 2}")
    acted: list[Effect] = []

    async def story() -> None:
        step = Step(writes=(Put("t", "a", bytes(1 << 20)),), effects=(Reconnect("x"),))
        async with runtime(vault, {Leave: lambda _: step}, before_effect=acted.append) as r:
            waiting = asyncio.create_task(r.until(lambda _: False, 10))
            ending = asyncio.create_task(r.ended())
            await asyncio.sleep(0)
            for what in (r.do(LEAVE), waiting, ending, r.do(LEAVE)):
                with pytest.raises(NotReady) as e:
                    await what
                assert e.value.code == "disk-full"
            assert seen(r.agent, Leave) == []
        assert not acted

    run(story())


def test_a_mind_that_breaks_ends_the_runtime_loudly(vault: Vault) -> None:
    def breaks(_: Leave) -> Step:
        raise ZeroDivisionError

    async def story() -> None:
        async with runtime(vault, {Leave: breaks}) as r:
            with pytest.raises(ZeroDivisionError):
                await r.do(LEAVE)
            with pytest.raises(ZeroDivisionError):
                await r.ended()

    run(story())


def test_after_its_end_it_does_nothing(vault: Vault) -> None:
    async def story() -> None:
        async with runtime(vault, {}) as r:
            pass
        with pytest.raises(SecurechanError):
            await asyncio.wait_for(r.do(LEAVE), 1)

    run(story())


def told(device: str) -> Emit:
    """A receipt of delivery: nobody waits for it."""
    return Emit(ReceiptReceived(bytes(32), "SC-2026-0001-aaaaaa", 1, "delivered", device, "o@a", 1))


def test_what_nobody_waits_for_is_adopted_together_and_shown_when_it_is(vault: Vault) -> None:
    async def story() -> None:
        numbers = iter(range(100))
        shown: list[int] = []

        def tick(_: Tick) -> Step:
            n = next(numbers)
            return Step(
                writes=(Put("t", str(n), b""),), effects=(told(str(n)), Wake(NOW)) if n < 3 else (told(str(n)),)
            )

        def check(effect: Effect) -> None:
            if isinstance(effect, Emit):
                shown.append(vault.tables().get("t", 0))

        async with runtime(vault, {Tick: tick}, before_effect=check) as r:
            assert await r.until(lambda a: len(seen(a, Tick)) >= 4, 10)  # a wish to be woken waits for nothing
            assert (vault.generation, shown) == (0, [])
            r._enough()  # as the timer does
            await r.do(LEAVE)
            assert (vault.generation, shown) == (1, [4, 4, 4, 4])

    run(story())


def test_what_was_kept_back_goes_before_what_is_urgent_and_is_not_lost_at_the_end(vault: Vault) -> None:
    async def story() -> None:
        order: list[str] = []

        def check(effect: Effect) -> None:
            order.append(type(effect).__name__)

        steps: dict[type, Callable[[Any], Step]] = {
            Tick: lambda _: Step(writes=(Put("t", "kept", b"1"), Put("t", "both", b"1")), effects=(told("x"),)),
            Leave: lambda _: Step(writes=(Put("t", "both", b"2"),), effects=(Reconnect("y"),), answer="done"),
        }
        async with runtime(vault, steps, before_effect=check) as r:
            await r.until(lambda a: seen(a, Tick), 10)
            await r.do(LEAVE)
            assert order == ["Emit", "Reconnect"]
            assert (vault.generation, vault.all("t")) == (1, {"kept": b"1", "both": b"2"})
        async with runtime(vault, {Tick: steps[Tick]}) as r:
            await r.until(lambda a: seen(a, Tick), 10)
            assert vault.generation == 1
        assert (vault.generation, vault.get("t", "both")) == (2, b"1")

    run(story())


# ------------------------------------------------------------------------------------------------------------ waiting


def test_until_something_is_so(vault: Vault) -> None:
    async def story() -> None:
        async with runtime(vault, {}) as r:
            waiting = asyncio.create_task(r.until(lambda a: len(seen(a, Leave)) >= 2 and "two", 10))
            await r.do(LEAVE)
            await r.do(LEAVE)
            assert await waiting == "two"
            with pytest.raises(TimedOut) as e:
                await r.until(lambda _: None, 0.01)
            assert e.value.hint

    run(story())


def test_time_wakes_the_mind_and_a_later_wish_replaces_an_earlier(vault: Vault) -> None:
    class Clock(StillClock):
        def __init__(self) -> None:
            super().__init__()
            self.going = asyncio.Event()

        async def sleep(self, seconds: float) -> None:
            self.slept.append(seconds)
            if len(self.slept) == 1:
                await asyncio.Event().wait()
            await self.going.wait()

    async def story() -> None:
        clock = Clock()
        ats = iter((NOW + 50, NOW + 7))
        async with runtime(vault, {Leave: lambda _: Step(effects=(Wake(next(ats)),))}, clock=clock) as r:
            await r.do(LEAVE)
            await asyncio.sleep(0)
            await r.do(LEAVE)
            await asyncio.sleep(0)
            assert clock.slept == [50, 7]
            assert len(seen(r.agent, Tick)) == 1  # the one at the beginning
            clock.going.set()
            await r.until(lambda a: len(seen(a, Tick)) == 2, 5)

    run(story())


def test_events_come_as_they_happen(vault: Vault) -> None:
    async def story() -> None:
        numbers = iter(range(9))

        def step(_: Any) -> Step:
            return Step(effects=(Emit(RequestDone("x", next(numbers))),))

        async with runtime(vault, {Leave: step}) as r:

            async def act() -> None:
                for _ in range(3):
                    await r.do(LEAVE)

            acting = asyncio.create_task(act())
            got = []
            async for event in r.events():
                got.append(event)
                if len(got) == 3:
                    break
            assert got == [RequestDone("x", n) for n in range(3)]
            await acting

    run(story())


# ---------------------------------------------------------------------------------------------------------- the relay


def on_line(peer: Peer, **more: Any) -> Transport:
    return Transport(peer.route, StillClock(), backoff=lambda _: 0.0, **more)


def test_what_is_asked_is_answered_by_its_own_note(vault: Vault) -> None:
    async def story() -> None:
        asks = (Send(CountKeyPackages(1), Counting()), Send(Ping(), Pinging()))
        peer = Peer(on_request=lambda _s, r: Count(7) if isinstance(r.body, CountKeyPackages) else Done())
        async with peer.serving(), runtime(vault, {Connected: lambda _: Step(effects=asks)}, on_line(peer)) as r:
            up = await r.online(5)
            assert up.relay == "relay-1"
            await r.until(lambda a: len(seen(a, Answered)) == 2, 5)
            assert seen(r.agent, Answered) == [Answered(Counting(), Count(7)), Answered(Pinging(), Done())]
            (connected,) = seen(r.agent, Connected)
            assert (connected.relay, connected.relay_time) == ("relay-1", 1_800_000_000_000)
        assert peer.records[0] == 2  # asked together, sent together
        assert peer.byes == [Reason.DONE]

    run(story())


def test_what_the_relay_pushes_is_received(vault: Vault) -> None:
    pushed = Entries(b"t" * 32, (), Halt.TAIL)

    async def story() -> None:
        async def push(server: ServerConnection, session: Session) -> None:
            await peer.push(server, session, [pushed])
            await server.wait_closed()

        async with (peer := Peer(on_session=push)).serving(), runtime(vault, {}, on_line(peer)) as r:
            await r.until(lambda a: seen(a, Received), 5)
            assert seen(r.agent, Received) == [Received(pushed)]

    run(story())


def test_a_flood_from_the_relay_waits_its_turn(vault: Vault) -> None:
    pushed = Entries(b"t" * 32, (), Halt.TAIL)

    async def story() -> None:
        async def push(server: ServerConnection, session: Session) -> None:
            for _ in range(20):
                await server.send(session.seal([Frame.of(pushed)] * 100, NOW))
            await server.wait_closed()

        most = 0

        def watch(_: Received) -> Step:
            nonlocal most
            most = max(most, len(r._inbox))
            return Step(writes=(Put("t", "a", b"x"),))

        async with (peer := Peer(on_session=push)).serving():
            r = runtime(vault, {Received: watch}, on_line(peer))
            async with r:
                await r.until(lambda a: len(seen(a, Received)) == 2000, 10)
        assert most <= BACKLOG + 100
        assert vault.generation < 500

    run(story())


def test_after_a_loss_it_comes_back_and_unanswered_notes_are_forgotten(vault: Vault) -> None:
    async def story() -> None:
        sessions = 0

        async def leave_once(server: ServerConnection, session: Session) -> None:
            nonlocal sessions
            sessions += 1
            await server.recv()
            if sessions == 1:
                await server.close()
            else:
                await server.send(session.seal([Frame.of(Answer.of(2, Done()))], NOW))
                await server.wait_closed()

        ask = Step(effects=(Send(Ping(), Pinging()),))
        peer = Peer(on_session=leave_once)
        async with peer.serving(), runtime(vault, {Connected: lambda _: ask}, on_line(peer)) as r:
            await r.until(lambda a: seen(a, Answered), 5)
            kinds = [type(g) for g in cast("Any", r.agent).seen]
            assert kinds == [Tick, Connected, Disconnected, Connected, Answered]

    run(story())


def test_what_exceeds_the_relays_limits_is_answered_here(vault: Vault) -> None:
    async def story() -> None:
        big = Send(Append(bytes(32), bytes(32), bytes(2000), None), Pinging())
        peer = Peer(limits=replace(LIMITS, max_entry=1000))
        async with peer.serving(), runtime(vault, {Connected: lambda _: Step(effects=(big,))}, on_line(peer)) as r:
            await r.until(lambda a: seen(a, Answered), 5)
            ((answered),) = seen(r.agent, Answered)
            assert isinstance(answered.body, Error)
            assert answered.body.code is Code.TOO_LARGE
        assert not peer.requests

    run(story())


def test_an_answer_to_nothing_ends_the_session(vault: Vault) -> None:
    async def story() -> None:
        sessions = 0

        async def lie_once(server: ServerConnection, session: Session) -> None:
            nonlocal sessions
            sessions += 1
            if sessions == 1:
                await server.send(session.seal([Frame.of(Answer.of(77, Done()))], NOW))
            await server.wait_closed()

        async with (peer := Peer(on_session=lie_once)).serving(), runtime(vault, {}, on_line(peer)) as r:
            await r.until(lambda a: len(seen(a, Connected)) == 2, 5)
            assert seen(r.agent, Answered) == []

    run(story())


def test_reconnect_shakes_hands_again(vault: Vault) -> None:
    async def story() -> None:
        async with (peer := Peer()).serving():
            async with runtime(vault, {Leave: lambda _: Step(effects=(Reconnect("new key"),))}, on_line(peer)) as r:
                await r.online(5)
                await r.do(LEAVE)
                await r.until(lambda a: len(seen(a, Connected)) == 2, 5)
                await r.online(5)
            assert peer.sessions == 2

    run(story())


def test_no_relay_is_told_at_once_unless_one_is_patient(vault: Vault) -> None:
    async def story() -> None:
        nowhere = Peer(url="ws://127.0.0.1:1")
        transport = Transport(nowhere.route, StillClock(), backoff=lambda _: 0.05)
        async with runtime(vault, {}, transport) as r:
            with pytest.raises(Unreachable, match="127"):
                await r.online(5)
            with pytest.raises((TimedOut, Unreachable)):
                await r.online(0.1, patient=True)
            assert await r.do(LEAVE) is None  # what can be done alone is done
        async with runtime(vault, {}) as r:
            with pytest.raises(Unreachable):
                await r.online(5)

    run(story())


def test_sessions_won_and_lost_are_told(vault: Vault) -> None:
    async def story() -> None:
        heard: list[Any] = []
        async with (peer := Peer()).serving(), runtime(vault, {}, on_line(peer)) as r:
            stop = r.listen_link(heard.append)
            await r.online(5)
            assert [type(each) for each in heard] == [Up]
            stop()
        assert len(heard) == 1

    run(story())


def test_the_relays_final_word_ends_it(vault: Vault) -> None:
    async def story() -> None:
        async def replaced(server: ServerConnection, session: Session) -> None:
            await peer.push(server, session, [Bye(Reason.REPLACED)])
            await server.wait_closed()

        async with (peer := Peer(on_session=replaced)).serving(), runtime(vault, {}, on_line(peer)) as r:
            with pytest.raises(Refused) as e:
                await r.ended()
            assert e.value.code == "replaced"
            assert isinstance(r.link, Down)
            with pytest.raises(Refused):
                async for _ in r.events():
                    pass

    run(story())


def test_an_effect_of_a_session_that_is_over_is_not_sent_in_the_next(vault: Vault) -> None:
    """The agent lags behind the transport: what it asked in the last session must not slip into the new one."""

    async def story() -> None:
        async with (peer := Peer()).serving():
            transport = on_line(peer)
            r = runtime(vault, {Leave: lambda _: Step(effects=(Send(Ping(), Pinging()),))}, transport)
            async with r:
                await r.online(5)
                await r.until(lambda a: seen(a, Connected), 5)
                r._session += 1  # as if the line had been lost and found, and the agent not been told yet
                await r.do(LEAVE)
                assert not r._asks
        assert not peer.requests

    run(story())


def test_up_is_shown(vault: Vault) -> None:
    async def story() -> None:
        async with (peer := Peer()).serving(), runtime(vault, {}, on_line(peer)) as r:
            await r.online(5)
            assert isinstance(r.link, Up)

    run(story())


def test_requests_are_numbered_apart(vault: Vault) -> None:
    numbers: list[int] = []

    def note(_: Session, request: Request) -> Done:
        numbers.append(request.number)
        return Done()

    async def story() -> None:
        step = Step(effects=(Send(Ping(), Pinging()),))
        async with Peer(on_request=note).serving() as peer, runtime(vault, {Leave: lambda _: step}, on_line(peer)) as r:
            await r.until(lambda a: seen(a, Connected), 5)
            for _ in range(5):
                await r.do(LEAVE)
            await r.until(lambda a: len(seen(a, Answered)) == 5, 5)
        assert len(set(numbers)) == 5

    run(story())
