"""A crowded relay, and one under attack: ``make bench B=load`` (``SCALE=0.1`` for a tenth of it).

One relay process on loopback, over the store that ``STORE`` names (`tests.bench.ground`). CPU is the relay's, per
session or per stranger. Ratios compare the p95 of an honest session's appends, one after another, during with before,
in one run on one machine; a wall clock on a shared machine shows its neighbours too.
"""

from __future__ import annotations

import asyncio
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from tests.bench import load
from tests.bench.crowd import Crowd
from tests.bench.ground import Ground, standing
from tests.bench.harness import Row, Table, run

SCALE: Final = float(os.environ.get("SCALE", "1"))
IDLE: Final = int(5000 * SCALE)
ACTIVE: Final = int(1000 * SCALE)
CUT: Final = int(1000 * SCALE)
SECONDS: Final = 10 * max(SCALE, 0.2)


def quotas(**values: object) -> dict[str, str]:
    return {f"SECURECHAN_RELAY_QUOTAS__{name.upper()}": str(value) for name, value in values.items()}


def tables() -> Iterator[Table]:
    with standing() as ground:
        yield from measured(ground)


def measured(ground: Ground) -> Iterator[Table]:
    if not load.more_files(IDLE + ACTIVE + 500):
        raise SystemExit("error: too few open files are allowed\nhint: ulimit -n 8192, or SCALE=0.1")
    for title, what in (("a crowded relay", crowds), ("a relay under attack", attacks)):
        table = Table(f"{title}, 1 KiB, {ground.mode}")
        with tempfile.TemporaryDirectory() as folder:
            asyncio.run(what(table.rows, Path(folder), ground))
        yield table


async def crowds(rows: list[Row], folder: Path, ground: Ground) -> None:
    with Crowd(folder / "crowd", ACTIVE + 1, ground.environment()) as crowd:
        await crowd.admit()
        crowded = await load.idle_and_active(crowd, IDLE, ACTIVE, messages=50)
        p50, p99 = (load.percentile(crowded.lasts[1:], part) * 1e3 for part in (0.5, 0.99))
        rows.append(Row(f"{IDLE} idle: CPU a second", crowded.idle_cpu, None, f"{crowded.each / 1024:.1f} KiB each"))
        note = f"ten messages a second; wall p50 {p50:.0f} ms, p99 {p99:.0f} ms"
        rows.append(Row(f"{ACTIVE} active beside them: the last has it", p50 / 1e3, None, note))
    with Crowd(folder / "storm", 2, quotas(half_open=256, half_open_per_address=256) | ground.environment()) as crowd:
        storm = await load.reconnect(crowd, CUT)
        note = f"all back after {storm.seconds:.1f} s wall, {storm.put_off} times told to wait"
        rows.append(Row(f"{CUT} cut off at once and back", storm.each, None, note))


async def attacks(rows: list[Row], folder: Path, ground: Ground) -> None:
    with Crowd(folder / "flood", 2, quotas(appends_per_minute=1200) | ground.environment()) as crowd:
        flood = await load.one_floods(crowd, SECONDS)
        note = f"p95 of others × {flood.during.p95 / flood.before.p95:.2f}; granted {flood.granted:,}, refused"
        rows.append(Row("one device floods", flood.during.p95, flood.before.p95, f"{note} {flood.refused:,}"))
    for kinds, name in ((load.STRANGERS, "strangers of all kinds"), (("bad tag",), "bogus handshakes")):
        tight = quotas(half_open=256, half_open_per_address=64, handshake_timeout=2)
        with Crowd(folder / name, 2, tight | ground.environment()) as crowd:
            siege = await load.siege(crowd, SECONDS, kinds)
            note = f"{siege.strangers:,} came, {siege.cpu * 1e6:.0f} µs CPU each; grew {siege.grown / 2**20:.1f} MiB"
            rows.append(Row(f"p95 of a session beside {name}", siege.during.p95, siege.before.p95, note))


if __name__ == "__main__":
    run(tables())
