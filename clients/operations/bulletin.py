"""The bulletin desk: validated, published, shown, acknowledged, exported, verified.

A document is judged before anything else happens to it, with the same rules by which every reader judges it; what does
not pass leaves no trace. What a bulletin says is kept in the archive exactly as it was signed.
"""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Any, Final

from clients.operations import lookup
from clients.operations.engine import Operation, Params, Work, queued
from clients.operations.message import archived, recipient, sent
from clients.render import shorten
from securechan.agent.inputs import (
    Acknowledge,
    AnswerConsent,
    AskConsent,
    ForwardBulletin,
    PublishBulletin,
    Published,
    ReviseBulletin,
    WithdrawBulletin,
)
from securechan.bulletin import tlp
from securechan.bulletin.bulletin import BulletinHeader, Export, SignedBulletin, VerifiedBulletin, resolve
from securechan.bulletin.consent import SignedConsent
from securechan.bulletin.document import Document, inspect
from securechan.bulletin.tlp import Tlp
from securechan.errors import (
    CannotOpen,
    Conflict,
    Denied,
    Invalid,
    Malformed,
    NotFound,
    NotReady,
    Refused,
    TimedOut,
    Unfit,
    Unreachable,
    Untrusted,
)

if TYPE_CHECKING:
    from securechan.agent.look import BulletinSummary, Receipted
    from securechan.trust.evidence import Holding

TITLE_BYTES: Final = 256


# ----------------------------------------------------------------------------------------------------------- documents


def judge(content: bytes, media_type: str = "") -> dict[str, Any]:
    """What a document is and says of itself. Raises Unfit, with where and what."""
    return document_json(inspect(content, media_type or None), len(content))


def document_json(document: Document, size: int) -> dict[str, Any]:
    """A judged document as scripts get it."""
    floor = document.tlp_floor
    return {
        "media_type": document.media_type,
        "title": document.title,
        "facts": document.facts_by_name,
        "tlp_floor": None if floor is None else floor.word,
        "size": size,
    }


def _label(said: str, floor: Tlp | None) -> Tlp:
    if said:
        return tlp.parse(said)
    if floor is None:
        raise Malformed("the document bears no TLP label", hint="say one: --tlp amber", code="usage")
    return floor


def _title(said: str, document: Document) -> str:
    title = " ".join((said or document.title).split())
    while len(title.encode()) > TITLE_BYTES:
        title = shorten(title, len(title) - 1)
    return title


# ---------------------------------------------------------------------------------------------------------- publishing


async def publish(work: Work, said: dict[str, Any]) -> dict[str, Any]:
    """Publish: ``to``, ``content``, ``media_type``, ``tlp`` (else the strictest found inside), ``title``, ``ack_by``
    and ``valid`` (seconds from now), ``exercise``, ``id``; ``wait``: ``queued`` or ``sent``."""
    params = Params(said)
    content = params.data("content")
    document = inspect(content, params.text("media_type", "") or None)
    label = _label(params.text("tlp", ""), document.tlp_floor)
    topic = await recipient(work, params.text("to"))
    published = await work.runtime.do(
        PublishBulletin(
            topic,
            content,
            document.media_type,
            label,
            _title(params.text("title", ""), document),
            document.tlp_floor,
            _later(work, params.number("ack_by", 0)),
            _later(work, params.number("valid", 0)),
            params.flag("exercise"),
            params.hex("id", 16),
        )
    )
    return await _told(work, params, topic, published)


async def revise(work: Work, said: dict[str, Any]) -> dict[str, Any]:
    """The next revision of a bulletin of this agency: ``bulletin``, and as `publish`."""
    params = Params(said)
    found = _find(work, params.text("bulletin"))
    content = params.data("content")
    document = inspect(content, params.text("media_type", "") or None)
    published = await work.runtime.do(
        ReviseBulletin(
            found.conversation,
            found.bulletin,
            content,
            document.media_type,
            _label(params.text("tlp", found.tlp.word), document.tlp_floor),
            _title(params.text("title", ""), document),
            document.tlp_floor,
            _later(work, params.number("ack_by", 0)),
            _later(work, params.number("valid", 0)),
        )
    )
    return await _told(work, params, found.conversation, published)


