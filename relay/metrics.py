"""Numbers of a running relay, told as Prometheus text: how much, how long, how many now. There are no identities in
them, no addresses and no topics.

Everything that can ever appear is declared here with its help line, so that the list can be read in one place.
"""

from __future__ import annotations

from bisect import bisect_left
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
    "reloads": "times that the configuration was read again, by outcome",
}
TALLIES: Final[dict[str, str]] = {
    "appends": "entries stored",
    "pushed": "entries pushed to members",
    "caught_up": "entries sent to members that lagged",
    "batches": "group commits",
    "writes": "writes of all group commits",
    "commit_failures": "group commits that could not be made durable",
    "refused_full": "requests refused because the disk is nearly full",
    "head_signatures": "signatures over heads",
    "store_unreadable": "things in the store that no relay writes, passed over",
}
"""Counted by the mailroom: what only grows. All else that it tells is how much there is now."""
GAUGES: Final[dict[str, str]] = {
    "sessions": "sessions now",
    "half_open": "handshakes under way now",
    "topics_open": "topics held in memory",
    "subscriptions": "topics that sessions read",
    "store_bytes": "bytes in the store",
    "disk_free_ratio": "part of the disk that is free",
    "uptime_seconds": "seconds since the start",
    "trust_position": "newest entry of the trust topic; 0 without a federation",
    "trust_expires_seconds": "seconds until the first trust document expires",
    "tls_expires_seconds": "seconds until the TLS certificate expires",
}
PROCESS: Final[dict[str, tuple[str, str]]] = {
    "process_start_time_seconds": ("gauge", "when the process began, Unix seconds"),
    "process_cpu_seconds_total": ("counter", "seconds of processor time, user and system"),
    "process_resident_memory_bytes": ("gauge", "bytes of memory that are resident"),
    "process_open_fds": ("gauge", "open files"),
    "process_max_fds": ("gauge", "open files that it may have"),
}
"""Kind and help of what `relay.vitals` measures; names as Prometheus' own clients have them, without prefix."""
SHARED: Final = frozenset(
    {
        "store_bytes",
        "disk_free_ratio",
        "uptime_seconds",
        "trust_position",
        "trust_expires_seconds",
        "tls_expires_seconds",
        "process_start_time_seconds",
        "process_max_fds",
    }
)
"""What several workers don't have a part of each: one's number is all of them's, and a sum would be none."""
HISTOGRAMS: Final[dict[str, str]] = {
    "handshake_seconds": "time of a handshake",
    "commit_seconds": "time that the store took for a group commit",
    "append_seconds": "time from a group commit's first write to its acknowledgement",
}
BUCKETS: Final = (0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0)  # seconds


_RECORDS: Final = ("records_out", "")
_FRAMES: Final = ("frames_out", "")
_BYTES: Final = ("bytes_out", "")


class Histogram:
    """How often something took how long."""

    def __init__(self) -> None:
        self._counts = [0] * (len(BUCKETS) + 1)
        self._sum = 0.0

    def observe(self, seconds: float) -> None:
        """It took this long once."""
        self._counts[bisect_left(BUCKETS, seconds)] += 1
        self._sum += seconds

    def lines(self, name: str) -> list[str]:
        """As Prometheus reads it: each bucket counts those before it too."""
        running, lines = 0, []
        for bound, count in zip((*map(str, BUCKETS), "+Inf"), self._counts, strict=True):
            running += count
            lines.append(f'{name}_bucket{{le="{bound}"}} {running}')
        return [*lines, f"{name}_sum {self._sum:.6f}", f"{name}_count {running}"]


class Metrics:
    """Counters and durations."""

    def __init__(self) -> None:
        self.version = ""
        self._counts: dict[tuple[str, str], int] = {_RECORDS: 0, _FRAMES: 0, _BYTES: 0}
        self._times = {name: Histogram() for name in HISTOGRAMS}

    def count(self, name: str, label: str = "", amount: int = 1) -> None:
        """Add to a counter of `COUNTERS` (KeyError for another)."""
        try:
            self._counts[name, label] += amount
        except KeyError:
            if name not in COUNTERS:
                raise
            self._counts[name, label] = amount

    def sent(self, frames: int, size: int) -> None:
        """One record of so many frames and bytes left."""
        counts = self._counts
        counts[_RECORDS] += 1
        counts[_FRAMES] += frames
        counts[_BYTES] += size

    def handshake(self, seconds: float) -> None:
        """One handshake took this long."""
        self._times["handshake_seconds"].observe(seconds)

    def committed(self, store: float, waited: float) -> None:
        """One group commit: how long the store took, and how long its first write waited in all."""
        self._times["commit_seconds"].observe(store)
        self._times["append_seconds"].observe(waited)

    def get(self, name: str, label: str = "") -> int:
        return self._counts.get((name, label), 0)

    def render(self, now: Mapping[str, float]) -> str:
        """Prometheus text format 0.0.4. ``now``: values of `GAUGES`, `TALLIES`, `PROCESS` (KeyError for another)."""
        lines = _head("build_info", "which version runs", "gauge")
        lines.append(f'securechan_build_info{{version="{self.version}"}} 1')
        for name, told in COUNTERS.items():
            lines += _head(f"{name}_total", told, "counter")
            for (kind, label), value in sorted(self._counts.items()):
                if kind == name:
                    labels = f'{{kind="{label}"}}' if label else ""
                    lines.append(f"securechan_{name}_total{labels} {value}")
        for name, told in HISTOGRAMS.items():
            lines += [*_head(name, told, "histogram"), *self._times[name].lines(f"securechan_{name}")]
        for name, amount in sorted(now.items()):
            if name in PROCESS:
                kind, told = PROCESS[name]
                lines += [f"# HELP {name} {told}", f"# TYPE {name} {kind}", f"{name} {amount}"]
            elif name in TALLIES:
                lines += [*_head(f"{name}_total", TALLIES[name], "counter"), f"securechan_{name}_total {amount}"]
            else:
                lines += [*_head(name, GAUGES[name], "gauge"), f"securechan_{name} {amount}"]
        return "\n".join(lines) + "\n"


def _head(name: str, told: str, kind: str) -> list[str]:
    return [f"# HELP securechan_{name} {told}", f"# TYPE securechan_{name} {kind}"]
