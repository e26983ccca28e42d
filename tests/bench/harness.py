"""How things are measured here: CPU time per operation, and a floor in the same run.

A wall clock on a shared machine measures the neighbours, so what counts is this process's CPU time (``process_time``;
operations that wait or use other processes are measured by their own benches). Machines differ, so each row may name a
*floor*: the cheapest way to do the same work, such as one raw library call, measured in turns with the operation. The
ratio of the two is what can be compared between machines and over time.

A bench is a module ``tests.bench.bench_<name>`` with ``tables() -> Iterable[Table]``; ``run(tables)`` is its main.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, field

Act = Callable[[], object]


@dataclass(frozen=True, slots=True)
class Row:
    """One operation: CPU seconds (median over the repeats), and those of its floor."""

    name: str
    seconds: float
    floor: float | None = None
    note: str = ""

    @property
    def ratio(self) -> float | None:
        return self.seconds / self.floor if self.floor else None


@dataclass(slots=True)
class Table:
    """Rows under one title, measured as they are added."""

    title: str
    repeats: int = 7
    budget: float = 0.02
    rows: list[Row] = field(default_factory=list)

    def row(self, name: str, act: Act, *, floor: Act | None = None, note: str = "") -> Row:
        """Measures ``act`` (and ``floor``, in turns): ``repeats`` runs of about ``budget`` CPU seconds each."""
        count, floor_count = _calibrate(act, self.budget), floor and _calibrate(floor, self.budget)
        mine, floors = [], []
        for _ in range(self.repeats):
            mine.append(_time(act, count))
            if floor is not None and floor_count:
                floors.append(_time(floor, floor_count))
        made = Row(name, statistics.median(mine), statistics.median(floors) if floors else None, note)
        self.rows.append(made)
        return made

    def __str__(self) -> str:
        width = max([len(self.title), *(len(row.name) for row in self.rows)]) + 2
        lines = [f"{self.title:<{width}}{'CPU/op':>12}{'floor':>12}{'ratio':>8}"]
        for row in self.rows:
            floor = duration(row.floor) if row.floor is not None else ""
            ratio = f"{row.ratio:.2f}" if row.ratio is not None else ""
            line = f"{row.name:<{width}}{duration(row.seconds):>12}{floor:>12}{ratio:>8}  {row.note}"
            lines.append(line.rstrip())
        return "\n".join(lines)


def duration(seconds: float) -> str:
    """Three significant digits in the unit that fits: ``812 ns``, ``1.53 µs``, ``26.2 ms``, ``1.20 s``."""
    for unit, size in (("s", 1.0), ("ms", 1e-3), ("µs", 1e-6), ("ns", 1e-9)):
        if seconds >= size * 0.9995 or unit == "ns":
            value = seconds / size
            return f"{value:.{2 if value < 9.995 else 1 if value < 99.95 else 0}f} {unit}"
    raise AssertionError


def run(tables: Iterable[Table], argv: list[str] | None = None) -> None:
    """Prints tables as they come; ``--json`` prints one object with all of them instead."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--json", action="store_true", help="one JSON object on stdout, times in seconds")
    as_json = parser.parse_args(argv).json
    measured: dict[str, list[dict[str, object]]] = {}
    for table in tables:
        measured[table.title] = [{**asdict(row), "ratio": row.ratio} for row in table.rows]
        if not as_json:
            print(table, end="\n\n", flush=True)
    if as_json:
        json.dump(measured, sys.stdout, indent=1)
        print()


def _time(act: Act, count: int) -> float:
    start = time.process_time()
    for _ in range(count):
        act()
    return (time.process_time() - start) / count


def _calibrate(act: Act, budget: float) -> int:
    """How often ``act`` fits into the budget; also warms it up."""
    act()
    count = 1
    while (spent := _time(act, count) * count) < budget / 4:
        count *= 2 if spent < budget / 64 else 4
    return max(1, round(count * budget / spent))
