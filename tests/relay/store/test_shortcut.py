"""The short way in and out of nats-py, and the public way: the same messages, in the same order."""

from __future__ import annotations

import asyncio

import pytest
from nats.aio.client import Client
from nats.errors import ConnectionReconnectingError, MaxPayloadError

from relay.store.jetstream import Answer, parse
from relay.store.shortcut import SLICE, ShortcutClient, head_of, known
from tests.support.cluster import Cluster

Heard = tuple[bytes, bytes, bytes, dict[str, str]]


class Ear:
    """Hears messages, and lets wait for so many."""

    def __init__(self) -> None:
        self.heard: list[Heard] = []
        self.errors: list[Exception] = []
        self._more = asyncio.Event()

    def take(self, subject: bytes, reply: bytes, data: bytes, head: bytes) -> None:
        self._more.set()
        if data == b"spoilt":
            raise ValueError("it cannot be taken")
        self.heard.append((subject, reply, data, parse(head)))

    async def failed(self, error: Exception) -> None:
        self.errors.append(error)
        self._more.set()

    async def until(self, count: int) -> list[Heard]:
        async with asyncio.timeout(30):
            while len(self.heard) < count:
                self._more.clear()
                await self._more.wait()
        return self.heard


def test_the_nats_py_that_is_installed_has_the_short_ways() -> None:
    assert known(Client)
    assert ShortcutClient.short


def test_another_inside_is_noticed() -> None:
    class Later(Client):
        async def _process_msg(self, message: object) -> None:
            """As a later one may have it."""

    class Renamed(Client):
        _send_command = None  # likewise

    assert not known(Later)
    assert not known(Renamed)


def test_headers_travel_as_nats_writes_them() -> None:
    assert head_of(None) == head_of({}) == b""
    assert head_of({"A": "1", "B": "2"}) == b"NATS/1.0\r\nA: 1\r\nB: 2\r\n\r\n"
    assert parse(head_of({"A": "1", "B": "2"})) == {"A": "1", "B": "2"}
    assert head_of({"Status": "503"}) == b"NATS/1.0 503\r\n\r\n"
    for said in ({"Status": "503"}, {"Status": "204", "Nats-Num-Pending": "7"}):
        assert Answer(head_of(said), b"").status == said["Status"]
    assert Answer(head_of({"A": "1"}), b"").status == Answer(b"", b"").status == ""


@pytest.mark.parametrize("short", [True, False], ids=["short", "public"])
async def test_either_way_brings_the_same(cluster: Cluster, monkeypatch: pytest.MonkeyPatch, short: bool) -> None:
    monkeypatch.setattr(ShortcutClient, "short", short)
    ear = Ear()
    client = ShortcutClient()
    await client.connect(list(cluster.urls), error_cb=ear.failed)
    try:
        subscription = await client.hear("shortcut.>", ear.take)
        run = [(f"shortcut.{n}", b"front %d " % n, bytes(n)) for n in range(2 * SLICE + 1)]
        await client.publish_all(run, {"Some-Header": "value"}, "answers.here")
        heard = await ear.until(len(run))
        assert [(subject.decode(), data) for subject, _, data, _ in heard] == [(s, a + b) for s, a, b in run]
        assert [reply for _, reply, _, _ in heard] == [b""] * (len(run) - 1) + [b"answers.here"]
        assert all(headers == {"Some-Header": "value"} for _, _, _, headers in heard)
        for data in (b"spoilt", b"whole"):  # what one message breaks, the next does not notice
            await client.publish("shortcut.last", data)
        assert (await ear.until(len(run) + 1))[-1][2:] == (b"whole", {})
        assert [type(error) for error in ear.errors] == [ValueError]
        await client.unhear(subscription)
        await client.publish("shortcut.after")
        await client.flush()
        assert len(ear.heard) == len(run) + 1
    finally:
        await client.close()


@pytest.mark.parametrize("short", [True, False], ids=["short", "public"])
async def test_what_does_not_fit_the_server_is_not_sent(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch, short: bool
) -> None:
    """A server cuts the whole connection for it, and after a reconnection it may be another one, with less room."""
    monkeypatch.setattr(ShortcutClient, "short", short)
    client = ShortcutClient()
    await client.connect(list(cluster.urls))
    try:
        monkeypatch.setattr(client, "_max_payload", 1000)
        await client.publish_all([("shortcut.fits", bytes(500), bytes(500))], {}, "answers.here")
        with pytest.raises(MaxPayloadError):
            await client.publish_all([("shortcut.large", bytes(500), bytes(501))], {}, "answers.here")
    finally:
        await client.close()


@pytest.mark.parametrize("short", [True, False], ids=["short", "public"])
async def test_a_connection_that_is_cut_in_the_middle_leaves_nothing_to_be_sent_by_the_next(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch, short: bool
) -> None:
    monkeypatch.setattr(ShortcutClient, "short", short)
    client = ShortcutClient()
    await client.connect(list(cluster.urls))
    send = client._send_command

    async def send_and_be_cut(command: bytes, priority: bool = False) -> None:
        await send(command, priority)
        monkeypatch.setattr(client, "_status", Client.RECONNECTING)

    try:
        monkeypatch.setattr(client, "_send_command", send_and_be_cut)
        with pytest.raises(ConnectionReconnectingError):
            await client.publish_all([(f"shortcut.{n}", b"x", b"") for n in range(3 * SLICE)], {}, "answers.here")
        assert b"".join(client._pending).count(b"shortcut.") <= SLICE  # what went before it was noticed
    finally:
        monkeypatch.undo()
        await client.close()
