"""What a profile of CSAF demands in both versions, each broken once; test_csaf_rules_21.py has what 2.1 adds."""

from __future__ import annotations

from typing import Any

import pytest

from securechan.bulletin import csaf
from securechan.bulletin.csaf_profiles import RULES, RULES_21
from tests.bulletin.advisories import GONE, change, found_in, sound
from tests.bulletin.files import refusal, whats

V = "vulnerabilities/0"
BOTH = ("2.0", "2.1")

BROKEN: list[tuple[str, tuple[str, ...], dict[str, Any]]] = [
    ("6.1.26", BOTH, {"document/category": "Security_Incident Response"}),
    ("6.1.26", BOTH, {"document/category": "V\u2013E\uff3fX"}),
    ("6.1.26", BOTH, {"document/category": "csaf_something"}),
    ("6.1.26", ("2.1",), {"document/category": "withdrawn"}),
    ("6.1.27.1", BOTH, {"document/category": "csaf_informational_advisory"}),
    ("6.1.27.2", BOTH, {"document/category": "csaf_security_incident_response"}),
    ("6.1.27.3", BOTH, {"document/category": "csaf_informational_advisory"}),
    ("6.1.27.4", BOTH, {"document/category": "csaf_vex", "product_tree": GONE, V: {"cve": "CVE-2026-0001"}}),
    ("6.1.27.5", BOTH, {"document/category": "csaf_vex"}),
    ("6.1.27.6", BOTH, {"document/category": "csaf_security_advisory", f"{V}/product_status": GONE}),
    ("6.1.27.7", BOTH, {"document/category": "csaf_vex", f"{V}/product_status": {"recommended": ["P-1"]}}),
    ("6.1.27.8", BOTH, {"document/category": "csaf_vex", f"{V}/cve": GONE}),
    ("6.1.27.9", BOTH, {"document/category": "csaf_vex", f"{V}/product_status": {"known_not_affected": ["P-1"]}}),
    ("6.1.27.10", BOTH, {"document/category": "csaf_vex"}),
    ("6.1.27.11", BOTH, {"document/category": "csaf_vex", "vulnerabilities": GONE}),
]


@pytest.mark.parametrize(
    ("number", "versions", "changes"), BROKEN, ids=[f"{item[0]}-{n}" for n, item in enumerate(BROKEN)]
)
def test_each_test_finds_what_it_is_for(number: str, versions: tuple[str, ...], changes: dict[str, Any]) -> None:
    found_in(number, versions, changes)


def test_each_test_is_of_a_profile() -> None:
    assert {number for number, _ in RULES} == {number for number, _, _ in BROKEN}
    assert [number for number, _ in RULES_21] == [f"6.1.27.{n}" for n in range(12, 20)]


def test_flags_and_impacts_reach_products_through_groups() -> None:
    vex = {
        "document/category": "csaf_vex",
        f"{V}/notes": [{"category": "summary", "text": "t"}],
        f"{V}/product_status": {"known_not_affected": ["P-1", "P-2"], "known_affected": ["P-3"]},
        f"{V}/flags": [{"label": "component_not_present", "group_ids": ["G"]}],
        f"{V}/remediations": [{"category": "none_available", "details": "d", "product_ids": ["P-3"]}],
    }
    for version in BOTH:
        assert whats(refusal(csaf.check, change(sound(version), vex))) == []


def test_a_vex_may_name_a_vulnerability_by_another_id_and_its_threat_may_be_its_impact() -> None:
    vex = {
        "document/category": "csaf_vex",
        f"{V}/cve": GONE,
        f"{V}/ids": [{"system_name": "s", "text": "t"}],
        f"{V}/notes": [{"category": "summary", "text": "t"}],
        f"{V}/product_status": {"known_not_affected": ["P-1"]},
        f"{V}/threats": [
            {"category": "target_set", "details": "d", "product_ids": ["P-2"]},
            {"category": "impact", "details": "d", "product_ids": ["P-1"]},
        ],
    }
    for version in BOTH:
        assert whats(refusal(csaf.check, change(sound(version), vex))) == []
    some = change(sound("2.1"), vex | {f"{V}/ids": [{"system_name": "s", "text": "t", "product_ids": ["P-1"]}]})
    assert refusal(csaf.check, some) is None