async def withdraw(work: Work, said: dict[str, Any]) -> dict[str, Any]:
    """Say that a bulletin of this agency no longer stands: ``bulletin``, ``reason``. Final."""
    params = Params(said)
    found = _find(work, params.text("bulletin"))
    published = await work.runtime.do(WithdrawBulletin(found.conversation, found.bulletin, params.text("reason")))
    return await _told(work, params, found.conversation, published)


async def forward(work: Work, said: dict[str, Any]) -> dict[str, Any]:
    """Bring a bulletin to another conversation, as it was signed: ``bulletin``, ``to``, ``id``, ``wait``. Raises Denied
    where its label doesn't let it and its issuer hasn't consented; nothing is sent then."""
    params = Params(said)
    topic = await recipient(work, params.text("to"))
    found = _find(work, params.text("bulletin"), away_from=topic)
    _fits(work, found, topic)
    event = _content(work, found, found.revision)
    content = base64.b64decode(event["content"])
    try:
        floor = inspect(content, found.media_type).tlp_floor
    except Unfit:
        floor = None  # it was shown as plain text, with a warning; its header says how it is marked
    published = await work.runtime.do(ForwardBulletin(found.bulletin, topic, content, floor, params.hex("id", 16)))
    return await _told(work, params, topic, published)


def _fits(work: Work, found: BulletinSummary, topic: bytes) -> None:
    """Return if the conversation's ceiling lets the bulletin in: no consent of its issuer lifts that. Raises Denied."""
    there = work.agent.conversation(topic)
    if there.policy is not None and found.tlp > there.policy.ceiling:
        raise Denied(
            f"{found.bulletin} is tlp:{found.tlp.word}, and {there.name} takes at most tlp:{there.policy.ceiling.word}",
            hint="forward it to a conversation with a higher ceiling, or have a steward raise this one's",
            code="tlp-denied",
        )


async def ask_consent(work: Work, said: dict[str, Any]) -> dict[str, Any]:
    """Ask the desk that issued a bulletin whether it may be read in ``to``; ``reason`` is for people there."""
    params = Params(said)
    topic = await recipient(work, params.text("to"))
    found = _find(work, params.text("bulletin"), away_from=topic)
    _fits(work, found, topic)
    await work.runtime.do(AskConsent(found.bulletin, topic, params.text("reason", "")))
    await _delivered(work, params, "the question")
    return next(each for each in _consents(work) if each["bulletin"] == found.bulletin and each["to"] == topic.hex())


async def consents(work: Work, said: dict[str, Any]) -> dict[str, Any]:
    """Consents asked of this desk and by it, the newest first; with ``waiting`` those that a person has to answer."""
    waiting = Params(said).flag("waiting")
    return {"consents": [each for each in _consents(work) if not waiting or each["state"] == "waiting"]}


async def consent(work: Work, said: dict[str, Any]) -> dict[str, Any]:
    """Answer ``agency``, who asked about ``bulletin`` (and conversation ``to``, where it asked about several): yes for
    ``days``, or no with ``deny``."""
    params = Params(said)
    found, agency, to = _find(work, params.text("bulletin")), params.text("agency"), params.text("to", "")
    fitting = [
        each
        for each in _consents(work)
        if each["bulletin"] == found.bulletin
        and each["agency"] == agency
        and to in ("", each["to"], each["name"])
        and each["state"] in ("waiting", "given", "denied")
    ]
    if not fitting:
        raise NotFound(f"{agency} has not asked about {found.bulletin}", hint="see: securechan bulletin consents")
    if len(fitting) > 1:
        names = ", ".join(each["name"] for each in fitting)
        raise Conflict(f"{agency} asked about {len(fitting)} conversations", hint=f"say which with --to: {names}")
    until = 0 if params.flag("deny") else work.now + 86400 * params.number("days", 30)
    topic = bytes.fromhex(fitting[0]["to"])
    await work.runtime.do(AnswerConsent(found.bulletin, topic, agency, until))
    await _delivered(work, params, "the answer")
    return next(
        each
        for each in _consents(work)
        if (each["bulletin"], each["agency"], each["to"]) == (found.bulletin, agency, fitting[0]["to"])
    )


