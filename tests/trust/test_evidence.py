"""Evidence: believed by who knows the root id, and by nobody for more than it says."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from securechan.errors import Invalid, Malformed, NotFound, Untrusted
from securechan.trust import authority
from securechan.trust.evidence import evidence, verify_evidence
from securechan.trust.records import DAY
from tests.support.federation import NOW, Device, World


@pytest.fixture(scope="module")
def signed() -> tuple[World, Device, bytes]:
    world = World()
    device = world.enrol("cert-hr", "d1", "desk-1", "desk")
    return world, device, evidence(world.view, "cert-hr")


def test_it_proves_that_a_key_was_listed(signed: tuple[World, Device, bytes]) -> None:
    world, device, data = signed
    key = device.record.hashes()[0]
    holding = verify_evidence(data, root_id=world.view.root_id, device=device.name, key_hash=key)
    assert holding.public == device.record.signature_key
    assert (holding.officer, holding.record) == ("desk-1", device.record)
    assert (holding.roster_version, holding.root_version) == (1, 1)
    assert holding.roster_hash == world.view.roster_hash("cert-hr")
    assert holding.tombstone is None
    assert holding.fresh(NOW)
    assert not holding.fresh(NOW + 30 * DAY)  # the roster's life; it proves what it proves for ever


def test_it_survives_root_rotations() -> None:
    world = World()
    device = world.enrol("cert-hr", "d1")
    world.publish(authority.rotate_root(world.view, now=NOW).sign(world.root_key))
    holding = verify_evidence(
        evidence(world.view, "cert-hr"),
        root_id=world.view.root_id,
        device=device.name,
        key_hash=device.record.hashes()[0],
    )
    assert holding.root_version == 2


def test_a_later_roster_shows_the_revocation() -> None:
    world = World()
    device = world.enrol("cert-hr", "d1")
    world.revoke(device.name, "lost")
    holding = verify_evidence(
        evidence(world.view, "cert-hr"),
        root_id=world.view.root_id,
        device=device.name,
        key_hash=device.record.hashes()[0],
    )
    assert holding.tombstone is not None
    assert (holding.tombstone.reason, holding.officer, holding.record) == ("lost", "liaison-1", None)
    with pytest.raises(Untrusted) as caught:
        _ = holding.public
    assert caught.value.code == "revoked"


def test_it_says_nothing_of_other_keys(signed: tuple[World, Device, bytes]) -> None:
    world, device, data = signed
    for name, key, code in (
        (device.name, bytes(48), "unknown-key"),
        ("cert-hr/d2", device.record.hashes()[0], "unknown-key"),
        ("cert-lt/d1", device.record.hashes()[0], "unknown-agency"),
    ):
        with pytest.raises(Untrusted) as caught:
            verify_evidence(data, root_id=world.view.root_id, device=name, key_hash=key)
        assert caught.value.code == code


def test_it_is_of_one_federation(signed: tuple[World, Device, bytes]) -> None:
    _, device, data = signed
    with pytest.raises(Untrusted) as caught:
        verify_evidence(data, root_id=bytes(48), device=device.name, key_hash=device.record.hashes()[0])
    assert caught.value.code == "wrong-root"


def test_there_is_none_before_the_first_roster(signed: tuple[World, Device, bytes]) -> None:
    world, _, _ = signed
    with pytest.raises(NotFound):
        evidence(world.view, "cert-lt")
    with pytest.raises(Untrusted):
        evidence(world.view, "cert-xx")


@settings(max_examples=100, deadline=None)
@given(st.data())
def test_altered_evidence_is_refused(signed: tuple[World, Device, bytes], data: st.DataObject) -> None:
    world, device, good = signed
    whole = bytearray(good)
    at = data.draw(st.integers(0, len(whole) - 1))
    whole[at : at + 1] = data.draw(st.binary(max_size=2))
    if bytes(whole) == good:
        return
    with pytest.raises((Malformed, Invalid, Untrusted)):
        verify_evidence(
            bytes(whole), root_id=world.view.root_id, device=device.name, key_hash=device.record.hashes()[0]
        )


@given(st.binary(max_size=200))
def test_any_bytes(data: bytes) -> None:
    with pytest.raises((Malformed, Invalid, Untrusted)):
        verify_evidence(data, root_id=bytes(48), device="cert-hr/d1", key_hash=bytes(48))


def test_evidence_of_something_else(signed: tuple[World, Device, bytes]) -> None:
    world, device, data = signed
    key = device.record.hashes()[0]
    for wrong in (
        data.replace(b"securechan/1 evidence", b"securechan/1 evidence".upper()),
        world.view.encode(),
        bytes((64 << 20) + 1),
    ):
        with pytest.raises(Malformed):
            verify_evidence(wrong, root_id=world.view.root_id, device=device.name, key_hash=key)
