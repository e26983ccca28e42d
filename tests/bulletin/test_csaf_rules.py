"""The mandatory tests that both versions of CSAF share, each broken once."""

from __future__ import annotations

from typing import Any

import pytest

from securechan.bulletin import csaf
from tests.bulletin.advisories import GONE, change, demo, found_in, sound
from tests.bulletin.files import refusal, whats

T = "document/tracking"
V = "vulnerabilities/0"
NAMES = "product_tree/full_product_names"
EARLY, LATE = "2026-01-01T00:00:00Z", "2026-01-02T00:00:00Z"


def revision(date: str, number: str) -> dict[str, str]:
    return {"date": date, "number": number, "summary": "s"}


def relation(name: str, one: str, other: str) -> dict[str, Any]:
    return {
        "category": "installed_on",
        "full_product_name": {"name": name, "product_id": name},
        "product_reference": one,
        "relates_to_product_reference": other,
    }


def score(vector: str, base: float, severity: str) -> dict[str, Any]:
    return {"version": vector[5:8], "vectorString": vector, "baseScore": base, "baseSeverity": severity}


TEN = score("CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:C/C:H/I:H/A:H", 10.0, "CRITICAL")
BOTH = ("2.0", "2.1")
BROKEN: list[tuple[str, tuple[str, ...], dict[str, Any]]] = [
    ("6.1.1", BOTH, {f"{V}/product_status/known_affected": ["P-9"]}),
    ("6.1.1", BOTH, {f"{V}/product_status/recommended": ["P-9"]}),
    ("6.1.1", BOTH, {"product_tree/product_groups/0/product_ids": ["P-1", "P-9"]}),
    ("6.1.1", BOTH, {f"{V}/threats": [{"category": "impact", "details": "d", "product_ids": ["P-9"]}]}),
    ("6.1.1", ("2.0",), {f"{V}/scores": [{"cvss_v3": TEN, "products": ["P-9"]}]}),
    ("6.1.1", ("2.1",), {f"{V}/metrics": [{"content": {"cvss_v3": TEN}, "products": ["P-9"]}]}),
    ("6.1.1", ("2.0",), {"product_tree/relationships": [relation("R", "P-1", "P-9")]}),
    ("6.1.1", ("2.1",), {"document/notes": [{"category": "other", "text": "t", "product_ids": ["P-9"]}]}),
    ("6.1.2", BOTH, {f"{NAMES}/1/product_id": "P-1"}),
    ("6.1.3", ("2.0",), {"product_tree/relationships": [relation("R", "R", "P-1")]}),
    ("6.1.3", ("2.0",), {"product_tree/relationships": [relation("R", "P-1", "S"), relation("S", "R", "P-2")]}),
    ("6.1.4", BOTH, {f"{V}/threats": [{"category": "impact", "details": "d", "group_ids": ["H"]}]}),
    ("6.1.5", BOTH, {"product_tree/product_groups/-": {"group_id": "G", "product_ids": ["P-1", "P-3"]}}),
    ("6.1.6", BOTH, {f"{V}/product_status/fixed": ["P-1"]}),
    ("6.1.6", BOTH, {f"{V}/product_status/under_investigation": ["P-2"]}),
    ("6.1.7", ("2.0",), {f"{V}/scores": [{"cvss_v3": TEN, "products": ["P-1", name]} for name in ("P-2", "P-3")]}),
    ("6.1.12", BOTH, {"document/lang": "ez"}),
    ("6.1.12", BOTH, {"document/source_lang": "de-QQ"}),
    ("6.1.13", ("2.0",), {f"{NAMES}/0/product_identification_helper": {"purl": "pkg:maven/@1.0"}}),
    ("6.1.13", ("2.1",), {f"{NAMES}/0/product_identification_helper": {"purls": ["pkg:maven/a/@1.0"]}}),
    ("6.1.14", BOTH, {f"{T}/revision_history": [revision(EARLY, "2"), revision(LATE, "1")], f"{T}/version": "1"}),
    ("6.1.15", BOTH, {"document/publisher/category": "translator"}),
    ("6.1.16", BOTH, {f"{T}/version": "1"}),
    ("6.1.17", BOTH, {f"{T}/version": "0", f"{T}/revision_history": [revision(EARLY, "0")]}),
    ("6.1.17", BOTH, {f"{T}/version": "0.9.5", f"{T}/revision_history": [revision(EARLY, "0.9.5")]}),
    ("6.1.18", BOTH, {f"{T}/revision_history/-": revision("2025-01-01T00:00:00Z", "0")}),
    ("6.1.19", BOTH, {f"{T}/version": "1.0.0", f"{T}/revision_history": [revision(EARLY, "1.0.0-rc.1")]}),
    ("6.1.20", BOTH, {f"{T}/version": "1.0.0-rc.1", f"{T}/revision_history": [revision(EARLY, "1.0.0")]}),
    ("6.1.21", BOTH, {f"{T}/revision_history/1/number": "3", f"{T}/version": "3"}),
    ("6.1.21", BOTH, {f"{T}/revision_history": [revision(EARLY, "2")]}),
    ("6.1.22", BOTH, {f"{T}/revision_history/0/number": "2"}),
    ("6.1.23", BOTH, {"vulnerabilities/-": {"cve": "CVE-2026-0001"}}),
    (
        "6.1.24",
        BOTH,
        {
            f"{V}/involvements": [
                {"party": "vendor", "status": "open", "date": "2026-01-01T01:00:00+01:00"},
                {"party": "vendor", "status": "completed", "date": "2026-01-01T00:00:00Z"},
            ]
        },
    ),
    (
        "6.1.25",
        BOTH,
        {
            f"{NAMES}/0/product_identification_helper": {
                "hashes": [
                    {
                        "filename": "f",
                        "file_hashes": [{"algorithm": "sha256", "value": digit * 64} for digit in "ab"],
                    }
                ]
            }
        },
    ),
    ("6.1.28", BOTH, {"document/source_lang": "EN"}),
    ("6.1.29", BOTH, {f"{V}/remediations": [{"category": "mitigation", "details": "d"}]}),
    ("6.1.30", BOTH, {f"{T}/revision_history/0/number": "1.0.0"}),
    ("6.1.31", BOTH, {"product_tree/branches": [{"category": "product_version", "name": "prior to 4.2", "branches": [
        {"category": "vendor", "name": "v", "product": {"name": "n", "product_id": "P-4"}}]}]}),
    ("6.1.31", BOTH, {"product_tree/branches": [
        {"category": "product_version", "name": "<=4.2", "product": {"name": "n", "product_id": "P-4"}}]}),
    ("6.1.32", BOTH, {f"{V}/flags": [{"label": "component_not_present"}]}),
    (
        "6.1.33",
        BOTH,
        {
            f"{V}/flags": [
                {"label": "component_not_present", "product_ids": ["P-1"]},
                {"label": "vulnerable_code_not_present", "group_ids": ["G"]},
            ]
        },
    ),
]  # fmt: skip


