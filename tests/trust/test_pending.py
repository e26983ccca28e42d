"""A roster that waits for a second administrator."""

from __future__ import annotations

from typing import Any

import pytest

from securechan.crypto.secret import Secret
from securechan.crypto.signature import COMPOSITE
from securechan.errors import BadSignature, Denied, Invalid, SecurechanError, Stale, Untrusted
from securechan.trust import authority
from securechan.trust.draft import Draft
from securechan.trust.enrolment import EnrolRequest, six_words
from securechan.trust.pending import PendingRoster
from tests.support.federation import NOW, Device, World
from tests.trust.test_enrolment import altered, invite_to, newcomer


@pytest.fixture(scope="module")
def office() -> tuple[World, Device]:
    """An agency whose rosters two administrators sign. Left as it is."""
    world = World(["cert-hr", "cert-lt"], roster_threshold=2)
    return world, world.enrol("cert-hr", "l1-laptop", "liaison-1", "admin")


def request_of(world: World, **changes: Any) -> EnrolRequest:
    return newcomer(invite_to(world.view.root_id), **changes).request


def proposed(
    office: tuple[World, Device], *requests: EnrolRequest, add: tuple[Any, ...] | None = None, **changes: Any
) -> PendingRoster:
    world, admin = office
    records = tuple(request.record(since=NOW) for request in requests) if add is None else add
    draft = authority.roster(world.view, "cert-hr", now=NOW, add=records, **changes).sign(
        world.keys["cert-hr"].roster[0]
    )
    return PendingRoster.make(draft, requests, proposer=admin.name, key=admin.key, now=NOW, note="new laptop")


def test_two_administrators_enrol_a_device() -> None:
    world = World(["cert-hr"], roster_threshold=2)
    office = (world, world.enrol("cert-hr", "l1-laptop", "liaison-1", "admin"))
    request = request_of(world)
    pending = PendingRoster.decode(proposed(office, request).encode())

    draft = pending.verify(world.view)
    assert pending.words() == {"cert-hr/l2-laptop": six_words(request)}
    assert "+ device l2-laptop" in "\n".join(pending.diff(world.view))
    assert pending.signing(world.view).missing == 1
    world.publish(draft.sign(world.keys["cert-hr"].roster[1]))
    assert world.view.find("cert-hr/l2-laptop") is not None
    with pytest.raises(Stale):
        pending.verify(world.view)


def test_a_revocation_waits_too(office: tuple[World, Device]) -> None:
    world, _ = office
    pending = proposed(office, revoke={"l1-laptop": "lost"})
    assert pending.verify(world.view) == pending.draft
    assert "- device l1-laptop of liaison-1: lost" in pending.diff(world.view)


def test_a_device_that_asked_for_nothing(office: tuple[World, Device]) -> None:
    world, _ = office
    record = request_of(world).record(since=NOW)
    with pytest.raises(Untrusted) as caught:
        proposed(office, add=(record,)).verify(world.view)
    assert caught.value.code == "unknown-device"


def test_a_device_with_other_keys_than_it_asked_for(office: tuple[World, Device]) -> None:
    world, _ = office
    asked, other = request_of(world), request_of(world)
    with pytest.raises(Untrusted) as caught:
        proposed(office, asked, add=(other.record(since=NOW),)).verify(world.view)
    assert caught.value.code == "identity-changed"


def test_the_administrator_may_choose_roles(office: tuple[World, Device]) -> None:
    world, _ = office
    request = request_of(world)
    record = request.record(since=NOW, roles=["desk"], not_after=NOW + 5)
    assert proposed(office, request, add=(record,)).verify(world.view)


def test_requests_are_checked_again(office: tuple[World, Device]) -> None:
    world, _ = office
    request = request_of(world)
    forged = EnrolRequest(request.proposal, request_of(world).proofs)
    with pytest.raises(BadSignature):
        proposed(office, forged).verify(world.view)
    elsewhere = newcomer(invite_to(b"x" * 48)).request
    with pytest.raises(Invalid):
        proposed(office, elsewhere).verify(world.view)


def test_only_an_administrator_of_the_agency_proposes(office: tuple[World, Device]) -> None:
    world, admin = office
    good = proposed(office)
    for change in ({"note": "other"}, {"time": 1}, {"signature": b""}):
        with pytest.raises(BadSignature):
            altered(good, **change).verify(world.view)
    with pytest.raises(Denied):
        altered(good, agency="cert-lt").verify(world.view)
    with pytest.raises(Untrusted):
        altered(good, proposer="cert-hr/nobody").verify(world.view)
    stranger = COMPOSITE.load(Secret.random(64))
    forged = PendingRoster.make(good.draft, (), proposer=admin.name, key=stranger, now=NOW)
    with pytest.raises(Untrusted):
        forged.verify(world.view)


def test_an_officer_proposes_nothing() -> None:
    world = World(["cert-hr"])
    plain = world.enrol("cert-hr", "d1", "liaison-1", "liaison")
    draft = authority.roster(world.view, "cert-hr", now=NOW)
    with pytest.raises(Denied):
        PendingRoster.make(draft, (), proposer=plain.name, key=plain.key, now=NOW).verify(world.view)


def test_a_draft_that_is_none(office: tuple[World, Device]) -> None:
    world, admin = office
    for content in (b"", b"{}", dict(world.log[0])["targets"]):
        pending = PendingRoster.make(Draft("cert-hr-roster", content), (), proposer=admin.name, key=admin.key, now=NOW)
        with pytest.raises(SecurechanError):
            pending.verify(world.view)


def test_an_agency_that_published_nothing_signs_nothing(office: tuple[World, Device]) -> None:
    world, _ = office
    with pytest.raises(Untrusted):
        altered(proposed(office), agency="cert-xx").signing(world.view)
