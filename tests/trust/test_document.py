"""Documents: what they must be by themselves, and whatever they are, no foreign error."""

from __future__ import annotations

import contextlib
import copy
import hashlib
import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from securesystemslib.exceptions import FormatError
from tuf.api.metadata import Metadata, Root

from securechan.errors import Invalid, Malformed, Untrusted
from securechan.trust import authority, document, strict
from securechan.trust.contents import HASH, TOP, Federation, RootContents, Roster
from securechan.trust.keys import Kind, TrustSigner
from securechan.trust.records import Policy, RelayRecord, made
from securechan.trust.view import View
from tests.support.federation import NOW, World, forge, make_device, signed

REFUSALS = (Untrusted, Malformed, Invalid)


@pytest.fixture(scope="module")
def grown() -> World:
    """A federation in which every kind of record stands; tests of this module leave it as it is."""
    world = World()
    world.enrol("cert-hr", "d1", "liaison-1", "liaison", "admin")
    world.enrol("cert-hr", "d2", "desk-1", "desk")
    world.revoke("cert-hr/d2")
    world.publish(world.roster("cert-hr", cards={"liaison-1": b"sealed"}))
    return world


def content(world: World, role: str) -> bytes:
    found = world.view.document(role)
    assert found is not None
    return found.content


ROLES = ("root", "timestamp", "snapshot", "targets", "cert-hr", "cert-hr-roster")


@pytest.mark.parametrize("role", ROLES)
def test_real_documents_parse(grown: World, role: str) -> None:
    parsed = document.parse(role, content(grown, role))
    assert parsed == grown.view.document(role)
    assert parsed.role == role
    assert parsed.expires > NOW


def test_contents_are_typed(grown: World) -> None:
    root = document.parse("root", content(grown, "root")).contents
    assert isinstance(root, RootContents)
    assert set(root.roles) == set(TOP)
    targets = document.parse("targets", content(grown, "targets")).contents
    assert isinstance(targets, Federation)
    assert set(targets.agencies) == {"cert-hr", "cert-lt"}
    roster = document.parse("cert-hr-roster", content(grown, "cert-hr-roster")).contents
    assert isinstance(roster, Roster)
    assert list(roster.devices) == ["d1"]
    assert [stone.device for stone in roster.tombstones] == ["d2"]
    assert roster.cards == {"liaison-1": b"sealed"}


@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize("other", ROLES)
def test_no_document_stands_for_another_role(grown: World, role: str, other: str) -> None:
    if role != other:
        with pytest.raises(REFUSALS):
            document.parse(other, content(grown, role))


CHANGES: dict[str, Any] = {
    "version zero": lambda b: b.update(version=0),
    "version true": lambda b: b.update(version=True),
    "version text": lambda b: b.update(version="2"),
    "another specification": lambda b: b.update(spec_version="2.0.0"),
    "a date that is none": lambda b: b.update(expires="2027-02-30T00:00:00Z"),
    "a date in another form": lambda b: b.update(expires="2027-2-3T00:00:00Z"),
    "a field that does not belong": lambda b: b.update(extra=1),
    "another type": lambda b: b.update(_type="mirrors"),
    "no targets": lambda b: b.pop("targets"),
    "no delegations": lambda b: b.pop("delegations"),
    "no roles": lambda b: b["delegations"].pop("roles"),
    "succinct roles": lambda b: b["delegations"].update(
        succinct_roles={"keyids": [], "threshold": 1, "bit_length": 32, "name_prefix": "x"}
    ),
    "an agency twice": lambda b: b["delegations"]["roles"].append(b["delegations"]["roles"][0]),
    "an agency less": lambda b: b["delegations"]["roles"].pop(),
    "an agency without its record": lambda b: b["targets"].pop("agencies/cert-hr"),
    "threshold zero": lambda b: b["delegations"]["roles"][0].update(threshold=0),
    "threshold true": lambda b: b["delegations"]["roles"][0].update(threshold=True),
    "threshold beyond keys": lambda b: b["delegations"]["roles"][0].update(threshold=2),
    "keys that nobody uses": lambda b: b["delegations"]["roles"][0].update(keyids=[]),
    "a key twice": lambda b: b["delegations"]["roles"][0]["keyids"].append(b["delegations"]["roles"][0]["keyids"][0]),
    "key ids that are none": lambda b: b["delegations"]["roles"][0].update(keyids=[[1]]),
    "paths by hash": lambda b: b["delegations"]["roles"][0].update(path_hash_prefixes=["ab"]),
    "all paths": lambda b: b["delegations"]["roles"][0].update(paths=["*/*"]),
    "no policy": lambda b: b["targets"].pop("federation/policy"),
    "a path that is nowhere": lambda b: b["targets"].update({"x/y": b["targets"]["federation/policy"]}),
    "a policy of its own": lambda b: b["targets"].update({"federation/p2": b["targets"]["federation/policy"]}),
    "an agency under another's name": lambda b: b["targets"].update({"agencies/x-y": b["targets"]["agencies/cert-hr"]}),
    "a record without its hash": lambda b: b["targets"]["federation/policy"].pop("hashes"),
    "a record of another hash": lambda b: b["targets"]["federation/policy"]["custom"].update(grace=1),
    "a record and more": lambda b: b["targets"]["federation/policy"].update(more=1),
    "a record less": lambda b: b["targets"]["federation/policy"].pop("custom"),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES.keys())
