"""The relay is killed while four devices write, three times over: nothing that was acknowledged is lost, and whoever
sends again what was not gets it in exactly once."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import secrets
from pathlib import Path

from websockets.exceptions import ConnectionClosed

from securechan.wire.frames import Answer, Append, Appended, CreateTopic, Done, Ping, Show, Subscribe
from tests.relay.caller import Caller, call
from tests.support.founding import Founded, found
from tests.support.relayproc import RelayProcess

WRITERS, ROUNDS, BATCH = 4, 3, 25
TOPIC, SECRET = secrets.token_bytes(32), secrets.token_bytes(32)


class Writer:
    """A device that keeps sending until its connection is cut, and remembers what was acknowledged."""

    def __init__(self, device: str) -> None:
        self.device = device
        self.sent: dict[bytes, bytes] = {}  # id → body
        self.acknowledged: dict[bytes, int] = {}  # id → sequence

    async def work(self, relay: RelayProcess, founded: Founded, enough: asyncio.Event) -> None:
        """First what is not acknowledged, then ever more."""
        with contextlib.suppress(ConnectionClosed):
            async with call(relay.url, founded.relay, founded.credential(self.device)) as caller:
                await caller.ask(Show(TOPIC, SECRET))
                await self.send(caller, [key for key in self.sent if key not in self.acknowledged])
                while True:
                    fresh = [secrets.token_bytes(32) for _ in range(BATCH)]
                    self.sent |= {key: b"entry " + key for key in fresh}
                    await self.send(caller, fresh)
                    if len(self.acknowledged) >= 3 * BATCH:
                        enough.set()

    async def send(self, caller: Caller, keys: list[bytes]) -> None:
        if not keys:
            return
        numbers = await caller.send(*(Append(TOPIC, key, self.sent[key], None) for key in keys))
        waiting = dict(zip(numbers, keys, strict=True))
        while waiting:
            for body in await caller.hear():
                if isinstance(body, Answer) and body.number in waiting:
                    assert isinstance(body.body, Appended), body.body
                    self.acknowledged[waiting.pop(body.number)] = body.body.sequence


def test_the_relay_is_killed_under_load(tmp_path: Path) -> None:
    quotas = {f"SECURECHAN_RELAY_QUOTAS__{name}": "1000000" for name in ("APPENDS_PER_MINUTE", "REQUESTS_PER_SECOND")}
    with RelayProcess(tmp_path / "home", environment=quotas) as relay:
        founded = found(relay.card(), [f"cert-hr/d{i}" for i in range(WRITERS)])
        relay.adopt(founded.bundle)
        writers = [Writer(f"cert-hr/d{i}") for i in range(WRITERS)]
        asyncio.run(_open(relay, founded))
        for _ in range(ROUNDS):
            asyncio.run(_until_killed(relay, founded, writers))
            relay.start()
        asyncio.run(_everything_is_there(relay, founded, writers))
        assert relay.stop() == 0


async def _open(relay: RelayProcess, founded: Founded) -> None:
    async with call(relay.url, founded.relay, founded.credential("cert-hr/d0")) as caller:
        assert await caller.ask(CreateTopic(TOPIC, hashlib.sha256(SECRET).digest())) == Done()


async def _until_killed(relay: RelayProcess, founded: Founded, writers: list[Writer]) -> None:
    enough = [asyncio.Event() for _ in writers]
    tasks = [asyncio.create_task(w.work(relay, founded, e)) for w, e in zip(writers, enough, strict=True)]
    async with asyncio.timeout(60):
        await asyncio.gather(*(event.wait() for event in enough))
        relay.kill()
        await asyncio.gather(*tasks)


async def _everything_is_there(relay: RelayProcess, founded: Founded, writers: list[Writer]) -> None:
    for writer in writers:  # send again what was not acknowledged, and something that was
        async with call(relay.url, founded.relay, founded.credential(writer.device)) as caller:
            await caller.ask(Show(TOPIC, SECRET))
            key, sequence = next(iter(writer.acknowledged.items()))
            assert await caller.ask(Append(TOPIC, key, writer.sent[key], None)) == Appended(sequence)
            await writer.send(caller, [key for key in writer.sent if key not in writer.acknowledged])
    async with call(relay.url, founded.relay, founded.credential("cert-hr/d0")) as reader:
        await reader.ask(Show(TOPIC, SECRET))
        await reader.ask(Subscribe(TOPIC, 0))
        wanted = {key: sequence for writer in writers for key, sequence in writer.acknowledged.items()}
        entries = await reader.entries(TOPIC, len(wanted))
        assert await reader.ask(Ping()) == Done()
    assert {entry.entry_id: entry.sequence for entry in entries} == wanted
    assert len(entries) == len(wanted)  # each exactly once
    assert all(entry.body == b"entry " + entry.entry_id for entry in entries)
    assert [entry.sequence for entry in entries] == sorted(wanted.values())
