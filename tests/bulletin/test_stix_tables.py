"""The tables of STIX are whole: every kind they name exists, and every type of the standard is there."""

from __future__ import annotations

from securechan.bulletin import stix, stix_tables


def test_the_book_compiles_and_has_all_its_records() -> None:
    assert set(stix._book().names()) >= set(stix_tables.OBJECTS) | set(stix_tables.PARTS)


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
