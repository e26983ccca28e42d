"""The publisher: signs what verifies, renews what expires, refuses the rest before it stands in the log."""

from __future__ import annotations

import pytest

from securechan.errors import Untrusted
from securechan.trust import authority, publisher
from securechan.trust.keys import Kind, TrustSigner
from securechan.trust.records import DAY
from securechan.trust.view import View
from tests.support.federation import NOW, World, forge, make_device


def code(caught: pytest.ExceptionInfo[Untrusted]) -> str:
    return caught.value.code


def test_a_publication_carries_its_snapshot_and_timestamp(world: World) -> None:
    publication = publisher.publish(world.view, [world.roster("cert-hr").pair()], world.online, now=NOW)
    assert [role for role, _ in publication] == ["cert-hr-roster", "snapshot", "timestamp"]
    assert world.view.apply(publication, position=world.place()).version == 2


def test_what_would_be_refused_is_not_published(world: World) -> None:
    draft = authority.roster(world.view, "cert-hr", now=NOW, add=[make_device("cert-hr", "d1").record])
    with pytest.raises(Untrusted) as caught:
        publisher.publish(world.view, [draft.pair()], world.online, now=NOW)
    assert code(caught) == "wrong-signature"


@pytest.mark.parametrize("role", ["snapshot", "timestamp"])
def test_only_the_publisher_makes_snapshots(world: World, role: str) -> None:
    content = dict(world.log[0])[role]
    with pytest.raises(Untrusted) as caught:
        publisher.publish(world.view, [(role, content)], world.online, now=NOW)
    assert code(caught) == "unknown-role"


def test_a_key_that_the_root_does_not_name(world: World) -> None:
    with pytest.raises(Untrusted) as caught:
        publisher.refresh(world.view, TrustSigner.generate(Kind.COMPOSITE), now=NOW)
    assert code(caught) == "wrong-key"
    assert caught.value.hint


def test_nothing_is_published_without_a_federation(world: World) -> None:
    with pytest.raises(Untrusted) as caught:
        publisher.publish(View.bootstrap(world.root), [], world.online, now=NOW)
    assert code(caught) == "mixed"


def test_what_has_expired_is_not_published(world: World) -> None:
    draft = world.roster("cert-hr")
    with pytest.raises(Untrusted) as caught:
        publisher.publish(world.view, [draft.pair()], world.online, now=NOW + 31 * DAY)
    assert code(caught) == "expired"


def test_what_would_live_too_long_is_not_published(world: World) -> None:
    def eternal(body: dict[str, object]) -> None:
        body["expires"] = "2099-01-01T00:00:00Z"

    draft = world.roster("cert-hr")
    forged = forge(draft.content, eternal, *world.keys["cert-hr"].roster)
    with pytest.raises(Untrusted, match="policy allows 30"):
        publisher.publish(world.view, [(draft.role, forged)], world.online, now=NOW)


def test_the_timestamp_is_renewed_at_half_its_life(world: World) -> None:
    assert not publisher.needs_refresh(world.view, NOW)
    assert not publisher.needs_refresh(world.view, NOW + DAY // 2 - 1)
    world.now = NOW + DAY // 2
    assert publisher.needs_refresh(world.view, world.now)
    publication = publisher.refresh(world.view, world.online, now=world.now)
    assert [role for role, _ in publication] == ["timestamp"]
    world.take(publication)
    assert not publisher.needs_refresh(world.view, world.now)
    assert world.view.version == 1


def test_the_snapshot_is_renewed_with_it_at_half_its_own(world: World) -> None:
    world.now = NOW + 4 * DAY
    world.refresh()
    assert [role for role, _ in world.log[-1]] == ["snapshot", "timestamp"]
    assert world.view.version == 2
    assert all(expiry.left > 0 for expiry in world.view.check_fresh(world.now))


def test_a_month_of_renewals_replays(world: World) -> None:
    for _ in range(60):
        world.now += DAY // 2
        assert publisher.needs_refresh(world.view, world.now)
        world.refresh()
    view = View.bootstrap(world.root)
    for number, publication in enumerate(world.log, 1):
        from securechan.trust.view import Place

        view = view.apply(publication, position=Place(number, bytes(48)))
    assert view.held == world.view.held
