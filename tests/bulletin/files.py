"""The corpus, file by file: one test case each, and one that skips where a folder isn't here."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from securechan.errors import Unfit
from tests.support import corpus

DEMO = Path(__file__).parents[2] / "clients" / "demo_data"


def names(*folders: str) -> list[str]:
    """The names of all JSON files below folders of the corpus; a folder that is missing stands for itself."""
    root = corpus._root("SECURECHAN_DATA", "data")
    found: list[str] = []
    for folder in folders:
        found += sorted(str(path.relative_to(root)) for path in (root / folder).rglob("*.json")) or [folder]
    return found


def content(name: str) -> bytes:
    """The bytes of a corpus file; skips the test where it is missing."""
    return corpus.data(name).read_bytes()


def refusal(call: Callable[..., object], *arguments: object) -> Unfit | None:
    """How a call refuses its input, None when it takes it. Any other exception is the test's failure."""
    try:
        call(*arguments)
    except Unfit as error:
        return error
    return None


def whats(error: Unfit | None) -> list[str]:
    """The findings of a refusal as lines."""
    return [f"{item.where} {item.what}" for item in error.findings] if error else []
