"""clients/runtime.py: adopt first, act afterwards, answer last; and whoever waits hears how it ended.

The mind here is a small one that does as the test says: what a real agent makes of its inputs has tests of its own.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from clients.vault import Put, Vault
from securechan.agent.effects import Effect, Emit, Reconnect, Wake
from securechan.agent.events import ReceiptReceived, RequestDone
from securechan.agent.inputs import Leave, Tick
from securechan.errors import Denied, NotReady, SecurechanError, TimedOut
from tests.clients.minds import LEAVE, Step, runtime, seen
from tests.clients.relay_peer import NOW, StillClock, run

# ---------------------------------------------------------------------------------------------------------- commands


def test_a_command_is_durable_before_it_acts_and_acts_before_it_answers(vault: Vault) -> None:
    order: list[str] = []

    def check(effect: Effect) -> None:
        assert vault.get("t", "a") == b"1"
        order.append(type(effect).__name__)

    def leave(_: Leave) -> Step:
        return Step(writes=(Put("t", "a", b"1"),), effects=(Emit(RequestDone("x", 1)), Reconnect("y")), answer="done")

    async def story() -> None:
        async with runtime(vault, {Leave: leave}, before_effect=check) as r:
            heard: list[Any] = []
            stop = r.listen(heard.append)
            assert await r.do(LEAVE) == "done"
            assert order == ["Emit", "Reconnect"]
            assert heard == [RequestDone("x", 1)]
            stop()
            await r.do(LEAVE)
            assert len(heard) == 1
            assert seen(r.agent, Leave) == [LEAVE, LEAVE]

    run(story())


def test_a_command_that_cannot_be_done_changes_nothing(vault: Vault) -> None:
    def refuse(_: Leave) -> Step:
        raise Denied("you may not", hint="ask")

    async def story() -> None:
        async with runtime(vault, {Leave: refuse}) as r:
            with pytest.raises(Denied, match="may not"):
                await r.do(LEAVE)
            assert seen(r.agent, Leave) == []
            with pytest.raises(Denied):  # and the runtime goes on
                await r.do(LEAVE)
        assert vault.generation == 0

    run(story())


def test_commands_that_come_together_are_adopted_together(vault: Vault) -> None:
    numbers = iter(range(100))

    def step(_: Leave) -> Step:
        n = next(numbers)
        return Step(writes=(Put("t", str(n), b""),), answer=n)

    async def story() -> None:
        async with runtime(vault, {Leave: step}) as r:
            assert await asyncio.gather(*(r.do(LEAVE) for _ in range(20))) == list(range(20))
        assert vault.tables() == {"t": 20}
        assert vault.generation < 20

    run(story())


def test_a_full_disk_sends_nothing_and_tells_everyone(vault: Vault) -> None:
    (pages,) = vault._db.execute("PRAGMA page_count").fetchone()
    vault._db.execute(f"PRAGMA max_page_count = {pages + 2}")
    acted: list[Effect] = []

    async def story() -> None:
        step = Step(writes=(Put("t", "a", bytes(1 << 20)),), effects=(Reconnect("x"),))
        async with runtime(vault, {Leave: lambda _: step}, before_effect=acted.append) as r:
            waiting = asyncio.create_task(r.until(lambda _: False, 10))
            ending = asyncio.create_task(r.ended())
            await asyncio.sleep(0)
            for what in (r.do(LEAVE), waiting, ending, r.do(LEAVE)):
                with pytest.raises(NotReady) as e:
                    await what
                assert e.value.code == "disk-full"
            assert seen(r.agent, Leave) == []
        assert not acted

    run(story())


def test_a_mind_that_breaks_ends_the_runtime_loudly(vault: Vault) -> None:
    def breaks(_: Leave) -> Step:
        raise ZeroDivisionError

    async def story() -> None:
        async with runtime(vault, {Leave: breaks}) as r:
            with pytest.raises(ZeroDivisionError):
                await r.do(LEAVE)
            with pytest.raises(ZeroDivisionError):
                await r.ended()

    run(story())


def test_after_its_end_it_does_nothing(vault: Vault) -> None:
    async def story() -> None:
        async with runtime(vault, {}) as r:
            pass
        with pytest.raises(SecurechanError):
            await asyncio.wait_for(r.do(LEAVE), 1)

    run(story())


def told(device: str) -> Emit:
    """A receipt of delivery: nobody waits for it."""
    return Emit(ReceiptReceived(bytes(32), "SC-2026-0001-aaaaaa", 1, "delivered", device, "o@a", 1))


def test_what_nobody_waits_for_is_adopted_together_and_shown_when_it_is(vault: Vault) -> None:
    async def story() -> None:
        numbers = iter(range(100))
        shown: list[int] = []

        def tick(_: Tick) -> Step:
            n = next(numbers)
            return Step(
                writes=(Put("t", str(n), b""),), effects=(told(str(n)), Wake(NOW)) if n < 3 else (told(str(n)),)
            )

        def check(effect: Effect) -> None:
            if isinstance(effect, Emit):
                shown.append(vault.tables().get("t", 0))

        async with runtime(vault, {Tick: tick}, before_effect=check) as r:
            assert await r.until(lambda a: len(seen(a, Tick)) >= 4, 10)  # a wish to be woken waits for nothing
            assert (vault.generation, shown) == (0, [])
            r._enough()  # as the timer does
            await r.do(LEAVE)
            assert (vault.generation, shown) == (1, [4, 4, 4, 4])

    run(story())


def test_what_was_kept_back_goes_before_what_is_urgent_and_is_not_lost_at_the_end(vault: Vault) -> None:
    async def story() -> None:
        order: list[str] = []

        def check(effect: Effect) -> None:
            order.append(type(effect).__name__)

        steps: dict[type, Callable[[Any], Step]] = {
            Tick: lambda _: Step(writes=(Put("t", "kept", b"1"), Put("t", "both", b"1")), effects=(told("x"),)),
            Leave: lambda _: Step(writes=(Put("t", "both", b"2"),), effects=(Reconnect("y"),), answer="done"),
        }
        async with runtime(vault, steps, before_effect=check) as r:
            await r.until(lambda a: seen(a, Tick), 10)
            await r.do(LEAVE)
            assert order == ["Emit", "Reconnect"]
            assert (vault.generation, vault.all("t")) == (1, {"kept": b"1", "both": b"2"})
        async with runtime(vault, {Tick: steps[Tick]}) as r:
            await r.until(lambda a: seen(a, Tick), 10)
            assert vault.generation == 1
        assert (vault.generation, vault.get("t", "both")) == (2, b"1")

    run(story())


# ------------------------------------------------------------------------------------------------------------ waiting


def test_until_something_is_so(vault: Vault) -> None:
    async def story() -> None:
        async with runtime(vault, {}) as r:
            waiting = asyncio.create_task(r.until(lambda a: len(seen(a, Leave)) >= 2 and "two", 10))
            await r.do(LEAVE)
            await r.do(LEAVE)
            assert await waiting == "two"
            with pytest.raises(TimedOut) as e:
                await r.until(lambda _: None, 0.01)
            assert e.value.hint

    run(story())


def test_time_wakes_the_mind_and_a_later_wish_replaces_an_earlier(vault: Vault) -> None:
    class Clock(StillClock):
        def __init__(self) -> None:
            super().__init__()
            self.going = asyncio.Event()

        async def sleep(self, seconds: float) -> None:
            self.slept.append(seconds)
            if len(self.slept) == 1:
                await asyncio.Event().wait()
            await self.going.wait()

    async def story() -> None:
        clock = Clock()
        ats = iter((NOW + 50, NOW + 7))
        async with runtime(vault, {Leave: lambda _: Step(effects=(Wake(next(ats)),))}, clock=clock) as r:
            await r.do(LEAVE)
            await asyncio.sleep(0)
            await r.do(LEAVE)
            await asyncio.sleep(0)
            assert clock.slept == [50, 7]
            assert len(seen(r.agent, Tick)) == 1  # the one at the beginning
            clock.going.set()
            await r.until(lambda a: len(seen(a, Tick)) == 2, 5)

    run(story())


def test_events_come_as_they_happen(vault: Vault) -> None:
    async def story() -> None:
        numbers = iter(range(9))

        def step(_: Any) -> Step:
            return Step(effects=(Emit(RequestDone("x", next(numbers))),))

        async with runtime(vault, {Leave: step}) as r:

            async def act() -> None:
                for _ in range(3):
                    await r.do(LEAVE)

            acting = asyncio.create_task(act())
            got = []
            async for event in r.events():
                got.append(event)
                if len(got) == 3:
                    break
            assert got == [RequestDone("x", n) for n in range(3)]
            await acting

    run(story())
