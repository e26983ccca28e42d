"""The bulletin desk: published, revised, withdrawn, acknowledged.

What the desk's other verbs do is told beside them: `shelf` (listed, shown), `forwards` (brought elsewhere), `proof`
(outside the channel). All of them are named ``bulletin.…`` to who asks.
"""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Any, Final

from clients.operations import forwards, lookup, proof, shelf
from clients.operations.documents import label_of, title_of
from clients.operations.engine import Operation, Params, Work, queued
from clients.operations.message import recipient
from clients.operations.shelf import content_of, find, summary, told
from securechan.agent.inputs import Acknowledge, PublishBulletin, ReviseBulletin, WithdrawBulletin
from securechan.bulletin.document import TEXT, Document, inspect
from securechan.errors import NotReady, Refused, TimedOut, Unfit, Unreachable

if TYPE_CHECKING:
    from securechan.agent.look import BulletinSummary, Receipted


async def publish(work: Work, said: dict[str, Any]) -> dict[str, Any]:
    """Publish: ``to``, ``content``, ``media_type``, ``tlp`` (else the strictest found inside), ``title``, ``ack_by``
    and ``valid`` (seconds from now), ``exercise``, ``id``; ``wait``: ``queued`` or ``sent``."""
    params = Params(said)
    content = params.data("content")
    document = inspect(content, params.text("media_type", "") or None)
    label = label_of(params.text("tlp", ""), document.tlp_floor)
    topic = await recipient(work, params.text("to"))
    published = await work.runtime.do(
        PublishBulletin(
            topic,
            content,
            document.media_type,
            label,
            title_of(params.text("title", ""), document),
            document.tlp_floor,
            later(work, params.number("ack_by", 0)),
            later(work, params.number("valid", 0)),
            params.flag("exercise"),
            params.hex("id", 16),
        )
    )
    return await told(work, params, topic, published)


async def revise(work: Work, said: dict[str, Any]) -> dict[str, Any]:
    """The next revision of a bulletin of this agency: ``bulletin``, and as `publish`. Without a ``title`` it keeps the
    one it has, unless the document brings a new one of its own."""
    params = Params(said)
    found = find(work, params.text("bulletin"))
    content = params.data("content")
    document = inspect(content, params.text("media_type", "") or None)
    title = params.text("title", "") or _kept_title(work, found, document)
    published = await work.runtime.do(
        ReviseBulletin(
            found.conversation,
            found.bulletin,
            content,
            document.media_type,
            label_of(params.text("tlp", found.tlp.word), document.tlp_floor),
            title_of(title, document),
            document.tlp_floor,
            later(work, params.number("ack_by", 0)),
            later(work, params.number("valid", 0)),
        )
    )
    return await told(work, params, found.conversation, published)


def _kept_title(work: Work, found: BulletinSummary, document: Document) -> str:
    """The title that the next revision has where nobody says one. The first words of a text are no title that anybody
    gave it; STIX and CSAF have a place for one, and another one there is meant."""
    if document.media_type == TEXT:
        return found.title
    try:
        before = inspect(base64.b64decode(content_of(work, found)["content"]), found.media_type).title
    except (NotReady, Unfit):  # not here, or by rules of another version
        return found.title
    return found.title if document.title == before else document.title


async def withdraw(work: Work, said: dict[str, Any]) -> dict[str, Any]:
    """Say that a bulletin of this agency no longer stands: ``bulletin``, ``reason``. Final."""
    params = Params(said)
    found = find(work, params.text("bulletin"))
    published = await work.runtime.do(WithdrawBulletin(found.conversation, found.bulletin, params.text("reason")))
    return await told(work, params, found.conversation, published)


def later(work: Work, seconds: int) -> int:
    return work.now + seconds if seconds else 0


# -------------------------------------------------------------------------------------------------------- acknowledging


async def ack(work: Work, said: dict[str, Any]) -> dict[str, Any]:
    """A person has read it: tell its issuer."""
    params = Params(said)
    found = find(work, params.text("bulletin"))
    await work.runtime.do(Acknowledge(found.bulletin, found.conversation))
    with queued("the acknowledgement"):
        await work.online()
        await work.at_rest(params.seconds("timeout", 60.0))
    return summary(find(work, found.bulletin))


async def acks(work: Work, said: dict[str, Any]) -> dict[str, Any]:
    """Who has received and who has acknowledged a bulletin of this agency, and who hasn't; asked of the relay first
    unless ``offline``. Where it can't be asked, ``fresh`` is false and ``why`` says why."""
    params = Params(said)
    found = find(work, params.text("bulletin"))
    why = "not asked"
    if not params.flag("offline"):
        try:
            await work.synced(30.0)
            why = ""
        except (Unreachable, TimedOut, Refused) as e:
            why = e.message
    return {
        "fresh": not why,
        "why": why,
        "bulletin": found.bulletin,
        "revision": found.revision,
        "title": found.title,
        "ack_by": lookup.moment(found.ack_by),
        "conversations": [
            {
                "conversation": told.conversation.hex(),
                "name": work.agent.conversation(told.conversation).name,
                "acknowledged": [_receipt(each) for each in told.acknowledged],
                "delivered": [_receipt(each) for each in told.delivered],
                "missing": [_receipt(each) for each in told.missing],
            }
            for told in work.agent.acks(found.bulletin)
        ],
    }


def _receipt(each: Receipted) -> dict[str, Any]:
    return {"device": each.device, "officer": each.officer, "time": lookup.moment(each.time)}


OPERATIONS: Final[dict[str, Operation]] = {
    "publish": publish,
    "revise": revise,
    "withdraw": withdraw,
    "ack": ack,
    "acks": acks,
    **shelf.OPERATIONS,
    **forwards.OPERATIONS,
    **proof.OPERATIONS,
}
