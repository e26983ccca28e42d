"""Private keys made ready for use, once: to expand a seed costs a good part of what it costs to sign or to open.

A keyring belongs to an agent and those that follow from it, and to no row: what it holds is what the rows hold, in
another form, and goes with the process. Of each kind it keeps the key that was used last.
"""

from __future__ import annotations

from securechan.agent.state import DeviceKey, Me
from securechan.crypto.kem import KemKey
from securechan.crypto.signature import SigningKey
from securechan.crypto.suite import HYBRID


class Keyring:
    """The keys of one device. Not a value: a memory of what follows from values."""

    __slots__ = ("_inbox", "_signing")

    def __init__(self) -> None:
        self._signing: tuple[bytes, SigningKey] | None = None
        self._inbox: tuple[bytes, KemKey] | None = None

    def __repr__(self) -> str:
        return "Keyring()"

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
