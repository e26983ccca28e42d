"""The handshake under attack: each way to play a part that isn't one's own, and how it ends."""

from __future__ import annotations

import dataclasses

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from securechan.crypto.kem import MLKEM768_X25519
from securechan.crypto.secret import Secret
from securechan.crypto.signature import COMPOSITE
from securechan.errors import BadSignature, CannotOpen, Invalid, Malformed, Misuse, Refused
from securechan.wire.door import Answered, Cookies, DeviceClaim, Door, GuestClaim, OfficeClaim, TurnedAway
from securechan.wire.handshake import KEM, Greeting, GuestCredential, Proving, RelayIdentity, key_id, prologue
from securechan.wire.handshake_formats import (
    COOKIE_LIFETIME,
    H1,
    H2,
    TAG_SIZE,
    Denial,
    Hello,
    Reply,
    ReplyKind,
    Retry,
    Why,
)
from tests.wire.flows import ADDRESS, DEVICE, GUEST, LIMITS, NOW, OFFICE, Relay, connect, prove

FLIPS = st.tuples(st.integers(min_value=0, max_value=1 << 16), st.integers(min_value=1, max_value=255))


def flipped(data: bytes, flip: tuple[int, int]) -> bytes:
    """``data`` with one byte changed."""
    place, change = flip
    place %= len(data)
    return data[:place] + bytes([data[place] ^ change]) + data[place + 1 :]


# ------------------------------------------------------------------------------------------------------- who is let in


@pytest.mark.parametrize("credential", [DEVICE, GUEST, OFFICE], ids=lambda c: type(c).__name__)
def test_client_and_relay_end_with_the_same_session(credential: object) -> None:
    ours, theirs = connect(credential=credential)
    assert (ours.limits, ours.relay_time) == (LIMITS, NOW * 1000 + 5)
    assert theirs.open(ours.seal((), NOW), NOW) == ()
    assert ours.open(theirs.seal((), NOW), NOW) == ()


def test_claims_say_who_asks_before_anything_is_believed() -> None:
    relay = Relay()
    answered, _, h3 = prove(relay)
    claim = answered.receive(h3)
    assert isinstance(claim, DeviceClaim)
    assert (claim.device, claim.public, claim.trust) == (DEVICE.device, DEVICE.public, DEVICE.trust)
    answered, _, h3 = prove(relay, GUEST)
    guest = answered.receive(h3)
    assert isinstance(guest, GuestClaim)
    assert guest.box == GUEST.box
    answered, _, h3 = prove(relay, OFFICE)
    office = answered.receive(h3)
    assert isinstance(office, OfficeClaim)
    assert (office.role, office.key_id, office.public) == (OFFICE.role, OFFICE.key_id, OFFICE.public)


def test_a_guest_looks_like_a_device_and_a_refusal_like_a_welcome() -> None:
    relay = Relay()
    sizes = {len(prove(relay, credential)[2]) for credential in (DEVICE, GUEST, OFFICE)}
    assert len(sizes) == 1
    answered, _, h3 = prove(relay)
    claim = answered.receive(h3)
    assert isinstance(claim, DeviceClaim)
    _, h4 = claim.accept(DEVICE.public, LIMITS, NOW)
    assert len(claim.refuse(Denial.UNKNOWN, "x" * 400)) == len(h4)


def test_a_refusal_reaches_the_client_with_its_reason_and_wait() -> None:
    answered, proving, h3 = prove(Relay())
    h4 = answered.receive(h3).refuse(Denial.REVOKED, "revoked on Monday", retry_after=1500)
    with pytest.raises(Refused, match="revoked on Monday") as caught:
        proving.finish(h4, NOW)
    assert (caught.value.code, caught.value.retry_after) == ("refused-revoked", 1.5)
    assert caught.value.hint


# ------------------------------------------------------------------------------------------------------- replay


def test_replayed_h1_gets_an_answer_that_only_its_author_can_use() -> None:
    relay = Relay()
    greeting, hello = Greeting.start(relay.identity, DEVICE)
    first, second = relay.answer(hello), relay.answer(hello)
    assert first.h2 != second.h2
    _, h3 = greeting.answer(first.reply)
    with pytest.raises(CannotOpen):
        second.receive(h3)


def test_replayed_h2_does_not_open_for_another_greeting() -> None:
    relay = Relay()
    _, hello = Greeting.start(relay.identity, DEVICE)
    reply = relay.answer(hello).reply
    another, _ = Greeting.start(relay.identity, DEVICE)
    with pytest.raises(CannotOpen):
        another.answer(reply)


