"""The mandatory tests that CSAF 2.1 adds, each broken once."""

from __future__ import annotations

from typing import Any

import pytest

from securechan.bulletin import csaf
from tests.bulletin.advisories import GONE, change, demo, sound
from tests.bulletin.files import refusal, whats

T = "document/tracking"
V = "vulnerabilities/0"
D = "document/distribution"
NAMES = "product_tree/full_product_names"
LATER = "2026-01-02T00:00:01Z"
MAX, NIL, SOME = (
    "f" * 8 + "-ffff" * 3 + "-" + "f" * 12,
    "0" * 8 + "-0000" * 3 + "-" + "0" * 12,
    "5868d6be-b28a-404e-a245-0b5093b31b8b",
)
TEN = {
    "version": "3.1",
    "vectorString": "CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:C/C:H/I:H/A:H",
    "baseScore": 10.0,
    "baseSeverity": "CRITICAL",
}
SECURITY = {"document/category": "csaf_security_advisory", f"{V}/notes": [{"category": "summary", "text": "t"}]}
GONE_DOCUMENT = {"product_tree": GONE, "vulnerabilities": GONE, "document/lang": "en-GB"}
WITHDRAWN = {"document/category": "csaf_withdrawn", **GONE_DOCUMENT}
SUPERSEDED = {"document/category": "csaf_superseded", **GONE_DOCUMENT}


def note(title: str, category: str = "description") -> dict[str, str]:
    return {"category": category, "text": "t", "title": title}


def ssvc(**more: Any) -> dict[str, Any]:
    selection = {"namespace": "ssvc", "key": "E", "version": "1.1.0", "values": [{"key": "A"}]}
    value = {"schemaVersion": "2.0.0", "timestamp": "2026-01-01T00:00:00Z", "selections": [selection], **more}
    return {"content": {"ssvc_v2": {k: v for k, v in value.items() if v is not GONE}}, "products": ["P-1"]}


def remedies(*categories: str) -> list[dict[str, Any]]:
    return [{"category": category, "details": "d", "product_ids": ["P-1"]} for category in categories]


def branch(*names: str, product: str = "P-4") -> list[dict[str, Any]]:
    """A path of branches: ``category name``, the last of which has the product."""
    found: dict[str, Any] = {"product": {"name": "n", "product_id": product}}
    for one in reversed(names):
        category, _, name = one.partition(" ")
        found = {
            "branches" if "category" in found else "product": [found] if "category" in found else found["product"]
        } | {
            "category": category,
            "name": name or "x",
        }
    return [found]


def extension(**more: Any) -> list[dict[str, Any]]:
    value = {
        "$schema": "https://example.org/e.json",
        "category": "essential",
        "critical": False,
        "content": {"a": 1},
        **more,
    }
    return [{k: v for k, v in value.items() if v is not GONE}]


RANGE = "product_version_range "


def path(name: str, first: str, category: str, then: str) -> dict[str, Any]:
    return {
        "beginning_product_reference": first,
        "full_product_name": {"name": name, "product_id": name},
        "subpaths": [{"category": category, "next_product_reference": then}],
    }


