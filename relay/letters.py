"""The counter for inboxes and boxes: what one device lays before another, and a guest before an administrator."""

from __future__ import annotations

import logging
from collections.abc import Callable, Coroutine

from relay.backroom import Backroom, device_of
from relay.logs import event
from relay.member import Member
from relay.outgoing import refusal
from relay.people import Device, Guest
from relay.replies import Handled, Reply, appended, boxed, done, full, made, over_quota
from relay.store import base
from relay.store.base import TopicKind, tail_of
from relay.topics import OpenTopic
from securechan.wire.frames import (
    TRUST_TOPIC,
    Append,
    Code,
    CreateBox,
    Deliver,
    Done,
    EntryKind,
    Error,
    Trim,
    inbox_topic,
)

log = logging.getLogger("relay.mailroom")


class Letters:
    """Requests about INBOX and BOX topics."""

    def __init__(self, room: Backroom) -> None:
        self._room = room

    def misplaced(self, topic: OpenTopic) -> bool:
        """Whether the topic stands where an admitted device's inbox belongs, and is none."""
        return topic.id in self._room.inboxes and topic.kind not in (None, TopicKind.INBOX)

    async def evict(self, topic: OpenTopic, then: Callable[[], Handled]) -> Reply:
        """Whoever guessed a device's name before it was admitted may have made a topic in the place of its inbox, so
        as to read its letters and to keep them from it. The place is its own now; then the request goes on."""

        failed = await self._room.finished(base.DropTopic(topic.id), done)
        if isinstance(failed, Error):
            return failed
        if topic.kind not in (None, TopicKind.INBOX):
            return refusal(Code.INTERNAL, "the inbox could not be cleared")
        event(log, "a topic in an inbox's place was dropped", level=logging.WARNING)
        handled = then()
        return await handled if isinstance(handled, Coroutine) else handled

    def deliver(self, member: Member, number: int, body: Deliver, topic: OpenTopic) -> Handled:
        who = device_of(member)
        if body.topic not in self._room.inboxes:
            return refusal(Code.NOT_FOUND, "no inbox of a device that is admitted")
        if len(body.body) > self._room.bounds.max_entry:
            return refusal(Code.TOO_LARGE, f"an entry has at most {self._room.bounds.max_entry} bytes")
        write = base.Append(
            body.topic,
            EntryKind.INBOX,
            body.entry_id,
            body.body,
            tail_of(body.body, None),
            self._room.clock(),
            creates=TopicKind.INBOX,
            room=self._room.bounds.inbox_entries,
        )
        if self._room.full():
            return self._room.unless_known(write, full())
        if self._room.over_quota(who.agency, len(body.body)):
            return self._room.unless_known(write, over_quota())
        return self._room.offer(member, number, topic, write, appended, charged=len(body.body))

    def trim(self, member: Member, number: int, body: Trim, topic: OpenTopic) -> Handled:
        if body.topic != inbox_topic(device_of(member).name):
            return refusal(Code.FORBIDDEN, "only one's own inbox is trimmed")
        if topic.kind is None:
            return Done()

        return self._room.offer(member, number, topic, base.TrimTo(body.topic, body.upto), done, vital=True)

    def create_box(self, member: Member, number: int, body: CreateBox, topic: OpenTopic) -> Handled:
        who = device_of(member)
        now = self._room.clock() // 1000
        if "admin" not in who.roles:
            return refusal(Code.FORBIDDEN, "an administrator opens boxes")
        if not now < body.not_after <= now + self._room.bounds.box_lifetime:
            return refusal(Code.EXPIRED, f"a box lives at most {self._room.bounds.box_lifetime} s from now")
        if topic.id in self._room.inboxes or topic.id == TRUST_TOPIC:
            return refusal(Code.CONFLICT, "the topic exists")
        if self._room.full():
            return full()
        box = base.Box(body.mac_key, who.agency, body.not_after)
        return self._room.offer(member, number, topic, base.NewBox(body.box, box), made)

    def append_to_box(self, member: Member, number: int, body: Append, topic: OpenTopic) -> Handled:
        who = member.who
        if body.commit is not None:
            return refusal(Code.MALFORMED, "a box has no commits")
        write = base.Append(
            body.topic,
            EntryKind.BOX,
            body.entry_id,
            body.body,
            tail_of(body.body, None),
            self._room.clock(),
            after=0 if isinstance(who, Guest) else None,
            room=self._room.bounds.box_entries,
        )
        match who:
            case Guest():
                if topic.id != who.box:
                    return refusal(Code.FORBIDDEN, "not this guest's box")
            case Device() if keeps_box(who, topic):
                if topic.last.sequence == 0:
                    return refusal(Code.FORBIDDEN, "the guest speaks first")
            case _:
                return refusal(Code.UNKNOWN_TOPIC, "no such topic")
        if topic.box is None or topic.box.not_after <= write.at // 1000:
            return refusal(Code.EXPIRED, "the box is closed")
        if len(body.body) > self._room.bounds.max_entry:
            return refusal(Code.TOO_LARGE, f"an entry has at most {self._room.bounds.max_entry} bytes")
        if self._room.full():
            return self._room.unless_known(write, full())
        return self._room.offer(member, number, topic, write, boxed(who))


def keeps_box(who: Device, topic: OpenTopic) -> bool:
    """Whether the device may deal with the guest of this box."""
    return topic.box is not None and topic.box.agency == who.agency and "admin" in who.roles
