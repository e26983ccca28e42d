"""A connection's socket: whole messages in, whole messages out, and nothing between that costs time.

`websockets` does everything that is rare: the opening, pings, fragments, mistakes, the closing. What comes by the ten
thousand, a binary message in one masked frame, is unmasked and handed on here, at once and without a queue; what
leaves is one frame in one write. To know where frames begin, the stream is cut into frames here, and each of the rare
ones is given to `websockets` whole; a frame of a size that it must refuse is given as it comes, with all that follows.

    bytes ─▶ frames ─┬ binary, whole ─────────────────────────┬▶ bell.heard(messages), once there is a session;
                     └ all others ─▶ websockets ─▶ fragments ─┘  before that `message()`
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sequence
from typing import Any, Final, Protocol

from websockets.asyncio.server import ServerConnection
from websockets.frames import CONT, DATA_OPCODES, Frame
from websockets.protocol import OPEN
from websockets.speedups import apply_mask

from relay.limits import Guard

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


class _House(Protocol):
    @property
    def guard(self) -> Guard: ...


class Socket(ServerConnection):
    """A WebSocket that tells what it hears and when its write buffer has emptied, and who is counted at the door until
    let in."""

    house: _House
    bell: Doorbell | None = None
    address: str = ""
    at_door: bool = False
    choked: float = 0.0  # since when more than the write limit waits in the socket; 0: it doesn't
    _framed: bool | None = None  # whether the stream is cut here; None: the request is not over
    _lost: bool = False

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._seen = b""  # the last bytes of the HTTP request
        self._partial = bytearray()  # a frame that is not complete
        self._needed = 0  # bytes until it may be
        self._parts: list[bytes | bytearray] = []  # of a message in fragments
        self._inbox: deque[bytes] = deque()
        self._waiter: asyncio.Future[None] | None = None

    # ---------------------------------------------------------------------------------------------------- at the door

    def stand_at_door(self, address: str) -> bool:
        """Be counted; False where there is no room. Counted once, until `pass_door` or the end."""
        self.address = address
        self.at_door = True
        return self.house.guard.arrive(address)

    def pass_door(self) -> None:
        if self.at_door:
            self.at_door = False
            self.house.guard.depart(self.address)

    # --------------------------------------------------------------------------------------------------------- inwards

    async def message(self) -> bytes:
        """The next message, while nobody listens at the bell. Raises `ConnectionClosed`."""
        while not self._inbox:
            if self._lost:
                raise self.close_exc
            self._waiter = self.loop.create_future()
            try:
                await self._waiter
            finally:
                self._waiter = None
        found = self._inbox.popleft()
        if len(self._inbox) < _WAITING:
            self.listen(True)
        return found

    def answer_at(self, bell: Doorbell) -> None:
        """From now on messages go to this bell; those that came early first."""
        self.bell = bell
        early = list(self._inbox)
        self._inbox.clear()
        if early:
            bell.heard(early)
        self.listen(True)

    def listen(self, on: bool) -> None:
        """Read on, or leave what comes to TCP."""
        if self._lost or self.transport.is_closing():
            return
        if on:
            self.transport.resume_reading()
        else:
            self.transport.pause_reading()

    def _hand_on(self, messages: Sequence[bytes]) -> None:
        if self.bell is not None:
            self.bell.heard(messages)
            return
        self._inbox.extend(messages)
        if len(self._inbox) >= _WAITING:
            self.listen(False)
        self._wake()

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def data_received(self, data: bytes) -> None:
        if not self._framed and not self._begun(data):
            super().data_received(data)
            return
        partial = self._partial
        if partial:
            partial += data
            if len(partial) < self._needed:
                return
            data = bytes(partial)
            partial.clear()
        self._cut(data)

    def _begun(self, data: bytes) -> bool:
        """Whether ``data`` begins with a frame. A client that has sent frames before its request was answered, as none
        may, is read by `websockets` alone."""
        if self._framed is None and self.protocol.state is OPEN:
            self._framed = self._seen == _REQUEST_ENDS
        elif self._framed is None:
            self._seen = (self._seen + data)[-4:]
        return bool(self._framed)

    def _cut(self, data: bytes) -> None:
        """Hand on the frames in ``data``, and keep what is not complete."""
        protocol = self.protocol
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
                self._framed = False
                if messages:
                    self._hand_on(messages)
                super().data_received(data[pos:])  # which refuses it
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
                super().data_received(data[pos:stop])
            pos = stop
        else:
            self._needed = 2
        if pos < end:
            self._partial += data[pos:]
        if messages:
            self._hand_on(messages)

    def process_event(self, event: Any) -> None:
        if not isinstance(event, Frame) or event.opcode not in DATA_OPCODES:
            super().process_event(event)
            return
        if event.opcode is not CONT:
            self._parts.clear()
        self._parts.append(event.data)  # type: ignore[arg-type]  # a memoryview is what compression makes, which is off
        if len(self._parts) > _FRAGMENTS:
            self.transport.abort()  # sizes are bounded by websockets, empty fragments by nothing
        elif event.fin:
            message = b"".join(self._parts)
            self._parts.clear()
            self._hand_on((message,))

    # -------------------------------------------------------------------------------------------------------- outwards

    def post(self, message: bytes) -> None:
        """Write a message at once, where the socket is open; `choked` is the backpressure."""
        if self.protocol.state is not OPEN or self.transport.is_closing():
            return
        size = len(message)
        if size < 126:
            head = bytes((_WHOLE, size))
        elif size < 1 << 16:
            head = b"\x82\x7e" + size.to_bytes(2, "big")
        else:
            head = b"\x82\x7f" + size.to_bytes(8, "big")
        # Not writelines(): in Python 3.12.0 to 3.12.8 and 3.13.0 to 3.13.1 it knows no limit (CVE-2024-12254).
        self.transport.write(head + message)

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self._lost = True
        self.pass_door()
        self._wake()
        if self.bell is not None:
            self.bell.gone()

    def pause_writing(self) -> None:
        super().pause_writing()
        self.choked = self.loop.time()

    def resume_writing(self) -> None:
        super().resume_writing()
        self.choked = 0.0
        if self.bell is not None:
            self.bell.writable()
