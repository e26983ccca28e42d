"""The presentation language: every struct there is, of every floor, found by walking.

An input's first two bytes choose the struct. Seeds are drawn from the declarations themselves, as the property tests
draw theirs, so that a struct that is declared tomorrow is under this target tomorrow.
"""

from __future__ import annotations

import importlib
import pkgutil
import warnings
from collections.abc import Iterator
from random import Random

from hypothesis import HealthCheck, given, seed, settings
from hypothesis.errors import NonInteractiveExampleWarning

import clients.federation
import clients.locked
import clients.vault
import securechan
from securechan.codec import Kept, Struct
from tests.fuzz.mutation import by_struct
from tests.fuzz.target import Target, canonical, target
from tests.mls.test_structs import ALL as IRREGULAR  # to load it registers strategies that the walk needs
from tests.support.strategies import strategies

FLOORS = (securechan, clients.federation, clients.locked, clients.vault)
DRAWN = 4  # seeds of each struct


def walk(base: type[Struct] = Struct) -> Iterator[type[Struct]]:
    for struct in base.__subclasses__():
        if struct is not Kept and struct.__module__.split(".")[0] in ("securechan", "clients"):
            yield struct
        yield from walk(struct)


def structs() -> tuple[type[Struct], ...]:
    """All of them, in one order."""
    for module in pkgutil.walk_packages(securechan.__path__, "securechan."):
        importlib.import_module(module.name)
    return tuple(sorted({*walk(), *IRREGULAR}, key=lambda struct: (struct.__module__, struct.__qualname__)))


def drawn(struct: type[Struct], count: int = DRAWN) -> list[bytes]:
    """Encodings of values that fit the declaration, the same ones each time."""
    found: list[bytes] = []

    @seed(1)
    @settings(max_examples=count, database=None, deadline=None, suppress_health_check=list(HealthCheck))
    @given(strategies(struct))
    def draw(value: Struct) -> None:
        found.append(value.encode())

    draw()
    return found


@target("codec.structs")
def structs_target() -> Target:
    all_structs = structs()

    def chosen(data: bytes, random: Random | None = None) -> type[Struct]:
        return all_structs[int.from_bytes(data[:2], "big") % len(all_structs)]

    def run(data: bytes) -> None:
        canonical(chosen(data), data[2:])

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NonInteractiveExampleWarning)
        seeds = [
            number.to_bytes(2, "big") + wire for number, struct in enumerate(all_structs) for wire in drawn(struct)
        ]
    return Target(run, tuple(seeds), by_struct(chosen, skip=2))
