"""clients/connection.py: the right relay or none, few records for much that is said, a word for each way to fail."""

from __future__ import annotations

import asyncio
import socket
from dataclasses import replace
from typing import Any

import pytest
from websockets.asyncio.server import ServerConnection, serve

from clients.connection import Connection, Ended, connect
from securechan.crypto.secret import Secret
from securechan.errors import Malformed, Refused, SecurechanError, Unreachable, Untrusted
from securechan.wire.frames import (
    MAX_CHUNK,
    Answer,
    Append,
    Bye,
    Count,
    CountKeyPackages,
    Done,
    Frame,
    GetBlob,
    Ping,
    PutBlob,
    Reason,
    Request,
)
from securechan.wire.handshake import GuestCredential, RelayIdentity
from securechan.wire.handshake_formats import Denial
from securechan.wire.session import Session
from tests.clients.relay_peer import BOX, LIMITS, MAC, NOW, Peer, StillClock, run


def append(size: int) -> Append:
    return Append(bytes(32), bytes(32), bytes(size), None)


async def failing(peer: Peer, **changes: Any) -> SecurechanError:
    route = peer.route(**changes)
    with pytest.raises(SecurechanError) as e:
        await connect(route, route.urls[0], StillClock())
    return e.value


def test_a_request_gets_its_answer_and_the_relay_hears_our_bye() -> None:
    async def story() -> None:
        peer = Peer(on_request=lambda _s, r: Count(7) if isinstance(r.body, CountKeyPackages) else Done())
        async with peer.serving():
            connection = await connect(peer.route(), peer.url, StillClock())
            assert connection.up.relay == "relay-1"
            assert connection.up.limits == LIMITS
            assert connection.up.skew == 0
            connection.send(Request.of(5, CountKeyPackages(1)))
            assert await connection.receive() == (Answer.of(5, Count(7)),)
            await connection.close()
        assert peer.byes == [Reason.DONE]

    run(story())


def test_a_relay_under_load_gets_its_cookie_back() -> None:
    async def story() -> None:
        async with (peer := Peer(guarded=True)).serving():
            await (await connect(peer.route(), peer.url, StillClock())).close()
        assert peer.sessions == 1

    run(story())


def test_what_is_sent_together_leaves_as_one_record() -> None:
    async def story() -> None:
        async with (peer := Peer()).serving():
            connection = await connect(peer.route(), peer.url, StillClock())
            for n in range(50):
                connection.send(Request.of(n, append(100)))
            got = 0
            while got < 50:
                got += len(await connection.receive())
            await connection.close()
        assert peer.records[0] == 50

    run(story())


def test_what_is_ready_still_leaves_before_the_bye() -> None:
    async def story() -> None:
        async with (peer := Peer()).serving():
            connection = await connect(peer.route(), peer.url, StillClock())
            connection.send(Request.of(1, append(10)))
            await connection.close()
        assert len(peer.requests) == 1
        assert peer.byes == [Reason.DONE]

    run(story())


def test_no_more_is_under_way_than_the_relay_allows() -> None:
    async def story() -> None:
        async def meet(server: ServerConnection, session: Session) -> None:
            for turn in range(5):  # two at a time, ten in all
                taken = 0
                while taken < 2:
                    record = await server.recv()
                    assert isinstance(record, bytes)
                    taken += len(session.open(record, NOW))
                await peer.answer(server, session, [2 * turn, 2 * turn + 1])

        peer = Answering(limits=replace(LIMITS, in_flight=2), on_session=meet)
        async with peer.serving():
            connection = await connect(peer.route(), peer.url, StillClock())
            for n in range(10):
                connection.send(Request.of(n, append(1)))
            got: list[int] = []
            while len(got) < 10:
                got += [f.number for f in await connection.receive() if isinstance(f, Answer)]
            assert got == list(range(10))
            await connection.close()

    run(story())


class Answering(Peer):
    async def answer(self, server: ServerConnection, session: Session, numbers: list[int]) -> None:
        await server.send(session.seal([Frame.of(Answer.of(n, Done())) for n in numbers], NOW))


