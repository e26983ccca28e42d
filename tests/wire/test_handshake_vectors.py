"""The code makes the very bytes of the vectors, and the vectors are what a second reading of the protocol computes."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from securechan.crypto.kem import MLKEM768_X25519, KemKey
from securechan.crypto.secret import Secret
from securechan.crypto.signature import COMPOSITE, Composite, SigningKey
from securechan.wire import door, handshake, handshake_formats, session
from securechan.wire.chain import Position
from securechan.wire.door import Answered, Cookies, Door, GuestClaim, TurnedAway
from securechan.wire.frames import Answer, Bye, Done, Frame, Ping, Reason, Request
from securechan.wire.handshake import (
    DeviceCredential,
    Greeting,
    GuestCredential,
    OfficeCredential,
    Proving,
    RelayIdentity,
    key_id,
)
from securechan.wire.session import Limits
from tests.support.handshake_vectors import FILE, values

CASES: list[dict[str, Any]] = json.loads(FILE.read_bytes())


class ScriptedKem:
    """X-Wing whose encapsulations are those of the vectors."""

    private_length = 32
    decap = staticmethod(MLKEM768_X25519.decap)
    load = staticmethod(MLKEM768_X25519.load)

    def __init__(self, script: dict[bytes, tuple[KemKey, bytes]]) -> None:
        self.script = script

    def encap(self, public: bytes) -> tuple[Secret, bytes]:
        key, ct = self.script[public]
        return MLKEM768_X25519.decap(key, ct), ct


class ScriptedSignatures(Composite):
    """A composite that signs as the vectors say, once the signature has verified."""

    def __init__(self, signature: bytes) -> None:
        self.signature = signature

    def sign(self, key: bytes | SigningKey, context: bytes, message: bytes) -> bytes:
        COMPOSITE.verify(COMPOSITE.public(key), context, message, self.signature)
        return self.signature


def drawing(*draws: str) -> Callable[[int], bytes]:
    """A source of randomness that gives exactly these, in this order."""
    left = [bytes.fromhex(draw) for draw in draws]

    def draw(n: int) -> bytes:
        value = left.pop(0)
        assert len(value) == n
        return value

    return draw


def credential_of(given: dict[str, Any]) -> handshake.Credential:
    match given["kind"]:
        case "device":
            trust = Position(given["trust"]["sequence"], bytes.fromhex(given["trust"]["chain"]))
            key = COMPOSITE.load(bytes.fromhex(given["private"]))
            return DeviceCredential(given["device"], key.private, bytes.fromhex(given["public"]), trust)
        case "guest":
            return GuestCredential(bytes.fromhex(given["box"]), bytes.fromhex(given["mac_key"]))
        case _:
            public = bytes.fromhex(given["public"])
            return OfficeCredential(given["role"], given["key_id"], bytes.fromhex(given["private"]), public)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["given"]["credential"]["kind"])
def test_values_follow_from_the_private_keys(case: dict[str, Any]) -> None:
    assert values(case["given"]) == case["values"]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["given"]["credential"]["kind"])
def test_the_code_makes_these_bytes(case: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    given, expected = case["given"], {name: bytes.fromhex(value) for name, value in case["values"].items()}
    relay_key = MLKEM768_X25519.load(bytes.fromhex(given["relay_private"]))
    ephemeral = MLKEM768_X25519.load(bytes.fromhex(given["ephemeral_private"]))
    script = {
        relay_key.public: (relay_key, bytes.fromhex(given["ct_r"])),
        ephemeral.public: (ephemeral, bytes.fromhex(given["ct_e"])),
    }
    scripted = ScriptedKem(script)
    monkeypatch.setattr(handshake, "KEM", scripted)
    monkeypatch.setattr(door, "KEM", scripted)
    signature = bytes.fromhex(given["credential"].get("signature", ""))
    monkeypatch.setattr(handshake, "COMPOSITE", ScriptedSignatures(signature))
    root_id, name, cookie = bytes.fromhex(given["root_id"]), given["relay_name"], given["cookie"]
    address = bytes.fromhex(cookie["address"])
    cookies = Cookies(Secret(bytes.fromhex(cookie["secret"])))
    relay = Door(root_id, name, {key_id(relay_key.public): relay_key}, cookies, drawing(given["n_r"]))
    limits, session_limits = Limits(*given["limits"]), Limits(*given["session_limits"])

    greeting, hello = Greeting.start(
        RelayIdentity(root_id, name, relay_key.public),
        credential_of(given["credential"]),
        random=drawing(given["n_c"], given["ephemeral_private"]),
    )
    assert hello == expected["hello"]
    retry = relay.open(hello, limits, now_ms=cookie["now"] * 1000, address=address, guarded=True)
    assert isinstance(retry, TurnedAway)
    assert retry.reply == expected["retry"]
    again, hello = greeting.answer(retry.reply)
    assert hello == expected["hello_with_cookie"]
    assert isinstance(again, Greeting)

    answered = relay.open(hello, limits, now_ms=given["relay_time"], address=address, guarded=True)
    assert isinstance(answered, Answered)
    assert answered.reply == expected["H2"]
    assert (answered.keyed.h1b, answered.h2) == (expected["h1_prime"], expected["h2"])
    proving, h3 = again.answer(answered.reply)
    assert isinstance(proving, Proving)
    assert h3 == expected["H3"]
    assert proving.welcome.limits == limits

    claim = answered.receive(h3)
    if isinstance(claim, GuestClaim):
        theirs, h4 = claim.accept(bytes.fromhex(given["credential"]["mac_key"]), session_limits, given["now"])
    else:
        theirs, h4 = claim.accept(bytes.fromhex(given["credential"]["public"]), session_limits, given["now"])
    assert h4 == expected["H4"]
    assert claim.refuse(handshake_formats.Denial.NO_PROOF, "no such device") == expected["H4_denied"]
    ours = proving.finish(h4, given["now"])
    assert ours.limits == session_limits
    assert ours.relay_time == given["relay_time"]
    assert proving.keyed.session(proving.h3) == expected["session"]

    now = given["now"]
    ping, done = (Frame.of(Request.of(7, Ping())),), (Frame.of(Answer.of(7, Done())),)
    assert ours.seal(ping, now) == expected["c_record_0"]
    assert theirs.seal(done, now) == expected["r_record_0"]
    assert ours.seal(ping, now + session.SECONDS_PER_KEY) == expected["c_record_1_rekeys"]
    assert ours.farewell(Reason.DONE, now) == expected["c_record_2_bye"]
    received = [theirs.open(expected[n], now) for n in ("c_record_0", "c_record_1_rekeys", "c_record_2_bye")]
    assert received == [ping, ping, (Frame.of(Bye(Reason.DONE)),)]
    theirs.ended()
