"""Publications: what is honest goes in, and every attack on the order of things is refused by its own name."""

from __future__ import annotations

import json
from typing import Any

import pytest

from securechan.errors import SecurechanError
from securechan.trust import authority, workflow
from securechan.trust.contents import target
from securechan.trust.keys import Kind, TrustSigner
from securechan.trust.records import DAY, Policy, Thresholds, made
from securechan.trust.view import View
from tests.support.federation import NOW, World, forge, make_device, root_signer
from tests.trust.refusals import bump, content, refused

# ------------------------------------------------------------------------------------------------------ honest progress


def test_a_history_replays_to_the_same_view(world: World) -> None:
    world.enrol("cert-hr", "l1-laptop", "liaison-1", "liaison", "admin")
    world.enrol("cert-lt", "d1", "desk-1", "desk")
    world.refresh()
    world.revoke("cert-hr/l1-laptop")
    view = View.bootstrap(world.root)
    other = World.__new__(World)
    other.view = view
    for publication in world.log:
        view = view.apply(publication, position=other.place())
        other.view = view
    assert view == world.view
    assert View.decode(view.encode()) == view


def test_a_publication_a_year_old_applies_today(world: World) -> None:
    world.now += 3 * DAY
    publication = world.log[0]
    view = View.bootstrap(world.root).apply(publication, position=world.place())
    assert view.started  # the verdict has no clock: freshness speaks of time


def test_a_refused_publication_leaves_the_view_as_it_was(world: World) -> None:
    before = world.view.encode()
    refused("mixed", lambda: world.view.apply((), position=world.place()))
    assert world.view.encode() == before
    assert world.view.skip(world.place()).version == world.view.version


# --------------------------------------------------------------------------------------------------- rollback and mixes


def test_an_old_publication_again_is_a_rollback(world: World) -> None:
    world.refresh()
    refused("rollback", lambda: world.view.apply(world.log[0], position=world.place()))
    refused("rollback", lambda: world.view.apply(world.log[1], position=world.place()))


def test_an_old_snapshot_under_a_new_timestamp(world: World) -> None:
    world.enrol("cert-hr", "d1")
    refused("rollback", lambda: world.force({}, versions={"snapshot": 1}))


def test_an_old_roster_under_a_new_snapshot(world: World) -> None:
    world.enrol("cert-hr", "d1")
    old = content(world, "cert-hr-roster")
    world.revoke("cert-hr/d1")
    refused("rollback", lambda: world.force({"cert-hr-roster": old}))


def test_the_same_version_twice(world: World) -> None:
    world.enrol("cert-hr", "d1")
    same = authority.roster(None, "cert-hr", now=NOW, add=[make_device("cert-hr", "d2").record])
    refused("rollback", lambda: world.force({"cert-hr-roster": same.sign(*world.keys["cert-hr"].roster).content}))


def test_a_document_that_the_snapshot_does_not_name(world: World) -> None:
    draft = world.roster("cert-hr", add=[make_device("cert-hr", "d1").record])
    refused("mixed", lambda: world.force({draft.role: draft.content}, drop=[draft.role]))


def test_a_snapshot_that_drops_a_document(world: World) -> None:
    world.enrol("cert-hr", "d1")
    refused("mixed", lambda: world.force({}, drop=["cert-hr-roster"]))
    refused("mixed", lambda: world.force({}, drop=["targets"]))


def test_a_snapshot_that_names_what_is_not_there(world: World) -> None:
    def more(body: dict[str, Any]) -> None:
        body["meta"]["cert-hr-roster.json"] = body["meta"]["cert-hr.json"]

    refused("mixed", lambda: world.force({}, snapshot=more))


@pytest.mark.parametrize(("field", "value"), [("length", 5), ("hashes", {"sha384": "00" * 48})])
def test_a_document_is_held_against_hash_and_length(world: World, field: str, value: object) -> None:
    def other(body: dict[str, Any]) -> None:
        body["meta"]["cert-hr.json"][field] = value

    refused("hash-mismatch", lambda: world.force({}, snapshot=other))

    def stamp(body: dict[str, Any]) -> None:
        body["meta"]["snapshot.json"][field] = value

    refused("hash-mismatch", lambda: world.force({}, timestamp=stamp))


