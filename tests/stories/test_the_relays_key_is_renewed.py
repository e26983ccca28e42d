"""A relay's key is renewed while people talk: the federation publishes the new one, who comes with the old one hears of
it, the old one goes, and every word has arrived once and in order."""

from __future__ import annotations

import asyncio
import base64
import time

from clients.operations.engine import route
from relay import running, setup
from securechan.agent.agent import Agent
from securechan.trust import authority
from securechan.trust.bundle import Bundle
from securechan.trust.records import RelayRecord
from tests.support.stage import PATIENCE, RELAY, Live, Stage
from tests.support.world import signer


def by_trust(live: Live) -> Live:
    """A device that knows the relay's key as clients do: from trust, the newest."""
    live._route = lambda agent: route(agent, live.url)
    return live


async def publish(stage: Stage, kem: bytes, witness: Live, *others: Live) -> None:
    """The federation says that this is the relay's KEM key, and the operator adopts it; all who are there know."""
    view = witness.agent.view
    record = view.relays[RELAY]
    changed = RelayRecord.make(RELAY, record.urls, [kem], list(record.online.values()), publisher=True)
    draft = authority.federation(view, now=int(time.time()), relays=[changed]).sign(signer("targets"))
    first = Bundle.decode(stage.founding.bundle)
    bundle = stage.folder / "published.json"
    kept = (pair for pair in first.rest if pair[0] != "targets")
    bundle.write_bytes(Bundle((("root", first.root), draft.pair(), *kept)).encode())
    await asyncio.to_thread(setup.adopt, stage.relay.home, bundle)
    for each in (witness, *others):
        await each.until(lambda agent: _knows(agent, kem))


def _knows(agent: Agent, kem: bytes) -> bool | None:
    return kem in agent.view.relays[RELAY].kem.values() or None


async def anew(live: Live) -> None:
    """Hands are shaken anew, as after a night."""
    await live.stop()
    await live.start()
    await live.until(lambda agent: agent.synced)


def _took_up(stage: Stage, count: int) -> None:
    """The running relay holds so many KEM keys."""
    until = time.monotonic() + PATIENCE
    while len(running.ask(stage.relay.home)["kem_keys"]) != count:
        assert time.monotonic() < until
        time.sleep(0.02)


async def test_nobody_loses_a_word(stage: Stage) -> None:
    (stage.relay.home / "relay.toml").write_text(f'name = "{RELAY}"\n')
    ana, bor, cene = (by_trust(stage.live(name)) for name in ("ana", "bor", "cene"))
    async with ana, bor:
        async with cene:
            topic = await stage.found(ana, [bor, cene])
            await ana.say(topic, "word 0")
        words, going = ["word 0"], True

        async def talk() -> None:
            while going:
                words.append(f"word {len(words)}")
                await ana.say(topic, words[-1])

        talking = asyncio.create_task(talk())
        card = await asyncio.to_thread(setup.rotate, stage.relay.home, drop=False)
        new = base64.b64decode(card["card"]["kem"])
        assert new != stage.founding.kem
        await publish(stage, new, bor, ana)
        await anew(bor)  # with the new key
        async with cene:  # it was away: it comes with the old one, and hears of the new
            await cene.until(lambda agent: _knows(agent, new))
            await asyncio.to_thread(setup.rotate, stage.relay.home, drop=True)
            await asyncio.to_thread(_took_up, stage, 1)
            for each in (bor, cene):
                await anew(each)
            going = False
            await talking
            await anew(ana)
            await ana.say(topic, "the end")
            for each in (ana, bor, cene):
                await each.until(lambda _, each=each: each.words(topic)[-1:] == ["the end"] or None)
                assert each.words(topic) == [*words, "the end"]
                assert not each.alarms()
    assert len(words) > 5
