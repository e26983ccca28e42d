"""What a process tells of itself, held against what the system tells of it."""

from __future__ import annotations

import resource
import time
from pathlib import Path

import pytest

from relay import vitals
from relay.metrics import PROCESS


def test_the_numbers_are_those_of_this_process() -> None:
    measured = vitals.Vitals()
    before = measured.measure()
    assert set(before) == set(PROCESS)
    with Path(__file__).open("rb"):
        assert measured.measure()["process_open_fds"] == before["process_open_fds"] + 1
    assert before["process_max_fds"] == resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    assert 1 << 20 < before["process_resident_memory_bytes"] <= peak + (64 << 20)
    assert 0 < before["process_cpu_seconds_total"] <= time.process_time() + 0.01
    assert before["process_start_time_seconds"] < time.time()


def test_where_the_system_tells_less_it_tells_less(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(vitals, "SELF", tmp_path)
    told = vitals.Vitals().measure()
    assert set(PROCESS) - set(told) == {"process_resident_memory_bytes", "process_open_fds"}
