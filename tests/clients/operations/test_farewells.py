"""clients/operations/farewells.py: an officer may wish a device of theirs out, and nobody else's."""

from __future__ import annotations

import json

import pytest

from clients.operations import farewells
from clients.operations.farewells import KEPT, Farewell
from clients.operations.newcomer import OFFICE
from clients.vault import Vault
from securechan.errors import Denied, Invalid, Malformed, Untrusted
from tests.support.federation import World

NOW = 1_800_000_000


@pytest.fixture
def world() -> World:
    made = World(["cert-hr"])
    for device, officer in (("laptop", "ana"), ("phone", "ana"), ("desk", "bor")):
        made.enrol("cert-hr", device, officer)
    return made


def letter(device: str = "cert-hr/laptop", reason: str = "lost") -> bytes:
    return Farewell(device, reason, "", 0).encode()


def test_a_wish_is_kept_until_the_device_is_gone(vault: Vault, world: World) -> None:
    farewells.take(vault, world.view, "cert-hr/phone", letter(), NOW)
    farewells.take(vault, world.view, "cert-hr/phone", letter(reason="left"), NOW)  # the last one counts
    (wish,) = farewells.standing(vault, world.view, NOW)
    assert wish.json(world.view) == {
        "id": wish.ident,
        "device": "cert-hr/laptop",
        "officer": "ana@cert-hr",
        "reason": "left",
        "by": "cert-hr/phone",
        "at": NOW,
    }
    world.revoke("cert-hr/laptop")
    assert farewells.standing(vault, world.view, NOW) == []
    assert vault.all(OFFICE) == {}


def test_a_wish_that_nobody_thought_right_is_forgotten(vault: Vault, world: World) -> None:
    farewells.take(vault, world.view, "cert-hr/phone", letter(), NOW)
    assert farewells.standing(vault, world.view, NOW + KEPT)
    assert not farewells.standing(vault, world.view, NOW + KEPT + 1)
    assert vault.all(OFFICE) == {}


def test_a_wish_that_was_denied_may_come_again(vault: Vault, world: World) -> None:
    for _ in range(2):
        farewells.take(vault, world.view, "cert-hr/phone", letter(), NOW)
        farewells.take(vault, world.view, "cert-hr/phone", letter("cert-hr/phone", "left"), NOW)
        lost, phone = sorted(farewells.standing(vault, world.view, NOW), key=lambda each: each.device)
        farewells.forget(vault, lost)
        assert farewells.standing(vault, world.view, NOW) == [phone]


def test_nobody_wishes_anothers_device_out(vault: Vault, world: World) -> None:
    with pytest.raises(Denied):
        farewells.take(vault, world.view, "cert-hr/desk", letter(), NOW)
    with pytest.raises(Untrusted):
        farewells.take(vault, world.view, "cert-hr/nobody", letter(), NOW)
    with pytest.raises(Untrusted):
        farewells.take(vault, world.view, "cert-hr/phone", letter("cert-hr/nobody"), NOW)
    assert vault.all(OFFICE) == {}


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"[]",
        b"{}",
        b"\xff",
        b"[" * 100_000,
        json.dumps({"device": "no device", "reason": "lost"}).encode(),
        letter(reason="rotated"),
        letter(reason="\x1b[0m"),
    ],
)
def test_what_is_no_wish_is_malformed(vault: Vault, world: World, content: bytes) -> None:
    with pytest.raises(Malformed):
        farewells.take(vault, world.view, "cert-hr/phone", content, NOW)


def test_reasons() -> None:
    assert [farewells.reason(each) for each in ("revoked", "lost", "left")] == ["revoked", "lost", "left"]
    for said in ("rotated", "bored", ""):
        with pytest.raises(Invalid):
            farewells.reason(said)
