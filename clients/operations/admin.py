"""An agency's administrator at work: invites, approvals, revocations, rosters that two must sign.

    invite ──► box at the relay ──► a request ──► six words ──► approve ─┬─ enough signatures ──► published
                                                              revoke ───┤
                                                              contact ──┘─ one more needed ──► letter to the others
                                                                                               sign ──► published
Everything here is an operation of the device's own process: keys never leave the vault. What lies in the vault beside
the agent's tables is the *office*: this administrator's roster key, the invites that are out, rosters that wait.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import json
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Annotated, Any, Final

from clients.errand import refusal
from clients.federation import Address, newest_kem
from clients.operations import directory, wishes
from clients.operations.engine import Params, Work
from clients.operations.newcomer import OFFICE, ROSTER_KEY
from clients.render import when
from clients.vault import Put
from securechan.agent.agent import Agent
from securechan.agent.events import BoxRead, Event, RequestDone, RequestFailed
from securechan.agent.inputs import Command, OpenBox, PublishTrust, ReadBox, SendOpaque, WriteBox
from securechan.agent.state import ARCHIVE
from securechan.codec import U64, Enum8, Struct, opaque, text
from securechan.crypto.signature import COMPOSITE, SigningKey
from securechan.errors import Conflict, Denied, Invalid, NotFound, NotReady, SecurechanError, Stale, TimedOut, Untrusted
from securechan.trust import authority
from securechan.trust.bundle import Ceremony
from securechan.trust.cards import ContactCard, DirectoryKey, seal_card
from securechan.trust.diff import diff
from securechan.trust.draft import Draft
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
from securechan.trust.keys import Kind, TrustSigner, generate, key_id
from securechan.trust.names import roster_role, split_device
from securechan.trust.pending import PendingRoster
from securechan.trust.records import DeviceRecord, Reason, made
from securechan.trust.view import View
from securechan.wire.frames import Code, Error, TrustDocument

ANSWER: Final = 30.0  # seconds for the relay to do what it is asked
RACES: Final = 10  # times that a publication gives way to somebody else's
PENDING: Final = "pending-roster"  # kind of an opaque letter
NEXT_KEY: Final = "roster-key-next"
_CURSOR: Final = "letters-read"
_REASONS: Final[tuple[Reason, ...]] = ("revoked", "lost", "left")

Json = dict[str, Any]


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


# ----------------------------------------------------------------------------------------------------------- the office


def _me(work: Work) -> DeviceRecord:
    """This device's record, an administrator's. Raises Denied, Untrusted."""
    record = work.agent.view.device(work.agent.device)
    if "admin" not in record.roles:
        raise Denied(
            f"{record.name} is no administrator's device of {record.agency}",
            hint="ask an administrator of your agency",
            code="role-denied",
        )
    return record


def _signing_key(work: Work) -> SigningKey:
    _, private, _, _ = work.agent.credential()
    return COMPOSITE.load(private)


def _roster_signer(work: Work) -> TrustSigner:
    """What signs rosters for this administrator. Raises NotReady where there is none."""
    private = work.vault.get(OFFICE, ROSTER_KEY)
    if private is None:
        raise NotReady(
            "this device holds no roster key",
            hint="make one: securechan admin rotate --new-key; the agency's authority then lists it",
            code="no-roster-key",
        )
    return TrustSigner(Kind.COMPOSITE, private)


def _invites(work: Work) -> dict[str, Invited]:
    """By box, in hexadecimal."""
    return {
        row.removeprefix("invite/"): Invited.decode(value)
        for row, value in work.vault.all(OFFICE).items()
        if row.startswith("invite/")
    }


def _keep_invite(work: Work, box: str, invited: Invited | None) -> None:
    work.vault.adopt([Put(OFFICE, f"invite/{box}", None if invited is None else invited.encode())])


# ------------------------------------------------------------------------------------------------------------ the relay


async def _asked(work: Work, command: Command, what: str) -> int:
    """Have the relay do something; the sequence it says. Raises what its refusal means, TimedOut."""
    heard: asyncio.Future[int] = asyncio.get_running_loop().create_future()

    def hear(event: Event) -> None:
        if heard.done():
            return
        match event:
            case RequestDone(done, sequence) if done == what:
                heard.set_result(sequence)
            case RequestFailed(failed, code, words, wait) if failed == what:
                name = code.upper().replace("-", "_")
                heard.set_exception(refusal(Error(Code[name], wait, words, 0, bytes(32))))

    stop = work.runtime.listen(hear)
    try:
        await work.runtime.do(command)
        async with asyncio.timeout(ANSWER):
            return await heard
    except TimeoutError:
        raise TimedOut(
            f"the relay gave no answer within {ANSWER:.0f} s",
            hint="it may have done what was asked: look before you repeat",
        ) from None
    finally:
        stop()
        heard.cancel()


async def _read_box(work: Work, box: bytes) -> list[bytes]:
    """What an enrolment box holds."""
    bodies: list[bytes] = []
    whole = asyncio.Event()

    def hear(event: Event) -> None:
        if isinstance(event, BoxRead) and event.box == box:
            if event.sequence:
                bodies.append(event.body)
            else:
                whole.set()

    stop = work.runtime.listen(hear)
    try:
        await work.runtime.do(ReadBox(box))
        async with asyncio.timeout(ANSWER):
            await whole.wait()
    except TimeoutError:
        raise TimedOut("the relay didn't show an enrolment box", hint="try again") from None
    finally:
        stop()
    return bodies


async def _publish(work: Work, documents: Sequence[tuple[str, bytes]]) -> int:
    """Have documents published, and wait until this device has read the publication.

    Where others were quicker it reads theirs and tries again: another agency's publication changes nothing in ours.
    Raises Stale where a document of ours has been overtaken.
    """
    body = tuple(TrustDocument(role, content) for role, content in documents)
    for _ in range(RACES):
        before, versions = work.agent.view.position.sequence, _versions(work, documents)
        try:
            sequence = await _asked(work, PublishTrust(body), "publish")
        except Stale:
            await work.runtime.until(partial(_past, before), ANSWER)
            if _versions(work, documents) != versions:
                raise
            continue
        await work.runtime.until(partial(_past, sequence - 1), ANSWER)
        return sequence
    raise Stale("others publish all the time, and this was never first", hint="try again in a minute")


def _past(sequence: int, agent: Agent) -> bool:
    return agent.view.position.sequence > sequence


def _versions(work: Work, documents: Sequence[tuple[str, bytes]]) -> list[int]:
    """What stands of the documents' roles."""
    found = (work.agent.view.document(role) for role, _ in documents)
    return [0 if document is None else document.version for document in found]


