"""A word to the service manager, where there is one."""

from __future__ import annotations

import os
import socket
import time
from pathlib import Path

from relay import notify


def test_the_manager_hears_each_line(tmp_path: Path) -> None:
    for address in (str(tmp_path / "n"), f"@{tmp_path.name}-securechan-notify"):
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
            manager.bind("\0" + address[1:] if address.startswith("@") else address)
            assert notify.tell(notify.READY, "STATUS=well", environment={"NOTIFY_SOCKET": address})
            assert manager.recv(1024) == b"READY=1\nSTATUS=well"


def test_where_nobody_listens_nothing_happens(tmp_path: Path) -> None:
    assert not notify.tell(notify.READY, environment={})
    assert not notify.tell(notify.READY, environment={"NOTIFY_SOCKET": str(tmp_path / "gone")})
    assert not notify.tell(notify.READY, environment={"NOTIFY_SOCKET": "vsock:2:1"})


def test_a_reload_is_told_with_its_time(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(tmp_path / "n"))
        assert notify.reloading({"NOTIFY_SOCKET": str(tmp_path / "n")})
        state, _, begun = manager.recv(1024).decode().partition("\nMONOTONIC_USEC=")
    assert state == "RELOADING=1"
    assert 0 < int(begun) <= time.monotonic_ns() // 1000


def test_a_watchdog_waits_for_this_process_or_another() -> None:
    asked = {"WATCHDOG_USEC": "60000000"}
    assert notify.watchdog(asked) == 60.0
    assert notify.watchdog(asked | {"WATCHDOG_PID": str(os.getpid())}) == 60.0
    assert notify.watchdog(asked | {"WATCHDOG_PID": "1"}) is None
    for nothing in ({}, {"WATCHDOG_USEC": "0"}, {"WATCHDOG_USEC": "-5"}, {"WATCHDOG_USEC": "soon"}):
        assert notify.watchdog(nothing) is None
