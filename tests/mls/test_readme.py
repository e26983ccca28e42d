"""The page for outsiders: its examples run as they stand, one after the other."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

README = Path(__file__).resolve().parents[2] / "securechan" / "mls" / "README.md"


def blocks() -> list[str]:
    return re.findall(r"^```python\n(.*?)^```$", README.read_text(), flags=re.MULTILINE | re.DOTALL)


def test_the_examples_run() -> None:
    first, second = blocks()
    said: dict[str, Any] = {}
    exec(compile(first, str(README), "exec"), said)
    assert said["alice"].epoch == said["bob"].epoch == 2
    exec(compile(second, str(README), "exec"), said)
    assert said["mine"].number == 0xF1A0


def test_the_first_example_is_twenty_lines() -> None:
    code = [line for line in blocks()[0].splitlines() if line and not line.startswith(("from", "import", "assert"))]
    assert len(code) <= 20


def test_what_the_page_names_is_there() -> None:
    from securechan.mls import credentials, grease, outside, succession
    from securechan.mls.group import Group
    from securechan.mls.terms import Terms

    for named, where in (
        ("presented members", credentials),
        ("propose_from_outside propose_self", outside),
        ("branch succeed", succession),
        ("extension", grease),
        ("past_epochs skipped max_lifetime", Terms),
        ("resumption_keys group_info join_from_outside encode_epoch encode_ratchets decode export", Group),
    ):
        for name in named.split():
            assert hasattr(where, name), name
            assert name in README.read_text()


def test_the_duties_stand_where_the_page_says_and_are_tested() -> None:
    _, rest = README.read_text().split("<!-- duties -->")
    rows = [line.split("|") for line in rest.split("<!-- end of duties -->")[0].splitlines() if line.startswith("| §")]
    assert len(rows) >= 10
    tests = "".join(path.read_text() for path in Path(__file__).parent.glob("test_*.py"))
    for _, _, _, files, names, _ in rows:
        assert all((README.parent / file).is_file() for file in re.findall(r"`([^`]+)`", files)), files
        named = re.findall(r"`([^`]+)`", names)
        assert named, files
        assert [name for name in named if f"def {name}(" not in tests] == []
