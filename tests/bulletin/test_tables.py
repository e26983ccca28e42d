"""The tables of STIX and CSAF are whole: every kind they name exists, and every type of the standard is there."""

from __future__ import annotations

from securechan.bulletin import csaf, csaf_tables, stix, stix_tables
from securechan.bulletin.csaf_rules import RULES
from securechan.bulletin.csaf_rules_21 import RULES as RULES_21


def test_all_books_compile_and_have_all_their_records() -> None:
    assert set(stix._book().names()) >= set(stix_tables.OBJECTS) | set(stix_tables.PARTS)
    assert set(csaf._book("2.0").names()) == set(csaf_tables.TABLE_20)
    assert set(csaf._book("2.1").names()) >= set(csaf_tables.TABLE_21) | set(csaf_tables.SSVC)


def test_a_kind_that_is_no_reference_is_not_taken_for_one() -> None:
    assert stix._reference("tool") is None
    assert stix._reference("@tool") is not None


def test_stix_has_its_numbers_of_types() -> None:
    assert len(stix_tables._DOMAIN) == 19
    assert len(stix_tables._OBSERVABLE) == 18
    assert len(stix_tables._RELATION) == 2
    assert len(stix_tables.OBJECTS) == 19 + 18 + 2 + 3


def test_the_rules_between_properties_name_properties_that_exist() -> None:
    book = stix._book()
    for table in (stix_tables.SOME_OF, stix_tables.NOT_BOTH):
        for kind, names in table.items():
            assert set(names) <= set(book[kind].fields), kind
    for kind, pairs in stix_tables.IMPLIES.items():
        assert {name for pair in pairs for name in pair} <= set(book[kind].fields), kind


def test_every_mandatory_test_has_its_number_once() -> None:
    numbers = [number for number, _ in RULES + RULES_21]
    assert len(numbers) == len(set(numbers))
    shared = {f"6.1.{n}" for n in range(1, 34)} - {"6.1.8", "6.1.9", "6.1.10", "6.1.11", "6.1.27"}
    assert shared <= set(numbers)
    assert {f"6.1.27.{n}" for n in range(1, 20)} <= set(numbers)
    left_out = {"6.1.37", "6.1.46", "6.1.48", "6.1.60"}
    assert {f"6.1.{n}" for n in range(34, 62)} - left_out <= set(numbers)


def test_words_between_bars_are_read_into_sets() -> None:
    assert frozenset({"none_available", "vendor_fix"}) in csaf_rules_21_exclusions()
    assert len(csaf_rules_21_exclusions()) == 14
    assert {"en", "hr", "de"} <= csaf_tables.LANGUAGES
    assert {"HR", "EZ", "US"} <= csaf_tables.REGIONS


def csaf_rules_21_exclusions() -> set[frozenset[str]]:
    from securechan.bulletin import csaf_rules_21

    return csaf_rules_21._EXCLUDE
