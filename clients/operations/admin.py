"""An agency's administrator at work: invites, approvals, contact cards; what waits and how the agency stands.

    invite ──► box at the relay ──► a request ──► six words ──► approve ──► roster (`rosters`) ──► verdict into the box

Everything here is an operation of the device's own process: keys never leave the vault.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Final

from clients.federation import Address, newest_kem
from clients.operations import directory, farewells, rosters, wishes
from clients.operations import rotation as rotations
from clients.operations.engine import Params, Work
from clients.operations.farewells import Farewell
from clients.operations.newcomer import OFFICE
from clients.operations.office import Json, administrator, asked, doing, meant, own_key_id, read_box, signing_key
from clients.operations.rosters import changed, collect, delivered, pending_rosters, tell_pending
from clients.render import when
from clients.vault import Put
from securechan.agent.inputs import OpenBox, SendOpaque, WriteBox
from securechan.codec import U64, Enum8, Struct, opaque, text
from securechan.errors import Denied, Invalid, NotFound, NotReady, SecurechanError
from securechan.trust.cards import ContactCard, DirectoryKey, seal_card
from securechan.trust.enrolment import (
    LIFETIME,
    Approval,
    Denial,
    EnrolRequest,
    Invite,
    Verdict,
    check_roles,
    open_request,
    seal_verdict,
    six_words,
    words_match,
)
from securechan.trust.names import roster_role
from securechan.trust.records import made
from securechan.trust.view import View
from securechan.trust.words import check


class State(Enum8):
    """How far an invite is."""

    OPEN = 1
    ASKED = 2
    APPROVED = 3
    DENIED = 4


class Invited(Struct):
    """An invite that is out, and the request that came."""

    line: Annotated[str, text(4096)]
    state: State
    made: U64
    request: Annotated[bytes, opaque(1 << 16)]


@dataclass(frozen=True, slots=True)
class Asked:
    """A request that waits for a verdict; its box, in hexadecimal, is what it is named by."""

    ident: str
    invited: Invited
    request: EnrolRequest

    @property
    def device(self) -> str:
        return self.request.name

    def json(self) -> Json:
        """For people and scripts."""
        return {
            "id": self.ident[:8],
            "device": self.device,
            "officer": f"{self.request.proposal.officer}@{self.request.proposal.agency}",
            "roles": list(self.request.proposal.roles),
            "asked": when(self.request.proposal.time),
            "words": list(six_words(self.request)),
        }


# -------------------------------------------------------------------------------------------------------------- invites


def _invites(work: Work) -> dict[str, Invited]:
    """By box, in hexadecimal."""
    return {
        row.removeprefix("invite/"): Invited.decode(value)
        for row, value in work.vault.all(OFFICE).items()
        if row.startswith("invite/")
    }


def _keep_invite(work: Work, box: str, invited: Invited | None) -> None:
    work.vault.adopt([Put(OFFICE, f"invite/{box}", None if invited is None else invited.encode())])


async def invite(work: Work, params: Json) -> Json:
    """``officer`` (may be ""), ``roles``, ``lifetime`` seconds → the invite's one line, and its id."""
    said = Params(params)
    await work.synced()
    me, agent = administrator(work), work.agent
    relay = agent.view.publisher
    if relay is None:
        raise NotReady("the federation names no relay", code="no-relay")
    fresh = Invite.new(
        url=said.text("url", "") or relay.urls[0],
        relay=relay.name,
        kem_hash=hashlib.sha384(newest_kem(relay)).digest(),
        root_id=agent.view.root_id,
        agency=me.agency,
        officer=said.text("officer", ""),
        roles=said.texts("roles") or ("liaison",),
        now=work.now,
        lifetime=said.number("lifetime", LIFETIME),
    )
    box = fresh.box
    _keep_invite(work, box.id.hex(), Invited(fresh.line(), State.OPEN, work.now, b""))
    try:
        await asked(work, OpenBox(box.id, box.mac_key, fresh.not_after), "box")
    except SecurechanError:
        _keep_invite(work, box.id.hex(), None)
        raise
    return {
        "invite": fresh.line(),
        "id": box.id.hex()[:8],
        "officer": fresh.officer,
        "roles": list(fresh.roles),
        "expires": when(fresh.not_after),
    }


