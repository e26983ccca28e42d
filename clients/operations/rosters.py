"""Rosters: changed and signed by one administrator, sent to the next where two must sign, published.

    revoke, approve, relist, renew, contact ──► roster ──► signed ─┬─ enough ──► published
                                                                   └─ one more needed ──► letters to the other
                                                                      administrators' devices ──► sign ──► published

A letter is believed as far as its content proves itself: a draft is verified again before it is shown to who signs.
"""

from __future__ import annotations

import base64
import hashlib
import json
from typing import Any, Final

from clients.operations import directory, farewells, wishes
from clients.operations.engine import Params, Work
from clients.operations.newcomer import OFFICE
from clients.operations.office import (
    ANSWER,
    Json,
    administrator,
    doing,
    meant,
    own_key_id,
    publish,
    roster_signer,
    signing_key,
)
from clients.render import when
from clients.vault import Put
from securechan.agent.inputs import SendOpaque
from securechan.agent.state import ARCHIVE
from securechan.errors import Conflict, Denied, NotFound, Refused, SecurechanError, Stale, TimedOut, Untrusted
from securechan.trust import authority
from securechan.trust.diff import diff
from securechan.trust.draft import Draft
from securechan.trust.enrolment import EnrolRequest
from securechan.trust.names import split_device
from securechan.trust.pending import PendingRoster
from securechan.trust.records import DeviceRecord

PENDING: Final = "pending-roster"  # kind of an opaque letter
TOLD: Final = 32  # letters that are not believed of which people are told
_CURSOR: Final = "letters-read"


# -------------------------------------------------------------------------------------------------------------- letters


def collect(work: Work) -> None:
    """Take up the letters that other administrators' devices have sent since last time."""
    cursor = work.vault.get(OFFICE, _CURSOR)
    after = None if cursor is None else cursor.decode()
    while True:
        rows = work.vault.range(ARCHIVE, "-", after=after, limit=200)
        if not rows:
            return
        for row, value in rows:
            after = row
            said = json.loads(value)
            if said.get("event") == "opaque-received":
                _take(work, str(said["device"]), str(said["kind"]), base64.b64decode(said["content"]))
        work.vault.adopt([Put(OFFICE, _CURSOR, (after or "").encode())])


def _take(work: Work, sender: str, kind: str, content: bytes) -> None:
    """One letter. What can't be believed is told of (`pending`), and the letter stays archived."""
    agent = work.agent
    try:
        if kind == PENDING:
            pending = _believed(work, content)
            if pending is not None:
                _keep_pending(work, pending)
        elif kind == directory.KIND:
            directory.take(work.vault, agent.view, agent.device, agent.inbox_private, content)
        elif kind == wishes.KIND:
            wishes.take(work.vault, sender, content, agent.agency)
        elif kind == farewells.KIND:
            farewells.take(work.vault, agent.view, sender, content, work.now)
    except SecurechanError as e:
        told = sum(row.startswith("refused/") for row in work.vault.all(OFFICE))
        if told < TOLD:
            name = hashlib.sha256(content).hexdigest()[:16]
            work.vault.adopt([Put(OFFICE, f"refused/{name}", f"{sender}: {e.message}"[:500].encode())])


def _believed(work: Work, content: bytes) -> PendingRoster | None:
    """A roster that another administrator proposes; None for one that trust has overtaken. Raises as `verify`."""
    pending = PendingRoster.decode(content)
    if pending.agency != work.agent.agency:
        raise Denied(f"{pending.proposer} proposes a roster of another agency", code="role-denied")
    try:
        pending.verify(work.agent.view)
    except Stale:
        return None
    return pending


def _keep_pending(work: Work, pending: PendingRoster) -> str:
    """Remember a roster that waits; its id. Signatures of copies are put together."""
    ident = _pending_id(pending)
    draft = pending.draft
    kept = work.vault.get(OFFICE, f"draft/{ident}")
    if kept is not None:
        draft = draft.merge(Draft(draft.role, kept))
    work.vault.adopt([Put(OFFICE, f"pending/{ident}", pending.encode()), Put(OFFICE, f"draft/{ident}", draft.content)])
    return ident


def _forget_pending(work: Work, ident: str) -> None:
    work.vault.adopt([Put(OFFICE, f"pending/{ident}", None), Put(OFFICE, f"draft/{ident}", None)])


def _draft(work: Work, ident: str, waiting: PendingRoster) -> Draft:
    """A roster that waits, with all signatures that have come."""
    kept = work.vault.get(OFFICE, f"draft/{ident}")
    return waiting.draft if kept is None else Draft(waiting.draft.role, kept)


