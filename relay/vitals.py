"""What the process itself is: which version it runs, since when, and what it has of memory, files and time.

The version is asked for once, when the process begins: after an upgrade the environment holds another than the one that
runs. Numbers have the names that Prometheus' own clients give them. What the system doesn't tell (anything but Linux
has no ``/proc``) is left out.
"""

from __future__ import annotations

import os
import resource
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Final

SELF: Final = Path("/proc/self")
_RESIDENT: Final = 1  # in statm, pages
_BEGUN: Final = 19  # in stat behind the name, ticks since the machine's start (proc(5), field 22)


def installed() -> str:
    """Which version is installed."""
    from importlib.metadata import PackageNotFoundError, version  # noqa: PLC0415 - only who asks waits for it

    try:
        return version("securechan")
    except PackageNotFoundError:
        return "0"


class Vitals:
    """Of the process that makes it."""

    def __init__(self) -> None:
        self.version = installed()
        self._started = _started()

    def measure(self) -> dict[str, float]:
        """The numbers of `relay.metrics.PROCESS` that the system tells."""
        return dict(self._told())

    def _told(self) -> Iterator[tuple[str, float]]:
        yield "process_start_time_seconds", self._started
        yield "process_cpu_seconds_total", round(time.process_time(), 2)
        most = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
        if most != resource.RLIM_INFINITY:
            yield "process_max_fds", most
        with suppress(OSError):
            pages = int((SELF / "statm").read_text().split()[_RESIDENT])
            yield "process_resident_memory_bytes", pages * resource.getpagesize()
        with suppress(OSError):
            yield "process_open_fds", sum(1 for _ in (SELF / "fd").iterdir()) - 1  # but for the one that lists them


def _started() -> float:
    """When the process began, in Unix seconds."""
    try:
        words = (SELF / "stat").read_text().rpartition(")")[2].split()
    except OSError:
        return round(time.time(), 2)
    age = time.clock_gettime(time.CLOCK_BOOTTIME) - int(words[_BEGUN]) / os.sysconf("SC_CLK_TCK")
    return round(time.time() - age, 2)
