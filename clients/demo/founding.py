"""First act: a relay, three agencies, a root that two of three holders sign, and the administrators' devices."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine
from typing import Any, Final

from clients.clock import SystemClock
from clients.demo.cast import (
    ADMINISTRATORS,
    AGENCIES,
    BERTA,
    BRUNO,
    COMMUNITY,
    DESK_AA,
    FOUNDERS,
    Role,
)
from clients.demo.narrator import Step, claim, milliseconds, span
from clients.demo.processes import Said
from clients.demo.stage import Stage
from clients.keyfile import KeyFile, Use
from clients.operations import plan, root
from clients.operations.ceremonies import tell_drafts
from clients.render import size
from securechan.trust.view import View

HOLDERS: Final = ("root holder one", "root holder two", "root holder three")


async def relay(stage: Stage) -> None:
    """A relay with nothing but its keys."""
    with stage.narrator.step("relay", "a relay starts") as step:
        took = await stage.start_relay()
        step.tell(
            f"{stage.url}  process {stage.relay.pid}  listens after {span(took)}; it knows no federation yet",
            url=stage.url,
            pid=stage.relay.pid,
            started_ms=milliseconds(took),
        )


async def agencies(stage: Stage) -> None:
    """Three agencies make their keys and apply; one of them wants two administrators for every roster."""
    with stage.narrator.step("agencies", "three agencies make their keys and apply") as step:
        holders = asyncio.create_task(_holders(stage))  # meanwhile, elsewhere
        papers = (
            await _run(stage, BERTA, "admin", "prepare", BERTA.agency, *_who(BERTA), "--out", _papers(stage, BERTA))
        ).data
        founded = await asyncio.gather(*(_found(stage, role) for role in FOUNDERS))
        said = founded[FOUNDERS.index(BRUNO)]["administrators"][0]["words"]
        claim(said == papers["words"], "two administrators see the same six words")
        signed = (await _run(stage, BERTA, "admin", "sign", str(stage.papers("csirt-bb.application")), "--yes")).data
        claim(signed["complete"], "the second administrator's signature makes the application of csirt-bb complete")
        for agency in AGENCIES:
            path = stage.papers(f"{agency.name}.application")
            who = "administrator signs" if agency.threshold == 1 else "administrators sign"
            weight = size(path.stat().st_size)
            step.tell(f"{agency.name:9} {agency.title}: {agency.threshold} {who} its rosters; application {weight}")
        step.tell(f"words of {BERTA.address} compared: {' '.join(said)}", agencies=[each.name for each in AGENCIES])
        await holders


def _who(role: Role) -> tuple[str, ...]:
    return "--officer", role.officer, "--device", role.device, "--role", "admin"


def _papers(stage: Stage, role: Role) -> str:
    return str(stage.papers(f"{role.file}.administrator"))


async def _run(stage: Stage, role: Role, *words: str) -> Said:
    return await stage[role].run(*words)


async def _found(stage: Stage, role: Role) -> dict[str, Any]:
    agency = next(each for each in AGENCIES if each.name == role.agency)
    words = ["admin", "init", agency.name, *_who(role), "--title", agency.title, "--threshold", str(agency.threshold)]
    words += ["--out", str(stage.papers(f"{agency.name}.application")), "--yes"]
    if agency.threshold > 1:
        words += ["--second", _papers(stage, BERTA)]
    made: dict[str, Any] = (await stage[role].run(*words)).data
    return made


async def _holders(stage: Stage) -> None:
    """Each holder of the root and each federation administrator makes a key, under a passphrase of their own."""

    def passphrase(what: str) -> str:
        return stage.passphrases(f"holder-{what[-1]}").new(what)

    three = plan.Holders(made=3, threshold=2)
    await asyncio.to_thread(root.init, stage.federation, three, three, passphrase)


async def federation(stage: Stage) -> None:
    """The ceremony, and its bundle in the relay's hands."""
    with stage.narrator.step("federation", "a federation whose root two of three holders sign") as step:
        folder = root.Folder(stage.federation)
        await asyncio.to_thread(_plan, stage, folder)
        took = [await _sign(stage, folder, number, step) for number in (1, 3)]
        published = await asyncio.to_thread(root.publish_bundle, folder)
        stage.address = published["address"]
        adopted = await stage.relay_command("adopt", published["bundle"])
        claim(adopted["root"] == published["root"], "the relay serves the federation that was signed")
        waited = await stage.serving()
        bundle = folder.bundle_path.stat().st_size
        step.tell(
            f"bundle {size(bundle)}, adopted by the relay in {span(waited)}",
            root=published["root"],
            threshold=2,
            holders=3,
            bundle_bytes=bundle,
            signing_ms=[milliseconds(each) for each in took],
        )
        step.tell(f"the federation's name is the hash of its root: {published['root'][:32]}…")
        stage.narrator.sum_up("federation", f"root 2 of 3, SLH-DSA-SHA2-192s + Ed25519; {len(AGENCIES)} agencies")


