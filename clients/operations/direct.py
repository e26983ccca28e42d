"""The conversation of two officers, found for who writes to the other.

    it is there ──► that one
    else the relay is asked ──► the other offers one ──► joined: to write to them is to accept it
                            └─► a new one, called by the other's address

So that two who write to each other at once, or one after the other, talk in one place. What an officer offers is joined
only where its policy, seen before, names the two and nobody else; whatever else is offered waits for a person.
"""

from __future__ import annotations

from clients.operations import lookup
from clients.operations.conversation import caught_up, join, known
from clients.operations.engine import Work
from securechan.agent.inputs import CreateConversation, RenameConversation
from securechan.agent.joining import digest
from securechan.agent.look import policy_of_offer
from securechan.agent.policy import RENEWAL, Kind, Policy
from securechan.bulletin.tlp import Tlp
from securechan.errors import Conflict, Malformed, SecurechanError
from securechan.trust.names import split_officer


async def direct(work: Work, officer: str) -> bytes:
    """Its topic. Where none is there yet the relay is asked, if it answers: the other may have offered one meanwhile,
    or may be new. Raises Malformed, Untrusted, Conflict (``offered``), and what keeps from joining."""
    split_officer(officer)
    me = work.agent.officer
    if officer == me:
        raise Malformed("that is you", hint="name another officer", code="usage")
    topic, failed = _shared(work, officer), None
    if topic is None:
        failed = await caught_up(work)
        topic = _shared(work, officer) or await _taken_up(work, officer, failed)
    if topic is not None:
        return topic
    officers = tuple(sorted((me, officer)))
    policy = Policy(" and ".join(officers)[:64], Kind.DIRECT, (), officers, officers, Tlp.RED, RENEWAL)
    known(work, policy, failed)
    founded: bytes = await work.runtime.do(CreateConversation(policy))
    if not any(each.name == officer for each in work.agent.conversations()):
        await work.runtime.do(RenameConversation(founded, officer))
    return founded


def _shared(work: Work, officer: str) -> bytes | None:
    """The direct conversation with an officer, where there is one."""
    return next((each.topic for each in work.agent.conversations() if _of_two(work, each.policy, officer)), None)


def _of_two(work: Work, policy: Policy | None, officer: str) -> bool:
    both = {work.agent.officer, officer}
    return policy is not None and policy.kind is Kind.DIRECT and set(policy.officers) == both


async def _taken_up(work: Work, officer: str, failed: SecurechanError | None) -> bytes | None:
    """Join the direct conversation that an officer offers, if there is one; none but the two may belong to it, before
    and after. ``failed``: why the relay could not be asked. Raises that, and Conflict where it can't be that one."""
    offers = [
        (each, digest(each))  # taken with what is judged: what may come in its place later is another
        for each in work.agent.offers()
        if lookup.inviter(work.agent, each) == officer and _of_two(work, policy_of_offer(each), officer)
    ]
    if not offers:
        return None
    if failed is not None:
        raise failed
    if len(offers) == 1:
        await join(work, *offers[0])
        topic = _shared(work, officer)
        if topic is not None:
            return topic
    raise Conflict(
        f"{officer} offers you a conversation, and it is not plain that it is one of you two alone",
        hint="look at them with securechan conversation ls and show; name one by its id",
        code="offered",
    )
