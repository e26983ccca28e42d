"""Coming in: how a conversation is founded, offered, joined, and joined again.

    WELCOME letter ──► offer row ──(own agency? bound by trust? asked for? accepted?)──► tree here? ──► join ──► member

A Welcome is an invitation, no more. It is taken unasked only where something vouches for it: the federation's targets
bind that community's name to this group or to its founder, the inviter is of our own agency, or we had asked to be
added again. Otherwise people decide. Names are local: what a group calls itself is a proposal, and two groups of one
name stay two conversations. So are two invitations to one topic by two inviters: neither takes the other's place, for
whoever was a member once can write one to a group of its own making that looks like the true one. What is joined is
what was looked at (`digest`). Only the relay can tell the two apart: it knows no secret of a false one, and where
nothing of a log was read the next invitation may start anywhere.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection
from dataclasses import replace
from typing import Final

from securechan.agent import blobs, commits, packages, past, sending, succession
from securechan.agent.asks import Created
from securechan.agent.events import AlarmKind, ConversationJoined, ConversationOffered
from securechan.agent.founding import Founding, Succession, founder
from securechan.agent.inputs import AcceptConversation
from securechan.agent.letters import WelcomeLetter
from securechan.agent.membership import admitted
from securechan.agent.policy import Kind, Officer, Policy, agency_of, policy_of, seats_of
from securechan.agent.state import (
    CONVERSATIONS,
    GROUPS,
    OFFERS,
    PACKAGES,
    Confirmed,
    Conversation,
    Hold,
    Offer,
    Purpose,
    Standing,
)
from securechan.agent.turn import Turn, access_hash, access_secret
from securechan.errors import Conflict, Denied, Invalid, NotFound, SecurechanError
from securechan.mls.group import Group
from securechan.mls.keypackage import KeyPackageBundle
from securechan.mls.message import MLSMessage
from securechan.mls.welcome import Welcome
from securechan.trust.records import DeviceRecord, key_hash
from securechan.wire.chain import Position, start
from securechan.wire.frames import CreateTopic

MOST_OFFERS: Final = 100
MOST_OFFERS_OF_ONE: Final = 20  # agency
MOST_CONVERSATIONS: Final = 1000


# -------------------------------------------------------------------------------------------------------- founding


def found(turn: Turn, policy: Policy, *, succeeds: Succession | None = None) -> bytes:
    """Begin a conversation of one; reconciliation brings in who belongs. Raises `Invalid`, `Denied`, `Conflict`."""
    policy.check()
    if turn.agency not in policy.agency_names():
        raise Invalid("the policy doesn't name your own agency", hint="add it: a founder is a member")
    if policy.by_officer and turn.me.officer not in policy.officers:
        raise Invalid("the policy doesn't name you", hint=f"add {turn.me.officer}: a founder is a member")
    if len(turn.rows.all(CONVERSATIONS)) >= MOST_CONVERSATIONS:
        raise Conflict(f"{MOST_CONVERSATIONS} conversations are as many as a device may hold")
    if any(each.name == policy.name and each.standing is not Standing.GONE for each in turn.conversations()):
        raise Conflict(f"you have a conversation called {policy.name} already", hint="choose another name")
    unknown = policy.agency_names() - set(turn.view.agencies)
    if unknown:
        raise NotFound(f"{', '.join(sorted(unknown))} is no agency of this federation", hint="check the names, or sync")
    for officer in (*policy.officers, *policy.stewards):
        if not turn.view.devices_of(officer) and officer != turn.me.officer:
            raise NotFound(f"{officer} has no device in this federation", hint="check the name, or sync")
    topic = turn.random(32)
    _give_way(turn, topic, policy.name)
    group = Group.create(
        turn.suite,
        topic,
        turn.leaf_keys(turn.signing),
        now=turn.now,
        extensions=(
            policy.extension(),
            Founding.sign(topic, policy.name, turn.me.device, turn.signing.private, succeeds).extension(),
        ),
        leaf_extensions=(Officer(turn.me.officer).extension(),),
        capabilities=packages.capabilities(turn),
    )
    turn.rows.put(GROUPS, topic.hex(), group)
    turn.put(blank(turn, topic, policy.name, Standing.FOUNDING, start(topic), 0, turn.trust_position))
    if policy.by_officer:
        key = Confirmed(turn.me.device, key_hash(turn.signing.public))
        turn.change(topic, officers=(turn.me.officer,), confirmed=(key,))
    create(turn, topic)
    return topic


def create(turn: Turn, topic: bytes) -> None:
    """Make the topic at the relay; asked again at each connection until it is there."""
    if turn.able:
        turn.send(CreateTopic(topic, access_hash(access_secret(turn.group(topic)))), Created(topic))


def created(turn: Turn, topic: bytes) -> None:
    """The topic is there."""
    if turn.conversation(topic).standing is Standing.FOUNDING:
        turn.change(topic, standing=Standing.MEMBER)
        sending.follow(turn, topic)


def blank(
    turn: Turn, topic: bytes, name: str, standing: Standing, cursor: Position, last_commit: int, trust: Position
) -> Conversation:
    """A conversation of which nothing has been read yet."""
    return Conversation(
        topic=topic,
        name=name,
        standing=standing,
        cursor=cursor,
        last_commit=last_commit,
        commit_trust=trust,
        history=past.begun(cursor),
        accesses=(),
        mend=0,
        renewed=turn.now,
        committed=turn.now,
        heard=turn.now,
        spoke=turn.now,
        confirmed=(),
        officers=(),
        leaving=(),
        returning=(),
        heeded=(),
        intruders=(),
        asked=(),
        owed=(),
        wanted=b"",
        rotate=0,
        hold=Hold.NO,
        claims=(),
        seen=b"",
        unread=0,
        read=0,
        announced=(),
        alarmed=(),
    )


# ---------------------------------------------------------------------------------------------------------- joining


def invited(turn: Turn, letter: WelcomeLetter, by: DeviceRecord) -> None:
    """A WELCOME letter, its sender verified. Raises a `SecurechanError` where it can't be for us."""
    reference_of(turn, letter.welcome)
    known, row = turn.rows.get(CONVERSATIONS, letter.topic.hex()), offer_row(letter.topic, by.name)
    if known is not None and letter.base.sequence <= _reached(known):
        raise Invalid("an invitation to where we are already")
    if turn.rows.get(OFFERS, row) is None:
        _make_room(turn, by.agency)
    offer = Offer(
        letter.topic,
        by.name,
        letter.base,
        letter.trust,
        letter.welcome,
        letter.tree,
        letter.blob,
        0,
        "",
        turn.now,
        letter.officers,
        letter.leaving,
        letter.intruders,
        b"",
    )
    turn.rows.put(OFFERS, row, offer)
    blobs.forget(turn, Purpose.TREE, row)  # that of an earlier one
    if letter.blob is not None:
        blobs.get(turn, letter.blob, Purpose.TREE, letter.topic, row)
    else:
        _consider(turn, row)


