"""What a device has of bulletins: found by what people type, listed, shown, and what became of one that was sent.

What a bulletin says is kept in the archive exactly as it was signed, every revision of it.
"""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Any, Final

from clients.operations import lookup
from clients.operations.engine import Operation, Params, Work, queued
from clients.operations.message import archived, readers, sent
from securechan.agent.inputs import Published
from securechan.bulletin.bulletin import BulletinHeader, resolve
from securechan.errors import NotReady

if TYPE_CHECKING:
    from securechan.agent.look import BulletinSummary


async def ls(work: Work, said: dict[str, Any]) -> dict[str, Any]:
    """Bulletins, the newest first. ``conversation``, ``own``, ``due`` (still to be acknowledged by a person)."""
    params = Params(said)
    name = params.text("conversation", "")
    topic = lookup.conversation(work.agent, name).topic if name else None
    found = [
        each
        for each in work.agent.bulletins()
        if (topic is None or each.conversation == topic)
        and (not params.flag("own") or each.own)
        and (not params.flag("due") or due(each))
    ]
    return {"bulletins": [summary(each) for each in found[: params.number("limit", 200)]]}


def due(each: BulletinSummary) -> bool:
    """Whether a person has still to acknowledge it."""
    return bool(each.ack_by) and not each.acknowledged and not each.own and not each.withdrawn


def summary(each: BulletinSummary) -> dict[str, Any]:
    """A bulletin as scripts get it: its newest revision."""
    return {
        "bulletin": each.bulletin,
        "revision": each.revision,
        "status": "withdrawn" if each.withdrawn else "active",
        "title": each.title,
        "tlp": each.tlp.word,
        "issuer": each.issuer,
        "device": each.device,
        "conversation": each.conversation.hex(),
        "name": each.name,
        "time": lookup.moment(each.time),
        "ack_by": lookup.moment(each.ack_by),
        "acknowledged": each.acknowledged,
        "due": due(each),
        "own": each.own,
        "complete": each.complete,
        "forwarded_by": each.forwarder,
        "consent_by": each.consenter,
    }


def find(work: Work, said: str, *, away_from: bytes = b"") -> BulletinSummary:
    """The bulletin that a person means, rather where it was issued than where it was forwarded to."""
    every = work.agent.bulletins()
    wanted = resolve(said, (each.bulletin for each in every))
    found = [each for each in every if each.bulletin == wanted]
    return min(found, key=lambda each: (each.conversation == away_from, bool(each.forwarder), -each.revision))


def content_of(work: Work, found: BulletinSummary, revision: int = 0) -> dict[str, Any]:
    """The archived bulletin: its newest revision, or the one asked for."""
    for event in archived(work, found.conversation.hex()):
        if (
            event["event"] == "bulletin-received"
            and event["bulletin"] == found.bulletin
            and revision in (0, event["revision"])
        ):
            return event
    raise NotReady(
        f"the content of {found.bulletin} has not been fetched yet",
        hint="securechan sync, then try again",
        code="incomplete",
    )


async def show(work: Work, said: dict[str, Any]) -> dict[str, Any]:
    """One bulletin with its content (base64): ``bulletin``, ``revision`` (else the newest). ``issued`` is when it
    was signed, ``time`` when it came into this conversation: a forward comes later. ``newest`` says what stands there
    now, whichever revision is shown."""
    params = Params(said)
    found = find(work, params.text("bulletin"))
    event = content_of(work, found, params.number("revision", 0))
    header = BulletinHeader.decode(base64.b64decode(event["header"]))
    data = summary(found) | {
        "revision": header.revision,
        "title": header.title,
        "tlp": header.tlp.word,
        "device": header.device,
        "ack_by": lookup.moment(header.ack_by),
        "issued": lookup.moment(header.time),
        "time": lookup.moment(event["time"]),
        "media_type": header.media_type,
        "exercise": bool(header.exercise),
        "valid_until": lookup.moment(header.valid_until),
        "lapsed": bool(header.valid_until) and header.valid_until <= work.now,
        "signer": header.signer.hex(),
        "roster_version": header.roster_version,
        "sequence": event["sequence"],
        "content": event["content"],
        "newest": newest(work, found),
        "superseded": header.revision < found.revision,
    }
    return data | ({"due": False} if data["superseded"] else {})


def newest(work: Work, found: BulletinSummary) -> dict[str, Any]:
    """What stands of a bulletin, as far as this device has read: its last revision, and of a withdrawal the reason."""
    return {
        "revision": found.revision,
        "status": "withdrawn" if found.withdrawn else "active",
        "time": lookup.moment(found.time),
        "reason": _reason(work, found) if found.withdrawn else "",
    }


def _reason(work: Work, found: BulletinSummary) -> str:
    try:
        content = content_of(work, found, found.revision)["content"]
    except NotReady:  # a forward's withdrawal may come without words
        return ""
    return base64.b64decode(content).decode(errors="replace")


async def told(work: Work, params: Params, topic: bytes, published: Published) -> dict[str, Any]:
    """What became of a bulletin that was put on its way. ``readers`` are the devices that it reaches, without this
    one."""
    conversation = work.agent.conversation(topic)
    agencies = {seat.agency for seat in conversation.members}
    data = {
        "bulletin": published.bulletin,
        "revision": published.revision,
        "id": published.payload.hex(),
        "conversation": topic.hex(),
        "name": conversation.name,
        "members": len(conversation.members),
        "agencies": len(agencies),
        "readers": readers(work, topic),
        "state": "queued",
    }
    if params.text("wait", "sent") == "sent":
        with queued(published.bulletin):
            data |= await sent(work, topic, published.payload, params.seconds("timeout", 120.0))
        data["readers"] = readers(work, topic)
    return data


OPERATIONS: Final[dict[str, Operation]] = {"ls": ls, "show": show}