def test_what_a_document_must_not_be(grown: World, change: Any) -> None:
    with pytest.raises(REFUSALS):
        document.parse("targets", forge(content(grown, "targets"), change, grown.targets))


def test_a_document_of_the_wrong_shape(grown: World) -> None:
    whole = json.loads(content(grown, "targets"))
    for wrong in (
        {"signed": whole["signed"]},
        {"signatures": [], "signed": []},
        {"signatures": {}, "signed": whole["signed"]},
        {**whole, "unsigned": 1},
        {**whole, "signatures": whole["signatures"] * 2},
        {**whole, "signatures": [{"keyid": "b", "sig": ""}, {"keyid": "a", "sig": ""}]},
        {**whole, "signatures": [{"keyid": "a", "sig": "", "more": 1}]},
        {**whole, "signatures": [{"keyid": f"{n:03}", "sig": ""} for n in range(100)]},
        {**whole, "signatures": [1]},
        {**whole, "signatures": [{"keyid": 1, "sig": 2}]},
    ):
        with pytest.raises(Malformed):
            document.parse("targets", strict.dump(wrong))


@pytest.mark.parametrize("other", [str.upper, lambda sig: sig + " ", lambda sig: " " + sig, lambda sig: sig + "0"])
@pytest.mark.parametrize("role", ROLES)
def test_a_signature_is_written_in_one_way(grown: World, role: str, other: Callable[[str], str]) -> None:
    whole = json.loads(content(grown, role))
    written = whole["signatures"][0]["sig"]
    whole["signatures"][0]["sig"] = other(written)
    with pytest.raises(Malformed, match="lower-case hex"):
        document.parse(role, strict.dump(whole))


def test_contents_are_asked_for_by_kind(grown: World) -> None:
    root = grown.view.roots[-1]
    assert document.expect(root, RootContents) is root.contents
    with pytest.raises(Malformed):
        document.expect(root, Roster)
    snapshot = grown.view.document("snapshot")
    assert snapshot is not None
    assert document.signatories(snapshot, "targets") is None  # it names documents and delegates nothing


def test_what_has_no_canonical_form_is_signed_by_nobody() -> None:
    with pytest.raises(Malformed):
        document.payload_of("root", Metadata(Root(unrecognized_fields={"x": 1.5})))


@pytest.mark.parametrize(
    "change",
    [
        lambda b: b["meta"]["targets.json"].update(hashes={"sha384": "xyz"}),
        lambda b: b["meta"]["targets.json"].update(hashes={"sha256": "00"}),
        lambda b: b["meta"]["targets.json"].update(hashes={"sha384": "AB" * 48}),
        lambda b: b["meta"]["targets.json"].update(length=True),
        lambda b: b["meta"]["targets.json"].update(length=2**40),
        lambda b: b["meta"]["targets.json"].update(more=1),
        lambda b: b["meta"]["targets.json"].pop("length"),
        lambda b: b["meta"].update({"root.json": b["meta"]["targets.json"]}),
        lambda b: b["meta"].update({"targets": b["meta"]["targets.json"]}),
        lambda b: b["meta"].update({"X.json": b["meta"]["targets.json"]}),
    ],
)
def test_what_a_snapshot_must_not_name(grown: World, change: Any) -> None:
    with pytest.raises(REFUSALS):
        document.parse("snapshot", forge(content(grown, "snapshot"), change))


def test_a_timestamp_says_no_more_than_it_must(grown: World) -> None:
    def more(body: dict[str, Any]) -> None:
        body["meta"]["snapshot.json"]["more"] = 1

    with pytest.raises(Malformed):
        document.parse("timestamp", forge(content(grown, "timestamp"), more))


def test_a_root_holds_no_key_in_reserve(grown: World) -> None:
    spare = TrustSigner.generate(Kind.COMPOSITE).public_key

    def reserve(body: dict[str, Any]) -> None:
        body["keys"][spare.keyid] = spare.to_dict()

    with pytest.raises(Untrusted, match="no role uses"):
        document.parse("root", forge(grown.root, reserve))

    def more(body: dict[str, Any]) -> None:
        body["roles"]["root"]["more"] = 1

    with pytest.raises(Malformed):
        document.parse("root", forge(grown.root, more))


