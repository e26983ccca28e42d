"""Bringing a device in with an invite.

    begin    invite good, relay the right one ──► keys, request, six words; all of it kept in a new vault
    post     the sealed request goes into the invite's box, as a guest            (the same request, however often)
    decided  the verdict comes out of the box: approved by whom, or denied
    listed   trust is read from the root: the roster lists this device, with these keys
    finish   the agent's first state, and its first session

Each step can be interrupted and taken up again (``enrol --resume``): what was made lies in the vault, and the relay
answers a repeated request like the first.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from clients.clock import Clock
from clients.connection import SKEW_WARN, Connection, Route
from clients.errand import Errand
from clients.federation import Address, follow
from clients.line import Line
from clients.operations import newcomer as newcomers
from clients.operations.newcomer import Newcomer
from clients.profile import Profile
from clients.render import duration, when
from clients.vault import Put, Vault
from securechan.crypto.signature import COMPOSITE
from securechan.errors import (
    CannotOpen,
    Conflict,
    Denied,
    Invalid,
    Malformed,
    NotReady,
    Refused,
    TimedOut,
    Unreachable,
    Untrusted,
)
from securechan.trust.cards import DirectoryKey
from securechan.trust.enrolment import (
    Approval,
    EnrolRequest,
    Invite,
    Verdict,
    open_verdict,
    seal_request,
    six_words,
)
from securechan.trust.records import SUITE
from securechan.trust.view import View
from securechan.wire.frames import Append
from securechan.wire.handshake import Credential, GuestCredential

AGAIN: Final = 3.0  # seconds until a lost session is taken up again

Json = dict[str, Any]


def parse_invite(line: str, now: int) -> Invite:
    """An invite that is still good. Raises Malformed, Invalid, Untrusted ``invite-expired``."""
    invite = Invite.parse(line)
    try:
        invite.check(now)
    except Untrusted as e:
        raise Untrusted(
            f"the invite expired at {when(invite.not_after)} (this machine's clock says {when(now)})",
            hint="ask your administrator for a new one; or set this machine's clock, if it is wrong",
            code=e.code,
        ) from None
    return invite


def address_of(invite: Invite) -> Address:
    """Where the invite leads, and what proves it."""
    return Address(invite.url, invite.relay, invite.kem_hash, invite.root_id).reached()


async def _route(invite: Invite, line: Line) -> Route:
    """To the invite's relay, as its guest."""
    return await address_of(invite).route(_guest(invite), line)


# --------------------------------------------------------------------------------------------------------------- begin


async def begin(
    profile: Profile, passphrase: Callable[[], str], invite: Invite, *, device: str, officer: str, now: int
) -> Vault:
    """A new vault with keys and a request in it; nothing is made where the relay is not the invite's. The caller holds
    the profile. Raises Conflict where there is a vault, Invalid for names, Unreachable, Untrusted ``wrong-relay``."""
    if profile.enrolled:
        raise Conflict(
            f"profile {profile.name} is in use already",
            hint="continue with: securechan enrol --resume; or take another: --profile NAME",
        )
    handle = officer or invite.officer
    if not handle:
        raise Invalid("the invite names no officer", hint="say who you are: --officer HANDLE", code="usage")
    await address_of(invite).relay_key(Line.find(profile.folder))
    fresh = Newcomer.make(invite.agency, device or newcomers.suggested_device(handle), handle, now=now)
    request = EnrolRequest.make(
        invite,
        device=fresh.device,
        officer=handle,
        signing={SUITE: COMPOSITE.load(fresh.signature_private)},
        inbox=fresh.inbox_public,
        now=now,
    )
    kept = replace(fresh, invite=invite.line(), request=request.encode(), sealed=seal_request(invite, request))
    profile.make()
    return await asyncio.to_thread(_create, profile.vault, passphrase(), kept)


def _create(path: Path, passphrase: str, kept: Newcomer) -> Vault:
    return Vault.create(path, passphrase, writes=[Put(newcomers.TABLE, newcomers.ROW, kept.encode())])


def tell(newcomer: Newcomer) -> Json:
    """What a newcomer has to say to its administrator. Raises NotReady for who comes in without an invite."""
    if not newcomer.invite:
        raise NotReady(
            "this profile waits for its agency's admission, not for a verdict",
            hint="securechan admin join ADDRESS",
            code="no-invite",
        )
    request = EnrolRequest.decode(newcomer.request)
    invite = Invite.parse(newcomer.invite)
    return {
        "device": newcomer.name,
        "officer": f"{newcomer.officer}@{newcomer.agency}",
        "roles": list(invite.roles),
        "words": list(six_words(request)),
        "relay": invite.relay,
        "root": invite.root_id.hex(),
        "expires": when(invite.not_after),
    }


# ------------------------------------------------------------------------------------------------------- at the relay


@asynccontextmanager
async def _session(way: Route, clock: Clock) -> AsyncIterator[Errand]:
    """A guest's session, with the relay's refusals in a newcomer's words."""
    try:
        async with Errand.begin(way, clock) as errand:
            yield errand
    except Refused as e:
        match e.code:
            case "refused-no-proof" | "refused-unknown" | "refused-not-found":
                raise Untrusted(
                    "the relay knows no such invite: it has expired, or it was altered on its way",
                    hint="ask your administrator for a new one",
                    code="invite-unknown",
                ) from e
            case "refused-expired":
                raise Untrusted(
                    "the invite has expired by the relay's clock",
                    hint="ask your administrator for a new one",
                    code="invite-expired",
                ) from e
            case _:
                raise