def test_a_snapshot_that_names_another_version(world: World) -> None:
    def other(body: dict[str, Any]) -> None:
        body["meta"]["cert-hr.json"]["version"] = 7

    refused("mixed", lambda: world.force({}, snapshot=other))


def test_a_federation_without_targets(world: World) -> None:
    world.view = View.bootstrap(world.root)
    refused("mixed", lambda: world.force({}))


def test_two_versions_of_a_role_in_one_publication(world: World) -> None:
    publication = world.seal({"targets": forge(content(world, "targets"), bump, world.targets)})
    refused("mixed", lambda: world.view.apply((*publication, publication[0]), position=world.place()))


def test_a_publication_without_its_timestamp(world: World) -> None:
    publication = [pair for pair in world.seal({}) if pair[0] != "timestamp"]
    refused("mixed", lambda: world.view.apply(publication, position=world.place()))


def test_the_first_publication_needs_everything(world: World) -> None:
    fresh = View.bootstrap(world.root)
    for role in ("snapshot", "targets", "timestamp"):
        part = [pair for pair in world.log[0] if pair[0] != role]
        refused("mixed", lambda part=part: fresh.apply(part, position=world.place()))


def test_more_than_a_publication_may_have(world: World) -> None:
    refused("too-large", lambda: world.view.apply([("root", bytes(3 << 20))], position=world.place()))
    refused("too-large", lambda: world.view.apply([("root", b"")] * 300, position=world.place()))


# ----------------------------------------------------------------------------------------------------------- signatures


@pytest.mark.parametrize("role", ["targets", "cert-hr", "cert-hr-roster"])
def test_everything_is_signed_by_its_delegator(world: World, role: str) -> None:
    world.enrol("cert-hr", "d1")
    stranger = TrustSigner.generate(Kind.COMPOSITE)
    for signers in ((stranger,), (world.online,), (), (world.keys["cert-lt"].authority,)):
        forged = forge(content(world, role), bump, *signers)
        refused("wrong-signature", lambda forged=forged: world.force({role: forged}))


def test_a_signature_over_other_words(world: World) -> None:
    honest = forge(content(world, "targets"), bump, world.targets)
    value = json.loads(honest)
    value["signed"]["expires"] = "2030-01-01T00:00:00Z"
    altered = json.dumps(value, sort_keys=True, separators=(",", ":")).encode()
    refused("wrong-signature", lambda: world.force({"targets": altered}))


def test_the_online_roles_are_signed_by_the_online_key(world: World) -> None:
    stranger = TrustSigner.generate(Kind.COMPOSITE)
    refused("wrong-signature", lambda: world.force({}, signer=stranger))
    refused("wrong-signature", lambda: world.force({}, signer=world.targets))


def test_one_of_two_is_below_the_threshold() -> None:
    world = World(["cert-hr"], roster_threshold=2)
    draft = authority.roster(world.view, "cert-hr", now=NOW, add=[make_device("cert-hr", "d1").record])
    one, two = world.keys["cert-hr"].roster
    once = draft.sign(one)
    refused("threshold", lambda: world.publish(once))
    twice = forge(draft.content, lambda _: None, one)
    refused("threshold", lambda: world.force({draft.role: twice}))
    world.publish(once.sign(two))
    assert world.view.find("cert-hr/d1") is not None


def test_one_key_under_two_ids_counts_once() -> None:
    world = World(["cert-hr"], roster_threshold=2)
    one, _ = world.keys["cert-hr"].roster

    def twice(body: dict[str, Any]) -> None:
        bump(body)
        keys = body["delegations"]["keys"]
        keys["ab" * 48] = keys[one.keyid]
        body["delegations"]["roles"][0]["keyids"].append("ab" * 48)

    with pytest.raises(SecurechanError):
        world.force({"cert-hr": forge(content(world, "cert-hr"), twice, world.keys["cert-hr"].authority)})


# ----------------------------------------------------------------------------------------------------------------- root


