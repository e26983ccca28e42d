"""clients/operations/lookup.py: what a person means, and never a guess."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import pytest

from clients.operations import lookup
from securechan.errors import Conflict, NotFound


def agent(*names: tuple[str, str]) -> Any:
    every = tuple(SimpleNamespace(name=name, topic=bytes.fromhex(topic * 8)) for name, topic in names)
    return cast("Any", SimpleNamespace(conversations=lambda: every))


TWO = agent(("eu-csirts", "aabbccdd"), ("desk", "aabbccde"))


def test_a_name_or_the_beginning_of_an_id() -> None:
    assert lookup.conversation(TWO, "desk").name == "desk"
    assert lookup.conversation(TWO, "AABBCCDE").name == "desk"


@pytest.mark.parametrize("said", ["nobody", "eu-csirt", "aabb", "", "aabbccdf"])
def test_what_fits_nothing(said: str) -> None:
    with pytest.raises(NotFound):
        lookup.conversation(TWO, said)


def test_two_of_one_name_are_not_guessed_between() -> None:
    with pytest.raises(Conflict) as e:
        lookup.conversation(agent(("eu", "aabbccdd"), ("eu", "aabbccde")), "eu")
    assert "aabbccddaabb" in e.value.hint
    assert "aabbccdeaabb" in e.value.hint


def test_times_for_scripts() -> None:
    event = {"event": "x", "time": 1_800_000_000, "sent": 1_800_000_000_500, "ack_by": 0, "own": True, "sequence": 5}
    assert lookup.timed(event) == {
        "event": "x",
        "time": "2027-01-15T08:00:00Z",
        "sent": "2027-01-15T08:00:00Z",
        "ack_by": None,
        "own": True,
        "sequence": 5,
    }
    assert lookup.moment(0) is None
