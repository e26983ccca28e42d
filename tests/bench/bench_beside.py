"""The relay and what a user might pick instead, in one run on one machine: ``make bench B=beside``.

``PEERS`` names the folder of the peers' drivers (beside this repository: ../shared/peers), ``PEERS_HOME`` where their
programs are: three virtual environments that the README there lists; servers are Debian's. Who has no driver or no
program here is named and left out. ``ROUNDS=2``: all take turns, each time on a fresh server and folder, and a figure
is the median of the rounds; ``SECS=2``: seconds of throughput in each.

Figures are per core: 1 / CPU of the server's processes per message acknowledged, per delivery, per connection. They
hold on a machine that others use; milliseconds do so badly, which is why the cores that others took stand beside them.
"""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from tests.bench.peer_relay import folder

ROUNDS: Final = int(os.environ.get("ROUNDS", "2"))
SECS: Final = os.environ.get("SECS", "2")
ONLY: Final = os.environ.get("ONLY", "")
HOME: Final = Path(os.environ.get("PEERS_HOME", Path.home() / "peers"))
LIMIT: Final = 60  # seconds for one question
WHOLE: Final = "a1,a8,b10,b200,b1000,c,e,d1000"


@dataclass(frozen=True, slots=True)
class Peer:
    """One row: who, what an acknowledgement means there, who asks it what, and the program without which it can't."""

    title: str
    mode: str
    driver: str
    variant: str
    work: str = WHOLE
    program: str = ""
    slow: bool = False  # one round says enough


RELAY: Final = "peer_relay"
PEERS: Final = (
    Peer("**this relay**", "SQLite `synchronous=FULL`: fsync before every acknowledgement", RELAY, "sqlite"),
    Peer("**this relay** over NATS R3", "`sync_interval: always`", RELAY, "nats-r3-always", "a1,a8,b10,b200,c"),
    Peer("**this relay** over NATS R3", "2 min, the default: page cache of two", RELAY, "nats-r3", "a1,a8,b10,b200,c"),
    Peer("Redis streams", "`appendfsync always`", "peer_redis.py", "always", program="redis-server"),
    Peer("Redis streams", "`everysec`: acknowledged before the disk", "peer_redis.py", "everysec", "a8,b200,c"),
    Peer("NATS JetStream R1", "`sync_interval: always`", "peer_nats.py", "2.14.0-r1-always", "a1,a8,b10,b200"),
    Peer("NATS JetStream R1", "default: page cache", "peer_nats.py", "2.14.0-r1", WHOLE),
    Peer(
        "NATS JetStream R1, cursor at the client", "default: page cache", "peer_nats.py", "2.14.0-r1-eph", "b10,b200,c"
    ),
    Peer("NATS JetStream R3", "default: page cache", "peer_nats.py", "2.14.0-r3", "a1,a8,b10,b200"),
    Peer("Mosquitto, QoS 1", "none: acknowledged before the disk", "peer_mqtt.py", "save1", program="mosquitto"),
    Peer("plain websockets", "none: no storage, no encryption", "peer_ws.py", "raw", "a1,a8,b10,b200,b1000,e,d1000"),
    Peer("Prosody MUC + MAM", "SQLite archive", "peer_xmpp.py", "muc", "a1,a8,b10,b200,c,e", "prosody", slow=True),
    Peer("Synapse", "SQLite", "peer_matrix.py", "sqlite", "a1,a8,b10,c,e", "vsyn", slow=True),
    Peer("TAXII, medallion", "none: in memory", "peer_taxii.py", "memory", "b10,a1,a8,e", "vtax", slow=True),
)


def missing(peer: Peer) -> str:
    """Why it can't be asked here; empty where it can."""
    if peer.driver == RELAY:
        return "" if importlib.util.find_spec("uvloop") else "there is no uvloop: pip install 'securechan[fast]'"
    if not (folder() / peer.driver).exists():
        return f"there is no {peer.driver} in {folder()}"
    if not (HOME / "vb/bin/python").exists():
        return f"there is no virtual environment {HOME / 'vb'}"
    if peer.program.startswith("v"):
        return "" if (HOME / peer.program).exists() else f"there is no virtual environment {HOME / peer.program}"
    there = not peer.program or shutil.which(peer.program, path=f"{os.environ.get('PATH', '')}:/usr/sbin")
    return "" if there else f"there is no {peer.program}: apt install {peer.program}"


