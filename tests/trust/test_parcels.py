"""securechan/trust/parcels.py: what is passed on is of its kind and version, or refused before it is believed."""

from __future__ import annotations

import base64

import pytest

from securechan.errors import Malformed
from securechan.trust import strict
from securechan.trust.parcels import as_list, b64, load_file, read_drafts
from tests.support.federation import World

KIND = "securechan something"


def test_a_file_is_of_its_kind_and_version() -> None:
    assert load_file(strict.dump({"kind": KIND, "v": 1, "x": "y"}), KIND)["x"] == "y"
    for wrong in ({"kind": KIND, "v": 2}, {"kind": "another", "v": 1}, {"v": 1}, {"kind": KIND}):
        with pytest.raises(Malformed):
            load_file(strict.dump(wrong), KIND)
    with pytest.raises(Malformed):
        load_file(b"[]", KIND)


@pytest.mark.parametrize("value", [1, None, [], "not base64!", "YQ", "Y\nQ=="])
def test_what_is_no_base64_is_refused(value: strict.Json) -> None:
    with pytest.raises(Malformed):
        b64(value)


def test_base64_and_lists() -> None:
    assert b64("YQ==") == b"a"
    assert as_list(["a"]) == ["a"]
    for value in ({}, "a", None):
        with pytest.raises(Malformed):
            as_list(value)


def test_documents_are_read_and_each_is_one() -> None:
    world = World(["cert-hr"])
    world.enrol("cert-hr", "desk")
    document = world.view.document("cert-hr-roster")
    assert document is not None
    content = base64.b64encode(document.content).decode()
    (draft,) = read_drafts([["cert-hr-roster", content]])
    assert draft.content == document.content
    for wrong in ([["cert-hr-roster"]], [[1, content]], [["cert-hr-roster", "YQ=="]]):
        with pytest.raises(Malformed):
            read_drafts(wrong)
