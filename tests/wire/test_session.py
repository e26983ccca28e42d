"""Records: each opens once, in its place, in its direction, in its session, until the bye."""

from __future__ import annotations

import copy
import pickle

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from securechan.crypto.secret import Secret
from securechan.errors import CannotOpen, Invalid, Malformed, Misuse, Stale
from securechan.wire import session as module
from securechan.wire.frames import (
    MAX_CHUNK,
    MAX_FRAMES,
    MOST_FRAMES,
    Answer,
    Bye,
    Done,
    Frame,
    Piece,
    Ping,
    Reason,
    Request,
)
from securechan.wire.padding import bucket, unfill
from securechan.wire.plaintext import RecordBody, Then, filled, rekeying
from securechan.wire.session import MAX_RECORD, SECONDS_PER_KEY, SESSION_LIFETIME, Session
from tests.wire.flows import LIMITS, NOW

PING = (Frame.of(Request.of(1, Ping())),)
DONE = (Frame.of(Answer.of(1, Done())),)


def pair(secret: bytes = b"s" * 48) -> tuple[Session, Session]:
    """(client's, relay's) ends of one session."""
    client, relay = (Session(role, Secret(secret), LIMITS, 0, NOW) for role in ("client", "relay"))
    return client, relay


def test_frames_arrive_as_they_were_sent_both_ways() -> None:
    client, relay = pair()
    for number in range(5):
        asked = (Frame.of(Request.of(number, Ping())), Frame.of(Request.of(number + 100, Ping())))
        assert relay.open(client.seal(asked, NOW), NOW) == asked
        assert client.open(relay.seal(DONE, NOW), NOW) == DONE
    assert relay.open(client.seal((), NOW), NOW) == ()


def test_encoded_frames_are_sealed_as_the_frames_would_be() -> None:
    (one, _), (other, reader) = pair(), pair()
    assert one.seal(PING * 3, NOW) == (record := other.seal_encoded([frame.encode() for frame in PING * 3], NOW))
    assert reader.open(record, NOW) == PING * 3


def test_one_plaintext_is_sealed_for_many() -> None:
    """Each has it under keys of its own, and rekeys when its own time has come."""
    (reader, early), (other, late) = pair(), pair(b"t" * 48)
    plain = filled([frame.encode() for frame in DONE * 3])
    assert unfill(RecordBody, plain) == RecordBody(Then.STAY, DONE * 3)
    assert unfill(RecordBody, rekeying(plain)) == RecordBody(Then.REKEY, DONE * 3)
    for now in (NOW, NOW + SECONDS_PER_KEY, NOW + SECONDS_PER_KEY + 1):
        assert reader.open(early.seal_filled(plain, now), now) == DONE * 3
    then = NOW + SECONDS_PER_KEY + 1  # its first record, and the last under these keys
    assert other.open(late.seal_filled(plain, then), then) == DONE * 3
    assert other.open(late.seal_filled(plain, then), then) == DONE * 3
    with pytest.raises(Stale):
        late.seal_filled(plain, late.expires)


