"""Messages: sent, read, followed, searched for.

What is sent is durable before anything waits; what waits is the person, for the entry in the log. What is read comes
from the vault's archive, shelf by shelf, so that neither old nor long conversations cost anything.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

from clients.operations import lookup, reach
from clients.operations.direct import direct
from clients.operations.engine import Operation, Params, Work, queued
from securechan.agent.archive import kind_of, to_json
from securechan.agent.events import BulletinReceived, MessageReceived
from securechan.agent.inputs import FetchAttachment, MarkRead, SendAttachment, SendText, SendTogether
from securechan.agent.state import ARCHIVE
from securechan.bulletin import tlp
from securechan.bulletin.tlp import Tlp
from securechan.errors import Denied, Malformed, NotFound, SecurechanError, TimedOut

WAITS: Final = ("queued", "sent", "delivered", "read")
PAGE: Final = 200  # records read from the archive at a time
DEEPEST: Final = 100_000  # records that a search looks through

SHOWN: Final = frozenset(
    {
        "message-received",
        "message-dropped",
        "bulletin-received",
        "bulletin-refused",
        "attachment-fetched",
        "member-added",
        "member-revoked",
        "member-removed",
        "device-announced",
        "device-confirmed",
        "policy-changed",
        "conversation-joined",
        "conversation-left",
        "alarm",
        "frozen",
        "held",
    }
)
"""What `read` shows of an archive, by kind of event."""


# ---------------------------------------------------------------------------------------------------------------- send


async def send(work: Work, said: dict[str, Any]) -> dict[str, Any]:
    """Send a text or a file. ``to``: a conversation or an officer. ``id`` (16 bytes, hexadecimal) makes a repetition
    the same message. ``wait``: ``queued``, ``sent``, ``delivered`` (to every device of the others) or ``read`` (by each
    of them). With a file: ``name``, ``media_type``, ``content``, caption in ``text``. Or ``parts``, texts and files:
    all are kept or none is, before any is waited for; ``messages`` has one after the other."""
    params = Params(said)
    wait, until = _wait(work, params)
    label, identity = tlp.parse(params.text("tlp", "green")), params.hex("id", 16)
    before = {each.topic for each in work.agent.conversations()}
    topic = await recipient(work, params.text("to"))
    if wait in ("delivered", "read"):
        reach.receipted(work, topic)
    several = "parts" in said
    parts = tuple(
        _part(topic, Params(each), label, _part_id(identity, number))
        for number, each in enumerate(params.records("parts") if several else [said])
    )
    payloads = await work.runtime.do(SendTogether(parts)) if several else (await work.runtime.do(parts[0]),)
    conversation, there = work.agent.conversation(topic), readers(work, topic)
    about = {
        "conversation": topic.hex(),
        "name": conversation.name,
        "tlp": label.word,
        "members": len(conversation.members),
        "readers": there,
        "joined": topic not in before and bool(there),
    }
    kept = [about | {"id": payload.hex(), "state": "queued"} for payload in payloads]
    if not several:
        return kept[0] | await _waited(work, topic, payloads[0], wait, until)
    return {"messages": await _all(work, topic, [part.called for part in parts], kept, wait, until)}


def _part(topic: bytes, params: Params, label: Tlp, identity: bytes) -> SendText | SendAttachment:
    if not params.has("content"):
        return SendText(topic, params.text("text"), label, identity)
    return SendAttachment(
        topic,
        params.text("name"),
        params.text("media_type", "application/octet-stream"),
        params.data("content"),
        label,
        params.text("text", ""),
        identity,
    )


def _part_id(identity: bytes, number: int) -> bytes:
    """The id of a message's further part: out of the message's own, so that a repetition sends none of them twice."""
    if number == 0 or not identity:
        return identity
    return hashlib.sha256(f"{identity.hex()} {number}".encode()).digest()[:16]


async def _all(
    work: Work, topic: bytes, called: list[str], kept: list[dict[str, Any]], wait: str, until: float
) -> list[dict[str, Any]]:
    """What has become of each part. One that can't go keeps no other back; the first error is raised, saying of which
    part it is, with the state of each in its ``detail``."""
    done: list[dict[str, Any]] = []
    failed: SecurechanError | None = None
    blamed = ""
    for what, each in zip(called, kept, strict=True):
        payload = bytes.fromhex(each["id"])
        try:
            if failed is None or isinstance(failed, Denied):
                done.append(each | await _waited(work, topic, payload, wait, until))
                continue
        except SecurechanError as error:
            failed, blamed = failed or error, blamed or what
        done.append(each | _stands(work, topic, payload))
    if failed is None:
        return done
    there = [what for what, each in zip(called, done, strict=True) if each["state"] not in ("queued", "dropped")]
    others = ", ".join(what for what in there if what != blamed)
    failed.about(f"{blamed} ({others} sent)" if others else blamed)
    failed.detail = {"messages": done}
    raise failed


def _wait(work: Work, params: Params) -> tuple[str, float]:
    """What is waited for, and until when."""
    wait = params.text("wait", "sent")
    if wait not in WAITS:
        raise Malformed(f"nothing waits for {wait!r}", hint=f"use {', '.join(WAITS)}", code="usage")
    return wait, work.clock.time() + params.seconds("timeout", 60.0)


async def _waited(work: Work, topic: bytes, payload: bytes, wait: str, until: float) -> dict[str, Any]:
    """What has become of a message of ours once it is as far as ``wait`` says."""
    if wait == "queued":
        return {}
    with reach.heard(work, topic) as reached:
        with queued("the message"):
            data = await sent(work, topic, payload, max(0.0, until - work.clock.time()))
        data["readers"] = readers(work, topic)  # a first message waits until somebody is there
        if wait in ("delivered", "read"):
            before = list(_said_of(work, topic, payload.hex()))
            data |= await reached.wait(payload, wait, before, data["readers"], max(0.0, until - work.clock.time()))
    return data


def _said_of(work: Work, topic: bytes, payload: str) -> Iterator[dict[str, Any]]:
    """What devices have said of a message of ours. They say it about when it came into the log."""
    left = DEEPEST
    for event in archived(work, topic.hex()):
        if event.get("payload") == payload:
            if event["event"] == "message-reached":
                yield event
            else:
                left = PAGE
        left -= 1
        if left <= 0:
            return


def readers(work: Work, topic: bytes) -> list[dict[str, Any]]:
    """The devices in a conversation without this one: who reads what is sent. ``own`` are others of its officer."""
    return [
        {"device": seat.device, "officer": seat.officer, "own": seat.officer == work.agent.officer}
        for seat in work.agent.conversation(topic).members
        if seat.device != work.agent.device
    ]


async def sent(work: Work, topic: bytes, payload: bytes, timeout: float) -> dict[str, Any]:
    """Wait until a payload of ours stands in the log: there every member reads it."""
    await work.online()
    await work.taken(lambda agent: agent.outgoing(payload) not in ("queued", "sealed"), timeout)
    found = _stands(work, topic, payload)
    if found["state"] == "dropped":
        raise Denied(f"it can't be sent any more: {found['reason']}", code="dropped")
    return found


def _stands(work: Work, topic: bytes, payload: bytes) -> dict[str, Any]:
    """What has become of a payload of ours by now."""
    state = work.agent.outgoing(payload)
    if state in ("queued", "sealed"):
        return {"state": "queued"}
    for event in archived(work, topic.hex()):
        if event.get("payload") == payload.hex():
            if event["event"] == "message-dropped":
                return {"state": "dropped", "reason": event["reason"]}
            return {"state": "sent", "sequence": event.get("sequence", 0)}
    return {"state": state}


async def recipient(work: Work, said: str) -> bytes:
    """The conversation that ``said`` names; an officer's is joined or founded where there is none (`direct`)."""
    try:
        return lookup.conversation(work.agent, said).topic
    except NotFound:
        if "@" not in said:
            raise
    return await direct(work, said)


