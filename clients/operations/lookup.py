"""Finding what a person means, and saying of it what scripts may rely on.

Conversations are topics of 32 bytes; people say a local name, the officer at the other end, or the beginning of the
topic in hexadecimal. Whatever fits more than once is refused rather than guessed: a bulletin must not be lured into a
look-alike.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from clients.render import when
from securechan.errors import Conflict, NotFound

if TYPE_CHECKING:
    from securechan.agent.agent import Agent
    from securechan.agent.look import ConversationSummary

SHORTEST_PREFIX: Final = 8  # hexadecimal digits
_SECONDS: Final = frozenset({"at", "time", "ack_by", "valid_until"})


def conversation(agent: Agent, said: str) -> ConversationSummary:
    """The one conversation that a person means. Raises NotFound, Conflict."""
    every = agent.conversations()
    named = [each for each in every if each.name == said]
    prefix = said.lower()
    found = named or [each for each in every if len(prefix) >= SHORTEST_PREFIX and each.topic.hex().startswith(prefix)]
    if len(found) > 1:
        raise Conflict(
            f"{len(found)} conversations are called {said}",
            hint="name one by the beginning of its id: " + ", ".join(each.topic.hex()[:12] for each in found),
            code="ambiguous",
        )
    if not found:
        raise NotFound(f"there is no conversation {said[:80]}", hint="securechan conversation ls")
    return found[0]


def unsettled(agent: Agent, now: int) -> bool:
    """Whether the relay has questions of ours to answer (key packages to be stored, say), or a conversation waits for
    its topic, or for members to be let in or out who can be."""
    from securechan.agent.reconcile import difference_of  # noqa: PLC0415 - it costs the whole protocol
    from securechan.agent.state import Standing  # noqa: PLC0415 - likewise
    from securechan.agent.turn import Turn  # noqa: PLC0415 - likewise

    if agent.session.asked:
        return True
    looking = Turn(agent.rows, agent.session, agent.random, now)  # only looked at, never sealed
    for each in looking.conversations():
        if each.standing is Standing.FOUNDING:
            return True
        if each.standing is Standing.MEMBER:
            difference, absent = difference_of(looking, each.topic), looking.live(each.topic).absent
            if difference.removes or any(name not in absent for name in difference.adds):
                return True
    return False


def timed(event: dict[str, Any], *, milliseconds: frozenset[str] = frozenset({"sent"})) -> dict[str, Any]:
    """An event as scripts get it: times as RFC 3339 in UTC, or null where there is none."""
    out = dict(event)
    for name, value in event.items():
        if not isinstance(value, int) or isinstance(value, bool):
            continue
        if name in milliseconds:
            out[name] = moment(value / 1000)
        elif name in _SECONDS:
            out[name] = moment(value)
    return out


def moment(seconds: float) -> str | None:
    """A Unix time for scripts; None for none."""
    return when(seconds) if seconds else None
