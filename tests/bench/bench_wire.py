"""What a handshake and a record cost: ``python -m tests.bench.bench_wire``. The floor of a record is AES-GCM alone."""

from __future__ import annotations

from collections.abc import Iterator

from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from securechan.wire.frames import Entries, Entry, EntryKind, Frame, Halt
from tests.bench.harness import Table, run
from tests.wire.flows import DEVICE, GUEST, NOW, connect

TOPIC = bytes(32)


def tables() -> Iterator[Table]:
    yield handshakes()
    yield records()


def handshakes() -> Table:
    table = Table("handshake, client's and relay's part together")
    table.row("a device's", lambda: connect(credential=DEVICE))
    table.row("a guest's", lambda: connect(credential=GUEST), note="no signature")
    return table


def records() -> Table:
    table = Table("records of one frame of entries")
    kept, nonce = AESGCM(bytes(32)), bytes(12)
    for count, size in ((1, 1024), (100, 1024)):
        entries = tuple(Entry(n, EntryKind.APPLICATION, bytes(32), 0, bytes(size), None) for n in range(1, count + 1))
        chunk = Frame.of(Entries(TOPIC, entries, Halt.TAIL)).encode()
        client, relay = connect()
        padded = bytes(len(relay.seal_encoded((chunk,), NOW)) - 16)
        client, relay = connect()
        table.row(
            f"seal {count} × {size:,} bytes, encoded before",
            lambda relay=relay, chunk=chunk: relay.seal_encoded((chunk,), NOW),
            floor=lambda padded=padded: kept.encrypt(nonce, padded, None),
        )
        client, relay = connect()
        table.row(
            "… and open and parse them",
            lambda client=client, relay=relay, chunk=chunk: client.open(relay.seal_encoded((chunk,), NOW), NOW),
        )
    return table


if __name__ == "__main__":
    run(tables())
