"""Reading a conversation's log: entry by entry, in order, each to one verdict that every member shares.

    entry ─┬─ our own commit, byte for byte ──────────► adopted (commits.adopt)
           ├─ our own payload, byte for byte ─────────► sent
           └─ anything else ─► group.receive ─┬─ Application ► payloads
                                              ├─ Committed ► permitted? trust stands? ─► applied, or void
                                              ├─ Removed ► we are out
                                              ├─ CannotFollow ► frozen, and a member is asked to add us again
                                              ├─ Own ► a clone of us speaks (proven), or somebody replays us
                                              └─ Past, Future, Proposed, Void ► void

Void is what counts for nobody: skipped, and reported with its signer. An epoch is closed by the first commit that is
not void; what stands after it and belongs to the closed epoch is void too, which is why nothing is lost when an honest
payload comes too late: its sender reads the same log and seals it again.

A commit may name a trust position that we haven't read yet. Then the log waits, right there, until trust has been read
that far, or the relay's signed head shows that its trust log doesn't go that far.
"""

from __future__ import annotations

from typing import Final, assert_never

from securechan.agent import claims, commits, payloads, recovery, sending
from securechan.agent.asks import Comparing
from securechan.agent.claims import Claim
from securechan.agent.events import AlarmKind, Synced
from securechan.agent.founding import FOUNDING
from securechan.agent.policy import Change, permit, policy_of, seats
from securechan.agent.state import CONVERSATIONS, PENDING, Conversation, Standing
from securechan.agent.turn import Turn
from securechan.errors import Invalid, SecurechanError
from securechan.mls.extensions import find
from securechan.mls.group import Group
from securechan.mls.outcomes import (
    Application,
    CannotFollow,
    Committed,
    Future,
    Own,
    Past,
    Proposed,
    Removed,
    Void,
)
from securechan.mls.receive import peek
from securechan.mls.registry import ContentType
from securechan.wire.chain import Position, advance
from securechan.wire.frames import TRUST_TOPIC, Entries, Entry, EntryKind, GetHeads, Halt

_IN_THE_CLEAR: Final = b"\x00\x01\x00\x01"  # version mls10, wire format PublicMessage: not in our profile (SPEC.md)
MOST_WAITING: Final = 2048  # entries that wait for trust; an honest relay stops at a commit, so it is a handful


def on_entries(turn: Turn, frame: Entries) -> None:
    """A run of entries of a conversation."""
    conversation = turn.rows.get(CONVERSATIONS, frame.topic.hex())
    if conversation is None or conversation.standing is not Standing.MEMBER:
        return
    live = turn.live(frame.topic)
    waiting = (*live.waiting, *frame.entries)
    if len(waiting) > MOST_WAITING:
        turn.reconnect("the relay sent more than was asked for")
        return
    turn.set_live(frame.topic, waiting=waiting, halt=frame.halt)
    go_on(turn, frame.topic)


def go_on(turn: Turn, topic: bytes) -> None:
    """Read what has come, as far as it can be read now."""
    while (live := turn.live(topic)).waiting:
        conversation = turn.conversation(topic)
        if conversation.standing is not Standing.MEMBER:
            turn.set_live(topic, waiting=())
            return
        entry = live.waiting[0]
        if entry.sequence > conversation.cursor.sequence:
            if not _trust_read(turn, conversation, entry):
                return
            _read(turn, conversation, entry)
        turn.set_live(topic, waiting=turn.live(topic).waiting[1:])
    conversation = turn.conversation(topic)
    if conversation.standing is not Standing.MEMBER:
        return
    match turn.live(topic).halt:
        case Halt.SHOW | Halt.END:
            turn.set_live(topic, halt=Halt.MORE)
            sending.show(turn, topic)
        case Halt.TAIL if not turn.live(topic).synced:
            turn.set_live(topic, synced=True)
            turn.emit(Synced(topic, conversation.cursor.sequence))
        case _:
            pass


