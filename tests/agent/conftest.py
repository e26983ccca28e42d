"""Worlds for the agent's tests: made on demand, closed at the end."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from tests.support.world import World


@pytest.fixture
def worlds() -> Iterator[Callable[..., World]]:
    """A factory of worlds."""
    made: list[World] = []

    def make(*agencies: str, seed: int = 1) -> World:
        world = World(*agencies, seed=seed)
        made.append(world)
        return world

    yield make
    for world in made:
        world.close()


@pytest.fixture
def world(worlds: Callable[..., World]) -> World:
    """Two agencies, cert-hr and cert-si."""
    return worlds("cert-hr", "cert-si")
