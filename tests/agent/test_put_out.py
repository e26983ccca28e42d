"""Who is removed can't check a commit's confirmation tag: a liar must not talk a member out of a conversation."""

from __future__ import annotations

from unittest import mock

import pytest

from securechan.agent.events import Alarm, AlarmKind, ConversationJoined, ConversationLeft, Frozen
from securechan.agent.inputs import Leave, SendText
from securechan.bulletin.tlp import Tlp
from securechan.mls import commit as commits
from securechan.mls.schedule import confirmation_tag
from securechan.mls.treemath import LeafIndex
from tests.agent.places import Rogue, community, group_of, secret, words
from tests.support.actor import Actor
from tests.support.world import World


def leaf_of(actor: Actor, topic: bytes) -> LeafIndex:
    return group_of(actor, topic).own_leaf


@pytest.mark.parametrize("honest_tag", [False, True])
def test_a_removal_that_nothing_explains_is_mended(world: World, *, honest_tag: bool) -> None:
    """With a wrong tag it is void for those who stay and a removal for its victim; else it is added again."""
    ana, bor, cene, topic = community(world)
    rogue = Rogue(cene, topic)
    tag = confirmation_tag if honest_tag else lambda *_: bytes(48)
    with mock.patch.object(commits, "confirmation_tag", tag):
        rogue.commit(removes=(leaf_of(bor, topic),))
    world.run(60)
    assert [each.who for each in bor.told(Alarm) if each.kind is AlarmKind.CANNOT_FOLLOW] == [cene.name]
    assert bor.told(Frozen)
    assert not bor.told(ConversationLeft)
    assert bor.told(ConversationJoined)[-1].again
    ana.do(SendText(topic, "are you there?", Tlp.GREEN))
    world.run(5)
    assert words(bor, topic) == ["are you there?"]
    assert secret(ana, topic) == secret(bor, topic)


def test_who_left_goes(world: World) -> None:
    ana, bor, _, topic = community(world)
    bor.do(Leave(topic))
    world.run(30)
    assert bor.told(ConversationLeft)
    assert not bor.told(Frozen)
    assert bor.agent.conversation(topic).standing == "gone"
    assert len(group_of(ana, topic).members()) == 2