def test_replayed_h3_is_no_proof_in_another_session() -> None:
    relay = Relay()
    _, _, h3 = prove(relay)
    answered, _, _ = prove(relay)
    with pytest.raises(CannotOpen):
        answered.receive(h3)


def test_signature_lifted_into_another_session_does_not_verify() -> None:
    """A relay that has seen a proof shows it to another relay under its own ephemeral key."""
    evil, good = Relay(name="evil"), Relay(name="good")
    answered, _, h3 = prove(evil)
    stolen = answered.receive(h3)
    assert isinstance(stolen, DeviceClaim)
    thief = dataclasses.replace(DEVICE, key=COMPOSITE.generate()[0])
    answered, _, h3 = prove(good, thief)
    claim = answered.receive(h3)
    assert isinstance(claim, DeviceClaim)
    forged = dataclasses.replace(claim, proof=dataclasses.replace(claim.proof, signature=stolen.proof.signature))
    with pytest.raises(BadSignature):
        forged.accept(DEVICE.public, LIMITS, NOW)


def test_h4_of_another_session_is_refused() -> None:
    relay = Relay()
    answered, _, h3 = prove(relay)
    _, h4 = relay.judge(answered, h3)
    _, other, _ = prove(relay)
    with pytest.raises(CannotOpen):
        other.finish(h4, NOW)


def test_boxes_do_not_move_between_places_of_one_session() -> None:
    answered, proving, h3 = prove(Relay())
    with pytest.raises(CannotOpen):  # the client's own box back at it
        proving.finish(h3, NOW)
    box2 = Reply.decode(answered.reply).body
    assert isinstance(box2, H2)
    with pytest.raises(CannotOpen):  # the relay's first box as its second
        proving.finish(box2.box2, NOW)


def test_reflected_hello_is_no_reply() -> None:
    greeting, hello = Greeting.start(Relay().identity, DEVICE)
    with pytest.raises(Malformed):
        greeting.answer(hello)


def test_box_that_accepts_another_h3_is_refused() -> None:
    """box4 repeats h3 inside, as in the model: a relay that seals another one is not believed."""
    relay = Relay()
    answered, proving, h3 = prove(relay)
    claim = answered.receive(h3)
    assert isinstance(claim, DeviceClaim)
    stage = claim._stage
    _, honest = stage.accept(LIMITS, NOW)
    content = proving.keyed.relay.open(1, proving.h3, honest)
    other = content[:1] + bytes(48) + content[49:]
    with pytest.raises(CannotOpen, match="another handshake"):
        proving.finish(stage.keyed.relay.seal(1, stage.h3, other), NOW)


# ---------------------------------------------------------------------------------------------- keys, names, federation


@pytest.mark.parametrize(
    "belief",
    [
        RelayIdentity(bytes(48), "relay-1", Relay().key.public),
        RelayIdentity(Relay().root_id, "relay-2", Relay().key.public),
    ],
    ids=["another root", "another name"],
)
def test_another_federation_or_name_is_turned_away_before_any_encapsulation(
    belief: RelayIdentity, monkeypatch: pytest.MonkeyPatch
) -> None:
    relay = Relay()
    greeting, hello = Greeting.start(belief, DEVICE)
    monkeypatch.setattr(type(KEM), "encap", lambda *_: pytest.fail("encapsulated before the tag was checked"))
    away = relay.door.open(hello, LIMITS, now_ms=NOW * 1000, address=ADDRESS)
    assert isinstance(away, TurnedAway)
    with pytest.raises(Refused) as caught:
        greeting.answer(away.reply)
    assert caught.value.code == "turned-tag"


def test_unknown_relay_key_is_turned_away() -> None:
    relay = Relay()
    belief = dataclasses.replace(relay.identity, kem_public=MLKEM768_X25519.load(b"\x07" * 32).public)
    greeting, hello = Greeting.start(belief, DEVICE)
    away = relay.door.open(hello, LIMITS, now_ms=NOW * 1000, address=ADDRESS)
    assert isinstance(away, TurnedAway)
    with pytest.raises(Refused, match="does not hold the key"):
        greeting.answer(away.reply)