def _trust_read(turn: Turn, conversation: Conversation, entry: Entry) -> bool:
    """Whether trust has been read as far as this entry's verdict needs."""
    if entry.kind is not EntryKind.COMMIT:
        return True
    try:
        seen = peek(entry.body)
        claim = Claim.decode(seen.authenticated_data)
    except SecurechanError:
        return True
    if seen.content_type is not ContentType.COMMIT or seen.epoch != turn.group(conversation.topic).epoch:
        return True
    needed, read = claim.trust.sequence, turn.trust_position.sequence
    if needed <= read:
        return True
    doubt, head = turn.session.doubts.get(conversation.topic, (entry, -1))
    if doubt.sequence == entry.sequence and head >= 0:
        return head < needed and head <= read  # the relay has signed that its trust log ends before: the claim is false
    turn.set_session(doubts={**turn.session.doubts, conversation.topic: (entry, -1)})
    turn.send(GetHeads((TRUST_TOPIC,)), Comparing())
    return False


# ------------------------------------------------------------------------------------------------------- one entry


def _read(turn: Turn, conversation: Conversation, entry: Entry) -> None:
    topic = conversation.topic
    position = advance(conversation.cursor, entry.kind, entry.entry_id, entry.sequence, entry.body)
    pending = turn.rows.get(PENDING, topic.hex())
    group = turn.group(topic)
    if pending is not None and entry.kind is EntryKind.COMMIT and entry.body == pending.commit:
        if pending.epoch == group.epoch:
            commits.adopt(turn, conversation, pending, entry, position)
            return
    elif sending.is_ours(turn, conversation, entry, group.epoch):
        turn.move(topic, entry, position)
        payload = sending.sent(turn, topic, entry)
        payloads.take(turn, topic, entry, sending.own_seat(turn, topic), payload, own=True, marked=False)
        return
    _judge(turn, conversation, group, entry, position)


def _judge(turn: Turn, conversation: Conversation, group: Group, entry: Entry, position: Position) -> None:
    topic = conversation.topic
    if entry.body[:4] == _IN_THE_CLEAR:
        _void(turn, conversation, entry, position, "sent in the clear", None)
        return
    outcome = group.receive(entry.body)
    match outcome:
        case Application():
            if entry.kind is not EntryKind.APPLICATION:
                _void(turn, conversation, entry, position, "a payload in the place of a commit", outcome.sender)
                return
            turn.set_group(topic, outcome.group)
            seat = turn.seats(topic)[int(outcome.sender)]
            turn.move(topic, entry, position)
            turn.change(topic, heard=turn.now)
            marked = claims.hear(turn, turn.conversation(topic), entry.sequence, outcome.authenticated_data, seat)
            payloads.receive(turn, topic, entry, seat, outcome.plaintext, marked=marked)
        case Committed():
            _commit(turn, conversation, group, outcome, entry, position)
        case Removed(committer, data, has_path):
            try:
                _check_place(turn, conversation, entry, data, has_path)
            except SecurechanError as error:
                _void(turn, conversation, entry, position, error.message, int(committer))
                return
            by = turn.seats(topic)[int(committer)].device
            turn.move(topic, entry, position)
            commits.gone(turn, topic, by, entry.sequence)
        case CannotFollow(reason, signer, data, has_path):
            try:
                _check_place(turn, conversation, entry, data, has_path)
            except SecurechanError as error:
                _void(turn, conversation, entry, position, error.message, signer)
                return
            who = turn.seats(topic)[int(signer)].device if signer is not None else "nobody we know"
            text = f"{who} made a commit that others can follow and we can't: {reason}"
            turn.alarm(AlarmKind.CANNOT_FOLLOW, text, topic=topic, who=who, entry=entry.sequence)
            recovery.freeze(turn, topic, text)
        case Own(_, _, proven):
            if proven:
                turn.move(topic, entry, position)
                recovery.rolled_back(turn, topic, entry.sequence)
            else:
                _own_again(turn, conversation, entry, position)
        case Past() | Future():
            turn.move(topic, entry, position)
        case Proposed(_, sender, _, _, _):
            _void(turn, conversation, entry, position, "a proposal of its own", sender)
        case Void(reason, rule, signer):
            _void(turn, conversation, entry, position, f"{reason} ({rule})" if rule else reason, signer)
        case _:
            assert_never(outcome)