def skew(connection: Connection) -> float:
    """By how many seconds the relay's clock is ahead, where that is worth telling; else 0."""
    return connection.up.skew if abs(connection.up.skew) > SKEW_WARN else 0.0


def _guest(invite: Invite) -> Credential:
    box = invite.box
    return GuestCredential(box.id, box.mac_key)


async def post(newcomer: Newcomer, clock: Clock, line: Line) -> Json:
    """Put the request into the invite's box. Raises Conflict ``invite-used`` where there is another in it."""
    invite = Invite.parse(newcomer.invite)
    way = await _route(invite, line)
    async with _session(way, clock) as errand:
        entry_id = hashlib.sha256(newcomer.sealed).digest()
        try:
            await errand.ask(Append(invite.box.id, entry_id, newcomer.sealed, None))
        except Refused as e:
            if e.code != "refused-conflict":
                raise
            raise Conflict(
                "this invite was used already, by another device or another try",
                hint="tell your administrator: if it was not you, somebody has stolen it; ask for a new one",
                code="invite-used",
            ) from e
        return {"skew": skew(errand.connection)}


async def decided(newcomer: Newcomer, clock: Clock, line: Line) -> Verdict:
    """The verdict, once there is one. Raises Denied for a no, which `listed` has not verified yet."""
    invite = Invite.parse(newcomer.invite)
    request = EnrolRequest.decode(newcomer.request)
    way = await _route(invite, line)
    while True:
        try:
            async with _session(way, clock) as errand:
                async for entry in errand.follow(invite.box.id):
                    try:
                        return open_verdict(entry.body, newcomer.inbox_private, request)
                    except (CannotOpen, Malformed, Invalid):
                        continue  # our own request, or what somebody else has put there
        except Unreachable:
            await clock.sleep(AGAIN)


async def listed(newcomer: Newcomer, verdict: Verdict, clock: Clock, line: Line) -> tuple[View, Route]:
    """Trust, once it lists this device; the verdict is verified by it. Raises Denied for a denial, Untrusted where the
    roster says something else than was asked for."""
    invite = Invite.parse(newcomer.invite)
    way = await _route(invite, line)
    while True:
        try:
            async with _session(way, clock) as errand:
                async for view in follow(errand, invite.root_id):
                    if _judge(view, newcomer, verdict):
                        return view, way
        except Unreachable:
            await clock.sleep(AGAIN)


def _judge(view: View, newcomer: Newcomer, verdict: Verdict) -> bool:
    """Whether the roster lists this device now. Publications are read from the oldest on, so what is not there yet may
    come with the next."""
    try:
        approver = verdict.verify(view)
    except Untrusted as e:
        if e.code in ("unknown-device", "unknown-agency", "unknown-key"):
            return False
        raise
    if not isinstance(verdict.body, Approval):
        raise Denied(
            f"{approver.address} has denied the request: {verdict.body.reason or 'no reason given'}",
            hint="ask your administrator",
            code="enrolment-denied",
        )
    try:
        newcomer.admitted(view)
    except Untrusted as e:
        if e.code in ("unknown-device", "unknown-agency"):
            return False
        raise
    return True


# --------------------------------------------------------------------------------------------------------------- finish


async def complete(vault: Vault, clock: Clock, line: Line, *, timeout: float | None) -> Json:
    """Wait for the verdict and enrol. ``timeout`` in seconds. Raises TimedOut, Denied, Untrusted."""
    newcomer = newcomers.load(vault)
    try:
        async with asyncio.timeout(timeout):
            await post(newcomer, clock, line)
            verdict = await decided(newcomer, clock, line)
            view, way = await listed(newcomer, verdict, clock, line)
    except TimeoutError:
        raise TimedOut(
            f"no verdict within {duration(timeout or 0)}", hint="nothing is lost: securechan enrol --resume"
        ) from None
    directory = verdict.body.directory_keys if isinstance(verdict.body, Approval) else ()
    return await finish(vault, newcomer, view, way, directory, clock)


async def finish(
    vault: Vault, newcomer: Newcomer, view: View, way: Route, directory: tuple[DirectoryKey, ...], clock: Clock
) -> Json:
    """Enrol, and have a first session. The network may fail after the device is enrolled; that is told, not raised."""
    now = int(clock.time())
    agent = await asyncio.to_thread(newcomers.enrol, vault, newcomer, view, way, directory, now)
    pending = ""
    try:
        await newcomers.first_session(vault, agent, way, clock)
    except (Unreachable, Refused, TimedOut) as e:
        pending = e.message
    record = newcomer.admitted(view)
    return {
        "device": record.name,
        "officer": record.address,
        "roles": sorted(record.roles),
        "root": view.root_id.hex(),
        "agency": record.agency,
        "pending": pending,
    }


def forget(profile: Profile, vault: Vault) -> None:
    """Give up an enrolment: the vault goes, and with it the keys. Raises NotReady where the device is enrolled."""
    newcomers.load(vault)
    vault.close()
    for path in profile.folder.glob("vault.db*"):
        path.unlink()