def test_relay_that_claims_a_key_id_without_the_key_is_found_out() -> None:
    """An impostor answers under the right key id with a key of its own."""
    true = Relay()
    greeting, hello = Greeting.start(true.identity, DEVICE)
    impostor = MLKEM768_X25519.load(b"\x09" * 32)
    door = Door(true.root_id, true.name, {key_id(true.key.public): impostor}, true.door.cookies)
    away = door.open(hello, LIMITS, now_ms=NOW * 1000, address=ADDRESS)
    assert isinstance(away, TurnedAway)  # an honest one with the wrong key; a dishonest one goes on:
    h1 = Hello.decode(hello).h1
    ss_e, ct_e = KEM.encap(h1.pk_e)
    assert len(ss_e) == 32
    with pytest.raises(CannotOpen):
        greeting.answer(Reply(ReplyKind.ANSWER, H2(bytes(32), ct_e, bytes(54))).encode())


def test_substituted_ephemeral_key_fails_the_tag() -> None:
    relay = Relay()
    _, hello = Greeting.start(relay.identity, DEVICE)
    parsed = Hello.decode(hello)
    mine = dataclasses.replace(parsed.h1, pk_e=MLKEM768_X25519.load(b"\x05" * 32).public)
    away = relay.door.open(Hello(mine, b"").encode(), LIMITS, now_ms=NOW * 1000, address=ADDRESS)
    assert isinstance(away, TurnedAway)
    assert Reply.decode(away.reply).body.why is Why.TAG


def test_other_versions_and_suites_are_turned_away() -> None:
    relay = Relay()
    _, hello = Greeting.start(relay.identity, DEVICE)
    h1 = Hello.decode(hello).h1
    for other in (dataclasses.replace(h1, version=2), dataclasses.replace(h1, suite=9)):
        away = relay.door.open(Hello(other, b"").encode(), LIMITS, now_ms=NOW * 1000, address=ADDRESS)
        assert isinstance(away, TurnedAway)
        assert Reply.decode(away.reply).body.why is Why.VERSION


def test_bad_ephemeral_key_with_a_good_tag_is_invalid() -> None:
    relay = Relay()
    greeting, hello = Greeting.start(relay.identity, DEVICE)
    bad = dataclasses.replace(Hello.decode(hello).h1, pk_e=b"\xff" * 1216, tag=bytes(TAG_SIZE))
    p0 = prologue(relay.root_id, relay.name, relay.key.public)
    opened = type(greeting.opened).of(p0, bad, KEM.decap(relay.key, bad.ct_r))
    tagged = dataclasses.replace(bad, tag=opened.tag)
    with pytest.raises(Invalid):
        relay.door.open(Hello(tagged, b"").encode(), LIMITS, now_ms=NOW * 1000, address=ADDRESS)


def test_device_with_another_key_than_its_record_is_refused() -> None:
    relay = Relay()
    private, public = COMPOSITE.generate()
    impostor = dataclasses.replace(DEVICE, key=private, public=public)
    answered, _, h3 = prove(relay, impostor)
    claim = answered.receive(h3)
    assert isinstance(claim, DeviceClaim)
    claim.check()  # it holds the key it shows; whose that is, trust says:
    with pytest.raises(BadSignature):
        claim.accept(DEVICE.public, LIMITS, NOW)


def test_device_that_shows_a_key_it_does_not_hold_is_refused() -> None:
    impostor = dataclasses.replace(DEVICE, key=COMPOSITE.generate()[0])
    answered, _, h3 = prove(Relay(), impostor)
    claim = answered.receive(h3)
    assert isinstance(claim, DeviceClaim)
    with pytest.raises(BadSignature):
        claim.check()
    with pytest.raises(BadSignature):
        claim.accept(DEVICE.public, LIMITS, NOW)


def test_code_of_one_box_opens_no_other() -> None:
    relay = Relay(boxes={bytes(32): b"m" * 32, b"2" * 32: b"n" * 32})
    answered, _, h3 = prove(relay, GuestCredential(b"2" * 32, GUEST.mac_key))
    with pytest.raises(CannotOpen, match="code"):
        relay.judge(answered, h3)


def test_root_id_of_a_wrong_size_is_our_own_mistake() -> None:
    with pytest.raises(Misuse):
        prologue(b"short", "relay-1", Relay().key.public)


# --------------------------------------------------------------------------------------------------------- the cookie


def guarded(relay: Relay, hello: bytes, *, now: int = NOW, address: bytes = ADDRESS) -> Answered | TurnedAway:
    return relay.door.open(hello, LIMITS, now_ms=now * 1000, address=address, guarded=True)


def test_under_load_a_cookie_lets_the_client_in() -> None:
    relay = Relay()
    greeting, hello = Greeting.start(relay.identity, DEVICE)
    away = guarded(relay, hello)
    assert isinstance(away, TurnedAway)
    assert away.again
    again, hello = greeting.answer(away.reply)
    answered = guarded(relay, hello)
    assert isinstance(answered, Answered)
    proving, h3 = again.answer(answered.reply)
    assert isinstance(proving, Proving)
    proving.finish(relay.judge(answered, h3)[1], NOW)


