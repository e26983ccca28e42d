"""A bulletin is forwarded as far as its label lets it, with its issuer's consent farther, and its withdrawal follows.

cert-hr warns eu-csirts. A desk of cert-si brings the warning into its own room, where the label lets it go, and where
somebody reads it who trusts cert-hr's signature and not the forwarder's word. A stricter one it may not bring to the
observers; it asks, a person at cert-hr consents, and the consent travels with the forward. Then cert-hr withdraws both,
while the forwarder's client is not running: as soon as it is, everyone who has read a forward reads the withdrawal.
"""

from __future__ import annotations

import base64
from typing import Any

import pytest

from clients.clock import SystemClock
from clients.operations import bulletin, forwards
from clients.operations.engine import Work
from securechan.agent.events import Alarm, BulletinReceived, BulletinRefused, ConsentAnswered, ConsentAsked
from securechan.agent.inputs import AcceptConversation, CreateConversation
from securechan.errors import Denied
from tests.support.stage import COMMUNITY, Live, Stage

WARNING = b"A worm is on its way.\n"
NAMES = b"Its first victims are known to us.\n"


def work(live: Live) -> Work:
    async def nowhere(_: Any) -> None:
        """Nothing here is a stream."""

    return Work(live.runtime, live.profile, SystemClock(), nowhere)


async def publish(live: Live, content: bytes, label: str) -> str:
    encoded = base64.b64encode(content).decode()
    said = {"to": COMMUNITY, "content": encoded, "media_type": "text/plain", "tlp": label, "title": "a worm"}
    return str((await bulletin.publish(work(live), said))["bulletin"])


async def read(live: Live, topic: bytes, count: int) -> list[BulletinReceived]:
    return await live.heard(BulletinReceived, count, lambda each: each.conversation == topic)


async def test_it_goes_as_far_as_it_may_and_is_followed(stage: Stage) -> None:
    async with stage.all("ana", "dora") as (ana, dora):
        cene = await stage.live("cene").start()
        try:
            await stage.found(ana, [cene, dora])
            room = await stage.found(cene, [dora], stage.room_policy("si-desk", "cert-si"))
            observers = await cene.do(CreateConversation(stage.community_policy(name="observers")))
            await ana.until(lambda agent: agent.offers())
            await ana.do(AcceptConversation(observers))
            await stage.agree(observers, [ana, cene, dora])

            first = await publish(ana, WARNING, "green")
            await cene.heard(BulletinReceived)
            forwarded = await forwards.forward(work(cene), {"bulletin": first, "to": "si-desk"})
            assert (forwarded["state"], forwarded["agencies"]) == ("sent", 1)
            (seen,) = await read(dora, room, 1)
            assert (seen.issuer, seen.device, seen.forwarded_by) == ("cert-hr", ana.device, cene.device)
            assert seen.content == WARNING

            second = await publish(ana, NAMES, "amber")
            await cene.heard(BulletinReceived, where=lambda each: each.bulletin == second)
            with pytest.raises(Denied) as denied:
                await forwards.forward(work(cene), {"bulletin": second, "to": "observers"})
            assert denied.value.code == "tlp-denied"
            await forwards.ask_consent(work(cene), {"bulletin": second, "to": "observers", "reason": "they can help"})
            (asked,) = await ana.heard(ConsentAsked)
            assert (asked.name, asked.reason, asked.agencies) == ("observers", "they can help", ("cert-hr", "cert-si"))
            await forwards.consent(
                work(ana), {"bulletin": second, "agency": "cert-si", "days": 3, "agencies": list(asked.agencies)}
            )
            await cene.heard(ConsentAnswered, where=lambda each: each.granted)
            await forwards.forward(work(cene), {"bulletin": second, "to": "observers"})
            (strict,) = await read(dora, observers, 1)
            assert (strict.content, strict.consent_by) == (NAMES, "ana@cert-hr")

            await cene.stop()
            for each in (first, second):
                await bulletin.withdraw(work(ana), {"bulletin": each, "reason": "a false alarm"})
            await cene.start()
            for topic in (room, observers):
                last = (await read(dora, topic, 2))[-1]
                assert (last.status, last.content, last.forwarded_by) == ("withdrawn", b"a false alarm", cene.device)
            assert not dora.told(BulletinRefused)
            assert not [each for live in (ana, cene, dora) for each in live.told(Alarm)]
        finally:
            await cene.stop()
