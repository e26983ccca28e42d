"""Other implementations to ask; and after the walks one line for each, and what each peer could not be asked for."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest

from tests.interop.process import Process
from tests.interop.sides import ABLE, command, without


@pytest.fixture
def ts_mls() -> Iterator[Process]:
    with Process(command("ts-mls")) as process:
        yield process


@pytest.fixture
def mls_rs() -> Iterator[Process]:
    with Process(command("mls-rs")) as process:
        yield process


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """The table of `make interop`: how often each act, by the peer's members + by ours."""
    walks = sorted(
        value
        for report in terminalreporter.stats.get("passed", [])
        for name, value in getattr(report, "user_properties", ())
        if name == "walk"
    )
    if not walks:
        return
    acts = [Counter[tuple[str, bool]]() for _ in walks]
    for (peer, _, _, _, counts), held in zip(walks, acts, strict=True):
        for kind, side, count in counts:
            held[kind, side == peer] += count
    kinds = sorted({kind for held in acts for kind, _ in held})
    wide = max(len(kind) for kind in kinds) + 2

    def line(name: str, cells: list[str]) -> None:
        terminalreporter.write_line(f"{name:<{wide}}" + "".join(f"{cell:>10}" for cell in cells))

    terminalreporter.section("groups mixed with other implementations: acts of theirs + of ours")
    line("", [peer for peer, *_ in walks])
    line("suite", [f"0x{suite:04x}" for _, suite, *_ in walks])
    line("seed", [str(seed) for _, _, seed, *_ in walks])
    line("steps", [str(steps) for _, _, _, steps, _ in walks])
    for kind in kinds:
        line(kind, [f"{held[kind, True]}+{held[kind, False]}" if held.total() else "" for held in acts])
    for peer in sorted({peer for peer, *_ in walks}):
        missing = without(ABLE[peer])
        what = f"has no call for: {'; '.join(missing)}" if missing else "was asked for all that a walk has"
        terminalreporter.write_line(f"{peer} {what}")