def _make_room(turn: Turn, agency: str) -> None:
    """One agency's offers push out its own before they push out another's."""
    offers = list(turn.rows.items(OFFERS))
    theirs = [pair for pair in offers if agency_of(pair[1].by) == agency]
    if len(theirs) >= MOST_OFFERS_OF_ONE or len(offers) >= MOST_OFFERS:
        oldest = min(theirs or offers, key=lambda pair: pair[1].received)[0]
        turn.rows.drop(OFFERS, oldest)


def offer_row(topic: bytes, by: str) -> str:
    """The row of an offer: one for each inviter."""
    return f"{topic.hex()}:{by}"


def _offers(turn: Turn, topic: bytes, by: str = "") -> list[tuple[str, Offer]]:
    """What was offered of one topic, by anybody or by one device."""
    return [(row, each) for row, each in turn.rows.items(OFFERS) if each.topic == topic and (not by or each.by == by)]


def _reached(known: Conversation) -> int:
    """How far its log was really read: where it was joined is the word of whoever wrote the Welcome."""
    return known.cursor.sequence if past.read_on(known) else 0


def tree_here(turn: Turn, row: str, tree: bytes) -> None:
    """The ratchet tree of an offer has been fetched."""
    offer = turn.rows.get(OFFERS, row)
    if offer is not None:
        turn.rows.put(OFFERS, row, replace(offer, tree=tree, blob=None))
        _consider(turn, row)


def consider(turn: Turn, topic: bytes) -> None:
    """Look anew at what was offered of this topic, the newest first."""
    for row, _ in sorted(_offers(turn, topic), key=lambda pair: pair[1].received, reverse=True):
        _consider(turn, row)


