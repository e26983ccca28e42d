"""Bytes that don't show themselves.

A ``Secret`` is bytes everywhere bytes are wanted, and shy everywhere else: its repr, its str and its format say how
long it is, it compares in constant time, its slices and sums are secrets too, and it refuses to be pickled. What it
can't do is erase itself: Python copies as it likes, and SPEC.md says so. ``secret.hex()`` and ``bytes(secret)`` are the
deliberate ways out.
"""

from __future__ import annotations

import hmac
import secrets
from typing import NoReturn, Self, SupportsIndex, overload

from securechan.errors import Misuse


class Secret(bytes):
    """Secret bytes: hidden in print, constant-time in comparison, never pickled."""

    __slots__ = ()

    @classmethod
    def random(cls, length: int) -> Self:
        """``length`` fresh bytes from the system's generator."""
        return cls(secrets.token_bytes(length))

    def __repr__(self) -> str:
        return f"Secret({len(self)} bytes)"

    def __str__(self) -> str:
        return repr(self)

    def __format__(self, spec: str) -> str:
        return format(repr(self), spec)

    def __eq__(self, other: object) -> bool:
        return hmac.compare_digest(self, other) if isinstance(other, bytes | bytearray | memoryview) else False

    def __ne__(self, other: object) -> bool:
        return not self == other

    __hash__ = bytes.__hash__

    @overload
    def __getitem__(self, key: SupportsIndex) -> int: ...
    @overload
    def __getitem__(self, key: slice) -> Secret: ...
    def __getitem__(self, key: SupportsIndex | slice) -> int | Secret:
        if isinstance(key, slice):
            return Secret(bytes.__getitem__(self, key))
        return bytes.__getitem__(self, key)

    def __add__(self, other: bytes | bytearray | memoryview) -> Secret:  # type: ignore[override]  # narrower on purpose
        return Secret(bytes(self) + other)

    def __radd__(self, other: bytes | bytearray) -> Secret:  # type: ignore[misc]  # a bytearray is declined, below
        if isinstance(other, bytearray):  # `out += secret` must grow that buffer, not bind the name to another
            return NotImplemented
        return Secret(other + bytes(self))

    def __copy__(self) -> Self:
        return self

    def __deepcopy__(self, memo: object) -> Self:
        return self

    def __reduce_ex__(self, protocol: SupportsIndex) -> NoReturn:
        raise Misuse("a secret is not to be pickled", hint="seal it into the vault instead")
