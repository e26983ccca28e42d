"""From a desk to the last reader: ``python -m tests.bench.bench_channel``.

A bulletin of 1 KiB is published by one device of a community of N; relay and members are the product's own, the relay
in a process of its own and the members as N runtimes in this one, each with its vault file, its session and its own
MLS state. The cost is this process's CPU for the publication and all N readings together, divided by N: what one member
pays to receive, verify, store and acknowledge a bulletin. Its floor is what no member can do without: one AES-GCM open,
one MLS signature and one bulletin signature verified, one fsynced SQLite transaction. The notes give the wall clock
from the command until the last member has shown it, on a machine where all of them share the processors.

The second table is how long a user waits for ``securechan --help``: a whole process, beside the bare interpreter.
"""

from __future__ import annotations

import asyncio
import os
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from securechan.agent.events import BulletinReceived
from securechan.agent.inputs import PublishBulletin
from securechan.bulletin.tlp import Tlp
from securechan.crypto.signature import COMPOSITE
from tests.bench.harness import Row, Table, duration, run
from tests.support.stage import CAST, Live, Stage

SIZES: Final = (10, 50)
ROUNDS: Final = 5
STARTS: Final = 7
CONTENT: Final = b"TLP:GREEN\n" + b"x" * 1014


def floor(folder: Path, count: int = 50) -> float:
    """CPU seconds of what each reading must cost."""
    key, nonce = os.urandom(32), os.urandom(12)
    sealed = AESGCM(key).encrypt(nonce, CONTENT, None)
    private, public = COMPOSITE.generate()
    signature = COMPOSITE.sign(private, b"bench", CONTENT)
    disk = sqlite3.connect(folder / "floor.db", isolation_level=None)
    disk.executescript(
        "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; CREATE TABLE t (id INTEGER PRIMARY KEY, v BLOB)"
    )
    began = time.process_time()
    for _ in range(count):
        AESGCM(key).decrypt(nonce, sealed, None)
        COMPOSITE.verify(public, b"bench", CONTENT, signature)
        COMPOSITE.verify(public, b"bench", CONTENT, signature)
        disk.execute("BEGIN IMMEDIATE")
        disk.execute("INSERT INTO t (v) VALUES (?)", (sealed,))
        disk.execute("COMMIT")
    spent = (time.process_time() - began) / count
    disk.close()
    return spent


async def broadcast(stage: Stage, names: list[str]) -> tuple[float, float, float]:
    """(CPU seconds a member and bulletin, wall seconds to the last member, wall seconds to found the community)."""
    async with stage.all(*names) as devices:
        began = time.perf_counter()
        topic = await stage.found(devices[0], devices[1:])
        founded = time.perf_counter() - began
        cpu, wall = [], []
        for done in range(1, ROUNDS + 1):
            for each in devices:
                await each.idle()
            spent, began = time.process_time(), time.perf_counter()
            await devices[0].do(PublishBulletin(topic, CONTENT, "text/plain", Tlp.GREEN, f"round {done}"))
            await asyncio.gather(*(shown(each, done) for each in devices[1:]))
            wall.append(time.perf_counter() - began)
            for each in devices:
                await each.idle()
            cpu.append((time.process_time() - spent) / len(devices))
    return statistics.median(cpu), statistics.median(wall), founded


async def shown(device: Live, count: int) -> None:
    """Until the device has shown so many bulletins."""
    await device.heard(BulletinReceived, count)


def channel() -> Table:
    """Publish to the last member shown."""
    table = Table("a bulletin of 1 KiB, CPU a member")
    for size in SIZES:
        extras = tuple((f"m{n:02}", ("cert-hr", "cert-si")[n % 2]) for n in range(size - len(CAST)))
        with tempfile.TemporaryDirectory() as folder:
            least = floor(Path(folder))
            with Stage(Path(folder), extras) as stage:
                cpu, wall, founded = asyncio.run(broadcast(stage, [*CAST, *(name for name, _ in extras)]))
        note = f"last of {size} shown after {duration(wall)} wall; founded in {duration(founded)}"
        table.rows.append(Row(f"publish, receive, store, receipt: {size} members", cpu, least, note))
    return table


def start_up() -> Table:
    """Whole processes, wall clock."""

    def waited(*words: str) -> float:
        spent = []
        for _ in range(STARTS):
            began = time.perf_counter()
            subprocess.run([sys.executable, *words], check=True, capture_output=True)
            spent.append(time.perf_counter() - began)
        return statistics.median(spent)

    table = Table("start-up, wall clock")
    table.rows.append(Row("securechan --help", waited("-m", "clients.cli", "--help"), waited("-c", "pass")))
    return table


def tables() -> Iterable[Table]:
    """Both."""
    yield channel()
    yield start_up()


if __name__ == "__main__":
    run(tables())
