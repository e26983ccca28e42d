"""Conversations: listed, founded, accepted, left, and who belongs.

A conversation is founded with its policy: agencies with roles, or officers by name. Who that makes members is found by
every member for itself; nobody is added by hand.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from clients.operations import lookup
from clients.operations.engine import Operation, Params, Work, queued
from securechan.agent.inputs import (
    AcceptConversation,
    ChangePolicy,
    CreateConversation,
    DeclineConversation,
    Leave,
    RenameConversation,
    Resume,
    SucceedConversation,
)
from securechan.agent.joining import digest
from securechan.agent.look import policy_of_offer
from securechan.agent.policy import RENEWAL, AgencyScope, Kind, Policy
from securechan.bulletin import tlp
from securechan.bulletin.tlp import Tlp
from securechan.errors import (
    Conflict,
    Invalid,
    Malformed,
    NotFound,
    NotReady,
    Refused,
    SecurechanError,
    TimedOut,
    Unreachable,
    Untrusted,
)
from securechan.trust.names import check_agency, split_officer

if TYPE_CHECKING:
    from securechan.agent.agent import Agent
    from securechan.agent.look import ConversationSummary
    from securechan.agent.state import Offer


# -------------------------------------------------------------------------------------------------------------- listed


async def ls(work: Work, _: dict[str, Any]) -> dict[str, Any]:
    """Conversations and offers."""
    return {
        "conversations": [summary(each) for each in work.agent.conversations(work.now)],
        "offers": [_offer(work, each) for each in work.agent.offers()],
    }


def summary(each: ConversationSummary) -> dict[str, Any]:
    """A conversation as scripts get it."""
    return {
        "id": each.topic.hex(),
        "name": each.name,
        "kind": each.kind,
        "ceiling": each.ceiling,
        "suite": each.suite,
        "epoch": each.epoch,
        "members": len(each.members),
        "state": each.standing,
        "synced": each.synced,
        "unread": each.unread,
        "queued": each.queued,
        "held": each.held,
        "stale_since": lookup.moment(each.stale_since),
    }


def _offer(work: Work, each: Offer) -> dict[str, Any]:
    """``offer`` is what this one is: to hand it on to `accept` is to join what was looked at, and nothing else."""
    policy = policy_of_offer(each)
    return {
        "id": each.topic.hex(),
        "name": each.name,
        "by": lookup.inviter(work.agent, each),
        "device": each.by,
        "received": lookup.moment(each.received),
        "offer": digest(each).hex(),
        "policy": None if policy is None else policy_json(policy),
    }


async def show(work: Work, said: dict[str, Any]) -> dict[str, Any]:
    """One conversation with its members, policy and keys."""
    found = lookup.conversation(work.agent, Params(said).text("conversation"))
    return summary(work.agent.conversation(found.topic, work.now)) | {
        "policy": None if found.policy is None else policy_json(found.policy),
        "authenticator": found.authenticator.hex(),
        "waiting": list(found.waiting),
        "devices": [
            {"device": seat.device, "officer": seat.officer, "leaf": seat.leaf, "own": seat.device == work.agent.device}
            for seat in found.members
        ],
    }


def policy_json(policy: Policy) -> dict[str, Any]:
    """A policy as scripts get it."""
    return {
        "name": policy.name,
        "kind": policy.kind.name.lower(),
        "agencies": {scope.agency: list(scope.roles) for scope in policy.agencies},
        "officers": list(policy.officers),
        "stewards": list(policy.stewards),
        "ceiling": policy.ceiling.word,
        "renewal": policy.renewal,
    }


# ------------------------------------------------------------------------------------------------------------- founded


async def create(work: Work, said: dict[str, Any]) -> dict[str, Any]:
    """Found one: ``name``, ``kind`` (community, direct, room), ``agencies`` (``cert-hr`` or ``cert-hr:desk,liaison``),
    or ``officers``; ``stewards``, ``ceiling``, ``renewal`` in seconds; ``wait``: how many to let in who can be."""
    params = Params(said)
    await work.synced()
    agent = work.agent
    kind = _kind(params.text("kind", "community"))
    officers = _officers(params.texts("officers"))
    agencies = tuple(_scope(each) for each in params.texts("agencies"))
    if officers and agent.officer not in officers:
        officers = (agent.officer, *officers)
    if not officers and not agencies and kind is Kind.ROOM:
        agencies = (AgencyScope(agent.agency, ()),)
    stewards = params.texts("stewards") or _stewards(work, kind, agencies)
    default = Tlp.RED if officers else Tlp.AMBER
    policy = Policy(
        name=params.text("name"),
        kind=kind,
        agencies=agencies,
        officers=officers,
        stewards=stewards if agent.officer in stewards else (agent.officer, *stewards),
        ceiling=tlp.parse(params.text("ceiling", default.word)),
        renewal=params.number("renewal", RENEWAL),
    )
    known(work, policy)
    topic = await found(work, policy)
    with queued("the conversation"):
        await work.online()
        await work.taken(
            lambda agent: agent.conversation(topic).standing != "founding", params.seconds("timeout", 30.0)
        )
    await work.settled(params.seconds("wait", 10.0), patient=True)
    return summary(work.agent.conversation(topic)) | {"policy": policy_json(policy)}


async def found(work: Work, policy: Policy) -> bytes:
    """Found a conversation; its topic. Raises Conflict where one is called so already."""
    if any(each.name == policy.name for each in work.agent.conversations()):
        raise Conflict(f"you have a conversation called {policy.name} already", hint="choose another name")
    topic: bytes = await work.runtime.do(CreateConversation(policy))
    return topic


async def caught_up(work: Work) -> SecurechanError | None:
    """Read all that the relay has for us. Returns why it could not be asked; a device that has never read anything
    raises that instead."""
    try:
        await work.synced(30.0)
    except (Unreachable, TimedOut, Refused) as e:
        if not work.agent.view.started:
            raise
        return e
    return None


async def acquainted(work: Work, policy: Policy) -> None:
    """As `known`, after the relay was asked about those who are not."""
    try:
        known(work, policy)
    except Untrusted:
        known(work, policy, await caught_up(work))


def known(work: Work, policy: Policy, failed: SecurechanError | None = None) -> None:
    """Returns if trust knows everyone that the policy names. Raises Untrusted: a typing error must not found a
    conversation that somebody else could later enter under that name. ``failed``: why the relay could not be asked."""
    for scope in policy.agencies:
        work.agent.view.agency(scope.agency)
    for officer in {*policy.officers, *policy.stewards}:
        if not work.agent.view.devices_of(officer):
            hint = "check the address: securechan contact ls shows who there is"
            if failed is not None:
                why = failed.message
                hint += f"; the relay could not be asked ({why}), so somebody new is known after: securechan sync"
            raise Untrusted(f"{officer} has no device in this federation", hint=hint, code="unknown-officer")


def _stewards(work: Work, kind: Kind, agencies: tuple[AgencyScope, ...]) -> tuple[str, ...]:
    """Who may change a policy where nobody was named: the founder and, in a community, one officer of each other
    agency, a bulletin desk's rather than an administrator's rather than any."""
    found = [work.agent.officer]
    if kind is not Kind.COMMUNITY:
        return tuple(found)
    for scope in agencies:
        records = [
            each for each in work.agent.view.devices(scope.agency) if not scope.roles or each.roles & {*scope.roles}
        ]
        if scope.agency != work.agent.agency and records:
            best = min(records, key=lambda each: ("desk" not in each.roles, "admin" not in each.roles, each.address))
            found.append(best.address)
    return tuple(found)


def _kind(said: str) -> Kind:
    try:
        return Kind[said.upper()]
    except KeyError:
        raise Malformed(
            f"{said!r} is no kind of conversation", hint="use community, direct or room", code="usage"
        ) from None


def _officers(said: tuple[str, ...]) -> tuple[str, ...]:
    for each in said:
        split_officer(each)
    return tuple(dict.fromkeys(said))


def _scope(said: str) -> AgencyScope:
    agency, _, roles = said.partition(":")
    return AgencyScope(check_agency(agency), tuple(role for role in roles.split(",") if role))


# ----------------------------------------------------------------------------------------------------- joined and left


async def offered(work: Work, said: dict[str, Any]) -> dict[str, Any]:
    """What `accept` would join: ``conversation`` as there; as `ls` gives it, ``waiting`` to be accepted. Where this
    device is in it already, that it isn't. Joins nothing."""
    params = Params(said)
    wanted = params.text("conversation")
    if _joined(work, wanted) is not None:
        return {"waiting": False}
    return _offer(work, await _seen(work, wanted, params.seconds("timeout", 60.0))) | {"waiting": True}


