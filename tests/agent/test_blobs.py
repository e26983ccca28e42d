"""Blobs: what the relay gives back is held against what was said, and given up after a few times."""

from __future__ import annotations

import hashlib

import pytest

from securechan.agent import answers, blobs, commits, payloads, session
from securechan.agent.asks import Downloading, Uploading
from securechan.agent.events import Alarm, AlarmKind, AttachmentFetched
from securechan.agent.inputs import Answered, FetchAttachment, SendAttachment, Tick
from securechan.agent.state import DOWNLOADS, UPLOADS
from securechan.bulletin.tlp import Tlp
from securechan.errors import NotReady
from securechan.wire.frames import AnswerBody, Code, Count, Error, Piece
from tests.agent.places import community
from tests.support.actor import Actor
from tests.support.world import World

ROOMS = (answers, commits, payloads, session)  # what these tests walk through


def test_a_file_goes_up_once_and_comes_down_whole(world: World) -> None:
    ana, bor, cene, topic = community(world)
    content = world.rng.randbytes(3 * blobs.PIECE + 7)
    identity = ana.do(SendAttachment(topic, "a.bin", "application/octet-stream", content, Tlp.GREEN))
    world.run(3)
    for each in (bor, cene):
        each.do(FetchAttachment(topic, identity))
    world.run(3)
    for each in (bor, cene):
        assert [got.content for got in each.told(AttachmentFetched)] == [content]
        assert not each.tables.get("downloads")
    assert not ana.tables.get("uploads")


def fetching(world: World, size: int = 1000) -> tuple[Actor, Downloading]:
    """cene has asked for a blob, and its answer is in our hands."""
    ana, _bor, cene, topic = community(world)
    identity = ana.do(SendAttachment(topic, "a.bin", "x/y", world.rng.randbytes(size), Tlp.GREEN))
    world.run(3)
    step = cene.agent.on(FetchAttachment(topic, identity), world.now)
    cene.adopt(step.writes)
    cene.agent = step.agent
    (ask,) = [each for each in step.agent.session.asked if isinstance(each, Downloading)]
    return cene, ask


@pytest.mark.parametrize(
    "lie",
    [
        Piece(1016, 0, bytes(1016)),
        Piece(999, 0, bytes(999)),
        Piece(1016, 0, b""),
        Piece(1016, 0, bytes(2000)),
        Error(Code.NOT_FOUND, 0, "gone", 0, bytes(32)),
    ],
)
def test_a_relay_that_gives_something_else_is_asked_a_few_times_more(world: World, lie: AnswerBody) -> None:
    cene, ask = fetching(world)
    agent, now, alarms = cene.agent, world.now, []
    for _ in range(blobs.MOST_FAILURES):
        step = agent.on(Answered(ask, lie), now)
        alarms += [each.event for each in step.effects if isinstance(getattr(each, "event", None), Alarm)]
        now += 60
        agent = step.agent.on(Tick(), now).agent
    assert [each.kind for each in alarms] == [AlarmKind.REFUSED]
    assert not agent.rows.all(DOWNLOADS)


def test_a_file_that_the_relay_never_takes_is_not_forgotten(world: World) -> None:
    ana, _, _, topic = community(world)
    ana.disconnect()
    identity = ana.do(SendAttachment(topic, "a.bin", "x/y", bytes(500), Tlp.GREEN))
    ana.connect()
    (row,) = ana.agent.rows.all(UPLOADS)
    assert hashlib.sha256(ana.agent.rows.all(UPLOADS)[row].data).hexdigest() == row
    (ask,) = [each for each in ana.agent.session.asked if isinstance(each, Uploading)]
    busy = ana.agent.on(Answered(ask, Error(Code.OVERLOADED, 1000, "busy", 0, bytes(32))), world.now).agent
    assert busy.rows.all(UPLOADS)
    half = ana.agent.on(Answered(ask, Count(200)), world.now)
    (again,) = [each.ref for each in half.effects if isinstance(getattr(each, "ref", None), Uploading)]
    assert again.upto == 516
    assert half.agent.outgoing(identity) == "queued"


def test_too_many_files_at_once_are_refused_before_anything_is_queued(world: World) -> None:
    ana, _, _, topic = community(world)
    ana.disconnect()
    for number in range(blobs.MOST_UPLOADS):
        ana.do(SendAttachment(topic, f"{number}", "x/y", bytes([number]), Tlp.GREEN))
    before = ana.agent
    with pytest.raises(NotReady):
        ana.do(SendAttachment(topic, "one more", "x/y", b"x", Tlp.GREEN))
    assert ana.agent is before
