"""clients/transport.py: a session again after every loss, unless another would do no good."""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from typing import Any

import pytest
from websockets.asyncio.server import ServerConnection

from clients.connection import Up
from clients.transport import Arrived, Down, Transport, full_jitter
from securechan.errors import Unreachable
from securechan.wire.frames import Bye, Entries, Halt, Ping, Reason, Request
from securechan.wire.handshake_formats import Denial
from securechan.wire.session import Session
from tests.clients.relay_peer import Peer, StillClock, run


def test_full_jitter_stays_below_a_ceiling_that_doubles_and_ends() -> None:
    for attempt in range(40):
        ceiling = min(60.0, 0.5 * 2**attempt)
        tries = [full_jitter(attempt) for _ in range(50)]
        assert all(0 <= t <= ceiling for t in tries)
        assert max(tries) > ceiling / 3


async def first(transport: Transport, count: int) -> list[Up | Arrived | Down]:
    found: list[Up | Arrived | Down] = []
    async with aclosing(transport.events()) as events:
        async for event in events:
            found.append(event)
            if len(found) == count:
                break
    return found


def test_it_comes_back_after_every_loss_and_asks_for_the_route_anew() -> None:
    async def story() -> None:
        async def leave(server: ServerConnection, session: Session) -> None:
            await peer.push(server, session, [Entries(bytes(32), (), Halt.TAIL)])
            await server.close()

        asked = 0

        def route() -> Any:
            nonlocal asked
            asked += 1
            return peer.route()

        clock = StillClock()
        async with (peer := Peer(on_session=leave)).serving():
            events = await first(Transport(route, clock, backoff=lambda n: 10.0 + n), 9)
        assert [type(e) for e in events] == [Up, Arrived, Down] * 3
        assert asked == 3
        assert clock.slept == [10.0, 11.0]
        down = events[2]
        assert isinstance(down, Down)
        assert down.error.code == "truncated"

    run(story())


def test_an_address_that_is_dead_sends_it_to_the_next_one_at_once() -> None:
    async def story() -> None:
        clock = StillClock()
        async with (peer := Peer()).serving():
            route = peer.route(urls=("ws://127.0.0.1:1", peer.url))
            (up,) = await first(Transport(lambda: route, clock), 1)
        assert isinstance(up, Up)
        assert up.url == peer.url
        assert clock.slept == []

    run(story())


def test_where_no_address_answers_all_are_named_and_tried_again_after_a_while() -> None:
    async def story() -> None:
        clock = StillClock()
        route = Peer().route(urls=("ws://127.0.0.1:1", "ws://127.0.0.1:2"))
        downs = await first(Transport(lambda: route, clock, backoff=lambda n: 10.0 + n), 2)
        for down, wait in zip(downs, (10.0, 11.0), strict=True):
            assert isinstance(down, Down)
            assert isinstance(down.error, Unreachable)
            assert "127.0.0.1:1" in down.error.message
            assert "127.0.0.1:2" in down.error.message
            assert down.retry_in == wait
        assert clock.slept == [10.0]

    run(story())


def test_after_a_loss_the_next_address_comes_first() -> None:
    async def story() -> None:
        async def leave(server: ServerConnection, _: Session) -> None:
            await server.close()

        async with (one := Peer(on_session=leave)).serving(), (other := Peer(key=one.key)).serving():
            route = one.route(urls=(one.url, other.url))
            events = await first(Transport(lambda: route, StillClock(), backoff=lambda _: 0.1), 3)
        assert [each.url if isinstance(each, Up) else type(each) for each in events] == [one.url, Down, other.url]

    run(story())


def test_an_overloaded_relay_is_given_the_time_it_asks_for() -> None:
    async def story() -> None:
        async with (peer := Peer(deny=Denial.OVERLOADED)).serving():
            events = await first(Transport(peer.route, StillClock(), backoff=lambda _: 2.0), 1)
        assert isinstance(events[0], Down)
        assert events[0].retry_in == 3.5

    run(story())


@pytest.mark.parametrize("reason", [Reason.REPLACED, Reason.REVOKED])
def test_a_replaced_or_revoked_device_does_not_come_back(reason: Reason) -> None:
    async def story() -> None:
        async def end(server: ServerConnection, session: Session) -> None:
            await peer.push(server, session, [Bye(reason)])
            await server.wait_closed()

        async with (peer := Peer(on_session=end)).serving():
            events = [e async for e in Transport(peer.route, StillClock()).events()]
        assert [type(e) for e in events] == [Up, Down]
        assert isinstance(events[1], Down)
        assert events[1].retry_in is None
        assert events[1].error.hint

    run(story())


def test_an_expired_session_is_made_anew_at_once() -> None:
    async def story() -> None:
        async def end(server: ServerConnection, session: Session) -> None:
            await peer.push(server, session, [Bye(Reason.EXPIRED)])
            await server.wait_closed()

        clock = StillClock()
        async with (peer := Peer(on_session=end)).serving():
            events = await first(Transport(peer.route, clock), 3)
        assert [type(e) for e in events] == [Up, Down, Up]
        assert clock.slept == []

    run(story())


def test_restart_says_bye_and_shakes_hands_again() -> None:
    async def story() -> None:
        async with (peer := Peer()).serving():
            transport = Transport(peer.route, StillClock(), backoff=lambda _: 1000.0)
            assert not transport.send(Request.of(1, Ping()))  # nowhere to send it yet
            async with aclosing(transport.events()) as events:
                assert isinstance(await anext(events), Up)
                transport.restart()
                assert isinstance(await anext(events), Down)
                assert isinstance(await anext(events), Up)
                assert transport.up is not None
        assert peer.byes == [Reason.DONE, Reason.DONE]
        assert peer.sessions == 2

    run(story())


def test_a_restart_cuts_the_waiting_short() -> None:
    class Patient(StillClock):
        async def sleep(self, seconds: float) -> None:
            await asyncio.Event().wait()

    async def story() -> None:
        calls = 0

        def route() -> Any:
            nonlocal calls
            calls += 1
            return peer.route(urls=("ws://127.0.0.1:1",) if calls == 1 else (peer.url,))

        async with (peer := Peer()).serving():
            transport = Transport(route, Patient(), backoff=lambda _: 1000.0)
            async with aclosing(transport.events()) as events:
                assert isinstance(await anext(events), Down)
                asyncio.get_running_loop().call_soon(transport.restart)
                waiting = asyncio.ensure_future(anext(events))
                assert isinstance(await waiting, Up)

    run(story())