async def accept(work: Work, said: dict[str, Any]) -> dict[str, Any]:
    """Join what was offered: ``conversation`` by its id's beginning or its name, or the officer who offered it;
    ``name`` to call it here; ``offer`` where one was looked at before: another in its place is a Conflict. Where this
    device is in it already, as those of the founder's agency are, it stays."""
    params = Params(said)
    wanted, judged = params.text("conversation"), params.hex("offer", 32)
    name, timeout = params.text("name", ""), params.seconds("timeout", 60.0)
    there = _joined(work, wanted)
    if there is not None:
        return summary(there)
    offer = await _seen(work, wanted, timeout, judged)
    await join(work, offer, judged or digest(offer), name, timeout)
    await work.settled()
    found = work.agent.conversation(offer.topic)
    return summary(found) | {"policy": None if found.policy is None else policy_json(found.policy)}


def _joined(work: Work, wanted: str) -> ConversationSummary | None:
    """The conversation of that name that we are in, unless something else is offered under it."""
    if any(wanted in _called(work, each) for each in (*work.agent.offers(), *work.agent.arriving())):
        return None
    every = work.agent.conversations()
    return next((each for each in every if each.name == wanted and each.standing == "member"), None)


async def _seen(work: Work, wanted: str, timeout: float, judged: bytes = b"") -> Offer:
    """The offer that is meant, who belongs to it seen; of several that of which ``judged`` is the digest. Where its
    tree is still on its way that is waited for. Raises NotFound, Conflict (``ambiguous``), TimedOut
    (``offer-incomplete``)."""
    coming = [each for each in work.agent.arriving() if _fits(work, each, wanted)]
    if coming and not any(_fits(work, each, wanted) for each in work.agent.offers()):
        by = lookup.inviter(work.agent, coming[0])
        try:
            await work.online()
            await work.runtime.until(
                lambda agent: not {each.topic for each in coming} <= {each.topic for each in agent.arriving()}, timeout
            )
        except TimedOut:
            raise TimedOut(
                f"who belongs to what {by} offers can't be seen yet, so it is not joined: its member list has not come",
                hint=f"securechan sync, then again; if it never comes ask {by} to invite you anew",
                code="offer-incomplete",
            ) from None
    return _offered(work, wanted, work.agent.offers(), judged)