def test_cookie_is_good_for_its_address_its_hello_and_its_time() -> None:
    relay = Relay()
    greeting, hello = Greeting.start(relay.identity, DEVICE)
    away = guarded(relay, hello)
    assert isinstance(away, TurnedAway)
    _, with_cookie = greeting.answer(away.reply)
    assert isinstance(guarded(relay, with_cookie, now=NOW + COOKIE_LIFETIME), Answered)
    assert isinstance(guarded(relay, with_cookie, now=NOW + COOKIE_LIFETIME + 1), TurnedAway)
    assert isinstance(guarded(relay, with_cookie, now=NOW - 1), TurnedAway)
    assert isinstance(guarded(relay, with_cookie, address=b"\x0a\0\0\1"), TurnedAway)
    cookie = Hello.decode(with_cookie).cookie
    _, other = Greeting.start(relay.identity, DEVICE)
    moved = Hello(Hello.decode(other).h1, cookie).encode()
    assert isinstance(guarded(relay, moved), TurnedAway)


@given(FLIPS)
def test_altered_cookie_is_no_cookie(flip: tuple[int, int]) -> None:
    cookies = Cookies(Secret(b"c" * 32))
    h1 = H1(1, 1, bytes(16), bytes(32), bytes(1216), bytes(1120), bytes(32))
    cookie = cookies.make(ADDRESS, h1, NOW)
    assert cookies.good(cookie, ADDRESS, h1, NOW)
    assert not cookies.good(flipped(cookie, flip), ADDRESS, h1, NOW)


def test_a_relay_that_asks_twice_is_left() -> None:
    greeting, _ = Greeting.start(Relay().identity, DEVICE)
    retry = Reply(ReplyKind.RETRY, Retry(b"x" * 40)).encode()
    again, _ = greeting.answer(retry)
    with pytest.raises(Refused):
        again.answer(retry)


# ---------------------------------------------------------------------------------------------------- bytes from anyone

RELAY = Relay()
GREETING, HELLO = Greeting.start(RELAY.identity, DEVICE)
ANSWERED = RELAY.answer(HELLO)
PROVING, H3 = GREETING.answer(ANSWERED.reply)
_, H4 = RELAY.judge(ANSWERED, H3)


@settings(max_examples=60, deadline=None)
@given(FLIPS)
def test_any_altered_byte_of_any_message_is_caught(flip: tuple[int, int]) -> None:
    try:
        outcome = RELAY.door.open(flipped(HELLO, flip), LIMITS, now_ms=NOW * 1000, address=ADDRESS)
        assert isinstance(outcome, TurnedAway)
    except Malformed:
        pass
    with pytest.raises((Malformed, CannotOpen, Refused, Invalid)):
        GREETING.answer(flipped(ANSWERED.reply, flip))
    with pytest.raises(CannotOpen):
        ANSWERED.receive(flipped(H3, flip))
    assert isinstance(PROVING, Proving)
    with pytest.raises(CannotOpen):
        PROVING.finish(flipped(H4, flip), NOW)


@settings(max_examples=150, deadline=None)
@given(st.binary(max_size=3000))
def test_any_bytes_end_in_an_error_of_the_house(data: bytes) -> None:
    with pytest.raises(Malformed):
        RELAY.door.open(data, LIMITS, now_ms=NOW * 1000, address=ADDRESS)
    try:
        state, _ = GREETING.answer(data)
        assert isinstance(state, Greeting)  # a stranger's cookie is sent back, no more
    except (Malformed, CannotOpen, Refused):
        pass
    with pytest.raises((Malformed, CannotOpen)):
        ANSWERED.receive(data)
    assert isinstance(PROVING, Proving)
    with pytest.raises(CannotOpen):
        PROVING.finish(data, NOW)


@settings(max_examples=100, deadline=None)
@given(st.binary(max_size=6144))
def test_whatever_a_stranger_puts_into_a_box_is_parsed_or_malformed(content: bytes) -> None:
    """Anyone can shake hands up to H3: what is inside its box is a stranger's, too."""
    box3 = ANSWERED.keyed.client.seal(0, ANSWERED.h2, content.ljust(6144, b"\0"))
    with pytest.raises((Malformed, BadSignature, CannotOpen)):
        RELAY.judge(ANSWERED, box3)
