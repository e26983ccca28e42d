"""A relay that ends before what was read of it is told on, and nothing is sent there until a person decides."""

from __future__ import annotations

from typing import Any

import pytest

from relay.groups import Groups
from relay.outgoing import refusal
from securechan.agent import forgotten
from securechan.agent.events import Alarm, AlarmKind, Held, OpaqueReceived
from securechan.agent.inputs import Resume, SendOpaque, SendText
from securechan.agent.state import Hold
from securechan.bulletin.tlp import Tlp
from securechan.wire.frames import TRUST_TOPIC, Code, Subscribe, inbox_topic
from tests.agent.places import community, row_of, words
from tests.support.actor import Actor
from tests.support.world import World


@pytest.fixture
def ends(monkeypatch: pytest.MonkeyPatch) -> dict[bytes, int]:
    """Topics that the relay has forgotten after an entry: whoever subscribes behind that is told so."""
    known: dict[bytes, int] = {}
    honest = Groups.subscribe

    def subscribe(self: Groups, member: Any, body: Subscribe, topic: Any) -> Any:
        end = known.get(body.topic)
        if end is not None and body.after > end:
            return refusal(Code.STALE, "the topic does not reach that far", sequence=end)
        return honest(self, member, body, topic)

    monkeypatch.setattr(Groups, "subscribe", subscribe)
    return known


def forks(actor: Actor) -> list[Alarm]:
    return [alarm for alarm in actor.told(Alarm) if alarm.kind is AlarmKind.FORK]


def test_a_conversation_is_held_and_said_once_and_read_again_when_the_relay_remembers(
    world: World, ends: dict[bytes, int]
) -> None:
    ana, bor, cene, topic = community(world)
    bor.do(SendText(topic, "one", Tlp.GREEN))
    world.run(2)
    ana.disconnect()
    bor.do(SendText(topic, "two", Tlp.GREEN))
    world.run(2)
    ends[topic] = row_of(ana, topic).cursor.sequence - 1
    ana.connect()
    world.run(3 * forgotten.AGAIN)
    assert [alarm.conversation for alarm in forks(ana)] == [topic]
    assert "has forgotten entries" in forks(ana)[0].text
    assert [held.conversation for held in ana.told(Held)] == [topic]
    assert row_of(ana, topic).hold is Hold.FORK
    identity = ana.do(SendText(topic, "held back", Tlp.GREEN))
    world.run(2)
    assert ana.agent.outgoing(identity) != "sent"
    ends.clear()
    world.run(2 * forgotten.AGAIN)
    assert words(ana, topic) == ["one", "two"]
    assert row_of(ana, topic).hold is Hold.FORK  # a person decides, not the relay
    ana.do(Resume(topic))
    world.run(5)
    assert words(bor, topic) == words(cene, topic) == ["one", "two", "held back"]


def test_a_trust_log_that_is_shorter_stops_everything_and_is_said(world: World, ends: dict[bytes, int]) -> None:
    ana, _, _, topic = community(world)
    ana.disconnect()
    ends[TRUST_TOPIC] = ana.agent.view.position.sequence - 1
    identity = ana.do(SendText(topic, "not now", Tlp.GREEN))
    ana.connect()
    world.run(30)
    assert [alarm.conversation for alarm in forks(ana)] == [b""]
    assert "has forgotten publications" in forks(ana)[0].text
    assert ana.agent.outgoing(identity) != "sent"
    ends.clear()
    ana.reconnect()
    world.run(5)
    assert ana.agent.outgoing(identity) == "sent"


def test_letters_are_read_on_from_where_the_relays_memory_ends(world: World, ends: dict[bytes, int]) -> None:
    ana, bor, _, _ = community(world)
    ana.do(SendOpaque(bor.name, "note", b"before"))
    world.run(2)
    bor.disconnect()
    inbox = inbox_topic(bor.name)
    ends[inbox] = 0
    bor.connect()
    world.run(2)
    assert "has forgotten letters" in forks(bor)[0].text
    ana.do(SendOpaque(bor.name, "note", b"after"))
    world.run(2)
    assert [each.content for each in bor.told(OpaqueReceived)] == [b"before", b"after"]