def test_a_long_silence_is_broken_by_a_ping() -> None:
    async def story() -> None:
        heard = asyncio.Event()

        def listen(_: Session, request: Request) -> Done:
            if isinstance(request.body, Ping):
                heard.set()
            return Done()

        async with (peer := Peer(limits=replace(LIMITS, idle=1), on_request=listen)).serving():
            connection = await connect(peer.route(), peer.url, StillClock())
            reading = asyncio.create_task(connection.receive())
            await heard.wait()
            assert not reading.done()  # the answer to it is nobody's business
            reading.cancel()
            await connection.close()

    run(story())


@pytest.mark.parametrize(
    "body",
    [
        append(LIMITS.max_entry - 99),
        PutBlob(bytes(32), 5000, 0, b"x"),
    ],
)
def test_what_the_relay_would_refuse_for_its_size_is_not_sent(body: Append | PutBlob) -> None:
    async def story() -> None:
        async with (peer := Peer(limits=replace(LIMITS, max_entry=1000, max_blob=4999))).serving():
            connection = await connect(peer.route(), peer.url, StillClock())
            with pytest.raises(Refused) as e:
                connection.send(Request.of(1, body))
            assert e.value.code == "too-large"
            connection.send(Request.of(2, GetBlob(bytes(32), 0)))
            assert await connection.receive() == (Answer.of(2, Done()),)
            await connection.close()
        assert len(peer.requests) == 1

    run(story())


def test_the_largest_piece_and_entry_fit() -> None:
    async def story() -> None:
        async with (peer := Peer()).serving():
            connection = await connect(peer.route(), peer.url, StillClock())
            connection.send(Request.of(1, append(LIMITS.max_entry)))
            connection.send(Request.of(2, PutBlob(bytes(32), 1 << 20, 0, bytes(MAX_CHUNK))))
            got = 0
            while got < 2:
                got += len(await connection.receive())
            await connection.close()
        assert [type(r) for r in peer.requests] == [Append, PutBlob]

    run(story())


# -------------------------------------------------------------------------------------------------- how it can go wrong


def test_a_connection_that_is_cut_is_told_from_one_that_ended() -> None:
    async def story(farewell: bool) -> None:
        async def leave(server: ServerConnection, session: Session) -> None:
            if farewell:
                await peer.push(server, session, [Bye(Reason.SHUTDOWN)])
            await server.close()

        async with (peer := Peer(on_session=leave)).serving():
            connection = await connect(peer.route(), peer.url, StillClock())
            with pytest.raises(Ended) as e:
                await connection.receive()
            assert isinstance(e.value.error, Unreachable)
            assert e.value.error.code == ("relay-down" if farewell else "truncated")
            assert e.value.reason is (Reason.SHUTDOWN if farewell else None)
            await connection.close()

    run(story(farewell=True))
    run(story(farewell=False))


@pytest.mark.parametrize("garbage", [b"", b"x" * 300, "text"])
def test_a_record_that_does_not_open_ends_the_session(garbage: bytes | str) -> None:
    async def story() -> None:
        async def lie(server: ServerConnection, session: Session) -> None:
            await server.send(garbage)
            await server.wait_closed()

        async with (peer := Peer(on_session=lie)).serving():
            connection = await connect(peer.route(), peer.url, StillClock())
            with pytest.raises(Ended) as e:
                await connection.receive()
            assert e.value.reason is None
            await connection.close()

    run(story())


def test_a_relay_that_asks_instead_of_answering_is_left() -> None:
    async def story() -> None:
        async def ask(server: ServerConnection, session: Session) -> None:
            await peer.push(server, session, [Request.of(1, Ping())])  # a relay that asks
            await server.wait_closed()

        async with (peer := Peer(on_session=ask)).serving():
            connection = await connect(peer.route(), peer.url, StillClock())
            with pytest.raises(Ended) as e:
                await connection.receive()
            assert isinstance(e.value.error, Malformed)
            await connection.close()

    run(story())


def test_no_relay_is_unreachable_and_named() -> None:
    async def story() -> None:
        with socket.socket() as s:  # bound and not listening: nobody else can take it meanwhile
            s.bind(("127.0.0.1", 0))
            url = f"ws://127.0.0.1:{s.getsockname()[1]}"
            error = await failing(Peer(), urls=(url,))
        assert isinstance(error, Unreachable)
        assert url in error.message
        assert error.hint

    run(story())


