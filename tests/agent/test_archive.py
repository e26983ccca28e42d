"""securechan/agent/archive.py: what is kept for ever, and how it reads as JSON."""

from __future__ import annotations

from dataclasses import replace

from securechan.agent.archive import kept, kind_of, to_json
from securechan.agent.events import (
    Alarm,
    AlarmKind,
    BoxRead,
    DeviceAnnounced,
    MessageReceived,
    ReceiptReceived,
    Synced,
)
from securechan.agent.inputs import SendText
from securechan.bulletin.tlp import Tlp
from tests.agent.places import community
from tests.support.world import World

WORD = MessageReceived(bytes(32), "eu", 7, b"\x01" * 16, "cert-hr/a", "ana@cert-hr", 1, Tlp.RED, "dobar dan")


def test_a_receipt_of_a_machine_is_not_kept_and_that_of_a_person_is() -> None:
    delivered = ReceiptReceived(bytes(32), "B-1", 1, "delivered", "cert-hr/a", "ana@cert-hr", 1)
    assert not kept(delivered)
    assert kept(replace(delivered, kind="acknowledged"))


def test_what_tells_of_the_moment_is_not_kept() -> None:
    assert kept(WORD)
    assert kept(Alarm(AlarmKind.FORK, bytes(32), "", 0, "two histories"))
    assert not kept(Synced(bytes(32), 7))


def test_an_event_as_json() -> None:
    said = to_json(WORD)
    assert said["event"] == kind_of(WORD) == "message-received"
    assert (said["conversation"], said["payload"], said["tlp"]) == ("00" * 32, "01" * 16, "red")
    assert said["body"] == "dobar dan"
    assert to_json(BoxRead(bytes(2), 1, b"a"))["body"] == "YQ=="
    assert to_json(Alarm(AlarmKind.FORK, b"", "", 0, ""))["kind"] == "fork"


def test_what_happened_is_in_the_archive_as_json(world: World) -> None:
    ana, _bor, cene, topic = community(world)
    world.enrol("cert-si", "dora-laptop", "dora", "desk").connect()
    ana.do(SendText(topic, "plain words", Tlp.AMBER))
    world.run(20)
    (shown,) = cene.told(MessageReceived)
    data = to_json(shown)
    assert (data["event"], data["body"], data["tlp"]) == ("message-received", "plain words", "amber")
    assert data["conversation"] == topic.hex()
    assert kind_of(shown) == "message-received"
    (announced,) = cene.told(DeviceAnnounced)
    assert to_json(announced)["agrees"] is True
    assert sum(b"plain words" in row for row in cene.archive.values()) == 1
    assert all(name.startswith((topic.hex(), "-")) for name in cene.archive)