async def _delivered(work: Work, params: Params, what: str) -> None:
    with queued(what):
        await work.online()
        await work.runtime.until(lambda agent: agent.at_rest(work.now), params.seconds("timeout", 60.0))


def _consents(work: Work) -> list[dict[str, Any]]:
    return [
        {
            "bulletin": each.bulletin,
            "revision": each.revision,
            "state": each.state.name.lower(),
            "agency": each.device.partition("/")[0],
            "device": each.device,
            "officer": each.officer,
            "to": each.conversation.hex(),
            "name": each.name,
            "agencies": list(each.agencies),
            "reason": each.reason,
            "time": lookup.moment(each.time),
            "until": lookup.moment(SignedConsent.decode(each.consent).claim.until) if each.consent else None,
        }
        for each in work.agent.consents()
    ]


def _later(work: Work, seconds: int) -> int:
    return work.now + seconds if seconds else 0


async def _told(work: Work, params: Params, topic: bytes, published: Published) -> dict[str, Any]:
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
        "state": "queued",
    }
    if params.text("wait", "sent") == "sent":
        with queued(published.bulletin):
            data |= await sent(work, topic, published.payload, params.seconds("timeout", 120.0))
    return data


# -------------------------------------------------------------------------------------------------------------- reading


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
    return {"bulletins": [_summary(each) for each in found[: params.number("limit", 200)]]}


def due(each: BulletinSummary) -> bool:
    """Whether a person has still to acknowledge it."""
    return bool(each.ack_by) and not each.acknowledged and not each.own and not each.withdrawn


def _summary(each: BulletinSummary) -> dict[str, Any]:
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


def _find(work: Work, said: str, *, away_from: bytes = b"") -> BulletinSummary:
    """The bulletin that a person means, rather where it was issued than where it was forwarded to."""
    every = work.agent.bulletins()
    wanted = resolve(said, (each.bulletin for each in every))
    found = [each for each in every if each.bulletin == wanted]
    return min(found, key=lambda each: (each.conversation == away_from, bool(each.forwarder), -each.revision))


def _content(work: Work, found: BulletinSummary, revision: int = 0) -> dict[str, Any]:
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
    was signed, ``time`` when it came into this conversation: a forward comes later."""
    params = Params(said)
    found = _find(work, params.text("bulletin"))
    event = _content(work, found, params.number("revision", 0))
    header = BulletinHeader.decode(base64.b64decode(event["header"]))
    return _summary(found) | {
        "revision": header.revision,
        "issued": lookup.moment(header.time),
        "time": lookup.moment(event["time"]),
        "media_type": header.media_type,
        "exercise": bool(header.exercise),
        "valid_until": lookup.moment(header.valid_until),
        "signer": header.signer.hex(),
        "roster_version": header.roster_version,
        "sequence": event["sequence"],
        "content": event["content"],
    }


# -------------------------------------------------------------------------------------------------------- acknowledging


async def ack(work: Work, said: dict[str, Any]) -> dict[str, Any]:
    """A person has read it: tell its issuer."""
    params = Params(said)
    found = _find(work, params.text("bulletin"))
    await work.runtime.do(Acknowledge(found.bulletin, found.conversation))
    with queued("the acknowledgement"):
        await work.online()
        await work.runtime.until(lambda agent: agent.at_rest(work.now), params.seconds("timeout", 60.0))
    return _summary(_find(work, found.bulletin))


async def acks(work: Work, said: dict[str, Any]) -> dict[str, Any]:
    """Who has received and who has acknowledged a bulletin of this agency, and who hasn't; asked of the relay first
    unless ``offline``. Where it can't be asked, ``fresh`` is false and ``why`` says why."""
    params = Params(said)
    found = _find(work, params.text("bulletin"))
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