@pytest.mark.parametrize("keyids", [{}, "x", [1], 5, None])
def test_key_ids_are_a_list_of_texts(grown: World, keyids: object) -> None:
    def other(body: dict[str, Any]) -> None:
        role = body["roles"]["timestamp"]
        role["keyids"] = dict.fromkeys(role["keyids"], 1) if keyids == {} else keyids

    with pytest.raises(REFUSALS):
        document.parse("root", forge(grown.root, other))


def test_signatures_by_strangers_are_no_hindrance(grown: World) -> None:
    whole = json.loads(content(grown, "targets"))
    whole["signatures"] = sorted(
        [*whole["signatures"], {"keyid": "00" * 48, "sig": "ff"}], key=lambda entry: entry["keyid"]
    )
    parsed = document.parse("targets", strict.dump(whole))
    document.verify(grown.view.roots[-1], parsed)


def test_an_agency_delegates_to_its_roster_alone(grown: World) -> None:
    def nobody(body: dict[str, Any]) -> None:
        body["delegations"] = {"keys": {}, "roles": []}

    def records(body: dict[str, Any]) -> None:
        body["targets"]["cert-hr/d1"] = json.loads(content(grown, "cert-hr-roster"))["signed"]["targets"]["cert-hr/d1"]

    for change, code in ((nobody, "wrong-delegation"), (records, "foreign-path")):
        with pytest.raises(Untrusted) as caught:
            document.parse("cert-hr", forge(content(grown, "cert-hr"), change))
        assert caught.value.code == code


def test_a_roster_delegates_nothing(grown: World) -> None:
    def delegate(body: dict[str, Any]) -> None:
        body["delegations"] = json.loads(content(grown, "cert-hr"))["signed"]["delegations"]

    with pytest.raises(Untrusted) as caught:
        document.parse("cert-hr-roster", forge(content(grown, "cert-hr-roster"), delegate))
    assert caught.value.code == "wrong-delegation"


def test_root_keys_are_root_pairs_and_the_others_are_not(grown: World) -> None:
    def swap(body: dict[str, Any]) -> None:
        body["roles"]["root"], body["roles"]["targets"] = body["roles"]["targets"], body["roles"]["root"]

    with pytest.raises(Untrusted) as caught:
        document.parse("root", forge(grown.root, swap))
    assert caught.value.code == "wrong-key"


def test_the_federation_s_key_is_not_online(grown: World) -> None:
    def share(body: dict[str, Any]) -> None:
        for keyid in body["roles"]["targets"]["keyids"]:
            body["keys"].pop(keyid)
        body["roles"]["targets"] = copy.deepcopy(body["roles"]["timestamp"])

    with pytest.raises(Untrusted, match="online"):
        document.parse("root", forge(grown.root, share))


def test_ordinary_tuf_keys_are_not_ours(grown: World) -> None:
    def ed25519(body: dict[str, Any]) -> None:
        body["keys"]["aa"] = {"keytype": "ed25519", "scheme": "ed25519", "keyval": {"public": "00" * 32}}
        body["roles"]["targets"] = {"keyids": ["aa"], "threshold": 1}

    with pytest.raises(REFUSALS):
        document.parse("root", forge(grown.root, ed25519))


def test_there_is_one_publisher(grown: World) -> None:
    second = RelayRecord.make(
        "relay-2", ["wss://two.example"], [grown.relay_kem], [grown.online.public], publisher=True
    )
    with pytest.raises(Untrusted, match="publisher"):
        authority.federation(grown.view, now=NOW, relays=[second])


def test_no_more_agencies_than_policy_allows(grown: World) -> None:
    with pytest.raises(Untrusted) as caught:
        authority.federation(grown.view, now=NOW, policy=made(Policy, agencies=1))
    assert caught.value.code == "policy"


@pytest.mark.parametrize("name", ["+0", "+01", "+2", "+x", "+", "+999999", "+\u0661", "@", "@X", "a b", "D1", ""])
def test_paths_of_a_roster(grown: World, name: str) -> None:
    def add(body: dict[str, Any]) -> None:
        source = (
            "cert-hr/+1" if name.startswith("+") else "cert-hr/@liaison-1" if name.startswith("@") else "cert-hr/d1"
        )
        body["targets"][f"cert-hr/{name}"] = body["targets"].pop(source)

    with pytest.raises(REFUSALS):
        document.parse("cert-hr-roster", forge(content(grown, "cert-hr-roster"), add))


