"""The trust log: read whole, in order; what the rules refuse is skipped by all alike."""

from __future__ import annotations

from securechan.agent.claims import chain_at
from securechan.agent.events import Alarm, AlarmKind, Held, TrustChanged
from securechan.agent.inputs import Received, SendText
from securechan.agent.turn import Turn
from securechan.bulletin.tlp import Tlp
from securechan.crypto.contexts import HEAD
from securechan.crypto.signature import COMPOSITE
from securechan.wire.chain import Position
from securechan.wire.frames import TRUST_TOPIC, Entries, Entry, EntryKind, Halt, Heads, Publication, TrustDocument
from securechan.wire.heads import HeadsSigned, Tree, head_leaf, leaf_hash
from tests.agent.places import community, row_of, words
from tests.support.actor import RELAY
from tests.support.world import World


def test_everyone_reads_the_same_positions(world: World) -> None:
    ana, bor, cene, _ = community(world)
    world.revoke(bor)
    world.run(10)
    assert ana.agent.trust_position == cene.agent.trust_position
    assert ana.agent.trust_position.sequence == world.view.position.sequence
    assert ana.told(TrustChanged)[-1].revoked == (bor.name,)
    turn = Turn(ana.agent.rows, ana.agent.session, world.chance, world.now)
    for sequence in range(1, world.view.position.sequence + 1):
        assert chain_at(turn, sequence) is not None


def test_a_publication_that_the_rules_refuse_is_skipped_and_said(world: World) -> None:
    ana, _, _, _ = community(world)
    view, place = ana.agent.view, ana.agent.trust_position
    for number, body in enumerate(
        (b"garbage", Publication((TrustDocument("timestamp", b"{}"),)).encode(), Publication(()).encode())
    ):
        entry = Entry(place.sequence + 1 + number, EntryKind.TRUST, bytes(32), world.now * 1000, body, None)
        step = ana.agent.on(Received(Entries(TRUST_TOPIC, (entry,), Halt.TAIL)), world.now)
        ana.adopt(step.writes)
        ana.agent = step.agent
        ana.events += [each.event for each in step.effects if hasattr(each, "event")]
    assert [each.kind for each in ana.told(Alarm)] == [AlarmKind.TRUST_REFUSED] * 3
    assert ana.agent.trust_position.sequence == place.sequence + 3
    assert ana.agent.view.devices() == view.devices()
    assert ana.restart().agent.trust_position.sequence == place.sequence + 3


def signed(world: World, time: int, *leaves: tuple[bytes, Position]) -> Heads:
    tree = Tree([leaf_hash(topic, position) for topic, position in leaves])
    said = HeadsSigned(RELAY, time, len(leaves), tree.root)
    signature = COMPOSITE.sign(world.heads.key, HEAD, said.encode())
    found = tuple(head_leaf(tree, topic, position, index) for index, (topic, position) in enumerate(leaves))
    return Heads(RELAY, time, len(leaves), tree.root, signature, found)


def test_a_relay_that_signs_another_history_is_convicted_and_nothing_is_sent(world: World) -> None:
    ana, _bor, _cene, topic = community(world)
    row = row_of(ana, topic)
    honest = signed(world, world.now * 1000, (topic, row.cursor))
    world.inside(lambda: ana.give(Received(honest)))
    assert not ana.told(Alarm)
    lie = signed(world, world.now * 1000, (topic, Position(row.cursor.sequence, bytes(48))))
    world.inside(lambda: ana.give(Received(lie)))
    assert [(each.kind, each.who, each.entry) for each in ana.told(Alarm)] == [
        (AlarmKind.FORK, RELAY, row.cursor.sequence)
    ]
    assert ana.told(Held)
    identity = ana.do(SendText(topic, "held back", Tlp.GREEN))
    world.run(5)
    assert ana.agent.outgoing(identity) == "queued"
    assert words(ana, topic) == []


def test_heads_that_the_online_key_did_not_sign_prove_nothing_but_are_said(world: World) -> None:
    ana, _, _, topic = community(world)
    heads = signed(world, world.now * 1000, (topic, Position(1, bytes(48))))
    world.inside(lambda: ana.give(Received(Heads(RELAY, 1, heads.count, heads.root, heads.signature, heads.leaves))))
    assert [each.kind for each in ana.told(Alarm)] == [AlarmKind.FORK]
    assert not ana.told(Held)