def _called(work: Work, offer: Offer) -> tuple[str, ...]:
    """What a person may call it by."""
    return offer.name, offer.by, lookup.inviter(work.agent, offer)


def _fits(work: Work, offer: Offer, said: str) -> bool:
    return said in _called(work, offer) or _is_of(offer, said)


def _is_of(offer: Offer, said: str) -> bool:
    """Whether its id begins so."""
    return len(said) >= lookup.SHORTEST_PREFIX and offer.topic.hex().startswith(said.lower())


async def join(work: Work, offer: Offer, judged: bytes, name: str = "", timeout: float = 60.0) -> None:
    """Accept an offer that was looked at when its digest was ``judged``, and read all that has been said since. One
    with an officer is called by their address, where nothing else is and no ``name`` was given."""
    by = lookup.inviter(work.agent, offer)
    await work.runtime.do(AcceptConversation(offer.topic, name, offer.by, judged))

    def settled(agent: Agent) -> bool:
        """Read to its end; or it came to nothing."""
        here = [each for each in agent.conversations() if each.topic == offer.topic and each.standing == "member"]
        return here[0].synced if here else all(each.topic != offer.topic for each in agent.arriving())

    if not settled(work.agent):
        await work.online()
        await work.runtime.until(settled, timeout)
    found = next((each for each in work.agent.conversations() if each.topic == offer.topic), None)
    if found is None or found.standing != "member":
        raise Invalid(
            f"what {by} offers can't be joined: its invitation does not hold, or another has come in its place",
            hint="securechan read --all says why; look again at what is offered: securechan conversation ls",
            code="offer-unreadable",
        )
    if found.kind == "direct" and not name and not any(each.name == by for each in work.agent.conversations()):
        await work.runtime.do(RenameConversation(offer.topic, by))


async def decline(work: Work, said: dict[str, Any]) -> dict[str, Any]:
    """Forget an offer, one whose member list has not come too."""
    offer = _offered(work, Params(said).text("conversation"), (*work.agent.offers(), *work.agent.arriving()))
    await work.runtime.do(DeclineConversation(offer.topic, offer.by))
    return {"id": offer.topic.hex()}


