"""One relay process and one federation for all tests of the relay's network side; and coroutines as tests."""

from __future__ import annotations

import asyncio
import http.client
import inspect
import re
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from tests.support.founding import Founded, found
from tests.support.relayproc import RelayProcess


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> bool | None:
    """Run a test that is a coroutine function on an event loop of its own, for at most a minute."""
    if not inspect.iscoroutinefunction(pyfuncitem.obj):
        return None
    wanted = inspect.signature(pyfuncitem.obj).parameters

    async def bounded() -> None:
        async with asyncio.timeout(60):
            await pyfuncitem.obj(**{name: pyfuncitem.funcargs[name] for name in wanted})

    asyncio.run(bounded())
    return True


@dataclass(frozen=True)
class Running:
    """A relay that serves a federation of cert-hr/a, cert-hr/b and cert-si/c."""

    process: RelayProcess
    founded: Founded

    @property
    def url(self) -> str:
        return self.process.url

    def metrics(self) -> str:
        """The text that Prometheus reads."""
        port = re.search(r"metrics port=(\d+)", self.process.log)
        assert port is not None
        connection = http.client.HTTPConnection("127.0.0.1", int(port.group(1)), timeout=20)
        connection.request("GET", "/metrics")
        text = connection.getresponse().read().decode()
        connection.close()
        return text


@pytest.fixture(scope="session")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    home = tmp_path_factory.mktemp("relay")
    environment = {
        "SECURECHAN_RELAY_METRICS_PORT": "0",
        "SECURECHAN_RELAY_QUOTAS__HANDSHAKE_TIMEOUT": "3",
        "SECURECHAN_RELAY_QUOTAS__HALF_OPEN": "24",
        "SECURECHAN_RELAY_QUOTAS__HANDSHAKES_PER_MINUTE": "6000",
        "SECURECHAN_RELAY_QUOTAS__IN_FLIGHT": "8",
        "SECURECHAN_RELAY_QUOTAS__STALL": "1",
    }
    with RelayProcess(home, environment=environment) as process:
        founded = found(process.card(), ("cert-hr/a", "cert-hr/b", "cert-si/c"))
        process.adopt(founded.bundle)
        yield Running(process, founded)