def test_a_root_rotation_is_signed_by_old_and_new(world: World) -> None:
    fresh = root_signer(1)
    draft = authority.rotate_root(world.view, now=NOW, root_keys=[fresh.public])
    for half in (draft.sign(fresh), draft.sign(world.root_key)):
        refused("wrong-signature", lambda half=half: world.publish(half))
    world.publish(draft.sign(world.root_key, fresh))
    assert world.view.root_version == 2
    assert View.decode(world.view.encode()) == world.view
    assert world.view.root_id == View.bootstrap(world.root).root_id
    # the old key alone is nobody now
    again = authority.rotate_root(world.view, now=NOW).sign(world.root_key)
    refused("wrong-signature", lambda: world.publish(again))


def test_root_versions_have_no_gaps(world: World) -> None:
    draft = authority.rotate_root(world.view, now=NOW).sign(world.root_key)

    def skip(body: dict[str, Any]) -> None:
        body["version"] = 3

    refused("mixed", lambda: world.force({"root": forge(draft.content, skip, world.root_key)}))
    refused("rollback", lambda: world.force({"root": world.root}))
    world.publish(draft)
    refused("rollback", lambda: world.publish(draft))


def test_the_first_root_is_version_one_and_signs_itself(world: World) -> None:
    other = forge(world.root, bump, world.root_key)
    refused("mixed", lambda: View.bootstrap(other))
    unsigned = forge(world.root, lambda _: None)
    refused("wrong-signature", lambda: View.bootstrap(unsigned))
    refused("wrong-root", lambda: View.bootstrap(world.root, root_id=bytes(48)))


def test_a_new_online_key_ends_a_stolen_one_s_lead(world: World) -> None:
    world.take(world.seal({}, versions={"snapshot": 2**50, "timestamp": 2**50}))  # by the thief
    fresh = TrustSigner.generate(Kind.COMPOSITE)
    draft = authority.rotate_root(world.view, now=NOW, online=[fresh.public]).sign(world.root_key)
    stolen = world.online
    refused("wrong-signature", lambda: world.force({"root": draft.content}))  # the thief can't go on
    honest = world.seal({"root": draft.content}, signer=fresh, versions={"snapshot": 2, "timestamp": 2})
    world.take(honest)
    assert world.view.version == 2
    refused("wrong-signature", lambda: world.force({}, signer=stolen))
    world.online = fresh
    world.refresh()


def test_new_federation_keys_sign_targets_in_the_same_publication(world: World) -> None:
    fresh = TrustSigner.generate(Kind.COMPOSITE)
    root = authority.rotate_root(world.view, now=NOW, targets_keys=[fresh.public]).sign(world.root_key)
    refused("wrong-signature", lambda: world.publish(root))
    targets = authority.federation(world.view, now=NOW)
    refused("wrong-signature", lambda: world.publish(root, targets.sign(world.targets)))
    world.publish(root, targets.sign(fresh))


# ------------------------------------------------------------------------------------------ agencies and what is theirs


def test_an_agency_speaks_for_its_own_paths_only(world: World) -> None:
    world.enrol("cert-hr", "d1")
    world.enrol("cert-lt", "d1")

    def foreign(body: dict[str, Any]) -> None:
        bump(body)
        body["targets"]["cert-lt/d9"] = next(iter(body["targets"].values()))

    forged = forge(content(world, "cert-hr-roster"), foreign, *world.keys["cert-hr"].roster)
    refused("foreign-path", lambda: world.force({"cert-hr-roster": forged}))

    def wide(body: dict[str, Any]) -> None:
        bump(body)
        body["delegations"]["roles"][0]["paths"] = ["cert-lt/*"]

    forged = forge(content(world, "cert-hr"), wide, world.keys["cert-hr"].authority)
    refused("foreign-path", lambda: world.force({"cert-hr": forged}))

    def open_ended(body: dict[str, Any]) -> None:
        bump(body)
        body["delegations"]["roles"][0]["terminating"] = False

    forged = forge(content(world, "targets"), open_ended, world.targets)
    refused("foreign-path", lambda: world.force({"targets": forged}))