def _pending_id(pending: PendingRoster) -> str:
    """The same for all copies of a draft, however far they are signed."""
    payload = repr(pending.draft.document.metadata.signed.to_dict()).encode()
    return hashlib.sha256(pending.agency.encode() + b"\0" + payload).hexdigest()[:8]


def pending_rosters(work: Work) -> dict[str, PendingRoster]:
    """Rosters that still wait; those that trust has overtaken are forgotten."""
    found: dict[str, PendingRoster] = {}
    for row, value in work.vault.all(OFFICE).items():
        if not row.startswith("pending/"):
            continue
        pending = PendingRoster.decode(value)
        if pending.draft.version <= work.agent.view.roster_version(work.agent.agency):
            _forget_pending(work, row.removeprefix("pending/"))
        else:
            found[row.removeprefix("pending/")] = pending
    return found


def _others(work: Work) -> list[DeviceRecord]:
    """The other administrators' devices of the agency."""
    me = work.agent.device
    return [
        record for record in work.agent.view.devices(work.agent.agency) if "admin" in record.roles and record.name != me
    ]


# -------------------------------------------------------------------------------------------------------- one signature


async def _carry_out(work: Work, draft: Draft, requests: tuple[EnrolRequest, ...], note: str) -> Json:
    """Sign a roster; publish it, or send it to the other administrators where it needs more signatures than one."""
    view, agent = work.agent.view, work.agent
    signed = draft.sign(roster_signer(work))
    changes = list(diff(view, signed))
    standing = view.document(agent.agency)
    if standing is None:
        raise Untrusted(f"{agent.agency} has published nothing yet", code="unknown-agency")
    signing = signed.signing(standing)
    if not signing.signed:
        raise Denied(
            "this device's roster key is not one that the agency's authority lists",
            hint="securechan admin rotate --new-key, signed by the authority",
            code="wrong-key",
        )
    if not signing.missing:
        sequence = await publish(work, [signed.pair()])
        return {"published": True, "roster": signed.version, "sequence": sequence, "changes": changes, "missing": 0}
    pending = PendingRoster.make(
        signed, requests, proposer=agent.device, key=signing_key(work), now=work.now, note=note
    )
    ident = _keep_pending(work, pending)
    sent = await _send_pending(work, pending)
    return {
        "published": False,
        "roster": signed.version,
        "pending": ident,
        "sent_to": sent,
        "file": base64.b64encode(pending.encode()).decode("ascii"),
        "changes": changes,
        "missing": signing.missing,
    }


async def _send_pending(work: Work, pending: PendingRoster) -> list[str]:
    """Letters to the other administrators; who they go to."""
    sent = []
    for record in _others(work):
        await work.runtime.do(SendOpaque(record.name, PENDING, pending.encode()))
        sent.append(record.name)
    if sent:
        await delivered(work)
    return sent


async def delivered(work: Work) -> None:
    """Letters have left; where they have not in time they go with the next session."""
    try:
        await work.at_rest(ANSWER)
    except (TimedOut, Refused):
        return


async def changed(work: Work, *, note: str = "", requests: tuple[EnrolRequest, ...] = (), **changes: Any) -> Json:
    """A roster with changes, made anew where another administrator was quicker."""
    for last in (False, True):
        draft = authority.roster(work.agent.view, work.agent.agency, now=work.now, **changes)
        try:
            return await _carry_out(work, draft, requests, note)
        except Stale:
            if last:
                raise
            await work.synced()
    raise AssertionError("unreachable")


# --------------------------------------------------------------------------------------------------- the next signature


def tell_pending(work: Work, ident: str, waiting: PendingRoster) -> Json:
    view = work.agent.view
    standing = view.document(work.agent.agency)
    signing = None if standing is None else _draft(work, ident, waiting).signing(standing)
    return {
        "id": ident,
        "proposer": waiting.proposer,
        "roster": waiting.draft.version,
        "made": when(waiting.time),
        "note": waiting.note,
        "changes": list(waiting.diff(view)),
        "words": {name: list(words) for name, words in waiting.words().items()},
        "missing": 0 if signing is None else signing.missing,
        "signed_here": signing is not None and own_key_id(work) in signing.signed,
    }


def _waiting(work: Work, ident: str) -> tuple[str, PendingRoster]:
    pendings = pending_rosters(work)
    found = [each for each in pendings.items() if each[0].startswith(ident)] if ident else list(pendings.items())
    if not found:
        raise NotFound("no such roster waits for your signature", hint="securechan admin pending")
    if len(found) > 1:
        raise Conflict("several rosters wait", hint="name one of: securechan admin pending")
    return found[0]


