"""A commit of ours, from its sealing to the log's verdict; and what any commit changes once it counts.

    seal ──► pending (next epoch, bytes, Welcomes) ──push──► relay ──► log ─┬─ our bytes close the epoch ─► adopt
                                                                            └─ another's do ─► erased, theirs applied

Sealing stores in one set of writes the epoch's value with the spent key, the pending, and with it what has to leave.
Nothing but the log decides what becomes of it: not an answer, not a timeout, not ``stale``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Final

from securechan.agent import blobs, claims, letters, past, sending
from securechan.agent.asks import Committing
from securechan.agent.claims import Claim
from securechan.agent.events import (
    AlarmKind,
    ConversationLeft,
    EpochChanged,
    MemberAdded,
    MemberRemoved,
    PolicyChanged,
)
from securechan.agent.policy import POLICY, Policy, Seat, policy_of, seats_of
from securechan.agent.state import (
    ACCESSES,
    CONVERSATIONS,
    GROUPS,
    PENDING,
    SENT,
    Confirmed,
    Conversation,
    DeviceKey,
    Joiner,
    Owed,
    Pending,
    Standing,
)
from securechan.agent.turn import Turn, access_hash, access_secret
from securechan.bulletin.payload import Entered
from securechan.errors import Misuse
from securechan.mls.keypackage import KeyPackage
from securechan.mls.outcomes import Committed
from securechan.mls.treemath import LeafIndex
from securechan.trust.records import key_hash
from securechan.wire.chain import Position
from securechan.wire.frames import Append, CommitClaim, Entry

TREE_INLINE: Final = 64 << 10  # bytes of a ratchet tree that travel in the letter itself; larger ones as a blob
MOST_OWED: Final = 64  # committers of whom it is not known whether they have released their Welcomes
BETWEEN_READDS: Final = 60  # seconds before a device that was put out and in again is so once more


def seal(
    turn: Turn,
    topic: bytes,
    *,
    adds: Mapping[str, KeyPackage],
    removes: Sequence[int] = (),
    policy: Policy | None = None,
    new_key: DeviceKey | None = None,
) -> None:
    """Make a commit and keep it as pending. ``adds`` by device. Raises `Invalid` where MLS refuses it."""
    if turn.rows.get(PENDING, topic.hex()) is not None:
        raise Misuse("a commit is pending in this conversation")
    conversation, group = turn.conversation(topic), turn.group(topic)
    present = {seat.device for seat in turn.seats(topic).values()}
    extensions = None
    if policy is not None:
        others = tuple(each for each in group.context_extensions if each.kind != POLICY)
        extensions = (*others, policy.extension())
    step = group.commit(
        adds=tuple(adds.values()),
        removes=tuple(LeafIndex(leaf) for leaf in removes),
        extensions=extensions,
        authenticated_data=claims.ours(turn, conversation),
        new_signature=None if new_key is None else turn.leaf_keys(new_key),
        tree_in_welcome=False,
        now=turn.now,
    )
    joiners = tuple(
        Joiner(device, welcome, int(device in present)) for device, welcome in zip(adds, step.welcomes, strict=True)
    )
    tree = step.ratchet_tree if joiners else b""
    blob = blobs.put(turn, tree) if len(tree) > TREE_INLINE else None
    turn.set_group(topic, step.current)
    pending = Pending(
        group.epoch,
        turn.random(32),
        step.commit,
        access_hash(access_secret(step.next)),
        step.current.advance_to(step.next),
        joiners,
        tree if blob is None else b"",
        blob,
        turn.trust_position,
        0,
        0,
    )
    turn.rows.put(PENDING, topic.hex(), pending)
    turn.set_live(topic, tried=-1, change=b"", since=0)


def push(turn: Turn, topic: bytes, pending: Pending) -> None:
    """Offer the pending commit to the log, once for each state of the log that we see."""
    conversation, live = turn.conversation(topic), turn.live(topic)
    if live.tried == conversation.last_commit:
        return
    if pending.retry > turn.now:
        turn.wake(pending.retry)
        return
    if pending.blob is not None and not blobs.stored(turn, pending.blob.blob):
        return
    claim = CommitClaim(conversation.last_commit, pending.next_access)
    ask = Committing(topic, pending.entry_id)
    if turn.send(Append(topic, pending.entry_id, pending.commit, claim), ask):
        turn.set_live(topic, tried=conversation.last_commit)


def refused(turn: Turn, topic: bytes, entry_id: bytes, retry_after: int, *, for_good: bool, text: str) -> None:
    """The relay took the commit for another reason than order. ``retry_after`` is in seconds."""
    pending = turn.rows.get(PENDING, topic.hex())
    if pending is None or pending.entry_id != entry_id:
        return
    if for_good:
        turn.rows.drop(PENDING, topic.hex())
        turn.change(topic, wanted=b"", rotate=0)
        turn.alarm(AlarmKind.REFUSED, f"the relay refuses our commit: {text}", topic=topic)
        turn.set_live(topic, retry=turn.now + 60)
        turn.wake(turn.now + 60)
        return
    wait = max(retry_after, min(60, 1 << min(pending.refused, 6)))
    turn.rows.put(PENDING, topic.hex(), replace(pending, refused=pending.refused + 1, retry=turn.now + wait))
    turn.set_live(topic, tried=-1)
    turn.wake(turn.now + wait)


def adopt(turn: Turn, conversation: Conversation, pending: Pending, entry: Entry, position: Position) -> None:
    """Our bytes stand in the log and close the epoch: the next one is ours, and its Welcomes go out."""
    topic = conversation.topic
    group = turn.group(topic)
    after = group.advanced(pending.advance)
    before, now = group.members(), after.members()
    old = {int(member.leaf): member for member in before}
    new = {int(member.leaf): member for member in now}
    replaced = {leaf for leaf in old.keys() & new.keys() if old[leaf].identity != new[leaf].identity}
    fresh = {joiner.device for joiner in pending.joiners}
    added = tuple(
        LeafIndex(leaf)
        for leaf, member in new.items()
        if leaf not in old or leaf in replaced or member.identity.decode("utf-8", "replace") in fresh
    )
    removed = tuple(
        (LeafIndex(leaf), member.identity)
        for leaf, member in old.items()
        if leaf not in new or leaf in replaced or LeafIndex(leaf) in added
    )
    made = Committed(
        after,
        group.own_leaf,
        added,
        removed,
        (),
        after.context_extensions != group.context_extensions,
        b"",
        True,
        False,
    )
    apply(turn, topic, made, Claim(conversation.cursor, pending.trust), entry, position)
    agreed = turn.conversation(topic)
    turn.put(
        replace(
            agreed,
            renewed=turn.now,
            rotate=0,
            wanted=b"" if turn.policy(topic).encode() == agreed.wanted else agreed.wanted,
        )
    )
    for joiner in pending.joiners:
        letters.welcome(turn, turn.conversation(topic), joiner, pending, position)
    if pending.epoch > 0:
        _announce(turn, topic, pending)


def _announce(turn: Turn, topic: bytes, pending: Pending) -> None:
    for joiner in pending.joiners:
        sending.announce(turn, topic, joiner.device, Entered.READDED if joiner.again else Entered.DECLARED)


def apply(turn: Turn, topic: bytes, made: Committed, claim: Claim, entry: Entry, position: Position) -> None:
    """A commit counts: this conversation enters its next epoch."""
    group = turn.group(topic)
    before, after = seats_of(group), seats_of(made.group)
    by = before[int(made.committer)]
    turn.rows.drop(PENDING, topic.hex())
    for row, _ in turn.rows.items(SENT):
        if row.startswith(topic.hex()):
            turn.rows.drop(SENT, row)
    sending.reseal(turn, topic)
    previous = access_secret(group)
    # The claim isn't in the chain, so it decides nothing; but what it says is that nobody can show the next secret.
    true_hash = access_hash(access_secret(made.group))
    false_hash = entry.commit is not None and entry.commit.next_access != true_hash
    turn.set_group(topic, made.group)
    there = {seat.device for seat in before.values()}
    again = [after[int(leaf)].device for leaf in made.added if after[int(leaf)].device in there]
    paused = {device: until for device, until in turn.live(topic).readded.items() if until > turn.now}
    paused.update(dict.fromkeys(again, turn.now + BETWEEN_READDS))
    turn.set_live(topic, change=b"", since=0, tried=-1, posted=frozenset(), readded=paused)
    turn.move(topic, entry, position)
    conversation, epoch = turn.conversation(topic), made.group.epoch
    policy = policy_of(made.group.context_extensions)
    entering = [after[int(leaf)] for leaf in made.added]
    conversation = replace(
        conversation,
        accesses=(*conversation.accesses, bytes(previous))[-ACCESSES:],
        mend=int(false_hash),
        committed=turn.now,
        commit_trust=claim.trust,
    )
    if policy.by_officer:
        conversation = _vouch(conversation, before, after, entering, founding=epoch == 1)
    present, fresh = {seat.device for seat in after.values()}, {seat.device for seat in entering}
    owed = tuple(
        replace(each, newcomers=tuple(name for name in each.newcomers if name in present and name not in fresh))
        for each in conversation.owed
        if each.by != by.device
    )
    if fresh and made.committer != group.own_leaf:
        owed = (*owed, Owed(by.device, tuple(sorted(fresh)), turn.now))
    conversation = replace(
        conversation,
        owed=tuple(each for each in owed if each.newcomers)[-MOST_OWED:],
        intruders=tuple(each for each in conversation.intruders if each in present),
        leaving=tuple(each for each in conversation.leaving if each not in fresh),
        returning=tuple(each for each in conversation.returning if each not in fresh),
    )
    turn.put(conversation)
    for leaf, _ in made.removed:
        seat = before[int(leaf)]
        turn.emit(MemberRemoved(topic, seat.device, seat.officer, by.device, epoch))
    for seat in entering:
        turn.emit(MemberAdded(topic, seat.device, seat.officer, by.device, epoch))
        knew = claim.trust.sequence >= turn.view.position.sequence  # what we know: who keeps the rules does not do this
        if knew and turn.view.tombstoned(key_hash(seat.key)) is not None:
            text = f"{by.device} let {seat.device} in, which its agency had revoked: nothing is sent until it is out"
            turn.alarm(AlarmKind.QUARANTINE, text, topic=topic, who=seat.device, entry=entry.sequence)
    if false_hash:
        text = f"{by.device} told the relay a false hash with its commit: older secrets open the log until the next one"
        turn.alarm(AlarmKind.WRONG_ACCESS, text, topic=topic, who=by.device, entry=entry.sequence)
    if made.extensions_changed:
        turn.emit(PolicyChanged(topic, by.device, epoch))
    turn.emit(EpochChanged(topic, epoch, by.device, len(after), entry.sequence))


def _vouch(
    conversation: Conversation,
    before: Mapping[int, Seat],
    after: Mapping[int, Seat],
    entering: Sequence[Seat],
    *,
    founding: bool,
) -> Conversation:
    """Where membership goes by officers: a first device comes with its officer, a leaf vouches for its own next key,
    and a device that nobody has vouched for is an intruder."""
    confirmed = {(each.device, each.key_hash) for each in conversation.confirmed}
    officers, intruders = set(conversation.officers), set(conversation.intruders)
    for leaf, seat in after.items():
        old = before.get(leaf)
        if old is not None and old.device == seat.device and old.key != seat.key:
            confirmed.add((seat.device, key_hash(seat.key)))
    arriving: set[str] = set()
    for seat in entering:
        mark = (seat.device, key_hash(seat.key))
        if founding or seat.officer not in officers:
            confirmed.add(mark)
            arriving.add(seat.officer)
        elif mark not in confirmed:
            intruders.add(seat.device)
    officers |= arriving
    return replace(
        conversation,
        confirmed=tuple(Confirmed(*each) for each in sorted(confirmed)),
        officers=tuple(sorted(officers)),
        intruders=tuple(sorted(intruders)),
    )


def gone(turn: Turn, topic: bytes, by: str, sequence: int) -> None:
    """We were removed. The keys go; what was read stays with the archive; what was queued can't be sent."""
    forget(turn, topic)
    turn.change(topic, standing=Standing.GONE, accesses=())
    turn.emit(ConversationLeft(topic, by, sequence))


def forget(turn: Turn, topic: bytes) -> None:
    """Erase the keys of a conversation."""
    row = topic.hex()
    turn.rows.drop(GROUPS, row)
    turn.rows.drop(PENDING, row)
    past.forget_chains(turn.rows, topic)
    for sent, _ in turn.rows.items(SENT):
        if sent.startswith(row):
            turn.rows.drop(SENT, sent)
    if turn.rows.get(CONVERSATIONS, row) is not None:
        turn.dirty.add(topic)
