"""Work on all cores is the same work: everything is done once, and the first that fails is what the caller hears."""

from __future__ import annotations

import threading
from unittest import mock

import pytest

from clients import cores
from securechan.errors import Invalid


@pytest.mark.parametrize("count", [None, 1, 2, 8])
def test_everything_is_done_once(count: int | None) -> None:
    done: list[int] = []
    with mock.patch.object(cores.os, "cpu_count", return_value=count):
        list(cores.on_all_cores(done.append, range(100)))
    assert sorted(done) == list(range(100))


def test_several_work_at_once() -> None:
    meeting = threading.Barrier(2, timeout=30)  # nobody passes alone
    with mock.patch.object(cores.os, "cpu_count", return_value=2):
        list(cores.on_all_cores(lambda _: meeting.wait() and None, range(2)))
    assert not meeting.broken


def test_the_first_that_fails_is_heard_and_no_thread_stays() -> None:
    before = threading.active_count()

    def act(item: int) -> None:
        if item in (3, 7):
            raise Invalid(f"{item}", rule="a rule")

    with mock.patch.object(cores.os, "cpu_count", return_value=4), pytest.raises(Invalid, match="3"):
        list(cores.on_all_cores(act, range(10)))
    assert threading.active_count() == before


def test_nothing_to_do_starts_nothing() -> None:
    assert list(cores.on_all_cores(lambda _: None, ())) == []
