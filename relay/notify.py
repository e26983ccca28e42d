"""A word to the service manager: ready, reloading, stopping. Silent where none listens.

The protocol is systemd's (sd_notify): one datagram to the Unix socket that ``NOTIFY_SOCKET`` names.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping
from typing import Final

READY: Final = "READY=1"
RELOADING: Final = "RELOADING=1"
STOPPING: Final = "STOPPING=1"


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
