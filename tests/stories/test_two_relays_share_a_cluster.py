"""Two relays share a cluster: devices at one and at the other are in one conversation, and the cluster may limp.

Two relay processes, which are one relay with two addresses, keep nothing themselves; three NATS servers keep
everything. What goes in through one relay is shown at the other at once; of commits that race through both, one
counts; and while words and commits go in through both, the server that leads the log dies by SIGKILL, and later one
of the relays does. In the end every text is in every archive once, in one order, and the history chains agree.
"""

from __future__ import annotations

import asyncio
import shutil
from contextlib import AsyncExitStack
from pathlib import Path

from securechan.agent.events import BulletinReceived, EpochChanged, MessageReceived
from securechan.agent.inputs import PublishBulletin, RotateEpochs, SendText
from securechan.agent.state import CONVERSATIONS
from securechan.bulletin.tlp import Tlp
from tests.support.cluster import Cluster
from tests.support.relayproc import RelayProcess
from tests.support.stage import RELAY, Live, Stage

EACH = 16  # texts of each device while a server dies
ROUNDS = 3  # of commits at once


async def _write(device: Live, topic: bytes, said: list[str], round_: str) -> None:
    for count in range(EACH):
        said.append(f"{device.name} {round_} {count}")
        await device.do(SendText(topic, said[-1], Tlp.GREEN))


async def test_two_relays_share_a_cluster(tmp_path: Path, cluster: Cluster) -> None:
    environment = cluster.environment("story")
    async with AsyncExitStack() as exits:
        stage = exits.enter_context(Stage(tmp_path, **environment))
        shutil.copytree(stage.founding.folder, tmp_path / "second")
        second = exits.enter_context(RelayProcess(tmp_path / "second", name=RELAY, environment=environment))
        assert second.get("/healthz")[0] == 200  # it was given no bundle: trust is in the cluster

        ana, bor = [await exits.enter_async_context(stage.live(name)) for name in ("ana", "bor")]
        cene, dora = [await exits.enter_async_context(stage.live(name, url=second.url)) for name in ("cene", "dora")]
        cast = (ana, bor, cene, dora)
        topic = await stage.found(ana, cast[1:])
        bulletin = await ana.do(PublishBulletin(topic, b"patch today", "text/plain", Tlp.AMBER, "advisory"))
        (shown,) = await cene.heard(BulletinReceived)
        assert (shown.bulletin, shown.content) == (bulletin.bulletin, b"patch today")
        said = ["and back"]
        await cene.say(topic, said[0])
        await ana.heard(MessageReceived)

        first = epoch = ana.talk(topic).epoch
        for number in range(ROUNDS):
            for each in (ana, cene):
                said.append(f"{each.name} {number}")
                await each.do(RotateEpochs(topic))
                await each.do(SendText(topic, said[-1], Tlp.AMBER))
            epoch = await stage.agree(topic, cast, epoch=epoch + 2)
            assert epoch == first + 2 * (number + 1)  # each of the two has renewed its leaf: none counted twice

        writing = [asyncio.ensure_future(_write(each, topic, said, "limping")) for each in cast]
        await bor.heard(MessageReceived, len(said) // 2)
        leader = await cluster.leader("story-log")
        cluster.kill(leader)
        try:
            await asyncio.gather(*writing)
            await ana.do(RotateEpochs(topic))
            await stage.agree(topic, cast, epoch=epoch + 1)
        finally:
            cluster.start(leader)

        writing = [asyncio.ensure_future(_write(each, topic, said, "one relay")) for each in cast]
        second.kill()
        await asyncio.gather(*writing)
        await asyncio.to_thread(second.start)

        for each in cast:
            await each.heard(MessageReceived, len(said))
            await each.idle()
        await stage.agree(topic, cast)
        order = ana.words(topic)
        assert sorted(order) == sorted(said)
        heads = set()
        for each in cast:
            assert each.words(topic) == each.heard_words(topic) == order
            assert not each.alarms()
            row = each.agent.rows.all(CONVERSATIONS)[topic.hex()]
            heads.add((row.cursor.sequence, row.cursor.chain))
            committers = [event.by for event in each.told(EpochChanged) if first < event.epoch <= first + 2 * ROUNDS]
            assert committers.count(ana.device) == committers.count(cene.device) == ROUNDS
        assert len(heads) == 1
        assert not stage.ledger.reused()
    await cluster.ready()