PATHS = SECURITY | {  # a in two versions, each on P-1, the second also on P-2 and beside P-2
    "product_tree/branches": branch("vendor v", "product_name a", "product_version 2")
    + branch("vendor v", "product_name a", "product_version 1", product="P-5"),
    "product_tree/product_paths": [
        path("N-1", "P-5", "installed_on", "P-1"),
        path("N-2", "P-4", "installed_on", "P-1"),
        path("M-2", "P-4", "installed_on", "P-2"),
        path("W-2", "P-4", "installed_with", "P-2"),
        path("X-1", "P-3", "installed_on", "P-2"),
    ],
}
BROKEN: list[tuple[str, dict[str, Any]]] = [
    ("6.1.7", {f"{V}/metrics": [{"content": {"cvss_v3": TEN}, "products": ["P-1", name]} for name in ("P-2", "P-3")]}),
    ("6.1.27.3", WITHDRAWN | {"vulnerabilities": [{"title": "t"}]}),
    ("6.1.27.8", {"document/category": "csaf_vex", f"{V}/cve": GONE,
                  f"{V}/ids": [{"system_name": "s", "text": "t", "product_ids": ["P-1"]}]}),
    ("6.1.27.12", SECURITY | {f"{V}/product_status": {"fixed": ["P-3"]}}),
    ("6.1.27.13", SECURITY | {f"{V}/product_status": {"fixed": ["P-3"]}}),
    ("6.1.27.13", SECURITY | {f"{V}/product_status": {"fixed": ["P-4"], "known_affected": ["P-5"]},
                              "product_tree/branches": branch("vendor v", "product_name a", "product_version 2")
                              + branch("vendor v", "product_name b", "product_version 1", product="P-5")}),
    ("6.1.27.13", PATHS | {f"{V}/product_status": {"fixed": ["M-2"], "known_affected": ["N-1"]}}),
    ("6.1.27.14", WITHDRAWN),
    ("6.1.27.15", SUPERSEDED | {"product_tree": {"full_product_names": [{"name": "n", "product_id": "i"}]}}),
    ("6.1.27.16", WITHDRAWN | {f"{T}/revision_history/0": GONE, f"{T}/revision_history/0/number": "1"}),
    ("6.1.27.17", WITHDRAWN | {"document/notes": [note("Reasoning for Withdrawal", "summary")]}),
    ("6.1.27.17", WITHDRAWN | {"document/notes": [note("Reasoning for Withdrawal")] * 2}),
    ("6.1.27.18", SUPERSEDED | {"document/notes": [note("Reasons")]}),
    ("6.1.27.19", SUPERSEDED | {"document/references": [
        {"category": "self", "summary": "Superseding Document", "url": "https://example.org"}]}),
    ("6.1.34", {"product_tree/branches": branch(*(["product_family x"] * 31))}),
    ("6.1.35", {f"{V}/remediations": remedies("vendor_fix", "no_fix_planned")}),
    ("6.1.36", {f"{V}/remediations": remedies("optional_patch")}),
    ("6.1.37", {f"{T}/current_release_date": "2026-01-02 00:00:00Z"}),
    ("6.1.37", {f"{T}/current_release_date": "2026-01-02T00:00:00z"}),
    ("6.1.37", {f"{T}/current_release_date": "2016-12-31T23:59:60Z"}),
    ("6.1.38", {f"{D}/sharing_group": {"id": MAX, "name": "Public"}}),
    ("6.1.39", {f"{D}/tlp/label": "CLEAR", f"{D}/sharing_group": {"id": SOME}}),
    ("6.1.40", {f"{D}/sharing_group": {"id": SOME, "name": "Public"}}),
    ("6.1.41", {f"{D}/sharing_group": {"id": NIL}}),
    ("6.1.42", {f"{NAMES}/0/product_identification_helper": {"purls": ["pkg:npm/a@1", "pkg:npm/b@1"]}}),
    ("6.1.43", {f"{NAMES}/0/product_identification_helper": {"model_numbers": ["a*b*"]}}),
    ("6.1.44", {f"{NAMES}/0/product_identification_helper": {"serial_numbers": ["*\\\\*"]}}),
    ("6.1.45", {f"{D}/tlp/label": "CLEAR", f"{V}/disclosure_date": LATER}),
    ("6.1.46", {f"{V}/metrics": [ssvc(selections=GONE)]}),
    ("6.1.37", {f"{V}/metrics": [ssvc(timestamp="yesterday")]}),
    ("6.1.47", {f"{V}/metrics": [ssvc(target_ids=["CVE-2026-0002"])]}),
    ("6.1.49", {f"{V}/metrics": [ssvc(timestamp=LATER)]}),
    ("6.1.50", {"product_tree/branches": branch(RANGE + "before 4.2")}),
    ("6.1.51", {f"{V}/metrics": [{"content": {"epss": {"percentile": "0.5", "probability": "1.0", "timestamp": LATER}},
                                  "products": ["P-1"]}]}),
    ("6.1.52", {f"{V}/first_known_exploitation_dates": [
        {"date": LATER, "exploitation_date": "2026-01-01T00:00:00Z", "product_ids": ["P-1"]}]}),
    ("6.1.53", {f"{V}/first_known_exploitation_dates": [
        {"date": "2026-01-01T00:00:00Z", "exploitation_date": "2026-01-01T00:00:01Z", "product_ids": ["P-1"]}]}),
    ("6.1.54", {"document/license_expression": "You may do as you like."}),
    ("6.1.55", {"document/license_expression": "LicenseRef-www.example.org-mine"}),
    ("6.1.56", {f"{V}/metrics": [
        {"content": {"cvss_v3": TEN, "qualitative_severity_rating": "low"}, "products": ["P-1"]}]}),
    ("6.1.57", {"product_tree/branches": branch("vendor a", "vendor b")}),
    ("6.1.58", {"product_tree/branches": branch("product_version 1", RANGE + "<2")}),
    ("6.1.59", {"product_tree/branches": branch(RANGE + "vers:intdot/4.2.0")}),
    ("6.1.60.1", {"x_extensions": extension(critical=GONE)}),
    ("6.1.60.1", {f"{V}/x_extensions": extension(content={})}),
    ("6.1.60.1", {"document/x_extensions": []}),
    ("6.1.61", {f"{NAMES}/0/product_identification_helper": {"skus": ["**"]}}),
]  # fmt: skip


