"""clients/errand.py: a request is awaited where it is made, a refusal is an error, a card is taken with gloves."""

from __future__ import annotations

import base64
import json
import socket

import pytest
from websockets.asyncio.server import ServerConnection

from clients.clock import SystemClock
from clients.errand import MAX_CARD, Errand, fetch_card, parse_card, refusal
from securechan.errors import Denied, Malformed, NotFound, Refused, SecurechanError, Stale, Unreachable, Untrusted
from securechan.wire.frames import (
    Answer,
    Appended,
    Bye,
    Code,
    Done,
    Entries,
    Entry,
    EntryKind,
    Error,
    Frame,
    GetHeads,
    Halt,
    Reason,
    Request,
    Subscribe,
    Trim,
)
from securechan.wire.session import Session
from tests.clients.relay_peer import Peer, response, run

TOPIC = b"t" * 32


def entry(sequence: int) -> Entry:
    return Entry(sequence, EntryKind.TRUST, bytes(32), 0, b"%d" % sequence, None)


class Log(Peer):
    """Answers a subscription with runs of entries."""

    runs: tuple[Entries, ...] = ()

    async def _serve(self, server: ServerConnection, session: Session) -> None:
        async for record in server:
            assert isinstance(record, bytes)
            for frame in session.open(record, self.time_ms() // 1000):
                match frame.body:
                    case Request(number, _, Subscribe()):
                        frames = [Frame.of(Answer.of(number, Done())), *(Frame.of(run) for run in self.runs)]
                        await server.send(session.seal(frames, self.time_ms() // 1000))
                    case Bye(reason):
                        self.byes.append(reason)
                        return


def log(*runs: Entries) -> Log:
    made = Log()
    made.runs = runs
    return made


def test_answers_find_their_questions() -> None:
    async def story() -> None:
        async with Peer(on_request=lambda _s, r: Appended(r.number)).serving() as peer:
            async with Errand.begin(peer.route(), SystemClock()) as errand:
                assert await errand.ask(GetHeads(())) == Appended(1)
                assert await errand.ask(GetHeads(())) == Appended(2)
            assert peer.byes == [Reason.DONE]

    run(story())


def test_a_history_ends_at_the_tail() -> None:
    async def story() -> None:
        runs = (
            Entries(TOPIC, (entry(1), entry(2)), Halt.MORE),
            Entries(TOPIC, (entry(5),), Halt.TAIL),
        )
        async with log(*runs).serving() as peer, Errand.begin(peer.route(), SystemClock()) as errand:
            assert [e.sequence for e in await errand.history(TOPIC)] == [1, 2, 5]

    run(story())


def test_a_topic_is_followed_beyond_its_tail() -> None:
    async def story() -> None:
        runs = (Entries(TOPIC, (), Halt.TAIL), Entries(TOPIC, (entry(9),), Halt.TAIL))
        async with log(*runs).serving() as peer, Errand.begin(peer.route(), SystemClock()) as errand:
            async for found in errand.follow(TOPIC):
                assert found.sequence == 9
                break

    run(story())


@pytest.mark.parametrize(
    "bad",
    [
        Entries(b"x" * 32, (entry(1),), Halt.TAIL),
        Entries(TOPIC, (entry(2), entry(2)), Halt.TAIL),
        Entries(TOPIC, (entry(0),), Halt.TAIL),
    ],
)
def test_entries_of_another_topic_or_out_of_order_are_refused(bad: Entries) -> None:
    async def story() -> None:
        async with log(bad).serving() as peer, Errand.begin(peer.route(), SystemClock()) as errand:
            with pytest.raises(Malformed):
                await errand.history(TOPIC)

    run(story())


def test_a_session_that_ends_fails_what_was_asked() -> None:
    async def story() -> None:
        async def leave(server: ServerConnection, session: Session) -> None:
            await server.recv()
            await peer.push(server, session, [Bye(Reason.SHUTDOWN)])
            await server.close()

        async with Peer(on_session=leave).serving() as peer, Errand.begin(peer.route(), SystemClock()) as errand:
            with pytest.raises(Unreachable, match="going down"):
                await errand.ask(Trim(TOPIC, 1))
            with pytest.raises(Unreachable):
                await errand.ask(Trim(TOPIC, 1))

    run(story())


def test_the_first_address_that_answers_is_taken() -> None:
    async def story() -> None:
        async with Peer().serving() as peer:
            async with Errand.begin(peer.route(urls=("ws://127.0.0.1:1", peer.url)), SystemClock()) as errand:
                assert errand.connection.url == peer.url
            for urls in ((), ("ws://127.0.0.1:1",)):
                with pytest.raises(Unreachable):
                    async with Errand.begin(peer.route(urls=urls), SystemClock()):
                        pass

    run(story())


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        (Code.UNKNOWN_TOPIC, NotFound),
        (Code.STALE, Stale),
        (Code.UNTRUSTED, Untrusted),
        (Code.FORBIDDEN, Denied),
        (Code.QUOTA, Refused),
        (Code.FULL, Refused),
    ],
)
def test_a_refusal_is_an_error_that_says_what_to_do(code: Code, kind: type[SecurechanError]) -> None:
    async def story() -> None:
        said = Error(code, 2500, "why", 0, bytes(32))
        async with (
            Peer(on_request=lambda _s, _r: said).serving() as peer,
            Errand.begin(peer.route(), SystemClock()) as errand,
        ):
            with pytest.raises(kind, match="why") as e:
                await errand.ask(GetHeads(()))
        assert e.value.code == f"refused-{code.name.lower().replace('_', '-')}"
        if isinstance(e.value, Refused):
            assert e.value.retry_after == 2.5

    run(story())


def test_every_code_of_a_relay_has_its_error() -> None:
    for code in Code:
        assert refusal(Error(code, 0, "", 0, bytes(32))).message


# --------------------------------------------------------------------------------------------------------------- cards


def card(**changes: object) -> bytes:
    said: dict[str, object] = {"v": 1, "name": "relay-1", "kem": base64.b64encode(b"kem").decode(), "online": "YQ=="}
    return json.dumps(said | changes).encode()


def test_a_card_is_fetched() -> None:
    async def story() -> None:
        async with Peer(http=lambda path: response(200, card()) if path == "/card" else None).serving() as peer:
            found = await fetch_card(peer.url)
            assert (found.name, found.kem, found.online) == ("relay-1", b"kem", b"a")
            assert await fetch_card(peer.url + "/") == found

    run(story())


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b'{"v":1,"name":"relay-\\ud800","kem":"AAAA","online":"AAAA"}',
        b"[]",
        b"{",
        b"\xff",
        card(v=2),
        card(name=7),
        card(kem="?"),
        card(kem=None),
        b'{"v":1}',
        b"[" * 60000,
    ],
)
def test_a_card_that_is_none_is_malformed(content: bytes) -> None:
    with pytest.raises(Malformed):
        parse_card(content, "ws://relay")


@pytest.mark.parametrize(
    ("status", "body", "headers", "kind"),
    [
        (404, b"", {}, Unreachable),
        (302, b"", {"Location": "http://127.0.0.1:1/other"}, Unreachable),
        (200, bytes(MAX_CARD + 1), {}, Malformed),
    ],
)
def test_a_card_elsewhere_or_too_long_is_refused(
    status: int, body: bytes, headers: dict[str, str], kind: type[SecurechanError]
) -> None:
    async def story() -> None:
        async with Peer(http=lambda _path: response(status, body, **headers)).serving() as peer:
            with pytest.raises(kind):
                await fetch_card(peer.url)

    run(story())


def test_no_relay_no_card() -> None:
    async def story() -> None:
        with socket.socket() as s:
            s.bind(("127.0.0.1", 0))
            with pytest.raises(Unreachable):
                await fetch_card(f"ws://127.0.0.1:{s.getsockname()[1]}")
        for url in ("http://x", "relay", "ws://", "file:///etc/passwd"):
            with pytest.raises(Malformed):
                await fetch_card(url)

    run(story())