def ask(peer: Peer, number: int, out: Path) -> None:
    """One round of one peer; what it says goes into ``out``."""
    what = ["--variant", peer.variant, "--work", peer.work, "--secs", SECS, "--gentle", "2", "--limit", str(LIMIT)]
    what += ["--run", str(number), "--out", str(out)]
    environment = os.environ | {"PEERS_HOME": str(HOME), "PEERS": str(folder())}
    if peer.driver == RELAY:
        command = [sys.executable, "-m", "tests.bench.peer_relay", *what]
    else:
        command = [str(HOME / "vb/bin/python"), str(folder() / peer.driver), *what]
        environment.pop("PYTHONPATH", None)
    try:
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=400, check=False)
        trouble = done.stderr[-300:] if done.returncode else ""
    except subprocess.TimeoutExpired:
        trouble = "it came to no end"
    print(
        f"  {datetime.now(UTC):%H:%M:%S} round {number} {peer.driver} {peer.variant} {trouble}",
        file=sys.stderr,
        flush=True,
    )


class Figures:
    """Medians over rounds of what was said."""

    def __init__(self, out: Path) -> None:
        self._said: dict[tuple[str, str, str], list[dict[str, Any]]] = defaultdict(list)
        for line in out.read_text().splitlines() if out.exists() else ():
            row = json.loads(line)
            self._said[row["peer"], row["variant"], row["work"]].append(row)

    def of(self, name: str, peer: Peer, work: str, key: str) -> float | None:
        found = [row[key] for row in self._said[name, peer.variant, work] if row.get(key)]
        return statistics.median(found) if found else None

    def trouble(self, name: str, peer: Peer) -> Iterator[str]:
        for work in peer.work.split(","):
            for row in self._said[name, peer.variant, work]:
                why = row.get("error") or row.get("skipped")
                lost = row.get("gentle_lost", 0) + row.get("thr_lost", 0) + row.get("unacked", 0)
                if why or lost:
                    yield f"{peer.title}, {peer.variant}: {work}: {why or f'{lost} lost'}"


def per_core(micros: float | None) -> str:
    if not micros:
        return "–"
    rate = 1e6 / micros
    return f"{rate:,.0f}" if rate < 1000 else f"{float(f'{rate:.3g}'):,.0f}"


NAMES: Final = {
    "peer_relay": "relay",
    "peer_redis.py": "redis",
    "peer_nats.py": "nats",
    "peer_mqtt.py": "mosquitto",
    "peer_ws.py": "ws",
    "peer_xmpp.py": "prosody",
    "peer_matrix.py": "synapse",
    "peer_taxii.py": "taxii-medallion",
}
HEAD: Final = (
    "sync mode",
    "8 publishers /s",
    "fan-out 10 /s",
    "200 /s",
    "1,000 /s",
    "catch-up /s",
    "connect, CPU",
    "KiB per idle member",
    "one at a time, p50",
    "last of 200, p50",
    "others took",
)


def cells(figures: Figures, peer: Peer) -> list[str]:
    """One row of the table."""

    def told(work: str, key: str) -> float | None:
        return figures.of(NAMES[peer.driver], peer, work, key)

    def ms(value: float | None) -> str:
        return f"{value:,.{0 if value >= 10 else 2}f} ms" if value else "–"

    connect, idle = told("e", "cpu_us"), told("d1000", "kib_per")
    noise = [each for work in peer.work.split(",") if (each := told(work, "other_cores")) is not None]
    return [
        peer.title,
        peer.mode,
        *(per_core(told(work, "cpu_us")) for work in ("a8", "b10", "b200", "b1000", "c")),
        (f"{connect:,.0f} µs" if connect < 1000 else f"{connect / 1000:.2f} ms") if connect else "–",
        f"{idle:.1f}" if idle else "–",
        ms(told("a1", "p50_ms")),
        ms(told("b200", "last_p50_ms")),
        f"{statistics.median(noise):.1f} cores" if noise else "–",
    ]


def main() -> None:
    absent = {peer: why for peer in PEERS if (why := missing(peer))}
    there = [peer for peer in PEERS if peer not in absent and ONLY in f"{peer.driver} {peer.variant}"]
    for peer, why in absent.items():
        print(f"left out: {peer.title} ({peer.variant}): {why}", file=sys.stderr)
    if all(peer.driver == RELAY for peer in there):
        print("nobody is there to be measured beside", file=sys.stderr)
        return
    with tempfile.TemporaryDirectory() as scratch:
        out = Path(os.environ.get("OUT", f"{scratch}/said.jsonl"))
        for number in range(1, ROUNDS + 1):
            for peer in there:
                if number == 1 or not peer.slow:
                    ask(peer, number, out)
        figures = Figures(out)
    print(f"{datetime.now(UTC):%Y-%m-%d}, {ROUNDS} rounds, 1 KiB, per core\n")
    print(f"| | {' | '.join(HEAD)} |\n|{'---|' * (len(HEAD) + 1)}")
    for peer in there:
        print(f"| {' | '.join(cells(figures, peer))} |")
    for peer in there:
        for line in figures.trouble(NAMES[peer.driver], peer):
            print(f"\n{line}")


if __name__ == "__main__":
    main()