def _consider(turn: Turn, row: str) -> None:
    """Everything for joining is here: join if somebody vouches for it, else put it to people. A conversation that we
    are a member of goes on as it is: first its log has to say that we are out."""
    offer = turn.rows.get(OFFERS, row)
    if offer is None or offer.blob is not None:
        return
    topic = offer.topic
    known = turn.rows.get(CONVERSATIONS, topic.hex())
    if known is not None and known.standing is Standing.MEMBER:
        return
    try:
        group, package = _open(turn, offer)
        policy = policy_of(group.context_extensions)
        if offer.policy and offer.policy != policy.encode():  # a Welcome may open otherwise for another of our keys
            raise Invalid("it leads to another group than it did")
        if offer.accepted or _vouched(turn, offer, group, policy):
            _enter(turn, offer, group, policy, package)
            return
    except SecurechanError as error:
        turn.rows.drop(OFFERS, row)
        text = f"an invitation by {offer.by} can't be followed: {error.message}"
        turn.alarm(AlarmKind.BAD_LETTER, text, topic=topic, who=offer.by)
        return
    if not offer.policy:
        turn.rows.put(OFFERS, row, replace(offer, policy=policy.encode(), name=offer.name or policy.name))
        members = tuple(sorted(seat.device for seat in seats_of(group).values()))
        turn.emit(ConversationOffered(topic, policy.name, offer.by, members[:200]))


def digest(offer: Offer) -> bytes:
    """What an offer is, 32 bytes: everything that its letter said. The tree, which may come later, is not in it: the
    Welcome names its hash (RFC 9420 §12.4.3.1), and with that whoever is in the group."""
    said = replace(offer, tree=b"", blob=None, accepted=0, name="", received=0, policy=b"")
    return hashlib.sha256(said.encode()).digest()


def _open(turn: Turn, offer: Offer) -> tuple[Group, str]:
    row = reference_of(turn, offer.welcome)
    bundle = KeyPackageBundle.decode(turn.rows.need(PACKAGES, row).bundle)
    group = Group.join(offer.welcome, bundle, now=turn.now, ratchet_tree=offer.tree, suite=turn.suite, each=turn.each)
    if group.group_id != offer.topic:
        raise Invalid("the Welcome opens another group than the letter names")
    if all(seat.device != offer.by for seat in seats_of(group).values()):
        raise Invalid("who invites has no leaf in the group")
    return group, row


def reference_of(turn: Turn, welcome: bytes) -> str:
    """The row of our key package that a Welcome uses. Raises `NotFound`, `Malformed`."""
    body = MLSMessage.decode(welcome).body
    if not isinstance(body, Welcome):
        raise Invalid("an invitation without a Welcome")
    for secrets in body.secrets:
        if turn.rows.get(PACKAGES, secrets.new_member.hex()) is not None:
            return secrets.new_member.hex()
    raise NotFound("an invitation by a key package that isn't ours, or that was used")


def _vouched(turn: Turn, offer: Offer, group: Group, policy: Policy) -> bool:
    known = turn.rows.get(CONVERSATIONS, offer.topic.hex())
    if known is not None and offer.by in known.asked and offer.base.sequence > _reached(known):
        return True
    succeeds = succession.vouched(turn, offer, group, policy)
    if succeeds is not None:
        return succeeds
    if agency_of(offer.by) == turn.agency:
        return True
    return policy.kind is Kind.COMMUNITY and _bound(turn, offer, group, policy.name)


def _bound(turn: Turn, offer: Offer, group: Group, name: str) -> bool:
    """Whether the federation binds this community name to this group, or to who founded it."""
    binding = turn.view.communities.get(name) if turn.view.started else None
    if binding is None:
        return False
    if binding.group is not None:
        return binding.group == offer.topic
    try:
        return founder(group.context_extensions, offer.topic, name, turn.view) in binding.founders
    except SecurechanError:
        return False


def accept(turn: Turn, wish: AcceptConversation) -> None:
    """A person accepts an offer. Raises `NotFound`, `Conflict` (``offer-changed`` where it is not what was judged)."""
    topic, name = wish.conversation, wish.name
    found = _offers(turn, topic, wish.by)
    if not found:
        raise NotFound("no such offer", hint="list them with: securechan conversation ls")
    if len(found) > 1:
        inviters = ", ".join(each.by for _, each in found)
        raise Conflict(f"{inviters} offer this conversation, perhaps not the same", hint="say whose offer you accept")
    known = turn.rows.get(CONVERSATIONS, topic.hex())
    if known is not None and known.standing is Standing.MEMBER:
        raise Conflict(f"you are a member of {known.name} already")
    if name and any(each.name == name for each in turn.conversations()):
        raise Conflict(f"you have a conversation called {name} already", hint="choose another name")
    row, offer = found[0]
    if wish.judged and wish.judged != digest(offer):
        raise Conflict(
            f"{offer.by} has put another invitation in the place of the one that was looked at: nothing is joined",
            hint="look at it again, who belongs to it above all: securechan conversation ls, then accept",
            code="offer-changed",
        )
    turn.rows.put(OFFERS, row, replace(offer, accepted=1, name=name or offer.name))
    _consider(turn, row)


