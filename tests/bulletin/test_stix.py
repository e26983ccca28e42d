"""STIX 2.1: every real file is taken, every broken rule is told with its place."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from securechan.bulletin import stix, strict_json
from securechan.bulletin.tlp import Tlp
from tests.bulletin.files import DEMO, content, names, refusal, whats

NOT_STIX = "stix21/oasis-examples/sco-examples-bundle.json"  # a bare list of objects, whatever its name says


@pytest.mark.parametrize("name", [name for name in names("stix21") if name != NOT_STIX])
def test_every_real_file_is_taken(name: str) -> None:
    found = stix.check(strict_json.parse(content(name)))
    assert found.title
    assert found.objects >= 1
    assert sum(count for _, count in found.types) == found.objects


def test_a_bare_list_is_refused_with_the_advice_to_make_a_bundle() -> None:
    error = refusal(stix.check, strict_json.parse(content(NOT_STIX)))
    assert error is not None
    assert "bare list" in error.message
    assert "bundle--<uuid>" in error.hint


@pytest.mark.parametrize("name", names("stix20-legacy"))
def test_stix_2_0_is_refused_with_the_advice_to_convert(name: str) -> None:
    error = refusal(stix.check, strict_json.parse(content(name)))
    assert error is not None
    assert "convert it to STIX 2.1" in error.hint


@pytest.mark.parametrize("path", sorted(DEMO.glob("*.stix.json")), ids=lambda path: path.name)
def test_our_own_bundles_are_valid(path: Any) -> None:
    found = stix.check(strict_json.parse(path.read_bytes()))
    assert found.tlp_floor in (Tlp.GREEN, Tlp.AMBER)
    assert found.cves


# ------------------------------------------------------------------------------------------------------- rule by rule

U = "11111111-1111-4111-8111-11111111111"


def made(kind: str, n: int = 1, **more: Any) -> dict[str, Any]:
    return {"type": kind, "spec_version": "2.1", "id": f"{kind}--{U}{n}", **more}


def domain(kind: str, n: int = 1, **more: Any) -> dict[str, Any]:
    times = {"created": "2026-01-01T00:00:00Z", "modified": "2026-01-02T00:00:00.5Z"}
    return {**made(kind, n), **times, **more}


def bundle(*objects: Any, **more: Any) -> dict[str, Any]:
    return {"type": "bundle", "id": f"bundle--{U}9", "objects": list(objects), **more}


TOOL = domain("tool", name="wrench", description="turns")
INDICATOR = domain(
    "indicator", pattern="[url:value = 'x']", pattern_type="stix", valid_from="2026-01-01T00:00:00Z", name="i"
)
RELATION = domain("relationship", relationship_type="uses", source_ref=f"malware--{U}1", target_ref=f"tool--{U}1")
IPV4 = made("ipv4-addr", value="192.0.2.7")

FINE = {
    "mail": made("email-message", is_multipart=False, body="x"),
    "observed objects": domain(
        "observed-data",
        first_observed="2026-01-01T00:00:00Z",
        last_observed="2026-01-01T00:00:00Z",
        number_observed=1,
        objects={"0": {"type": "file"}},
    ),
    "empty bundle": {"type": "bundle", "id": f"bundle--{U}9"},
    "single object": TOOL,
    "single observable": IPV4,
    "custom property": {**TOOL, "x_note": [1, {"y": None}]},
    "custom object": bundle(domain("x-widget", anything=1)),
    "custom observable": bundle(made("x-trace", anything=1)),
    "extension object": bundle(
        domain("widget", extensions={f"extension-definition--{U}2": {"extension_type": "new-sdo"}})
    ),
    "dangling reference": bundle(RELATION),
    "open vocabulary": domain("identity", name="x", identity_class="ship"),
    "marking with statement": made(
        "marking-definition", created="2026-01-01T00:00:00Z", definition_type="statement", definition={"statement": "©"}
    ),
    "granular marking": {
        **TOOL,
        "labels": ["a", "b"],
        "granular_markings": [{"lang": "en", "selectors": ["description", "labels.[1]"]}],
    },
    "observable without spec_version": {"type": "ipv4-addr", "id": f"ipv4-addr--{U}1", "value": "192.0.2.0/24"},
    "same object twice": bundle(TOOL, copy.deepcopy(TOOL)),
    "two versions": bundle(TOOL, {**TOOL, "modified": "2026-02-01T00:00:00Z", "name": "other"}),
    "pattern with brackets in text": {**INDICATOR, "pattern": "([url:value = 'a]b'] /* ] */)"},
    "another pattern language": {**INDICATOR, "pattern_type": "sigma", "pattern": "title: x"},
    "ipv6": made("ipv6-addr", value="2001:db8::1"),
    "leap second": {**TOOL, "modified": "2026-12-31T23:59:60Z"},
    "file by hash": made("file", hashes={"SHA-256": "a" * 64, "TLSH": "T1"}),
    "place": domain("location", latitude=45.8, longitude=15.97),
}


@pytest.mark.parametrize("name", FINE)
def test_what_the_standard_allows_is_taken(name: str) -> None:
    assert whats(refusal(stix.check, FINE[name])) == []


WRONG: dict[str, tuple[Any, str]] = {
    "hash under a wrong name": (made("file", hashes={"a b": "x"}), "'a b' is not a hash algorithm's name"),
    "pattern with crossed brackets": ({**INDICATOR, "pattern": "([a:b = 1)]"}, "is not a STIX pattern"),
    "open object that is text": (
        domain("observed-data", objects="x", first_observed="2026-01-01T00:00:00Z"),
        "/objects must",
    ),
    "extensions that are a list": ({**TOOL, "extensions": []}, "/extensions must be an object with at least one"),
    "process with empty environment": (made("process", environment_variables={}), "/environment_variables must not be"),
    "granular marking that is text": ({**TOOL, "granular_markings": ["x"]}, "/granular_markings/0 must be an object"),
    "address that isn't ascii": ({**IPV4, "value": "ä"}, "is not an IPv4"),
    "not an object": (7, "must be a bundle or a single object"),
    "null": (None, "must be a bundle or a single object"),
    "no type": ({"id": f"tool--{U}1"}, "/ the required property type is missing"),
    "type is a list": ({"type": [], "id": f"tool--{U}1"}, "/type must be an object type"),
    "no id": ({k: v for k, v in TOOL.items() if k != "id"}, "/ the required property id is missing"),
    "id of another type": ({**TOOL, "id": f"malware--{U}1"}, "/id the id of an object of type 'tool' begins"),
    "id without uuid": ({**TOOL, "id": "tool--1"}, "/id 'tool--1' is not an identifier"),
    "id with a nil uuid": ({**TOOL, "id": "tool--" + "0" * 8 + "-0000-0000-0000-" + "0" * 12}, "not an identifier"),
    "old version": ({**TOOL, "spec_version": "2.0"}, "/spec_version '2.0' is not 2.1"),
    "no version": ({k: v for k, v in TOOL.items() if k != "spec_version"}, "property spec_version is missing"),
    "no modified": ({k: v for k, v in TOOL.items() if k != "modified"}, "property modified is missing"),
    "modified before created": ({**TOOL, "modified": "2025-01-01T00:00:00Z"}, "/modified is before created"),
    "a fraction before": (
        {**TOOL, "created": "2026-01-02T00:00:00.51Z"},
        "/modified is before created",
    ),
    "local time": (
        {**TOOL, "created": "2026-01-01T00:00:00+01:00"},
        "/created '2026-01-01T00:00:00+01:00' is not a time",
    ),
    "no such day": ({**TOOL, "created": "2025-02-29T00:00:00Z"}, "is not a time"),
    "no name": ({k: v for k, v in TOOL.items() if k != "name"}, "property name is missing"),
    "empty list": ({**TOOL, "aliases": []}, "/aliases must not be empty"),
    "list of numbers": ({**TOOL, "aliases": [1]}, "/aliases/0 must be text, not a number"),
    "text for a list": ({**TOOL, "labels": "x"}, "/labels must be a list, not text"),
    "bad property name": ({**TOOL, "X-Note": 1}, "/X-Note 'X-Note' is not a valid property name"),
    "confidence": ({**TOOL, "confidence": 101}, "/confidence 101 is not between 0 and 100"),
    "confidence true": ({**TOOL, "confidence": True}, "/confidence must be a number, not true"),
    "confidence half": ({**TOOL, "confidence": 0.5}, "/confidence 0.5 is not a whole number"),
    "author of wrong type": (
        {**TOOL, "created_by_ref": f"tool--{U}1"},
        "/created_by_ref may not refer to an object of type tool",
    ),
    "marked by a tool": ({**TOOL, "object_marking_refs": [f"tool--{U}1"]}, "/object_marking_refs/0 may not refer"),
    "no pattern": ({k: v for k, v in INDICATOR.items() if k != "pattern"}, "property pattern is missing"),
    "empty pattern": ({**INDICATOR, "pattern": ""}, "/pattern must not be empty"),
    "pattern without brackets": ({**INDICATOR, "pattern": "url:value = 'x'"}, "is not a STIX pattern"),
    "pattern left open": ({**INDICATOR, "pattern": "[url:value = 'x"}, "is not a STIX pattern"),
    "no valid_from": ({k: v for k, v in INDICATOR.items() if k != "valid_from"}, "property valid_from is missing"),
    "valid for no time": (
        {**INDICATOR, "valid_until": INDICATOR["valid_from"]},
        "/valid_until is not after valid_from",
    ),
    "family without name": (domain("malware", is_family=True), "a malware family needs a name"),
    "relation to a relation": ({**RELATION, "target_ref": f"relationship--{U}1"}, "/target_ref may not refer"),
    "relation without source": ({k: v for k, v in RELATION.items() if k != "source_ref"}, "source_ref is missing"),
    "relation in capitals": ({**RELATION, "relationship_type": "Uses"}, "/relationship_type 'Uses' is not"),
    "sighting of an address": (
        domain("sighting", sighting_of_ref=f"ipv4-addr--{U}1"),
        "/sighting_of_ref may not refer",
    ),
    "report of nothing": (
        domain("report", name="r", published="2026-01-01T00:00:00Z", object_refs=[]),
        "/object_refs must not be empty",
    ),
    "opinion": (domain("opinion", opinion="great", object_refs=[f"tool--{U}1"]), "/opinion 'great' is not one of"),
    "address": ({**IPV4, "value": "192.0.2.300"}, "/value '192.0.2.300' is not an IPv4"),
    "address of the other kind": ({**IPV4, "value": "2001:db8::1"}, "is not an IPv4"),
    "port": (made("network-traffic", protocols=["tcp"], src_ref=f"ipv4-addr--{U}1", dst_port=65536), "/dst_port 65536"),
    "traffic from nowhere": (made("network-traffic", protocols=["tcp"]), "at least one of src_ref, dst_ref"),
    "file without anything": (made("file", size=3), "at least one of hashes, name"),
    "process without anything": (made("process"), "at least one of is_hidden"),
    "short hash": (made("file", hashes={"MD5": "abc"}), "/hashes/MD5 'abc' is not a MD5 value"),
    "hash that isn't text": (made("file", hashes={"X-1": 5}), "/hashes/X-1 must be text"),
    "no hashes": (made("file", hashes={}), "/hashes must be an object of hashes"),
    "artifact twice": (
        made("artifact", payload_bin="AAAA", url="https://example.org", hashes={"MD5": "0" * 32}),
        "exclude each other",
    ),
    "artifact far away": (made("artifact", url="https://example.org"), "with url the property hashes is needed"),
    "artifact not base64": (made("artifact", payload_bin="äöü"), "is not base64"),
    "mail body": (made("email-message", is_multipart=True, body="x"), "/body does not go with is_multipart true"),
    "mail parts": (
        made("email-message", is_multipart=False, body_multipart=[{"body": "x"}]),
        "does not go with is_multipart false",
    ),
    "half a place": (domain("location", latitude=1), "with latitude the property longitude is needed"),
    "marking without content": (
        made("marking-definition", created="2026-01-01T00:00:00Z"),
        "at least one of definition_type",
    ),
    "marking with unknown label": (
        made("marking-definition", created="2026-01-01T00:00:00Z", definition_type="tlp", definition={"tlp": "mauve"}),
        "/definition names no TLP label",
    ),
    "statement without statement": (
        made(
            "marking-definition", created="2026-01-01T00:00:00Z", definition_type="statement", definition={"x": "mauve"}
        ),
        "needs its statement",
    ),
    "external reference with nothing": (
        {**TOOL, "external_references": [{"source_name": "x"}]},
        "/external_references/0 one of",
    ),
    "granular marking of nothing": (
        {**TOOL, "granular_markings": [{"lang": "en", "selectors": ["labels"]}]},
        "selects nothing",
    ),
    "granular marking of no item": (
        {**TOOL, "labels": ["a"], "granular_markings": [{"lang": "en", "selectors": ["labels.[1]"]}]},
        "selects nothing",
    ),
    "granular marking of both": (
        {
            **TOOL,
            "granular_markings": [{"lang": "en", "marking_ref": f"marking-definition--{U}1", "selectors": ["name"]}],
        },
        "exactly one of lang and marking_ref",
    ),
    "extension under a wrong name": ({**TOOL, "extensions": {"My Ext": {}}}, "is not the name of an extension"),
    "extension that is text": (
        {**TOOL, "extensions": {f"extension-definition--{U}1": "x"}},
        "must be an object, not text",
    ),
    "bundle with a version": (bundle(TOOL, spec_version="2.0"), "a STIX 2.1 bundle has no spec_version"),
    "bundle in a bundle": (bundle(bundle(TOOL)), "/objects/0 a bundle can't hold a bundle"),
    "bundle with no objects": (bundle(), "/objects must not be empty"),
    "bundle of texts": (bundle("x"), "/objects/0 must be an object, not text"),
    "bundle with another id": ({**bundle(TOOL), "id": f"tool--{U}1"}, "/id the id of a bundle begins with bundle--"),
    "objects that are an object": ({**bundle(), "objects": {"a": 1}}, "/objects must be a list, not an object"),
    "one version, two texts": (
        bundle(TOOL, INDICATOR, {**TOOL, "name": "other"}),
        "/objects/2 another object has this id",
    ),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_the_standard_forbids_is_told_with_its_place(name: str) -> None:
    document, expected = WRONG[name]
    error = refusal(stix.check, document)
    assert error is not None
    assert any(expected in line for line in whats(error)), whats(error)
    assert error.hint


def test_an_object_of_2_0_in_a_bundle_brings_the_advice_to_convert() -> None:
    error = refusal(stix.check, bundle({k: v for k, v in TOOL.items() if k != "spec_version"}))
    assert error is not None
    assert "STIX 2.0" in error.hint


def test_a_listing_knows_title_kinds_and_cves() -> None:
    cve = domain("vulnerability", 3, name="CVE-2021-44228")
    other = domain(
        "vulnerability", 4, name="x", external_references=[{"source_name": "cve", "external_id": "CVE-2020-1234"}]
    )
    report = domain("report", name=" The title ", published="2026-01-01T00:00:00Z", object_refs=[f"tool--{U}1"])
    found = stix.check(bundle(TOOL, cve, other, report))
    assert found.title == "The title"
    assert found.cves == ("CVE-2020-1234", "CVE-2021-44228")
    assert found.types[0] == ("vulnerability", 2)
    assert stix.check(IPV4).title == IPV4["id"]
    assert stix.check(bundle(IPV4, {**INDICATOR, "name": "Phishing host"})).title == "Phishing host"
    assert stix.check(bundle(IPV4)).title == "STIX bundle of 1 object"


def test_a_thousand_faults_end_in_a_short_list() -> None:
    error = refusal(stix.check, bundle(*({"type": "tool", "id": index} for index in range(1000))))
    assert error is not None
    assert len(error.findings) == 50


# --------------------------------------------------------------------------------------------------------- hostility

JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 5) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
KEYS = st.sampled_from(
    [*TOOL, *INDICATOR, *RELATION, "objects", "granular_markings", "object_marking_refs", "extensions", "hashes",
     "external_references", "definition", "definition_type", "selectors", "is_family", "first_seen", "last_seen"]
)  # fmt: skip
KINDS = st.sampled_from(["tool", "indicator", "marking-definition", "file", "bundle", "malware", "x-y", "location", 5])


@given(st.dictionaries(KEYS, JSON), KINDS)
def test_any_object_ends_in_a_summary_or_in_unfit(values: dict[str, Any], kind: Any) -> None:
    for document in ({**values, "type": kind}, bundle({**TOOL, **values, "type": kind})):
        error = refusal(stix.check, document)
        assert error is None or error.findings


def _change(value: Any, choose: Callable[[int], int], other: Any) -> Any:
    """Walk down at random and put something else there, or take something away."""
    if isinstance(value, dict) and value:
        key = sorted(value)[choose(len(value))]
        if choose(8) == 0:
            return {k: v for k, v in value.items() if k != key}
        return {**value, key: _change(value[key], choose, other)}
    if isinstance(value, list) and value:
        at = choose(len(value))
        return [*value[:at], _change(value[at], choose, other), *value[at + 1 :]]
    return other


@settings(max_examples=200)
@given(st.randoms(use_true_random=False), JSON, st.sampled_from(["log4shell", "proxyshell"]))
def test_a_real_file_with_a_fault_ends_in_a_summary_or_in_unfit(random: Any, other: Any, name: str) -> None:
    document = json.loads((DEMO / f"{name}.stix.json").read_bytes())
    error = refusal(stix.check, _change(document, random.randrange, other))
    assert error is None or error.findings
