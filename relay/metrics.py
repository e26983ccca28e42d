"""Numbers of a running relay: counters in memory, told as Prometheus text. There are no identities in them.

Every counter that can ever appear is declared here with its help line, so that the list can be read in one place.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Mapping
from typing import Final

COUNTERS: Final[dict[str, str]] = {
    "handshakes": "handshakes by outcome",
    "sessions_opened": "sessions opened, by kind",
    "sessions_ended": "sessions ended, by reason",
    "requests": "requests, by kind",
    "requests_refused": "requests refused for quota, by kind",
    "records_in": "records received",
    "records_out": "records sent",
    "bytes_in": "bytes of records received",
    "bytes_out": "bytes of records sent",
    "frames_out": "frames sent",
    "http": "plain HTTP requests, by path and status",
    "connections_refused": "connections refused at the door",
}
BUCKETS: Final = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0)  # seconds


class Metrics:
    """Counters, and how long handshakes take."""

    def __init__(self) -> None:
        self._counts: Counter[tuple[str, str]] = Counter()
        self._handshakes = [0] * (len(BUCKETS) + 1)
        self._handshake_seconds = 0.0

    def count(self, name: str, label: str = "", amount: int = 1) -> None:
        """Add to a counter of `COUNTERS` (KeyError for another)."""
        if name not in COUNTERS:
            raise KeyError(name)
        self._counts[name, label] += amount

    def handshake(self, seconds: float) -> None:
        """One handshake took this long."""
        self._handshakes[bisect_left(BUCKETS, seconds)] += 1
        self._handshake_seconds += seconds

    def get(self, name: str, label: str = "") -> int:
        return self._counts[name, label]

    def render(self, gauges: Mapping[str, int]) -> str:
        """Prometheus text format 0.0.4; ``gauges`` are what the mailroom counts."""
        lines: list[str] = []
        for name, told in COUNTERS.items():
            lines += [f"# HELP securechan_{name}_total {told}", f"# TYPE securechan_{name}_total counter"]
            for (kind, label), value in sorted(self._counts.items()):
                if kind == name:
                    labels = f'{{kind="{label}"}}' if label else ""
                    lines.append(f"securechan_{name}_total{labels} {value}")
        lines += [
            "# HELP securechan_handshake_seconds time of a handshake",
            "# TYPE securechan_handshake_seconds histogram",
        ]
        running = 0
        for bound, count in zip((*map(str, BUCKETS), "+Inf"), self._handshakes, strict=True):
            running += count
            lines.append(f'securechan_handshake_seconds_bucket{{le="{bound}"}} {running}')
        lines += [
            f"securechan_handshake_seconds_sum {self._handshake_seconds:.6f}",
            f"securechan_handshake_seconds_count {running}",
        ]
        for name, value in sorted(gauges.items()):
            lines += [f"# TYPE securechan_{name} gauge", f"securechan_{name} {value}"]
        return "\n".join(lines) + "\n"
