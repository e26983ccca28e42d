"""Metrics: what Prometheus reads, and nothing that was not declared."""

from __future__ import annotations

import re

import pytest

from relay.metrics import COUNTERS, Metrics

LINE = re.compile(r'^(# (HELP|TYPE) .+|[a-z_]+(\{(kind|le|version)="[^"]*"\})? [0-9.]+)$')


def test_every_line_is_the_text_format() -> None:
    metrics = Metrics()
    metrics.count("requests", "append", 3)
    metrics.count("records_in")
    for seconds in (0.0005, 0.004, 99.0):
        metrics.handshake(seconds)
    text = metrics.render({"sessions": 2, "appends": 5, "disk_free_ratio": 0.25})
    assert text.endswith("\n")
    assert [line for line in text.splitlines() if not LINE.match(line)] == []
    assert 'securechan_requests_total{kind="append"} 3' in text
    assert "securechan_records_in_total 1" in text
    assert 'securechan_handshake_seconds_bucket{le="0.001"} 1' in text
    assert 'securechan_handshake_seconds_bucket{le="0.005"} 2' in text
    assert 'securechan_handshake_seconds_bucket{le="5.0"} 2' in text
    assert 'securechan_handshake_seconds_bucket{le="+Inf"} 3' in text
    assert "securechan_handshake_seconds_count 3" in text
    assert "securechan_sessions 2" in text
    assert "securechan_disk_free_ratio 0.25" in text
    assert "# TYPE securechan_appends_total counter\nsecurechan_appends_total 5\n" in text
    assert metrics.get("requests", "append") == 3


def test_only_declared_counters_count() -> None:
    with pytest.raises(KeyError):
        Metrics().count("invented")
    assert all(COUNTERS.values())
    with pytest.raises(KeyError):
        Metrics().render({"invented": 1})


def test_a_group_commit_is_timed_twice() -> None:
    metrics = Metrics()
    metrics.committed(0.0003, 0.3)
    text = metrics.render({})
    assert 'securechan_commit_seconds_bucket{le="0.0005"} 1' in text
    assert 'securechan_append_seconds_bucket{le="0.2"} 0' in text
    assert "securechan_append_seconds_sum 0.300000" in text
