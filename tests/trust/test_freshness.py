"""Expiry: warned ahead, nothing new once it is there, sending goes on in grace."""

from __future__ import annotations

import pytest

from securechan.errors import Untrusted
from securechan.trust import freshness
from securechan.trust.freshness import Expiry, State
from securechan.trust.records import DAY, Lifetimes, Policy, made
from tests.support.federation import NOW, World


@pytest.fixture(scope="module")
def world() -> World:
    """Left as it is by the tests of this module."""
    world = World(policy=made(Policy, grace=14 * DAY))
    world.enrol("cert-hr", "d1")
    return world


def by_role(world: World, now: int) -> dict[str, Expiry]:
    return {expiry.role: expiry for expiry in world.view.check_fresh(now)}


def test_everything_is_fresh_at_first(world: World) -> None:
    states = by_role(world, NOW)
    roles = {"root", "targets", "snapshot", "timestamp", "cert-hr", "cert-lt", "cert-hr-roster"}
    assert set(states) == roles
    assert {expiry.state for expiry in states.values()} == {State.OK}
    assert world.view.check_fresh(NOW)[0].role == "timestamp"  # what expires first


@pytest.mark.parametrize(
    ("role", "days_left", "stage"),
    [
        ("root", 31, None),
        ("root", 30, 30),
        ("root", 15, 30),
        ("root", 14, 14),
        ("root", 7, 7),
        ("root", 1, 1),
        ("targets", 30, 30),
        ("cert-hr-roster", 29, None),  # it lives 30 days: not always warned about
        ("cert-hr-roster", 14, 14),
        ("cert-hr-roster", 1, 1),
        ("snapshot", 3, None),
        ("snapshot", 1, 1),
    ],
)
def test_people_are_told_ahead(world: World, role: str, days_left: int, stage: int | None) -> None:
    document = world.view.document(role)
    assert document is not None
    found = freshness.expiry(document, world.view.policy, document.expires - days_left * DAY)
    assert found.stage == stage
    assert found.state is (State.OK if stage is None else State.WARN)
    assert found.text == f"{role} expires in {days_left} d"
    assert found.hint


def test_a_timestamp_is_renewed_unattended_and_not_warned_about(world: World) -> None:
    assert by_role(world, NOW + DAY - 60)["timestamp"].state is State.OK
    assert by_role(world, NOW + DAY)["timestamp"].state is State.EXPIRED
    assert by_role(world, NOW + DAY + 3700)["timestamp"].text == "timestamp expired 1 h 1 min ago"


def test_on_expiry_nothing_new_is_admitted_but_sending_goes_on(world: World) -> None:
    view, name = world.view, "cert-hr/d1"
    assert view.may_admit(NOW, "cert-hr", name)
    assert view.may_send(NOW, name) == freshness.ALLOWED
    later = NOW + DAY
    refused = view.may_admit(later, "cert-hr")
    assert not refused
    assert refused.code == "frozen"
    with pytest.raises(Untrusted) as caught:
        refused.require()
    assert caught.value.hint
    allowed = view.may_send(later, name)
    assert allowed
    assert (allowed.code, bool(allowed.reason)) == ("grace", True)
    allowed.require()


def test_grace_ends(world: World) -> None:
    beyond = NOW + DAY + 14 * DAY
    assert world.view.may_send(beyond - 1, "cert-hr/d1")
    refused = world.view.may_send(beyond, "cert-hr/d1")
    assert not refused
    assert refused.code == "frozen"
    assert by_role(world, beyond)["timestamp"].state is State.BEYOND


def test_a_frozen_view_is_told_from_an_expired_one(world: World) -> None:
    world.view.require_fresh(NOW)
    with pytest.raises(Untrusted) as caught:
        world.view.require_fresh(NOW + DAY)
    assert caught.value.code == "frozen"


def test_an_expired_roster_is_its_agency_s_affair() -> None:
    world = World()
    world.enrol("cert-hr", "d1")
    world.now += 20 * DAY
    world.enrol("cert-lt", "d1")
    world.now += 11 * DAY  # the roster of cert-hr lived 30 days
    world.refresh()
    assert world.view.may_admit(world.now, "cert-hr").code == "expired"
    assert world.view.may_admit(world.now, "cert-lt")
    assert world.view.may_send(world.now, "cert-hr/d1").code == "grace"


def test_a_device_admitted_for_a_time() -> None:
    from securechan.trust import authority
    from tests.support.federation import make_device

    world = World()
    guest = authority.changed(make_device("cert-hr", "d1").record, not_after=NOW + 100)
    world.publish(world.roster("cert-hr", add=[guest]))
    assert world.view.may_send(NOW + 99, "cert-hr/d1")
    refused = world.view.may_send(NOW + 100, "cert-hr/d1")
    assert (bool(refused), refused.code) == (False, "expired")


@pytest.mark.parametrize(
    ("device", "code"),
    [
        ("cert-hr/d9", "unknown-device"),
        ("cert-xx/d1", "unknown-agency"),
        ("cert-lt/d1", "unknown-agency"),
        ("x", "unknown-agency"),
    ],
)
def test_who_is_not_listed_is_not_sent_to(world: World, device: str, code: str) -> None:
    refused = world.view.may_send(NOW, device)
    assert (bool(refused), refused.code) == (False, code)


def test_each_role_has_its_lifetime() -> None:
    lifetimes = Lifetimes()
    assert [
        freshness.lifetime(lifetimes, role) // DAY for role in ("root", "targets", "cert-hr", "cert-hr-roster")
    ] == [
        365,
        90,
        90,
        30,
    ]
    assert freshness.lifetime(lifetimes, "timestamp") == DAY
    assert freshness.lifetime(lifetimes, "snapshot") == 7 * DAY


def test_each_role_is_renewed_by_somebody_else(world: World) -> None:
    hints = {expiry.role: expiry.hint for expiry in world.view.check_fresh(NOW)}
    assert hints["timestamp"] == hints["snapshot"] != hints["targets"]
    assert "root rotate" in hints["root"]
    assert "authority" in hints["cert-hr"]
    assert "roster" in hints["cert-hr-roster"]