# ---------------------------------------------------------------------------------------------------------------- read


@dataclass(frozen=True, slots=True)
class _Wish:
    """Which events are wanted."""

    unread: bool
    since: float  # Unix seconds
    limit: int
    all_kinds: bool

    def wants(self, event: dict[str, Any]) -> bool:
        return self.all_kinds or event.get("event") in SHOWN


async def read(work: Work, said: dict[str, Any]) -> dict[str, Any]:
    """The last events of one conversation, or of all: ``conversation``, ``unread``, ``since`` (seconds back),
    ``limit``. What is shown counts as read unless ``peek``. With ``follow`` new ones are given as they come, until
    whoever asked has had enough."""
    params = Params(said)
    name = params.text("conversation", "")
    back = params.seconds("since", 0.0)
    wish = _Wish(
        params.flag("unread"), work.clock.time() - back if back else 0.0, params.number("limit", 50), params.flag("all")
    )
    chosen = [lookup.conversation(work.agent, name)] if name else list(work.agent.conversations())
    found: list[dict[str, Any]] = []
    for each in chosen:
        count = min(wish.limit, each.unread) if wish.unread else wish.limit
        events = list(_latest(work, each.topic, wish, count))
        found += [_named(event, each.name) for event in reversed(events)]
        if not params.flag("peek"):
            await _mark(work, each.topic, each.unread, events)
    found.sort(key=_moment)
    events = [lookup.timed(event) for event in found[-wish.limit :]]
    if params.flag("follow"):
        for event in events:
            await work.give(event)
        await _follow(work, chosen[0].topic if name else None, wish, mark=not params.flag("peek"))
    return {"events": events, "offers": len(work.agent.offers())}


