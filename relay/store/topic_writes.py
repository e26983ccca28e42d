"""How a relay writes into topics that other relays write into as well (`relay.store.nats`).

    check what can be known here ─▶ publish, expecting ─▶ it comes back in the feed ──▶ its place
              ▲                          │ Behindhand: another was first, or we ourselves, before
              └── read up to the newest ◀┘ Unsure: nobody knows                 … until the patience is over

Every write here can be repeated: entries have ids, births and ordered entries an expectation, and a confirmation or a
trim that is there twice means what it means once. So what is not known is asked for, and what then is not there is
tried again.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from relay.store.base import (
    Append,
    Behind,
    Clash,
    Confirm,
    DropTopic,
    Made,
    Missing,
    NewBox,
    NewTopic,
    Outcome,
    Overfull,
    Placed,
    Stored,
    StoreFailed,
    TopicKind,
    Trimmed,
    TrimTo,
    Write,
)
from relay.store.fold import Born, Confirmation, Event, EventKind, Fold, Kind, Opened, Part, Secret, Trim
from relay.store.jetstream import EXPECT, PATIENCE, TROUBLE, Answer, Behindhand, Message, Unsure, failure, refusal
from relay.store.news import Added
from relay.store.sharing import Shared
from securechan.wire.chain import Position, advance

if TYPE_CHECKING:
    from relay.store.nats import NatsStore

ACCESS: Final = "Securechan-Access"
COMMITTER: Final = "Securechan-Committer"
ATTEMPT: Final = 2.0  # seconds for one try
_PAUSE: Final = 0.1  # seconds between two tries
_FREE: Final = (TopicKind.GROUP, TopicKind.INBOX)
_SHARED: Final = f".{Part.ORDERED.value}"

Numbered = tuple[int, Append]
Key = str | tuple[str, bytes]
"""What is under way: its subject; of entries that share one, with the entry's id."""


@dataclass(slots=True)
class _Flight:
    """Entries on their way. ``done`` when the last one is back, or was refused."""

    done: asyncio.Future[None]
    placed: list[Placed | None]
    refused: Exception | None = None


def _index(numbered: Numbered) -> int:
    return numbered[0]


def _key(subject: str, entry_id: bytes) -> Key:
    return (subject, entry_id) if subject.endswith(_SHARED) else subject


