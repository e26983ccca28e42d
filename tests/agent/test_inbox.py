"""Letters: sealed and signed to one device, read once, and what is wrong with one stops no other."""

from __future__ import annotations

from dataclasses import replace

import pytest

from securechan.agent import letters
from securechan.agent.events import Alarm, AlarmKind, OpaqueReceived
from securechan.agent.inputs import SendOpaque
from securechan.agent.letters import OpaqueLetter, SealedLetter, SignedLetter
from securechan.agent.state import LETTERS
from securechan.agent.turn import Turn
from securechan.crypto.contexts import REQUEST
from securechan.crypto.suite import HYBRID
from securechan.errors import Unfit, Untrusted
from securechan.wire.frames import AnswerBody, Deliver, inbox_topic
from tests.agent.places import community
from tests.support.actor import Actor
from tests.support.world import World


def deliver(sender: Actor, to: Actor, body: bytes) -> AnswerBody:
    assert sender.member is not None
    request = Deliver(inbox_topic(to.name), sender.world.chance(32), body)
    return sender.world.loop.run_until_complete(sender.member.request(request))


def turn_of(actor: Actor) -> Turn:
    return Turn(actor.agent.rows, actor.agent.session, actor.world.chance, actor.world.now)


def written(sender: Actor, to: Actor, content: bytes) -> bytes:
    """A letter, sealed but not sent."""
    turn = turn_of(sender)
    assert letters.write(turn, (turn.view.device(to.name),), OpaqueLetter("test", content))
    return next(iter(turn.rows.all(LETTERS).values())).copies[0].body


def test_something_opaque_reaches_the_other_devices_user_once(world: World) -> None:
    ana, _bor, cene, _ = community(world)
    ana.do(SendOpaque(cene.name, "pending-roster", b"\x00\x01"))
    world.run(2)
    cene.restart().connect()
    world.run(2)
    assert [(each.device, each.kind, each.content) for each in cene.told(OpaqueReceived)] == [
        (ana.name, "pending-roster", b"\x00\x01")
    ]
    assert not ana.tables.get("letters")


def test_a_letter_written_offline_is_delivered_at_the_next_connection(world: World) -> None:
    ana, _bor, cene, _ = community(world)
    ana.disconnect()
    ana.do(SendOpaque(cene.name, "note", b"later"))
    ana.restart().connect()
    world.run(2)
    assert [each.content for each in cene.told(OpaqueReceived)] == [b"later"]


def test_what_is_wrong_with_a_letter_is_said_and_stops_no_other(world: World) -> None:
    ana, bor, cene, _ = community(world)
    body = written(ana, cene, b"honest")
    sealed = SealedLetter.decode(body)
    flipped = replace(sealed, ciphertext=sealed.ciphertext[:-1] + bytes([sealed.ciphertext[-1] ^ 1])).encode()
    for bad in (b"", b"\xff" * 40, flipped, written(ana, bor, b"for bor")):
        deliver(ana, cene, bad)
    deliver(ana, cene, body)
    world.run(2)
    assert [each.kind for each in cene.told(Alarm)] == [AlarmKind.BAD_LETTER] * 4
    assert [each.content for each in cene.told(OpaqueReceived)] == [b"honest"]


def test_nobody_writes_in_anothers_name(world: World) -> None:
    ana, bor, cene, _ = community(world)
    turn = turn_of(bor)
    letters.write(turn, (turn.view.device(cene.name),), OpaqueLetter("test", b"I am ana"))
    unsealed = letters.unsealed(turn_of(cene), next(iter(turn.rows.all(LETTERS).values())).copies[0].body)
    assert unsealed is not None
    letter = unsealed.letter
    forged = replace(letter, sender=ana.name).encode()
    signed = SignedLetter(forged, HYBRID.signature.sign(bor.device.key, REQUEST, forged))
    enc, ciphertext = HYBRID.hpke.seal(cene.device.inbox.public, letters.INFO, b"", signed.encode())
    deliver(bor, cene, SealedLetter(enc, ciphertext).encode())
    world.run(2)
    assert not cene.told(OpaqueReceived)
    assert [(each.kind, each.who) for each in cene.told(Alarm)] == [(AlarmKind.BAD_LETTER, ana.name)]


def test_a_letter_from_a_trust_position_that_we_have_not_reached_waits_and_does_not_stop_us_for_ever(
    world: World,
) -> None:
    ana, _bor, cene, _ = community(world)
    ahead = turn_of(ana)
    letters.write(ahead, (ahead.view.device(cene.name),), OpaqueLetter("test", b"from the future"))
    unsealed = letters.unsealed(turn_of(cene), next(iter(ahead.rows.all(LETTERS).values())).copies[0].body)
    assert unsealed is not None
    letter = unsealed.letter
    liar = replace(letter, trust=replace(letter.trust, sequence=10_000)).encode()
    signed = SignedLetter(liar, HYBRID.signature.sign(ana.device.key, REQUEST, liar))
    enc, ciphertext = HYBRID.hpke.seal(cene.device.inbox.public, letters.INFO, b"", signed.encode())
    deliver(ana, cene, SealedLetter(enc, ciphertext).encode())
    deliver(ana, cene, written(ana, cene, b"behind it"))
    world.run(5)
    assert not cene.told(OpaqueReceived)
    world.run(60)
    assert [each.content for each in cene.told(OpaqueReceived)] == [b"from the future", b"behind it"]


def test_what_does_not_fit_a_letter_or_has_no_reader_is_refused(world: World) -> None:
    ana, _, cene, _ = community(world)
    with pytest.raises(Unfit):
        ana.do(SendOpaque(cene.name, "big", bytes((1 << 20) + 1)))
    with pytest.raises(Untrusted):
        ana.do(SendOpaque("cert-si/nobody", "note", b""))
