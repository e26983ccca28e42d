"""What is kept of events, and their JSON form: the same in the archive, in scripts and between our processes.

Bytes appear as lower-case hexadecimal, contents as base64; times are Unix seconds.
"""

from __future__ import annotations

import base64
from dataclasses import fields
from enum import StrEnum
from typing import Any, Final

from securechan.agent.events import (
    BoxRead,
    DeviceWaiting,
    EpochChanged,
    Event,
    MessageSent,
    ReceiptReceived,
    RequestDone,
    RequestFailed,
    RotationStep,
    Synced,
    TrustChanged,
)
from securechan.bulletin.tlp import Tlp

PASSING: Final = (
    MessageSent,
    DeviceWaiting,
    EpochChanged,
    TrustChanged,
    Synced,
    RotationStep,
    BoxRead,
    RequestFailed,
    RequestDone,
)
"""Events that tell of the moment; all others are worth keeping for ever."""
_BASE64: Final = frozenset({"content", "header", "signature", "body"})


def kept(event: Event) -> bool:
    """Whether it goes into the archive. That a machine has a bulletin stands in its tally; that a person has
    acknowledged it is a thing that was said."""
    machine = isinstance(event, ReceiptReceived) and event.kind == "delivered"
    return not (machine or isinstance(event, PASSING))


def to_json(event: Event) -> dict[str, Any]:
    """The event as JSON data: its kind under ``event`` in lower-case words joined by hyphens, then its fields."""
    out: dict[str, Any] = {"event": kind_of(event)}
    for each in fields(event):
        out[each.name] = _plain(each.name, getattr(event, each.name))
    return out


def kind_of(event: Event) -> str:
    """``message-received`` of a `MessageReceived`."""
    name = type(event).__name__
    return "".join(f"-{c.lower()}" if c.isupper() and i else c.lower() for i, c in enumerate(name))


def _plain(name: str, value: object) -> object:
    match value:
        case Tlp():
            return value.word
        case bytes():
            return base64.b64encode(value).decode() if name in _BASE64 else value.hex()
        case tuple():
            return [_plain(name, each) for each in value]
        case StrEnum():
            return str(value)
        case _:
            return value
