"""When we can't go on: the conversation freezes here, and a member is asked to add us again.

Two ways in. *We can't follow* one commit: that conversation alone. *Our state is not the newest*: an entry from our own
leaf that our records lack, proven by its signature, means that a backup was restored or a copy of this device lives:
then everything freezes, since every key may have been used twice, and every key package may be known to another.

    member ──CannotFollow──► frozen ──READD letter──► … Welcome ──► member
    all    ──own entry we never sent──► all frozen, key packages purged ──READD letters──► …
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from securechan.agent import letters, packages
from securechan.agent.asks import Dropped
from securechan.agent.events import AlarmKind, Frozen
from securechan.agent.letters import ReaddLetter
from securechan.agent.membership import admitted, belongs
from securechan.agent.policy import seats_of
from securechan.agent.state import CONVERSATIONS, GROUPS, Heeded, Standing
from securechan.agent.turn import Turn
from securechan.errors import Denied, NotFound
from securechan.mls.keypackage import CLOCK_SKEW
from securechan.trust.records import DeviceRecord
from securechan.wire.frames import Unsubscribe

ASKED: Final = 3  # members asked at a time
MOST_UNINVITED: Final = 100  # conversations in ten minutes
MOST_HEEDED: Final = 256  # devices of which it is remembered when they last asked
AGAIN: Final = 600  # seconds before others are asked


def freeze(turn: Turn, topic: bytes, reason: str) -> None:
    """This conversation stops here: nothing is read, nothing sealed. Payloads stay queued for the day we are back."""
    conversation = turn.conversation(topic)
    if conversation.standing is not Standing.MEMBER:
        return
    turn.put(replace(conversation, standing=Standing.FROZEN, renewed=0))
    turn.send(Unsubscribe(topic), Dropped(topic))
    turn.session_forget(topic)
    asked = ask(turn, topic, reason)
    turn.emit(Frozen(topic, reason, asked))


def ask(turn: Turn, topic: bytes, reason: str) -> tuple[str, ...]:
    """Ask a few members to add us again: those whom nobody asked yet, then all over again."""
    conversation, group = turn.conversation(topic), turn.rows.get(GROUPS, topic.hex())
    if group is None or turn.me.purge:
        return ()  # not before the relay has forgotten the old key packages: we could not use them any more
    able = sorted(
        (
            seat.device
            for seat in seats_of(group).values()
            if seat.device != turn.me.device and admitted(seat, turn.view, turn.now)
        ),
        key=lambda name: turn.shuffle(topic, name),
    )
    fresh = [name for name in able if name not in conversation.asked] or able
    chosen = tuple(fresh[:ASKED])
    for name in chosen:
        record = turn.view.find(name)
        if record is not None:
            letters.write(turn, (record,), ReaddLetter(topic, group.epoch, reason[:400]))
    asked = tuple(dict.fromkeys((*conversation.asked, *chosen)))[-64:]
    turn.put(replace(conversation, asked=asked, renewed=turn.now))
    turn.wake(turn.now + AGAIN)
    return chosen


def insist(turn: Turn, topic: bytes) -> None:
    """Frozen for a while, and nobody has added us: ask others."""
    conversation = turn.conversation(topic)
    if conversation.standing is Standing.FROZEN and turn.able:
        if conversation.renewed + AGAIN <= turn.now:
            ask(turn, topic, "asked before, without an answer")
        turn.wake(conversation.renewed + AGAIN)


def rolled_back(turn: Turn, topic: bytes, entry: int) -> None:
    """Our state is not the newest one of this device."""
    text = (
        "an entry of ours that this device never sent: its state is older than what was sent, "
        "so a backup was restored or a copy of this device is at work"
    )
    turn.alarm(AlarmKind.ROLLBACK, text, topic=topic, who=turn.me.device, entry=entry)
    packages.forget_all(turn)
    for conversation in list(turn.conversations()):
        freeze(turn, conversation.topic, "the state of this device was rolled back")


def uninvited(turn: Turn, topic: bytes, by: DeviceRecord) -> None:
    """An invitation that we have no key for (any more): our leaf in that tree is dead, so ask for another."""
    at = turn.session.readds.get(topic, 0)
    known = turn.rows.get(CONVERSATIONS, topic.hex())
    if at > turn.now or (known is not None and known.standing is Standing.MEMBER) or turn.me.purge:
        return
    readds = {each: until for each, until in turn.session.readds.items() if until > turn.now}
    if len(readds) < MOST_UNINVITED:
        turn.set_session(readds={**readds, topic: turn.now + AGAIN})
        packages.strange(turn)
        letters.write(turn, (by,), ReaddLetter(topic, 0, "the key package is not here any more"))
        if known is not None and by.name not in known.asked and _is_member(turn, topic, by.name):
            turn.put(replace(known, asked=(*known.asked, by.name)[-64:]))


def _is_member(turn: Turn, topic: bytes, device: str) -> bool:
    """Whether it has a leaf, as far as we have read: whom we asked may add us unasked, and anybody can write to us."""
    group = turn.rows.get(GROUPS, topic.hex())
    return group is not None and any(seat.device == device for seat in seats_of(group).values())


def asked_to_readd(turn: Turn, letter: ReaddLetter, by: DeviceRecord, written: int) -> None:
    """A member can't go on: put it out and in again with our next commit. ``written``: when the letter was (Unix
    seconds): the relay has those of long ago as well, and must not move anybody with them. One by a clock that is
    far ahead would lock its writer out once the clock is right; its key packages are not valid yet either, so it can
    wait. Raises `NotFound`, `Denied`."""
    conversation = turn.rows.get(CONVERSATIONS, letter.topic.hex())
    if conversation is None or conversation.standing is not Standing.MEMBER:
        raise NotFound("asked to add somebody to a conversation that we are not in")
    present = any(seat.device == by.name for seat in turn.seats(letter.topic).values())
    if not present and not belongs(by, turn.policy(letter.topic)):
        raise Denied(f"{by.name} does not belong in {conversation.name}")
    if written > turn.now + CLOCK_SKEW:
        raise Denied(f"{by.name} asks to be added again by a clock that is ahead of ours")
    if any(each.device == by.name and each.time >= written for each in conversation.heeded):
        raise Denied(f"{by.name} asks in an old letter to be added again")
    others = tuple(each for each in conversation.heeded if each.device != by.name)
    conversation = replace(conversation, heeded=(*others, Heeded(by.name, written))[-MOST_HEEDED:])
    returning = tuple(each for each in conversation.returning if each != by.name)
    turn.put(replace(conversation, returning=(*returning, by.name)[-64:]))


def cut_off(turn: Turn, topic: bytes, why: str) -> None:
    """The relay can't give us the log from where we stand."""
    turn.alarm(AlarmKind.CANNOT_FOLLOW, f"the log can't be read on: {why}", topic=topic)
    freeze(turn, topic, why)
