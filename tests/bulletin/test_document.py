"""The one door for content: what kind it is, what it says of itself, and that hostile content ends in `Unfit`."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from securechan.bulletin import document
from securechan.bulletin.document import CSAF, MAX_SIZE, MAX_TITLE, STIX, TEXT, inspect, media_type_of
from securechan.bulletin.tlp import Tlp
from securechan.errors import Unfit
from tests.bulletin.files import DEMO, content, names, refusal

LABELS = {
    "log4shell.stix.json": (STIX, Tlp.GREEN),
    "proxyshell.stix.json": (STIX, Tlp.AMBER),
    "moveit.csaf-2.0.json": (CSAF, Tlp.GREEN),
    "xz.csaf-2.1.json": (CSAF, Tlp.AMBER),
    "phishing-wave.txt": (TEXT, Tlp.AMBER_STRICT),
}


@pytest.mark.parametrize("name", LABELS)
def test_the_demo_bulletins_are_recognised_by_themselves_and_as_stated(name: str) -> None:
    kind, label = LABELS[name]
    raw = (DEMO / name).read_bytes()
    found = inspect(raw)
    assert (found.media_type, found.tlp_floor) == (kind, label)
    assert inspect(raw, kind) == found
    assert found.facts_by_name["cves"] == len(
        [word for word in str(found.facts_by_name.get("cve", "")).split() if word]
    )


def test_every_file_of_the_demo_is_tested() -> None:
    assert {path.name for path in DEMO.iterdir() if path.suffix in (".json", ".txt")} == set(LABELS)


@pytest.mark.parametrize("name", names("stix21/mvt", "csaf/bsi-wid", "csaf/oasis-2.1"))
def test_real_files_are_recognised_without_being_told(name: str) -> None:
    found = inspect(content(name))
    assert found.media_type == (STIX if name.startswith("stix21") else CSAF)
    assert 0 < len(found.title.encode()) <= MAX_TITLE


@pytest.mark.parametrize(
    ("stated", "kind"),
    [
        ("application/stix+json", STIX),
        ("application/stix+json; version=2.1", STIX),
        ('Application/STIX+JSON;version="2.1"', STIX),
        ("application/csaf+json", CSAF),
        ("text/plain", TEXT),
        ("text/plain; charset=UTF-8", TEXT),
    ],
)
def test_media_types_are_read_as_headers_write_them(stated: str, kind: str) -> None:
    assert media_type_of(stated) == kind


@pytest.mark.parametrize(
    "stated",
    ["", "application/json", "application/stix+json;version=2.0", "text/html", "text/plain;charset=utf-16", "\x1b[0m"],
)
def test_other_media_types_are_refused_with_the_list(stated: str) -> None:
    with pytest.raises(Unfit) as caught:
        media_type_of(stated)
    assert STIX in caught.value.hint
    assert "\x1b" not in caught.value.message


@pytest.mark.parametrize(
    ("raw", "title"),
    [
        (b"[TLP:GREEN] phishing wave\nmore", "[TLP:GREEN] phishing wave"),
        (b"[1] see below\n[2] ...", "[1] see below"),
        (b"TLP:RED\n\n  Title \t of it  \n", "Title of it"),
        ("\u202eevil\u202c title".encode(), "evil title"),
        (b"x" * 1000, "x" * (MAX_TITLE - 3) + "…"),
        ("\U0001f6a8".encode() * 100, "\U0001f6a8" * 63 + "…"),
    ],
)
def test_text_that_begins_with_a_bracket_is_text_and_has_its_first_line_as_title(raw: bytes, title: str) -> None:
    found = inspect(raw)
    assert found.media_type == TEXT
    assert found.title == title


def test_text_counts_its_cves() -> None:
    assert inspect(b"CVE-2021-44228 and CVE-2021-44228, CVE-2020-1").facts == (
        ("lines", 1), ("cves", 1), ("cve", "CVE-2021-44228"))  # fmt: skip


@pytest.mark.parametrize(
    ("raw", "stated", "expected"),
    [
        (b"", None, "empty"),
        (b" \n\t\n", None, "empty"),
        (b"TLP:RED\n", None, "empty"),
        (b"a\nb\x00", None, "U+0000 on line 2"),
        (b"\x1b[31mred", None, "U+001B on line 1"),
        (b"\xff", None, "not UTF-8"),
        (b"{", None, "not valid JSON"),
        (b'[{"a": 1}', None, "not valid JSON"),
        (b"{}", None, "neither STIX nor CSAF"),
        (b'{"Event": {"info": "misp"}}', None, "neither STIX nor CSAF"),
        (b'[{"type": "file"}]', None, "bare list"),
        (b"plain", STIX, "not valid JSON"),
        (b'{"document": {"csaf_version": "2.0"}}', STIX, "not a valid STIX"),
        (b'{"type": "bundle", "id": "bundle--1"}', CSAF, "not a CSAF"),
        (b'{"document": {"csaf_version": "3.0"}}', None, "csaf_version is '3.0'"),
        (b'{"type": "bundle", "spec_version": "2.0", "id": "x", "objects": []}', None, "spec_version '2.0'"),
        (b"x" * (MAX_SIZE + 1), None, "at most 4,194,304"),
        (b'{"a":' * 100_000, None, "deep"),
    ],
)
def test_what_is_not_fit_is_told_in_a_sentence(raw: bytes, stated: str | None, expected: str) -> None:
    error = refusal(inspect, raw, stated)
    assert error is not None
    assert expected in error.message
    assert error.findings
    assert error.hint


def test_the_largest_content_is_taken() -> None:
    assert inspect(b"x" * MAX_SIZE).media_type == TEXT


@given(st.binary(max_size=300), st.sampled_from([None, *document.MEDIA_TYPES]))
def test_any_bytes_end_in_a_document_or_in_unfit(raw: bytes, stated: str | None) -> None:
    error = refusal(inspect, raw, stated)
    assert error is None or error.findings


@settings(max_examples=300)
@given(st.sampled_from(sorted(LABELS)), st.lists(st.tuples(st.integers(0, 2**20), st.integers(0, 255)), max_size=4))
def test_a_real_file_with_bytes_changed_ends_in_a_document_or_in_unfit(name: str, edits: list[tuple[int, int]]) -> None:
    raw = bytearray((DEMO / name).read_bytes())
    for at, value in edits:
        raw[at % len(raw)] = value
    error = refusal(inspect, bytes(raw))
    assert error is None or error.findings


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
        lambda inner: (
            st.lists(inner, max_size=4)
            | st.dictionaries(st.sampled_from(["type", "id", "document", "csaf_version", "objects", "tracking"]), inner)
        ),
        max_leaves=12,
    )
)
def test_any_json_ends_in_a_document_or_in_unfit(value: Any) -> None:
    error = refusal(inspect, json.dumps(value).encode())
    assert error is None or error.findings


def test_the_tables_are_not_loaded_before_they_are_needed() -> None:
    program = (
        "import sys, securechan.bulletin.document\n"
        "print([name for name in sys.modules if name in"
        " ('securechan.bulletin.stix', 'securechan.bulletin.csaf', 'cvss', 'ipaddress', 'pydantic')])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
