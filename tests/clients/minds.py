"""A small mind for tests of the runtime: it does as the test says, and remembers what it was given."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any, cast

from clients.runtime import Runtime
from clients.transport import Transport
from clients.vault import Put, Vault
from securechan.agent.effects import Effect
from securechan.agent.inputs import Leave
from tests.clients.relay_peer import StillClock

Think = Callable[["Mind", Any, int], "Step"]


@dataclass(frozen=True)
class Mind:
    """Remembers its inputs; what it makes of them is the test's."""

    think: Think
    seen: tuple[Any, ...] = ()

    def on(self, given: Any, now: int) -> Step:
        step = self.think(self, given, now)
        return replace(step, agent=replace(self, seen=(*self.seen, given)))


@dataclass(frozen=True)
class Step:
    agent: Any = None
    writes: tuple[Put, ...] = ()
    effects: tuple[Effect, ...] = ()
    answer: Any = None


@dataclass
class Script:
    """What to do at each kind of input."""

    steps: dict[type, Callable[[Any], Step]] = field(default_factory=dict)

    def __call__(self, mind: Mind, given: Any, now: int) -> Step:
        step = self.steps.get(type(given))
        return Step() if step is None else step(given)


def runtime(
    vault: Vault,
    steps: dict[type, Callable[[Any], Step]],
    transport: Transport | None = None,
    clock: StillClock | None = None,
    before_effect: Callable[[Effect], None] | None = None,
) -> Runtime:
    mind = cast("Any", Mind(Script(steps)))
    return Runtime(vault, mind, transport, clock or StillClock(), before_effect=before_effect)


def seen(agent: Any, kind: type) -> list[Any]:
    return [given for given in agent.seen if type(given) is kind]


LEAVE = Leave(bytes(32))
