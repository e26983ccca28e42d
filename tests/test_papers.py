"""Whatever people and processes hand each other is read as what it is or refused in words, however it was altered.

Formats of the presentation language are in ``test_structs.py``, signed trust documents in ``trust/test_document.py``,
bulletins in ``bulletin/test_document.py``. Here are the rest: files that pass from hand to hand in a ceremony, lines
that are copied by hand, a relay's card, a key file, an errand for the process that holds the profile.
"""

from __future__ import annotations

import base64
import contextlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from clients import control, keyfile
from clients.errand import parse_card
from clients.federation import Address
from clients.locked import Cost
from clients.operations.founding import Administrator
from securechan.crypto import contexts
from securechan.crypto.signature import COMPOSITE
from securechan.errors import SecurechanError
from securechan.trust import authority, strict
from securechan.trust.bundle import Bundle, Ceremony
from securechan.trust.enrolment import Invite
from securechan.trust.keys import Kind, TrustSigner
from securechan.trust.records import RelayRecord
from tests.support.federation import NOW, World, root_signer

JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(max_size=8) | st.just("A" * 4000),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=6,
)


@dataclass(frozen=True)
class Paper:
    """One that is good, and what reads it."""

    good: bytes
    read: Callable[[bytes], object]


def key_file(folder: Path) -> Paper:
    path = folder / "root.key"
    keyfile.KeyFile.make(path, keyfile.Use.ROOT, "root-1", "a long enough phrase")

    def read(content: bytes) -> object:
        path.write_bytes(content)
        return keyfile.KeyFile.load(path, keyfile.Use.ROOT)

    return Paper(path.read_bytes(), read)


def public_key(folder: Path) -> Paper:
    path = folder / "root.pub"
    path.write_bytes(keyfile.PublicKey(keyfile.Use.ROOT, "root-1", root_signer(0).public).encode())

    def read(content: bytes) -> object:
        path.write_bytes(content)
        return keyfile.PublicKey.load(path, keyfile.Use.ROOT)

    return Paper(path.read_bytes(), read)


def administrator() -> Paper:
    device = World().enrol("cert-hr", "desk", "boss", "admin")
    roster_key = TrustSigner.generate(Kind.COMPOSITE).public
    unsigned = Administrator(device.record, roster_key, b"")
    content = strict.load(unsigned.encode())
    content["signature"] = base64.b64encode(COMPOSITE.sign(device.key, contexts.ENROL, b"another")).decode()
    return Paper(strict.dump(content), Administrator.decode)


@pytest.fixture(scope="module")
def papers(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Paper]:
    folder = tmp_path_factory.mktemp("papers")
    cost = keyfile.COST
    keyfile.COST = Cost(64, 1, 1)  # Argon2id as it should be is not what is tested
    try:
        private = key_file(folder)
    finally:
        keyfile.COST = cost
    world = World([])
    application = world.apply_for("cert-hr")
    online = TrustSigner.generate(Kind.COMPOSITE)
    relay = RelayRecord.make("relay-1", ["wss://r"], [world.relay_kem], [online.public], publisher=True)
    root = authority.root_init(
        root_keys=[root_signer(0).public],
        root_threshold=1,
        targets_keys=[TrustSigner.generate(Kind.COMPOSITE).public],
        targets_threshold=1,
        online=[online.public],
        now=NOW,
    )
    drafts = (root, authority.federation(None, now=NOW, admit=[application], relays=[relay]), *application.documents)
    invite = Invite.new(
        url="wss://relay.example.int", relay="relay-1", kem_hash=bytes(48), root_id=bytes(48), agency="cert-hr", now=NOW
    )
    address = Address("wss://relay.example.int", "relay-1", bytes(48), bytes(48))
    card = {"v": 1, "name": "relay-1", "kem": base64.b64encode(bytes(1216)).decode(), "online": "AAAA"}
    return {
        "ceremony": Paper(Ceremony(None, drafts).encode(), Ceremony.decode),
        "bundle": Paper(Bundle.of(drafts).encode(), Bundle.decode),
        "application": Paper(application.encode(), authority.Application.decode),
        "administrator": administrator(),
        "private key": private,
        "public key": public_key(folder),
        "invite": Paper(invite.line().encode(), lambda data: Invite.parse(data.decode("utf-8", "replace"))),
        "address": Paper(address.line().encode(), lambda data: Address.parse(data.decode("utf-8", "replace"))),
        "card": Paper(json.dumps(card).encode(), lambda data: parse_card(data, "wss://relay.example.int")),
        "errand": Paper(b'{"v":1,"op":"status.show","params":{}}', control._parse),
    }


KINDS = (
    "ceremony",
    "bundle",
    "application",
    "administrator",
    "private key",
    "public key",
    "invite",
    "address",
    "card",
    "errand",
)
IN_JSON = tuple(kind for kind in KINDS if kind not in ("invite", "address"))
LIGHTLY = settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)


def read(paper: Paper, content: bytes) -> None:
    """A value or an error of the house; any other exception fails the test."""
    with contextlib.suppress(SecurechanError):
        paper.read(content)


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    inside = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path, *(place for key, each in inside for place in places(each, (*path, key)))]


def exchanged(value: Any, path: tuple[Any, ...], other: Any) -> Any:
    if not path:
        return other
    copy = value.copy()
    copy[path[0]] = exchanged(value[path[0]], path[1:], other)
    return copy


def test_those_are_all(papers: dict[str, Paper]) -> None:
    assert tuple(papers) == KINDS
    for kind in set(KINDS) - {"administrator"}:  # whose signature is of something else, so that it needs no ceremony
        papers[kind].read(papers[kind].good)


@pytest.mark.parametrize("kind", KINDS)
@given(content=st.binary(max_size=200))
@LIGHTLY
def test_any_bytes(papers: dict[str, Paper], kind: str, content: bytes) -> None:
    read(papers[kind], content)


@pytest.mark.parametrize("kind", KINDS)
@given(random=st.randoms(use_true_random=False))
@LIGHTLY
def test_bytes_changed_cut_or_added(papers: dict[str, Paper], kind: str, random: Random) -> None:
    content = bytearray(papers[kind].good)
    for _ in range(random.randint(1, 3)):
        at = random.randrange(len(content))
        match random.choice(["change", "cut", "add"]):
            case "change":
                content[at] = random.randrange(256)
            case "cut":
                del content[at : at + random.randint(1, len(content))]
                content += b"x" * (not content)
            case _:
                content[at:at] = random.randbytes(random.randint(1, 40))
    read(papers[kind], bytes(content))


@pytest.mark.parametrize("kind", IN_JSON)
@given(random=st.randoms(use_true_random=False), other=JSON)
@LIGHTLY
def test_a_part_that_is_something_else(papers: dict[str, Paper], kind: str, random: Random, other: Any) -> None:
    """The hardest to refuse well: in the right form, and of the wrong kind somewhere inside."""
    good = json.loads(papers[kind].good)
    read(papers[kind], strict.dump(exchanged(good, random.choice(places(good)), other)))


@pytest.mark.parametrize("kind", KINDS)
def test_nested_without_end(papers: dict[str, Paper], kind: str) -> None:
    for content in (b"[" * 60_000, b'{"a":' * 60_000, b'{"v":1,"kind":' + b"[" * 30_000 + b"]" * 30_000 + b"}"):
        with pytest.raises(SecurechanError):
            papers[kind].read(content)
