"""clients/cli/doing.py: one step from a command to its operation."""

from __future__ import annotations

import pytest
import typer

from clients.cli.doing import do, seconds
from clients.cli.frame import Invocation, invoked
from securechan.errors import Malformed, NotReady
from tests.clients.conftest import Town


def here(town: Town) -> Invocation:
    return Invocation(home_folder=town.hr.home, passphrase_file=town.hr.passphrase, no_input=True, json=True)


def test_parameters_that_are_none_are_left_to_the_operation(town: Town) -> None:
    with invoked(here(town)):
        assert do("bulletin.ls", online=False, conversation=None, limit=None) == do("bulletin.ls", online=False)


def test_what_is_given_is_handed_on_and_errors_come_through(town: Town, tmp_path) -> None:
    with invoked(here(town)), pytest.raises(Malformed):
        do("nothing.of-the-kind", online=False)
    with invoked(Invocation(home_folder=tmp_path, no_input=True)), pytest.raises(NotReady):
        do("status.status")


def test_lengths_of_time_or_a_usage_error() -> None:
    assert seconds("4h", "--x") == 14400
    assert seconds(None, "--x") is None
    with pytest.raises(typer.BadParameter, match="length of time"):
        seconds("soon", "--x")
