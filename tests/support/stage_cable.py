"""A line between one device and the relay, in the hands of a story.

    async with Cable(relay) as cable:          cable.url is where the device takes the relay to be
        cable.hold(Way.UP)                     what the device says goes no further, for now
        cable.hold(Way.DOWN)                   the relay hears it, its answers go no further
        cable.spring(8000)                     as hold(Way.DOWN), as soon as the device has said that many bytes more
        await cable.answered()                 the relay has said something that is held
        cable.release()                        and now everything, in order
        cable.cut()                            the connection is gone, as when a cable is pulled; a new one may be made

It forwards bytes over loopback and knows nothing of them.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum
from types import TracebackType
from typing import Self


class Way(Enum):
    """Of which direction: to the relay, or from it."""

    UP = "up"
    DOWN = "down"


@dataclass
class Cable:
    """``port`` says where the relay listens now: it may be asked anew for every connection."""

    port: Callable[[], int]
    held: set[Way] = field(default_factory=set)
    plugged: bool = True
    _server: asyncio.Server | None = None
    _free: asyncio.Event = field(default_factory=asyncio.Event)
    _caught: asyncio.Event = field(default_factory=asyncio.Event)
    _spring: int | None = None
    _lines: set[asyncio.Task[None]] = field(default_factory=set)

    @property
    def url(self) -> str:
        assert self._server is not None
        return f"ws://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"

    async def __aenter__(self) -> Self:
        self._free.set()
        self._server = await asyncio.start_server(self._meet, "127.0.0.1", 0)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._server is not None
        self._server.close()
        await self.cut()
        await self._server.wait_closed()

    def hold(self, *ways: Way) -> None:
        """Let nothing more through these ways, until `release`."""
        self.held |= set(ways)
        self._free.clear()
        self._caught.clear()

    def spring(self, size: int) -> None:
        """Let pass what is said up to ``size`` bytes; with the piece that goes beyond, hold what comes back."""
        self._spring = size

    async def answered(self) -> None:
        """Wait until the relay has said something that is held."""
        await self._caught.wait()

    def release(self) -> None:
        """Let everything through that was held, and all that follows."""
        self.held.clear()
        self._free.set()

    async def cut(self) -> None:
        """End every connection; what was held is lost. The next is made as if nothing had been."""
        lines = list(self._lines)
        for line in lines:
            line.cancel()
        await asyncio.gather(*lines, return_exceptions=True)
        self.release()

    async def unplug(self) -> None:
        """Cut, and take no new connection until `plug`."""
        self.plugged = False
        await self.cut()

    def plug(self) -> None:
        self.plugged = True

    async def _meet(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._lines.add(task)
        try:
            if self.plugged:
                with contextlib.suppress(OSError):
                    await self._join(reader, writer)
        except asyncio.CancelledError:
            pass  # cut
        finally:
            self._lines.discard(task)
            await _end(writer)

    async def _join(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, back = await asyncio.open_connection("127.0.0.1", self.port())
        try:
            ways = (self._carry(reader, back, Way.UP), self._carry(there, writer, Way.DOWN))
            tasks = [asyncio.ensure_future(way) for way in ways]
            try:
                await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            finally:
                for task in tasks:
                    task.cancel()
                await asyncio.gather(*tasks, return_exceptions=True)
        finally:
            await _end(back)

    async def _carry(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter, way: Way) -> None:
        while piece := await source.read(1 << 16):
            if way is Way.UP and self._spring is not None:
                self._spring -= len(piece)
                if self._spring < 0:
                    self._spring = None
                    self.hold(Way.DOWN)
            while way in self.held:
                if way is Way.DOWN:
                    self._caught.set()
                await self._free.wait()
            sink.write(piece)
            await sink.drain()


async def _end(writer: asyncio.StreamWriter) -> None:
    writer.transport.abort()
    with contextlib.suppress(OSError):
        await writer.wait_closed()
