"""The tables of CSAF are whole, and every mandatory test of the standard has its place."""

from __future__ import annotations

from securechan.bulletin import csaf, csaf_rules_21, csaf_tables


def test_all_books_compile_and_have_all_their_records() -> None:
    assert set(csaf._book("2.0").names()) == set(csaf_tables.TABLE_20)
    assert set(csaf._book("2.1").names()) >= set(csaf_tables.TABLE_21) | set(csaf_tables.SSVC)


def test_every_mandatory_test_has_its_number_once() -> None:
    numbers = [number for number, _ in csaf._TESTS["2.1"]]
    assert [number for number in numbers if number in dict(csaf._TESTS["2.0"])] == [*dict(csaf._TESTS["2.0"])]
    assert len(numbers) == len(set(numbers))
    shared = {f"6.1.{n}" for n in range(1, 34)} - {"6.1.8", "6.1.9", "6.1.10", "6.1.11", "6.1.27"}
    assert shared <= set(numbers)
    assert {f"6.1.27.{n}" for n in range(1, 20)} <= set(numbers)
    left_out = {"6.1.37", "6.1.46", "6.1.48", "6.1.60"}
    assert {f"6.1.{n}" for n in range(34, 62)} - left_out <= set(numbers)


def test_remediations_that_exclude_each_other_are_read_into_pairs() -> None:
    assert frozenset({"none_available", "vendor_fix"}) in csaf_rules_21._EXCLUDE
    assert len(csaf_rules_21._EXCLUDE) == 14


def test_languages_and_regions_are_there() -> None:
    assert {"en", "hr", "de"} <= csaf_tables.LANGUAGES
    assert {"HR", "EZ", "US"} <= csaf_tables.REGIONS
