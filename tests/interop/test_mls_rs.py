"""Groups mixed with mls-rs, walked at random: both add, renew and talk, ours remove, and all stay in one epoch.

mls-rs comes as the PyPI package ``agentvault-mls-rs-uniffi`` (suite 1, handshakes in the clear); without it these tests
are skipped. It shows no epoch authenticator, so members compare an exported secret.
"""

from __future__ import annotations

import random
from typing import Any, Protocol

import pytest

from tests.interop.driver import Driver

rs = pytest.importorskip(
    "mls_rs_uniffi", reason="mls-rs is not installed: pip install agentvault-mls-rs-uniffi (0.1.1, mls-rs 0.55)"
)

Commit = tuple[str, str | None, str | None]  # the commit, the welcome, the tree where the welcome is without it


class Seat(Protocol):
    name: str

    def key_package(self) -> str: ...
    def create(self) -> None: ...
    def join(self, welcome: str | None, tree: str | None) -> None: ...
    def commit(self, add: list[str], remove: list[int]) -> Commit: ...
    def process(self, message: str) -> None: ...
    def encrypt(self, plaintext: bytes) -> str: ...
    def decrypt(self, message: str) -> bytes: ...
    def exported(self) -> str: ...


class Ours:
    """A member of our engine, behind the driver."""

    def __init__(self, name: str, chance: random.Random) -> None:
        self.name, self.chance, self.driver = name, chance, Driver()

    def ask(self, cmd: str, **fields: Any) -> dict[str, Any]:
        answer = self.driver.answer({"cmd": cmd, **fields})
        assert answer["ok"], (cmd, answer)
        return answer

    def key_package(self) -> str:
        grease = self.chance.random() < 0.5
        return str(self.ask("create_key_package", suite=1, identity=self.name, grease=grease)["key_package"])

    def create(self) -> None:
        self.ask("create_group", suite=1, identity=self.name)

    def join(self, welcome: str | None, tree: str | None) -> None:
        self.ask("join", welcome=welcome, ratchet_tree=tree)

    def commit(self, add: list[str], remove: list[int]) -> Commit:
        inside, public = self.chance.random() < 0.5, self.chance.random() < 0.5
        made = self.ask("commit", add=add, remove=remove, public=public, ratchet_tree_in_welcome=inside)
        return made["commit"], made["welcome"], made.get("ratchet_tree")

    def process(self, message: str) -> None:
        self.ask("process", message=message)

    def encrypt(self, plaintext: bytes) -> str:
        return str(self.ask("encrypt", plaintext=plaintext.hex())["message"])

    def decrypt(self, message: str) -> bytes:
        return bytes.fromhex(self.ask("decrypt", message=message)["plaintext"])

    def exported(self) -> str:
        return str(self.ask("export_secret", label="label", context="01", length=32)["secret"])

    def leaves(self) -> dict[str, int]:
        return {member["identity"]: member["leaf"] for member in self.ask("members")["members"]}


class Theirs:
    """A member of mls-rs."""

    def __init__(self, name: str) -> None:
        self.name = name
        pair = rs.generate_signature_keypair(rs.CipherSuite.CURVE25519_AES128)
        self.client = rs.Client(id=name.encode(), signature_keypair=pair, client_config=rs.client_config_default())
        self.group: Any = None

    def key_package(self) -> str:
        return str(self.client.generate_key_package_message().to_bytes().hex())

    def create(self) -> None:
        self.group = self.client.create_group(None)

    def join(self, welcome: str | None, tree: str | None) -> None:
        beside = None if tree is None else rs.RatchetTree(bytes=bytes.fromhex(tree))
        self.group = self.client.join_group(beside, self.message(welcome or "")).group

    def commit(self, add: list[str], remove: list[int]) -> Commit:
        assert not remove
        made = self.group.add_members([self.message(each) for each in add]) if add else self.group.commit()
        self.group.process_incoming_message(made.commit_message)
        welcome, tree = made.welcome_message, made.ratchet_tree
        return (
            made.commit_message.to_bytes().hex(),
            None if welcome is None else welcome.to_bytes().hex(),
            None if tree is None else tree.bytes.hex(),
        )

    def process(self, message: str) -> None:
        self.group.process_incoming_message(self.message(message))

    def encrypt(self, plaintext: bytes) -> str:
        return str(self.group.encrypt_application_message(plaintext).to_bytes().hex())

    def decrypt(self, message: str) -> bytes:
        return bytes(self.group.process_incoming_message(self.message(message)).data)

    def exported(self) -> str:
        return str(self.group.export_secret(b"label", b"\x01", 32).hex())

    @staticmethod
    def message(text: str) -> Any:
        return rs.Message.from_bytes(bytes.fromhex(text))


def agree(seats: list[Seat]) -> None:
    assert len({seat.exported() for seat in seats}) == 1


@pytest.mark.parametrize("seed", range(4))
def test_a_walk(seed: int) -> None:
    chance = random.Random(seed)
    names = (f"member {number}" for number in range(1000))

    def newcomer() -> Seat:
        return Ours(next(names), chance) if chance.random() < 0.5 else Theirs(next(names))

    seats = [newcomer()]
    seats[0].create()
    for _ in range(40):
        act = chance.choice(["add", "add", "remove", "renew", "talk", "talk"])
        who = chance.choice(seats)
        ours = [seat for seat in seats if isinstance(seat, Ours)]
        if len(seats) < 2:
            act = "add"
        elif len(seats) > 9:
            act = "remove"
        if act == "remove" and (not ours or len(seats) < 4):
            act = "renew"
        if act == "talk":
            plaintext = chance.randbytes(chance.randrange(300))
            message = who.encrypt(plaintext)
            assert all(seat.decrypt(message) == plaintext for seat in seats if seat is not who)
            continue
        gone: list[Seat] = []
        places: list[int] = []
        if act == "remove":
            remover = chance.choice(ours)
            who = remover
            gone = chance.sample([seat for seat in seats if seat is not who], chance.randint(1, min(3, len(seats) - 2)))
            places = [remover.leaves()[seat.name] for seat in gone]
        new = [newcomer() for _ in range(chance.randint(1, 3))] if act == "add" else []
        commit, welcome, tree = who.commit([each.key_package() for each in new], places)
        for seat in seats:
            if seat is not who:
                seat.process(commit)
        for each in new:
            each.join(welcome, tree)
        seats = [seat for seat in seats if seat not in gone] + new
        agree(seats)


def test_the_left_half_of_a_tree_is_removed() -> None:
    """Where the committer's filtered path ends below the root (see tests/vectors/README.md), mls-rs is with us."""
    chance = random.Random(0)
    founder, kept = Ours("founder", chance), Ours("kept", chance)
    gone, other = Theirs("gone"), Theirs("other")
    founder.create()
    _, welcome, tree = founder.commit([seat.key_package() for seat in (gone, kept, other)], [])
    for seat in (gone, kept, other):
        seat.join(welcome, tree)
    agree([founder, gone, kept, other])
    commit, _, _ = kept.commit([], [0, 1])
    other.process(commit)
    agree([kept, other])
    commit, _, _ = other.commit([], [])
    kept.process(commit)
    agree([kept, other])
