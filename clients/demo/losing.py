"""Last act: a device is stolen and revoked; the relay dies in the middle of everything and comes back."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine
from typing import Any, Final

from clients.demo.cast import CARLA, COMMUNITY, DESK_AA, DESK_CC, LAPTOP_CC, LIAISON_AA, LIAISON_BB, Role
from clients.demo.desk import PATIENCE, Desk, all_hear, marks
from clients.demo.narrator import Broken, claim, milliseconds, span
from clients.demo.stage import Stage
from clients.demo.talking import texts

BURST: Final = 24  # messages that are typed in one go
UNTIL: Final = 12  # of them that are stored when the relay is killed, or a few more
LATE: Final = 16  # messages that are typed while there is no relay
WRITERS: Final = (DESK_AA, LIAISON_BB)
READERS: Final = (DESK_AA, LIAISON_AA, LIAISON_BB, DESK_CC)


async def theft(stage: Stage) -> None:
    """Revoked, out within seconds without anybody asking, and deaf."""
    with stage.narrator.step("theft", "a stolen device is revoked and hears nothing more") as step:
        stolen = stage[LAPTOP_CC]
        others = stage.officers(LAPTOP_CC)
        since = marks(others)
        before = await texts(stage, LAPTOP_CC)
        began = time.monotonic()
        revoked = await stage[CARLA].ask("admin.revoke", device=LAPTOP_CC.name, reason="lost")
        claim(revoked["published"], "the roster without it is published")
        stage.gone.add(LAPTOP_CC)
        published = time.monotonic() - began
        code = await stolen.gone()
        dropped = time.monotonic() - began
        seen = await all_hear(
            others,
            lambda event: event["event"] == "member-removed" and event["device"] == LAPTOP_CC.name,
            since,
            what=f"the removal of {LAPTOP_CC.name}",
        )
        removed = max(seen.values()) - began
        shown = await stage.of_one_mind()
        step.tell(f"{CARLA.address} revokes {LAPTOP_CC.name}: published after {span(published)}")
        step.tell(f"the relay ends its session; its process gives up with exit code {code} after {span(dropped)}")
        step.tell(
            f"the others have removed it, {shown['members']} devices in epoch {shown['epoch']}, after {span(removed)}",
            published_ms=milliseconds(published),
            dropped_ms=milliseconds(dropped),
            removed_ms=milliseconds(removed),
            exit_code=code,
            epoch=shown["epoch"],
        )
        unheard = "the laptop is gone: all codes of last week are burnt"
        since = marks(others)
        await stage[DESK_AA].ask("message.send", to=COMMUNITY, text=unheard, tlp="amber")
        await all_hear(
            stage.officers(LAPTOP_CC, DESK_AA),
            lambda event: event["event"] == "message-received" and event["body"] == unheard,
            since,
            what="what the thief must not hear",
        )
        tried = await stolen.run("sync", "--timeout", "10")
        claim(tried.code != 0, "the stolen device is refused when it tries again")
        after = await texts(stage, LAPTOP_CC, online=False)
        claim(after == before, "the stolen device has read nothing since")
        step.tell(f"it tries again: exit code {tried.code}, {tried.error['message']}")
        step.tell(
            f"what it can read: {len(before)} messages before, {len(after)} after; the others read one more",
            refused=tried.error["code"],
            refused_exit_code=tried.code,
            read_before=len(before),
            read_after=len(after),
        )
        stage.narrator.sum_up(
            "revocation", f"its process out in {span(dropped)}, its leaf out of every tree in {span(removed)}"
        )


async def death(stage: Stage) -> None:
    """kill -9 while messages are under way; nothing that was typed is lost, nothing is shown twice."""
    with stage.narrator.step("death", "the relay is killed with -9 and resumes") as step:
        count = BURST + LATE
        wanted = [f"sighting {number} of {count}" for number in range(1, count + 1)]
        entries = len(stage.entries(stage.community))
        typing = asyncio.gather(*(_type(stage[role], wanted[:BURST][half::2]) for half, role in enumerate(WRITERS)))
        await _stored(stage, entries + UNTIL)
        await stage.kill_relay()
        killed = time.monotonic()
        stored = len(stage.entries(stage.community)) - entries
        await typing
        await asyncio.gather(*(_type(stage[role], wanted[BURST:][half::2]) for half, role in enumerate(WRITERS)))
        step.tell(f"killed with {stored} of {BURST} messages stored; {LATE} more are typed while it is dead")
        took = await stage.start_relay()
        read = await asyncio.gather(*(_complete(stage, role, wanted) for role in READERS))
        back = time.monotonic() - killed
        total = len(stage.entries(stage.community)) - entries
        step.tell(
            f"listens again after {span(took)}; every device has all {count}, each once, {span(back)} after the kill",
            sent=count,
            stored_before=stored,
            stored_after=total,
            read={role.name: number for role, number in zip(READERS, read, strict=True)},
            lost=count - min(read),
            restart_ms=milliseconds(took),
            resumed_ms=milliseconds(back),
        )
        step.tell(f"new entries at the relay: {stored} before, {total} after")
        stage.narrator.sum_up(
            "relay kill -9",
            f"{stored} of {count} stored before, {count - min(read)} lost, none twice, resumed in {span(back)}",
        )


async def _type(writer: Desk, wanted: list[str]) -> None:
    """Type messages without waiting for the relay."""
    for text in wanted:
        await writer.ask("message.send", to=COMMUNITY, text=text, tlp="green", wait="queued")


async def _stored(stage: Stage, count: int) -> None:
    """Wait until the relay has stored so many entries of the community."""
    until = time.monotonic() + PATIENCE
    while len(stage.entries(stage.community)) < count:
        if time.monotonic() > until:
            raise Broken(f"the relay did not store {count} entries")
        await asyncio.sleep(0.002)


async def _complete(stage: Stage, role: Role, wanted: list[str]) -> int:
    """Wait until a device can read all that was sent; how many of them it reads."""
    until = time.monotonic() + PATIENCE
    expected = set(wanted)
    while True:
        read = [text for text in await texts(stage, role) if text in expected]
        claim(len(read) == len(set(read)), f"{role.name} reads nothing twice")
        if len(read) == len(wanted):
            return len(read)
        if time.monotonic() > until:
            raise Broken(f"{role.name} reads {len(read)} of {len(wanted)} messages")
        await asyncio.sleep(0.1)


ACTS: Final[tuple[Callable[[Stage], Coroutine[Any, Any, None]], ...]] = (theft, death)
