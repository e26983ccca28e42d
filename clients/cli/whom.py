"""Whom something reaches, in words: other people first, by name where they are few, and one's own other devices."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from clients.render import count, safe

NAMED: Final = 3  # officers or agencies that are named


def officers(readers: Sequence[dict[str, Any]]) -> str:
    """``2 devices of bob@cert-bb, and 1 other of yours``."""
    others = [each for each in readers if not each["own"]]
    names = dict.fromkeys(each["officer"] or each["device"] for each in others)
    said = f"{count(len(others), 'device')} of {_named(list(names))}" if others else "nobody else there yet"
    return said + _yours(readers)


def agencies(readers: Sequence[dict[str, Any]]) -> str:
    """``cert-si and cert-pl (5 devices, and 1 other of yours)``."""
    names = dict.fromkeys(each["device"].partition("/")[0] for each in readers)
    others = sum(not each["own"] for each in readers)
    return f"{_named(list(names)) or 'nobody else yet'} ({count(others, 'device')}{_yours(readers)})"


def _yours(readers: Sequence[dict[str, Any]]) -> str:
    own = sum(each["own"] for each in readers)
    return f", and {own} other{'s' if own > 1 else ''} of yours" if own else ""


def _named(names: list[str]) -> str:
    """All of them, or the first few and how many more."""
    shown = [safe(each) for each in (names if len(names) <= NAMED + 1 else names[:NAMED])]
    left = len(names) - len(shown)
    if left:
        return f"{', '.join(shown)} and {left} more"
    return " and ".join(filter(None, (", ".join(shown[:-1]), *shown[-1:])))
