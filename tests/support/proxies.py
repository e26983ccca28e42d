"""Small proxies on the loopback, real enough to carry a session: HTTP CONNECT, SOCKS 4a and SOCKS 5.

    async with Proxy("socks5", user="u", password="p") as proxy:
        proxy.url                   socks5h://u:p@127.0.0.1:PORT
        proxy.asked                 ["relay.example.int:443", …] as clients asked for them
        proxy.carried               bytes that went through

Every name leads to 127.0.0.1: that a client has its proxy look names up can be seen by one that nobody else knows.
"""

from __future__ import annotations

import asyncio
import base64
import struct
from types import TracebackType
from typing import Literal, Self

Kind = Literal["http", "socks4a", "socks5"]


class Refused(Exception):
    """The proxy does not do that."""


class Proxy:
    """One proxy. ``refuse``: it says no to everyone."""

    def __init__(self, kind: Kind, *, user: str = "", password: str = "", refuse: bool = False) -> None:
        self.kind = kind
        self.user, self.password = user, password
        self.refuse = refuse
        self.asked: list[str] = []
        self.carried = bytearray()
        self._tasks: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._meet, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        who = f"{self.user}:{self.password}@" if self.user else ""
        scheme = {"http": "http", "socks4a": "socks4a", "socks5": "socks5h"}[self.kind]
        self.url = f"{scheme}://{who}127.0.0.1:{self.port}"
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.close()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _meet(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        try:
            greet = {"http": self._http, "socks4a": self._socks4a, "socks5": self._socks5}[self.kind]
            await self._carry(await greet(reader, writer), reader, writer)
        except (Refused, OSError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    async def _carry(self, port: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, out = await asyncio.open_connection("127.0.0.1", port)

        async def pour(source: asyncio.StreamReader, into: asyncio.StreamWriter) -> None:
            while piece := await source.read(65536):
                self.carried += piece
                into.write(piece)
                await into.drain()
            into.close()

        try:
            await asyncio.gather(pour(reader, out), pour(there, writer))
        finally:
            out.close()

    def _want(self, host: str, port: int) -> int:
        self.asked.append(f"{host}:{port}")
        return port

    async def _http(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> int:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        verb, target, _ = head.split("\r\n")[0].split(" ")
        if self.user:
            token = base64.b64encode(f"{self.user}:{self.password}".encode()).decode()
            if f"proxy-authorization: basic {token}".lower() not in head.lower():
                writer.write(b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n")
                raise Refused
        if self.refuse or verb != "CONNECT":
            writer.write(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n")
            raise Refused
        host, _, port = target.rpartition(":")
        writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
        return self._want(host, int(port))

    async def _socks4a(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> int:
        version, command, port, address = struct.unpack(">BBH4s", await reader.readexactly(8))
        await reader.readuntil(b"\0")
        assert (version, command) == (4, 1)
        host = ".".join(map(str, address))
        if address[:3] == bytes(3):
            host = (await reader.readuntil(b"\0"))[:-1].decode()
        writer.write(bytes((0, 91 if self.refuse else 90)) + bytes(6))
        if self.refuse:
            raise Refused
        return self._want(host, port)

    async def _socks5(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> int:
        version, count = await reader.readexactly(2)
        methods = await reader.readexactly(count)
        assert version == 5
        wanted = 2 if self.user else 0
        if wanted not in methods:
            writer.write(b"\x05\xff")
            raise Refused
        writer.write(bytes((5, wanted)))
        if self.user:
            _, size = await reader.readexactly(2)
            user = (await reader.readexactly(size)).decode()
            password = (await reader.readexactly((await reader.readexactly(1))[0])).decode()
            good = (user, password) == (self.user, self.password)
            writer.write(bytes((1, 0 if good else 1)))
            if not good:
                raise Refused
        _, command, _, kind = await reader.readexactly(4)
        assert command == 1
        if kind == 3:
            host = (await reader.readexactly((await reader.readexactly(1))[0])).decode()
        else:
            host = ".".join(map(str, await reader.readexactly(4)))
        (port,) = struct.unpack(">H", await reader.readexactly(2))
        writer.write(bytes((5, 2 if self.refuse else 0, 0, 1)) + bytes(6))
        if self.refuse:
            raise Refused
        return self._want(host, port)
