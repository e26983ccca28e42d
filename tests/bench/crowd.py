"""A crowd of clients for one relay process: cheap enough that the relay is what is measured.

    with Crowd(folder, devices=1008) as crowd:
        line = await crowd.enter(3)                    a session of device 3, over TCP on loopback
        line.ask(Show(TOPIC, SECRET))                  a record at once; `line.on_answer` and `line.on_entries` hear
        crowd.cpu(), crowd.memory()                    of the relay's process, from /proc

Handshake and records are the real ones. What comes back is opened, and counted by its sizes rather than parsed: all
entries here have one length, and a client's parsing would be taken from the relay's own core. Masks are zero, as a
client may choose.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final, cast

from securechan.codec import Reader
from securechan.errors import CannotOpen
from securechan.wire.chain import Position
from securechan.wire.frames import (
    TRUST_TOPIC,
    Answer,
    Appended,
    Entries,
    Entry,
    EntryKind,
    Error,
    Frame,
    FrameKind,
    Publish,
    Reason,
    Request,
    RequestBody,
    Subscribe,
    TrustDocument,
)
from securechan.wire.handshake import Credential, DeviceCredential, Greeting
from securechan.wire.session import Session
from tests.relay.caller import call
from tests.support.federation import Device, make_device
from tests.support.founding import Founded, found
from tests.support.relayproc import RelayProcess

SIZE: Final = 1024  # bytes of every message
BODY: Final = os.urandom(SIZE)
ROSTER: Final = 90  # devices of one agency
FOUNDED: Final = 200  # devices that one publication has room for
WIRE: Final = len(Entry(1, EntryKind.APPLICATION, bytes(32), 0, BODY, None).encode())
LOOSE: Final = {
    f"SECURECHAN_RELAY_QUOTAS__{name}": str(value)
    for name, value in {
        "APPENDS_PER_MINUTE": 10_000_000,
        "AGENCY_APPENDS_PER_MINUTE": 10_000_000,
        "REQUESTS_PER_SECOND": 1_000_000,
        "BANDWIDTH": 1 << 30,
        "AGENCY_BANDWIDTH": 1 << 30,
        "AGENCY_BYTES_PER_DAY": 1 << 40,
        "HANDSHAKES_PER_MINUTE": 1_000_000,
        "SESSIONS": 20_000,
        "HALF_OPEN": 1024,
        "HALF_OPEN_PER_ADDRESS": 1024,
    }.items()
}
"""Quotas that nothing here reaches."""
UPGRADE: Final = (
    b"GET / HTTP/1.1\r\nHost: relay\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)


def now() -> int:
    return int(time.time())


def wrapped(message: bytes) -> bytes:
    """A client's binary frame."""
    size = len(message)
    if size < 126:
        return bytes((0x82, 0x80 | size)) + bytes(4) + message
    if size < 1 << 16:
        return b"\x82\xfe" + size.to_bytes(2, "big") + bytes(4) + message
    return b"\x82\xff" + size.to_bytes(8, "big") + bytes(4) + message


