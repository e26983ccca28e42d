"""What the relay writes down: events with counts and causes, never names, addresses or topics.

    log = logging.getLogger("relay"); event(log, "session ended", kind="device", reason="slow", seconds=31)

gives ``2026-11-23T18:30:00.123Z info    session ended kind=device reason=slow seconds=31`` on stderr, or one JSON
object a line. Where the journal is at the other end, which notes the time itself, the words come without it.
"""

from __future__ import annotations

import json
import logging
import os
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Final, TextIO

Scalar = str | int | float | bool | None

_FIELDS: Final = "securechan_fields"


def event(log: logging.Logger, what: str, *, level: int = logging.INFO, error: bool = False, **fields: Scalar) -> None:
    """Write one event; ``error`` adds the traceback of the exception being handled."""
    if log.isEnabledFor(level):  # and not `log.log`, which walks up the stack to see who calls
        failure = sys.exc_info() if error else None
        log.handle(log.makeRecord(log.name, level, "", 0, what, (), failure, extra={_FIELDS: fields}))


def _fields(record: logging.LogRecord) -> dict[str, Scalar]:
    fields: dict[str, Scalar] = getattr(record, _FIELDS, {})
    return fields


def _time(record: logging.LogRecord) -> str:
    """RFC 3339, UTC, to the millisecond."""
    return datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


class Words(logging.Formatter):
    """For people and journals: the time unless the journal notes it, the event, then ``key=value``."""

    def __init__(self, *, timed: bool) -> None:
        super().__init__()
        self._timed = timed

    def format(self, record: logging.LogRecord) -> str:
        pairs = "".join(f" {key}={value}" for key, value in _fields(record).items())
        time = f"{_time(record)} " if self._timed else ""
        line = f"{time}{record.levelname.lower():7} {record.getMessage()}{pairs}"
        return f"{line}\n{self.formatException(record.exc_info)}" if record.exc_info else line


class Lines(logging.Formatter):
    """For machines: one JSON object a line."""

    def format(self, record: logging.LogRecord) -> str:
        data: dict[str, Scalar] = {
            "time": _time(record),
            "level": record.levelname.lower(),
            "event": record.getMessage(),
            **_fields(record),
        }
        if record.exc_info:
            data["traceback"] = self.formatException(record.exc_info)
        return json.dumps(data)


def journal(stream: TextIO, environment: Mapping[str, str] = os.environ) -> bool:
    """Whether systemd's journal reads this stream: then JOURNAL_STREAM holds its device and inode (systemd.exec(5))."""
    try:
        status = os.fstat(stream.fileno())
    except (OSError, ValueError):  # it is no file
        return False
    return environment.get("JOURNAL_STREAM") == f"{status.st_dev}:{status.st_ino}"


def configure(style: str, level: str) -> None:
    """Send the relay's events to stderr. ``style`` is "text" or "json"."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(Lines() if style == "json" else Words(timed=not journal(sys.stderr)))
    log = logging.getLogger("relay")
    log.handlers = [handler]
    log.propagate = False
    log.setLevel(level.upper())
    logging.getLogger("websockets").setLevel(logging.CRITICAL)  # it logs strangers' requests with their addresses