# -------------------------------------------------------------------------------------------------------------- letters


def _collect(work: Work) -> None:
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
            _keep_pending(work, PendingRoster.decode(content))
        elif kind == directory.KIND:
            directory.take(work.vault, agent.view, agent.device, agent.inbox_private, content)
        elif kind == wishes.KIND:
            wishes.take(work.vault, sender, content, agent.agency)
    except SecurechanError as e:
        work.vault.adopt([Put(OFFICE, f"refused/{hashlib.sha256(content).hexdigest()[:16]}", e.message[:500].encode())])


def _keep_pending(work: Work, pending: PendingRoster) -> str:
    """Remember a roster that waits; its id. Signatures of copies are put together."""
    ident = _pending_id(pending)
    known = work.vault.get(OFFICE, f"pending/{ident}")
    if known is not None:
        draft = pending.draft.merge(PendingRoster.decode(known).draft)
        if draft.content == PendingRoster.decode(known).content:
            return ident
    work.vault.adopt([Put(OFFICE, f"pending/{ident}", pending.encode())])
    return ident


def _pending_id(pending: PendingRoster) -> str:
    """The same for all copies of a draft, however far they are signed."""
    payload = repr(pending.draft.document.metadata.signed.to_dict()).encode()
    return hashlib.sha256(pending.agency.encode() + b"\0" + payload).hexdigest()[:8]


def _pendings(work: Work) -> dict[str, PendingRoster]:
    """Rosters that still wait; those that trust has overtaken are forgotten."""
    found: dict[str, PendingRoster] = {}
    for row, value in work.vault.all(OFFICE).items():
        if not row.startswith("pending/"):
            continue
        pending = PendingRoster.decode(value)
        if pending.draft.version <= work.agent.view.roster_version(work.agent.agency):
            work.vault.adopt([Put(OFFICE, row, None)])
        else:
            found[row.removeprefix("pending/")] = pending
    return found


