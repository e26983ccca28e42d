"""The view: what it answers, and that it survives the vault."""

from __future__ import annotations

import hashlib

import pytest

from securechan.errors import Malformed, SecurechanError, Untrusted
from securechan.trust import authority
from securechan.trust.keys import Kind, TrustSigner
from securechan.trust.records import CommunityBinding, key_hash, made
from securechan.trust.view import Place, SavedDocument, View, _Saved
from tests.support.federation import NOW, Device, World


@pytest.fixture(scope="module")
def peopled() -> tuple[World, Device, Device]:
    """cert-hr with a liaison and a desk, cert-lt with one that is gone. Left as it is."""
    world = World()
    one = world.enrol("cert-hr", "l1-laptop", "liaison-1", "liaison", "admin")
    world.enrol("cert-hr", "l1-phone", "liaison-1", "liaison")
    gone = world.enrol("cert-lt", "d1", "desk-1", "desk")
    world.revoke("cert-lt/d1", "left")
    world.enrol("cert-lt", "d2", "desk-1", "desk")
    return world, one, gone


def test_before_the_first_publication(peopled: tuple[World, Device, Device]) -> None:
    view = View.bootstrap(peopled[0].root, root_id=hashlib.sha384(peopled[0].root).digest())
    assert not view.started
    assert (view.version, view.root_version, view.position.sequence) == (0, 1, 0)
    assert view.agencies == {}
    assert view.devices() == view.devices("cert-hr") == ()
    assert (view.tombstones("cert-hr"), view.cards("cert-hr")) == ((), {})
    with pytest.raises(Untrusted) as caught:
        _ = view.policy
    assert caught.value.code == "not-started"
    assert View.decode(view.encode()) == view


def test_devices_are_found_by_name_officer_and_key(peopled: tuple[World, Device, Device]) -> None:
    world, one, _ = peopled
    view = world.view
    assert view.device(one.name) == view.find(one.name) == view.by_key(one.record.hashes()[0]) == one.record
    assert [record.device for record in view.devices_of("liaison-1@cert-hr")] == ["l1-laptop", "l1-phone"]
    assert view.devices_of("nobody@cert-hr") == ()
    assert {record.name for record in view.devices()} == {"cert-hr/l1-laptop", "cert-hr/l1-phone", "cert-lt/d2"}
    assert view.officers() == ("desk-1@cert-lt", "liaison-1@cert-hr")
    assert view.by_key(bytes(48)) is None


def test_who_is_gone_is_told_from_who_never_was(peopled: tuple[World, Device, Device]) -> None:
    world, _, gone = peopled
    view = world.view
    for name, code in ((gone.name, "revoked"), ("cert-lt/d9", "unknown-device"), ("junk\n", "unknown-device")):
        with pytest.raises(Untrusted) as caught:
            view.device(name)
        assert caught.value.code == code
        assert view.find(name) is None
    key = gone.record.hashes()[0]
    stone = view.tombstoned(key)
    assert stone is not None
    assert stone == view.revoked(gone.name) == view.tombstones("cert-lt")[0]
    assert stone.reason == "left"
    assert view.by_key(key) is None
    assert view.tombstoned(bytes(48)) is None


def test_agencies_and_their_key_holders(peopled: tuple[World, Device, Device]) -> None:
    world, _, _ = peopled
    view, keys = world.view, world.keys["cert-hr"]
    agency = view.agency("cert-hr")
    assert (agency.name, agency.version, agency.roster_version) == ("cert-hr", 1, 2)
    assert view.roster_version("cert-hr") == 2
    document = view.document("cert-hr-roster")
    assert document is not None
    assert view.roster_hash("cert-hr") == hashlib.sha384(document.content).digest()
    assert view.roster_hash("cert-xx") == bytes(48)
    assert view.office("cert-hr", keys.authority.keyid) == keys.authority.public
    assert view.office("cert-hr-roster", keys.roster[0].keyid) == keys.roster[0].public
    assert view.office("targets", world.targets.keyid) == world.targets.public


@pytest.mark.parametrize("role", ["root", "timestamp", "snapshot", "cert-xx", "cert-xx-roster", "", "x y"])
def test_nobody_has_an_office_that_there_is_not(peopled: tuple[World, Device, Device], role: str) -> None:
    world, _, _ = peopled
    with pytest.raises(Untrusted):
        world.view.office(role, world.online.keyid)
    with pytest.raises(Untrusted):
        world.view.office("targets", TrustSigner.generate(Kind.COMPOSITE).keyid)


def test_an_agency_without_documents_has_no_administrators() -> None:
    world = World(["cert-hr"])
    papers = world.apply_for("cert-lt")
    world.publish(authority.federation(world.view, now=NOW, admit=[papers]).sign(world.targets))
    assert world.view.agency("cert-lt").roster is None
    with pytest.raises(Untrusted) as caught:
        world.view.signatories("cert-lt-roster")
    assert caught.value.code == "unknown-role"


def test_relays_and_communities() -> None:
    world = World()
    publisher = world.view.publisher
    assert publisher is not None
    assert publisher.name == "relay-1"
    assert key_hash(world.online.public).hex() in publisher.online
    binding = made(CommunityBinding, name="eu-csirts", founders=("cert-hr/l1-laptop",))
    world.publish(authority.federation(world.view, now=NOW, communities=[binding]).sign(world.targets))
    assert world.view.communities == {"eu-csirts": binding}
    world.publish(
        authority.federation(world.view, now=NOW, drop_communities=["eu-csirts"], drop_relays=["relay-1"]).sign(
            world.targets
        )
    )
    assert world.view.communities == {}
    assert world.view.publisher is None


def test_positions_are_the_caller_s(peopled: tuple[World, Device, Device]) -> None:
    world, _, _ = peopled
    place = Place(77, b"c" * 48)
    assert world.view.skip(place).position is place
    assert world.view.skip(place).encode() != world.view.encode()
    assert View.decode(world.view.skip(place).encode()).position == place


def test_the_vault_s_bytes_are_verified_again(peopled: tuple[World, Device, Device]) -> None:
    world, _, _ = peopled
    saved = world.view.encode()
    assert View.decode(saved) == world.view
    with pytest.raises(Malformed):
        View.decode(saved[:-1])
    # one character of one document's signed part
    at = saved.index(b'"title":"Agency cert-lt"') + 9
    with pytest.raises(SecurechanError):
        View.decode(saved[:at] + b"a" + saved[at + 1 :])


def test_a_view_holds_each_document_once_and_under_its_name(peopled: tuple[World, Device, Device]) -> None:
    saved = _Saved.decode(peopled[0].view.encode())
    twice = _Saved(saved.place, saved.roots, (*saved.documents, saved.documents[-1]))
    misnamed = _Saved(saved.place, (SavedDocument("targets", saved.roots[0].content),), saved.documents)
    for other in (twice, misnamed):
        with pytest.raises(Malformed, match="another form"):
            View.decode(other.encode())


def test_a_view_without_a_root_is_none() -> None:
    with pytest.raises(Malformed):
        View.decode(Place(0, bytes(48)).encode() + b"\0\0")


def test_only_a_change_of_documents_makes_the_index_again(peopled: tuple[World, Device, Device]) -> None:
    world = World()
    world.enrol("cert-hr", "d1")
    index = world.view._index
    world.refresh()
    assert world.view._index is index
    world.enrol("cert-hr", "d2")
    assert world.view._index is not index
