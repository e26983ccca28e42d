"""What is wrong with a document, and where: a bounded list that the validators fill.

A hostile document can be wrong in a million places and can hide terminal escapes in every key, so the list ends after
``MAX_FINDINGS``, every line is cut at ``MAX_TEXT`` characters, and a stranger's text enters only through `quote`.
Places are JSON pointers (RFC 6901), kept as linked pairs until one is really needed: most values are fine.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Final, TypeAlias

from securechan.errors import Finding, Unfit

MAX_FINDINGS: Final = 50
MAX_TEXT: Final = 300  # characters of a place or of a description
MAX_QUOTE: Final = 60  # characters of a stranger's text

Json: TypeAlias = "dict[str, Json] | list[Json] | str | int | float | bool | None"
Place: TypeAlias = "tuple[Place, str | int] | None"  # None is the document itself


def pointer(place: Place) -> str:
    """The JSON pointer (RFC 6901) of a place, printable ASCII, cut to ``MAX_TEXT``; the document itself is ``/``."""
    parts: list[str] = []
    while place is not None:
        place, last = place
        parts.append(printable(str(last)[:MAX_QUOTE].replace("~", "~0").replace("/", "~1")))
    return ("/" + "/".join(reversed(parts)))[:MAX_TEXT]


def printable(text: str) -> str:
    """Text with everything a terminal might obey written as escapes."""
    return text if text.isascii() and text.isprintable() else text.encode("unicode_escape").decode("ascii")


def quote(value: Json) -> str:
    """A stranger's value as a short, escaped prefix between quotes; containers by their kind only."""
    match value:
        case str():
            shown = printable(value[:MAX_QUOTE])
            return f"'{shown}…'" if len(value) > MAX_QUOTE else f"'{shown}'"
        case dict() | list():
            return kind_of(value)
        case _:
            return kind_of(value) if value is None or isinstance(value, bool) else str(value)[:MAX_QUOTE]


def kind_of(value: Json) -> str:
    """The kind of a JSON value in words: ``a list``, ``an object``."""
    match value:
        case dict():
            return "an object"
        case list():
            return "a list"
        case str():
            return "text"
        case bool():
            return "true" if value else "false"
        case None:
            return "null"
        case _:
            return "a number"


class Enough(Exception):
    """The list of findings is full; the rest of the document needn't be read."""


class Findings:
    """Collects findings in the order found, each once, until ``MAX_FINDINGS``; then `add` raises `Enough`."""

    __slots__ = ("_rule", "_seen", "items")

    def __init__(self) -> None:
        self.items: list[Finding] = []
        self._seen: set[Finding] = set()
        self._rule = ""

    @contextlib.contextmanager
    def rule(self, name: str) -> Iterator[None]:
        """Within it every finding begins with the name of the rule that is broken: ``6.1.8: …``."""
        before, self._rule = self._rule, f"{name}: "
        try:
            yield
        finally:
            self._rule = before

    def add(self, place: Place, what: str) -> None:
        """One more thing wrong. Raises `Enough` when the list is full."""
        finding = Finding(pointer(place), (self._rule + what)[:MAX_TEXT])
        if finding in self._seen:
            return
        self._seen.add(finding)
        self.items.append(finding)
        if len(self.items) >= MAX_FINDINGS:
            raise Enough

    def __bool__(self) -> bool:
        return bool(self.items)

    def unfit(self, what: str, *, hint: str = "") -> Unfit:
        """The error that carries the findings; ``what`` names the kind of document."""
        count = len(self.items)
        many = f"{MAX_FINDINGS} or more findings" if count >= MAX_FINDINGS else f"{count} findings"
        first = self.items[0]
        message = f"not a valid {what}: {first.what} at {first.where}" if count == 1 else f"not a valid {what}: {many}"
        return Unfit(message, findings=self.items, hint=hint or "mend the places listed, then try again")
