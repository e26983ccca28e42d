"""Finding what a person means, and saying of it what scripts may rely on.

Conversations are topics of 32 bytes; people say a local name, the officer at the other end, or the beginning of the
topic in hexadecimal. Whatever fits more than once is refused rather than guessed: a bulletin must not be lured into a
look-alike.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING, Any, Final

from clients.render import when
from securechan.errors import Conflict, NotFound

if TYPE_CHECKING:
    from securechan.agent.agent import Agent
    from securechan.agent.look import ConversationSummary
    from securechan.agent.state import Offer

SHORTEST_PREFIX: Final = 8  # hexadecimal digits
SOON: Final = 4  # seconds until our turn that a short command waits for
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
        raise NotFound(f"there is no conversation {said[:80]}", hint=_meant(agent, said))
    return found[0]


def inviter(agent: Agent, offer: Offer) -> str:
    """The officer whose device offers a conversation; the device where trust knows none."""
    record = agent.view.find(offer.by)
    return offer.by if record is None else record.address


def _meant(agent: Agent, said: str) -> str:
    """What may have been meant: an officer by handle alone, or a name with a slip in it."""
    from difflib import get_close_matches

    if any(said == inviter(agent, each) for each in agent.offers()):
        return f"one that {said} offers waits: securechan conversation accept {said}"
    if agent.view.started and said in agent.view.officers(None):
        return f"there is none with {said} yet: securechan send {said} begins one"
    word = said.casefold()
    officers = [each for each in agent.view.officers(None) if each != agent.officer] if agent.view.started else []
    named = [each for each in officers if word and word in (each, each.partition("@")[0])]
    names = list(dict.fromkeys([*(each.name for each in agent.conversations()), *officers]))
    found = named or get_close_matches(said, names, n=3, cutoff=0.75)
    if not found:
        return "securechan conversation ls lists conversations, securechan contact ls officers"
    return f"did you mean {' or '.join(found[:3])}?"


def unsettled(agent: Agent, now: int, gone: Collection[str] = ()) -> bool:
    """Whether something will soon come to rest: questions that the relay has still to answer (key packages to be
    stored, say), a conversation that waits for its topic, or for members whom we are to let in or out. Not counted are
    devices that are ``gone`` (none of their key packages was there lately), and what it will be our turn for later."""
    from securechan.agent.membership import wait
    from securechan.agent.reconcile import difference_of
    from securechan.agent.state import Standing
    from securechan.agent.turn import Turn

    if agent.session.asked:
        return True
    looking = Turn(agent.rows, agent.session, agent.random, now)  # only looked at, never sealed
    for each in looking.conversations():
        if each.standing is Standing.FOUNDING:
            return True
        if each.standing is Standing.MEMBER:
            difference, missing = difference_of(looking, each.topic), looking.live(each.topic).absent
            group, seats = looking.group(each.topic), looking.seats(each.topic)
            turn = wait(seats, int(group.own_leaf), difference.removes, group.epoch, difference.change())
            due = difference.removes or any(name not in missing and name not in gone for name in difference.adds)
            if due and turn is not None and turn <= SOON:
                return True
    return False


def absent(agent: Agent) -> frozenset[str]:
    """Devices of which no key package was to be had in this session."""
    return frozenset(name for live in agent.session.live.values() for name in live.absent)


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
