"""No vector is left aside: every file of others has its test, every suite its cases, every row of ours a life."""

from __future__ import annotations

import json
import lzma
import re
from pathlib import Path
from typing import Final

import pytest

from securechan.crypto.suite import SUITES
from tests.support.corpus import vectors
from tests.support.mls import RFC_SUITES, cases

TESTS: Final = Path(__file__).resolve().parents[1]
OF_EVERY_SUITE: Final = (
    "crypto-basics",
    "key-schedule",
    "message-protection",
    "passive-client-handling-commit",
    "passive-client-welcome",
    "psk_secret",
    "secret-tree",
    "transcript-hashes",
    "tree-validation",
    "treekem",
    "welcome",
)
OF_NO_SUITE: Final = ("deserialization", "messages", "passive-client-random", "tree-math", "tree-operations")
PROFILES: Final = {"hybrid", "cnsa", "standard"}  # ours, whose lives are tests/mls/test_group.py


def test_every_file_of_the_working_group_has_its_test() -> None:
    here = {path.stem for path in vectors("mls").glob("*.json")}
    assert here == {*OF_EVERY_SUITE, *OF_NO_SUITE}
    tests = "".join(path.read_text() for path in TESTS.rglob("test_*.py") if path.name != Path(__file__).name)
    assert {name for name in here if not re.search(rf'["/]{name}(\.json)?"', tests)} == set()


@pytest.mark.parametrize("name", OF_EVERY_SUITE)
def test_every_suite_has_its_cases(name: str) -> None:
    assert {case["cipher_suite"] for case in cases(name)} == set(RFC_SUITES)


def test_every_row_of_the_table_has_lived_elsewhere() -> None:
    """Rows other than RFC 9420's and our profiles have vectors that another implementation made."""
    lived = set()
    for path in (TESTS / "vectors" / "pq").glob("*.json.xz"):
        lived |= {case["cipher_suite"] for case in json.loads(lzma.decompress(path.read_bytes()))}
    rows = {suite.number for suite in SUITES.values() if suite.name not in PROFILES}
    assert rows == lived | set(RFC_SUITES)


def test_no_test_of_vectors_skips_a_suite() -> None:
    """The only skips are for files that aren't there, and `corpus` says where to get them."""
    for path in Path(__file__).parent.glob("test_*.py"):
        assert path.name == Path(__file__).name or "skip(" not in path.read_text(), path.name
