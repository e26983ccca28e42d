"""clients/operations/skeleton.py: what one begins with is valid already."""

from __future__ import annotations

import pytest

from clients.operations.skeleton import skeleton
from securechan.bulletin.document import CSAF, STIX, TEXT, inspect


@pytest.mark.parametrize(("kind", "media_type"), [("stix", STIX), ("csaf", CSAF), ("text", TEXT)])
@pytest.mark.parametrize("title", ["A title", 'Quotes " and \\ and žiž', "x" * 150])
def test_a_skeleton_is_fit(kind: str, media_type: str, title: str) -> None:
    assert inspect(skeleton(kind, title).encode()).media_type == media_type


def test_other_kinds_there_are_not() -> None:
    with pytest.raises(ValueError, match="no kind"):
        skeleton("pdf", "x")
