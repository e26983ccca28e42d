"""clients/operations/wishes.py: a device's wish for another key is its own, and ends when trust has fulfilled it."""

from __future__ import annotations

import json

import pytest

from clients.operations import wishes
from clients.operations.wishes import Wish
from clients.vault import Vault
from securechan.crypto.secret import Secret
from securechan.crypto.signature import COMPOSITE
from securechan.errors import Conflict, Denied, Malformed
from tests.support.federation import World


@pytest.fixture
def world() -> World:
    made = World(["cert-hr"])
    made.enrol("cert-hr", "desk")
    return made


def letter(device: str = "cert-hr/desk", add: bytes = b"", drop: bytes = b"") -> bytes:
    return json.dumps({"device": device, "add": add.hex(), "drop": drop.hex()}).encode()


def fresh() -> bytes:
    return COMPOSITE.public(Secret.random(64))


def test_a_wish_is_kept_granted_and_forgotten(vault: Vault, world: World) -> None:
    new = fresh()
    wishes.take(vault, "cert-hr/desk", letter(add=new), "cert-hr")
    (wish,) = wishes.standing(vault, world.view)
    record = world.view.device("cert-hr/desk")
    told = wish.json(record)
    assert (told["device"], told["officer"], told["drop"]) == ("cert-hr/desk", record.address, "")
    world.publish(world.roster("cert-hr", replace=[wish.grant(record)]))
    assert wishes.standing(vault, world.view) == []

    old = record.signature_key
    wishes.take(vault, "cert-hr/desk", letter(drop=old), "cert-hr")
    (wish,) = wishes.standing(vault, world.view)
    both = world.view.device("cert-hr/desk")
    world.publish(world.roster("cert-hr", replace=[wish.grant(both)]))
    assert world.view.device("cert-hr/desk").keys["hybrid"] == (new,)
    assert wishes.standing(vault, world.view) == []


def test_the_last_wish_of_a_device_counts(vault: Vault, world: World) -> None:
    first, second = fresh(), fresh()
    for key in (first, second):
        wishes.take(vault, "cert-hr/desk", letter(add=key), "cert-hr")
    assert [wish.add for wish in wishes.standing(vault, world.view)] == [second]


def test_nobody_wishes_for_another(vault: Vault, world: World) -> None:
    for sender, agency in (("cert-hr/laptop", "cert-hr"), ("cert-hr/desk", "cert-si")):
        with pytest.raises(Denied):
            wishes.take(vault, sender, letter(add=fresh()), agency)
    assert wishes.standing(vault, world.view) == []


@pytest.mark.parametrize(
    "content",
    [b"", b"[]", b"{}", b"\xff", letter(), letter(add=b"a", drop=b"b"), b'{"device":"x","add":"zz","drop":""}'],
)
def test_what_is_no_wish_is_told(content: bytes) -> None:
    with pytest.raises(Malformed):
        Wish.decode(content)


def test_a_wish_of_a_device_that_is_gone_is_over(vault: Vault, world: World) -> None:
    wishes.take(vault, "cert-hr/desk", letter(add=fresh()), "cert-hr")
    world.revoke("cert-hr/desk")
    assert wishes.standing(vault, world.view) == []


def test_the_only_key_is_not_dropped(vault: Vault, world: World) -> None:
    record = world.view.device("cert-hr/desk")
    with pytest.raises(Conflict):
        Wish.decode(letter(drop=record.signature_key)).grant(record)


@pytest.mark.parametrize("device", ["cert-hr/\ud800", "cert-hr", "", "cert-hr/desk\n", "CERT/desk"])
def test_a_wish_that_names_no_device_is_malformed(device: str) -> None:
    with pytest.raises(Malformed):
        Wish.decode(letter(device, add=b"key"))
