"""A device is offline over a hundred epochs, and then reads every bulletin.

No past epoch is kept anywhere but in the log: the device comes back with the keys of the epoch in which it left, and
walks. It shows the relay what it has, reads up to the commit that closes that epoch, processes it, shows what the
commit gave it, and so on, a hundred times on one session.
"""

from __future__ import annotations

from securechan.agent.events import BulletinReceived, EpochChanged
from securechan.agent.inputs import PublishBulletin, RotateEpochs
from securechan.bulletin.tlp import Tlp
from tests.support.stage import Stage

EPOCHS = 100
EVERY = 5  # epochs between two bulletins


async def test_a_device_offline_over_100_epochs_reads_every_bulletin(stage: Stage) -> None:
    async with stage.all("ana", "bor") as (ana, bor):
        async with stage.live("cene") as cene:
            topic = await stage.found(ana, [bor, cene])
        epoch = ana.talk(topic).epoch
        published = []
        for number in range(EPOCHS):
            by, other = (ana, bor) if number % 2 else (bor, ana)
            if number % EVERY == 0:
                content = f"patch number {number} is due".encode()
                bulletin = PublishBulletin(topic, content, "text/plain", Tlp.AMBER, f"advisory {number}")
                published.append((await by.do(bulletin)).bulletin)
                await by.idle()
            await by.do(RotateEpochs(topic))
            epoch += 1
            for each in (by, other):
                await each.until(lambda agent, least=epoch: agent.conversation(topic).epoch >= least)
        async with cene:
            heard = await cene.heard(BulletinReceived, EPOCHS // EVERY)
            await stage.agree(topic, (ana, bor, cene), epoch=epoch)
            assert [event.bulletin for event in heard] == published
            assert [event.content for event in heard] == [
                f"patch number {number} is due".encode() for number in range(0, EPOCHS, EVERY)
            ]
            assert len(cene.told(EpochChanged)) >= EPOCHS
            assert not [alarm for each in (ana, bor, cene) for alarm in each.alarms()]
    assert not stage.ledger.reused()