def _own_again(turn: Turn, conversation: Conversation, entry: Entry, position: Position) -> None:
    """It claims to be ours, of a generation that we have used. What we remember having sealed is a replay; anything
    else may be a clone of this device, or a member who plays one, and proves neither."""
    if sending.was_sealed(turn, conversation.topic, entry.body):
        _void(turn, conversation, entry, position, "a repetition of what we said", None)
        return
    turn.move(conversation.topic, entry, position)
    turn.alarm(
        AlarmKind.CLONE,
        "an entry claims to be ours and we did not send it: another copy of this device, or a member's forgery",
        topic=conversation.topic,
        who=turn.me.device,
        entry=entry.sequence,
    )


def _check_place(turn: Turn, conversation: Conversation, entry: Entry, data: bytes, has_path: bool) -> Claim:
    """The void rule, as far as it needs nothing of the next epoch. Raises `Invalid` or `Malformed`."""
    if entry.kind is not EntryKind.COMMIT:
        raise Invalid("a commit that isn't a commit entry", rule="void rule: kind of entry")
    if not has_path:
        raise Invalid("a commit without a path renews nothing", rule="void rule: path")
    claim = Claim.decode(data)
    claims.stands_in_trust(turn, claim.trust, conversation.commit_trust)
    return claim


def _commit(
    turn: Turn, conversation: Conversation, group: Group, made: Committed, entry: Entry, position: Position
) -> None:
    topic = conversation.topic
    before = seats(group.members())
    try:
        claim = _check_place(turn, conversation, entry, made.authenticated_data, made.has_path)
        if made.external:
            raise Invalid("nobody lets themselves in here", rule="void rule: external commit")
        if made.group.state.reinit is not None:
            raise Invalid("a conversation is not moved elsewhere by one of its members", rule="void rule: reinit")
        if {change.leaf for change in made.updated} - {made.committer}:
            raise Invalid("a commit of others' updates", rule="void rule: updates by value only")
        if find(group.context_extensions, FOUNDING) != find(made.group.context_extensions, FOUNDING):
            raise Invalid("who founded a conversation is not changed", rule="void rule: founding")
        old, new = policy_of(group.context_extensions), policy_of(made.group.context_extensions)
        permit(
            Change(
                int(made.committer),
                before,
                seats(made.group.members()),
                tuple(int(leaf) for leaf in made.added),
                tuple(int(leaf) for leaf, _ in made.removed),
                old,
                new,
                made.has_path,
            )
        )
    except SecurechanError as error:
        _void(turn, conversation, entry, position, error.message, int(made.committer))
        return
    seat = before[int(made.committer)]
    # A false claim about the log raises its alarm, and the commit is applied all the same: to refuse it would fork.
    claims.hear(turn, conversation, entry.sequence, made.authenticated_data, seat)
    turn.change(topic, heard=turn.now)
    commits.apply(turn, topic, made, claim, entry, position)


def _void(
    turn: Turn, conversation: Conversation, entry: Entry, position: Position, reason: str, signer: int | None
) -> None:
    topic = conversation.topic
    seat = turn.seats(topic).get(int(signer)) if signer is not None else None
    who = seat.device if seat is not None else ""
    turn.move(topic, entry, position)
    text = f"entry {entry.sequence} by {who or 'nobody we can name'} counts for nobody: {reason}"
    turn.alarm(AlarmKind.VOID, text, topic=topic, who=who, entry=entry.sequence)