def _latest(work: Work, topic: bytes, wish: _Wish, count: int) -> Iterator[dict[str, Any]]:
    """The newest first, at most ``count`` of those that are wanted. A message of ours says whom it has ``reached``."""
    reached: dict[str, dict[str, list[str]]] = {}
    for event in archived(work, topic.hex()):
        if count <= 0 or (wish.since and _moment(event) and _moment(event) < wish.since):
            return
        if event["event"] == "message-reached":
            officers = reached.setdefault(event["payload"], {}).setdefault(event["kind"], [])
            officers += [event["officer"]] if event["officer"] not in officers else []
        if wish.wants(event):
            own = event["event"] == "message-received" and event["own"]
            yield event | ({"reached": reached.get(event["payload"], {})} if own else {})
            if not wish.unread or (event["event"] in ("message-received", "bulletin-received") and not event["own"]):
                count -= 1


def archived(work: Work, shelf: str) -> Iterator[dict[str, Any]]:
    """Every event on one shelf of the archive, the newest first."""
    from json import loads  # by its name it would hide what `to_json` gives

    after: str | None = None
    for _ in range(DEEPEST // PAGE):
        page = work.vault.range(ARCHIVE, shelf, after=after, limit=PAGE, newest=True)
        for name, value in page:
            after = name
            yield loads(value)
        if len(page) < PAGE:
            return


def _named(event: dict[str, Any], name: str) -> dict[str, Any]:
    """With the name that the conversation has here now."""
    return event | {"name": name}


def _moment(event: dict[str, Any]) -> float:
    """When it happened, Unix seconds: by the relay's clock where it stood in a log, else by ours."""
    time = event.get("time") or event.get("at") or 0
    return float(time) if isinstance(time, int) else 0.0


async def _mark(work: Work, topic: bytes, unread: int, events: list[dict[str, Any]]) -> None:
    """What was shown counts as read. ``events``: the newest first."""
    last = max((event.get("sequence", 0) for event in events), default=0)
    if unread and last:
        before = work.agent.conversation(topic).read
        fresh = tuple(
            (event["device"], bytes.fromhex(event["payload"]))
            for event in reversed(events)
            if event["event"] == "message-received" and not event["own"] and event["sequence"] > before
        )
        await work.runtime.do(MarkRead(topic, last, fresh))


async def _mark_one(work: Work, event: MessageReceived | BulletinReceived) -> None:
    """Likewise of one that has just come."""
    fresh = ((event.device, event.payload),) if isinstance(event, MessageReceived) else ()
    await work.runtime.do(MarkRead(event.conversation, event.sequence, fresh))


async def _follow(work: Work, topic: bytes | None, wish: _Wish, *, mark: bool) -> None:
    async for event in work.runtime.events():
        conversation = getattr(event, "conversation", b"")
        if kind_of(event) in SHOWN and (topic is None or conversation == topic):
            shown = to_json(event)
            if wish.wants(shown):
                await work.give(lookup.timed(shown))
            if mark and isinstance(event, MessageReceived) and not event.own:
                await _mark_one(work, event)


async def talk(work: Work, said: dict[str, Any]) -> dict[str, Any]:
    """A conversation as it goes on, ``to`` as in `send`, which may begin it. Gives ``talking``, then what nobody has
    read yet (``unread``), then what comes, until whoever asked has had enough. What was given counts as read."""
    import asyncio

    before = {each.topic for each in work.agent.conversations()}
    topic = await recipient(work, Params(said).text("to"))
    coming: asyncio.Queue[Any] = asyncio.Queue()
    stop = work.runtime.listen(coming.put_nowait)
    try:
        now = work.agent.conversation(topic)
        there = readers(work, topic)
        begun = topic not in before and not there  # not one that we were offered
        about = {"id": topic.hex(), "name": now.name, "unread": now.unread, "begun": begun, "readers": there}
        await work.give({"event": "talking", **about})
        shown = await _catch_up(work, topic)
        while True:
            event = await coming.get()
            if getattr(event, "conversation", b"") == topic and getattr(event, "sequence", shown + 1) > shown:
                await work.give(lookup.timed(to_json(event)))
                if isinstance(event, MessageReceived | BulletinReceived) and not event.own:
                    await _mark_one(work, event)
    finally:
        stop()


async def _catch_up(work: Work, topic: bytes) -> int:
    """Give what nobody has read yet; the sequence up to which everything has been seen then."""
    now = work.agent.conversation(topic)
    events = list(_latest(work, topic, _Wish(True, 0.0, now.unread, False), now.unread))
    for event in reversed(events):
        await work.give(lookup.timed(event) | {"unread": not event.get("own", False)})
    await _mark(work, topic, now.unread, events)
    return now.sequence


async def search(work: Work, said: dict[str, Any]) -> dict[str, Any]:
    """Messages and bulletins whose words contain ``text``, whatever its case; the newest first, at most ``limit``."""
    params = Params(said)
    wanted, limit = params.text("text").casefold(), params.number("limit", 50)
    name = params.text("conversation", "")
    chosen = [lookup.conversation(work.agent, name)] if name else list(work.agent.conversations())
    found: list[dict[str, Any]] = []
    for each in chosen:
        found += [
            _named(event, each.name)
            for event in archived(work, each.topic.hex())
            if event["event"] in ("message-received", "bulletin-received") and wanted in _words(event)
        ]
    found.sort(key=_moment, reverse=True)
    return {"events": [lookup.timed(event) for event in found[:limit]]}


def _words(event: dict[str, Any]) -> str:
    """What is looked through: names, titles, texts, and the documents of bulletins."""
    parts = [str(event.get(name, "")) for name in ("attachment", "title", "bulletin", "officer", "issuer")]
    for name in ("body", "content"):
        if name in event:
            said = str(event[name])
            parts.append(base64.b64decode(said).decode(errors="replace") if name == "content" else said)
    return "\n".join(parts).casefold()


async def fetch(work: Work, said: dict[str, Any]) -> dict[str, Any]:
    """The content of an attachment: ``id`` of its message. It is kept in the archive from then on."""
    params = Params(said)
    payload = params.hex("id", 16)
    for each in work.agent.conversations():
        for event in archived(work, each.topic.hex()):
            if event.get("payload") != payload.hex():
                continue
            if event["event"] == "attachment-fetched":
                return lookup.timed(event)
            if event["event"] == "message-received" and event.get("attachment"):
                return await _fetch(work, each.topic, payload, params.seconds("timeout", 60.0))
    raise NotFound("there is no such attachment", hint="securechan read shows their ids")


async def _fetch(work: Work, topic: bytes, payload: bytes, timeout: float) -> dict[str, Any]:
    import asyncio

    await work.online()
    arrived: asyncio.Future[dict[str, Any]] = asyncio.get_running_loop().create_future()

    def hear(event: Any) -> None:
        if kind_of(event) == "attachment-fetched" and event.payload == payload and not arrived.done():
            arrived.set_result(to_json(event))

    stop = work.runtime.listen(hear)
    try:
        await work.runtime.do(FetchAttachment(topic, payload))
        async with asyncio.timeout(timeout):
            return lookup.timed(await arrived)
    except TimeoutError:
        raise TimedOut("the attachment did not come in time", hint="try again, or raise --timeout") from None
    finally:
        stop()


def content_of(event: dict[str, Any]) -> bytes:
    """The content that an event carries."""
    return base64.b64decode(event["content"])


OPERATIONS: Final[dict[str, Operation]] = {
    "send": send,
    "read": read,
    "search": search,
    "fetch": fetch,
    "talk": talk,
}