@pytest.mark.parametrize("url", ["", "relay.example.int", "http://127.0.0.1:1", "ws://", "wss:///x", "ws://a b/"])
def test_an_address_that_is_none_is_told(url: str) -> None:
    async def story() -> None:
        error = await failing(Peer(), urls=(url,))
        assert isinstance(error, Malformed | Unreachable)

    run(story())


def test_something_else_on_that_port_is_told() -> None:
    async def story() -> None:
        async def speak(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.write(b"SSH-2.0-OpenSSH\r\n")
            writer.close()

        server = await asyncio.start_server(speak, "127.0.0.1", 0)
        async with server:
            url = f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}"
            error = await failing(Peer(), urls=(url,))
        assert isinstance(error, Unreachable)
        assert url in error.message

    run(story())


@pytest.mark.parametrize("said", ["text", b"", b"\x00" * 2000])
def test_a_websocket_that_is_no_relay_is_told(said: str | bytes) -> None:
    async def story() -> None:
        async def speak(server: ServerConnection) -> None:
            await server.recv()
            await server.send(said)
            await server.wait_closed()

        async with serve(speak, "127.0.0.1", 0) as server:
            url = f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}"
            error = await failing(Peer(), urls=(url,))
        assert isinstance(error, Untrusted)

    run(story())


def test_a_relay_of_another_federation_is_refused() -> None:
    async def story() -> None:
        async with (peer := Peer(root_id=bytes(48))).serving():
            ours = RelayIdentity(b"\x01" * 48, peer.name, peer.key.public)
            error = await failing(peer, relay=ours)
        assert isinstance(error, Untrusted)
        assert error.code == "wrong-federation"
        assert error.hint

    run(story())


def test_a_relay_with_another_key_is_refused() -> None:
    async def story() -> None:
        async with (peer := Peer()).serving():
            error = await failing(peer, relay=RelayIdentity(peer.root_id, peer.name, Peer().key.public))
        assert (type(error), error.code) == (Untrusted, "wrong-relay")

    run(story())


@pytest.mark.parametrize(
    ("denial", "kind", "code"),
    [
        (Denial.REVOKED, Untrusted, "revoked"),
        (Denial.UNKNOWN, Refused, "refused-unknown"),
        (Denial.OVERLOADED, Refused, "refused-overloaded"),
    ],
)
def test_a_relay_that_says_no_says_why(denial: Denial, kind: type, code: str) -> None:
    async def story() -> None:
        async with (peer := Peer(deny=denial)).serving():
            error = await failing(peer)
        assert (type(error), error.code) == (kind, code)
        assert error.hint

    run(story())


def test_a_guest_with_the_wrong_code_is_not_let_in() -> None:
    async def story() -> None:
        async with (peer := Peer(mac=b"another" + bytes(25))).serving():
            error = await failing(peer, credential=GuestCredential(BOX, MAC))
        assert isinstance(error, Unreachable)  # this peer hangs up; a relay says NO_PROOF

    run(story())


def test_the_clocks_difference_is_told() -> None:
    async def story() -> None:
        async with (peer := Peer()).serving():
            connection = await connect(peer.route(), peer.url, StillClock(NOW - 7200))
            assert connection.up.skew == 7200
            await connection.close()

    run(story())


def test_it_shows_no_secret() -> None:
    assert "kkkk" not in repr(Peer(mac=Secret(MAC)).route())


def test_a_fault_of_the_sender_reaches_the_reader(monkeypatch: pytest.MonkeyPatch) -> None:
    async def story() -> None:
        async with (peer := Peer()).serving():
            connection: Connection = await connect(peer.route(), peer.url, StillClock())

            def broken(*_: object) -> bytes:
                raise ZeroDivisionError

            monkeypatch.setattr(Session, "seal_encoded", broken)
            connection.send(Request.of(1, Ping()))
            with pytest.raises(ZeroDivisionError):
                await connection.receive()
            monkeypatch.undo()
            await connection.close()

    run(story())
