"""Every block of SPEC.md that is marked ``example`` has a function here that computes the same lines from the code."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Mapping
from types import SimpleNamespace
from typing import Any, Final

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.argon2 import Argon2id

from clients.federation import Address
from clients.locked import Cost, Locked
from relay import access
from securechan.agent import (
    blobs,
    membership,
    policy,
)
from securechan.agent.claims import Claim
from securechan.bulletin import bulletin
from securechan.bulletin.payload import BlobRef, Payload, Text
from securechan.bulletin.tlp import Tlp
from securechan.codec import (
    write_varint,
)
from securechan.crypto.aead import AES256GCM
from securechan.crypto.secret import Secret
from securechan.trust import (
    cards,
    enrolment,
    names,
    records,
    strict,
    words,
)
from securechan.trust.enrolment import Invite
from securechan.wire import chain, frames, heads, padding
from securechan.wire.chain import Position
from securechan.wire.frames import Answer, Appended, Bye, Done, Frame, Ping, Reason, Request
from securechan.wire.plaintext import RecordBody, Then
from tests.support.spec import ROOT_FOLDER, SPEC, prose, table

Lines = Mapping[str, str | int]
DEVICE: Final = "cert-hr/liaison-1-laptop"
TOPIC: Final = b"\x22" * 32


def _vectors() -> Lines:
    def varint(n: int) -> str:
        out = bytearray()
        write_varint(out, n)
        return out.hex()

    return {"5 zero bytes as opaque<V>": varint(5) + "00" * 5} | {
        f"length {n}": varint(n) for n in (63, 64, 16383, 16384)
    }


def _buckets() -> Lines:
    return {str(n): padding.bucket(n) for n in (1, 257, 4096, 4097, 70000, 1000000)}


def _frames() -> Lines:
    ping = Frame.of(Request.of(7, Ping()))
    return {
        "Request 7, Ping": ping.encode().hex(),
        "Answer 7, Done": Frame.of(Answer.of(7, Done())).encode().hex(),
        "Answer 8, Appended 258": Frame.of(Answer.of(8, Appended(258))).encode().hex(),
        "Bye, REVOKED": Frame.of(Bye(Reason.REVOKED)).encode().hex(),
        "record plaintext of a ping, before padding": RecordBody(Then.STAY, (ping,)).encode().hex(),
    }


def _topics() -> Lines:
    return {"trust topic": frames.TRUST_TOPIC.hex(), f"inbox topic of {DEVICE}": frames.inbox_topic(DEVICE).hex()}


def _access() -> Lines:
    secret = bytes(range(32))
    return {
        "access secret": secret.hex(),
        "claim": access.claim_of(secret).hex(),
        f"committer tag of {DEVICE} in topic 32 x 22": access.device_tag(TOPIC, DEVICE).hex(),
    }


def _chain() -> Lines:
    zero = chain.start(TOPIC)
    one = chain.advance(zero, 1, b"\x33" * 32, 1, b"hello")
    two = chain.advance(one, 0, b"\x44" * 32, 5, b"")
    return {
        "topic": "32 x 22",
        "H(0)": zero.chain.hex(),
        'H(1) after kind 1, id 32 x 33, sequence 1, body "hello"': one.chain.hex(),
        "H(2) after kind 0, id 32 x 44, sequence 5, empty body": two.chain.hex(),
    }


def _heads() -> Lines:
    tree = heads.Tree([heads.leaf_hash(bytes([n]) * 32, Position(n, bytes([n]) * 48)) for n in (1, 2, 3)])
    return {
        "leaf n": "topic 32 x n, sequence n, chain 48 x n, for n = 1, 2, 3",
        "root": tree.root.hex(),
        "path of leaf 3": " ".join(each.hex() for each in tree.path(2)),
    }


def _record() -> Lines:
    body = strict.dump(records.Policy().custom())
    return {
        "policy of a new federation": body.decode(),
        "length": len(body),
        "sha384": hashlib.sha384(body).hexdigest(),
        "look-alike of cert-1t": names.look_alike("cert-1t"),
        "look-alike of cert-lt": names.look_alike("cert-lt"),
    }


def _address() -> Lines:
    address = Address("wss://relay.example.int", "relay-1", b"\x01" * 48, b"\x02" * 48)
    assert Address.parse(address.line()) == address
    return {
        "url": address.url,
        "relay": address.relay,
        "kem_hash": "48 x 01",
        "root_id": "48 x 02",
        "line": address.line(),
    }


def _invite() -> Lines:
    invite = Invite(
        "wss://relay.example.int",
        "relay-1",
        b"\x01" * 48,
        b"\x02" * 48,
        "cert-hr",
        "liaison-1",
        ("liaison",),
        1_800_000_000,
        b"\x03" * 20,
    )
    assert Invite.parse(invite.line()) == invite
    return {
        "url": invite.url,
        "relay": invite.relay,
        "kem_hash": "48 x 01",
        "root_id": "48 x 02",
        "agency": invite.agency,
        "officer": invite.officer,
        "roles": ", ".join(invite.roles),
        "not_after": invite.not_after,
        "code": "20 x 03",
        "line": invite.line(),
        "box id": invite.box.id.hex(),
        "mac key": bytes(invite.box.mac_key).hex(),
        "seal key": bytes(invite.box.seal_key).hex(),
    }


def _words() -> Lines:
    request: Any = SimpleNamespace(digest=bytes(48))
    return {
        "digest": "48 x 00",
        "six words": " ".join(enrolment.six_words(request)),
        "127.0.0.1 as two words": " ".join(words.words(bytes([127, 0, 0, 1]), 2)),
    }


def _directory() -> Lines:
    return {"agency": "cert-hr", "key": "32 x 05", "id": cards.DirectoryKey("cert-hr", b"\x05" * 32).id.hex()}


def _policy() -> Lines:
    scopes = (policy.AgencyScope("cert-hr", ("desk",)), policy.AgencyScope("cert-lt", ()))
    stewards = ("ana@cert-hr", "jonas@cert-lt")
    made = policy.Policy("incidents", policy.Kind.COMMUNITY, scopes, (), stewards, Tlp.AMBER_STRICT, policy.RENEWAL)
    made.check()
    return {
        "name": made.name,
        "kind": int(made.kind.value),
        "agencies": "cert-hr with role desk, cert-lt with all",
        "stewards": ", ".join(stewards),
        "ceiling": int(made.ceiling.value),
        "renewal": made.renewal,
        "encoded": made.extension().data.hex(),
        "officer extension of ana@cert-hr": policy.Officer("ana@cert-hr").extension().data.hex(),
    }


def _turns() -> Lines:
    there = {leaf: policy.Seat(leaf, f"cert-hr/d{leaf}", "ana@cert-hr", b"") for leaf in range(4)}
    difference = membership.Difference(removes=(2,))
    change = difference.change()
    waits = {leaf: membership.wait(there, leaf, difference.removes, 7, change) for leaf in there}
    return {
        "leaves": ", ".join(map(str, there)),
        "epoch": 7,
        "change": "remove leaf 2",
        "order": ", ".join(map(str, membership.order(there, difference.removes, 7, change))),
        "waits": ", ".join(f"leaf {leaf} {seconds} s" for leaf, seconds in waits.items() if seconds is not None),
    }


def _payload() -> Lines:
    made = Payload.of(b"\x07" * 16, 1_800_000_000_000, Text(Tlp.AMBER, "hello"))
    return {"id": "16 x 07", "time": made.time, "text, amber": "hello", "encoded": made.encode().hex()}


def _bulletin() -> Lines:
    header = bulletin.describe(
        b"hello",
        issuer="cert-hr",
        id="SC-2026-0117-k3vq7a",
        tlp=Tlp.GREEN,
        media_type="text/plain",
        audience=TOPIC,
        time=1_795_000_000,
        device="cert-hr/desk-1",
        signer=b"\x0b" * 48,
        roster_version=3,
        roster_hash=b"\x0c" * 48,
        title="A test",
    ).encode()
    return {
        "issuer": "cert-hr, device cert-hr/desk-1, signer 48 x 0b, roster version 3, hash 48 x 0c",
        "revision": "1, ACTIVE, GREEN, text/plain, audience 32 x 22, time 1795000000, no other time, no exercise",
        "title": "A test",
        "content": "hello",
        "header of SC-2026-0117-k3vq7a": header.hex(),
        "digest": bulletin.digest(header).hex(),
    }


def _blob() -> Lines:
    key = b"\x06" * 32
    sealed = AES256GCM.seal(Secret(key), bytes(12), blobs.FOR, b"hello")
    assert BlobRef(hashlib.sha256(sealed).digest(), key, 5).encode()[64:] == b"\0\0\0\5"
    return {
        "key": "32 x 06",
        "plaintext": "hello",
        "ciphertext": sealed.hex(),
        "blob": hashlib.sha256(sealed).hexdigest(),
    }


def _locked() -> Lines:
    """The sealing is written a second time here, since `Locked.lock` draws its own salt."""
    cost, salt, nonce, secret = Cost(64, 1, 1), b"\x08" * 16, b"\x09" * 12, b"\x0a" * 32
    key = Argon2id(salt=salt, length=32, iterations=1, lanes=1, memory_cost=64).derive(b"correct horse")
    sealed = AESGCM(key).encrypt(nonce, secret, b"securechan/1 locked" + b"\0\5vault" + cost.encode() + salt)
    locked = Locked(cost, salt, nonce, sealed)
    assert bytes(locked.unlock("correct horse", purpose=b"vault")) == secret
    return {
        "passphrase": "correct horse",
        "purpose": "vault",
        "cost": "64 KiB, 1 pass, 1 lane",
        "salt": "16 x 08",
        "nonce": "12 x 09",
        "secret": "32 x 0a",
        "sealed": sealed.hex(),
    }


EXAMPLES: Final[dict[str, Callable[[], Lines]]] = {
    "vectors": _vectors,
    "buckets": _buckets,
    "frames": _frames,
    "topics": _topics,
    "access": _access,
    "chain": _chain,
    "heads": _heads,
    "record": _record,
    "address": _address,
    "invite": _invite,
    "words": _words,
    "directory": _directory,
    "policy": _policy,
    "turns": _turns,
    "payload": _payload,
    "bulletin": _bulletin,
    "blob": _blob,
    "locked": _locked,
}


def examples() -> dict[str, dict[str, str]]:
    """The examples as they stand; a line that begins with blanks goes on with the one before."""
    found: dict[str, dict[str, str]] = {}
    for name, body in re.findall(r"^```example (\w+)\n(.*?)^```$", SPEC, flags=re.MULTILINE | re.DOTALL):
        lines = re.sub(r"\n +", "", body).splitlines()
        found[name] = dict(line.split(" = ", 1) for line in lines)
    return found


def test_every_example_is_computed_and_every_computation_shown() -> None:
    assert list(examples()) == list(EXAMPLES)
    assert SPEC.count("```example") == len(EXAMPLES)


@pytest.mark.parametrize("name", EXAMPLES)
def test_examples(name: str) -> None:
    assert examples()[name] == {key: str(value) for key, value in EXAMPLES[name]().items()}


def test_the_authenticated_data_is_as_long_as_is_told() -> None:
    zero = Position(0, bytes(48))
    assert len(Claim(zero, zero).encode()) == 112
    assert "112 bytes" in prose("8.2")


def test_fields_of_the_vectors() -> None:
    cases: list[dict[str, Any]] = json.loads((ROOT_FOLDER / "tests/vectors/handshake.json").read_bytes())
    assert [case["given"]["credential"]["kind"] for case in cases] == ["device", "guest", "office"]
    for part, column in (("given", "given"), ("values", "value")):
        told = [field for row in table("19", column) for field in re.findall(r"`(\w+)`", row[column])]
        for case in cases:
            assert sorted(told) == sorted(case[part])
