"""Several processes on one port: each serves, each hears what the others store, and who dies is started anew."""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import secrets
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import AsyncExitStack, suppress
from pathlib import Path
from typing import TypeVar

import pytest

from relay import running, workers
from relay.config import Settings
from securechan.errors import Conflict, Unfit
from securechan.wire.frames import Append, Appended, CreateTopic, Done, Ping, Show, Subscribe
from tests.relay.caller import Caller, call
from tests.support.cluster import Cluster
from tests.support.founding import Founded, found
from tests.support.relayproc import PATIENCE, ROOT, RelayProcess

T = TypeVar("T")


@pytest.mark.parametrize("store", ["sqlite", "memory"])
def test_a_store_of_one_process_is_not_shared(store: str) -> None:
    settings = Settings.model_validate({"store": store})
    workers.check(settings, 1)
    with pytest.raises(Unfit, match="belongs to one process") as caught:
        workers.check(settings, 2)
    assert "nats" in caught.value.hint
    with pytest.raises(Unfit, match="from 1 to"):
        workers.check(settings, 0)


def test_that_is_said_at_the_start(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "relay", "run", "--home", str(tmp_path), "--port", "0", "--workers", "2"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 11
    assert "belongs to one process" in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_each_has_its_own_port_for_those_who_watch() -> None:
    given = Settings(metrics_port=9464, port=1)
    assert [workers.of_worker(given, number, 8765).metrics_port for number in range(3)] == [9464, 9465, 9466]
    assert workers.of_worker(given, 1, 8765).port == 8765
    assert workers.of_worker(Settings(), 2, 1).metrics_port is None
    assert workers.of_worker(Settings(metrics_port=0), 2, 1).metrics_port == 0


def test_a_port_that_is_taken_is_said() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        with pytest.raises(Conflict):
            workers.hold("127.0.0.1", taken.getsockname()[1])


class Crew(RelayProcess):
    """A relay of three workers."""

    def __init__(self, home: Path, cluster: Cluster) -> None:
        environment = cluster.environment(f"w{secrets.token_hex(4)}")
        super().__init__(home, environment=environment, program=("-c", PROGRAM))

    def children(self) -> list[int]:
        """The workers' processes."""
        text = Path(f"/proc/{self.pid}/task/{self.pid}/children").read_text()
        return sorted(map(int, text.split()))


PROGRAM = "import sys; from relay.cli import main; sys.argv += ['--workers', '3']; main()"


def until(look: Callable[[], T | None]) -> T:
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        found = look()
        if found:
            return found
        time.sleep(0.02)
    raise TimeoutError


async def spread(crew: Crew, founded: Founded, stack: AsyncExitStack, device: str) -> Caller:
    """A session of a device with whichever worker it falls to."""
    return await stack.enter_async_context(call(crew.url, founded.relay, founded.credential(device)))


def test_three_share_a_port_and_a_log(tmp_path: Path, cluster: Cluster) -> None:
    with Crew(tmp_path / "home", cluster) as crew:
        first = crew.children()
        assert len(first) == 3
        founded = found(crew.card(), tuple(f"cert-hr/d{number}" for number in range(8)))
        crew.adopt(founded.bundle)
        sockets = [crew.home / name for name in ("relay.sock", "relay-1.sock", "relay-2.sock")]
        until(lambda: all(_asked(path)["ready"] for path in sockets))
        topic, secret = secrets.token_bytes(32), secrets.token_bytes(32)

        async def talk() -> None:
            async with AsyncExitStack() as stack:
                callers = [await spread(crew, founded, stack, f"cert-hr/d{number}") for number in range(8)]
                told = [_asked(path)["counts"]["sessions"] for path in sockets]
                assert sum(told) == 8
                all_told = await asyncio.to_thread(running.everyone, crew.home)
                assert all_told["counts"]["sessions"] == 8
                assert [each["sessions"] for each in all_told["each"]] == told
                assert all_told["ready"]
                assert await callers[0].ask(CreateTopic(topic, hashlib.sha256(secret).digest())) == Done()
                for caller in callers:
                    assert await caller.ask(Show(topic, secret)) == Done()
                    assert await caller.ask(Subscribe(topic, 0)) == Done()
                for number, caller in enumerate(callers):
                    entry = Append(topic, secrets.token_bytes(32), b"by %d" % number, None)
                    assert isinstance(await caller.ask(entry), Appended)
                heard = [[e.body for e in await caller.entries(topic, 8)] for caller in callers]
                assert heard == [heard[0]] * 8
                assert sorted(heard[0]) == [b"by %d" % number for number in range(8)]

        asyncio.run(talk())

        os.kill(first[0], signal.SIGKILL)
        again = until(lambda: ((found := crew.children()) and len(found) == 3 and found != first and found) or None)
        assert first[1] in again or first[2] in again
        until(lambda: all(_asked(path)["ready"] for path in sockets))
        assert running.reload(crew.home)["pid"] == crew.pid

        async def knock() -> None:
            async with AsyncExitStack() as stack:
                for number in range(8):
                    caller = await spread(crew, founded, stack, f"cert-hr/d{number}")
                    assert await caller.ask(Ping()) == Done()

        asyncio.run(knock())
        assert crew.stop() == 0
        assert "worker ended worker=0 code=-9" in crew.log
        assert "Traceback" not in crew.log
        assert not any(path.exists() for path in sockets)


def _asked(path: Path) -> dict[str, object]:
    """What a worker says of itself; not ready where none answers yet."""
    connection = running._Inside(path)
    try:
        connection.request("GET", "/status")
        return dict(json.loads(connection.getresponse().read()))
    except OSError:
        return {"ready": False}
    finally:
        connection.close()


def test_what_one_cannot_do_at_the_start_ends_all(tmp_path: Path, cluster: Cluster) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        crew = Crew(tmp_path / "home", cluster)
        crew.environment["SECURECHAN_RELAY_METRICS_PORT"] = str(port - 1)  # worker 1 has the next
        with pytest.raises(RuntimeError, match=r"cannot listen on 127.0.0.1 port \d+"):
            crew.start()


def test_one_that_hangs_is_told_and_started_anew_and_the_manager_hears_of_all(tmp_path: Path, cluster: Cluster) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(tmp_path / "n"))
        manager.settimeout(PATIENCE)
        crew = Crew(tmp_path / "home", cluster)
        crew.environment |= {"NOTIFY_SOCKET": str(tmp_path / "n"), "WATCHDOG_USEC": "8000000"}
        with crew:
            assert manager.recv(1024).endswith(f"3 workers serve at {crew.url}".encode())
            assert [manager.recv(1024) for _ in range(2)] == [b"WATCHDOG=1"] * 2
            held = crew.children()
            os.kill(held[1], signal.SIGSTOP)
            until(lambda: ((now := crew.children()) and len(now) == 3 and held[1] not in now) or None)
            assert {held[0], held[2]} <= set(crew.children())
            manager.setblocking(False)
            with suppress(BlockingIOError):  # what it had said before
                while True:
                    manager.recv(1024)
            manager.settimeout(PATIENCE)
            assert manager.recv(1024) == b"WATCHDOG=1"
            assert crew.stop() == 0
            assert "worker hangs worker=" in crew.log
            assert crew.log.count("worker ended") == 1


def test_none_outlives_the_parent(tmp_path: Path, cluster: Cluster) -> None:
    with Crew(tmp_path / "home", cluster) as crew:
        held = crew.children()
        crew.kill()
        until(lambda: not any(Path(f"/proc/{pid}").exists() for pid in held))
