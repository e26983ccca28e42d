"""The harness measures, compares and prints; it asserts nothing about how fast anything is."""

from __future__ import annotations

import json

import pytest

from tests.bench.harness import Row, Table, duration, run


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (8.124e-7, "812 ns"),
        (1.534e-6, "1.53 µs"),
        (0.0262, "26.2 ms"),
        (1.2, "1.20 s"),
        (9.996e-7, "1.00 µs"),
        (0.0, "0.00 ns"),
    ],
)
def test_durations_have_three_digits(seconds: float, text: str) -> None:
    assert duration(seconds) == text


def test_a_table_measures_and_compares() -> None:
    table = Table("sums", repeats=3, budget=0.0005)
    row = table.row("twice", lambda: sum(range(2000)), floor=lambda: sum(range(1000)))
    assert row.seconds > 0
    assert row.floor is not None
    assert row.ratio == row.seconds / row.floor
    assert table.row("alone", lambda: None).ratio is None


def test_it_prints_a_table_or_json(capsys: pytest.CaptureFixture[str]) -> None:
    table = Table("sums", rows=[Row("twice", 2e-6, 1e-6, "a note"), Row("alone", 1e-3)])
    run([table], [])
    lines = capsys.readouterr().out.splitlines()
    assert [line.split() for line in lines[:3]] == [
        ["sums", "CPU/op", "floor", "ratio"],
        ["twice", "2.00", "µs", "1.00", "µs", "2.00", "a", "note"],
        ["alone", "1.00", "ms"],
    ]
    run([table], ["--json"])
    assert json.loads(capsys.readouterr().out)["sums"][0]["ratio"] == 2
