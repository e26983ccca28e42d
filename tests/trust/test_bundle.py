"""Bundles and ceremonies: files that pass from hand to hand, signed by one key holder after the other."""

from __future__ import annotations

import json
from dataclasses import dataclass

import pytest

from securechan.errors import Conflict, Denied, Invalid, Malformed, Stale, Untrusted
from securechan.trust import authority, publisher, strict
from securechan.trust.bundle import Bundle, Ceremony
from securechan.trust.keys import Kind, TrustSigner
from securechan.trust.records import RelayRecord
from securechan.trust.view import View
from tests.support.federation import NOW, World, make_device, root_signer


@dataclass
class Founders:
    """Two root key holders, two administrators, an agency: 2 of 2 sign."""

    root: list[TrustSigner]
    targets: list[TrustSigner]
    online: TrustSigner
    ceremony: Ceremony
    papers: authority.Application


@pytest.fixture(scope="module")
def founders() -> Founders:
    root = [root_signer(0), root_signer(1)]
    targets = [TrustSigner.generate(Kind.COMPOSITE) for _ in range(2)]
    online = TrustSigner.generate(Kind.COMPOSITE)
    world = World([])
    papers = world.apply_for("cert-hr")
    relay = RelayRecord.make("relay-1", ["wss://r"], [world.relay_kem], [online.public], publisher=True)
    drafts = (
        authority.root_init(
            root_keys=[key.public for key in root],
            root_threshold=2,
            targets_keys=[key.public for key in targets],
            targets_threshold=2,
            online=[online.public],
            now=NOW,
        ),
        authority.federation(None, now=NOW, admit=[papers], relays=[relay]),
        *papers.documents,
    )
    return Founders(root, targets, online, Ceremony(None, drafts), papers)


def test_a_federation_is_founded_by_passing_a_file_on(founders: Founders) -> None:
    passed = founders.ceremony.encode()
    for signer in (*founders.root, *founders.targets):
        ceremony = Ceremony.decode(passed)
        assert not ceremony.complete
        with pytest.raises(Untrusted, match="more must sign"):
            ceremony.bundle()
        passed = ceremony.sign(signer).encode()
    ceremony = Ceremony.decode(passed)
    assert ceremony.complete
    bundle = Bundle.decode(ceremony.bundle().encode())
    view = View.bootstrap(bundle.root)
    publication = publisher.publish(view, bundle.rest, founders.online, now=NOW)
    assert "cert-hr" in view.apply(publication, position=view.position).agencies


def test_copies_signed_apart_are_merged(founders: Founders) -> None:
    one, other = founders.targets
    here, there = founders.ceremony.sign(one), founders.ceremony.sign(other)
    both = here.merge(there)
    (signing,) = [found for found in both.status() if found.role == "targets"]
    assert signing.missing == 0
    with pytest.raises(Conflict):
        here.merge(Ceremony(None, here.drafts[:2]))


def test_a_key_that_nobody_waits_for(founders: Founders) -> None:
    signed = founders.ceremony.sign(founders.targets[0])
    for signer in (founders.targets[0], founders.online):
        with pytest.raises(Denied) as caught:
            signed.sign(signer)
        assert caught.value.code == "wrong-key"


def test_who_signs_sees_what_changes(founders: Founders) -> None:
    text = "\n".join(founders.ceremony.describe())
    for said in (
        "root version 1",
        "2 of 2 keys sign",
        "+ agency cert-hr",
        "+ relay relay-1: wss://r",
        "+ roster: 1 of 1",
    ):
        assert said in text


def test_a_later_ceremony_rests_on_the_state_it_changes(world: World) -> None:
    fresh = TrustSigner.generate(Kind.COMPOSITE)
    targets_key = TrustSigner.generate(Kind.COMPOSITE)
    root = authority.rotate_root(world.view, now=NOW, online=[fresh.public], targets_keys=[targets_key.public])
    relay = RelayRecord.make("relay-1", ["wss://r"], [world.relay_kem], [fresh.public], publisher=True)
    targets = authority.federation(world.view, now=NOW, relays=[relay])
    ceremony = Ceremony.decode(Ceremony(world.view, (root, targets)).encode(), root_id=world.view.root_id)
    assert ceremony.base == world.view
    with pytest.raises(Denied):
        ceremony.sign(world.targets)  # the new root takes its place
    ceremony = ceremony.sign(world.root_key, targets_key)
    world.take(publisher.publish(world.view, ceremony.bundle().documents, fresh, now=NOW))
    assert world.view.root_version == 2
    assert "~ relay relay-1: online" in "\n".join(ceremony.describe())


