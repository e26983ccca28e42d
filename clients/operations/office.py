"""An administrator's office: who may act in it, the keys it signs with, and what it asks of the relay.

In the vault beside the agent's tables lies table ``office``: this administrator's roster key, invites that are out
(`admin`), rosters that wait (`rosters`), keys that devices wish for (`wishes`). Keys never leave the vault.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from functools import partial
from typing import Any, Final, Protocol, TypeVar

from clients.errand import refusal
from clients.operations.engine import Work
from clients.operations.newcomer import OFFICE, ROSTER_KEY
from securechan.agent.agent import Agent
from securechan.agent.events import BoxRead, Event, RequestDone, RequestFailed
from securechan.agent.inputs import Command, PublishTrust, ReadBox
from securechan.crypto.signature import COMPOSITE, SigningKey
from securechan.errors import Conflict, Denied, NotFound, NotReady, Stale, TimedOut
from securechan.trust.keys import Kind, TrustSigner, key_id
from securechan.trust.records import DeviceRecord
from securechan.wire.frames import Code, Error, TrustDocument

ANSWER: Final = 30.0  # seconds for the relay to do what it is asked
RACES: Final = 10  # times that a publication gives way to somebody else's
Json = dict[str, Any]


# ------------------------------------------------------------------------------------------------------------- who acts


def administrator(work: Work) -> DeviceRecord:
    """This device's record, an administrator's. Raises Denied, Untrusted."""
    record = work.agent.view.device(work.agent.device)
    if "admin" not in record.roles:
        raise Denied(
            f"{record.name} is no administrator's device of {record.agency}",
            hint="ask an administrator of your agency",
            code="role-denied",
        )
    return record


def signing_key(work: Work) -> SigningKey:
    _, private, _, _ = work.agent.credential()
    return COMPOSITE.load(private)


def roster_signer(work: Work) -> TrustSigner:
    """What signs rosters for this administrator. Raises NotReady where there is none."""
    private = work.vault.get(OFFICE, ROSTER_KEY)
    if private is None:
        raise NotReady(
            "this device holds no roster key",
            hint="make one: securechan admin rotate --new-key; the agency's authority then lists it",
            code="no-roster-key",
        )
    return TrustSigner(Kind.COMPOSITE, private)


# ----------------------------------------------------------------------------------------------------------- what waits


class Waiting(Protocol):
    """Something about a device that waits for an administrator."""

    @property
    def ident(self) -> str: ...

    @property
    def device(self) -> str: ...


W = TypeVar("W", bound=Waiting)


def meant(waiting: Sequence[W], said: str) -> W:
    """The one that a person means: by the beginning of its id, or by its device, with or without the agency. Raises
    NotFound, Conflict."""
    found = [
        each
        for each in waiting
        if (len(said) >= 4 and each.ident.startswith(said)) or said in (each.device, each.device.partition("/")[2])
    ]
    if not found:
        raise NotFound(f"nothing waits that is called {said[:60]!a}", hint="securechan admin pending")
    if len(found) > 1:
        ids = ", ".join(each.ident[:8] for each in found)
        raise Conflict(f"{said[:60]!a} means several things that wait", hint=f"name one by its id: {ids}")
    return found[0]


# ------------------------------------------------------------------------------------------------------------ the relay


async def asked(work: Work, command: Command, what: str) -> int:
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


async def read_box(work: Work, box: bytes) -> list[bytes]:
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


async def publish(work: Work, documents: Sequence[tuple[str, bytes]]) -> int:
    """Have documents published, and wait until this device has read the publication.

    Where others were quicker it reads theirs and tries again: another agency's publication changes nothing in ours.
    Raises Stale where a document of ours has been overtaken.
    """
    body = tuple(TrustDocument(role, content) for role, content in documents)
    for _ in range(RACES):
        before, versions = work.agent.view.position.sequence, _versions(work, documents)
        try:
            sequence = await asked(work, PublishTrust(body), "publish")
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


async def doing(work: Work, what: str) -> None:
    """Tell who asked for this what goes on from now."""
    await work.give({"doing": what})


def own_key_id(work: Work) -> str:
    private = work.vault.get(OFFICE, ROSTER_KEY)
    return "" if private is None else key_id(COMPOSITE.public(private))
