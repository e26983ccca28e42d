"""clients/cli/plans.py: rules as they are typed, and as they stand. What each verb plans is in test_root.py."""

from __future__ import annotations

import pytest
import typer

from clients.cli.plans import _count, _pairs, _policy_words
from securechan.trust.records import Policy


def test_names_and_values() -> None:
    assert _pairs(None) == []
    assert _pairs(["roster=30d", "targets=90d"]) == [("roster", "30d"), ("targets", "90d")]
    for wrong in ("roster", "roster=", "=30d"):
        with pytest.raises(typer.BadParameter):
            _pairs([wrong])


def test_a_number_is_one() -> None:
    assert _count("2") == 2
    for wrong in ("", "two", "-1"):
        with pytest.raises(typer.BadParameter):
            _count(wrong)


def test_the_rules_as_they_stand() -> None:
    lines = _policy_words(Policy().custom()).splitlines()
    assert any(line.startswith("lifetime roster") and line.endswith("30 d") for line in lines)
    assert any(line.startswith("threshold roster") for line in lines)
    assert lines[-1].startswith("agencies")
