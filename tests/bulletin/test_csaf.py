"""CSAF 2.0 and 2.1: every published advisory is taken, every invalid example of the standard is refused by its test."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from securechan.bulletin import csaf, strict_json
from securechan.bulletin.tlp import Tlp
from tests.bulletin.advisories import GONE, change, demo, sound
from tests.bulletin.files import DEMO, content, names, refusal, whats

PUBLISHED = ("csaf/cisa", "csaf/cisa-signed", "csaf/cisa-revisions", "csaf/bsi-wid", "csaf/oasis-2.0", "csaf/oasis-2.1")


@pytest.mark.parametrize("name", names(*PUBLISHED))
def test_every_published_advisory_is_taken(name: str) -> None:
    found = csaf.check(strict_json.parse(content(name)))
    assert found.title
    assert found.tracking_id
    assert found.tlp_floor in (Tlp.CLEAR, None)


@pytest.mark.parametrize("name", names("csaf/oasis-2.0-invalid"))
def test_every_invalid_example_is_refused_by_the_test_it_is_made_for(name: str) -> None:
    document = strict_json.parse(content(name))
    match = re.search(r"-6-1-((?:\d\d-)+)\d\d\.json$", name)
    assert match is not None
    number = "6.1." + ".".join(str(int(part)) for part in match[1].strip("-").split("-"))
    error = refusal(csaf.check, document)
    assert error is not None
    assert any(item.what.startswith(f"{number}: ") for item in error.findings), whats(error)


@pytest.mark.parametrize("path", sorted(DEMO.glob("*.csaf-*.json")), ids=lambda path: path.name)
def test_our_own_advisories_are_valid(path: Any) -> None:
    found = csaf.check(strict_json.parse(path.read_bytes()))
    assert found.cves
    assert found.tlp_floor in (Tlp.GREEN, Tlp.AMBER)


@pytest.mark.parametrize("version", ["2.0", "2.1"])
def test_the_smallest_documents_are_sound(version: str) -> None:
    assert whats(refusal(csaf.check, sound(version))) == []
    small = change(sound(version), {"product_tree": GONE, "vulnerabilities": GONE})
    found = csaf.check(small)
    assert (found.products, found.vulnerabilities, found.cves) == (0, 0, ())


def test_2_0_lets_other_properties_be_and_2_1_does_not() -> None:
    more = {"x_more": 1, "document/x_more": 1, "vulnerabilities/0/x_more": 1}
    assert refusal(csaf.check, change(sound("2.0"), more)) is None
    assert (
        whats(refusal(csaf.check, change(sound("2.1"), more)))[0]
        == "/document/x_more there is no property 'x_more' here"
    )


TRACKING = "document/tracking"
BOTH = ("2.0", "2.1")
WRONG: list[tuple[tuple[str, ...], dict[str, Any], str]] = [
    (BOTH, {"document/title": GONE}, "/document the required property title is missing"),
    (BOTH, {"document/title": ""}, "/document/title must not be empty"),
    (BOTH, {"document/lang": "english!"}, "/document/lang 'english!' is not a language tag"),
    (BOTH, {"document/category": " x"}, "/document/category ' x' is not a category"),
    (BOTH, {"document/publisher/category": "press"}, "/document/publisher/category 'press' is not one of"),
    (BOTH, {"document/publisher/namespace": "example"}, "/document/publisher/namespace 'example' is not a URI"),
    (BOTH, {f"{TRACKING}/status": "done"}, f"/{TRACKING}/status 'done' is not one of draft, final, interim"),
    (BOTH, {f"{TRACKING}/version": "1.0"}, f"/{TRACKING}/version '1.0' is not a version"),
    (BOTH, {f"{TRACKING}/version": "01"}, f"/{TRACKING}/version '01' is not a version"),
    (BOTH, {f"{TRACKING}/revision_history": []}, f"/{TRACKING}/revision_history must not be empty"),
    (BOTH, {f"{TRACKING}/current_release_date": "2026-02-30T00:00:00Z"}, "is not a time"),
    (BOTH, {f"{TRACKING}/aliases": ["a", "a"]}, f"/{TRACKING}/aliases/1 'a' stands twice in the list"),
    (BOTH, {"document/notes": [{"category": "poem", "text": "x"}]}, "/document/notes/0/category 'poem' is not one of"),
    (BOTH, {"document/acknowledgments": [{}]}, "/document/acknowledgments/0 must have at least 1 properties"),
    (BOTH, {"product_tree": {}}, "/product_tree must have at least 1 properties"),
    (BOTH, {"product_tree/product_groups/0/product_ids": ["P-1"]}, "product_ids must have at least 2 items"),
    (BOTH, {"vulnerabilities": "none"}, "/vulnerabilities must be a list, not text"),
    (BOTH, {"vulnerabilities/0/cve": "CVE-20-1"}, "/vulnerabilities/0/cve 'CVE-20-1' is not a CVE number"),
    (BOTH, {"document/csaf_version": "1.2"}, "/document/csaf_version '1.2' is not one of 2.0, 2.1"),
    (("2.0",), {"document/distribution": {"tlp": {"label": "CLEAR"}}}, "/document/distribution/tlp/label 'CLEAR'"),
    (("2.0",), {"document/distribution": {}}, "/document/distribution must have at least 1 properties"),
    (("2.1",), {"document/distribution/tlp/label": "WHITE"}, "/document/distribution/tlp/label 'WHITE'"),
    (("2.1",), {"document/distribution": GONE}, "/document the required property distribution is missing"),
    (("2.1",), {"$schema": GONE}, "/ the required property $schema is missing"),
    (
        ("2.0",),
        {"product_tree/full_product_names/0/product_identification_helper": {"cpe": "cpe:2.3:x:y"}},
        "/cpe 'cpe:2.3:x:y' is not a CPE name",
    ),
    (
        ("2.0",),
        {"vulnerabilities/0/scores": [{"products": ["P-1"]}]},
        "/vulnerabilities/0/scores/0 must have at least 2 properties",
    ),
]


@pytest.mark.parametrize(("versions", "changes", "expected"), WRONG, ids=[str(item[1])[:60] for item in WRONG])
def test_a_wrong_structure_is_told_with_its_place(versions: tuple[str, ...], changes: Any, expected: str) -> None:
    for version in versions:
        lines = whats(refusal(csaf.check, change(sound(version), changes)))
        assert any(expected in line for line in lines), lines


@pytest.mark.parametrize("cpe", [
    "cpe:2.3:a:apache:log4j:2.14.1:*:*:*:*:*:*:*",
    "cpe:2.3:o:vendor:pro\\:duct:-:2.?:*:en-us:ab?:*:*:*",
    "cpe:/a:apache:log4j:2.14.1",
])  # fmt: skip
def test_cpe_names_of_both_forms_are_taken(cpe: str) -> None:
    helper = {"product_tree/full_product_names/0/product_identification_helper": {"cpe": cpe}}
    assert whats(refusal(csaf.check, change(sound("2.0"), helper))) == []


@pytest.mark.parametrize("document", [None, 5, [], {}, {"document": 5}, {"document": {"csaf_version": ["2.0"]}}])
def test_what_is_no_csaf_document_is_refused(document: Any) -> None:
    error = refusal(csaf.check, document)
    assert error is not None
    assert error.hint


def test_a_listing_knows_what_it_needs() -> None:
    found = csaf.check(demo("moveit.csaf-2.0.json"))
    assert (found.tracking_id, found.version, found.status, found.csaf_version) == (
        "CEN-2023-0041",
        "1",
        "final",
        "2.0",
    )
    assert found.cves == ("CVE-2023-34362",)
    assert found.products == 10


def test_products_in_groups_may_not_multiply_without_end() -> None:
    names_ = [f"P{index}" for index in range(3000)]
    tree = {
        "full_product_names": [{"name": name, "product_id": name} for name in names_],
        "product_groups": [{"group_id": "G", "product_ids": names_}],
    }
    remedies = [{"category": "mitigation", "details": "x", "group_ids": ["G"]} for _ in range(3000)]
    vulnerability = {"cve": "CVE-2026-0001", "remediations": remedies, "product_status": {"known_affected": names_}}
    error = refusal(csaf.check, change(sound("2.1"), {"product_tree": tree, "vulnerabilities": [vulnerability]}))
    assert "too many products" in whats(error)[-1]


def test_a_thousand_faults_end_in_a_short_list() -> None:
    error = refusal(csaf.check, change(sound("2.1"), {"vulnerabilities": [{}] * 1000}))
    assert error is not None
    assert len(error.findings) == 50


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-5, 5)
    | st.text(max_size=5)
    | st.sampled_from(["P-1", "G", "2.0", "1.0.0-a"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


NAMES = sorted(
    {name for book in (csaf._book("2.0"), csaf._book("2.1")) for one in book.names() for name in book[one].fields}
)


def _mutate(value: Any, random: Any, other: Any) -> Any:
    if isinstance(value, dict) and value:
        key = random.choice(sorted(value))
        if random.random() < 0.1:  # a property of the other version, or of another place
            return {**value, random.choice(NAMES): other}
        if random.random() < 0.1:
            return {name: item for name, item in value.items() if name != key}
        return {**value, key: _mutate(value[key], random, other)}
    if isinstance(value, list) and value:
        at = random.randrange(len(value))
        if random.random() < 0.1:
            return [*value, value[at]]
        return [*value[:at], _mutate(value[at], random, other), *value[at + 1 :]]
    return other


@settings(max_examples=200)
@given(st.randoms(use_true_random=False), st.lists(JSON, min_size=1, max_size=4), st.sampled_from([
    "moveit.csaf-2.0.json", "xz.csaf-2.1.json",
]))  # fmt: skip
def test_a_real_advisory_with_faults_ends_in_a_summary_or_in_unfit(random: Any, others: list[Any], name: str) -> None:
    document = demo(name)
    for other in others:
        document = _mutate(document, random, other)
    error = refusal(csaf.check, json.loads(json.dumps(document)))
    assert error is None or error.findings
