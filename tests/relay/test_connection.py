"""Sessions over real sockets: who gets in, who is cut off, and what each is told."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import hashlib
import secrets
import time
from pathlib import Path
from socket import SO_RCVBUF, SOL_SOCKET
from typing import cast
from unittest.mock import patch

import pytest
from websockets.asyncio.client import ClientConnection
from websockets.exceptions import ConnectionClosed, InvalidStatus

from relay.connection import HELLO_MAX
from securechan.crypto.kem import MLKEM768_X25519
from securechan.crypto.signature import COMPOSITE
from securechan.errors import Refused
from securechan.wire.chain import Position
from securechan.wire.door import _Claimed
from securechan.wire.frames import (
    TRUST_TOPIC,
    Answer,
    Append,
    Appended,
    Code,
    CreateTopic,
    Done,
    Entries,
    Error,
    Frame,
    Piece,
    Ping,
    Reason,
    Request,
    Show,
    Subscribe,
)
from securechan.wire.handshake import Greeting, GuestCredential
from securechan.wire.handshake_formats import Hello, Reply, ReplyKind, Verdict, VerdictKind
from securechan.wire.session import MAX_RECORD, SESSION_LIFETIME, Session
from tests.relay.caller import Caller, call, now, receive, shake, socket
from tests.relay.conftest import Running
from tests.relay.inside import relay_inside

A, B, C = "cert-hr/a", "cert-hr/b", "cert-si/c"


async def closed(opened: ClientConnection) -> int:
    """The close code, once the relay has closed."""
    async with asyncio.timeout(20):
        await opened.wait_closed()
    assert opened.close_code is not None
    return opened.close_code


async def group(caller: Caller) -> tuple[bytes, bytes]:
    """A new topic and its access secret, shown and subscribed."""
    topic, secret = secrets.token_bytes(32), secrets.token_bytes(32)
    await caller.ask(CreateTopic(topic, hashlib.sha256(secret).digest()))
    await caller.ask(Show(topic, secret))
    await caller.ask(Subscribe(topic, 0))
    return topic, secret


# ----------------------------------------------------------------------------------------------------------- sessions


async def test_a_device_is_let_in_and_answered(running: Running) -> None:
    async with call(running.url, running.founded.relay, running.founded.credential(A)) as caller:
        assert await caller.ask(Ping()) == Done()
        assert abs(caller.session.relay_time - time.time() * 1000) < 60_000
        assert caller.session.limits.in_flight == 8


async def test_entries_and_answers_of_one_turn_leave_as_one_record(running: Running) -> None:
    async with call(running.url, running.founded.relay, running.founded.credential(A)) as caller:
        topic, _ = await group(caller)
        appends = [Append(topic, secrets.token_bytes(32), b"entry %d" % i, None) for i in range(5)]
        numbers = await caller.send(*appends)
        records = 0
        answered: dict[int, object] = {}
        entries = 0
        while len(answered) < 5 or entries < 5:
            records += 1
            for body in await caller.hear():
                match body:
                    case Answer():
                        answered[body.number] = body.body
                    case Entries():
                        entries += len(body.entries)
        assert set(answered) == set(numbers)
        assert all(isinstance(answer, Appended) for answer in answered.values())
        assert records <= 3  # one group commit; two if the first request was its own


async def test_the_trust_topic_is_read_from_its_start(running: Running) -> None:
    async with call(running.url, running.founded.relay, running.founded.credential(C)) as caller:
        await caller.send(Subscribe(TRUST_TOPIC, 0))
        while not any(isinstance(body, Entries) and body.entries for body in caller.heard):
            await caller.hear()


async def test_an_office_reads_trust_and_nothing_else(running: Running) -> None:
    async with call(running.url, running.founded.relay, running.founded.office("cert-hr")) as caller:
        assert await caller.ask(Subscribe(TRUST_TOPIC, 0)) == Done()
        refused = await caller.ask(CreateTopic(bytes(32), bytes(32)))
        assert type(refused).__name__ == "Error"


async def test_a_second_session_replaces_the_first(running: Running) -> None:
    credential = running.founded.credential(B)
    async with call(running.url, running.founded.relay, credential) as first:
        assert await first.ask(Ping()) == Done()
        async with call(running.url, running.founded.relay, credential) as second:
            assert await first.bye() is Reason.REPLACED
            assert await second.ask(Ping()) == Done()
        await closed(first.opened)
        first.session.ended()


async def test_a_client_that_says_bye_is_answered_with_one(running: Running) -> None:
    async with call(running.url, running.founded.relay, running.founded.credential(A)) as caller:
        await caller.opened.send(caller.session.farewell(Reason.DONE, now()))
        assert await caller.bye() is Reason.DONE
        assert await closed(caller.opened) == 1000


async def test_more_requests_than_may_be_in_flight_are_all_answered(running: Running) -> None:
    async with call(running.url, running.founded.relay, running.founded.credential(A)) as caller:
        topic, _ = await group(caller)
        numbers = set(await caller.send(*(Append(topic, secrets.token_bytes(32), b"x", None) for _ in range(60))))
        while not numbers <= {body.number for body in caller.heard if isinstance(body, Answer)}:
            await caller.hear()


# --------------------------------------------------------------------------------------------------------- not let in


async def refused(running: Running, credential: object, code: str) -> Refused:
    async with socket(running.url) as opened:
        with pytest.raises(Refused) as caught:
            await shake(opened, running.founded.relay, credential)
        assert caught.value.code == code
        assert await closed(opened) == 1008
    return caught.value


async def test_an_unknown_device_with_a_key_of_its_own_is_told_so(running: Running) -> None:
    key = COMPOSITE.load(secrets.token_bytes(64))
    stranger = dataclasses.replace(running.founded.credential(A), device="cert-hr/zz", key=key, public=key.public)
    await refused(running, stranger, "refused-unknown")


async def test_an_impostor_learns_nothing(running: Running) -> None:
    key = COMPOSITE.load(secrets.token_bytes(64))
    known = running.founded.credential(A)
    for device in (A, "cert-hr/zz"):
        impostor = dataclasses.replace(known, device=device, key=key)
        error = await refused(running, impostor, "refused-no-proof")
        assert error.message == "the relay refuses the session: the relay does not know you"


async def test_another_devices_key_is_no_proof(running: Running) -> None:
    key = COMPOSITE.load(secrets.token_bytes(64))
    mixed = dataclasses.replace(running.founded.credential(A), key=key, public=key.public)
    error = await refused(running, mixed, "refused-unknown")
    assert error.hint


async def test_a_guest_without_an_invite_is_not_let_in(running: Running) -> None:
    await refused(running, GuestCredential(secrets.token_bytes(32), secrets.token_bytes(32)), "refused-no-proof")


async def test_another_federation_or_key_is_turned_away(running: Running) -> None:
    relay = running.founded.relay
    strange = MLKEM768_X25519.load(secrets.token_bytes(32)).public
    for belief, code in (
        (dataclasses.replace(relay, root_id=bytes(48)), "turned-tag"),
        (dataclasses.replace(relay, kem_public=strange), "turned-key"),
    ):
        async with socket(running.url) as opened:
            with pytest.raises(Refused) as caught:
                await shake(opened, belief, running.founded.credential(A))
            assert caught.value.code == code
            await closed(opened)


# ------------------------------------------------------------------------------------------------------------ attacks


@pytest.mark.parametrize(
    "message", [b"", b"garbage", bytes(2420), "text", b"\x01" * 2420], ids=["empty", "short", "zeros", "text", "ones"]
)
async def test_garbage_for_a_hello_closes_the_door(running: Running, message: bytes | str) -> None:
    async with socket(running.url) as opened:
        await opened.send(message)
        assert await closed(opened) == 1008


async def test_a_hello_too_long_is_not_even_read(running: Running) -> None:
    async with socket(running.url) as opened:
        await opened.send(bytes(HELLO_MAX + 1))
        assert await closed(opened) == 1009


async def test_garbage_for_a_proof_closes_the_door(running: Running) -> None:
    async with socket(running.url) as opened:
        _, hello = Greeting.start(running.founded.relay, running.founded.credential(A))
        await opened.send(hello)
        await receive(opened)
        await opened.send(bytes(6160))
        assert await closed(opened) == 1008


async def test_who_dawdles_at_the_door_is_cut_off(running: Running) -> None:
    async with socket(running.url) as silent, socket(running.url) as halfway:
        _, hello = Greeting.start(running.founded.relay, running.founded.credential(A))
        await halfway.send(hello)
        await receive(halfway)
        assert [await closed(silent), await closed(halfway)] == [1008, 1008]


@pytest.mark.parametrize("size", [272, 5000])
async def test_garbage_for_a_record_ends_the_session_with_a_word(running: Running, size: int) -> None:
    async with call(running.url, running.founded.relay, running.founded.credential(A)) as caller:
        await caller.opened.send(secrets.token_bytes(size))
        assert await caller.bye() is Reason.PROTOCOL
        assert await closed(caller.opened) == 1002


async def test_a_replayed_record_ends_the_session(running: Running) -> None:
    async with call(running.url, running.founded.relay, running.founded.credential(A)) as caller:
        record = caller.session.seal((Frame.of(Request.of(1, Ping())),), now())
        await caller.opened.send(record)
        await caller.opened.send(record)
        assert await caller.bye() is Reason.PROTOCOL


async def test_a_client_that_answers_instead_of_asking_is_left(running: Running) -> None:
    async with call(running.url, running.founded.relay, running.founded.credential(A)) as caller:
        await caller.opened.send(caller.session.seal((Frame.of(Answer.of(1, Done())),), now()))
        assert await caller.bye() is Reason.PROTOCOL


async def test_a_record_too_long_is_not_even_read(running: Running) -> None:
    async with call(running.url, running.founded.relay, running.founded.credential(A)) as caller:
        head = b"\x82\xff" + (MAX_RECORD + 1).to_bytes(8, "big") + bytes(4)  # RFC 6455 §5.2: a binary frame, masked
        caller.opened.transport.write(head)  # and nothing of what it announces
        assert await closed(caller.opened) == 1009


async def test_a_crowd_at_the_door_is_asked_for_cookies_and_honest_clients_get_in(running: Running) -> None:
    crowd = [socket(running.url) for _ in range(10)]
    for member in crowd:
        await member.__aenter__()
    try:
        async with socket(running.url) as opened:
            state, hello = Greeting.start(running.founded.relay, running.founded.credential(A))
            await opened.send(hello)
            reply = await receive(opened)
            assert Reply.decode(reply).kind is ReplyKind.RETRY
            state, again = state.answer(reply)
            assert len(Hello.decode(again).cookie) == 40
            await opened.send(again)
            state, proof = state.answer(await receive(opened))
            await opened.send(proof)
            assert not isinstance(state, Greeting)
            caller = Caller(opened, state.finish(await receive(opened), now()))
            assert await caller.ask(Ping()) == Done()
    finally:
        for member in crowd:
            await member.__aexit__(None, None, None)


async def test_who_stops_reading_is_dropped_and_resumes_from_its_cursor(running: Running) -> None:
    founded, body = running.founded, bytes(1 << 20)
    async with call(running.url, founded.relay, founded.credential(B)) as writer:
        topic, secret = await group(writer)
        async with call(running.url, founded.relay, founded.credential(C)) as slow:
            await slow.ask(Show(topic, secret))
            await slow.ask(Subscribe(topic, 0))
            own = slow.opened.transport.get_extra_info("socket")
            own.setsockopt(SOL_SOCKET, SO_RCVBUF, 1 << 18)  # some kernels would take it all for a client that is away
            slow.opened.transport.pause_reading()
            for _ in range(14):
                assert isinstance(await writer.ask(Append(topic, secrets.token_bytes(32), body, None)), Appended)
            while 'sessions_ended_total{kind="slow"} 1' not in running.metrics():
                assert await writer.ask(Ping()) == Done()  # others are served meanwhile
                await asyncio.sleep(0.1)
            slow.opened.transport.resume_reading()
            with contextlib.suppress(ConnectionClosed):
                await slow.bye()
            reached = max(
                (e.sequence for run in slow.heard if isinstance(run, Entries) for e in run.entries), default=0
            )
        last = max(e.sequence for run in writer.heard if isinstance(run, Entries) for e in run.entries)
        assert reached < last
        async with call(running.url, founded.relay, founded.credential(C)) as again:
            await again.ask(Show(topic, secret))
            await again.ask(Subscribe(topic, reached))
            while not (missed := await again.entries(topic, 1)) or missed[-1].sequence < last:
                await again.hear()
            assert missed[0].sequence > reached


async def test_positions_travel_with_the_proof(running: Running) -> None:
    credential = dataclasses.replace(running.founded.credential(A), trust=Position(1, bytes(48)))
    async with call(running.url, running.founded.relay, credential) as caller:
        assert await caller.ask(Ping()) == Done()


# --------------------------------------------------------------------------------------------------- times and quotas


async def test_silence_ends_a_session(tmp_path: Path) -> None:
    async with relay_inside(tmp_path, idle=1) as (relay, founded):
        async with call(relay.address, founded.relay, founded.credential(A)) as caller:
            assert caller.session.limits.idle == 1
            assert await caller.bye() is Reason.IDLE
        assert relay.metrics.get("sessions_ended", "idle") == 1


async def test_after_a_day_the_session_ends_whatever_it_does(tmp_path: Path) -> None:
    passed = 0

    def at() -> int:
        return time.time_ns() // 1_000_000 + passed * 1000

    async with (
        relay_inside(tmp_path, at=at, stall=1) as (relay, founded),
        call(relay.address, founded.relay, founded.credential(A)) as caller,
    ):
        assert await caller.ask(Ping()) == Done()
        passed = SESSION_LIFETIME
        assert await caller.bye() is Reason.EXPIRED


async def test_more_than_the_quota_is_refused_with_a_time_to_return(tmp_path: Path) -> None:
    async with (
        relay_inside(tmp_path, appends_per_minute=3) as (relay, founded),
        call(relay.address, founded.relay, founded.credential(A)) as caller,
    ):
        topic, _ = await group(caller)
        answers = [await caller.ask(Append(topic, secrets.token_bytes(32), b"x", None)) for _ in range(4)]
        refused = answers[-1]
        assert isinstance(answers[0], Appended)
        assert isinstance(refused, Error)
        assert refused.code is Code.QUOTA
        assert 0 < refused.retry_after <= 20_001
        assert relay.metrics.get("requests_refused", "append") >= 1


async def test_too_many_handshakes_of_one_address_are_told_to_wait(tmp_path: Path) -> None:
    async with relay_inside(tmp_path, handshakes_per_minute=1) as (relay, founded):
        for _ in range(2):  # the second on credit
            async with call(relay.address, founded.relay, founded.credential(A)) as caller:
                assert await caller.ask(Ping()) == Done()
        async with socket(relay.address) as opened:
            with pytest.raises(Refused) as caught:
                await shake(opened, founded.relay, founded.credential(A))
        assert caught.value.code == "turned-overloaded"
        assert caught.value.retry_after
        assert 0 < caught.value.retry_after <= 60.001


async def test_a_full_door_answers_in_http(tmp_path: Path) -> None:
    async with (
        relay_inside(tmp_path, half_open=2) as (relay, _),
        socket(relay.address),
        socket(relay.address),
    ):
        with pytest.raises(InvalidStatus) as caught:
            await socket(relay.address).__aenter__()
        assert caught.value.response.status_code == 503
        assert caught.value.response.headers["Retry-After"] == "5"


async def test_answers_that_pile_up_end_the_session(tmp_path: Path) -> None:
    """Nothing may wait without bound: the buffer is the bound."""
    answer = Frame.of(Answer.of(99, Piece(3000, 0, bytes(3000)))).encode()
    async with (
        relay_inside(tmp_path, buffer=4096) as (relay, founded),
        call(relay.address, founded.relay, founded.credential(A)) as caller,
    ):
        (connection,) = relay._connections
        connection._socket.choked = 1.0  # as if nothing were read
        assert not connection.congested
        assert await connection.room()
        connection.send(answer)
        assert connection.congested
        waiting = asyncio.create_task(connection.room())
        await asyncio.sleep(0)
        assert not waiting.done()
        connection.send(answer)
        assert not await waiting
        assert await caller.bye() is Reason.SLOW
        connection.send(answer)  # too late, and harmless


async def test_a_session_that_fails_to_send_is_the_only_one_that_ends(tmp_path: Path) -> None:
    """Both depart in one turn, the one that fails first."""

    class Broken:
        said_bye = False

        def seal_filled(self, plain: bytes, now: int) -> bytes:
            raise ZeroDivisionError

    async with (
        relay_inside(tmp_path) as (relay, founded),
        call(relay.address, founded.relay, founded.credential(A)) as first,
        call(relay.address, founded.relay, founded.credential(B)) as second,
    ):
        broken, whole = sorted(relay._connections, key=lambda connection: connection._sender)
        assert (broken._sender, whole._sender) == (A, B)
        broken._session = cast("Session", Broken())
        told = Answer.of(99, Done())
        broken.send(Frame.of(told).encode())
        whole.send(Frame.of(told).encode())
        assert await second.hear() == (told,)
        assert await first.bye() is Reason.SHUTDOWN
        assert await second.ask(Ping()) == Done()


async def test_full_sessions_are_told_to_wait(tmp_path: Path) -> None:
    async with relay_inside(tmp_path, sessions=0) as (relay, founded):
        async with socket(relay.address) as opened:
            with pytest.raises(Refused) as caught:
                await shake(opened, founded.relay, founded.credential(A))
        assert caught.value.code == "refused-overloaded"


async def test_a_verdicts_key_seals_one_verdict(tmp_path: Path) -> None:
    """A session that can't be taken is refused before it is accepted: one key and nonce never seal both."""
    said: list[object] = []
    say = _Claimed._say

    def saying(claimed: _Claimed, verdict: Verdict) -> bytes:
        said.append(verdict.kind)
        return say(claimed, verdict)

    async with relay_inside(tmp_path, sessions=0) as (relay, founded):
        credential = founded.credential(A)
        impostor = dataclasses.replace(credential, key=COMPOSITE.load(secrets.token_bytes(64)))
        with patch.object(_Claimed, "_say", saying):
            for who, code in ((credential, "refused-overloaded"), (impostor, "refused-no-proof")):
                async with socket(relay.address) as opened:
                    with pytest.raises(Refused) as caught:
                        await shake(opened, founded.relay, who)
                assert caught.value.code == code
    assert said == [VerdictKind.DENIED] * 2