async def show_roster(work: Work, params: Json) -> Json:
    """``id`` (may be "") or ``file``: a roster that waits, verified, in words."""
    said = Params(params)
    await work.synced()
    administrator(work)
    collect(work)
    if said.text("file", ""):
        given = _believed(work, said.data("file"))
        if given is None:
            raise Stale("this roster was overtaken", hint="the proposer must make it again from the current roster")
        ident = _keep_pending(work, given)
    else:
        ident = said.text("id", "")
    ident, waiting = _waiting(work, ident)
    waiting.verify(work.agent.view)
    return tell_pending(work, ident, waiting)


async def sign_roster(work: Work, params: Json) -> Json:
    """``id``: sign what `show_roster` showed; published where that is enough, else sent on."""
    said = Params(params)
    await work.synced()
    administrator(work)
    ident, waiting = _waiting(work, said.text("id"))
    view = work.agent.view
    waiting.verify(view)
    standing = view.document(work.agent.agency)
    if standing is None:
        raise Untrusted(f"{work.agent.agency} has published nothing yet", code="unknown-agency")
    draft = _draft(work, ident, waiting)
    signer = roster_signer(work)
    signing = draft.signing(standing)
    if signer.keyid not in signing.waiting and signer.keyid not in signing.signed:
        raise Denied("this device's roster key is not one that the agency's authority lists", code="wrong-key")
    await doing(work, "signing and publishing")
    signed = draft.sign(signer)
    missing = signed.signing(standing).missing
    if missing:
        again = PendingRoster.make(
            signed,
            waiting.requests,
            proposer=work.agent.device,
            key=signing_key(work),
            now=work.now,
            note=waiting.note,
        )
        _keep_pending(work, again)
        sent = await _send_pending(work, again)
        return {"published": False, "roster": signed.version, "missing": missing, "sent_to": sent}
    sequence = await publish(work, [signed.pair()])
    _forget_pending(work, ident)
    return {"published": True, "roster": signed.version, "missing": 0, "sequence": sequence}


# -------------------------------------------------------------------------------------------------------------- changes


async def revoke(work: Work, params: Json) -> Json:
    """``device`` ("agency/device" or "device"), ``reason``: revoked, lost or left."""
    said = Params(params)
    await work.synced()
    me = administrator(work)
    name = said.text("device")
    agency, device = split_device(name) if "/" in name else (me.agency, name)
    if agency != me.agency:
        raise Denied(f"{name[:120]} is a device of another agency", hint="its own administrators revoke it")
    reason = farewells.reason(said.text("reason", "revoked"))
    if work.agent.view.find(f"{agency}/{device}") is None:
        raise NotFound(f"{agency}/{device[:64]} is no device of the roster", hint="securechan admin member ls")
    await doing(work, "signing and publishing")
    done = await changed(work, revoke={device: reason}, note=f"{agency}/{device}: {reason}")
    return {"device": f"{agency}/{device}", "reason": reason, **done}


async def member_ls(work: Work, params: Json) -> Json:
    """The agency's devices, and those that are gone."""
    if Params(params).flag("fresh"):
        await work.synced()
    view, agency = work.agent.view, work.agent.agency
    return {
        "agency": agency,
        "roster": view.roster_version(agency),
        "devices": [
            {
                "device": record.name,
                "officer": record.address,
                "roles": sorted(record.roles),
                "since": when(record.since),
                "not_after": when(record.not_after or 0),
                "keys": [digest.hex() for digest in record.hashes(None)],
            }
            for record in view.devices(agency)
        ],
        "gone": [
            {"device": stone.name, "officer": stone.officer, "reason": stone.reason, "at": when(stone.at)}
            for stone in view.tombstones(agency)
        ],
    }


async def relist(work: Work, params: Json) -> Json:
    """``id`` (or the device's name), ``note``: list a device's new key, or drop its old one, as it has asked."""
    said = Params(params)
    await work.synced()
    administrator(work)
    collect(work)
    wish = meant(wishes.standing(work.vault, work.agent.view), said.text("id"))
    record = work.agent.view.device(wish.device)
    note = said.text("note", "") or f"{wish.device}: {'a new key' if wish.add else 'its old key goes'}"
    await doing(work, "signing and publishing")
    done = await changed(work, replace=[wish.grant(record)], note=note)
    return {**wish.json(record), **done}


async def renew(work: Work, params: Json) -> Json:
    """The same roster for longer."""
    del params
    await work.synced()
    administrator(work)
    return await changed(work, note="the same for longer")


OPERATIONS: Final = {
    "show-roster": show_roster,
    "sign-roster": sign_roster,
    "revoke": revoke,
    "member-ls": member_ls,
    "relist": relist,
    "renew": renew,
}
