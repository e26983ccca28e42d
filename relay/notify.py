"""A word to the service manager: ready, reloading, stopping, alive. Silent where none listens.

The protocol is systemd's (sd_notify): one datagram to the Unix socket that ``NOTIFY_SOCKET`` names.
"""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Mapping
from typing import Final

READY: Final = "READY=1"
RELOADING: Final = "RELOADING=1"
STOPPING: Final = "STOPPING=1"
ALIVE: Final = "WATCHDOG=1"


def tell(*state: str, environment: Mapping[str, str] = os.environ) -> bool:
    """Send the lines of ``state``; False where nobody wants to know, or the manager is gone."""
    where = environment.get("NOTIFY_SOCKET", "")
    if not where.startswith(("/", "@")):
        return False
    address = "\0" + where[1:] if where.startswith("@") else where
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as told:
        told.setblocking(False)
        try:
            told.sendto("\n".join(state).encode(), address)
        except OSError:
            return False
    return True


def reloading(environment: Mapping[str, str] = os.environ) -> bool:
    """`tell` that the configuration is read again; READY says when that is over. With the time at which it began, as
    ``Type=notify-reload`` wants it."""
    return tell(RELOADING, f"MONOTONIC_USEC={time.monotonic_ns() // 1000}", environment=environment)


def watchdog(environment: Mapping[str, str] = os.environ) -> float | None:
    """Within how many seconds the manager wants to hear `ALIVE`, again and again (``WatchdogSec=``); None where it
    doesn't, or waits for another process (sd_watchdog_enabled(3))."""
    whose, within = environment.get("WATCHDOG_PID", ""), environment.get("WATCHDOG_USEC", "")
    if whose not in ("", str(os.getpid())) or not within.isdecimal() or not int(within):
        return None
    return int(within) / 1e6
