"""What is told of a write: its result, or that it was not stored."""

from __future__ import annotations

import pytest

from relay import replies
from relay.people import Device, Guest, Who
from relay.store import base
from relay.store.base import StoreFailed, StoreFull
from securechan.wire.frames import Appended, Code, Done, EntryKind, Error
from tests.relay.desk import digest

PLACED = base.Placed(base.Stored.make(7, EntryKind.BOX, digest("id"), 0, b"\0\0"), None)
GUEST = Guest(digest("box"), "cert-hr", 0)
DEVICE = Device("cert-hr/a", "cert-hr", frozenset(), bytes(48), None)


@pytest.mark.parametrize(
    ("result", "code"),
    [
        (base.Behind(5, digest("winner")), Code.STALE),
        (base.Clash("it exists"), Code.CONFLICT),
        (base.Overfull(), Code.QUOTA),
        (base.Missing(), Code.UNKNOWN_TOPIC),
        (StoreFull("full"), Code.FULL),
        (StoreFailed("failed"), Code.INTERNAL),
    ],
)
def test_what_was_not_appended_is_refused_with_its_cause(result: base.Outcome, code: Code) -> None:
    told = replies.answered(result, replies.appended)
    assert isinstance(told, Error)
    assert told.code is code
    if isinstance(result, base.Behind):
        assert (told.sequence, told.entry_id) == (result.sequence, result.entry_id)


@pytest.mark.parametrize(("who", "code"), [(GUEST, Code.CONFLICT), (DEVICE, Code.STALE)])
def test_a_box_tells_a_guest_that_it_came_twice(who: Who, code: Code) -> None:
    finish = replies.boxed(who)
    assert finish(PLACED) == Appended(7)
    told = finish(base.Behind(1, digest("first")))
    assert isinstance(told, Error)
    assert told.code is code


def test_a_place_that_is_taken_is_not_made() -> None:
    assert replies.made(base.Made()) == Done()
    told = replies.made(base.Clash("the topic exists"))
    assert isinstance(told, Error)
    assert told.code is Code.CONFLICT
