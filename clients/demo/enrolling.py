"""Second act: five devices come in by invite, six words compared for each, two signatures where two are needed.

administrator: invite ──one line──► officer: enrol ──six words by telephone──► administrator: approve ──► (second: sign)
"""

from __future__ import annotations

import asyncio
import time
from asyncio.subprocess import Process
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

from clients.demo.cast import AGENCIES, COMMUNITY, DESK_AA, LIAISON_BB, OFFICERS, Role, administrator, second
from clients.demo.narrator import Broken, claim, milliseconds, span
from clients.demo.processes import CLIENT
from clients.demo.stage import Stage
from securechan.crypto.suite import SUITES


@dataclass(slots=True)
class Newcomer:
    """A device on its way in: its ``securechan enrol``, and the words on its screen."""

    role: Role
    process: Process
    words: str = ""
    said: str = ""


async def devices(stage: Stage) -> None:
    """Five devices, five agencies' approvals."""
    with stage.narrator.step("enrolment", "five devices are invited, compared and let in") as step:
        began = time.monotonic()
        newcomers = await asyncio.gather(*(_ask(stage, role) for role in OFFICERS))
        asked = time.monotonic() - began
        step.tell(f"five invites handed over, five requests sealed under their codes after {span(asked)}")
        arriving = [asyncio.create_task(_arrive(stage, each)) for each in newcomers]
        compared = await asyncio.gather(
            *(_let_in(stage, [each for each in newcomers if each.role.agency == agency.name]) for agency in AGENCIES)
        )
        await asyncio.gather(*arriving)
        took = time.monotonic() - began
        for newcomer in newcomers:
            role = newcomer.role
            signers = [each.address for each in (administrator(role.agency), second(role.agency)) if each is not None]
            step.tell(f"{role.address:18} {role.name:18} words {newcomer.words}")
            step.tell(f"{'':18} {'':18} approved by {' and '.join(signers)}")
        step.tell(
            f"rosters published: {sum(compared)}; five devices enrolled and at work after {span(took)}",
            devices=[role.name for role in OFFICERS],
            rosters=sum(compared),
            enrolled_ms=milliseconds(took),
        )
        stage.narrator.sum_up("enrolment", f"5 devices in {span(took)}, six words each")


async def _ask(stage: Stage, role: Role) -> Newcomer:
    """The invite, and the officer's request; returns when the six words stand on the officer's screen."""
    invited = await stage[administrator(role.agency)].ask("admin.invite", officer=role.officer, roles=list(role.roles))
    process = await stage.children.converse(
        *CLIENT, "--no-input", "enrol", "-", "--device", role.device, environment=stage[role].environment
    )
    newcomer = Newcomer(role, process)
    assert process.stdin is not None
    assert process.stderr is not None
    process.stdin.write(invited["invite"].encode() + b"\n")
    process.stdin.close()
    while not newcomer.words:
        line = await process.stderr.readline()
        newcomer.said += line.decode()
        if not line:
            raise Broken(f"{role.name} could not ask to be let in: {newcomer.said.strip()}")
        if line.startswith(b"words "):
            newcomer.words = " ".join(line.decode().split()[1:])
    return newcomer


async def _let_in(stage: Stage, newcomers: list[Newcomer]) -> int:
    """One agency's administrators at work; the number of rosters."""
    for newcomer in newcomers:
        role = newcomer.role
        office = stage[administrator(role.agency)]
        waiting = await office.comes_to(
            "admin.pending",
            partial(_requested, role.name),
            what=f"the request of {role.name}",
        )
        request = next(each for each in waiting["requests"] if each["device"] == role.name)
        claim(" ".join(request["words"]) == newcomer.words, f"both screens show the same six words for {role.name}")
        done = await office.ask("admin.approve", id=request["id"], words=newcomer.words)
        other = second(role.agency)
        claim(
            done["published"] == (other is None),
            f"the roster of {role.agency} needs {'one' if other is None else 'two'}",
        )
        if other is not None:
            await sign_too(stage, other, done["pending"], {role.name: newcomer.words})
    return len(newcomers)


def _requested(device: str, told: dict[str, Any]) -> bool:
    return any(each["device"] == device for each in told["requests"])


async def sign_too(stage: Stage, other: Role, roster: str, words: dict[str, str]) -> dict[str, Any]:
    """The second administrator reads what changes, compares the words too, and signs: that publishes it."""
    desk = stage[other]
    waiting = await desk.comes_to(
        "admin.pending",
        lambda told: any(each["id"] == roster for each in told["rosters"]),
        what=f"the roster {roster} that waits for a second signature",
    )
    shown = next(each for each in waiting["rosters"] if each["id"] == roster)
    said = {name: " ".join(each) for name, each in shown["words"].items()}
    claim(said == words, f"{other.address} sees the same words as the first administrator")
    signed: dict[str, Any] = await desk.ask("admin.sign-roster", id=roster)
    claim(signed["published"], f"the second signature publishes the roster of {other.agency}")
    return signed


async def _arrive(stage: Stage, newcomer: Newcomer) -> None:
    """The officer's ``securechan enrol`` ends well, and ``securechan watch`` takes over."""
    out, err = await newcomer.process.communicate()
    newcomer.said += err.decode(errors="replace")
    claim(
        newcomer.process.returncode == 0 and out.startswith(b"enrolled"),
        f"{newcomer.role.name} was let in ({newcomer.said.strip()[-300:]})",
    )
    await stage[newcomer.role].open()


async def community(stage: Stage) -> None:
    """A community of three agencies: founded by one desk, joined unasked, for the federation vouches for its name."""
    with stage.narrator.step("community", "a community of three agencies") as step:
        began = time.monotonic()
        founded = await stage[DESK_AA].ask(
            "conversation.create",
            name=COMMUNITY,
            kind="community",
            agencies=[f"{agency.name}:desk,liaison" for agency in AGENCIES],
            stewards=[DESK_AA.address, LIAISON_BB.address],
            ceiling="amber",
        )
        stage.community = founded["id"]
        shown = await stage.of_one_mind()
        took = time.monotonic() - began
        step.tell(f"{COMMUNITY}: founded by {DESK_AA.address}; at most tlp:{shown['ceiling']}")
        step.tell(
            f"suite {shown['suite']}, epoch {shown['epoch']}: {shown['members']} devices agree after {span(took)}",
            suite=shown["suite"],
            epoch=shown["epoch"],
            members=shown["members"],
            agreed_ms=milliseconds(took),
        )
        suite = SUITES[shown["suite"]]
        parts = (suite.hpke.kem.name, suite.aead.name, suite.signature.name)
        step.tell(f"{shown['suite']}: {', '.join(parts)}", algorithms=parts)
        step.tell(f"authenticator {shown['authenticator'][:24]}, the same on all five")
        stage.narrator.sum_up("community", f"{shown['members']} devices agree in {span(took)}; {', '.join(parts)}")


ACTS: Final[tuple[Callable[[Stage], Coroutine[Any, Any, None]], ...]] = (devices, community)