class TopicWrites:
    """The writes about topics of one store."""

    def __init__(self, store: NatsStore) -> None:
        self._store = store
        self._link = store.link
        self._under_way: dict[Key, tuple[_Flight, int, bytes, bytes]] = {}  # which of the flight, and its two parts
        self._newest = Shared(self._ask_newest)

    def arrived(self, fold: Fold, message: Message, added: Added) -> None:
        """An entry came in the feed: if it is what was published here, that write is done. If it is another's with the
        same id, the cluster has refused or will refuse ours."""
        there = self._under_way.get(_key(message.subject, added.stored.entry_id))
        if there is None:
            return
        flight, place, front, tail = there
        data = message.data
        if len(data) == len(front) + len(tail) and data.startswith(front) and data.endswith(tail):
            flight.placed[place] = Placed(added.stored, added.position)
            if place == len(flight.placed) - 1 and not flight.done.done():
                flight.done.set_result(None)
            self._store.housekeeping.grown(fold)

    async def _until(self, attempt: Callable[[], Awaitable[Outcome]]) -> Outcome:
        """``attempt`` until it gives an outcome; after each that did not, with all read that there is by then."""
        loop = asyncio.get_running_loop()
        until = loop.time() + PATIENCE
        while True:
            try:
                return await attempt()
            except (Behindhand, Unsure) as error:
                if loop.time() > until:
                    raise StoreFailed(f"the cluster did not confirm it: {error}", retry_after=1.0) from error
            try:
                await self.catch_up()
            except Unsure:
                await asyncio.sleep(_PAUSE)

    async def catch_up(self) -> None:
        """Return when everything that is in the log now was taken. However many ask at once, the cluster is asked once
        or twice."""
        await self._store.feed.reached(await self._newest(), ATTEMPT)

    async def _ask_newest(self) -> int:
        """The sequence of the newest message, as the stream's leader has it."""
        info = await self._link.api(f"STREAM.INFO.{self._store.log_name}")
        return int(info["state"]["last_seq"])

    async def _is_there(self, fold: Fold) -> bool:
        """Whether there is such a topic, made here or, a moment ago, through another relay."""
        if fold.kind is None:
            await self.catch_up()
        return fold.kind is not None

    async def _put(self, fold: Fold, part: Part, body: bytes, expect: int | None = None) -> int:
        """Publish one message of a topic, and wait until it is taken; its place."""
        at = await self._link.put(self._store.subject(fold.topic, part), body, expect, patience=ATTEMPT)
        await self._store.feed.reached(at, ATTEMPT)
        return at

    # ---------------------------------------------------------------------------------------------- births

    async def new_topic(self, w: NewTopic) -> Outcome:
        """See `NewTopic`."""
        born = Born(Kind.GROUP, Secret(w.access, w.founder, w.at))
        fold = await self._store.fold(w.topic)
        made = await self._until(lambda: self._bear(fold, born))
        if isinstance(made, Made) and isinstance(fold.born, Born) and isinstance(fold.born.how, Secret):
            there = fold.born.how
            return Made() if (there.access, there.founder) == (w.access, w.founder) else Clash("the topic exists")
        return Clash("the topic exists")

    async def new_box(self, w: NewBox) -> Outcome:
        """See `NewBox`."""
        born = Born(Kind.BOX, Opened(w.box.mac_key, w.box.agency, w.box.not_after))
        fold = await self._store.fold(w.topic)
        if fold.born is None:  # first the record by which it is found when its time is over
            await self._store.records.put(f"box.{self._store.name(w.topic)}", w.box.not_after.to_bytes(8, "big"))
        await self._until(lambda: self._bear(fold, born))
        if fold.box is None:
            return Clash("the topic exists")
        return Made() if fold.box == w.box else Clash("the box exists")

    async def _bear(self, fold: Fold, born: Born) -> Outcome:
        if fold.born is None:
            await self._put(fold, Part.BORN, born.encode(), 0)
        if fold.born is None:
            raise Behindhand("a topic that was born is not there")
        return Made()

    # ---------------------------------------------------------------------------------------------- entries

    def is_free(self, fold: Fold, w: Append) -> bool:
        """Whether an entry needs to know nothing of those before it."""
        return w.commit is None and w.after is None and (fold.kind or w.creates) in _FREE

    async def free_run(self, lane: Sequence[tuple[int, Write]]) -> list[Numbered]:
        """The entries at the front of a lane that may be added all at once."""
        run: list[Numbered] = []
        for index, write in lane:
            if not isinstance(write, Append) or not self.is_free(await self._store.fold(write.topic), write):
                break
            run.append((index, write))
        return run

    async def append_all(self, run: Sequence[Numbered], outcomes: list[Outcome | None]) -> None:
        """Add entries that are free, all on the way at once, those of one topic in order; each outcome goes to its
        place in ``outcomes``."""
        later: dict[bytes, list[Numbered]] = {}
        going: dict[str, Numbered] = {}  # by subject
        more: Counter[bytes] = Counter()
        for numbered in run:
            w = numbered[1]
            fold = self._store.followed(w.topic) or await self._store.fold(w.topic)
            subject = self._store.subject(w.topic, Part.FREE, w.entry_id)
            there = subject in going or subject in self._under_way or w.entry_id in fold.ids
            fits = w.room is None or fold.count + more[w.topic] < w.room
            if fold.kind is None or there or not fits:
                later.setdefault(w.topic, []).append(numbered)
            else:
                going[subject] = numbered
                if w.room is not None:
                    more[w.topic] += 1
        if going:
            flight = await self._send([(subject, w) for subject, (_, w) in going.items()], {EXPECT: "0"})
            for numbered, placed in zip(going.values(), flight.placed, strict=True):
                if placed is None:
                    later.setdefault(numbered[1].topic, []).append(numbered)
                outcomes[numbered[0]] = placed
        if later:
            await asyncio.gather(*(self._one_by_one(sorted(rest, key=_index), outcomes) for rest in later.values()))

    async def _one_by_one(self, rest: Sequence[Numbered], outcomes: list[Outcome | None]) -> None:
        for index, w in rest:
            try:
                outcomes[index] = await self.append(w)
            except TROUBLE as error:
                outcomes[index] = failure(error)

    async def _send(self, writes: Sequence[tuple[str, Append]], headers: dict[str, str]) -> _Flight:
        """Publish entries under their subjects, and wait until they come back or can't any more. Only the last one is
        answered for: all go one way and come back one way, so when it is back, those before it are, or won't be."""
        flight = _Flight(asyncio.get_running_loop().create_future(), [None] * len(writes))

        def hear(answer: Answer) -> None:
            flight.refused = refusal(answer)
            if flight.refused is not None and not flight.done.done():
                flight.done.set_result(None)

        run: list[tuple[str, bytes, bytes]] = []
        keys: list[Key] = []
        question = ""
        try:
            for place, (subject, w) in enumerate(writes):
                front = Stored.front(w.kind, w.entry_id, w.at)
                key = _key(subject, w.entry_id)
                keys.append(key)
                self._under_way[key] = (flight, place, front, w.tail)
                run.append((subject, front, w.tail))
            question = await self._link.send_all(run, headers, hear)
            await asyncio.wait([flight.done], timeout=ATTEMPT)
            if flight.refused is not None and len(writes) > 1:
                await self.catch_up()  # those before it may still be on their way back
        finally:
            self._link.forget(question)
            for key in keys:
                self._under_way.pop(key, None)
        return flight

    async def append(self, w: Append) -> Outcome:
        """See `Append`: one entry, with all that may come between."""
        fold = await self._store.fold(w.topic)
        return await self._until(lambda: self._append(fold, w))

    async def _append(self, fold: Fold, w: Append) -> Outcome:
        if not await self._is_there(fold):
            if w.creates is None:
                return Missing()
            if w.after:
                return Behind(0, bytes(32))
            await self._bear(fold, Born(Kind(w.creates), None))
        known = await self._known(w)
        if known is not None:
            return known
        refused = await self._refused(fold, w)
        if refused is not None:  # unless it came in, through another relay, while this was being looked up
            return await self._known(w) or refused
        free = self.is_free(fold, w)
        subject = self._store.subject(w.topic, *((Part.FREE, w.entry_id) if free else (Part.ORDERED,)))
        under_way = self._under_way.get(_key(subject, w.entry_id))
        if under_way is not None:  # of another batch: it is known when that one is done
            await asyncio.wait([under_way[0].done], timeout=ATTEMPT)
            raise Behindhand("the same entry was under way")
        headers = {EXPECT: str(await self._trimmed(fold, w.entry_id) if free else fold.ordered)}
        if w.commit is not None:
            headers |= {ACCESS: w.commit.next_access.hex(), COMMITTER: w.committer.hex()}
        flight = await self._send([(subject, w)], headers)
        if flight.placed[0] is not None:
            return flight.placed[0]
        raise flight.refused or Unsure("no answer in time")

    async def _known(self, w: Append) -> Outcome | None:
        """The old answer, if the id was used."""
        found = await self.find(w.topic, w.entry_id)
        if found is None:
            return None
        same = found.entry_id == w.entry_id and found.says(w.kind, w.tail)
        return Placed(found, None) if same else Clash("the entry id was used for something else")

    async def _refused(self, fold: Fold, w: Append) -> Outcome | None:
        """What an entry expects and the topic does not have."""
        if w.after is not None and w.after != fold.last.sequence:
            await self.catch_up()
            if w.after != fold.last.sequence:
                return Behind(fold.last.sequence, fold.last_id)
        if w.commit is not None:
            if w.commit.expected > fold.commit:
                await self.catch_up()
            if w.commit.expected != fold.commit:
                return Behind(fold.commit, fold.commit_id)
            if w.commit.next_access in fold.claims:
                return Clash("the access hash was claimed before")
        if w.room is not None and fold.count >= w.room:
            return Overfull()
        return None

    async def find(self, topic: bytes, entry_id: bytes) -> Stored | None:
        """The entry of that id, as the stream's leader has it; or another whose id begins alike."""
        fold = await self._store.fold(topic)
        log = self._store.log_name
        if entry_id in fold.ids:
            found = await self._link.at(log, fold.ids[entry_id])
        else:
            found = await self._link.last(log, self._store.subject(topic, Part.FREE, entry_id))
            if found is not None and found.sequence <= fold.trimmed.sequence:
                return None
        return None if found is None else Stored.unpacked(found.sequence, found.data)

    async def _trimmed(self, fold: Fold, entry_id: bytes) -> int:
        """The place of an entry of that id that was trimmed and waits for its purge, 0 where there is none: what the
        next one expects before it. To purge it here would take it from under relays that have not heard it yet."""
        subject = self._store.subject(fold.topic, Part.FREE, entry_id)
        found = await self._link.last(self._store.log_name, subject) if fold.trimmed.sequence else None
        return found.sequence if found is not None and found.sequence <= fold.trimmed.sequence else 0

    # ---------------------------------------------------------------------------------------------- events

    async def _happen(self, fold: Fold, event: Event) -> int:
        return await self._put(fold, Part.EVENT, event.encode())

    async def confirm(self, w: Confirm) -> Outcome:
        """See `Confirm`."""
        fold = await self._store.fold(w.topic)

        async def attempt() -> Outcome:
            if w.sequence not in fold.rows:
                await self.catch_up()
            row = fold.rows.get(w.sequence)
            if row is None:
                return Missing()
            if row.closes is None:
                await self._happen(fold, Event(EventKind.CONFIRMED, Confirmation(w.sequence, w.closes)))
            return Made()

        return await self._until(attempt)

    async def trim(self, w: TrimTo) -> Outcome:
        """See `TrimTo`."""
        fold = await self._store.fold(w.topic)

        async def attempt() -> Outcome:
            if not await self._is_there(fold):
                return Missing()
            upto = min(w.upto, fold.commit - 1 if fold.commit else fold.last.sequence)
            position, total = await self._position(fold, upto)
            if position.sequence > fold.trimmed.sequence:
                await self._happen(fold, Event(EventKind.TRIMMED, Trim(position, total)))
            return Trimmed(fold.trimmed)

        before = fold.trimmed
        trimmed = await self._until(attempt)
        if fold.trimmed != before:
            self._store.housekeeping.trimmed(fold)
        elif fold.trimmed.sequence:
            await self._store.housekeeping.trimmed_before(fold)
        return trimmed

    async def _position(self, fold: Fold, upto: int) -> tuple[Position, int]:
        """The position after the last entry up to ``upto``, and how many there had been by then."""
        if upto >= fold.last.sequence:
            return fold.last, fold.total
        position, total = fold.trimmed, fold.trimmed_total
        at = position.sequence
        while at < upto:
            run = await self._store.pages.entries(fold, at, upto, 1 << 20)
            for stored in run.entries:
                position = advance(position, stored.kind, stored.entry_id, stored.sequence, stored.body)
                total += 1
            if not run.more:
                break
            at = position.sequence
        return position, total

    async def drop(self, w: DropTopic) -> Outcome:
        """See `DropTopic`."""
        fold = await self._store.fold(w.topic)

        async def attempt() -> Outcome:
            if not await self._is_there(fold) or fold.kind is TopicKind.INBOX:
                return Missing()
            at = await self._happen(fold, Event(EventKind.DROPPED, None))
            name = self._store.name(w.topic)
            await self._store.records.drop(f"topic.{name}")
            await self._store.records.drop(f"box.{name}")
            await self._link.purge(self._store.log_name, self._store.subject(w.topic), at)
            return Made()

        return await self._until(attempt)