def test_a_record_of_another_agency_in_ones_own_path(world: World) -> None:
    stranger = make_device("cert-lt", "d9")

    def smuggle(body: dict[str, Any]) -> None:
        bump(body)
        body["targets"]["cert-hr/d9"] = target("cert-hr/d9", stranger.record).to_dict()

    world.enrol("cert-hr", "d1")
    forged = forge(content(world, "cert-hr-roster"), smuggle, *world.keys["cert-hr"].roster)
    refused("foreign-path", lambda: world.force({"cert-hr-roster": forged}))


def test_an_agency_that_was_not_admitted(world: World) -> None:
    papers = world.apply_for("cert-it")
    refused("unknown-role", lambda: world.publish(papers.draft))
    refused("unknown-role", lambda: world.view.apply([("evil role", b"{}")], position=world.place()))


def test_a_roster_without_its_agency_s_document(world: World) -> None:
    papers = world.apply_for("cert-it")
    targets = authority.federation(world.view, now=NOW, admit=[papers]).sign(world.targets)
    roster = authority.roster(None, "cert-it", now=NOW).sign(*world.keys["cert-it"].roster)
    refused("unknown-role", lambda: world.publish(targets, roster))
    world.publish(targets, papers.draft, roster)
    assert world.view.roster_version("cert-it") == 1


def test_two_agencies_do_not_share_keys(world: World) -> None:
    papers = world.apply_for("cert-it")
    stolen = authority.application(
        papers.record,
        keys=[world.keys["cert-it"].authority.public],
        threshold=1,
        roster_keys=[world.keys["cert-hr"].roster[0].public],
        roster_threshold=1,
        now=NOW,
    )
    stolen = authority.sign_application(stolen, world.keys["cert-it"].authority)
    targets = authority.federation(world.view, now=NOW, admit=[stolen]).sign(world.targets)
    refused("wrong-key", lambda: world.publish(targets, stolen.draft))


def test_an_agency_does_not_hold_the_online_key(world: World) -> None:
    keys = world.keys["cert-hr"]
    draft = authority.agency(
        world.view, "cert-hr", now=NOW, roster_keys=[world.online.public], roster_threshold=1
    ).sign(keys.authority)
    refused("wrong-key", lambda: world.publish(draft))


def test_an_agency_that_looks_like_another(world: World) -> None:
    refused("look-alike", lambda: authority.federation(world.view, now=NOW, admit=[world.apply_for("cert-1t")]))


def test_a_removed_agency_speaks_no_more_and_comes_back_no_older(world: World) -> None:
    world.enrol("cert-hr", "d1")
    old = content(world, "cert-hr-roster")
    world.revoke("cert-hr/d1")
    world.publish(authority.federation(world.view, now=NOW, remove=["cert-hr"]).sign(world.targets))
    assert "cert-hr" not in world.view.agencies
    assert world.view.devices("cert-hr") == ()
    assert all(document.role != "cert-hr" for document in world.view.documents())
    assert View.decode(world.view.encode()) == world.view
    refused("unknown-role", lambda: world.publish(world.roster("cert-hr")))
    keys = world.keys["cert-hr"]
    papers = world.apply_for("cert-hr")
    targets = authority.federation(world.view, now=NOW, admit=[papers]).sign(world.targets)
    refused("rollback", lambda: world.publish(targets, papers.draft))
    world.keys["cert-hr"] = keys
    assert refused("rollback", lambda: world.force({"targets": targets.content, "cert-hr-roster": old}))


def test_policy_is_held_against_everybody(world: World) -> None:
    strict = made(Policy, thresholds=Thresholds(roster=2))
    refused(
        "threshold", lambda: world.publish(authority.federation(world.view, now=NOW, policy=strict).sign(world.targets))
    )
    world.publish(
        authority.federation(world.view, now=NOW, policy=made(Policy, devices_per_agency=1)).sign(world.targets)
    )
    world.enrol("cert-hr", "d1")
    refused("policy", lambda: world.enrol("cert-hr", "d2"))


def test_what_is_held_is_checked_as_a_whole_too(world: World) -> None:
    world.enrol("cert-hr", "d1")
    workflow.check_all(world.view.roots, world.view.held)
    for role in world.view.held:
        lacking = {r: d for r, d in world.view.held.items() if r != role}
        refused("mixed", lambda lacking=lacking: workflow.check_all(world.view.roots, lacking))
