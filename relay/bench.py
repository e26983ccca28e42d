"""What this machine gives a relay: ``securechan-relay bench``.

    disk         a small write made durable: the least that an acknowledgement waits for
    store        entries of 1 KiB in the embedded store: one at a time, and many together, as they come under load
    processor    the relay's part of a device's handshake; records sealed

It works in a folder of its own on the disk of the relay's folder, and removes it. A relay that runs there is not
touched, but shares the machine: figures are those of the machine as it is now.
"""

from __future__ import annotations

import asyncio
import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from relay.bounds import Bounds
from relay.limits import Quotas
from relay.store.base import Append, NewTopic, Outcome, tail_of
from relay.store.sqlite import SqliteStore
from securechan.crypto.kem import MLKEM768_X25519
from securechan.crypto.secret import Secret
from securechan.crypto.signature import COMPOSITE
from securechan.errors import Misuse, NotFound
from securechan.wire.chain import start
from securechan.wire.door import Answered, Cookies, Door, GuestClaim
from securechan.wire.frames import TRUST_TOPIC, Entries, Entry, EntryKind, Frame, Halt
from securechan.wire.handshake import DeviceCredential, Greeting, Proving, RelayIdentity, key_id
from securechan.wire.session import Session

BODY: Final = 1024  # bytes of an entry
TOGETHER: Final = 64  # entries of a batch
SLOW_DISK: Final = 0.02  # seconds of a durable write that people notice
_TOPIC: Final = b"bench".ljust(32, b"\0")

Json = dict[str, Any]


def bench(home: Path, seconds: float) -> Json:
    """Measure for about ``seconds`` each. Raises NotFound where there is no such folder, NotReady for a full disk."""
    if not home.is_dir():
        raise NotFound(f"there is no folder {home}", hint="make one with: securechan-relay init; or name it: --home")
    with tempfile.TemporaryDirectory(dir=home, prefix=".bench-") as made:
        folder = Path(made)
        return {
            "home": str(home),
            "disk": _disk(folder, seconds),
            "store": asyncio.run(_store(folder, seconds)),
            "processor": {**_handshakes(seconds), **_records(seconds)},
        }


def _repeated(work: Callable[[], object], seconds: float) -> list[float]:
    """How long each took, sorted; seconds."""
    took: list[float] = []
    until = time.perf_counter() + seconds
    while not took or time.perf_counter() < until:
        began = time.perf_counter()
        work()
        took.append(time.perf_counter() - began)
    return sorted(took)


def _spread(took: list[float]) -> Json:
    """Median and 99th percentile, milliseconds."""
    return {"ms": round(took[len(took) // 2] * 1000, 3), "ms_p99": round(took[len(took) * 99 // 100] * 1000, 3)}


def _disk(folder: Path, seconds: float) -> Json:
    """As a log does that has its room already: the same block again and again."""
    with (folder / "durable").open("wb", buffering=0) as file:

        def write() -> None:
            os.pwrite(file.fileno(), os.urandom(4096), 0)
            os.fdatasync(file.fileno())

        write()

        return _spread(_repeated(write, seconds))


async def _store(folder: Path, seconds: float) -> Json:
    store = await SqliteStore.open(folder / "relay.db")
    now, count = int(time.time()), 0

    async def append(many: int) -> Outcome:
        nonlocal count
        body = bytes(BODY)
        batch = []
        for _ in range(many):
            count += 1
            entry_id = count.to_bytes(32, "big")
            batch.append(Append(_TOPIC, EntryKind.APPLICATION, entry_id, body, tail_of(body, None), now * 1000))
        outcomes = await store.commit(batch)
        return outcomes[-1]

    try:
        await store.commit([NewTopic(_TOPIC, bytes(32), bytes(16), now)])
        told: Json = {}
        for name, many in (("alone", 1), ("together", TOGETHER)):
            took: list[float] = []
            until = time.perf_counter() + seconds
            while not took or time.perf_counter() < until:
                began = time.perf_counter()
                await append(many)
                took.append(time.perf_counter() - began)
            told[name] = {**_spread(sorted(took)), "per_second": round(many * len(took) / sum(took))}
        return told
    finally:
        await store.close()


# ------------------------------------------------------------------------------------------------------- the processor


class _Pair:
    """A relay's door and a device that comes to it, without a socket between."""

    def __init__(self) -> None:
        self.key = MLKEM768_X25519.load(MLKEM768_X25519.generate()[0])
        private, self.public = COMPOSITE.generate()
        self.identity = RelayIdentity(bytes(48), "bench", self.key.public)
        self.door = Door(bytes(48), "bench", {key_id(self.key.public): self.key}, Cookies(Secret.random(32)))
        self.device = DeviceCredential("bench/device", COMPOSITE.load(private), self.public, start(TRUST_TOPIC))
        self.limits = Quotas().limits(Bounds().max_entry, Bounds().max_blob)

    def shake(self) -> tuple[float, Session]:
        """Seconds of the relay's part, and its session."""
        now = int(time.time())
        greeting, hello = Greeting.start(self.identity, self.device)
        began = time.process_time()
        answered = self.door.open(hello, self.limits, now_ms=now * 1000, address=b"\x7f\0\0\1")
        took = time.process_time() - began
        if not isinstance(answered, Answered):
            raise Misuse("nobody floods this door")
        proving, proof = greeting.answer(answered.reply)
        if not isinstance(proving, Proving):
            raise Misuse("nobody floods this door")
        began = time.process_time()
        claim = answered.receive(proof)
        if isinstance(claim, GuestClaim):
            raise Misuse("this is no guest")
        session, _ = claim.accept(self.public, self.limits, now)
        return took + time.process_time() - began, session


def _handshakes(seconds: float) -> Json:
    pair = _Pair()
    took: list[float] = []
    until = time.perf_counter() + seconds
    while not took or time.perf_counter() < until:
        took.append(pair.shake()[0])
    took.sort()
    return {"handshake": _spread(took)}


def _records(seconds: float) -> Json:
    _, session = _Pair().shake()
    now = int(time.time())
    entries = tuple(Entry(n, EntryKind.APPLICATION, bytes(32), 0, bytes(BODY), None) for n in range(1, TOGETHER + 1))
    chunk = Frame.of(Entries(_TOPIC, entries, Halt.TAIL)).encode()
    took = _repeated(lambda: session.seal_encoded((chunk,), now), seconds)
    return {"seal": {"bytes_per_second": round(len(chunk) * len(took) / sum(took))}}


# -------------------------------------------------------------------------------------------------------------- words


def words(told: Json) -> str:
    """For people."""
    disk, store, processor = told["disk"], told["store"], told["processor"]
    alone, together = store["alone"], store["together"]
    shake = processor["handshake"]
    sealed = f"{processor['seal']['bytes_per_second'] / 1e6:,.0f} MB a second"
    lines = [
        f"disk       durable in {_ms(disk)}   {told['home']}",
        f"store      one entry at a time in {_ms(alone)}; {together['per_second']:,} a second, {TOGETHER} together",
        f"processor  a handshake in {_ms(shake)}; records sealed at {sealed}",
    ]
    if disk["ms"] > SLOW_DISK * 1000:
        lines.append("warn       the disk is slow, and every acknowledgement waits for it: another disk, or a cache")
    return "\n".join(lines)


def _ms(spread: Json) -> str:
    return f"{spread['ms']:.2f} ms (p99 {spread['ms_p99']:.2f})"