def test_a_base_that_is_out_of_date_hides_nothing(world: World) -> None:
    """Whoever passes the file on chooses the base. With an old one, a draft that undoes all that came since changed, as
    far as a signer could read, nothing but the version."""
    old = world.view
    policy = old.policy
    stricter = policy.model_copy(update={"grace": 0})
    world.publish(authority.federation(old, now=NOW, policy=stricter).sign(world.targets))
    undoing = authority.federation(world.view, now=NOW, policy=policy)
    assert len(Ceremony(old, (undoing,)).describe()) == 1  # the version
    with pytest.raises(Stale, match="targets 3 of version 1"):
        Ceremony.decode(Ceremony(old, (undoing,)).encode())
    with pytest.raises(Stale, match="targets 3 of version 0"):
        Ceremony.decode(Ceremony(None, (undoing,)).encode())
    assert len(Ceremony.decode(Ceremony(world.view, (undoing,)).encode()).describe()) > 1


def test_rosters_and_agencies_are_signed_in_ceremonies_too(world: World) -> None:
    keys = world.keys["cert-hr"]
    fresh = TrustSigner.generate(Kind.COMPOSITE)
    agency = authority.agency(world.view, "cert-hr", now=NOW, roster_keys=[fresh.public], roster_threshold=1)
    roster = authority.roster(world.view, "cert-hr", now=NOW, add=[make_device("cert-hr", "d1").record])
    ceremony = Ceremony(world.view, (agency, roster))
    with pytest.raises(Denied):
        ceremony.sign(keys.roster[0])
    world.publish(*ceremony.sign(fresh, keys.authority).drafts)
    alone = Ceremony(world.view, (authority.roster(world.view, "cert-hr", now=NOW),))
    assert alone.sign(fresh).complete


def test_a_draft_without_what_delegates_to_it(world: World) -> None:
    draft = authority.roster(None, "cert-hr", now=NOW)
    with pytest.raises(Malformed):
        Ceremony(None, (draft,)).status()


def test_another_federation_s_ceremony_is_not_believed(world: World, founders: Founders) -> None:
    with pytest.raises(Conflict):
        Ceremony.decode(Ceremony(world.view, ()).encode(), root_id=bytes(48))
    with pytest.raises(Conflict):
        Ceremony.decode(founders.ceremony.encode(), root_id=world.view.root_id)


def test_a_ceremony_has_one_draft_a_role(world: World) -> None:
    draft = authority.federation(world.view, now=NOW)
    with pytest.raises(Malformed):
        Ceremony.decode(Ceremony(world.view, (draft, draft)).encode())


def test_a_bundle_begins_with_its_root(world: World) -> None:
    bundle = Bundle((("targets", b"x"),))
    with pytest.raises(Malformed):
        _ = bundle.root
    rotated = authority.rotate_root(world.view, now=NOW).sign(world.root_key)
    bundle = Bundle((("root", world.root), rotated.pair()))
    assert bundle.root == world.root
    assert bundle.rest == (rotated.pair(),)


@pytest.mark.parametrize("kind", [Bundle, Ceremony])
def test_files_that_are_something_else(world: World, kind: type[Bundle] | type[Ceremony]) -> None:
    good = json.loads(Bundle((("root", world.root),)).encode() if kind is Bundle else Ceremony(world.view, ()).encode())
    wrongs: list[object] = [{}, {**good, "v": 2}, {**good, "kind": "x"}]
    for field in good:
        wrongs += [
            {**good, field: wrong} for wrong in (None, 1, "?", [1], [[1, 2]], [["root", "?"]], [["root", "e30="]])
        ]
    for wrong in wrongs:
        if wrong == good:
            continue
        with pytest.raises((Malformed, Invalid, Untrusted, Conflict)):
            kind.decode(strict.dump(wrong))
    for data in (b"", b"\0", b"[]", strict.dump(good)[:-1]):
        with pytest.raises(Malformed):
            kind.decode(data)


def test_what_passes_from_hand_to_hand_has_one_form(founders: Founders) -> None:
    bundle = Bundle.of(founders.ceremony.drafts).encode()
    assert Bundle.decode(bundle).encode() == bundle
    for kind, content in ((Bundle, bundle), (Ceremony, founders.ceremony.encode())):
        with pytest.raises(Malformed, match="do not belong"):
            kind.decode(strict.dump({**json.loads(content), "note": "sign at once"}))
