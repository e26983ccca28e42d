"""A word to the service manager, where there is one."""

from __future__ import annotations

import socket
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
