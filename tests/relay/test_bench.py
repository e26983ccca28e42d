"""``securechan-relay bench``: figures of this machine, and nothing left behind."""

from __future__ import annotations

from pathlib import Path

import pytest

from relay import bench
from securechan.errors import NotFound


def test_it_measures_and_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / "relay.toml").write_text("port = 1\n")
    told = bench.bench(tmp_path, 0.05)
    assert [each.name for each in tmp_path.iterdir()] == ["relay.toml"]
    for spread in (told["disk"], told["store"]["alone"], told["store"]["together"], told["processor"]["handshake"]):
        assert 0 < spread["ms"] <= spread["ms_p99"]
    assert told["store"]["together"]["per_second"] > 0
    assert told["processor"]["seal"]["bytes_per_second"] > 0
    lines = bench.words(told).splitlines()
    assert [line.split()[0] for line in lines[:3]] == ["disk", "store", "processor"]
    assert str(tmp_path) in lines[0]


def test_a_slow_disk_is_said() -> None:
    spread = {"ms": 35.0, "ms_p99": 80.0}
    told = {
        "home": "/srv/relay",
        "disk": spread,
        "store": {"alone": {**spread, "per_second": 28}, "together": {**spread, "per_second": 1800}},
        "processor": {"handshake": spread, "seal": {"bytes_per_second": 900_000_000}},
    }
    assert "warn       the disk is slow" in bench.words(told)
    assert "1,800 a second, 64 together" in bench.words(told)
    assert "900 MB a second" in bench.words(told)


def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(NotFound):
        bench.bench(tmp_path / "nowhere", 0.01)