def _offered(work: Work, said: str, every: tuple[Offer, ...], judged: bytes = b"") -> Offer:
    fitting = [each for each in every if said in _called(work, each)] or [each for each in every if _is_of(each, said)]
    fitting = [each for each in fitting if digest(each) == judged] or fitting
    if len(fitting) > 1:
        raise Conflict(
            f"{len(fitting)} offers fit {said}",
            hint="name one by its id, or by who offers it: "
            + ", ".join(f"{each.topic.hex()[:12]} by {each.by}" for each in fitting),
            code="ambiguous",
        )
    if not fitting:
        raise NotFound(f"nothing of that name was offered: {said[:80]}", hint="securechan conversation ls")
    return fitting[0]


async def leave(work: Work, said: dict[str, Any]) -> dict[str, Any]:
    """Ask to be removed: another member commits it."""
    params = Params(said)
    found = lookup.conversation(work.agent, params.text("conversation"))
    await work.runtime.do(Leave(found.topic))
    await work.online()
    await work.runtime.until(lambda agent: agent.conversation(found.topic).queued == 0, params.seconds("timeout", 60.0))
    return summary(work.agent.conversation(found.topic))


async def succeed(work: Work, said: dict[str, Any]) -> dict[str, Any]:
    """Stewards: found the group in which ``conversation`` goes on, without the devices ``without``; ``reason`` is told
    to its members. The last resort."""
    params = Params(said)
    found = lookup.conversation(work.agent, params.text("conversation"))
    topic = await work.runtime.do(SucceedConversation(found.topic, params.text("reason"), params.texts("without")))
    await work.online()
    await work.at_rest(params.seconds("timeout", 60.0))
    return summary(work.agent.conversation(topic)) | {"succeeds": found.topic.hex()}


async def rename(work: Work, said: dict[str, Any]) -> dict[str, Any]:
    """Call it by another name, here alone."""
    params = Params(said)
    found = lookup.conversation(work.agent, params.text("conversation"))
    await work.runtime.do(RenameConversation(found.topic, params.text("name")))
    return summary(work.agent.conversation(found.topic))


async def policy(work: Work, said: dict[str, Any]) -> dict[str, Any]:
    """Stewards: change who belongs. ``add`` and ``remove`` take agencies (with roles) or officers, whichever the
    policy lists; ``ceiling`` and ``stewards`` replace. With no change: the policy as it is."""
    params = Params(said)
    found = lookup.conversation(work.agent, params.text("conversation"))
    old = found.policy
    if old is None:
        raise NotReady("this conversation has no state here yet", hint="securechan sync, then try again")
    add, remove = params.texts("add"), set(params.texts("remove"))
    agencies, officers = old.agencies, old.officers
    if old.by_officer:
        officers = tuple(each for each in dict.fromkeys((*officers, *_officers(add))) if each not in remove)
    else:
        fresh = {scope.agency: scope for scope in (*agencies, *map(_scope, add))}
        agencies = tuple(scope for name, scope in fresh.items() if name not in remove)
    new = Policy(
        old.name,
        old.kind,
        agencies,
        officers,
        params.texts("stewards") or old.stewards,
        tlp.parse(params.text("ceiling", old.ceiling.word)),
        params.number("renewal", old.renewal),
    )
    if new != old:
        await acquainted(work, new)
        await work.runtime.do(ChangePolicy(found.topic, new))
        await work.online()
        await work.runtime.until(
            lambda agent: agent.conversation(found.topic).policy == new, params.seconds("timeout", 60.0)
        )
    return {"id": found.topic.hex(), "name": found.name, "policy": policy_json(new), "changed": new != old}


async def resume(work: Work, said: dict[str, Any]) -> dict[str, Any]:
    """Go on with a held conversation: a person has looked at the alarm."""
    found = lookup.conversation(work.agent, Params(said).text("conversation"))
    await work.runtime.do(Resume(found.topic))
    return summary(work.agent.conversation(found.topic))


OPERATIONS: Final[dict[str, Operation]] = {
    "ls": ls,
    "show": show,
    "create": create,
    "offered": offered,
    "accept": accept,
    "decline": decline,
    "leave": leave,
    "rename": rename,
    "succeed": succeed,
    "policy": policy,
    "resume": resume,
}
