"""Records: what people typed and what came from outside meet the same rules; bytes have one form."""

from __future__ import annotations

import base64
from typing import Any

import pytest
from pydantic import ValidationError

from securechan.crypto.signature import ED25519
from securechan.errors import Invalid, NotFound
from securechan.trust import authority, records
from securechan.trust.records import (
    AgencyRecord,
    CommunityBinding,
    DeviceRecord,
    Policy,
    Record,
    RelayRecord,
    SealedCard,
    Tombstone,
    key_hash,
    made,
)
from tests.support.federation import NOW, make_device


@pytest.fixture(scope="module")
def record() -> DeviceRecord:
    return make_device("cert-hr", "d1", "liaison-1", "desk", "admin").record


def every(record: DeviceRecord) -> tuple[Record, ...]:
    return (
        record,
        Policy(),
        made(AgencyRecord, agency="cert-hr", title="CERT.hr – Žiga", country="HR", contact="+385 1 6661 650"),
        RelayRecord.make("relay-1", ["wss://relay.example.int"], [record.inbox], [record.signature_key]),
        made(CommunityBinding, name="eu-csirts", group=bytes(32)),
        made(Tombstone, agency="cert-hr", device="d", officer="o", keys=(bytes(48),), reason="lost", at=NOW),
        made(SealedCard, sealed=b"x"),
    )


def test_records_read_back_as_they_were(record: DeviceRecord) -> None:
    for one in every(record):
        assert type(one).read(one.custom(), "test") == one


def test_records_are_frozen_and_hide_long_keys(record: DeviceRecord) -> None:
    with pytest.raises(ValidationError):
        record.officer = "other"  # that it is refused is the point
    assert len(repr(record)) < 300


def test_unknown_fields_are_refused_everywhere(record: DeviceRecord) -> None:
    for one in every(record):
        with pytest.raises(Invalid):
            type(one).read({**one.custom(), "new": 1}, "test")


DEVICE: dict[str, Any] = {
    "another agency form": {"agency": "Cert"},
    "another officer form": {"officer": "Li"},
    "no roles": {"roles": []},
    "a role that is none": {"roles": ["root"]},
    "roles out of order": {"roles": ["desk", "admin"]},
    "a role twice": {"roles": ["admin", "admin"]},
    "no keys": {"keys": {}},
    "no key of the product's suite": {"keys": {"cnsa": ["AAAA"]}},
    "an unknown suite": {"keys": {"hybrid": ["AAAA"], "x": ["AAAA"]}},
    "an empty key": {"keys": {"hybrid": [""]}},
    "a key of another size": {"keys": {"hybrid": ["AAAA"]}},
    "a key that is no text": {"keys": {"hybrid": [1]}},
    "an inbox key of another size": {"inbox": "AAAA"},
    "base64 with blanks": {"inbox": "AA AA"},
    "a time before all time": {"since": -1},
    "a time that is true": {"since": True},
    "a time that is text": {"since": "5"},
    "a fraction": {"since": 1.5},
    "nothing": {"since": None},
    "a list": {"device": ["d1"]},
}


@pytest.mark.parametrize("change", DEVICE.values(), ids=DEVICE.keys())
def test_what_is_no_device(record: DeviceRecord, change: dict[str, Any]) -> None:
    with pytest.raises(Invalid):
        DeviceRecord.read(record.custom() | change, "test")


@pytest.mark.parametrize("value", [None, 1, "x", [], {}, [1, 2], True, float("nan")])
def test_what_is_no_record_at_all(value: object) -> None:
    with pytest.raises(Invalid):
        DeviceRecord.read(value, "test")


def test_a_device_has_each_key_once(record: DeviceRecord) -> None:
    twice = record.custom()["keys"]["hybrid"] * 2
    with pytest.raises(Invalid, match="twice"):
        DeviceRecord.read(record.custom() | {"keys": {"hybrid": twice}}, "test")


def test_bytes_have_one_base64_form(record: DeviceRecord) -> None:
    card = made(SealedCard, sealed=b"x").custom()["sealed"]
    assert card == "eA=="
    for other in ("eB==", "eA", "eA===", "e A=="):
        with pytest.raises(Invalid):
            SealedCard.read({"sealed": other}, "test")