def bury(turn: Turn, revoked: Collection[str]) -> None:
    """What a device offered that has been revoked since is offered by nobody. What a person has accepted stands: the
    group is its members', and they have put the device out."""
    for row, offer in list(turn.rows.items(OFFERS)):
        if offer.by in revoked and not offer.accepted:
            turn.rows.drop(OFFERS, row)


def decline(turn: Turn, topic: bytes, by: str) -> None:
    """Forget what was offered, by the device ``by`` or by anybody; the others learn of it when we are asked to leave
    the tree. Raises `NotFound`."""
    found = _offers(turn, topic, by)
    if not found:
        raise NotFound("no such offer")
    for row, _ in found:
        turn.rows.drop(OFFERS, row)


def _enter(turn: Turn, offer: Offer, group: Group, policy: Policy, package: str) -> None:
    topic = offer.topic
    known = turn.rows.get(CONVERSATIONS, topic.hex())
    if known is None and len(turn.rows.all(CONVERSATIONS)) >= MOST_CONVERSATIONS:
        raise Denied(f"{MOST_CONVERSATIONS} conversations are as many as a device may hold")
    commits.forget(turn, topic)
    name = known.name if known is not None else ""
    name = name or succession.take_over(turn, offer, group, policy) or _local_name(turn, offer, group, policy)
    fresh = blank(turn, topic, name, Standing.MEMBER, offer.base, offer.base.sequence, offer.trust)
    if known is not None:
        fresh = replace(fresh, seen=known.seen, unread=known.unread, read=known.read, heeded=known.heeded)
    if policy.by_officer:
        there = seats_of(group).values()
        strange = {each for each in offer.intruders if each != turn.me.device}
        intruders = tuple(sorted(seat.device for seat in there if seat.device in strange))
        good = [
            each
            for each in there
            if each.device not in strange and admitted(each, turn.view, turn.now, turn.suite.name)
        ]
        officers = {seat.officer for seat in there} | set(offer.officers)
        confirmed = tuple(Confirmed(seat.device, key_hash(seat.key)) for seat in good)
        fresh = replace(fresh, officers=tuple(sorted(officers)), confirmed=confirmed, intruders=intruders)
    turn.rows.put(GROUPS, topic.hex(), group)
    turn.put(replace(fresh, leaving=tuple(each for each in offer.leaving if each != turn.me.device)))
    turn.rows.drop(OFFERS, offer_row(topic, offer.by))
    packages.used(turn, package)
    turn.session_forget(topic)
    again = known is not None
    turn.emit(ConversationJoined(topic, name, offer.by, group.epoch, offer.base.sequence, again))
    sending.reseal(turn, topic)
    sending.follow(turn, topic)


def _local_name(turn: Turn, offer: Offer, group: Group, policy: Policy) -> str:
    """What it is called here. A name that people rely on isn't had for the asking: one that the federation binds is
    for what it is bound to, an officer's address for a conversation with that officer. Whatever else asks for such a
    name, or for one that is taken, gets the beginning of its id beside it."""
    wanted, chosen = offer.name or policy.name, bool(offer.accepted) and offer.name not in ("", policy.name)
    others = set(policy.officers) - {turn.me.officer}
    if policy.kind is Kind.DIRECT and len(others) == 1 and "@" in wanted and not chosen:
        wanted, chosen = others.pop(), True
    rightful = _bound(turn, offer, group, wanted)
    if rightful:
        _give_way(turn, offer.topic, wanted)
    taken = any(each.name == wanted and each.topic != offer.topic for each in turn.conversations())
    bound = turn.view.started and wanted in turn.view.communities
    reserved = ("@" in wanted and not chosen) or (bound and not rightful)
    return f"{wanted}~{offer.topic.hex()[:8]}" if taken or reserved else wanted


def _give_way(turn: Turn, topic: bytes, name: str) -> None:
    """What came to its end under this name leaves it to what follows."""
    for each in list(turn.conversations()):
        if each.name == name and each.topic != topic and each.standing in (Standing.FROZEN, Standing.GONE):
            turn.change(each.topic, name=f"{name}~{each.topic.hex()[:8]}")
