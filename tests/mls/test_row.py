"""A row is a list that is copied cheaply: held against one."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from securechan.mls.row import Row

places = st.integers(0, 299)
steps_of = st.lists(st.lists(st.tuples(places, st.integers()), max_size=8), max_size=6)


@given(
    st.lists(st.integers(), max_size=300), st.lists(st.lists(st.tuples(places, st.integers()), max_size=8), max_size=6)
)
def test_a_row_is_the_list_that_was_changed_alike(items: list[int], steps: list[list[tuple[int, int]]]) -> None:
    rows, lists = [Row(items)], [items]
    for step in steps:
        changes = [(at, item) for at, item in step if at < len(items)]
        after = list(lists[-1])
        for at, item in changes:
            after[at] = item
        rows.append(rows[-1].replaced(changes))
        lists.append(after)
    for row, flat in zip(rows, lists, strict=True):  # those of before are what they were
        assert list(row) == flat
        assert [row[at] for at in range(len(row))] == flat
        assert row == Row(flat)
    assert (rows[0] == rows[-1]) == (lists[0] == lists[-1])


def test_what_is_noted_is_noted_for_all_that_share_the_place() -> None:
    row = Row([None] * 200)
    other = row.replaced([(0, 1)])
    row.note(199, 7)
    assert other[199] == 7
    row.note(1, 8)
    assert other[1] is None  # that chunk was copied


@pytest.mark.parametrize("at", [-1, 3])
def test_there_is_nothing_beyond_its_ends(at: int) -> None:
    with pytest.raises(IndexError):
        Row("abc")[at]
    with pytest.raises(IndexError):
        Row("abc").replaced([(at, "d")])


def test_it_shows_what_is_in_it() -> None:
    assert repr(Row("ab")) == "Row(['a', 'b'])"
