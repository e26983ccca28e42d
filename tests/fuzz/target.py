"""A target: one door through which bytes come from outside, with what knocks at it.

    Target.run(data)   returns where the bytes are taken or refused as documented; whatever it raises is a finding
    Target.seeds       real things that the door is made for: fuzzing begins from these
    Target.form        alters an input so that it keeps its form; without one, bytes are just bytes

A target lets pass only the errors that the door's own documentation names (`refused`), holds what was decoded against
what it encodes to (`canonical`), and keeps no state from one input to the next, so that a finding is its input.
`Misuse` is never among them: it says that our own code broke a contract.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from random import Random
from typing import Final, TypeVar

from securechan.codec import Struct
from securechan.errors import BadSignature, CannotOpen, Invalid, Malformed, SecurechanError
from tests.support.strategies import rebuilt

Run = Callable[[bytes], object]
Form = Callable[[bytes, Random], bytes]
S = TypeVar("S", bound=Struct)

AREAS: Final = ("codec", "mls", "insider", "wire", "agent", "trust", "bulletin", "clients", "relay")
CLOSED: Final = (Malformed, Invalid, CannotOpen, BadSignature)  # what a format, a rule, a key or a signature refuses


@dataclass(frozen=True, slots=True)
class Target:
    """One door. ``seeds`` aren't empty, and ``run`` takes each of them."""

    run: Run
    seeds: tuple[bytes, ...]
    form: Form | None = None


_MAKERS: Final[dict[str, Callable[[], Target]]] = {}


def target(name: str) -> Callable[[Callable[[], Target]], Callable[[], Target]]:
    """Register what makes a target. It is made only in the process that runs it, since its seeds may cost seconds."""

    def register(make: Callable[[], Target]) -> Callable[[], Target]:
        if name in _MAKERS:
            raise ValueError(f"two targets called {name}")
        _MAKERS[name] = make
        return make

    return register


def names() -> list[str]:
    """All targets, by area."""
    for area in AREAS:
        importlib.import_module(f"tests.fuzz.targets.{area}")
    return list(_MAKERS)


def make(name: str) -> Target:
    """The target of that name, with its seeds; of the other areas nothing is loaded."""
    importlib.import_module(f"tests.fuzz.targets.{name.partition('.')[0]}")
    return _MAKERS[name]()


@contextmanager
def refused(*kinds: type[SecurechanError]) -> Iterator[None]:
    """Refusals of these kinds are what a door may say."""
    try:
        yield
    except kinds:
        return


def canonical(struct: type[S], data: bytes) -> S | None:
    """The one value of these bytes, None where they have none. Fails where it has another form too."""
    try:
        value = struct.decode(data)
    except Malformed:
        return None
    if rebuilt(value) != value or rebuilt(value).encode() != data:
        raise AssertionError(f"{struct.__name__} has two forms for one value")
    return value
