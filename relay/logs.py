"""What the relay writes down: events with counts and causes, never names, addresses or topics.

    log = logging.getLogger("relay"); event(log, "session ended", kind="device", reason="slow", seconds=31)

gives ``session ended kind=device reason=slow seconds=31`` on stderr, or one JSON object a line.
"""

from __future__ import annotations

import json
import logging
import sys
from datetime import UTC, datetime
from typing import Final

Scalar = str | int | float | bool | None

_FIELDS: Final = "securechan_fields"


def event(log: logging.Logger, what: str, *, level: int = logging.INFO, error: bool = False, **fields: Scalar) -> None:
    """Write one event; ``error`` adds the traceback of the exception being handled."""
    if log.isEnabledFor(level):
        log.log(level, what, extra={_FIELDS: fields}, exc_info=error)


def _fields(record: logging.LogRecord) -> dict[str, Scalar]:
    fields: dict[str, Scalar] = getattr(record, _FIELDS, {})
    return fields


class Words(logging.Formatter):
    """For people and journals: the event, then ``key=value``."""

    def format(self, record: logging.LogRecord) -> str:
        pairs = "".join(f" {key}={value}" for key, value in _fields(record).items())
        line = f"{record.levelname.lower():7} {record.getMessage()}{pairs}"
        return f"{line}\n{self.formatException(record.exc_info)}" if record.exc_info else line


class Lines(logging.Formatter):
    """For machines: one JSON object a line."""

    def format(self, record: logging.LogRecord) -> str:
        data: dict[str, Scalar] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "event": record.getMessage(),
            **_fields(record),
        }
        if record.exc_info:
            data["traceback"] = self.formatException(record.exc_info)
        return json.dumps(data)


def configure(style: str, level: str) -> None:
    """Send the relay's events to stderr. ``style`` is "text" or "json"."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(Lines() if style == "json" else Words())
    log = logging.getLogger("relay")
    log.handlers = [handler]
    log.propagate = False
    log.setLevel(level.upper())
    logging.getLogger("websockets").setLevel(logging.CRITICAL)  # it logs strangers' requests with their addresses
