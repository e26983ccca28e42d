"""CVSS in four versions: structure, computation, and words that contradict the vector."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from securechan.bulletin import cvss_check
from securechan.bulletin.findings import Findings

V2 = {"version": "2.0", "vectorString": "AV:N/AC:L/Au:N/C:C/I:C/A:C", "baseScore": 10.0}
V30 = {
    "version": "3.0",
    "vectorString": "CVSS:3.0/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H",
    "baseScore": 9.8,
    "baseSeverity": "CRITICAL",
}
V31 = {
    "version": "3.1",
    "vectorString": "CVSS:3.1/AV:L/AC:L/PR:L/UI:N/S:U/C:H/I:H/A:H",
    "baseScore": 7.8,
    "baseSeverity": "HIGH",
}
V40 = {
    "version": "4.0",
    "vectorString": "CVSS:4.0/AV:N/AC:L/AT:N/PR:N/UI:N/VC:H/VI:H/VA:H/SC:N/SI:N/SA:N",
    "baseScore": 9.3,
    "baseSeverity": "CRITICAL",
}


def lines(name: str, value: Any) -> list[str]:
    found = Findings()
    cvss_check.check(name, value, (None, "x"), found)
    return [f"{item.where} {item.what}" for item in found.items]


GOOD: list[tuple[str, dict[str, Any]]] = [
    ("cvss_v2", V2),
    ("cvss_v2", {**V2, "accessVector": "NETWORK", "remediationLevel": "NOT_DEFINED"}),
    ("cvss_v2", {**V2, "vectorString": f"{V2['vectorString']}/E:POC/RL:ND/RC:ND", "temporalScore": 9.0,
                 "exploitability": "PROOF_OF_CONCEPT"}),
    ("cvss_v3", V30),
    ("cvss_v3", V31),
    ("cvss_v3", {**V31, "attackVector": "LOCAL", "modifiedAttackVector": "NOT_DEFINED", "other": 1}),
    ("cvss_v3", {**V31, "vectorString": f"{V31['vectorString']}/E:U", "temporalScore": 7.1,
                 "temporalSeverity": "HIGH"}),
    ("cvss_v4", V40),
    ("cvss_v4", {**V40, "vulnIntegrityImpact": "HIGH", "Safety": "NOT_DEFINED"}),
]  # fmt: skip


@pytest.mark.parametrize(("name", "value"), GOOD)
def test_right_scores_are_taken(name: str, value: dict[str, Any]) -> None:
    assert lines(name, value) == []


BAD: list[tuple[str, Any, str]] = [
    ("cvss_v3", 5, "/x 6.1.8: must be an object"),
    ("cvss_v3", {}, "/x 6.1.8: the required property version is missing"),
    ("cvss_v3", {k: v for k, v in V31.items() if k != "baseSeverity"}, "6.1.8: the required property baseSeverity"),
    ("cvss_v3", {**V31, "version": "4.0"}, "/x/version 6.1.8: '4.0' is not one of 3.0, 3.1"),
    ("cvss_v3", {**V31, "version": "3.0"}, "/x/vectorString 6.1.8"),
    ("cvss_v3", {**V31, "vectorString": "CVSS:3.1/AV:L"}, "/x/vectorString 6.1.8"),
    ("cvss_v3", {**V31, "vectorString": V31["vectorString"] + "/AV:L"}, "AV stands twice"),
    ("cvss_v3", {**V31, "vectorString": V31["vectorString"] + "/XX:L"}, "'XX:L' is not a metric"),
    ("cvss_v3", {**V31, "baseScore": 11}, "/x/baseScore 6.1.8: 11 is not between 0 and 10"),
    ("cvss_v3", {**V31, "baseScore": 7.7}, "/x/baseScore 6.1.9: 7.7 is not what the vector gives: 7.8"),
    ("cvss_v3", {**V31, "baseSeverity": "LOW"}, "/x/baseSeverity 6.1.9"),
    ("cvss_v3", {**V31, "vectorString": V31["vectorString"] + "/E:U", "temporalScore": 7.0}, "/x/temporalScore 6.1.9"),
    ("cvss_v3", {**V31, "attackVector": "NETWORK"}, "/x/attackVector 6.1.10: NETWORK contradicts the vector"),
    ("cvss_v3", {**V31, "exploitCodeMaturity": "HIGH"}, "/x/exploitCodeMaturity 6.1.10"),
    ("cvss_v3", {**V31, "scope": "SIDEWAYS"}, "/x/scope 6.1.8"),
    ("cvss_v2", {**V2, "baseScore": 9.9}, "6.1.9"),
    ("cvss_v2", {**V2, "vectorString": "AV:N"}, "6.1.8"),
    ("cvss_v4", {**V40, "baseScore": 9.2}, "6.1.9"),
    ("cvss_v4", {**V40, "other": 1}, "6.1.8: there is no property 'other'"),
    ("cvss_v4", {**V40, "vectorString": "CVSS:4.0/AV:N"}, "6.1.8"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "value", "expected"), BAD)
def test_wrong_scores_are_told_with_the_number_of_the_test(name: str, value: Any, expected: str) -> None:
    found = lines(name, value)
    assert any(expected in line for line in found), found


METRICS = [
    f"{name}:{value}"
    for name in ["AV", "AC", "PR", "UI", "S", "C", "I", "A", "E", "MAV", "SC", "AT", "VC"]
    for value in "NLHAPURCX"
]


@given(st.lists(st.sampled_from(METRICS), max_size=14), st.sampled_from(["cvss_v2", "cvss_v3", "cvss_v4"]))
def test_any_vector_ends_in_findings(parts: list[str], name: str) -> None:
    value, prefix = {"cvss_v2": (V2, ""), "cvss_v3": (V31, "CVSS:3.1/"), "cvss_v4": (V40, "CVSS:4.0/")}[name]
    for line in lines(name, {**value, "vectorString": prefix + "/".join(parts)}):
        assert line.split()[1] in ("6.1.8:", "6.1.9:", "6.1.10:")
