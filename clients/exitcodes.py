"""Exit codes by cause: what a script may rely on.

    0 ok                              5 quota, no room                          10 timed out
    1 internal                        6 signature, proof, decryption failed     11 validation failed
    2 usage                           7 policy or role denied (TLP, audience)   12 conflict
    3 relay or network                8 not enrolled, locked, wrong passphrase  13 doctor found a failure
    4 identity untrusted or changed   9 not found                              130 interrupted

An error's class decides, unless its code is listed by itself.
"""

from __future__ import annotations

from enum import IntEnum
from typing import Final

from securechan.errors import (
    CannotOpen,
    Conflict,
    Denied,
    Invalid,
    Malformed,
    Misuse,
    NotFound,
    NotReady,
    Refused,
    SecurechanError,
    Stale,
    TimedOut,
    Unfit,
    Unreachable,
    Untrusted,
)


class Exit(IntEnum):
    """How an invocation ended."""

    OK = 0
    INTERNAL = 1
    USAGE = 2
    NETWORK = 3
    UNTRUSTED = 4
    QUOTA = 5
    PROOF = 6
    DENIED = 7
    NOT_READY = 8
    NOT_FOUND = 9
    TIMED_OUT = 10
    INVALID = 11
    CONFLICT = 12
    DOCTOR = 13
    INTERRUPTED = 130


BY_CODE: Final[dict[str, Exit]] = {
    "usage": Exit.USAGE,
    "confirmation-needed": Exit.USAGE,
    "input-needed": Exit.USAGE,
    "invite-used": Exit.CONFLICT,
    "bad-config": Exit.USAGE,
    "weak-passphrase": Exit.USAGE,
    "same-passphrase": Exit.USAGE,
    "bad-address": Exit.USAGE,
    "disk-full": Exit.QUOTA,
    "disk-fault": Exit.INTERNAL,
    "old-passphrase-left": Exit.INTERNAL,
    "refused-quota": Exit.QUOTA,
    "refused-full": Exit.QUOTA,
    "refused-overloaded": Exit.NETWORK,
    "too-large": Exit.QUOTA,
    "refused-too-large": Exit.QUOTA,
    "refused-conflict": Exit.CONFLICT,
    "refused-revoked": Exit.UNTRUSTED,
    "refused-unknown": Exit.UNTRUSTED,
    "refused-expired": Exit.UNTRUSTED,
    "refused-no-proof": Exit.UNTRUSTED,
    "replaced": Exit.CONFLICT,
    "file-unwritable": Exit.USAGE,
    "passphrase-file": Exit.NOT_READY,
    "invite-expired": Exit.UNTRUSTED,
}

BY_CLASS: Final[tuple[tuple[type[SecurechanError], Exit], ...]] = (
    (Malformed, Exit.INVALID),
    (Invalid, Exit.INVALID),
    (CannotOpen, Exit.PROOF),
    (Untrusted, Exit.UNTRUSTED),
    (Stale, Exit.CONFLICT),
    (Refused, Exit.NETWORK),
    (Unreachable, Exit.NETWORK),
    (TimedOut, Exit.TIMED_OUT),
    (Denied, Exit.DENIED),
    (Unfit, Exit.INVALID),
    (NotReady, Exit.NOT_READY),
    (NotFound, Exit.NOT_FOUND),
    (Conflict, Exit.CONFLICT),
    (Misuse, Exit.INTERNAL),
)


def exit_code(error: SecurechanError) -> Exit:
    """What an invocation that ends with ``error`` exits with."""
    by_code = BY_CODE.get(error.code)
    if by_code is not None:
        return by_code
    return next((code for cls, code in BY_CLASS if isinstance(error, cls)), Exit.INTERNAL)
