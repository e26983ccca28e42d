"""Fourth act: keys are renewed: those of an epoch at once, a device's signature key through its agency's roster."""

from __future__ import annotations

import time
from collections.abc import Callable, Coroutine
from typing import Any, Final

from clients.demo.cast import BERTA, BRUNO, COMMUNITY, DESK_AA, LIAISON_BB
from clients.demo.enrolling import sign_too
from clients.demo.narrator import claim, milliseconds, span
from clients.demo.stage import Stage


async def epochs(stage: Stage) -> None:
    """One device renews its epoch keys in every conversation it is in."""
    with stage.narrator.step("epochs", "epoch keys are renewed") as step:
        before = await stage.of_one_mind()
        entries = len(stage.entries(stage.community))
        began = time.monotonic()
        renewed = await stage[DESK_AA].ask("key.rotate", epochs=True)
        after = await stage.of_one_mind()
        took = time.monotonic() - began
        claim(after["epoch"] > before["epoch"], "the epoch has moved on")
        claim(after["authenticator"] != before["authenticator"], "the new epoch has other keys")
        weight = sum(stage.entries(stage.community)[entries:])
        step.tell(
            f"{COMMUNITY}: epoch {before['epoch']} becomes {after['epoch']}; all {after['members']} devices in it after"
            f" {span(took)}",
            conversations=len(renewed["conversations"]),
            before=before["epoch"],
            epoch=after["epoch"],
            took_ms=milliseconds(took),
        )
        step.tell(
            f"a commit of {weight} bytes; authenticator {before['authenticator'][:16]} becomes"
            f" {after['authenticator'][:16]}",
            commit_bytes=weight,
        )
        stage.narrator.sum_up("epoch keys", f"{after['members']} devices in the new epoch in {span(took)}")


async def signature(stage: Stage) -> None:
    """A device's signature key: both listed, every leaf updated, the old one buried; two administrators sign."""
    with stage.narrator.step("signature", "a device renews its signature key") as step:
        device = stage[LIAISON_BB]
        old = await _current(stage)
        began = time.monotonic()
        asked = await device.ask("key.rotate", signature=True)
        new = asked["signature"]["key"]
        claim(new != old, "the new key is another")
        step.tell(f"{LIAISON_BB.name} makes a key and asks its administrators to list it")
        await _relist(stage)
        await device.comes_to(
            "key.ls", lambda told: _state(told, new) == "current", online=False, what="its new key in use"
        )
        adopted = time.monotonic() - began
        step.tell(
            f"{BRUNO.address} and {BERTA.address} sign; {new[:16]} speaks in every conversation after {span(adopted)}",
            old=old,
            key=new,
            adopted_ms=milliseconds(adopted),
        )
        await _relist(stage)
        await device.comes_to("key.ls", lambda told: len(told["keys"]) == 1, online=False, what="its old key's end")
        took = time.monotonic() - began
        shown = await stage.of_one_mind()
        step.tell(
            f"{old[:16]} is off the roster and erased after {span(took)}; epoch {shown['epoch']}",
            took_ms=milliseconds(took),
            epoch=shown["epoch"],
        )
        stage.narrator.sum_up("signature key", f"renewed through the roster, twice two signatures, {span(took)}")


async def _current(stage: Stage) -> str:
    told = await stage[LIAISON_BB].ask("key.ls", online=False)
    return str(next(key["key"] for key in told["keys"] if key["state"] == "current"))


def _state(told: dict[str, Any], key: str) -> str:
    return next((str(each["state"]) for each in told["keys"] if each["key"] == key), "")


async def _relist(stage: Stage) -> None:
    """The administrators carry out what the device has asked for."""
    office = stage[BRUNO]
    waiting = await office.comes_to(
        "admin.pending",
        lambda told: any(each["device"] == LIAISON_BB.name for each in told["keys"]),
        what="the wish for another key",
    )
    wish = next(each for each in waiting["keys"] if each["device"] == LIAISON_BB.name)
    done = await office.ask("admin.relist", id=wish["id"])
    claim(not done["published"], "one signature is not enough")
    await sign_too(stage, BERTA, done["pending"], {})


ACTS: Final[tuple[Callable[[Stage], Coroutine[Any, Any, None]], ...]] = (epochs, signature)