# ------------------------------------------------------------------------------------------------- outside the channel


async def export(work: Work, said: dict[str, Any]) -> dict[str, Any]:
    """A file (base64 in ``export``) with which anyone who knows the federation's root id can verify the bulletin."""
    from securechan.trust.evidence import evidence

    params = Params(said)
    found = _find(work, params.text("bulletin"))
    event = _content(work, found, params.number("revision", 0))
    signed = SignedBulletin(*(base64.b64decode(event[part]) for part in ("header", "signature", "content")))
    packed = Export(signed, (evidence(work.agent.view, found.issuer),)).pack()
    return {
        "bulletin": found.bulletin,
        "revision": signed.claim.revision,
        "root_id": work.agent.view.root_id.hex(),
        "size": len(packed),
        "export": base64.b64encode(packed).decode(),
    }


def verify(packed: bytes, root_id: bytes) -> dict[str, Any]:
    """What an exported bulletin says, once header, content and evidence have been verified against a root id (48
    bytes). Raises Malformed where the file is no export, CannotOpen (``damaged``) or BadSignature where it was altered,
    and Untrusted where the evidence doesn't hold."""
    try:
        verified, holdings = _proved(packed, root_id)
        header = verified.header
    except (Malformed, Invalid) as e:
        if e.hint:  # it is another file altogether
            raise
        raise CannotOpen(
            f"this export is damaged, cut or altered: {e.message}",
            hint="fetch it again from who exported it, and verify that",
            code="damaged",
        ) from e
    stone = next((holding.tombstone for holding in holdings if holding.tombstone is not None), None)
    return {
        "bulletin": header.id,
        "revision": header.revision,
        "status": header.status.name.lower(),
        "issuer": header.issuer,
        "device": header.device,
        "officer": holdings[0].officer,
        "title": header.title,
        "tlp": header.tlp.word,
        "media_type": header.media_type,
        "exercise": bool(header.exercise),
        "time": lookup.moment(header.time),
        "signer": header.signer.hex(),
        "root_id": root_id.hex(),
        "roster_version": holdings[0].roster_version,
        "signed_roster_version": header.roster_version,
        "fresh_when_signed": holdings[0].fresh(header.time),
        "revoked": None if stone is None else lookup.moment(stone.at),
        "content": base64.b64encode(verified.content).decode(),
        "document": judge(verified.content, header.media_type),
    }


def _proved(packed: bytes, root_id: bytes) -> tuple[VerifiedBulletin, list[Holding]]:
    from securechan.trust.evidence import verify_evidence

    export_ = Export.unpack(packed)
    claim = export_.claim
    if not export_.evidence:
        raise Untrusted("this export brings no evidence of who signed it", code="no-evidence", hint="ask for another")
    holdings = [
        verify_evidence(each, root_id=root_id, device=claim.device, key_hash=claim.signer) for each in export_.evidence
    ]
    return export_.verify(holdings[0].public), holdings


async def root(work: Work, _: dict[str, Any]) -> dict[str, Any]:
    """The federation's root id, for `verify`."""
    return {"root_id": work.agent.view.root_id.hex()}


OPERATIONS: Final[dict[str, Operation]] = {
    "publish": publish,
    "revise": revise,
    "withdraw": withdraw,
    "forward": forward,
    "ask-consent": ask_consent,
    "consents": consents,
    "consent": consent,
    "ls": ls,
    "show": show,
    "ack": ack,
    "acks": acks,
    "export": export,
    "root": root,
}
