"""Times, versions and views of an advisory."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from securechan.bulletin.advisory import Advisory, TooMuch, instant, version_of
from tests.bulletin.advisories import change, demo, sound


@pytest.mark.parametrize(
    ("early", "late"),
    [
        ("2026-01-01T00:00:00Z", "2026-01-01T00:00:00.1Z"),
        ("2026-01-01T00:00:00.09Z", "2026-01-01T00:00:00.1Z"),
        ("2026-01-01T01:00:00+02:00", "2026-01-01T00:00:00Z"),
        ("2026-01-01T00:00:00Z", "2025-12-31T23:00:00-02:00"),
        ("2016-12-31T23:59:59Z", "2016-12-31T23:59:60Z"),
        ("0001-01-01T00:00:00Z", "9999-12-31T23:59:59Z"),
    ],
)
def test_times_of_all_zones_are_ordered(early: str, late: str) -> None:
    first, second = instant(early), instant(late)
    assert first is not None
    assert second is not None
    assert first < second


def test_one_time_in_two_zones_is_one_time() -> None:
    assert instant("2026-01-01T00:00:00.50Z") == instant("2026-01-01T05:30:00.5+05:30")


@pytest.mark.parametrize(
    "text",
    ["", "2026-01-01", "2026-02-29T00:00:00Z", "2026-13-01T00:00:00Z", "2026-01-01T24:00:00Z", "2026-01-01T00:60:00Z",
     "2026-01-01T00:00:61Z", "2026-01-01T00:00:00", "2026-01-01 00:00:00Z", "2026-01-01T00:00:00+24:00",
     "0000-01-01T00:00:00Z", "2026-01-00T00:00:00Z", "２026-01-01T00:00:00Z"],
)  # fmt: skip
def test_other_texts_are_no_times(text: str) -> None:
    assert instant(text) is None


def test_csaf_2_1_is_stricter_about_times() -> None:
    for text in ("2026-01-01t00:00:00Z", "2026-01-01T00:00:00z", "2016-12-31T23:59:60Z"):
        assert instant(text) is not None
        assert instant(text, strict=True) is None


@given(st.text(alphabet="0123456789-T:Z+. tz", max_size=30))
def test_any_text_is_a_time_or_not(text: str) -> None:
    found = instant(text)
    assert found is None or found == instant(text.upper())


def test_versions_are_ordered_as_semantic_versioning_says() -> None:
    ordered = [
        "0",
        "0.9.0",
        "1.0.0-alpha",
        "1.0.0-alpha.1",
        "1.0.0-alpha.beta",
        "1.0.0-beta.2",
        "1.0.0-beta.11",
        "1.0.0",
        "2",
    ]
    backwards = ordered[::-1]
    assert sorted(backwards, key=version_of) == ordered
    assert version_of("1.0.0+a") == version_of("1.0.0+b") == version_of("1")
    assert version_of("0.1.0").zero
    assert not version_of("1.0.0-a").released
    assert version_of("9" * 5000) > version_of("1")


def test_the_views_of_both_versions_agree() -> None:
    for version in ("2.0", "2.1"):
        advisory = Advisory(sound(version), version)
        assert [product["product_id"] for _, product in advisory.products()] == ["P-1", "P-2", "P-3"]
        assert {name for _, name in advisory.mentions()} == {"P-1", "P-2", "P-3"}
        assert advisory.scope({"group_ids": ["G", "unknown"], "product_ids": ["P-3"]}) == {"P-1", "P-2", "P-3"}
        assert [item["number"] for _, item in advisory.history] == ["1", "2"]
        assert advisory.english()
        assert not Advisory(change(sound(version), {"document/lang": "eng-GB"}), version).english()


def test_products_under_branches_are_found_in_order_with_what_is_above() -> None:
    advisory = Advisory(demo("moveit.csaf-2.0.json"), "2.0")
    depths = [len(above) for _, branch, above in advisory.branches() if "product" in branch]
    assert depths == [2] * 10
    assert [product["product_id"] for _, product in advisory.products()][:2] == ["MT-2021.0-AFFECTED", "MT-2021.0.6"]


def test_effort_has_an_end() -> None:
    advisory = Advisory(sound("2.1"), "2.1", [3])
    advisory.scope({"group_ids": ["G"]})
    with pytest.raises(TooMuch):
        advisory.scope({"group_ids": ["G"]})
