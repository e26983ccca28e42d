"""The agent as a value: what was adopted is all there is, so it may die between any two steps."""

from __future__ import annotations

from collections.abc import Callable
from random import Random

import pytest

from securechan.agent.agent import Agent
from securechan.agent.asks import Pinging
from securechan.agent.events import Alarm, AlarmKind, MessageReceived
from securechan.agent.inputs import Answered, Received, RotateEpochs, SendText, Tick
from securechan.bulletin.tlp import Tlp
from securechan.errors import Malformed, NotFound
from securechan.wire.frames import Done, Entries, Entry, EntryKind, Halt, inbox_topic
from tests.agent.places import community
from tests.support.actor import Actor
from tests.support.world import World


def founded(world: World) -> tuple[list[Actor], bytes]:
    *actors, topic = community(world)
    return actors, topic


def said(actor: Actor) -> list[str]:
    return [each.body for each in actor.told(MessageReceived)]


class Mortal(Actor):
    """An actor whose process dies after some inputs, between adopting and performing; then it starts again."""

    chance = 0.0
    deaths = 0
    fate: Random

    def give(self, what: object, *, lose_effects: bool = False) -> object | None:
        dies = self.fate.random() < self.chance
        answer = super().give(what, lose_effects=lose_effects or dies)
        if dies:
            self.deaths += 1
            self.world.later(self._connect)
        return answer


@pytest.mark.parametrize("seed", range(3))
def test_killed_between_any_two_effects_nothing_is_lost_or_doubled(worlds: Callable[..., World], seed: int) -> None:
    world = worlds("cert-hr", "cert-si", seed=seed)
    actors, topic = founded(world)
    for each in actors:
        each.__class__ = Mortal
        each.careful = True
        each.fate = Random(f"{seed} {each.name}")
        each.chance = 0.12
    rng, sent = Random(seed), []
    for number in range(14):
        actor = rng.choice(actors)
        if rng.random() < 0.3:
            actor.do(RotateEpochs(topic))
        else:
            body = f"{actor.officer} {number}"
            actor.do(SendText(topic, body, Tlp.GREEN))
            sent.append(body)
        if rng.random() < 0.5:
            world.run(rng.randrange(3))
    for each in actors:
        each.chance = 0.0
        if each.member is None:
            each.connect()
    world.run(60)
    logs = [[entry for entry in each.archive.values() if b"message-received" in entry] for each in actors]
    assert [len(log) for log in logs] == [len(sent)] * 3
    for log in logs:
        assert sorted(word for word in sent if any(word.encode() in entry for entry in log)) == sorted(sent)
    assert sum(each.deaths for each in actors) >= 3
    epochs = {each.agent.conversation(topic).authenticator for each in actors}
    assert len(epochs) == 1
    assert not [each for actor in actors for each in actor.told(Alarm)]


def test_a_command_that_fails_changes_nothing(world: World) -> None:
    (ana,) = world.enrol_all("cert-hr", "ana")
    ana.connect()
    world.run()
    before = ana.agent
    with pytest.raises(NotFound):
        ana.do(SendText(bytes(32), "to nobody", Tlp.GREEN))
    assert ana.agent is before


def test_tables_that_hold_no_agent_are_refused() -> None:
    with pytest.raises(Malformed):
        Agent.load({})
    with pytest.raises(Malformed):
        Agent.load({"me": {"self": b"\x00"}})


def test_what_comes_from_outside_never_raises(world: World) -> None:
    (ana, *_others), topic = founded(world)
    rng = Random(7)
    position = ana.agent.conversation(topic).sequence
    noise = [
        Received(
            Entries(
                where,
                (Entry(position + 1 + n, kind, rng.randbytes(32), world.now * 1000, rng.randbytes(size), None),),
                halt,
            )
        )
        for where in (topic, inbox_topic(ana.name), rng.randbytes(32))
        for n, (kind, size) in enumerate([(k, s) for k in EntryKind for s in (0, 1, 40, 3000)])
        for halt in (Halt.TAIL, Halt.SHOW, Halt.END)
    ]
    agent = ana.agent
    for what in [*noise, Answered(Pinging(), Done()), Tick()]:
        agent = agent.on(what, world.now).agent
    assert agent.conversation(topic).standing == "member"
    assert {each.kind for each in ana.told(Alarm)} <= set(AlarmKind)


def test_a_second_session_ends_the_first_and_costs_nothing(world: World) -> None:
    (ana, bor, cene), topic = founded(world)
    ana.do(SendText(topic, "one", Tlp.GREEN))
    ana.connect()  # without having closed: the relay ends the older session
    world.run(5)
    assert said(bor) == said(cene) == said(ana) == ["one"]


def test_effects_before_connection_are_none_and_nothing_is_sealed(world: World) -> None:
    (ana, _, _), topic = founded(world)
    ana.disconnect()
    step = ana.agent.on(SendText(topic, "later", Tlp.GREEN), world.now)
    assert step.effects == ()
    assert step.agent.outgoing(step.answer) == "queued"  # the payload id