class Line(asyncio.Protocol):
    """A connection, and once `shake` is done a session."""

    def __init__(self) -> None:
        self.transport: asyncio.Transport
        self.session: Session
        self.on_answer: Callable[[int, bool], None] = lambda number, well: None
        self.on_entries: Callable[[int], None] = lambda count: None
        self.lost: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._open = self._sealed = False
        self._buffer = bytearray()
        self._messages: asyncio.Queue[bytes] = asyncio.Queue()
        self._numbers = 0

    # ---------------------------------------------------------------------------------------------- bytes

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)  # uvloop's is one, and says so nowhere
        self.transport.write(UPGRADE)

    def connection_lost(self, exc: Exception | None) -> None:
        if not self.lost.done():
            self.lost.set_result(None)
        self._messages.put_nowait(b"")

    def data_received(self, data: bytes) -> None:
        if self._buffer:
            self._buffer += data
            data = bytes(self._buffer)
            self._buffer.clear()
        if not self._open:
            head, end, data = data.partition(b"\r\n\r\n")
            if not end:
                self._buffer += head
                return
            if b" 101 " not in head[:14]:
                self.transport.abort()
                return
            self._open = True
            self._messages.put_nowait(head)
        pos, total = 0, len(data)
        while total - pos >= 2:
            at, size = pos + 2, data[pos + 1]
            if size == 126:
                at, size = pos + 4, int.from_bytes(data[pos + 2 : pos + 4], "big")
            elif size == 127:
                at, size = pos + 10, int.from_bytes(data[pos + 2 : pos + 10], "big")
            if at + size > total:
                break
            if data[pos] == 0x82:
                self._message(data[at : at + size])
            pos = at + size
        self._buffer += data[pos:]

    def _message(self, message: bytes) -> None:
        if self._sealed:
            self._record(message)
        else:
            self._messages.put_nowait(message)

    async def message(self) -> bytes:
        """The next message of the handshake. Raises `CannotOpen` where the relay has hung up."""
        async with asyncio.timeout(60):
            found = await self._messages.get()
        if not found:
            raise CannotOpen("the relay has hung up")
        return found

    # ---------------------------------------------------------------------------------------------- session

    async def shake(self, founded: Founded, credential: Credential) -> None:
        """The whole handshake."""
        await self.message()
        state, message = Greeting.start(founded.relay, credential)
        while isinstance(state, Greeting):
            self.transport.write(wrapped(message))
            state, message = state.answer(await self.message())
        self.transport.write(wrapped(message))
        self.session = state.finish(await self.message(), now())
        self._sealed = True
        while not self._messages.empty():
            self._record(self._messages.get_nowait())

    def ask(self, *bodies: RequestBody) -> int:
        """One record of requests; the number of the first."""
        first = self._numbers
        self._numbers += len(bodies)
        frames = [Frame.of(Request.of(first + n, body)).encode() for n, body in enumerate(bodies)]
        self.transport.write(wrapped(self.session.seal_encoded(frames, now())))
        return first

    async def told(self, body: RequestBody) -> bool:
        """Whether one request, asked while no other is under way, was granted."""
        answered: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        before = self.on_answer
        number = self.ask(body)
        self.on_answer = lambda n, well: answered.set_result(well) if n == number else before(n, well)
        try:
            async with asyncio.timeout(60):
                return await answered
        finally:
            self.on_answer = before

    def _record(self, record: bytes) -> None:
        lane = self.session._in
        plain = lane.open(record)
        if plain[0]:
            lane.advance(now())
        r = Reader(plain, 1)
        inside = r.sub()
        while inside.left:
            pos, kind = inside.pos, plain[inside.pos]
            if kind == FrameKind.ENTRIES:
                run = Reader(plain, pos + 33, inside.end)
                length = run.sub()
                self.on_entries((length.end - length.pos) // WIRE)
                inside.pos = run.pos + 1
            elif kind == FrameKind.ANSWER and plain[pos + 5] == 1:
                self.on_answer(int.from_bytes(plain[pos + 1 : pos + 5], "big"), True)
                inside.pos = pos + 14
            else:
                self._rare(Frame.read_from(inside))

    def _rare(self, frame: Frame) -> None:
        if isinstance(frame.body, Answer):
            self.on_answer(frame.body.number, not isinstance(frame.body.body, Error))
        else:
            assert not isinstance(frame.body, Entries | Appended)

    def bye(self) -> None:
        """Leave."""
        if not self.transport.is_closing():
            if self._sealed:
                self.transport.write(wrapped(self.session.farewell(Reason.DONE, now())))
            self.transport.close()


class Crowd:
    """A relay process and everybody who may come to it."""

    def __init__(self, folder: Path, devices: int, environment: dict[str, str] | None = None) -> None:
        agencies = max(2, -(-devices // ROSTER))
        self.names = [f"agency-{n % agencies}/{n}" for n in range(devices)]
        self.process = RelayProcess(folder, environment={**LOOSE, **(environment or {})})
        self.founded: Founded
        self._more: dict[str, Device] = {}  # admitted later

    def __enter__(self) -> Crowd:
        self.process.start()
        self.founded = found(self.process.card(), self.names[:FOUNDED])
        self.process.adopt(self.founded.bundle)
        return self

    def __exit__(self, *_: object) -> None:
        if self.process._process is not None:
            self.process.kill()

    async def admit(self) -> None:
        """Have those admitted whom the founding had no room for, an agency at a time."""
        rest = self.names[FOUNDED:]
        agencies = sorted({name.partition("/")[0] for name in rest})
        if not rest:
            return
        async with call(self.process.url, self.founded.relay, self.founded.office(f"{agencies[0]}-roster")) as caller:
            await caller.send(Subscribe(TRUST_TOPIC, 0))
            log = await caller.entries(TRUST_TOPIC, 1)
            view = self.founded.read(log)
            for agency in agencies:
                some = [make_device(*name.split("/"), now=now()) for name in rest if name.startswith(f"{agency}/")]
                self._more |= {device.record.name: device for device in some}
                role, content = self.founded.roster(agency, view, add=[device.record for device in some])
                line = await self.enter(self.founded.office(role))
                granted = await line.told(Publish(log[-1].sequence, (TrustDocument(role, content),)))
                line.bye()
                if not granted:
                    raise RuntimeError(f"the relay took no roster of {agency}")
                log = await caller.entries(TRUST_TOPIC, len(log) + 1)

    def credential(self, n: int) -> Credential:
        """What device ``n`` proves itself with."""
        name = self.names[n]
        if name in self.founded.devices:
            return self.founded.credential(name)
        held = self._more[name]
        return DeviceCredential(name, held.key, held.key.public, Position(0, bytes(48)))

    async def line(self) -> Line:
        """A connection, nothing said yet."""
        host, port = "127.0.0.1", self.process.port
        _, line = await asyncio.get_running_loop().create_connection(Line, host, port)
        return line

    async def enter(self, who: int | Credential) -> Line:
        """A session of device ``who``."""
        line = await self.line()
        await line.shake(self.founded, self.credential(who) if isinstance(who, int) else who)
        return line

    # ---------------------------------------------------------------------------------------------- the relay's process

    def cpu(self) -> float:
        """CPU seconds of the relay until now, exact."""
        folder = Path(f"/proc/{self.process.pid}/task")
        return sum(int((task / "schedstat").read_text().split()[0]) for task in folder.iterdir()) / 1e9

    def memory(self) -> int:
        """Bytes that it holds in memory."""
        lines = Path(f"/proc/{self.process.pid}/status").read_text().splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS")) * 1024