def _plan(stage: Stage, folder: root.Folder) -> None:
    now = int(SystemClock().time())
    card = (stage.relay_home / "card.json").read_bytes()
    changes: list[plan.Change] = [plan.add_relay(card, (stage.url,))]
    changes += [plan.admit_agency(stage.papers(f"{each.name}.application").read_bytes()) for each in AGENCIES]
    changes.append(plan.community(COMMUNITY, founders=(DESK_AA.name,), title="Early warning"))

    def change(standing: plan.Plan, view: View | None) -> plan.Plan:
        for each in changes:
            standing = each(standing, view)
        return standing

    root.planned(folder, change, now=now)


async def _sign(stage: Stage, folder: root.Folder, number: int, step: Step) -> float:
    """One holder looks at the ceremony and signs it with a root key and an administrator's key."""

    def sign() -> tuple[dict[str, Any], float]:
        began = time.monotonic()
        keys = [
            KeyFile.load(folder.path / "keys" / f"{use.value}-{number}.key", use) for use in (Use.ROOT, Use.TARGETS)
        ]
        opened = root.open_ceremony(folder.ceremony_path, "")
        signed = root.sign(folder.ceremony_path, opened, keys, stage.passphrases(f"holder-{number}"))
        return tell_drafts(signed), time.monotonic() - began

    told, took = await asyncio.to_thread(sign)
    signing = next(each for each in told["signing"] if each["role"] == "root")
    step.tell(
        f"{HOLDERS[number - 1]} signs in {span(took)}: root {len(signing['signed'])} of {signing['needed']},"
        f" {'complete' if told['complete'] else 'one more needed'}"
    )
    return took


async def administrators(stage: Stage) -> None:
    """Administrators' devices, which the agencies' first rosters list, come in and stay."""
    with stage.narrator.step("administrators", "four administrators come in") as step:
        joined = await asyncio.gather(*(_join(stage, role) for role in ADMINISTRATORS))
        for role, (data, took) in zip(ADMINISTRATORS, joined, strict=True):
            claim(data["officer"] == role.address, f"{role.name} is enrolled for {role.address}")
            step.tell(
                f"{role.address:17} {role.name:18} in after {span(took)}, its process {stage[role].process.pid} stays"
            )
        status = await stage[FOUNDERS[0]].ask("status.status")
        step.tell(
            f"handshake {status['relay']['handshake']} with {status['relay']['name']}: {status['relay']['took_ms']} ms",
            administrators=[role.address for role in ADMINISTRATORS],
            handshake=status["relay"]["handshake"],
            handshake_ms=status["relay"]["took_ms"],
        )
        stage.narrator.sum_up("handshake", f"{status['relay']['handshake']}, {status['relay']['took_ms']} ms")


async def _join(stage: Stage, role: Role) -> tuple[dict[str, Any], float]:
    began = time.monotonic()
    data = (await stage[role].run("admin", "join", stage.address)).data
    claim(not data["pending"], f"{role.name} had its first session ({data['pending']})")
    took = time.monotonic() - began
    await stage[role].open()
    return data, took


ACTS: Final[tuple[Callable[[Stage], Coroutine[Any, Any, None]], ...]] = (relay, agencies, federation, administrators)
