"""Metrics: what Prometheus reads, and nothing that was not declared."""

from __future__ import annotations

import re

import pytest

from relay.metrics import COUNTERS, Metrics

LINE = re.compile(r'^(# (HELP|TYPE) .+|[a-z_]+(\{(kind|le)="[^"]*"\})? [0-9.]+)$')


def test_every_line_is_the_text_format() -> None:
    metrics = Metrics()
    metrics.count("requests", "append", 3)
    metrics.count("records_in")
    for seconds in (0.0005, 0.004, 99.0):
        metrics.handshake(seconds)
    text = metrics.render({"sessions": 2})
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
    assert metrics.get("requests", "append") == 3


def test_only_declared_counters_count() -> None:
    with pytest.raises(KeyError):
        Metrics().count("invented")
    assert all(COUNTERS.values())