async def _read_boxes(work: Work) -> None:
    """Look into the boxes of invites that are out, and keep the requests."""
    for box, invited in _invites(work).items():
        parsed = Invite.parse(invited.line)
        if invited.state is not State.OPEN:
            continue
        if parsed.not_after <= work.now:
            _keep_invite(work, box, None)
            continue
        for body in await read_box(work, bytes.fromhex(box)):
            try:
                request = open_request(parsed, body)
            except SecurechanError:
                continue  # who holds the code may put anything in; it is the first good request that counts
            _keep_invite(work, box, Invited(invited.line, State.ASKED, invited.made, request.encode()))
            break


async def pending(work: Work, params: Json) -> Json:
    """What waits for an administrator: requests with their six words, rosters to be signed, devices that want another
    key listed or that their officers want out, invites that are out."""
    del params
    await work.synced()
    administrator(work)
    await _read_boxes(work)
    collect(work)
    invites = _invites(work)
    return {
        "requests": [each.json() for each in _requests(work)],
        "rosters": [tell_pending(work, ident, waiting) for ident, waiting in pending_rosters(work).items()],
        "keys": [
            wish.json(work.agent.view.device(wish.device)) for wish in wishes.standing(work.vault, work.agent.view)
        ],
        "revocations": [
            {**farewell.json(work.agent.view), "at": when(farewell.at)}
            for farewell in farewells.standing(work.vault, work.agent.view, work.now)
        ],
        "refused": [value.decode() for row, value in work.vault.all(OFFICE).items() if row.startswith("refused/")],
        "invites": [
            {
                "id": box[:8],
                "officer": Invite.parse(invited.line).officer,
                "roles": list(Invite.parse(invited.line).roles),
                "expires": when(Invite.parse(invited.line).not_after),
            }
            for box, invited in invites.items()
            if invited.state is State.OPEN
        ],
    }


def _requests(work: Work) -> list[Asked]:
    return [
        Asked(box, invited, EnrolRequest.decode(invited.request))
        for box, invited in _invites(work).items()
        if invited.state is State.ASKED
    ]


# ------------------------------------------------------------------------------------------------------------- verdicts


async def approve(work: Work, params: Json) -> Json:
    """``id``, ``words`` as they were said, ``roles`` (else as invited), ``not_after`` (Unix seconds, 0 none)."""
    said = Params(params)
    await work.synced()
    administrator(work)
    await _read_boxes(work)
    waiting = meant(_requests(work), said.text("id"))
    request = waiting.request
    check(said.text("words"), len(six_words(request)))
    if not words_match(said.text("words"), request):
        raise Denied(
            "the six words differ: misheard, or this is not the request of the person you spoke to",
            hint="have them read out again, spelt; if they still differ somebody may have stolen the invite: "
            "deny the request, and make a new invite",
            code="words-differ",
        )
    roles = said.texts("roles") or None
    if roles is not None:
        check_roles(roles)
    record = request.record(since=work.now, roles=roles, not_after=said.number("not_after", 0) or None)
    await doing(work, "the words agree; signing and publishing")
    done = await changed(work, requests=(request,), add=[record], note=said.text("note", ""))
    await _answer(work, waiting, Approval(done["roster"], directory.keys(work.vault)), State.APPROVED)
    return {"device": record.name, "officer": record.address, "roles": sorted(record.roles), **done}


async def deny(work: Work, params: Json) -> Json:
    """``id``: a request, whose officer is told the ``reason``; or a device that its officer wants revoked. Of that
    nobody is told: the wish is forgotten here, and stands with other administrators. Key requests can't be denied: a
    device asks for each once."""
    said = Params(params)
    await work.synced()
    administrator(work)
    await _read_boxes(work)
    collect(work)
    reason = said.text("reason", "")
    waits: list[Asked | Farewell] = [
        *_requests(work),
        *farewells.standing(work.vault, work.agent.view, work.now),
    ]
    waiting = meant(waits, said.text("id"))
    match waiting:
        case Asked():
            await doing(work, "answering")
            await _answer(work, waiting, Denial(reason), State.DENIED)
            what = "request"
        case Farewell():
            if reason:
                raise Invalid(
                    "nobody is told why a device is not revoked",
                    hint=f"tell {waiting.by} yourself, and deny it without --reason",
                    code="usage",
                )
            farewells.forget(work.vault, waiting)
            what = "revocation"
    return {"device": waiting.device, "denied": True, "reason": reason, "what": what}


