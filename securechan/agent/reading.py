"""Reading a conversation's log: entry by entry, in order, each to one verdict that every member shares.

    entry ─┬─ our own commit, byte for byte ──────────► adopted (commits.adopt)
           ├─ our own payload, byte for byte ─────────► sent
           └─ anything else ─► group.receive ─┬─ Application ► payloads
                                              ├─ Committed ► permitted? trust stands? ─► applied, or void
                                              ├─ Removed ► we are out, if something explains it; else frozen
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

from dataclasses import replace
from typing import Final, assert_never

from securechan.agent import claims, commits, payloads, recovery, sending
from securechan.agent.asks import Doubting
from securechan.agent.claims import Claim
from securechan.agent.events import AlarmKind, Synced
from securechan.agent.founding import FOUNDING
from securechan.agent.membership import admitted, belongs, key_hash
from securechan.agent.policy import Change, permit, policy_of, seats, seats_of
from securechan.agent.state import BURIED, CONVERSATIONS, PENDING, Conversation, Owed, Standing
from securechan.agent.turn import Turn
from securechan.errors import Invalid, SecurechanError
from securechan.mls.commit import Effects
from securechan.mls.extensions import find
from securechan.mls.group import Group, Member
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
    if topic in turn.session.doubts:
        turn.set_session(doubts={each: doubt for each, doubt in turn.session.doubts.items() if each != topic})
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
    turn.send(GetHeads((TRUST_TOPIC,)), Doubting())
    turn.wake(turn.now + 1)
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
            seat = turn.seats(topic)[int(outcome.sender)]
            if payloads.repeated(turn, topic, seat, outcome.plaintext):
                # Any member could have made this of what was said before. Were its key spent on it, the next thing that
                # its sender says would be lost on us; so nothing is.
                _void(turn, conversation, entry, position, f"a repetition of what {seat.device} said", None)
                return
            turn.set_group(topic, outcome.group)
            turn.move(topic, entry, position)
            turn.change(topic, heard=turn.now, owed=_settled(conversation.owed, seat.device))
            marked = claims.hear(turn, turn.conversation(topic), entry.sequence, outcome.authenticated_data, seat)
            payloads.receive(turn, topic, entry, seat, outcome.plaintext, marked=marked)
        case Committed():
            _commit(turn, conversation, group, outcome, entry, position)
        case Removed():
            claim = _permitted(turn, conversation, group, outcome, entry, position)
            if claim is not None:
                by = turn.seats(topic)[int(outcome.committer)].device
                turn.move(topic, entry, position)
                _put_out(turn, topic, outcome, by, entry.sequence)
        case CannotFollow():
            claim = _permitted(turn, conversation, group, outcome, entry, position)
            if claim is not None:
                signer = outcome.signer
                who = turn.seats(topic)[int(signer)].device if signer is not None else "nobody we know"
                text = f"{who} made a commit that others can follow and we can't: {outcome.reason}"
                turn.alarm(AlarmKind.CANNOT_FOLLOW, text, topic=topic, who=who, entry=entry.sequence)
                recovery.freeze(turn, topic, text)
        case Own(_, _, proven, plaintext, data):
            if proven and plaintext is not None and sending.was_said(turn, topic, data, plaintext):
                _void(turn, conversation, entry, position, "a repetition of what we said", None)
            elif proven:
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


def _settled(owed: tuple[Owed, ...], device: str) -> tuple[Owed, ...]:
    """Who speaks lives, and has released its Welcomes, for they stand in its vault; or has been welcomed."""
    left = (
        replace(each, newcomers=tuple(name for name in each.newcomers if name != device))
        for each in owed
        if each.by != device
    )
    return tuple(each for each in left if each.newcomers)


def _put_out(turn: Turn, topic: bytes, outcome: Removed, by: str, sequence: int) -> None:
    """We were removed, as far as we can see: who is removed can't check the confirmation tag, and where it is wrong the
    commit is void for all who stay. So where nothing explains it (trust admits us, the policy names us, we didn't ask
    to leave) we don't go but ask to be added again, which mends the one case and does no harm in the other."""
    conversation, own = turn.conversation(topic), sending.own_seat(turn, topic)
    record = turn.view.find(own.device)
    policy = turn.policy(topic) if outcome.effects is None else policy_of(outcome.effects.applied.extensions)
    stays = (
        record is not None
        and belongs(record, policy)
        and admitted(own, turn.view, turn.now)
        and turn.rows.get(BURIED, key_hash(own.key).hex()) is None
        and own.device not in conversation.leaving
    )
    if not stays:
        commits.gone(turn, topic, by, sequence)
        return
    text = f"{by} removed this device, which belongs here by trust and policy"
    turn.alarm(AlarmKind.CANNOT_FOLLOW, text, topic=topic, who=by, entry=sequence)
    recovery.freeze(turn, topic, text)


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


def _permitted(
    turn: Turn,
    conversation: Conversation,
    group: Group,
    made: Committed | Removed | CannotFollow,
    entry: Entry,
    position: Position,
) -> Claim | None:
    """The void rule beyond MLS, on whatever a commit that is valid as MLS comes to for us. What its committer claims;
    None where it is void, which is said."""
    signer = made.effects.committer if made.effects is not None else None
    try:
        if entry.kind is not EntryKind.COMMIT:
            raise Invalid("a commit that isn't a commit entry", rule="void rule: kind of entry")
        claim = Claim.decode(made.authenticated_data)
        claims.stands_in_trust(turn, claim.trust, conversation.commit_trust)
        if made.effects is None:
            raise Invalid("a commit of unknown effects", rule="void rule")
        _check_effects(group, made.effects)
    except SecurechanError as error:
        _void(turn, conversation, entry, position, error.message, signer)
        return None
    return claim


def _check_effects(group: Group, effects: Effects) -> None:
    """Whether the profile and the policy allow it. Raises `Invalid` or `Malformed`."""
    applied, by = effects.applied, effects.committer
    if effects.external:
        raise Invalid("nobody lets themselves in here", rule="void rule: external commit")
    if applied.psks or applied.reinit is not None:
        raise Invalid("neither pre-shared keys nor moving elsewhere is in our profile", rule="void rule: profile")
    if applied.updated:
        raise Invalid("a commit of others' updates", rule="void rule: profile")
    if find(group.context_extensions, FOUNDING) != find(applied.extensions, FOUNDING):
        raise Invalid("who founded a conversation is not changed", rule="void rule: founding")
    after = [Member(leaf, node) for leaf, node in applied.tree.members()]
    if effects.own_change is not None:
        renewed = effects.own_change
        after = [Member(renewed.leaf, renewed.after) if each.leaf == renewed.leaf else each for each in after]
    permit(
        Change(
            int(by),
            seats_of(group),
            seats(after),
            tuple(int(leaf) for leaf in applied.new_leaves),
            tuple(int(leaf) for leaf, _ in applied.removed),
            policy_of(group.context_extensions),
            policy_of(applied.extensions),
            effects.has_path,
        )
    )


def _commit(
    turn: Turn, conversation: Conversation, group: Group, made: Committed, entry: Entry, position: Position
) -> None:
    topic = conversation.topic
    claim = _permitted(turn, conversation, group, made, entry, position)
    if claim is None:
        return
    # A false claim about the log raises its alarm, and the commit is applied all the same: to refuse it would fork.
    seat = turn.seats(topic)[int(made.committer)]
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