def test_a_device_finds_its_keys_by_hash(record: DeviceRecord) -> None:
    (key,) = record.hashes()
    assert key == key_hash(record.signature_key)
    assert record.public(key) == record.signature_key
    assert record.hashes("cnsa") == ()
    assert record.hashes(None) == (key,)
    assert (record.name, record.address) == ("cert-hr/d1", "liaison-1@cert-hr")
    with pytest.raises(NotFound):
        record.public(bytes(48))


def test_keys_are_added_and_dropped_one_at_a_time(record: DeviceRecord) -> None:
    second, third = (make_device("cert-hr", "x").record.signature_key for _ in range(2))
    both = authority.add_key(record, "hybrid", second)
    assert both.signature_key == second
    from securechan.errors import Conflict

    with pytest.raises(Conflict, match="already"):
        authority.add_key(both, "hybrid", third)
    with pytest.raises(Conflict, match="only one"):
        authority.drop_key(record, "hybrid", record.hashes()[0])
    with pytest.raises(Conflict):
        authority.drop_key(both, "hybrid", bytes(48))
    assert authority.drop_key(both, "hybrid", record.hashes()[0]).keys == {"hybrid": (second,)}


@pytest.mark.parametrize(
    "url", ["http://x", "ws://", "wss://a b", "wss://a?x=1", "wss://ä", "ws://h/\n", "wss://u@h", "", "wss://h/%41"]
)
def test_addresses_of_relays(record: DeviceRecord, url: str) -> None:
    with pytest.raises(Invalid):
        RelayRecord.make("relay-1", [url], [record.inbox], [record.signature_key])


def test_a_relay_s_keys_are_named_by_their_hashes(record: DeviceRecord) -> None:
    relay = RelayRecord.make("relay-1", ["wss://h"], [record.inbox], [record.signature_key])
    (kem_id,) = relay.kem
    assert len(kem_id) == 32
    for field in ("kem", "online"):
        wrong = relay.custom()
        wrong[field] = {"00" * 16: next(iter(wrong[field].values()))}
        with pytest.raises(Invalid, match="hash"):
            RelayRecord.read(wrong, "test")
    _, other = ED25519.generate()
    with pytest.raises(Invalid):
        RelayRecord.make("relay-1", ["wss://h"], [record.inbox], [other])
    with pytest.raises(Invalid):
        RelayRecord.make("relay-1", ["wss://h"], [b"short"], [record.signature_key])


def test_a_community_is_bound_to_something() -> None:
    with pytest.raises(Invalid, match="bound"):
        made(CommunityBinding, name="eu-csirts")
    assert made(CommunityBinding, name="eu-csirts", founders=("cert-hr/d1",)).group is None
    with pytest.raises(Invalid):
        made(CommunityBinding, name="eu-csirts", founders=("cert-hr",))


@pytest.mark.parametrize(
    "values",
    [
        {"profiles": ()},
        {"profiles": ("none",)},
        {"profiles": ("hybrid", "hybrid")},
        {"grace": -1},
        {"agencies": 0},
        {"devices_per_agency": 251},
    ],
)
def test_what_no_policy_may_say(values: dict[str, Any]) -> None:
    with pytest.raises(Invalid) as caught:
        made(Policy, **values)
    assert caught.value.hint


@pytest.mark.parametrize("title", ["", "x" * 121, "a\nb", "a\u202eb", " a", "a\u200bb", "a\0"])
def test_titles_can_be_shown(title: str) -> None:
    with pytest.raises(Invalid):
        made(AgencyRecord, agency="cert-hr", title=title)


def test_a_tombstone_is_final_unless_the_device_goes_on() -> None:
    for reason in ("revoked", "lost", "left", "rotated"):
        stone = made(Tombstone, agency="cert-hr", device="d", officer="o", keys=(bytes(48),), reason=reason, at=NOW)
        assert stone.final is (reason != "rotated")


def test_key_ids_of_a_relay_are_short() -> None:
    public = base64.b64decode("AAAA")
    assert key_hash(public).hex().startswith(records.kem_key_id(public))
