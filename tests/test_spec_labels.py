"""Every label and marker that the code uses stands in SPEC.md §16, and nothing else does."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from tests.support.spec import ROOT_FOLDER, bare, prose, table

_PARSED: Final = [
    *(ROOT_FOLDER / "securechan").rglob("*.py"),
    *(ROOT_FOLDER / "relay").rglob("*.py"),
    *(ROOT_FOLDER / "clients").rglob("*.py"),
]
_RFC: Final = (
    "securechan/mls/",
    "securechan/crypto/kem.py",
    "securechan/crypto/hpke.py",
    "securechan/crypto/signature.py",
)
_TEST_VALUES: Final = ("securechan/crypto/selftest.py", "clients/demo/")
_NO_LABELS: Final = {  # bytes of letters that are nobody's domain separator
    "relay/admission.py": {b"device ", b"guest "},
    "relay/bench.py": {b"bench"},
    "relay/store/jetstream.py": {
        b'{"error"',
        b"Nats-Subject:",
        b"Nats-Sequence:",
        b"Nats-Last-Sequence:",
        b"Nats-Num-Pending:",
    },
    "relay/lanes.py": {b"put", b"publish", b"get", b"packages", b"heads"},
    "clients/vaultfile.py": {b"SQLite format 3\0"},
}
_FRAGMENTS: Final = {  # a label's beginning and its ends, joined where they are used
    "securechan/wire/chain.py": (b"securechan/1 chain", {b" start"}),
    "securechan/trust/enrolment.py": (b"securechan/1 invite", {b" box", b" mac", b" seal", b" check"}),
    "clients/sealing.py": (b"securechan/1 vault ", {b"names", b"records", b"sums", b"manifest"}),
    "clients/operations/founding.py": (b"securechan/1 administrator", {b" words"}),
}


def literals(path: Path) -> Iterator[bytes]:
    """Bytes with a letter in them, anywhere in a file, and texts that begin as labels do."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Constant):
            if isinstance(node.value, bytes) and re.search(rb"[A-Za-z]", node.value):
                yield node.value
            elif isinstance(node.value, str) and re.fullmatch(r"securechan(/1 [a-z ]+| access)", node.value):
                yield node.value.encode()


def labels() -> set[str]:
    """Every label of the code, as it is hashed or signed."""
    found: set[bytes] = set()
    for path in _PARSED:
        name = str(path.relative_to(ROOT_FOLDER))
        if name.startswith((*_RFC, *_TEST_VALUES)):
            continue
        mine = set(literals(path)) - _NO_LABELS.get(name, set())
        if name in _FRAGMENTS:
            start, ends = _FRAGMENTS[name]
            assert {start, *ends} <= mine, f"{name}: a fragment of a label is gone"
            mine = {*(mine - ends), *(start + end for end in ends)}
            if start.endswith(b" "):
                mine.discard(start)
        if name == "securechan/trust/enrolment.py":
            mine = {*(mine - {b" words"}), b"securechan/1 enrol request words"}
        found |= mine
    return {label.decode().replace("\n", "") for label in found}


def test_labels() -> None:
    told = [bare(row["label"]) for row in table("16", "label")]
    assert len(set(told)) == len(told)
    assert sorted(told) == sorted({label.strip() for label in labels()})


def test_every_label_is_explained() -> None:
    """Each stands in the section that the table names."""
    for row in table("16", "label"):
        text = prose(row["used in"].removeprefix("§"))
        assert re.search(rf"[\"`]{re.escape(bare(row['label']))}[ \"`]", text), row


def test_markers() -> None:
    told = {bare(row["marker"]) for row in table("16", "marker")}
    coded = set()
    for path in _PARSED:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                if re.fullmatch(r"securechan(-federation)?1:|securechan-(composite|root-pair)", node.value):
                    coded.add(node.value)
                if re.fullmatch(r"securechan (federation|signing|agency|private|public) [a-z]+( [a-z]+)?", node.value):
                    coded.add(node.value)
                if node.value == "securechan administrator":
                    coded.add(node.value)
    assert told == coded
