"""What a conversation remembers: all of it, though most of it lies apart and is seldom written."""

from __future__ import annotations

from dataclasses import replace

from securechan.agent import past
from securechan.agent.events import Alarm, MessageReceived
from securechan.agent.inputs import SendText
from securechan.agent.state import HISTORY, PASTS, SEEN, Conversation
from securechan.agent.tables import Draft, Rows
from securechan.bulletin.tlp import Tlp
from securechan.wire.chain import Position
from tests.agent.places import community, row_of
from tests.support.world import World


def at(sequence: int) -> Position:
    return Position(sequence, sequence.to_bytes(48, "big"))


def read(rows: Draft, row: Conversation, count: int) -> Conversation:
    for sequence in range(1, count + 1):
        row = past.advanced(rows, row, at(sequence))
        row = past.remembered(rows, row, "cert-hr/ana", sequence.to_bytes(16, "big"))
    return row


def test_nothing_is_forgotten_on_the_way_and_the_own_row_stays_small(world: World) -> None:
    ana, _, _, topic = community(world)
    rows, row = Rows().edit(), replace(row_of(ana, topic), history=b"", seen=b"")
    row = read(rows, row, HISTORY)
    known = past.chains(rows, row)
    assert list(known) == list(range(1, HISTORY + 1))
    assert all(known[each] == at(each).chain for each in known)
    assert past.RECENT // 2 <= len(row.history) // 56 <= past.RECENT
    assert len(row.seen) <= past.RECENT * 16
    for sequence in range(1, HISTORY + 1):
        assert past.seen(rows, row, "cert-hr/ana", sequence.to_bytes(16, "big"))
    assert not past.seen(rows, row, "cert-hr/bor", (1).to_bytes(16, "big"))  # an id is its sender's own


def test_what_is_long_ago_is_forgotten(world: World) -> None:
    ana, _, _, topic = community(world)
    rows, row = Rows().edit(), replace(row_of(ana, topic), history=b"", seen=b"")
    row = read(rows, row, SEEN + 4 * past.RECENT)
    known = past.chains(rows, row)
    assert HISTORY <= len(known) <= HISTORY + past.RECENT
    assert not past.seen(rows, row, "cert-hr/ana", (1).to_bytes(16, "big"))
    assert past.seen(rows, row, "cert-hr/ana", (4 * past.RECENT + 1).to_bytes(16, "big"))
    (kept,) = rows.all(PASTS).values()
    assert len(kept.history) == HISTORY * 56
    assert len(kept.seen) == SEEN * 16


def test_who_reads_from_elsewhere_knows_nothing_of_between(world: World) -> None:
    ana, _, _, topic = community(world)
    rows = Rows().edit()
    row = read(rows, replace(row_of(ana, topic), history=b"", seen=b""), 100)
    past.forget_chains(rows, topic)
    joined = replace(row, cursor=at(500), history=past.begun(at(500)))
    assert list(past.chains(rows, joined)) == [500]
    assert past.seen(rows, joined, "cert-hr/ana", (1).to_bytes(16, "big"))  # what was shown stays shown
    past.forget_chains(rows, bytes(32))  # of which nothing was moved yet


def test_a_long_talk_is_held_against_the_whole_memory(world: World) -> None:
    """A sender whose cursor lags far behind ours is believed and not accused; and the big row is written seldom."""
    ana, bor, _cene, topic = community(world)
    first = row_of(ana, topic).cursor
    for number in range(3 * past.RECENT):
        ana.do(SendText(topic, str(number), Tlp.GREEN))
        world.run(1)
    row = row_of(bor, topic)
    assert first.chain not in row.history
    assert past.chains(bor.agent.rows.edit(), row)[first.sequence] == first.chain
    assert len(bor.told(MessageReceived, topic)) == 3 * past.RECENT
    assert not bor.told(Alarm)
