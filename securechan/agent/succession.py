"""Successors: the one last resort, where a conversation can't go on and its members can.

    old group, wedged ──a steward of its last policy founds──► new group, whose founding names the old one,
                                                               how far it was read, why, and who is left out
    invited ─► has its founder a leaf there? ─ no ─► an invitation like any other
                 └─► is it a steward's? the policy the same? its log ours? ─ no ─► refused, and said
                       └─► joined unasked, under the old name

A conversation is a name over a chain of groups. A successor is no way around the policy: it has the same one, and
whoever is left out of it is named, so that nobody disappears quietly. Nor is it a way in: an agency that lists another
device for a steward, as a thief of its keys would, has no leaf with it, and where membership goes by officers nobody
who vouched for it. Its members join unasked once a day at most; a second one in a day is put to people. Of two
successors of one group the lower id wins, whichever came first; a second one by the same founder is put to people.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final, Protocol

from securechan.agent import past, sending
from securechan.agent.events import ConversationSucceeded
from securechan.agent.founding import Succession, act_of, founder
from securechan.agent.inputs import SucceedConversation
from securechan.agent.policy import Policy
from securechan.agent.state import (
    CONVERSATIONS,
    GROUPS,
    OUTBOX,
    SUCCESSIONS,
    Confirmed,
    Conversation,
    Offer,
    Standing,
    Succeeded,
)
from securechan.agent.turn import Turn
from securechan.bulletin.payload import Attachment, Leave, Payload, Text
from securechan.errors import Denied, Invalid, NotFound, Untrusted
from securechan.mls.group import Group


class Found(Protocol):
    """`joining.found`."""

    def __call__(self, turn: Turn, policy: Policy, *, succeeds: Succession | None = None) -> bytes: ...


DAY: Final = 86400  # seconds in which one conversation moves by itself once


# ----------------------------------------------------------------------------------------------------------- founding


def succeed(turn: Turn, wish: SucceedConversation, found: Found) -> bytes:
    """A steward founds the next group. The answer is its topic. Raises `Denied`, `NotFound`, `Invalid`."""
    old = turn.conversation(wish.conversation)
    group = turn.rows.get(GROUPS, old.topic.hex())
    if group is None:
        raise Denied("of this conversation nothing is left here that another could follow from")
    policy = turn.policy(old.topic)
    _may_found(turn, policy)
    there = {seat.device for seat in turn.seats(old.topic).values()}
    strange = sorted(set(wish.without) - there)
    if strange:
        raise NotFound(f"{strange[0][:100]} has no leaf in {old.name}", hint="see: securechan conversation show")
    if turn.me.device in wish.without:
        raise Invalid("a founder is a member")
    if not wish.reason.strip():
        raise Invalid("a successor needs a reason, which its members are told")
    if turn.rows.get(SUCCESSIONS, old.topic.hex()) is not None:
        raise Denied(f"{old.name} has a successor already", hint="see: securechan conversation ls")
    without = tuple(sorted(set(wish.without)))
    name = old.name
    _step_aside(turn, old)
    act = Succession(old.topic, old.cursor, wish.reason[:200], without)
    new = found(turn, policy, succeeds=act)
    fresh = turn.change(new, name=name, leaving=without)
    if policy.by_officer:
        turn.put(replace(fresh, confirmed=old.confirmed, officers=old.officers))
    _moved(turn, old, new, name, turn.me.device, act)
    return new


def _may_found(turn: Turn, policy: Policy) -> None:
    if turn.me.officer not in policy.stewards:
        raise Denied(f"only its stewards found a successor: {', '.join(policy.stewards[:5])}", code="role-denied")


def _step_aside(turn: Turn, old: Conversation) -> None:
    turn.change(old.topic, name=f"{old.name}~{old.topic.hex()[:8]}")


def _moved(turn: Turn, old: Conversation, new: bytes, name: str, by: str, act: Succession) -> None:
    """The talk goes on there, and with it the words that had not left."""
    turn.rows.put(SUCCESSIONS, old.topic.hex(), Succeeded(new, turn.now, by))
    for row, item in turn.rows.items(OUTBOX):
        body = Payload.decode(item.payload).body if item.topic == old.topic and item.sealed is None else None
        if isinstance(body, Text | Attachment):
            turn.rows.put(OUTBOX, row, replace(item, topic=new))
    turn.emit(ConversationSucceeded(new, old.topic, name, by, act.reason, act.without))


# ------------------------------------------------------------------------------------------------------------ joining


def vouched(turn: Turn, offer: Offer, group: Group, policy: Policy) -> bool | None:
    """Whether the group's own past lets us join it unasked; None where it succeeds nothing that we know. Raises
    `Untrusted` where it claims a past that isn't so."""
    claim = _claim(turn, offer, group, policy)
    if claim is None:
        return None
    old, by, _succeeds = claim
    rival = turn.rows.get(SUCCESSIONS, old.topic.hex())
    if rival is not None and rival.topic != offer.topic:
        _lower(old, rival, offer)
        return rival.by != by
    came = [each for each in turn.rows.all(SUCCESSIONS).values() if each.topic == old.topic]
    return not came or came[0].since + DAY <= turn.now


def _lower(old: Conversation, rival: Succeeded, offer: Offer) -> None:
    if rival.topic < offer.topic:
        raise Untrusted(f"{old.name} has another successor, of a lower id", code="other-successor")


def _claim(turn: Turn, offer: Offer, group: Group, policy: Policy) -> tuple[Conversation, str, Succession] | None:
    """The conversation of ours that a group goes on for, its founder's device, and what that says; None where it
    succeeds nothing that we know, or its founder has no place there. Raises `Untrusted`, or what makes the founding
    worthless, where that isn't so."""
    act = act_of(group.context_extensions)
    succeeds = None if act is None else act.succeeds
    if act is None or succeeds is None or turn.rows.get(GROUPS, succeeds.topic.hex()) is None:
        return None
    old = turn.rows.get(CONVERSATIONS, succeeds.topic.hex())
    if old is None or old.topic == offer.topic:
        return None
    by = founder(group.context_extensions, offer.topic, policy.name, turn.view)
    officer = turn.view.device(by).address
    last = turn.policy(old.topic)
    seated = any(seat.device == by for seat in turn.seats(old.topic).values())
    if not seated or (last.by_officer and Confirmed(by, act.key) not in old.confirmed):
        return None
    known = past.chains(turn.rows, old)
    same_log = known.get(succeeds.last.sequence, succeeds.last.chain) == succeeds.last.chain
    for holds, what in (
        (officer in last.stewards, f"{officer} is no steward of it"),
        (policy == last, "it has another policy"),
        (same_log, "its founder has read another log"),
    ):
        if not holds:
            raise Untrusted(f"it claims to succeed {old.name}, but {what}", code="no-successor")
    return old, by, succeeds


def take_over(turn: Turn, offer: Offer, group: Group, policy: Policy) -> str:
    """We join a successor: the name that it has here, empty where it succeeds nothing that we know."""
    claim = _claim(turn, offer, group, policy)
    if claim is None:
        return ""
    old, by, succeeds = claim
    name, rival = old.name, turn.rows.get(SUCCESSIONS, old.topic.hex())
    if rival is not None and rival.topic != offer.topic:
        _lower(old, rival, offer)
        other = turn.conversation(rival.topic)
        name = other.name
        _step_aside(turn, other)
        if other.standing is Standing.MEMBER:
            sending.queue(turn, other.topic, Leave())
    elif rival is None:
        _step_aside(turn, old)
    _moved(turn, old, offer.topic, name, by, succeeds)
    return name
