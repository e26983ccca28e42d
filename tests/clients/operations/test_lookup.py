"""clients/operations/lookup.py: what a person means, and never a guess."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import pytest

from clients.operations import lookup
from securechan.errors import Conflict, NotFound
from tests.clients.conftest import Town


def agent(*names: tuple[str, str]) -> Any:
    every = tuple(SimpleNamespace(name=name, topic=bytes.fromhex(topic * 8)) for name, topic in names)
    view = SimpleNamespace(started=False)
    return cast("Any", SimpleNamespace(view=view, conversations=lambda: every, offers=tuple))


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


def test_a_handle_alone_names_its_officer(town: Town) -> None:
    """Who types ``bob`` for ``bob@agency`` is told whom there is, and no message goes to anybody."""
    town.hr.json("sync")
    said = town.hr.run("send", "liaison-1", "-m", "x")
    assert said.code == 9
    assert "did you mean liaison-1@cert-" in said.err
    assert "securechan send liaison-1@cert-pl begins one" in town.hr.run("read", "liaison-1@cert-pl").err
    assert "securechan contact ls" in town.hr.run("send", "nobody-like-that", "-m", "x").err
