"""Two groups are called eu-csirts: the bulletin goes to the right one.

The federation binds the name to who may found it. Anybody may call a group so; but an invitation to a look-alike stays
an offer, where a colleague vouches for it the name does not come with it, and what a person names on the command line
is one conversation or an error that says how to tell them apart.
"""

from __future__ import annotations

import base64
from typing import Any

import pytest

from clients.clock import SystemClock
from clients.operations import bulletin, conversation
from clients.operations.engine import Work
from clients.operations.lookup import conversation as find
from securechan.agent.events import BulletinReceived, BulletinRefused, ConversationJoined, ConversationOffered
from securechan.agent.inputs import CreateConversation, RenameConversation
from securechan.agent.state import BULLETINS
from securechan.bulletin.payload import Bulletin
from securechan.errors import Conflict
from tests.support.stage import COMMUNITY, Live, Stage
from tests.support.villain import Villain

NOTICE = b"A worm is on its way.\n"


def work(live: Live) -> Work:
    async def nowhere(_: Any) -> None:
        """Nothing here is a stream."""

    return Work(live.runtime, live.profile, SystemClock(), nowhere)


async def look_alike(stage: Stage, founder: Live, *names: str) -> list[bytes]:
    """An honest client in dishonest hands founds groups of these names."""
    topics = []
    for name in names:
        for each in founder.agent.conversations():
            if each.name == name:
                await founder.do(RenameConversation(each.topic, f"was {each.topic.hex()[:8]}"))
        topics.append(await founder.do(CreateConversation(stage.community_policy(name=name))))
    return topics


async def publish(live: Live, name: str) -> dict[str, Any]:
    said = {
        "to": name,
        "content": base64.b64encode(NOTICE).decode(),
        "media_type": "text/plain",
        "tlp": "green",
        "title": "worm",
    }
    return await bulletin.publish(work(live), said)


async def test_the_bulletin_goes_to_the_right_one(stage: Stage) -> None:
    async with stage.all("ana", "bor", "cene", "dora") as (ana, bor, cene, dora):
        right = await stage.found(ana, (bor, cene, dora))
        wrong, wrong_too = await look_alike(stage, dora, COMMUNITY, COMMUNITY)
        offers = await ana.heard(ConversationOffered, 2)
        assert {(each.conversation, each.by) for each in offers} == {(wrong, dora.device), (wrong_too, dora.device)}
        assert [each.topic for each in ana.agent.conversations()] == [right]  # nobody is in there unasked …
        await cene.heard(ConversationJoined, 3)  # … but a colleague of dora's, who vouches for her
        assert find(cene.agent, COMMUNITY).topic == right

        with pytest.raises(Conflict, match="2 offers") as ambiguous:
            await conversation.accept(work(ana), {"conversation": COMMUNITY})
        assert wrong.hex()[:8] in ambiguous.value.hint
        accepted = await conversation.accept(work(ana), {"conversation": wrong.hex()[:16]})
        assert accepted["name"] == f"{COMMUNITY}~{wrong.hex()[:8]}"

        await publish(ana, COMMUNITY)
        for each in (bor, cene, dora):
            (got,) = await each.heard(BulletinReceived)
            assert got.conversation == right
            assert got.content == NOTICE
        # Nor can it be carried into the other: it says for whom it was signed.
        row = next(each for each in dora.agent.rows.all(BULLETINS).values() if each.topic == right)
        async with Villain.take(dora, wrong) as villain:
            await villain.say(Bulletin(row.header, row.signature, NOTICE))
            (refused,) = await ana.heard(BulletinRefused)
            assert refused.conversation == wrong


async def test_a_colleague_cannot_have_a_name_that_people_rely_on(stage: Stage) -> None:
    """Where our own agency vouches we join unasked. So bor's groups come before the bound one does, and before the
    first word to cene: they get none of these names."""
    async with stage.all("ana", "bor", "cene") as (ana, bor, cene):
        for each in (ana, bor, cene):
            await each.idle()
        lures = await look_alike(stage, bor, COMMUNITY, "cene@cert-si")
        await ana.heard(ConversationJoined, 2)
        assert {each.name for each in ana.agent.conversations()} == {
            f"{COMMUNITY}~{lures[0].hex()[:8]}",
            f"cene@cert-si~{lures[1].hex()[:8]}",
        }
        right: bytes = await ana.do(CreateConversation(stage.community_policy()))
        await stage.agree(right, (ana, cene))
        assert find(ana.agent, COMMUNITY).topic == find(cene.agent, COMMUNITY).topic == right
        await publish(ana, COMMUNITY)
        (got,) = await cene.heard(BulletinReceived)
        assert got.conversation == right
