"""clients/runtime.py with a relay: what is asked is answered by its own note, and no session outlives its end.

The relay is a peer that does as the test says, and so is the mind.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any, cast

import pytest
from websockets.asyncio.server import ServerConnection

from clients.connection import Up
from clients.runtime import BACKLOG, Refusing
from clients.transport import Down, Transport
from clients.vault import Put, Vault
from securechan.agent.asks import Counting, Pinging, Uploading
from securechan.agent.effects import Reconnect, Send
from securechan.agent.inputs import Answered, Connected, Disconnected, Leave, Received, Tick
from securechan.errors import Refused, TimedOut, Unreachable
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
    PutBlob,
    Reason,
    Request,
)
from securechan.wire.session import Session
from tests.clients.minds import LEAVE, Step, runtime, seen
from tests.clients.relay_peer import LIMITS, NOW, Peer, StillClock, run

UPLOAD = Uploading("row", 1)


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


def test_a_relay_that_can_keep_nothing_is_known_since_when(vault: Vault) -> None:
    answers = [
        Error(Code.INTERNAL, 1000, "nobody leads the stream", 0, bytes(32)),
        Error(Code.OVERLOADED, 1000, "later", 0, bytes(32)),
        Error(Code.CONFLICT, 0, "it says nothing about that", 0, bytes(32)),
        Count(1),
    ]

    async def story() -> None:
        clock, steps = StillClock(), {Leave: lambda _: Step(effects=(Send(PutBlob(bytes(32), 2, 0, b"x"), UPLOAD),))}
        peer = Peer(on_request=lambda _s, _r: answers[len(peer.requests) - 1])
        async with peer.serving(), runtime(vault, steps, on_line(peer), clock) as r:
            await r.until(lambda a: seen(a, Connected), 5)
            assert r.refusing is None
            found = []
            for number in range(len(answers)):
                await r.do(LEAVE)
                await r.until(lambda a, wanted=number: len(seen(a, Answered)) > wanted, 5)
                found.append(r.refusing)
                clock.now += 10
            assert found == [Refusing(answers[0], NOW), Refusing(answers[1], NOW), Refusing(answers[1], NOW), None]

    run(story())
