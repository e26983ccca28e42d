"""What the demonstration tells: step by step, lines for people as they come, and all of it once more for scripts."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, Final

from securechan.errors import SecurechanError

WIDTH: Final = 72

Say = Callable[[str], None]


class DemoFailed(SecurechanError):
    """A step did not do what it is there to show. Exit code 1."""

    code = "demo-failed"


class Broken(Exception):
    """A claim that turned out to be false."""


def claim(holds: object, what: str) -> None:
    """Go on if ``what`` is true. Raises Broken: nothing is told that was not seen."""
    if not holds:
        raise Broken(f"not so: {what}")


@dataclass(slots=True)
class Step:
    """One step: its word, its title, what it told, what it measured."""

    name: str
    title: str
    say: Say
    lines: list[str] = field(default_factory=list)
    facts: dict[str, Any] = field(default_factory=dict)
    seconds: float = 0.0

    def tell(self, line: str, /, **facts: Any) -> None:
        """A line, and the figures in it."""
        self.lines.append(line)
        self.facts |= facts
        self.say(f"    {line}")

    def json(self) -> dict[str, Any]:
        return {"step": self.name, "title": self.title, "seconds": round(self.seconds, 3), "facts": self.facts}


class Narrator:
    """Tells steps to ``say``, line by line, and keeps them."""

    def __init__(self, say: Say) -> None:
        self._say = say
        self._began = time.monotonic()
        self.steps: list[Step] = []
        self.rows: list[tuple[str, str]] = []

    @property
    def seconds(self) -> float:
        """Since the beginning."""
        return time.monotonic() - self._began

    @property
    def at(self) -> str:
        """The title of the step that is under way."""
        return self.steps[-1].title if self.steps else "the beginning"

    @contextlib.contextmanager
    def step(self, name: str, title: str) -> Iterator[Step]:
        """A step of the story."""
        step = Step(name, title, self._say)
        self.steps.append(step)
        self._say(f"{len(self.steps):2}  {title}")
        began = time.monotonic()
        try:
            yield step
        finally:
            step.seconds = time.monotonic() - began
        self._say(f"{'':{WIDTH - 8}}{step.seconds:6.1f} s")

    def sum_up(self, name: str, figure: str) -> None:
        """A line of the table at the end."""
        self.rows.append((name, figure))


def milliseconds(seconds: float) -> int:
    """For figures: whole milliseconds."""
    return round(seconds * 1000)


def span(seconds: float) -> str:
    """A measured time: ``41 ms``, ``2.4 s``."""
    return f"{seconds * 1000:.0f} ms" if seconds < 1 else f"{seconds:.1f} s"
