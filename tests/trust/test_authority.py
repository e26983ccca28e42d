"""Making documents: what would be refused when published is refused when made."""

from __future__ import annotations

import json

import pytest

from securechan.errors import Conflict, Invalid, Malformed, NotFound, Untrusted
from securechan.trust import authority, strict
from securechan.trust.authority import Application
from securechan.trust.keys import Kind, TrustSigner
from securechan.trust.records import DAY, AgencyRecord, Lifetimes, Policy, made
from securechan.trust.view import View
from tests.support.federation import NOW, World, make_device


def test_the_first_root_names_the_federation() -> None:
    root, targets, online = (TrustSigner.generate(kind) for kind in (Kind.ROOT_PAIR, Kind.COMPOSITE, Kind.COMPOSITE))
    draft = authority.root_init(
        root_keys=[root.public],
        root_threshold=1,
        targets_keys=[targets.public],
        targets_threshold=1,
        online=[online.public],
        now=NOW,
    ).sign(root)
    view = View.bootstrap(draft.content)
    assert view.root_id == draft.document.digest
    assert view.office("targets", targets.keyid) == targets.public
    with pytest.raises(Untrusted) as caught:
        authority.root_init(
            root_keys=[root.public],
            root_threshold=2,
            targets_keys=[targets.public],
            targets_threshold=1,
            online=[online.public],
            now=NOW,
        )
    assert caught.value.code == "threshold"
    with pytest.raises((Malformed, Invalid)):
        authority.root_init(
            root_keys=[targets.public],
            root_threshold=1,
            targets_keys=[targets.public],
            targets_threshold=1,
            online=[online.public],
            now=NOW,
        )


def test_an_application_proves_its_keys(world: World) -> None:
    papers = world.apply_for("cert-it")
    again = Application.decode(papers.encode())
    assert again == papers
    unsigned = Application(
        papers.record, papers.keys, 1, (authority.Draft(papers.agency, _bare(papers.draft.content)),)
    )
    with pytest.raises(Untrusted) as caught:
        Application.decode(unsigned.encode())
    assert caught.value.code == "threshold"
    with pytest.raises(Untrusted):
        authority.federation(world.view, now=NOW, admit=[unsigned])
    mallory = TrustSigner.generate(Kind.COMPOSITE)
    other = Application(papers.record, (mallory.public,), 1, papers.documents)
    with pytest.raises(Untrusted):
        other.check()


def _bare(content: bytes) -> bytes:
    return strict.dump(json.loads(content) | {"signatures": []})


@pytest.mark.parametrize("field", ["record", "keys", "threshold", "documents", "kind", "v"])
def test_half_an_application(world: World, field: str) -> None:
    value = json.loads(world.apply_for("cert-it").encode())
    for wrong in (None, 7, "x", [], [[1, 2]], {}):
        with pytest.raises((Malformed, Invalid, Untrusted)):
            Application.decode(strict.dump({**value, field: wrong}))
    del value[field]
    with pytest.raises((Malformed, Invalid, Untrusted)):
        Application.decode(strict.dump(value))


@pytest.mark.parametrize("threshold", [0, -1, True])
def test_an_application_signed_by_nobody_is_malformed(world: World, threshold: object) -> None:
    value = json.loads(world.apply_for("cert-it").encode())
    with pytest.raises(Malformed, match="threshold"):
        Application.decode(strict.dump({**value, "threshold": threshold}))


def test_an_application_says_nothing_beside(world: World) -> None:
    value = json.loads(world.apply_for("cert-it").encode())
    with pytest.raises(Malformed, match="do not belong"):
        Application.decode(strict.dump({**value, "note": "admit us at once"}))


def test_agencies_come_change_and_go(world: World) -> None:
    papers = world.apply_for("cert-it")
    with pytest.raises(NotFound):
        authority.federation(world.view, now=NOW, rekey=[papers])
    with pytest.raises(NotFound):
        authority.federation(world.view, now=NOW, remove=["cert-it"])
    world.publish(authority.federation(world.view, now=NOW, admit=[papers]).sign(world.targets), papers.draft)
    with pytest.raises(Conflict):
        authority.federation(world.view, now=NOW, admit=[papers])
    world.enrol("cert-it", "d1")

    # the agency lost its offline key: the federation gives it another, the agency signs its document again
    old_roster = world.keys["cert-it"].roster
    fresh = TrustSigner.generate(Kind.COMPOSITE)
    again = authority.application(
        papers.record,
        keys=[fresh.public],
        threshold=1,
        roster_keys=[key.public for key in old_roster],
        roster_threshold=1,
        now=NOW,
    )
    rekey = authority.federation(world.view, now=NOW, rekey=[authority.sign_application(again, fresh)]).sign(
        world.targets
    )
    with pytest.raises(Untrusted):
        world.publish(rekey)  # the old document is signed by nobody now
    world.publish(rekey, authority.agency(world.view, "cert-it", now=NOW).sign(fresh))
    assert world.view.agency("cert-it").version == 2
    assert world.view.find("cert-it/d1") is not None

    world.publish(authority.federation(world.view, now=NOW, remove=["cert-it"]).sign(world.targets))
    assert "cert-it" not in world.view.agencies