@pytest.mark.parametrize(("number", "changes"), BROKEN, ids=[f"{item[0]}-{n}" for n, item in enumerate(BROKEN)])
def test_each_test_finds_what_it_is_for(number: str, changes: dict[str, Any]) -> None:
    error = refusal(csaf.check, change(sound("2.1"), changes))
    assert error is not None
    assert any(item.what.startswith(f"{number}: ") for item in error.findings), whats(error)


ALLOWED: list[dict[str, Any]] = [
    SECURITY,
    SECURITY | {
        f"{V}/product_status": {"fixed": ["P-4"], "known_affected": ["P-5"]},
        "product_tree/branches": branch("vendor v", "product_name a", "product_version 2")
        + branch("vendor v", "product_name a", RANGE + "<2", product="P-5"),
    },
    WITHDRAWN | {"document/notes": [note("Reasoning for Withdrawal")]},
    WITHDRAWN | {"document/lang": "de", "document/notes": [note("Grund")]},
    SUPERSEDED | {
        "document/notes": [note("Reasoning for Supersession")],
        "document/references": [
            {"category": "external", "summary": "Superseding Document: X", "url": "https://example.org"}],
    },
    PATHS | {f"{V}/product_status": {"fixed": ["N-2"], "known_affected": ["N-1"]}},
    PATHS | {f"{V}/product_status": {"fixed": ["W-2"], "known_affected": ["P-5"]}},
    {f"{V}/remediations": remedies("vendor_fix", "mitigation", "workaround")},
    {f"{D}/tlp/label": "CLEAR", f"{D}/sharing_group": {"id": MAX, "name": "Public"}},
    {f"{D}/sharing_group": {"id": NIL, "name": "No sharing allowed"}},
    {f"{D}/sharing_group": {"id": NIL, "name": "No sharing allowed"}, f"{D}/tlp/label": "CLEAR",
     f"{T}/status": "draft"},
    SUPERSEDED | {"document/lang": "hr", "document/notes": [note("Razlog")]},
    {f"{NAMES}/0/product_identification_helper": {"purls": ["pkg:npm/a@1?x=1", "pkg:npm/a@1?x=2"], "skus": ["a\\*b*"]}},
    {f"{V}/metrics": [ssvc(target_ids=["CVE-2026-0001"])]},
    {f"{V}/metrics": [{"content": {"cvss_v3": TEN}, "products": ["P-1"]},
                      {"content": {"qualitative_severity_rating": "low"}, "products": ["P-1"],
                       "source": "https://example.org"}]},
    {"document/license_expression": "MIT OR (Apache-2.0 WITH LLVM-exception AND GPL-2.0+)"},
    {"document/license_expression": "LicenseRef-x", "document/notes": [note("License", "legal_disclaimer")]},
    {"x_extensions": extension(), "document/x_extensions": extension()},
    {"product_tree/branches": branch(*(["product_family x"] * 30))},
    {"product_tree/branches": branch("vendor v", RANGE + "vers:npm/>=2.2.0|<2.3.0")},
]  # fmt: skip


@pytest.mark.parametrize("changes", ALLOWED, ids=range(len(ALLOWED)))
def test_what_looks_alike_and_is_allowed(changes: dict[str, Any]) -> None:
    assert whats(refusal(csaf.check, change(sound("2.1"), changes))) == []


def test_the_deprecated_profile_may_name_the_fix_with_the_fixed_product() -> None:
    changes = {f"{V}/remediations": [{"category": "vendor_fix", "details": "d", "product_ids": ["P-3"]}]}
    assert "6.1.36:" in whats(refusal(csaf.check, change(sound("2.1"), changes)))[0]
    old = {
        "document/category": "csaf_deprecated_security_advisory",
        f"{V}/notes": [{"category": "summary", "text": "t"}],
    }
    assert whats(refusal(csaf.check, change(sound("2.1"), changes | old))) == []


def test_scores_of_the_demo_are_checked() -> None:
    wrong = change(demo("xz.csaf-2.1.json"), {f"{V}/metrics/0/content/cvss_v3/baseSeverity": "HIGH"})
    assert whats(refusal(csaf.check, wrong)) == [
        f"/{V}/metrics/0/content/cvss_v3/baseSeverity 6.1.9: HIGH is not what the vector gives: CRITICAL"
    ]
