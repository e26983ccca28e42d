"""A socket's messages, however the bytes come: in pieces, together, in fragments; and what is no message."""

from __future__ import annotations

import asyncio
import os
import struct
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request, Response

from relay.limits import Guard, Quotas
from relay.websocket import WRITE_HIGH, Socket

MOST = 1 << 17
TEXT, BINARY, CONT, CLOSE, PING, PONG = 1, 2, 0, 8, 9, 10


def frame(payload: bytes, opcode: int = BINARY, *, fin: bool = True, masked: bool = True) -> bytes:
    """A client's frame."""
    size, mask = len(payload), os.urandom(4)
    head = bytes([opcode | (0x80 if fin else 0)])
    bit = 0x80 if masked else 0
    if size < 126:
        head += bytes([bit | size])
    elif size < 1 << 16:
        head += bytes([bit | 126]) + struct.pack(">H", size)
    else:
        head += bytes([bit | 127]) + struct.pack(">Q", size)
    if not masked:
        return head + payload
    return head + mask + bytes(b ^ mask[i % 4] for i, b in enumerate(payload))


class Bell:
    """Answers each message with its length and its ends."""

    def __init__(self, socket: Socket) -> None:
        self.socket = socket
        self.over = asyncio.Event()

    def heard(self, messages: Sequence[bytes]) -> None:
        for message in messages:
            if message == b"bye":
                self.socket.close(1000, b"last")
            self.socket.post(b"%d " % len(message) + message[:8] + message[-8:])

    def writable(self) -> None:
        """Not waited for."""

    def gone(self) -> None:
        self.over.set()


class Desk:
    """Lets everyone in. Its sockets greet each first message in the handshake's way, and ring a bell from then on;
    ``early``: from the start."""

    guard = Guard(Quotas(), lambda: 0.0)

    def __init__(self, *, early: bool) -> None:
        self.early = early
        self.tasks: list[asyncio.Task[None] | None] = []
        self.sockets: list[Socket] = []

    def answer(self, socket: Socket, request: Request) -> Response | None:
        assert request.path == "/"
        assert socket.peer == "127.0.0.1"
        return None

    async def serve(self, socket: Socket) -> None:
        self.tasks.append(asyncio.current_task())
        self.sockets.append(socket)
        bell = Bell(socket)
        try:
            if not self.early:
                bell.socket.post(b"first " + await socket.message())
            socket.answer_at(bell)
            await bell.over.wait()
        except ConnectionClosed:
            return
        finally:
            await socket.closed()


@asynccontextmanager
async def listening(*, early: bool = False, desk: Desk | None = None) -> AsyncIterator[int]:
    """The port of a server of such sockets. The block ends once nobody is served any more."""
    desk = desk or Desk(early=early)
    server = await asyncio.get_running_loop().create_server(lambda: Socket(desk, MOST), "127.0.0.1", 0)
    yield next(iter(server.sockets)).getsockname()[1]
    server.close()
    async with asyncio.timeout(20):
        await asyncio.gather(*filter(None, desk.tasks))


