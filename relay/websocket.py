"""A connection's socket: whole messages in, whole messages out, and nothing between that costs time.

The sans-I/O core of `websockets` does everything that is rare: the request, pings, fragments, mistakes, the closing.
What comes by the ten thousand, a binary message in one masked frame, is unmasked and handed on here, at once and
without a queue; what leaves is one frame in one write. To know where frames begin, the stream is cut into frames here,
and each of the rare ones is given to `websockets` whole; a frame of a size that it must refuse is given as it comes,
with all that follows.

    bytes ─┬ request ─▶ websockets ─▶ desk.answer ─▶ a page and the end, or 101 and desk.serve
           └ frames ┬ binary, whole ─────────────────────────┬▶ bell.heard(messages), once there is a session;
                    └ all others ─▶ websockets ─▶ fragments ─┘  before that `message()`

Each phase has its time: the request `OPEN_TIMEOUT`, what comes until there is a session is timed by whoever serves,
and once the closing has begun, by either side, the connection has `CLOSE_TIMEOUT` to end. What must be said unasked
for is bounded too: while more than `WRITE_HIGH` waits, of all pings only the last is answered, once there is room.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Coroutine, Sequence
from http import HTTPStatus
from typing import Any, Final, Protocol, cast

from websockets.frames import CONT, DATA_OPCODES, Frame
from websockets.http11 import Request, Response
from websockets.protocol import CONNECTING, OPEN
from websockets.server import ServerProtocol
from websockets.speedups import apply_mask

from relay.limits import Guard

OPEN_TIMEOUT: Final = 5.0  # seconds for the HTTP request
CLOSE_TIMEOUT: Final = 5.0  # seconds from the first close frame, or the last word, to the end of the connection
REQUEST_MAX: Final = 16 << 10  # bytes of an HTTP request
WRITE_HIGH: Final = 256 << 10  # bytes in the socket's buffer above which nothing more should be written

_WHOLE: Final = 0x82  # FIN, binary
_MASKED: Final = 0x80
_REQUEST_ENDS: Final = b"\r\n\r\n"
_FRAGMENTS: Final = 1024  # of one message
_WAITING: Final = 4  # messages before a session that are not read yet


class Doorbell(Protocol):
    """What a connection hears from its socket."""

    def heard(self, messages: Sequence[bytes], /) -> None: ...
    def writable(self) -> None: ...
    def gone(self) -> None: ...


class Desk(Protocol):
    """The server, as its sockets see it."""

    @property
    def guard(self) -> Guard: ...

    def answer(self, socket: Socket, request: Request, /) -> Response | None:
        """A page; None: it may become a WebSocket."""
        ...

    def serve(self, socket: Socket, /) -> Coroutine[Any, Any, None]:
        """What is done with an open WebSocket, in a task of its own, until it is `closed`."""
        ...


class Socket(asyncio.Protocol):
    """A WebSocket that tells what it hears and when its write buffer has emptied, and who is counted at the door until
    let in."""

    transport: asyncio.Transport

    def __init__(self, desk: Desk, most: int) -> None:
        """``most``: bytes of a message, until `allow`."""
        self._desk = desk
        self._loop = asyncio.get_running_loop()
        self._protocol = ServerProtocol(max_size=most)
        self.address = ""
        self.choked = 0.0  # since when more than the write limit waits in the socket; 0: it doesn't
        self._bell: Doorbell | None = None
        self._at_door = False
        self._timer: asyncio.TimerHandle | None = None  # of the request, or of the closing
        self._closing = False
        self._lost: asyncio.Future[None] = self._loop.create_future()
        self._serving: asyncio.Task[None] | None = None
        self._partial = bytearray()  # of the request, or a frame that is not complete
        self._needed = 0  # bytes until it may be
        self._cutting = True  # whether frames are found here; no longer once one had to be refused
        self._parts: list[bytes | bytearray] = []  # of a message in fragments
        self._pong = b""  # to the last ping, which came while the socket was choked
        self._inbox: deque[bytes] = deque()
        self._waiter: asyncio.Future[None] | None = None

    # ---------------------------------------------------------------------------------------------------- at the door

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)  # uvloop's is one, and says so nowhere
        self.transport.set_write_buffer_limits(WRITE_HIGH, WRITE_HIGH // 4)
        self._timer = self._loop.call_later(OPEN_TIMEOUT, self.transport.abort)

    @property
    def peer(self) -> str:
        """The address at the other end; empty where it has none."""
        name = self.transport.get_extra_info("peername")
        return str(name[0]) if name else ""

    def stand_at_door(self, address: str) -> bool:
        """Be counted; False where there is no room. Counted once, until `pass_door` or the end."""
        self.address = address
        self._at_door = True
        return self._desk.guard.arrive(address)

    def pass_door(self) -> None:
        if self._at_door:
            self._at_door = False
            self._desk.guard.depart(self.address)

    def _open(self, data: bytes) -> bytes:
        """Read on in the request; where it ends, answer it. Returns what followed it."""
        head, before = self._partial, len(self._partial)
        head += data
        end = head.find(_REQUEST_ENDS, max(0, before - len(_REQUEST_ENDS) + 1))
        rest = b"" if end < 0 else bytes(head[end + len(_REQUEST_ENDS) :])
        protocol = self._protocol
        if len(head) - len(rest) > REQUEST_MAX:
            head.clear()
            protocol.send_response(protocol.reject(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, "too long\n"))
            self._write_out()
            return b""
        protocol.receive_data(data[: len(data) - len(rest)])
        if end >= 0:
            head.clear()
        for request in protocol.events_received():
            if isinstance(request, Request):
                protocol.send_response(self._desk.answer(self, request) or protocol.accept(request))
        self._write_out()
        if protocol.state is not OPEN:
            return b""
        self._set_timer(None)
        self._serving = self._loop.create_task(self._desk.serve(self))
        return rest

    # --------------------------------------------------------------------------------------------------------- inwards

    async def message(self) -> bytes:
        """The next message, while nobody listens at the bell. Raises `ConnectionClosed`."""
        while not self._inbox:
            if self._lost.done():
                raise self._protocol.close_exc
            self._waiter = self._loop.create_future()
            try:
                await self._waiter
            finally:
                self._waiter = None
        found = self._inbox.popleft()
        if len(self._inbox) == _WAITING - 1:
            self.listen(True)
        return found

    def answer_at(self, bell: Doorbell) -> None:
        """From now on messages go to this bell; those that came early first."""
        self._bell = bell
        if early := list(self._inbox):
            self._inbox.clear()
            bell.heard(early)
        self.listen(True)

    def allow(self, most: int) -> None:
        """From now on a message may have so many bytes."""
        self._protocol.max_message_size = most

    def listen(self, on: bool) -> None:
        """Read on, or leave what comes to TCP."""
        if self.transport.is_closing():
            return
        if on:
            self.transport.resume_reading()
        else:
            self.transport.pause_reading()

    def _hand_on(self, messages: Sequence[bytes]) -> None:
        if self._bell is not None:
            self._bell.heard(messages)
            return
        self._inbox.extend(messages)
        if len(self._inbox) >= _WAITING:
            self.listen(False)
        self._wake()

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def data_received(self, data: bytes) -> None:
        if self._protocol.state is CONNECTING and not self._closing:
            data = self._open(data)
            if not data:
                return
        refer = not self._cutting or self._closing
        partial = self._partial
        if partial:
            partial += data
            if len(partial) < self._needed and not refer:
                return
            data = bytes(partial)
            partial.clear()
        if refer:
            self._refer(data)
        else:
            self._cut(data)

    def _cut(self, data: bytes) -> None:
        """Hand on the frames in ``data``, and keep what is not complete."""
        protocol = self._protocol
        limit = protocol.max_message_size
        messages: list[bytes] = []  # whole ones, to be handed on together
        pos, end = 0, len(data)
        while (left := end - pos) >= 2:
            first, second = data[pos], data[pos + 1]
            head, size = 2, second & 0x7F
            if size == 126:
                head, size = 4, int.from_bytes(data[pos + 2 : pos + 4], "big")
            elif size == 127:
                head, size = 10, int.from_bytes(data[pos + 2 : pos + 10], "big")
            if left < head:
                self._needed = head
                break
            if second & _MASKED:
                head += 4
            if limit is not None and size > limit:
                self._cutting = False
                if messages:
                    self._hand_on(messages)
                self._refer(data[pos:])  # which refuses it
                return
            at, stop = pos + head, pos + head + size
            if stop > end:
                self._needed = stop - pos
                break
            if first == _WHOLE and second & _MASKED and protocol.current_size is None and protocol.state is OPEN:
                messages.append(apply_mask(data[at:stop], data[at - 4 : at]))
            else:
                if messages:
                    self._hand_on(messages)
                    messages = []
                self._refer(data[pos:stop])
            pos = stop
        else:
            self._needed = 2
        if pos < end:
            self._partial += data[pos:]
        if messages:
            self._hand_on(messages)

    def _refer(self, data: bytes) -> None:
        """Let `websockets` see to it."""
        protocol = self._protocol
        protocol.receive_data(data)
        events = protocol.events_received()
        if self.choked and not protocol.eof_sent:  # what it says then is pongs (RFC 6455 §5.5.3: the last will do)
            self._pong = b"".join(protocol.data_to_send()[-1:]) or self._pong
        else:
            self._write_out()
        for event in events:
            if isinstance(event, Frame) and event.opcode in DATA_OPCODES:
                self._gather(event)

    def _gather(self, frame: Frame) -> None:
        """Take a frame of a message."""
        if frame.opcode is not CONT:
            self._parts.clear()
        self._parts.append(frame.data)  # type: ignore[arg-type]  # a memoryview is what compression makes, which is off
        if len(self._parts) > _FRAGMENTS:
            self.transport.abort()  # sizes are bounded by websockets, empty fragments by nothing
        elif frame.fin:
            message = b"".join(self._parts)
            self._parts.clear()
            self._hand_on((message,))

    def eof_received(self) -> None:
        self._protocol.receive_eof()
        self._write_out()

    # -------------------------------------------------------------------------------------------------------- outwards

    def post(self, message: bytes) -> None:
        """Write a message at once, where the socket is open; `choked` is the backpressure."""
        if self._protocol.state is not OPEN or self.transport.is_closing():
            return
        # Not writelines(): in Python 3.12.0 to 3.12.8 and 3.13.0 to 3.13.1 it knows no limit (CVE-2024-12254).
        self.transport.write(_framed(message))

    def close(self, code: int, last: bytes = b"") -> None:
        """Say the last message and close, where the other side hasn't; `closed` returns when it has too, or its time
        is over."""
        if self._protocol.state is OPEN:
            self._protocol.send_close(code)
            self._write_out(_framed(last) if last else b"")

    async def closed(self) -> None:
        """Return when the connection has ended."""
        await asyncio.shield(self._lost)

    def _write_out(self, before: bytes = b"") -> None:
        """Write what `websockets` has to say, and mind the time once that is the end."""
        said = self._protocol.data_to_send()
        ends = bool(said) and not said[-1]  # an empty one stands for the end of the stream
        if not self._closing and (ends or self._protocol.close_expected()):
            self._closing = True
            self._set_timer(CLOSE_TIMEOUT)  # also where it closes by itself: what waits to be written may never leave
        transport = self.transport
        if transport.is_closing():
            return
        if data := before + b"".join(said):
            transport.write(data)
        if ends and transport.can_write_eof():
            transport.write_eof()
        elif ends:
            transport.close()

    def _set_timer(self, seconds: float | None) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = None if seconds is None else self._loop.call_later(seconds, self.transport.abort)

    def connection_lost(self, _exc: Exception | None) -> None:
        self._protocol.receive_eof()
        self._set_timer(None)
        self._lost.set_result(None)
        self.pass_door()
        self._wake()
        if self._bell is not None:
            self._bell.gone()

    def pause_writing(self) -> None:
        self.choked = self._loop.time()

    def resume_writing(self) -> None:
        self.choked = 0.0
        pong, self._pong = self._pong, b""
        if pong and self._protocol.state is OPEN and not self.transport.is_closing():
            self.transport.write(pong)
        if self._bell is not None:
            self._bell.writable()


def _framed(message: bytes) -> bytes:
    """A server's binary frame."""
    size = len(message)
    if size < 126:
        return bytes((_WHOLE, size)) + message
    if size < 1 << 16:
        return b"\x82\x7e" + size.to_bytes(2, "big") + message
    return b"\x82\x7f" + size.to_bytes(8, "big") + message