def test_an_agency_changes_its_administrators(world: World) -> None:
    world.enrol("cert-hr", "d1")
    keys = world.keys["cert-hr"]
    fresh = [TrustSigner.generate(Kind.COMPOSITE) for _ in range(2)]
    draft = authority.agency(
        world.view, "cert-hr", now=NOW, roster_keys=[key.public for key in fresh], roster_threshold=2
    ).sign(keys.authority)
    with pytest.raises(Untrusted):
        world.publish(draft)  # the roster that stands is signed by the old ones
    world.publish(draft, authority.roster(world.view, "cert-hr", now=NOW).sign(*fresh))
    keys.roster = fresh
    world.enrol("cert-hr", "d2")
    member = world.view.agency("cert-hr")
    assert member.roster is not None
    assert member.roster.threshold == 2


def test_the_first_document_of_an_agency_needs_keys(world: World) -> None:
    papers = world.apply_for("cert-it")
    world.publish(authority.federation(world.view, now=NOW, admit=[papers]).sign(world.targets))
    with pytest.raises(NotFound):
        authority.agency(world.view, "cert-it", now=NOW)
    keys = world.keys["cert-it"]
    draft = authority.agency(
        world.view, "cert-it", now=NOW, roster_keys=[keys.roster[0].public], roster_threshold=1
    ).sign(keys.authority)
    world.publish(draft)
    assert world.view.may_admit(NOW, "cert-it").code == "unknown-agency"


def test_a_roster_changes_only_what_is_there(world: World) -> None:
    device = world.enrol("cert-hr", "d1")
    with pytest.raises(Conflict):
        authority.roster(world.view, "cert-hr", now=NOW, add=[device.record])
    with pytest.raises(NotFound):
        authority.roster(world.view, "cert-hr", now=NOW, revoke={"d9": "lost"})
    with pytest.raises(NotFound):
        authority.roster(world.view, "cert-hr", now=NOW, replace=[make_device("cert-hr", "d9").record])
    with pytest.raises(Invalid):
        authority.roster(world.view, "Cert", now=NOW)


def test_cards_come_with_their_officers_and_go_with_them(world: World) -> None:
    world.enrol("cert-hr", "d1", "liaison-1")
    world.enrol("cert-hr", "d2", "liaison-2")
    world.publish(world.roster("cert-hr", cards={"liaison-1": b"a", "liaison-2": b"b", "nobody": b"c"}))
    assert world.view.cards("cert-hr") == {"liaison-1": b"a", "liaison-2": b"b"}
    world.publish(world.roster("cert-hr", cards={"liaison-1": None}))
    assert world.view.cards("cert-hr") == {"liaison-2": b"b"}
    world.revoke("cert-hr/d2")
    assert world.view.cards("cert-hr") == {}


def test_a_roster_is_renewed_by_doing_nothing(world: World) -> None:
    world.enrol("cert-hr", "d1")
    before = world.view.document("cert-hr-roster")
    world.now += 10 * DAY
    world.publish(world.roster("cert-hr"))
    after = world.view.document("cert-hr-roster")
    assert before is not None
    assert after is not None
    assert after.expires - before.expires == 10 * DAY
    assert world.view.find("cert-hr/d1") is not None


def test_policy_sets_how_long_documents_live(world: World) -> None:
    short = made(Policy, lifetimes=made(Lifetimes, roster=DAY, targets=2 * DAY, agency=3 * DAY, root=8 * DAY))
    world.publish(authority.federation(world.view, now=NOW, policy=short).sign(world.targets))
    for draft, days in (
        (world.roster("cert-hr"), 1),
        (authority.federation(world.view, now=NOW), 2),
        (authority.agency(world.view, "cert-hr", now=NOW), 3),
        (authority.rotate_root(world.view, now=NOW), 8),
    ):
        assert draft.document.expires == NOW + days * DAY


def test_relays_are_replaced_by_name_and_dropped(world: World) -> None:
    with pytest.raises(NotFound):
        authority.federation(world.view, now=NOW, drop_relays=["relay-9"])
    with pytest.raises(NotFound):
        authority.federation(world.view, now=NOW, drop_communities=["none"])


def test_records_of_people_are_checked() -> None:
    with pytest.raises(Invalid):
        made(AgencyRecord, agency="cert-hr", title="x", country="hr")
