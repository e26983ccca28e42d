"""What an agent has worked out and would work out again: keys made ready, and differences judged.

A memory belongs to an agent and those that follow from it, and to no row: all that it holds follows from the rows, and
goes with the process. To expand a seed costs a good part of what it costs to sign or to open; to judge who belongs in a
conversation of a thousand costs more than to read what is said there.
"""

from __future__ import annotations

from securechan.agent.membership import Difference
from securechan.agent.state import DeviceKey, Me
from securechan.crypto.kem import KemKey
from securechan.crypto.signature import SigningKey
from securechan.crypto.suite import HYBRID
from securechan.trust.view import View


class Memory:
    """Not a value: what follows from values. Of each kind of key it keeps the one that was used last; a judgement of
    each conversation, with what it follows from."""

    __slots__ = ("_inbox", "_signing", "differences")

    def __init__(self) -> None:
        self._signing: tuple[bytes, SigningKey] | None = None
        self._inbox: tuple[bytes, KemKey] | None = None
        self.differences: dict[bytes, tuple[View, tuple[object, ...], Difference]] = {}

    def __repr__(self) -> str:
        return "Memory()"

    def signing(self, key: DeviceKey) -> SigningKey:
        """What signs in this device's name."""
        if self._signing is None or self._signing[0] != key.public:
            self._signing = key.public, HYBRID.signature.load(key.private)
        return self._signing[1]

    def inbox(self, me: Me) -> KemKey:
        """What opens the letters to this device."""
        if self._inbox is None or self._inbox[0] != me.inbox_public:
            self._inbox = me.inbox_public, HYBRID.hpke.kem.load(me.inbox_private)
        return self._inbox[1]
