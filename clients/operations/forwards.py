"""Bulletins brought elsewhere: as far as their label lets them, or their issuer consents.

forward ── the label lets it ─► sent, as it was signed
   └─ it doesn't ─► ask-consent ─► a person at the issuer's desk ─► consent ─► forward
"""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Any, Final

from clients.operations import lookup
from clients.operations.engine import Operation, Params, Work, queued
from clients.operations.message import recipient
from clients.operations.shelf import content_of, find, told
from securechan.agent.inputs import AnswerConsent, AskConsent, ForwardBulletin
from securechan.bulletin.consent import SignedConsent
from securechan.bulletin.document import inspect
from securechan.errors import Conflict, Denied, NotFound, Unfit

if TYPE_CHECKING:
    from securechan.agent.look import BulletinSummary


async def forward(work: Work, said: dict[str, Any]) -> dict[str, Any]:
    """Bring a bulletin to another conversation, as it was signed: ``bulletin``, ``to``, ``id``, ``wait``. Raises Denied
    where its label doesn't let it and its issuer hasn't consented; nothing is sent then."""
    params = Params(said)
    topic = await recipient(work, params.text("to"))
    found = find(work, params.text("bulletin"), away_from=topic)
    _fits(work, found, topic)
    event = content_of(work, found, found.revision)
    content = base64.b64decode(event["content"])
    try:
        floor = inspect(content, found.media_type).tlp_floor
    except Unfit:
        floor = None  # it was shown as plain text, with a warning; its header says how it is marked
    published = await work.runtime.do(ForwardBulletin(found.bulletin, topic, content, floor, params.hex("id", 16)))
    return await told(work, params, topic, published)


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
    found = find(work, params.text("bulletin"), away_from=topic)
    _fits(work, found, topic)
    await work.runtime.do(AskConsent(found.bulletin, topic, params.text("reason", "")))
    await _delivered(work, params, "the question")
    return next(each for each in _consents(work) if each["bulletin"] == found.bulletin and each["to"] == topic.hex())


async def consents(work: Work, said: dict[str, Any]) -> dict[str, Any]:
    """Consents asked of this desk and by it, the newest first; with ``waiting`` those that a person has to answer."""
    waiting = Params(said).flag("waiting")
    return {"consents": [each for each in _consents(work) if not waiting or each["state"] == "waiting"]}


async def asked(work: Work, said: dict[str, Any]) -> dict[str, Any]:
    """What ``agency`` asks about ``bulletin`` (and conversation ``to``, where it asked about several)."""
    return _question(work, Params(said))


async def consent(work: Work, said: dict[str, Any]) -> dict[str, Any]:
    """Answer what is `asked`: yes for ``days``, or no with ``deny``. ``agencies`` are those that a person was shown: a
    consent goes to no others."""
    params = Params(said)
    question = _question(work, params)
    key = question["bulletin"], question["agency"], question["to"]
    until = 0 if params.flag("deny") else work.now + 86400 * params.number("days", 30)
    await work.runtime.do(AnswerConsent(key[0], bytes.fromhex(key[2]), key[1], until, params.texts("agencies")))
    await _delivered(work, params, "the answer")
    return next(each for each in _consents(work) if (each["bulletin"], each["agency"], each["to"]) == key)


def _question(work: Work, params: Params) -> dict[str, Any]:
    found, agency, to = find(work, params.text("bulletin")), params.text("agency"), params.text("to", "")
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
    return fitting[0]


async def _delivered(work: Work, params: Params, what: str) -> None:
    with queued(what):
        await work.online()
        await work.at_rest(params.seconds("timeout", 60.0))


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


OPERATIONS: Final[dict[str, Operation]] = {
    "forward": forward,
    "ask-consent": ask_consent,
    "consents": consents,
    "asked": asked,
    "consent": consent,
}