REQUEST = (
    b"GET / HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)


class Line:
    """A client that writes what it likes."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    @classmethod
    async def open(cls, port: int, behind: bytes = b"") -> Line:
        line = cls(*await asyncio.open_connection("127.0.0.1", port))
        line.writer.write(REQUEST + behind)
        await line.reader.readuntil(b"\r\n\r\n")
        return line

    async def say(self, data: bytes, cuts: list[int] | None = None) -> None:
        """Write, in pieces that the server reads apart where ``cuts`` says."""
        at = 0
        for cut in [*sorted(cuts or []), len(data)]:
            self.writer.write(data[at:cut])
            await self.writer.drain()
            await asyncio.sleep(0)
            at = cut

    async def hear(self) -> tuple[int, bytes]:
        """(opcode, payload) of the next frame."""
        async with asyncio.timeout(20):
            first, size = await self.reader.readexactly(2)
            if size == 126:
                (size,) = struct.unpack(">H", await self.reader.readexactly(2))
            elif size == 127:
                (size,) = struct.unpack(">Q", await self.reader.readexactly(8))
            return first & 15, await self.reader.readexactly(size)


def echo(message: bytes) -> tuple[int, bytes]:
    return BINARY, b"%d " % len(message) + message[:8] + message[-8:]


async def close_code(line: Line) -> int:
    opcode, payload = await line.hear()
    assert opcode == CLOSE
    return int.from_bytes(payload[:2], "big")


SIZES = (0, 1, 125, 126, 300, 65535, 65536, 70000)
MANNERS = ("whole", "parts", "text", "ping")


@settings(max_examples=30, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.sampled_from([0, 1, 125, 126, 300, 65535, 65536, 70000]),
            st.sampled_from(["whole", "parts", "text", "ping"]),
        ),
        min_size=1,
        max_size=5,
    ),
    st.lists(st.integers(0, 300), max_size=6),
)
def test_messages_are_whole_however_they_come(some: list[tuple[int, str]], cuts: list[int]) -> None:
    async def story() -> None:
        data, expected = bytearray(), []
        for n, (size, manner) in enumerate(some):
            message = (b"%d" % n * size)[:size]
            match manner:
                case "whole":
                    data += frame(message)
                case "text":
                    data += frame(message, TEXT)
                case "parts":
                    half = size // 2
                    data += frame(message[:half], fin=False) + frame(b"between", PING)
                    data += frame(b"", CONT, fin=False) + frame(message[half:], CONT)
                    expected.append((PONG, b"between"))
                case "ping":
                    data += frame(message[:100], PING)
                    expected.append((PONG, message[:100]))
            if manner != "ping":
                expected.append(echo(message))
        async with listening(early=True) as port:
            line = await Line.open(port)
            await line.say(bytes(data), [cut for cut in cuts if cut < len(data)])
            assert [await line.hear() for _ in expected] == expected
            line.writer.close()

    asyncio.run(story())


async def test_the_first_message_waits_and_the_next_ring() -> None:
    async with listening() as port:
        line = await Line.open(port)
        await line.say(frame(b"hello") + b"".join(frame(b"early %d" % n) for n in range(9)))
        assert await line.hear() == (BINARY, b"first hello")
        assert [await line.hear() for _ in range(9)] == [echo(b"early %d" % n) for n in range(9)]
        line.writer.close()


async def test_frames_behind_the_request_are_read_too() -> None:
    async with listening(early=True) as port:
        line = await Line.open(port, behind=frame(b"too soon")[:5])
        await line.say(b"")
        line.writer.close()
    async with listening(early=True) as port:
        line = await Line.open(port, behind=frame(b"too soon"))
        await line.say(frame(b"then"))
        assert [await line.hear(), await line.hear()] == [echo(b"too soon"), echo(b"then")]
        line.writer.close()


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (frame(b"not masked", masked=False), 1002),
        (frame(b"reserved", 0x70 | BINARY), 1002),
        (frame(b"no such kind", 5), 1002),
        (frame(b"goes on", CONT), 1002),
        (frame(b"a", fin=False) + frame(b"another begins"), 1002),
        (frame(bytes(MOST + 1))[:20], 1009),
        (b"\x82\xff" + (1 << 40).to_bytes(8, "big"), 1009),
        (frame(bytes(MOST), fin=False) + frame(b"more", CONT), 1009),
        (frame(b"\x03\xe8", CLOSE), 1000),
    ],
    ids=["unmasked", "reserved", "opcode", "continuation", "interrupted", "big", "huge", "big in parts", "close"],
)
async def test_what_is_no_message_ends_it_with_its_code(data: bytes, code: int) -> None:
    async with listening(early=True) as port:
        line = await Line.open(port)
        await line.say(frame(b"well") + data)
        assert await line.hear() == echo(b"well")
        assert await close_code(line) == code
        line.writer.close()


async def test_fragments_without_end_are_cut_off() -> None:
    async with listening(early=True) as port:
        line = await Line.open(port)
        await line.say(frame(b"", fin=False) + frame(b"", CONT, fin=False) * 2000)
        with pytest.raises((asyncio.IncompleteReadError, ConnectionResetError)):
            await line.hear()
        line.writer.close()


async def test_a_client_that_goes_while_it_is_waited_for_is_heard_of() -> None:
    async with listening() as port:
        line = await Line.open(port)
        await line.say(frame(b"half")[:7])
        line.writer.close()  # the server's block ends only if its handler has


@pytest.mark.parametrize("early", [True, False])
async def test_a_request_may_come_byte_by_byte(early: bool) -> None:
    async with listening(early=early) as port:
        line = Line(*await asyncio.open_connection("127.0.0.1", port))
        await line.say(REQUEST + frame(b"behind it"), list(range(len(REQUEST) + 12)))
        assert b" 101 " in await line.reader.readuntil(b"\r\n\r\n")
        assert await line.hear() == (echo(b"behind it") if early else (BINARY, b"first behind it"))
        line.writer.close()


@pytest.mark.parametrize(
    ("data", "answer"),
    [
        (b"GET / HTTP/1.1\r\n" + b"X: y\r\n" * 100 + (b"Z: " + b"z" * 8000 + b"\r\n") * 2 + b"\r\n", b"HTTP/1.1 431 "),
        (b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", b"HTTP/1.1 426 "),
        (b"GET /" + b"a" * 9000, b"HTTP/1.1 414 "),
        (b"\x16\x03\x01 hello over TLS\n", b""),
    ],
    ids=["much", "plain", "long", "garbage"],
)
async def test_what_is_no_request_ends_it(data: bytes, answer: bytes) -> None:
    async with listening() as port:
        line = Line(*await asyncio.open_connection("127.0.0.1", port))
        await line.say(data)
        async with asyncio.timeout(20):
            said = await line.reader.read()
        assert said.startswith(answer)
        assert bool(said) == bool(answer)
        line.writer.close()


async def test_a_request_that_does_not_come_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("relay.websocket.OPEN_TIMEOUT", 0.05)
    async with listening() as port:
        line = Line(*await asyncio.open_connection("127.0.0.1", port))
        await line.say(REQUEST[:-2])
        async with asyncio.timeout(20):
            assert await line.reader.read() == b""
        line.writer.close()


@pytest.mark.parametrize(
    "ends", [frame(b"\x03\xe8", CLOSE), frame(b"not masked", masked=False)], ids=["close", "fault"]
)
async def test_who_does_not_end_the_connection_is_cut_off(monkeypatch: pytest.MonkeyPatch, ends: bytes) -> None:
    monkeypatch.setattr("relay.websocket.CLOSE_TIMEOUT", 0.05)
    async with listening(early=True) as port:
        line = await Line.open(port)
        await line.say(ends)
        await close_code(line)
    line.writer.close()  # only now: the block has ended without


async def test_a_last_word_and_the_close_leave_together() -> None:
    async with listening() as port:
        line = await Line.open(port)
        await line.say(frame(b"end"))
        assert await line.hear() == (BINARY, b"first end")
        await line.say(frame(b"bye"))
        assert await line.hear() == (BINARY, b"last")
        assert await close_code(line) == 1000
        line.writer.close()


async def flooded(port: int) -> tuple[Line, int]:
    """A client that reads nothing and pings until the server would wait for it to read; how often it has."""
    line = await Line.open(port)
    line.writer.transport.pause_reading()  # type: ignore[attr-defined]  # a stream's transport reads and writes
    for n in range(100):
        await line.say(b"".join(frame(struct.pack(">I", 1000 * n + k) + bytes(121), PING) for k in range(1000)))
    return line, 100_000


async def test_of_pings_that_nobody_reads_the_answers_to_the_last_is_answered() -> None:
    desk = Desk(early=True)
    async with listening(desk=desk) as port:
        line, pings = await flooded(port)
        (socket,) = desk.sockets
        assert socket.choked
        assert socket.transport.get_write_buffer_size() < 2 * WRITE_HIGH
        line.writer.transport.resume_reading()  # type: ignore[attr-defined]  # as above
        heard: list[int] = []
        while not heard or heard[-1] < pings - 1:
            opcode, payload = await line.hear()
            assert opcode == PONG
            heard.append(int.from_bytes(payload[:4], "big"))
        assert heard == sorted(set(heard))
        assert len(heard) < pings
        await line.say(frame(b"after"))
        assert await line.hear() == echo(b"after")
        line.writer.close()


async def test_who_says_no_more_and_does_not_read_is_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("relay.websocket.CLOSE_TIMEOUT", 0.05)
    desk = Desk(early=True)
    async with listening(desk=desk) as port:
        line, _ = await flooded(port)
        assert desk.sockets[0].choked
        line.writer.write_eof()
    line.writer.close()  # only now: the block has ended without


async def test_who_has_closed_hears_no_last_word() -> None:
    desk = Desk(early=True)
    async with listening(desk=desk) as port:
        line = await Line.open(port)
        await line.say(frame(b"\x03\xe8", CLOSE))
        assert await close_code(line) == 1000
        desk.sockets[0].close(1001, b"last")
        assert await line.reader.read() == b""
        line.writer.close()


async def test_a_frame_that_a_close_comes_between_is_read_to_its_end() -> None:
    desk = Desk(early=True)
    async with listening(desk=desk) as port:
        line = await Line.open(port)
        whole = frame(b"half" * 20_000)
        await line.say(frame(b"first") + whole[:70])
        assert await line.hear() == echo(b"first")
        desk.sockets[0].close(1001)
        assert await close_code(line) == 1001
        await line.say(whole[70:] + frame(b"still", PING) + frame(b"\x03\xe9", CLOSE))
        assert await line.hear() == (PONG, b"still")
        assert await line.reader.read() == b""
        line.writer.close()