@pytest.mark.parametrize(
    ("number", "versions", "changes"), BROKEN, ids=[f"{item[0]}-{n}" for n, item in enumerate(BROKEN)]
)
def test_each_test_finds_what_it_is_for(number: str, versions: tuple[str, ...], changes: dict[str, Any]) -> None:
    found_in(number, versions, changes)


def test_what_looks_alike_and_is_allowed() -> None:
    allowed: list[dict[str, Any]] = [
        {f"{T}/version": "2+build.7"} | {f"{T}/version": "2"},
        {f"{T}/status": "draft", f"{T}/version": "1.1.0-rc.1", f"{T}/revision_history": [revision(EARLY, "1.1.0")]},
        {
            f"{T}/revision_history": [revision(EARLY, "0"), revision(LATE, "1")],
            f"{T}/version": "1",
            f"{T}/status": "draft",
        },
        {f"{T}/revision_history/0/date": "2026-01-02T00:30:00+01:00"},  # an hour earlier than it looks
        {"document/lang": "zh-Hant-TW-x-abc"},
        {"document/source_lang": "en-GB"},
        {"document/category": "Security Bulletin"},
        {f"{V}/threats": [{"category": "impact", "details": "d", "group_ids": ["G"]}]},
        {"vulnerabilities/-": {"title": "no number"}},
        {f"{V}/cve": GONE, f"{V}/ids": [{"system_name": "s", "text": "t"}], "document/category": "Sec Note"},
    ]
    for version in BOTH:
        for changes in allowed:
            assert whats(refusal(csaf.check, change(sound(version), changes))) == [], changes


def test_a_chain_of_relations_is_no_circle_and_is_walked_quickly() -> None:
    chain = [relation("R0", "P-1", "P-2"), *(relation(f"R{n}", f"R{n - 1}", "P-2") for n in range(1, 3000))]
    document = change(sound("2.0"), {"product_tree/relationships": chain})
    assert refusal(csaf.check, document) is None
    closed = change(document, {"product_tree/relationships/0": relation("R0", "R2999", "P-2")})
    assert any("6.1.3:" in line for line in whats(refusal(csaf.check, closed)))


def test_a_strangers_property_in_2_0_may_have_a_name_that_2_1_gave_a_meaning() -> None:
    more = {f"{V}/product_status/unknown": 5, f"{V}/metrics": "x", "document/x_extensions": 7}
    assert refusal(csaf.check, change(sound("2.0"), more)) is None


def test_scores_of_the_demo_are_checked() -> None:
    wrong = change(demo("moveit.csaf-2.0.json"), {f"{V}/scores/0/cvss_v3/baseScore": 9.7})
    assert whats(refusal(csaf.check, wrong)) == [
        f"/{V}/scores/0/cvss_v3/baseScore 6.1.9: 9.7 is not what the vector gives: 9.8"
    ]
