"""What key holders read before they sign."""

from __future__ import annotations

from securechan.trust import authority
from securechan.trust.diff import diff
from securechan.trust.draft import Draft
from securechan.trust.keys import Kind, TrustSigner
from securechan.trust.records import DAY, CommunityBinding, Lifetimes, Policy, RelayRecord, Thresholds, made
from tests.support.federation import NOW, World, make_device


def lines(world: World, draft: Draft) -> tuple[str, ...]:
    headline, *rest = diff(world.view, draft)
    assert headline.startswith(f"{draft.role} version {draft.version} (")
    return tuple(rest)


def test_a_roster(world: World) -> None:
    one = world.enrol("cert-hr", "d1", "liaison-1", "liaison")
    world.enrol("cert-hr", "d2", "desk-1", "desk")
    three = make_device("cert-hr", "d3", "liaison-2", "desk", "admin")
    new_key = make_device("cert-hr", "x").record.signature_key
    changed = authority.changed(
        authority.add_key(one.record, "hybrid", new_key),
        roles=frozenset({"liaison", "desk"}),
        inbox=make_device("cert-hr", "y").record.inbox,
        not_after=NOW + 86_400,
    )
    draft = world.roster(
        "cert-hr", add=[three.record], replace=[changed], revoke={"d2": "lost"}, cards={"liaison-1": b"x"}
    )
    found = lines(world, draft)
    assert f"+ device d3: officer liaison-2, admin and desk, key {three.record.hashes()[0].hex()[:16]}" in found
    assert "- device d2 of desk-1: lost" in found
    assert "~ device d1: roles liaison → desk, liaison" in found
    assert f"~ device d1: new key {changed.hashes()[1].hex()[:16]}" in found
    assert "~ device d1: new inbox key" in found
    assert "~ device d1: until 2027-01-16" in found
    assert "+ contact card of liaison-1" in found
    assert len(found) == 7
    world.publish(draft)
    dropped = authority.drop_key(changed, "hybrid", changed.hashes()[0])
    draft = world.roster("cert-hr", replace=[authority.changed(dropped, not_after=None)], cards={"liaison-1": None})
    assert set(lines(world, draft)) == {
        f"~ device d1: key {changed.hashes()[0].hex()[:16]} revoked",
        "~ device d1: until further notice",
        "- contact card of liaison-1",
    }


def test_nothing_changes(world: World) -> None:
    world.enrol("cert-hr", "d1")
    for draft in (
        world.roster("cert-hr"),
        authority.agency(world.view, "cert-hr", now=NOW),
        authority.federation(world.view, now=NOW),
        authority.rotate_root(world.view, now=NOW),
    ):
        assert lines(world, draft) == ()


def test_the_federation(world: World) -> None:
    papers = world.apply_for("cert-it")
    draft = authority.federation(
        world.view,
        now=NOW,
        policy=made(Policy, grace=5),
        admit=[papers],
        remove=["cert-lt"],
        drop_relays=["relay-1"],
        communities=[made(CommunityBinding, name="eu-csirts", title="All", founders=("cert-hr/d1",))],
    )
    found = lines(world, draft)
    assert "~ policy: grace: 14 days → 5 s" in found
    assert "+ agency cert-it: 'Agency cert-it' HR" in found
    assert "+ agency cert-it: 1 of 1 keys sign" in found
    assert "- agency cert-lt" in found
    assert "- relay relay-1" in found
    assert "+ community eu-csirts: 'All', founder cert-hr/d1" in found


def test_no_field_of_policy_hides_behind_another(world: World) -> None:
    policy = made(Policy, lifetimes=made(Lifetimes, root=8 * DAY), thresholds=made(Thresholds, roster=2))
    draft = authority.federation(world.view, now=NOW, policy=policy)
    assert lines(world, draft) == ("~ policy: lifetimes.root: 365 days → 8 days", "~ policy: thresholds.roster: 1 → 2")
    first = diff(None, draft)
    assert "+ policy: profiles: hybrid" in first
    assert "+ policy: thresholds: root 1, targets 1, agency 1, roster 2" in first
    assert "+ policy: grace: 14 days" in first
    (lifetimes,) = (line for line in first if "lifetimes" in line)
    assert "timestamp 1 day, " in lifetimes
    assert "root 8 days" in lifetimes


def test_a_relay_s_new_keys(world: World) -> None:
    other = RelayRecord.make(
        "relay-1", ["wss://b"], [world.relay_kem], [world.online.public, world.targets.public], publisher=True
    )
    found = lines(world, authority.federation(world.view, now=NOW, relays=[other]))
    assert "~ relay relay-1: urls: ws://127.0.0.1:1 → wss://b" in found
    assert any(line.startswith(f"~ relay relay-1: online.{world.targets.keyid[:16]}: nothing → ") for line in found)
    assert len(found) == 2


def test_keys_and_thresholds(world: World) -> None:
    more = [TrustSigner.generate(Kind.COMPOSITE) for _ in range(2)]
    draft = authority.agency(
        world.view, "cert-hr", now=NOW, roster_keys=[key.public for key in more], roster_threshold=2
    )
    found = lines(world, draft)
    assert "~ roster: 2 of 2 keys sign, it was 1 of 1" in found
    assert {f"+ roster: key {key.keyid[:16]}" for key in more} <= set(found)
    assert f"- roster: key {world.keys['cert-hr'].roster[0].keyid[:16]}" in found


def test_a_snapshot_says_nothing_to_people(world: World) -> None:
    (headline,) = diff(None, Draft("snapshot", dict(world.log[0])["snapshot"]))
    assert headline == "snapshot version 1 (new), expires 2027-01-22"


def test_a_draft_that_breaks_the_rules_is_told_as_it_is(world: World) -> None:
    """A key holder may be shown a draft that the workflow will refuse; the words must not hide why."""
    device = world.enrol("cert-hr", "d1", "liaison-1", "desk")
    moved = authority.changed(device.record, officer="liaison-2", not_after=NOW + 86_400)
    draft = authority.roster(None, "cert-hr", now=NOW, add=[moved])
    found = lines(world, draft)
    assert "~ device d1: officer liaison-1 → liaison-2" in found
    gone = authority.roster(None, "cert-hr", now=NOW)
    assert lines(world, gone) == ("- device d1 of liaison-1: without a tombstone",)
    timed = authority.changed(make_device("cert-hr", "d2").record, not_after=NOW + 86_400)
    (line,) = lines(world, authority.roster(None, "cert-hr", now=NOW, add=[device.record, timed]))
    assert line.endswith(", until 2027-01-16")
