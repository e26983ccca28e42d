"""Publications of rosters: devices and their keys come and go in the open, and what is buried stays buried."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from securechan.trust import authority
from securechan.trust.contents import target
from securechan.trust.records import Tombstone, made
from tests.support.federation import NOW, World, forge, make_device
from tests.trust.refusals import bump, content, refused


def test_a_revoked_key_does_not_come_back(world: World) -> None:
    device = world.enrol("cert-hr", "d1")
    world.revoke("cert-hr/d1")
    again = authority.changed(device.record, device="d2")
    refused("tombstoned", lambda: world.roster("cert-hr", add=[again]))
    elsewhere = authority.changed(device.record, agency="cert-lt")
    refused("duplicate-key", lambda: world.publish(world.roster("cert-lt", add=[elsewhere])))


def test_a_revoked_device_name_does_not_come_back(world: World) -> None:
    world.enrol("cert-hr", "d1")
    world.revoke("cert-hr/d1")
    refused("tombstoned", lambda: world.roster("cert-hr", add=[make_device("cert-hr", "d1").record]))


def test_a_tombstone_stays(world: World) -> None:
    world.enrol("cert-hr", "d1")
    before = content(world, "cert-hr-roster")
    world.revoke("cert-hr/d1")

    def resurrect(body: dict[str, Any]) -> None:
        body["version"] = 3

    forged = forge(before, resurrect, *world.keys["cert-hr"].roster)
    refused("tombstone", lambda: world.force({"cert-hr-roster": forged}))


def test_a_device_does_not_vanish_silently(world: World) -> None:
    world.enrol("cert-hr", "d1")

    def drop(body: dict[str, Any]) -> None:
        bump(body)
        body["targets"] = {}

    forged = forge(content(world, "cert-hr-roster"), drop, *world.keys["cert-hr"].roster)
    refused("tombstone", lambda: world.force({"cert-hr-roster": forged}))


def test_an_agency_buries_only_its_own(world: World) -> None:
    victim = world.enrol("cert-lt", "d1")
    coming = make_device("cert-lt", "d2")
    mine = world.enrol("cert-hr", "d1")
    for keys, code in (
        (victim.record.hashes(), "duplicate-key"),
        (coming.record.hashes(), "tombstone"),
        ((*mine.record.hashes(), *coming.record.hashes()), "tombstoned"),
    ):
        forged = forge(content(world, "cert-hr-roster"), burial(keys), *world.keys["cert-hr"].roster)
        refused(code, lambda forged=forged: world.force({"cert-hr-roster": forged}))


def test_a_first_roster_buries_nobody(world: World) -> None:
    empty = authority.roster(None, "cert-lt", now=NOW).content
    keys = make_device("cert-hr", "d2").record.hashes()

    def bury(body: dict[str, Any]) -> None:
        burial(keys, "cert-lt")(body)
        body["version"] = 1

    forged = forge(empty, bury, *world.keys["cert-lt"].roster)
    refused("tombstone", lambda: world.force({"cert-lt-roster": forged}))


def burial(keys: tuple[bytes, ...], agency: str = "cert-hr") -> Callable[[dict[str, Any]], None]:
    stone = made(Tombstone, agency=agency, device="d1", officer="liaison-1", keys=keys, reason="rotated", at=NOW)

    def bury(body: dict[str, Any]) -> None:
        bump(body)
        body["targets"][f"{agency}/+1"] = target(f"{agency}/+1", stone).to_dict()

    return bury


def test_two_devices_with_one_key(world: World) -> None:
    device = world.enrol("cert-hr", "d1")
    twin = authority.changed(device.record, device="d2")
    refused("duplicate-key", lambda: world.roster("cert-hr", add=[twin]))
    abroad = authority.changed(device.record, agency="cert-lt")
    refused("duplicate-key", lambda: world.publish(world.roster("cert-lt", add=[abroad])))
    inbox = authority.changed(make_device("cert-lt", "d3").record, inbox=device.record.inbox)
    refused("duplicate-key", lambda: world.publish(world.roster("cert-lt", add=[inbox])))


def test_a_device_does_not_pass_to_another_officer(world: World) -> None:
    device = world.enrol("cert-hr", "d1", "liaison-1")
    moved = authority.changed(device.record, officer="liaison-2")
    refused("identity-moved", lambda: world.roster("cert-hr", replace=[moved]))


def test_a_device_does_not_change_all_its_keys_at_once(world: World) -> None:
    device = world.enrol("cert-hr", "d1")
    other = authority.changed(device.record, keys=make_device("cert-hr", "x").record.keys)
    refused("identity-changed", lambda: world.roster("cert-hr", replace=[other]))


def test_a_key_is_replaced_with_overlap(world: World) -> None:
    device = world.enrol("cert-hr", "d1")
    old, new = device.record.hashes()[0], make_device("cert-hr", "x").record.signature_key
    both = authority.add_key(device.record, "hybrid", new)
    world.publish(world.roster("cert-hr", replace=[both]))
    assert world.view.by_key(old) == world.view.by_key(both.hashes()[1]) == both
    world.publish(world.roster("cert-hr", replace=[authority.drop_key(both, "hybrid", old)]))
    assert world.view.by_key(old) is None
    stone = world.view.tombstoned(old)
    assert stone is not None
    assert (stone.reason, stone.final) == ("rotated", False)
    assert world.view.device("cert-hr/d1").signature_key == new
