"""What a signal does before the relay serves: from the first line of ``run`` until its event loop listens to signals.

    SIGHUP           is remembered: the configuration is read again as soon as the relay serves
    SIGTERM, SIGINT  end the process at once with exit code 0: nobody was told anything that could be lost

By default SIGHUP would kill: whoever renews a certificate or turns a log over doesn't know that a relay is still
copying its store to a mirror. To end at once is as harmless as a fault of power, after which every start goes on; to
wait for a copy of minutes would not be. Nothing is loaded here that takes time.
"""

from __future__ import annotations

import os
import signal
from contextlib import ExitStack
from types import FrameType, TracebackType
from typing import Final, Self

AGAIN: Final = signal.SIGHUP
ENDS: Final = (signal.SIGTERM, signal.SIGINT)


class Early:
    """Listens for as long as it is entered; workers that are forked meanwhile have it from their parent."""

    def __init__(self) -> None:
        self.again = False
        """Whether SIGHUP came."""
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        for number in (AGAIN, *ENDS):
            before = signal.signal(number, self._hear)
            self._stack.callback(signal.signal, number, before)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    def _hear(self, number: int, _frame: FrameType | None) -> None:
        if number == AGAIN:
            self.again = True
        else:
            os._exit(0)