async def _answer(work: Work, waiting: Asked, said: Approval | Denial, state: State) -> None:
    """Sign the verdict on a request, and put it where its device looks."""
    request, invited = waiting.request, waiting.invited
    verdict = Verdict.make(request, said, approver=work.agent.device, key=signing_key(work), now=work.now)
    await asked(work, WriteBox(bytes.fromhex(waiting.ident), seal_verdict(verdict, request)), "box")
    _keep_invite(work, waiting.ident, Invited(invited.line, state, invited.made, invited.request))


# -------------------------------------------------------------------------------------------------------- contact cards


async def contact_set(work: Work, params: Json) -> Json:
    """``officer``, ``name``, ``duty``, ``phone``, ``mail``, ``note``; or ``remove``."""
    said = Params(params)
    await work.synced()
    me = administrator(work)
    officer = said.text("officer").partition("@")[0]
    if f"{officer}@{me.agency}" not in work.agent.view.officers(me.agency):
        raise NotFound(f"{officer[:64]} is no officer of {me.agency}", hint="securechan admin member ls")
    sealed: bytes | None = None
    if not said.flag("remove"):
        values = {name: said.text(name, "") for name in ("name", "duty", "phone", "mail", "note")}
        card = made(ContactCard, officer=officer, **values)
        sealed = seal_card(_directory_key(work, me.agency), card)
    cards: Mapping[str, bytes | None] = {officer: sealed}
    await doing(work, "signing and publishing")
    return {"officer": f"{officer}@{me.agency}", **await changed(work, cards=cards, note=f"card of {officer}")}


def _directory_key(work: Work, agency: str) -> DirectoryKey:
    """The agency's newest; its first, where no card was ever sealed."""
    try:
        return directory.own(work.vault, agency)
    except NotFound:
        if work.agent.view.cards(agency):
            raise
        fresh = DirectoryKey.new(agency)
        directory.keep(work.vault, fresh)
        return fresh


async def contact_share(work: Work, params: Json) -> Json:
    """``to``: a device, an agency (its administrators' devices), or "" for all devices of the own agency. Sends the
    directory keys that this device holds."""
    said = Params(params)
    await work.synced()
    me, view = administrator(work), work.agent.view
    to = said.text("to", "")
    if not to:
        recipients = [record for record in view.devices(me.agency) if record.name != me.name]
    elif "/" in to:
        recipients = [view.device(to)]
    else:
        view.agency(to)
        recipients = [record for record in view.devices(to) if "admin" in record.roles]
    for record in recipients:
        sealed = directory.hand_on(work.vault, record, me.name, signing_key(work))
        await work.runtime.do(SendOpaque(record.name, directory.KIND, sealed))
    await delivered(work)
    return {"sent_to": [record.name for record in recipients], "keys": len(directory.keys(work.vault))}


# --------------------------------------------------------------------------------------------------------------- status


async def status(work: Work, params: Json) -> Json:
    """The agency as trust has it: keys, thresholds, expiries, what is out."""
    if Params(params).flag("fresh"):
        await work.synced()
    view, agency = work.agent.view, work.agent.agency
    standing = view.agency(agency)
    invites = _invites(work)
    return {
        "agency": agency,
        "title": standing.record.title,
        "device": work.agent.device,
        "roster": standing.roster_version,
        "devices": len(view.devices(agency)),
        "authority": {"keys": sorted(standing.authority.keys), "threshold": standing.authority.threshold},
        "roster_keys": None
        if standing.roster is None
        else {"keys": sorted(standing.roster.keys), "threshold": standing.roster.threshold},
        "own_key": own_key_id(work),
        "open_invites": sum(invited.state is State.OPEN for invited in invites.values()),
        "requests": sum(invited.state is State.ASKED for invited in invites.values()),
        "expiries": [
            {"role": expiry.role, "expires": when(expiry.expires), "state": expiry.state.value, "left": expiry.left}
            for expiry in view.check_fresh(work.now)
            if expiry.role in (agency, roster_role(agency))
        ],
        "address": _address(view),
    }


def _address(view: View) -> str:
    relay = view.publisher
    return "" if relay is None else Address.of(view.root_id, relay).line()


OPERATIONS: Final = {
    "invite": invite,
    "pending": pending,
    "approve": approve,
    "deny": deny,
    "contact-set": contact_set,
    "contact-share": contact_share,
    "status": status,
    **rosters.OPERATIONS,
    **rotations.OPERATIONS,
}
