"""clients/exitcodes.py: every class of error has its exit code, as scripts were promised."""

from __future__ import annotations

import pytest

from clients.exitcodes import BY_CLASS, BY_CODE, Exit, exit_code
from securechan import errors
from securechan.errors import (
    BadSignature,
    CannotOpen,
    Denied,
    NotFound,
    NotReady,
    Refused,
    SecurechanError,
    TimedOut,
    Unfit,
    Unreachable,
    Untrusted,
)


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (Unreachable("x"), 3),
        (Untrusted("x"), 4),
        (Refused("x", code="refused-quota"), 5),
        (NotReady("x", code="disk-full"), 5),
        (CannotOpen("x"), 6),
        (BadSignature("x"), 6),
        (Denied("x"), 7),
        (NotReady("x", code="wrong-passphrase"), 8),
        (NotReady("x", code="profile-locked"), 8),
        (NotFound("x"), 9),
        (TimedOut("x"), 10),
        (Unfit("x"), 11),
        (SecurechanError("x"), 1),
    ],
)
def test_the_promised_codes(error: SecurechanError, code: int) -> None:
    assert exit_code(error) == code


def test_every_class_has_one() -> None:
    classes = [
        c
        for c in vars(errors).values()
        if isinstance(c, type) and issubclass(c, SecurechanError) and c is not SecurechanError
    ]
    for cls in classes:
        assert any(issubclass(cls, known) for known, _ in BY_CLASS), cls


def test_no_error_means_success() -> None:
    assert all(code is not Exit.OK for _, code in BY_CLASS)
    assert Exit.OK not in BY_CODE.values()
