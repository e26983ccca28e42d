"""A stage for each story; and coroutines as stories."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.stage import Stage

LONGEST = 250  # seconds: less than pytest's own limit, so that a story that hangs says where


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> bool | None:
    """Run a story that is a coroutine function on an event loop of its own, within a limit."""
    if not inspect.iscoroutinefunction(pyfuncitem.obj):
        return None
    wanted = inspect.signature(pyfuncitem.obj).parameters

    async def bounded() -> None:
        async with asyncio.timeout(LONGEST):
            await pyfuncitem.obj(**{name: pyfuncitem.funcargs[name] for name in wanted})

    asyncio.run(bounded())
    return True


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    """A relay that serves a federation, and the cast."""
    with Stage(tmp_path) as made:
        yield made
