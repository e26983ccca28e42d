"""What leaves when the event loop turns: whoever has something to send seals and writes it then, one after the other.

All of them are one callback of the loop, not one each; and a frame that goes to many, as an entry to all who read its
topic, is made a record's plaintext once and sealed for each of them.
"""

from __future__ import annotations

import asyncio
from typing import Protocol

from securechan.wire.plaintext import filled


class Departing(Protocol):
    """A connection."""

    def depart(self) -> None:
        """Seal and write what waits. Raises nothing: others wait behind."""
        ...


class Departures:
    """Of one event loop."""

    def __init__(self) -> None:
        self._due: list[Departing] = []
        self._frame = self._plain = b""  # that was asked for last

    def due(self, connection: Departing) -> None:
        """It departs when the loop turns; to be said once until then."""
        if not self._due:
            asyncio.get_running_loop().call_soon(self._depart)
        self._due.append(connection)

    def _depart(self) -> None:
        due, self._due = self._due, []
        for connection in due:
            connection.depart()

    def plain(self, frame: bytes) -> bytes:
        """The plaintext of a record of this one frame."""
        if frame is not self._frame:
            self._frame, self._plain = frame, filled((frame,))
        return self._plain
