"""The relay's machine is gone. What was moved goes on; what was mirrored has lost nothing; what is older than what was
acknowledged is noticed by every member that has read further, and is made good by the newer state."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from relay import backup, mirror, running
from securechan.agent.events import AlarmKind, Held
from securechan.agent.inputs import Resume, SendText
from securechan.bulletin.tlp import Tlp
from securechan.errors import Denied
from tests.support.relayproc import RelayProcess
from tests.support.stage import RELAY, Live, Stage


@pytest.fixture
def second(tmp_path: Path) -> Path:
    """The second disk."""
    return tmp_path / "second"


@pytest.fixture
def mirrored(tmp_path: Path, second: Path) -> Iterator[Stage]:
    with Stage(tmp_path, SECURECHAN_RELAY_MIRROR=str(second)) as stage:
        yield stage


def elsewhere(stage: Stage, home: Path) -> RelayProcess:
    """Another machine that has the address of the first."""
    relay = RelayProcess(home, name=RELAY)
    relay.port = stage.relay.port
    relay.start()
    stage.relay = relay
    return relay


async def talked(stage: Stage, ana: Live, bor: Live, count: int) -> tuple[bytes, list[str]]:
    """A room of ana and bor, with some words in it."""
    topic = await stage.found(ana, [bor], stage.room_policy("operations"))
    words = [f"word {number}" for number in range(count)]
    for word in words:
        await ana.say(topic, word)
    return topic, words


async def goes_on(ana: Live, bor: Live, topic: bytes, words: list[str]) -> None:
    """Both are heard again, have the same words, and nobody is alarmed."""
    await ana.say(topic, "and on")
    await bor.until(lambda _: bor.words(topic)[-1:] == ["and on"] or None)
    await bor.say(topic, "yes")
    await ana.until(lambda _: ana.words(topic)[-1:] == ["yes"] or None)
    assert ana.words(topic) == bor.words(topic) == [*words, "and on", "yes"]
    assert not [*ana.alarms(), *bor.alarms()]


async def test_one_that_is_moved_goes_on_as_if_nothing_had_been(stage: Stage) -> None:
    async with stage.all("ana", "bor") as (ana, bor):
        topic, words = await talked(stage, ana, bor, 5)
        await asyncio.to_thread(running.drain, stage.relay.home)
        stage.relay.stop()
        backup.backup(stage.relay.home, stage.folder / "moved.tar", move=True)
        with pytest.raises(RuntimeError, match="moved away"):
            stage.relay.start()
        backup.restore(stage.folder / "moved.tar", stage.folder / "new")
        elsewhere(stage, stage.folder / "new")
        await goes_on(ana, bor, topic, words)


async def test_one_that_is_mirrored_loses_nothing_with_its_disk(mirrored: Stage, second: Path) -> None:
    stage = mirrored
    async with stage.all("ana", "bor") as (ana, bor):
        topic, words = await talked(stage, ana, bor, 5)
        words += [f"more {number}" for number in range(40)]
        for word in words[5:]:
            await ana.do(SendText(topic, word, Tlp.GREEN))
        await bor.until(lambda _: len(bor.words(topic)) >= 15 or None)
        stage.relay.kill()  # in the middle of it
        done = await asyncio.to_thread(mirror.restore, second, stage.folder / "new")
        assert done["commits"] > 5
        elsewhere(stage, stage.folder / "new")
        await goes_on(ana, bor, topic, words)


async def test_yesterdays_state_is_noticed_by_all_who_have_read_further_and_the_newer_one_makes_it_good(
    stage: Stage,
) -> None:
    async with stage.all("ana", "bor") as (ana, bor):
        topic, words = await talked(stage, ana, bor, 3)
        sending = asyncio.create_task(_say_all(ana, topic, words))
        await asyncio.to_thread(backup.backup, stage.relay.home, stage.folder / "yesterday.tar")  # under load
        words += await sending
        await bor.until(lambda _: bor.words(topic) == words or None)
        newest = stage.relay.home
        stage.relay.kill()
        with pytest.raises(Denied):
            backup.restore(stage.folder / "yesterday.tar", stage.folder / "old")
        backup.restore(stage.folder / "yesterday.tar", stage.folder / "old", accept_loss=True)

        old = elsewhere(stage, stage.folder / "old")
        for each in (ana, bor):
            await each.heard(Held, where=lambda event: event.conversation == topic)
            assert AlarmKind.FORK in {alarm.kind for alarm in each.alarms()}
            assert any("has forgotten entries" in alarm.text for alarm in each.alarms())
        unsaid = await ana.do(SendText(topic, "does anybody hear me?", Tlp.GREEN))
        old.kill()

        assert ana.agent.outgoing(unsaid) != "sent"
        for each in (ana, bor):
            each.events.clear()
        elsewhere(stage, newest)  # the disk could be saved
        for each in (ana, bor):
            await each.do(Resume(topic))
        await ana.until(lambda agent: agent.outgoing(unsaid) == "sent" or None)
        await bor.until(lambda _: bor.words(topic)[-1:] == ["does anybody hear me?"] or None)
        await goes_on(ana, bor, topic, [*words, "does anybody hear me?"])


async def _say_all(ana: Live, topic: bytes, before: list[str]) -> list[str]:
    said = [f"word {number}" for number in range(len(before), len(before) + 20)]
    for word in said:
        await ana.say(topic, word)
    return said