def test_a_record_of_very_many_frames_is_refused_before_they_are_made() -> None:
    """688,128 pings fit into one record: to read them all took the relay's loop half a minute and 0.5 GB."""
    client, relay = pair()
    ping = PING[0].encode()
    assert len(relay.open(client.seal_encoded([ping] * MOST_FRAMES, NOW), NOW)) == MOST_FRAMES
    with pytest.raises(Malformed, match="more than 4096 items"):
        relay.open(client.seal_encoded([ping * (MAX_FRAMES // len(ping))], NOW), NOW)
    with pytest.raises(Misuse, match="where a record takes 4096"):
        client.seal(PING * (MOST_FRAMES + 1), NOW)


def test_short_frames_look_alike() -> None:
    client, relay = pair()
    assert len(client.seal(PING, NOW)) == len(relay.seal(DONE * 10, NOW)) == len(client.farewell(Reason.DONE, NOW))


def test_the_longest_frames_fit_the_longest_record() -> None:
    client, relay = pair()
    piece = Frame.of(Answer.of(1, Piece(MAX_CHUNK, 0, bytes(MAX_CHUNK)))).encode()
    most = MAX_FRAMES // len(piece)
    record = client.seal_encoded([piece] * most, NOW)
    assert len(record) <= MAX_RECORD
    assert len(relay.open(record, NOW)) == most
    with pytest.raises(Misuse, match="bytes of frames"):
        client.seal_encoded([piece] * (most + 1), NOW)
    assert bucket(MAX_FRAMES + 5) + 16 == MAX_RECORD


# --------------------------------------------------------------------------------------------------------- attacks


def test_replayed_record_does_not_open() -> None:
    client, relay = pair()
    record = client.seal(PING, NOW)
    relay.open(record, NOW)
    with pytest.raises(CannotOpen):
        relay.open(record, NOW)


def test_reordered_records_do_not_open() -> None:
    client, relay = pair()
    client.seal(PING, NOW)
    second = client.seal(PING, NOW)
    with pytest.raises(CannotOpen):
        relay.open(second, NOW)


def test_reflected_record_does_not_open() -> None:
    client, _ = pair()
    record = client.seal(PING, NOW)
    with pytest.raises(CannotOpen):
        client.open(record, NOW)


def test_record_of_another_session_does_not_open() -> None:
    client, _ = pair()
    _, relay = pair(b"t" * 48)
    with pytest.raises(CannotOpen):
        relay.open(client.seal(PING, NOW), NOW)


def test_a_session_that_failed_once_opens_nothing_more() -> None:
    client, relay = pair()
    record = client.seal(PING, NOW)
    with pytest.raises(CannotOpen):
        relay.open(record[:-1] + bytes([record[-1] ^ 1]), NOW)
    with pytest.raises(CannotOpen, match="earlier"):
        relay.open(record, NOW)


def test_truncation_is_told_from_an_end() -> None:
    client, relay = pair()
    relay.open(client.seal(PING, NOW), NOW)
    with pytest.raises(CannotOpen) as caught:
        relay.ended()
    assert caught.value.code == "truncated"
    assert relay.open(client.farewell(Reason.DONE, NOW), NOW) == (Frame.of(Bye(Reason.DONE)),)
    relay.ended()
    assert relay.heard_bye
    assert client.said_bye


def test_nothing_follows_a_bye() -> None:
    client, relay = pair()
    bye = Frame.of(Bye(Reason.DONE))
    with pytest.raises(Misuse):
        client.seal((bye, *PING), NOW)
    sly = client.seal_encoded([bye.encode(), PING[0].encode()], NOW)
    with pytest.raises(Malformed, match="after the bye"):
        relay.open(sly, NOW)
    client, relay = pair()
    relay.open(client.farewell(Reason.DONE, NOW), NOW)
    for seal in (lambda: client.seal(PING, NOW), lambda: client.farewell(Reason.DONE, NOW)):
        with pytest.raises(Misuse):
            seal()
    with pytest.raises(Malformed, match="after the bye"):
        relay.open(b"anything", NOW)


def test_record_too_long_is_refused_unread() -> None:
    _, relay = pair()
    with pytest.raises(Malformed):
        relay.open(bytes(MAX_RECORD + 1), NOW)


def test_a_session_cannot_be_copied() -> None:
    client, _ = pair()
    for attempt in (copy.copy, copy.deepcopy, pickle.dumps):
        with pytest.raises(Misuse):
            attempt(client)


@settings(max_examples=100, deadline=None)
@given(st.binary(max_size=600))
def test_any_bytes_end_in_an_error_of_the_house(data: bytes) -> None:
    _, relay = pair()
    with pytest.raises(CannotOpen):
        relay.open(data, NOW)


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=600))
def test_whatever_a_peer_seals_is_frames_or_malformed(data: bytes) -> None:
    client, relay = pair()
    record = client._out.seal(data)
    try:
        frames = relay.open(record, NOW)
    except Malformed:
        return
    assert client.seal(frames, NOW)


# ------------------------------------------------------------------------------------------------ keys that do not last


def test_keys_change_after_an_hour_without_a_sign_outside() -> None:
    client, relay = pair()
    later = NOW + SECONDS_PER_KEY
    before = client._out._secret
    records = [client.seal(PING, when) for when in (NOW, later - 1, later, later + 1)]
    assert client._out._secret != before
    assert client._out.number == 1
    assert len({len(record) for record in records}) == 1
    assert [relay.open(record, later) for record in records] == [PING] * 4
    assert client.open(relay.seal(DONE, later), later) == DONE


def test_keys_change_before_they_are_used_too_often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "RECORDS_PER_KEY", 4)
    client, relay = pair()
    secrets = set()
    for _ in range(10):
        assert relay.open(client.seal(PING, NOW), NOW) == PING
        secrets.add(bytes(client._out._secret))
        assert client._out.number < 4
    assert len(secrets) == 3


def test_a_peer_that_keeps_its_keys_too_long_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    client, relay = pair()
    records = [client.seal(PING, NOW) for _ in range(3)]
    monkeypatch.setattr(module, "RECORDS_PER_KEY", 2)
    for record in records[:2]:
        relay.open(record, NOW)
    with pytest.raises(Invalid, match="2\\^20"):
        relay.open(records[2], NOW)


def test_old_keys_do_not_open_new_records() -> None:
    client, relay = pair()
    relay.open(client.seal(PING, NOW + SECONDS_PER_KEY), NOW + SECONDS_PER_KEY)
    old, _ = pair()
    assert old.seal(PING, NOW) != client.seal(PING, NOW + SECONDS_PER_KEY)


def test_a_session_lives_a_day_and_may_still_say_bye() -> None:
    client, relay = pair()
    assert client.expires == NOW + SESSION_LIFETIME
    for expired in (lambda: client.seal(PING, client.expires), lambda: client.seal_encoded((), client.expires)):
        with pytest.raises(Stale):
            expired()
    assert relay.open(client.farewell(Reason.EXPIRED, client.expires), client.expires + 3600)


def test_records_long_after_the_end_are_not_read() -> None:
    client, relay = pair()
    record = client.seal(PING, client.expires - 1)
    late = client.seal(PING, client.expires - 1)
    assert relay.open(record, relay.expires + 59) == PING
    with pytest.raises(Stale):
        relay.open(late, relay.expires + 60)