def test_a_roster_holds_so_many_devices_at_most() -> None:
    world = World(["cert-hr"])
    records = [make_device("cert-hr", f"d{n}").record for n in range(100)]
    draft = world.roster("cert-hr", add=records)
    assert len(draft.content) < strict.MAX_DOCUMENT // 2
    world.publish(draft)
    assert len(world.view.devices()) == 100


# ------------------------------------------------------------------------------------------------- whatever comes

ATOMS = (
    st.none()
    | st.booleans()
    | st.integers(-3, 3)
    | st.integers()
    | st.text(max_size=6)
    | st.sampled_from(["root", "targets", "cert-hr", "cert-hr/*", "AAAA", "ab" * 48, "2027-02-15T00:00:00Z"])
    | st.builds(list)
    | st.builds(dict)
    | st.floats()
)


def places(value: Any) -> Iterator[tuple[Any, Any]]:
    """Every (container, key) below a JSON value."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in list(items):
        yield value, key
        yield from places(inner)


def mutate(data: st.DataObject, body: dict[str, Any]) -> None:
    """A few random changes somewhere in a document."""
    for _ in range(data.draw(st.integers(1, 3))):
        spots = list(places(body))
        if not spots:
            return
        container, key = data.draw(st.sampled_from(spots))
        what = data.draw(st.sampled_from(["replace", "drop", "copy", "rename"]))
        if what == "replace":
            container[key] = data.draw(ATOMS)
        elif what == "drop":
            del container[key]
        elif what == "copy":
            other, at = data.draw(st.sampled_from(spots))
            with contextlib.suppress(KeyError, IndexError):
                container[key] = copy.deepcopy(other[at])
        elif isinstance(container, dict):
            container[data.draw(st.text(max_size=5))] = container.pop(key)


def rehash(body: dict[str, Any]) -> None:
    """Make the hashes of records right again, so that the records themselves are looked at."""
    targets = body.get("targets")
    for entry in targets.values() if isinstance(targets, dict) else ():
        if isinstance(entry, dict) and "custom" in entry:
            with contextlib.suppress(ValueError):
                record = strict.dump(entry["custom"])
                entry.update(length=len(record), hashes={HASH: hashlib.sha384(record).hexdigest()})


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(st.data(), st.sampled_from(ROLES))
def test_a_malicious_signer_causes_no_foreign_error(grown: World, data: st.DataObject, role: str) -> None:
    """Every key holder may be an enemy: well-signed nonsense, up to the view."""
    body = json.loads(content(grown, role))["signed"]
    body["version"] += 1
    mutate(data, body)
    rehash(body)
    keys = grown.keys["cert-hr"]
    signer = {"targets": grown.targets, "cert-hr": keys.authority, "cert-hr-roster": keys.roster[0]}.get(
        role, grown.online
    )
    try:
        forged = signed(body, signer)
    except (FormatError, ValueError):  # no canonical JSON: nobody could sign it
        with contextlib.suppress(ValueError):
            forged = json.dumps({"signatures": [], "signed": body}, sort_keys=True, separators=(",", ":")).encode()
            with pytest.raises(REFUSALS):
                document.parse(role, forged)
        return
    with contextlib.suppress(*REFUSALS):
        if role == "root":
            View.bootstrap(forged)
        elif role in {"timestamp", "snapshot"}:
            publication = dict(grown.seal({})) | {role: forged}
            grown.view.apply(publication.items(), position=grown.place())
        else:
            grown.force({role: forged})


@settings(max_examples=150, deadline=None)
@given(st.data(), st.sampled_from(ROLES))
def test_altered_bytes_are_refused(grown: World, data: st.DataObject, role: str) -> None:
    whole = bytearray(content(grown, role))
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(whole) - 1))
        whole[at : at + data.draw(st.integers(0, 3))] = data.draw(st.binary(max_size=3))
    if bytes(whole) == content(grown, role):
        return
    delegator = grown.view.document({"cert-hr": "targets", "cert-hr-roster": "cert-hr"}.get(role, "root"))
    assert delegator is not None
    with pytest.raises(REFUSALS):
        document.verify(delegator, document.parse(role, bytes(whole)))


@settings(max_examples=200, deadline=None)
@given(st.text(max_size=20), st.binary(max_size=300))
@example("root", b'{"signatures":[],"signed":{"_type":"root"}}')
@example("targets", b'{"signatures":[],"signed":{"_type":[],"version":1}}')
@example("cert-hr", b'{"signatures":[],"signed":{"_type":"targets","version":1,"targets":[]}}')
def test_any_bytes_under_any_name(role: str, data: bytes) -> None:
    with pytest.raises(REFUSALS):
        document.parse(role, data)
