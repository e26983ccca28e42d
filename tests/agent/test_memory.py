"""Keys made ready once: the right one, the same one, and nothing of it in print."""

from __future__ import annotations

from dataclasses import replace

from securechan.agent.memory import Memory
from securechan.agent.state import DeviceKey, KeyState
from securechan.crypto.contexts import REQUEST
from securechan.crypto.suite import HYBRID
from tests.support.world import World


def key() -> DeviceKey:
    private, public = HYBRID.signature.generate()
    return DeviceKey(bytes(private), public, KeyState.CURRENT, 0)


def test_a_key_is_made_ready_once_and_another_takes_its_place() -> None:
    ring, first, second = Memory(), key(), key()
    ready = ring.signing(first)
    assert ring.signing(replace(first, state=KeyState.RETIRING)) is ready
    for each in (second, first):
        signature = HYBRID.signature.sign(ring.signing(each), REQUEST, b"words")
        HYBRID.signature.verify(each.public, REQUEST, b"words", signature)


def test_an_agent_keeps_its_ring_from_state_to_state(world: World) -> None:
    (ana,) = world.enrol_all("cert-hr", "ana")
    ring = ana.agent.memory
    ready = ring.inbox(ana.agent.me)
    ana.connect()
    world.run()
    assert ana.agent.memory is ring
    assert ring.inbox(ana.agent.me) is ready
    assert ready.public == ana.agent.me.inbox_public
    assert "emory(" not in repr(ana.agent)
    assert repr(ring) == "Memory()"