def _others(work: Work) -> list[DeviceRecord]:
    """The other administrators' devices of the agency."""
    me = work.agent.device
    return [
        record for record in work.agent.view.devices(work.agent.agency) if "admin" in record.roles and record.name != me
    ]


# -------------------------------------------------------------------------------------------------------------- rosters


async def _carry_out(work: Work, draft: Draft, requests: tuple[EnrolRequest, ...], note: str) -> Json:
    """Sign a roster; publish it, or send it to the other administrators where it needs more signatures than one."""
    view, agent = work.agent.view, work.agent
    signed = draft.sign(_roster_signer(work))
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
        sequence = await _publish(work, [signed.pair()])
        return {"published": True, "roster": signed.version, "sequence": sequence, "changes": changes, "missing": 0}
    pending = PendingRoster.make(
        signed, requests, proposer=agent.device, key=_signing_key(work), now=work.now, note=note
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
        await _delivered(work)
    return sent


async def _delivered(work: Work) -> None:
    """Letters have left; where they have not in time they go with the next session."""
    try:
        await work.runtime.until(lambda agent: agent.idle, ANSWER)
    except TimedOut:
        return


async def _changed(work: Work, *, note: str = "", requests: tuple[EnrolRequest, ...] = (), **changes: Any) -> Json:
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


# ------------------------------------------------------------------------------------------------------------- inviting


async def invite(work: Work, params: Json) -> Json:
    """``officer`` (may be ""), ``roles``, ``lifetime`` seconds → the invite's one line, and its id."""
    said = Params(params)
    await work.synced()
    me, agent = _me(work), work.agent
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
        await _asked(work, OpenBox(box.id, box.mac_key, fresh.not_after), "box")
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
        for body in await _read_box(work, bytes.fromhex(box)):
            try:
                request = open_request(parsed, body)
            except SecurechanError:
                continue  # who holds the code may put anything in; it is the first good request that counts
            _keep_invite(work, box, Invited(invited.line, State.ASKED, invited.made, request.encode()))
            break


async def pending(work: Work, params: Json) -> Json:
    """What waits for an administrator: requests with their six words, rosters to be signed, devices that want another
    key listed, invites that are out."""
    del params
    await work.synced()
    _me(work)
    await _read_boxes(work)
    _collect(work)
    invites = _invites(work)
    return {
        "requests": [
            _tell_request(box, EnrolRequest.decode(invited.request))
            for box, invited in invites.items()
            if invited.state is State.ASKED
        ],
        "rosters": [_tell_pending(work, ident, waiting) for ident, waiting in _pendings(work).items()],
        "keys": [
            wish.json(work.agent.view.device(wish.device)) for wish in wishes.standing(work.vault, work.agent.view)
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


def _tell_request(box: str, request: EnrolRequest) -> Json:
    return {
        "id": box[:8],
        "device": request.name,
        "officer": f"{request.proposal.officer}@{request.proposal.agency}",
        "roles": list(request.proposal.roles),
        "asked": when(request.proposal.time),
        "words": list(six_words(request)),
    }


def _tell_pending(work: Work, ident: str, waiting: PendingRoster) -> Json:
    view = work.agent.view
    standing = view.document(work.agent.agency)
    signing = None if standing is None else waiting.draft.signing(standing)
    return {
        "id": ident,
        "proposer": waiting.proposer,
        "roster": waiting.draft.version,
        "made": when(waiting.time),
        "note": waiting.note,
        "changes": list(waiting.diff(view)),
        "words": {name: list(words) for name, words in waiting.words().items()},
        "missing": 0 if signing is None else signing.missing,
        "signed_here": signing is not None and _own_key_id(work) in signing.signed,
    }


def _own_key_id(work: Work) -> str:
    private = work.vault.get(OFFICE, ROSTER_KEY)
    return "" if private is None else key_id(COMPOSITE.public(private))


def _asked_for(work: Work, ident: str) -> tuple[str, Invited, EnrolRequest]:
    """The request that is meant by the beginning of its id, or by its device's name. Raises NotFound, Conflict."""
    found = [
        (box, invited, EnrolRequest.decode(invited.request))
        for box, invited in _invites(work).items()
        if invited.state is State.ASKED
    ]
    meant = [each for each in found if (len(ident) >= 4 and each[0].startswith(ident)) or each[2].name == ident]
    if not meant:
        raise NotFound(f"no request {ident[:60]!a} waits", hint="securechan admin pending")
    if len(meant) > 1:
        raise Conflict(f"{ident[:60]!a} means several requests", hint="give more of the id")
    return meant[0]


async def approve(work: Work, params: Json) -> Json:
    """``id``, ``words`` as they were said, ``roles`` (else as invited), ``not_after`` (Unix seconds, 0 none)."""
    said = Params(params)
    await work.synced()
    me = _me(work)
    await _read_boxes(work)
    box, invited, request = _asked_for(work, said.text("id"))
    if not words_match(said.text("words"), request):
        raise Denied(
            "the six words differ: this is another request than the one of the person you spoke to",
            hint="deny it, and make a new invite: somebody may have stolen this one",
            code="words-differ",
        )
    roles = said.texts("roles") or None
    if roles is not None:
        check_roles(roles)
    record = request.record(since=work.now, roles=roles, not_after=said.number("not_after", 0) or None)
    done = await _changed(work, requests=(request,), add=[record], note=said.text("note", ""))
    verdict = Verdict.make(
        request,
        Approval(done["roster"], directory.keys(work.vault)),
        approver=me.name,
        key=_signing_key(work),
        now=work.now,
    )
    await _asked(work, WriteBox(bytes.fromhex(box), seal_verdict(verdict, request)), "box")
    _keep_invite(work, box, Invited(invited.line, State.APPROVED, invited.made, invited.request))
    return {"device": record.name, "officer": record.address, "roles": sorted(record.roles), **done}


async def deny(work: Work, params: Json) -> Json:
    """``id``, ``reason``."""
    said = Params(params)
    await work.synced()
    me = _me(work)
    await _read_boxes(work)
    box, invited, request = _asked_for(work, said.text("id"))
    reason = said.text("reason", "")
    verdict = Verdict.make(request, Denial(reason), approver=me.name, key=_signing_key(work), now=work.now)
    await _asked(work, WriteBox(bytes.fromhex(box), seal_verdict(verdict, request)), "box")
    _keep_invite(work, box, Invited(invited.line, State.DENIED, invited.made, invited.request))
    return {"device": request.name, "denied": True, "reason": reason}


# ------------------------------------------------------------------------------------------------- the second signature


def _waiting(work: Work, ident: str) -> tuple[str, PendingRoster]:
    pendings = _pendings(work)
    meant = [each for each in pendings.items() if each[0].startswith(ident)] if ident else list(pendings.items())
    if not meant:
        raise NotFound("no such roster waits for your signature", hint="securechan admin pending")
    if len(meant) > 1:
        raise Conflict("several rosters wait", hint="name one of: securechan admin pending")
    return meant[0]


async def show_roster(work: Work, params: Json) -> Json:
    """``id`` (may be "") or ``file``: a roster that waits, verified, in words."""
    said = Params(params)
    await work.synced()
    _me(work)
    _collect(work)
    if said.text("file", ""):
        ident = _keep_pending(work, PendingRoster.decode(said.data("file")))
    else:
        ident = said.text("id", "")
    ident, waiting = _waiting(work, ident)
    waiting.verify(work.agent.view)
    return _tell_pending(work, ident, waiting)


async def sign_roster(work: Work, params: Json) -> Json:
    """``id``: sign what `show_roster` showed; published where that is enough, else sent on."""
    said = Params(params)
    await work.synced()
    _me(work)
    ident, waiting = _waiting(work, said.text("id"))
    view = work.agent.view
    draft = waiting.verify(view)
    signer = _roster_signer(work)
    signing = waiting.signing(view)
    if signer.keyid not in signing.waiting and signer.keyid not in signing.signed:
        raise Denied("this device's roster key is not one that the agency's authority lists", code="wrong-key")
    signed = draft.sign(signer)
    standing = view.document(work.agent.agency)
    missing = 0 if standing is None else signed.signing(standing).missing
    if missing:
        again = PendingRoster.make(
            signed,
            waiting.requests,
            proposer=work.agent.device,
            key=_signing_key(work),
            now=work.now,
            note=waiting.note,
        )
        _keep_pending(work, again)
        sent = await _send_pending(work, again)
        return {"published": False, "roster": signed.version, "missing": missing, "sent_to": sent}
    sequence = await _publish(work, [signed.pair()])
    work.vault.adopt([Put(OFFICE, f"pending/{ident}", None)])
    return {"published": True, "roster": signed.version, "missing": 0, "sequence": sequence}


# -------------------------------------------------------------------------------------------------------------- members


async def revoke(work: Work, params: Json) -> Json:
    """``device`` ("agency/device" or "device"), ``reason``: revoked, lost or left."""
    said = Params(params)
    await work.synced()
    me = _me(work)
    name = said.text("device")
    agency, device = split_device(name) if "/" in name else (me.agency, name)
    if agency != me.agency:
        raise Denied(f"{name[:120]} is a device of another agency", hint="its own administrators revoke it")
    reason = next((known for known in _REASONS if known == said.text("reason", "revoked")), None)
    if reason is None:
        raise Invalid("no such reason", hint=f"one of {', '.join(_REASONS)}", code="usage")
    if work.agent.view.find(f"{agency}/{device}") is None:
        raise NotFound(f"{agency}/{device[:64]} is no device of the roster", hint="securechan admin member ls")
    done = await _changed(work, revoke={device: reason}, note=f"{agency}/{device}: {reason}")
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
    _me(work)
    _collect(work)
    wish = wishes.meant(wishes.standing(work.vault, work.agent.view), said.text("id"))
    record = work.agent.view.device(wish.device)
    note = said.text("note", "") or f"{wish.device}: {'a new key' if wish.add else 'its old key goes'}"
    done = await _changed(work, replace=[wish.grant(record)], note=note)
    return {**wish.json(record), **done}


async def renew(work: Work, params: Json) -> Json:
    """The same roster for longer."""
    del params
    await work.synced()
    _me(work)
    return await _changed(work, note="the same for longer")


# --------------------------------------------------------------------------------------------------------- key rotation


async def rotation(work: Work, params: Json) -> Json:
    """A ceremony that gives the agency other roster keys: ``new_key``: a new one of this device; ``add``: public keys
    (base64); ``drop``: beginnings of key ids; ``threshold`` (0: as it stands). The authority signs it; new holders sign
    the roster in it."""
    said = Params(params)
    await work.synced()
    me, view = _me(work), work.agent.view
    standing = view.agency(me.agency).roster
    if standing is None:
        raise Untrusted(f"{me.agency} has published nothing yet", code="unknown-agency")
    keys = dict(standing.keys)
    for beginning in said.texts("drop"):
        found = [keyid for keyid in keys if len(beginning) >= 8 and keyid.startswith(beginning)]
        if len(found) != 1:
            raise NotFound(f"no roster key {beginning[:96]!a}", hint="securechan admin status lists them")
        del keys[found[0]]
    writes = []
    if said.flag("new_key"):
        private, public = generate(Kind.COMPOSITE)
        keys.pop(_own_key_id(work), None)
        keys[key_id(public)] = public
        writes.append(Put(OFFICE, NEXT_KEY, private))
    for each in said.texts("add"):
        public = base64.b64decode(each, validate=True)
        keys[key_id(public)] = public
    threshold = said.number("threshold", 0) or standing.threshold
    if not 1 <= threshold <= len(keys):
        raise Invalid(
            f"{threshold} of {len(keys)} keys can't sign", hint="name more keys, or a lower threshold", code="usage"
        )
    agency_draft = authority.agency(
        view, me.agency, now=work.now, roster_keys=tuple(keys.values()), roster_threshold=threshold
    )
    roster_draft = authority.roster(view, me.agency, now=work.now)
    work.vault.adopt(writes)
    ceremony = _sign_own(work, Ceremony(view, (agency_draft, roster_draft)))
    return _tell_ceremony(ceremony)


def _sign_own(work: Work, ceremony: Ceremony) -> Ceremony:
    """With this device's roster key, the old one or the next."""
    for row in (NEXT_KEY, ROSTER_KEY):
        private = work.vault.get(OFFICE, row)
        if private is None:
            continue
        try:
            return ceremony.sign(TrustSigner(Kind.COMPOSITE, private))
        except Denied:
            continue
    return ceremony


def _tell_ceremony(ceremony: Ceremony) -> Json:
    return {
        "ceremony": base64.b64encode(ceremony.encode()).decode("ascii"),
        "changes": list(ceremony.describe()),
        "complete": ceremony.complete,
        "missing": [
            {"role": signing.role, "by": signing.delegator, "missing": signing.missing}
            for signing in ceremony.status()
            if signing.missing
        ],
    }


async def sign_ceremony(work: Work, params: Json) -> Json:
    """``ceremony``: with this device's roster key."""
    await work.synced()
    _me(work)
    ceremony = Ceremony.decode(Params(params).data("ceremony"), root_id=work.agent.view.root_id)
    return _tell_ceremony(_sign_own(work, ceremony))


async def publish_ceremony(work: Work, params: Json) -> Json:
    """``ceremony``, complete: publish it; a new key of this device's is then its roster key."""
    await work.synced()
    _me(work)
    view = work.agent.view
    ceremony = Ceremony.decode(Params(params).data("ceremony"), root_id=view.root_id)
    agency = work.agent.agency
    if any(draft.role not in (agency, roster_role(agency)) for draft in ceremony.drafts):
        raise Denied("this ceremony is not your agency's", code="wrong-key")
    documents = ceremony.bundle().documents
    sequence = await _publish(work, documents)
    private = work.vault.get(OFFICE, NEXT_KEY)
    standing = work.agent.view.agency(agency).roster
    if private is not None and standing is not None and key_id(COMPOSITE.public(private)) in standing.keys:
        work.vault.adopt([Put(OFFICE, ROSTER_KEY, private), Put(OFFICE, NEXT_KEY, None)])
    return {"published": [role for role, _ in documents], "sequence": sequence}


async def key(work: Work, params: Json) -> Json:
    """This device's roster key, made where there is none: its public half, for the agency's next ceremony."""
    del params
    me = _me(work)
    private = work.vault.get(OFFICE, ROSTER_KEY) or work.vault.get(OFFICE, NEXT_KEY)
    if private is None:
        private, _ = generate(Kind.COMPOSITE)
        work.vault.adopt([Put(OFFICE, NEXT_KEY, private)])
    public = COMPOSITE.public(private)
    return {"device": me.name, "key": key_id(public), "public": base64.b64encode(public).decode("ascii")}


# -------------------------------------------------------------------------------------------------------- contact cards


async def contact_set(work: Work, params: Json) -> Json:
    """``officer``, ``name``, ``duty``, ``phone``, ``mail``, ``note``; or ``remove``."""
    said = Params(params)
    await work.synced()
    me = _me(work)
    officer = said.text("officer").partition("@")[0]
    if f"{officer}@{me.agency}" not in work.agent.view.officers(me.agency):
        raise NotFound(f"{officer[:64]} is no officer of {me.agency}", hint="securechan admin member ls")
    sealed: bytes | None = None
    if not said.flag("remove"):
        values = {name: said.text(name, "") for name in ("name", "duty", "phone", "mail", "note")}
        card = made(ContactCard, officer=officer, **values)
        sealed = seal_card(_directory_key(work, me.agency), card)
    cards: Mapping[str, bytes | None] = {officer: sealed}
    return {"officer": f"{officer}@{me.agency}", **await _changed(work, cards=cards, note=f"card of {officer}")}


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
    me, view = _me(work), work.agent.view
    to = said.text("to", "")
    if not to:
        recipients = [record for record in view.devices(me.agency) if record.name != me.name]
    elif "/" in to:
        recipients = [view.device(to)]
    else:
        view.agency(to)
        recipients = [record for record in view.devices(to) if "admin" in record.roles]
    for record in recipients:
        sealed = directory.hand_on(work.vault, record, me.name, _signing_key(work))
        await work.runtime.do(SendOpaque(record.name, directory.KIND, sealed))
    await _delivered(work)
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
        "own_key": _own_key_id(work),
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
    "show-roster": show_roster,
    "sign-roster": sign_roster,
    "revoke": revoke,
    "member-ls": member_ls,
    "relist": relist,
    "renew": renew,
    "key": key,
    "rotation": rotation,
    "sign-ceremony": sign_ceremony,
    "publish-ceremony": publish_ceremony,
    "contact-set": contact_set,
    "contact-share": contact_share,
    "status": status,
}
